"""Composites: forward code over NumPy functions, and no derivative rule anywhere.

Each function takes Tensors or plain ndarrays and returns the same kind; a list is read as an ndarray. Integers are
taken as float64, but for relu and embedding, which keep the dtype. What a softmax, a norm or an attention needs for
its gradient, the engine derives from the few lines that say what it is.

Where speed asked for a kernel, these lines are its definition: `with definitions():` runs them instead.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arguments import (
    array,
    attention_mask,
    broadcasts_to,
    check_range,
    drawn,
    floating,
    has_kernel,
    integers,
    near,
    optional,
    refuse_misfits,
    same_width,
)
from tinygrad_edu.complaints import reject
from tinygrad_edu.convolution import avg_pool1d, avg_pool2d, conv1d, conv2d, max_pool1d, max_pool2d
from tinygrad_edu.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_edu.limits import refuse_if_too_large
from tinygrad_edu.record import apply, unary
from tinygrad_edu.rules import fused, fused_attention, fused_rows, operation_of
from tinygrad_edu.rules.elementwise import erf
from tinygrad_edu.rules.fused_attention import join_heads, split_heads
from tinygrad_edu.settings import nonnegative, share
from tinygrad_edu.tensor import Tensor, stop_gradient

__all__ = [
    "attention",
    "avg_pool1d",
    "avg_pool2d",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "join_heads",
    "layer_norm",
    "linear",
    "log_softmax",
    "logsumexp",
    "max_pool1d",
    "max_pool2d",
    "mse",
    "relu",
    "rms_norm",
    "self_attention",
    "sigmoid",
    "silu",
    "softmax",
    "split_heads",
]

A = TypeVar("A", Tensor, NDArray[Any])

# NumPy's stubs know of no Tensor: a ufunc on one is Any to them, and where() promises an ndarray.
where: Any = np.where


def kernel(function: Callable[..., Any], x: Any, *others: Any) -> Any:
    """function(x, *others), on a Tensor without NumPy's protocol in between, which would ask what is known here."""
    if type(x) is not Tensor:
        return function(x, *others)
    operation = operation_of(function)
    return apply(Tensor, operation, (x, *others), {}) if others else unary(Tensor, operation, x)


def relu(x: A) -> A:
    """max(x, 0) in x's dtype, with relu'(0) = 0; NaN stays NaN."""
    return kernel(fused.relu, array(x))


def sigmoid(x: A) -> A:
    """1 / (1 + e⁻ˣ), with the exponential of −|x| only: it never overflows, and small values stay exact."""
    x = floating(x)
    if has_kernel(x):
        return kernel(fused.sigmoid, x)
    positive = x >= 0
    e = np.exp(where(positive, -x, x))  # not −|x|: |x|'(0) = 0 would lose the slope 1/4
    return where(positive, 1.0, e) / (e + 1.0)


def silu(x: A) -> A:
    """x · sigmoid(x), also called swish."""
    x = floating(x)
    return kernel(fused.silu, x) if has_kernel(x) else x * sigmoid(x)


def gelu(x: A, approximate: Literal["none", "tanh"] = "none") -> A:
    """x · Φ(x), Φ the normal distribution function: by erf ("none": exact) or an older formula, "tanh"."""
    x = floating(x)
    if approximate == "none":
        return kernel(fused.gelu, x) if has_kernel(x) else x * (erf(x * math.sqrt(0.5)) * 0.5 + 0.5)
    if approximate == "tanh":
        if has_kernel(x):
            return kernel(fused.gelu_tanh, x)
        inner = (x * x * 0.044715 + 1.0) * x * math.sqrt(2 / math.pi)  # x*x*x: x**3 costs 28 times as much
        return x * (np.tanh(inner) * 0.5 + 0.5)
    reject(ArgumentError, f"gelu: approximate={approximate!r}; choose 'none' (erf) or 'tanh'")


def softmax(x: A, axis: int = -1) -> A:
    """eˣ / Σ eˣ along `axis`. A row of nothing but −inf (all masked) gives zeros, and zero gradients.

    Along an axis of size 0 it has nothing to say: the result is as empty as x. So is log_softmax's.
    """
    x = floating(x)
    if has_kernel(x) and is_last(axis, x):
        return kernel(fused_rows.softmax, x)
    e = np.exp(x - shift(x, axis))
    return e / total(e, axis)


def log_softmax(x: A, axis: int = -1) -> A:
    """log softmax(x); logits of ±1000 neither overflow nor lose the gradient."""
    x = floating(x)
    if has_kernel(x) and is_last(axis, x):
        return kernel(fused_rows.log_softmax, x)
    shifted = x - shift(x, axis)
    return shifted - np.log(total(np.exp(shifted), axis))


def logsumexp(x: A, axis: int = -1, keepdims: bool = False) -> A:
    """log Σ eˣ along `axis`; −inf for a row of nothing but −inf, and for a row of nothing."""
    x = floating(x)
    if has_kernel(x) and is_last(axis, x):
        result = kernel(fused_rows.logsumexp, x)
    else:
        top = highest(x, axis)
        result = np.log(total(np.exp(x - shift(x, axis)), axis)) + where(top == np.inf, 0.0, top)
    return result if keepdims else np.squeeze(result, axis=axis)


def is_last(axis: int, x: Any) -> bool:
    """Along the last axis, where rows lie in one piece, kernels run."""
    return isinstance(axis, int) and axis in (-1, x.ndim - 1) and x.ndim > 0


def shift(x: A, axis: int) -> A:
    """Each row's maximum, as a constant: subtracting it cancels, in the value and in every derivative.

    0 where it is infinite, for inf − inf is NaN.
    """
    top = highest(x, axis)
    return where(np.abs(top) == np.inf, 0.0, top)


def highest(x: A, axis: int) -> A:
    """Each row's maximum, as a constant; −inf for a row of nothing."""
    if not x.size:
        return np.sum(stop_gradient(x), axis=axis, keepdims=True) - np.inf
    return np.max(stop_gradient(x), axis=axis, keepdims=True)


def total(e: A, axis: int) -> A:
    """Σ e, or 1 where that is 0: every e is 0 then, and 0 / 1 and log 1 bring no NaN into the gradient."""
    sums = np.sum(e, axis=axis, keepdims=True)
    return sums + (sums == 0)  # not where(): behind it, the 0 · inf of a logit of +inf would pass for "not selected"


def linear(x: A, weight: A, bias: A | None = None) -> A:
    """x @ weight + bias. x (..., D), weight (D, E), bias (E,) or None; returns (..., E)."""
    x, weight, bias = floating(x), floating(weight), optional(bias)
    if weight.ndim != 2 or x.shape[-1:] != weight.shape[:1] or (bias is not None and bias.shape != weight.shape[1:]):
        reject(
            ShapeError,
            f"linear: x {x.shape} @ weight {weight.shape} + bias {None if bias is None else bias.shape}: "
            "they must be (..., D), (D, E) and (E,)",
        )
    if has_kernel(x, weight, bias):
        refuse_if_too_large("linear", (*x.shape[:-1], weight.shape[1]), x.dtype.itemsize, f"{x.shape} @ {weight.shape}")
        return kernel(fused.linear, x, weight, bias)
    y = x @ weight
    return y if bias is None else y + bias


def layer_norm(x: A, weight: A | None = None, bias: A | None = None, eps: float = 1e-5) -> A:
    """(x − mean) / √(var + eps) · weight + bias over the last axis; var is the biased variance.

    x (..., D), D > 0; weight, bias (D,) or None. With D = 1 every row is 0/√eps = 0.
    """
    x, weight, bias = floating(x), optional(weight), optional(bias)
    same_width("layer_norm", x, weight=weight, bias=bias)
    eps = nonnegative("layer_norm: eps", eps)
    if has_kernel(x, weight, bias):
        return kernel(fused_rows.layer_norm, x, weight, bias, eps)
    centred = x - np.mean(x, axis=-1, keepdims=True)
    y = centred / np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def rms_norm(x: A, weight: A | None = None, eps: float = 1e-5) -> A:
    """x / √(mean x² + eps) · weight over the last axis. x (..., D), D > 0; weight (D,) or None."""
    x, weight = floating(x), optional(weight)
    same_width("rms_norm", x, weight=weight)
    eps = nonnegative("rms_norm: eps", eps)
    if has_kernel(x, weight):
        return kernel(fused_rows.rms_norm, x, weight, eps)
    y = x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)
    return y if weight is None else y * weight


def dropout(x: A, p: float, rng: np.random.Generator | None = None, training: bool = True) -> A:
    """Zero each element with probability p, scale the rest by 1/(1−p) so that the mean stays."""
    p, x = share("dropout: p", p), array(x)
    if not training or p == 0:
        return x
    if rng is None or not callable(getattr(rng, "random", None)) or isinstance(rng, np.random.RandomState):
        reject(
            DtypeError,
            f"dropout: rng is a {type(rng).__name__}; pass rng=np.random.default_rng(seed), so that the run can be "
            "repeated",
        )
    x = floating(x)
    keep: Any = drawn(rng, x.shape) >= p
    return x * near(x, keep.astype(x.dtype) * (1 / (1 - p)))


def embedding(weight: A, ids: object) -> A:
    """The rows `ids` of `weight`. weight (V, D); ids (...) int in [0, V); returns (..., D).

    Raises IndexError naming the first id out of range: a negative one would count from the end.
    """
    weight = array(weight)
    if weight.ndim != 2:
        reject(ShapeError, f"embedding: weight has shape {weight.shape}; it is a table (V, D)")
    rows = integers("embedding", "ids", ids)
    check_range("embedding", "id", rows, weight.shape[0])
    return weight[rows]


def cross_entropy(logits: A, targets: object, ignore: int | None = None, label_smoothing: float = 0.0) -> A:
    """Mean of −log softmax(logits)[target] over the targets that are not `ignore`.

    logits (..., V) float; targets (...) int in [0, V); returns a scalar. With smoothing a, the wanted
    distribution is (1−a) onehot + a/V. Logits of ±1000 neither overflow nor lose the gradient.
    Raises IndexError naming the first target out of range, ValueError if no target is left.
    """
    logits, wanted = floating(logits), integers("cross_entropy", "targets", targets)
    if logits.ndim == 0 or wanted.shape != logits.shape[:-1]:
        reject(
            ShapeError,
            f"cross_entropy: logits {logits.shape} want targets of shape {logits.shape[:-1]}, one class id "
            f"for each row, not {wanted.shape}",
        )
    if not (ignore is None or isinstance(ignore, int | np.integer)):
        reject(DtypeError, f"cross_entropy: ignore = {ignore!r} is no class id; no target could be equal to it")
    if not 0 <= label_smoothing <= 1:
        reject(ArgumentError, f"cross_entropy: label_smoothing = {label_smoothing} is a share; it lies in [0, 1]")
    counted: Any = True if ignore is None else wanted != ignore
    check_range("cross_entropy", "target", wanted, logits.shape[-1], counted)
    if not wanted.size or not (counted is True or counted.any()):
        reason = "there are none" if not wanted.size else f"all {wanted.size} are ignore={ignore}"
        reject(ArgumentError, f"cross_entropy: no target to average over: {reason}")
    scores = logits if logits.ndim == 2 else logits.reshape(-1, logits.shape[-1])   # (N, V)
    wanted = wanted.reshape(-1)
    if counted is not True and not counted.all():
        rows = np.flatnonzero(counted)
        scores, wanted = scores[rows], wanted[rows]
    if has_kernel(scores):
        return kernel(fused_rows.cross_entropy, scores, wanted, label_smoothing)
    shifted = scores - shift(scores, axis=-1)
    picked = shifted[np.arange(wanted.size), wanted]                      # (N,)
    if label_smoothing:
        picked = picked * (1 - label_smoothing) + np.mean(shifted, axis=-1) * label_smoothing
    return np.mean(np.log(total(np.exp(shifted), axis=-1)).reshape(-1) - picked)


def mse(prediction: A, target: A) -> A:
    """Mean of (prediction − target)². Shapes must be equal: (n,) with (n, 1) would average n² differences."""
    prediction, target = floating(prediction), floating(target)
    if prediction.shape != target.shape:
        reject(ShapeError, f"mse: shapes {prediction.shape} and {target.shape} differ; it does not broadcast")
    if not prediction.size:
        reject(ShapeError, f"mse: shapes {prediction.shape} hold no element to average over")
    return np.mean(np.square(prediction - target))


@overload
def attention(
    q: A, k: A, v: A, mask: object = None, return_weights: Literal[False] = False, bias: Any = None
) -> A: ...
@overload
def attention(
    q: A, k: A, v: A, mask: object = None, *, return_weights: Literal[True], bias: Any = None
) -> tuple[A, A]: ...
def attention(
    q: A, k: A, v: A, mask: object = None, return_weights: bool = False, bias: Any = None
) -> A | tuple[A, A]:
    """softmax(q kᵀ / √d + bias) v, and the softmax's weights too if asked.

    q (..., T, d), k (..., S, d), v (..., S, e); mask boolean, True = may attend, and bias, added to the scores, both
    broadcast to (..., T, S). A query that may attend to nothing gets zeros; so it does where S = 0.
    """
    q, k, v = floating(q), floating(k), floating(v)
    refuse_misfits(q.shape, k.shape, v.shape)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.mT                  # (..., T, S)
    bias = optional(bias)
    if bias is not None:
        broadcasts_to("bias", bias.shape, scores.shape)
        scores = scores + bias
    allowed = None if mask is None else attention_mask(mask, scores.shape)
    if has_kernel(scores):
        weights = kernel(fused_rows.softmax, scores, allowed)
    else:
        weights = softmax(scores if allowed is None else where(near(scores, allowed), scores, -np.inf))   # (..., T, S)
    return (weights @ v, weights) if return_weights else weights @ v


def self_attention(qkv: A, heads: int, mask: object = None, bias: Any = None) -> tuple[A, A]:
    """attention() of a sequence to itself in several heads, joined: (..., T, D); and the weights, (..., heads, T, T).

    qkv (..., T, 3D) is [Q | K | V], each of `heads` slices of equal width; mask and bias as there.
    """
    qkv = floating(qkv)
    if qkv.ndim < 2 or not isinstance(heads, int) or heads < 1 or not qkv.shape[-1] or qkv.shape[-1] % (3 * heads):
        reject(ShapeError, f"self_attention: qkv {qkv.shape} is no (..., T, 3 · {heads} heads · width)")
    if bias is None and qkv.ndim == 3 and has_kernel(qkv):
        B, T, _ = qkv.shape
        refuse_if_too_large("self_attention", (B, heads, T, T), qkv.dtype.itemsize, f"{qkv.shape} in {heads} heads")
        allowed = None if mask is None else attention_mask(mask, (B, heads, T, T))
        if allowed is not None:
            allowed = allowed.reshape((1,) * (4 - allowed.ndim) + allowed.shape)
        return kernel(fused_attention.self_attention, qkv, heads, allowed)
    q, k, v = split_heads(qkv, heads)
    joined, weights = attention(q, k, v, mask, return_weights=True, bias=bias)
    return join_heads(joined), weights
