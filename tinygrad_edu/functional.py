"""Composites: forward code over NumPy functions, and no derivative rule anywhere.

Each function takes Tensors or plain ndarrays and returns the same kind; a list is read as an ndarray. Integers are
taken as float64, but for relu and embedding, which keep the dtype. What a softmax, a norm or an attention needs for
its gradient, the engine derives from the few lines that say what it is.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.convolution import avg_pool1d, avg_pool2d, conv1d, conv2d, max_pool1d, max_pool2d
from tinygrad_edu.errors import DtypeError, ShapeError
from tinygrad_edu.rules import fused
from tinygrad_edu.rules.elementwise import erf
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
    "layer_norm",
    "log_softmax",
    "logsumexp",
    "max_pool1d",
    "max_pool2d",
    "mse",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
]

A = TypeVar("A", Tensor, NDArray[Any])

# NumPy's stubs know of no Tensor: a ufunc on one is Any to them, and where() promises an ndarray.
where: Any = np.where


def relu(x: A) -> A:
    """max(x, 0) in x's dtype, with relu'(0) = 0; NaN stays NaN."""
    return fused.relu(array(x))


def sigmoid(x: A) -> A:
    """1 / (1 + e⁻ˣ), with the exponential of −|x| only: it never overflows, and small values stay exact."""
    x = floating(x)
    positive = x >= 0
    e = np.exp(where(positive, -x, x))  # not −|x|: |x|'(0) = 0 would lose the slope 1/4
    return where(positive, 1.0, e) / (e + 1.0)


def silu(x: A) -> A:
    """x · sigmoid(x), also called swish."""
    x = floating(x)
    return x * sigmoid(x)


def gelu(x: A, approximate: Literal["none", "tanh"] = "none") -> A:
    """x · Φ(x), Φ the normal distribution function: by erf ("none": exact) or an older formula, "tanh"."""
    x = floating(x)
    if approximate == "none":
        return x * (erf(x * math.sqrt(0.5)) * 0.5 + 0.5)
    if approximate == "tanh":
        inner = (x * x * 0.044715 + 1.0) * x * math.sqrt(2 / math.pi)  # x*x*x: x**3 costs 28 times as much
        return x * (np.tanh(inner) * 0.5 + 0.5)
    raise ValueError(f"gelu: approximate={approximate!r}; choose 'none' (erf) or 'tanh'")


def softmax(x: A, axis: int = -1) -> A:
    """eˣ / Σ eˣ along `axis`. A row of nothing but −inf (all masked) gives zeros, and zero gradients.

    Along an axis of size 0 it has nothing to say: the result is as empty as x. So is log_softmax's.
    """
    x = floating(x)
    e = np.exp(x - shift(x, axis))
    return e / total(e, axis)


def log_softmax(x: A, axis: int = -1) -> A:
    """log softmax(x); logits of ±1000 neither overflow nor lose the gradient."""
    x = floating(x)
    shifted = x - shift(x, axis)
    return shifted - np.log(total(np.exp(shifted), axis))


def logsumexp(x: A, axis: int = -1, keepdims: bool = False) -> A:
    """log Σ eˣ along `axis`; −inf for a row of nothing but −inf, and for a row of nothing."""
    x = floating(x)
    top = highest(x, axis)
    result = np.log(total(np.exp(x - shift(x, axis)), axis)) + where(top == np.inf, 0.0, top)
    return result if keepdims else np.squeeze(result, axis=axis)


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


def layer_norm(x: A, weight: A | None = None, bias: A | None = None, eps: float = 1e-5) -> A:
    """(x − mean) / √(var + eps) · weight + bias over the last axis; var is the biased variance.

    x (..., D), D > 0; weight, bias (D,) or None. With D = 1 every row is 0/√eps = 0.
    """
    x, weight, bias = floating(x), array(weight), array(bias)
    same_width("layer_norm", x, weight=weight, bias=bias)
    eps = nonnegative("layer_norm: eps", eps)
    centred = x - np.mean(x, axis=-1, keepdims=True)
    y = centred / np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + eps)
    if weight is not None:
        y = y * weight
    return y if bias is None else y + bias


def rms_norm(x: A, weight: A | None = None, eps: float = 1e-5) -> A:
    """x / √(mean x² + eps) · weight over the last axis. x (..., D), D > 0; weight (D,) or None."""
    x, weight = floating(x), array(weight)
    same_width("rms_norm", x, weight=weight)
    eps = nonnegative("rms_norm: eps", eps)
    y = x / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)
    return y if weight is None else y * weight


def dropout(x: A, p: float, rng: np.random.Generator | None = None, training: bool = True) -> A:
    """Zero each element with probability p, scale the rest by 1/(1−p) so that the mean stays."""
    p, x = share("dropout: p", p), array(x)
    if not training or p == 0:
        return x
    if rng is None or not callable(getattr(rng, "random", None)) or isinstance(rng, np.random.RandomState):
        raise TypeError(
            f"dropout: rng is a {type(rng).__name__}; pass rng=np.random.default_rng(seed), so that the run can be "
            "repeated"
        )
    x = floating(x)
    keep = rng.random(x.shape, dtype=np.float32) >= p
    return x * np.multiply(keep, 1 / (1 - p), dtype=x.dtype)


def embedding(weight: A, ids: object) -> A:
    """The rows `ids` of `weight`. weight (V, D); ids (...) int in [0, V); returns (..., D).

    Raises IndexError naming the first id out of range: a negative one would count from the end.
    """
    weight = array(weight)
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight has shape {weight.shape}; it is a table (V, D)")
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
        raise ShapeError(
            f"cross_entropy: logits {logits.shape} want targets of shape {logits.shape[:-1]}, one class id "
            f"for each row, not {wanted.shape}"
        )
    if not (ignore is None or isinstance(ignore, int | np.integer)):
        raise TypeError(f"cross_entropy: ignore = {ignore!r} is no class id; no target could be equal to it")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing = {label_smoothing} is a share; it lies in [0, 1]")
    counted = np.ones(wanted.shape, bool) if ignore is None else wanted != ignore
    check_range("cross_entropy", "target", wanted, logits.shape[-1], counted)
    rows = np.flatnonzero(counted)
    if not rows.size:
        reason = "there are none" if not wanted.size else f"all {wanted.size} are ignore={ignore}"
        raise ValueError(f"cross_entropy: no target to average over: {reason}")
    scores = logits.reshape(-1, logits.shape[-1])                       # (N, V)
    if rows.size < wanted.size:
        scores = scores[rows]
    shifted = scores - shift(scores, axis=-1)
    picked = shifted[np.arange(rows.size), wanted.reshape(-1)[rows]]    # (N,)
    if label_smoothing:
        picked = picked * (1 - label_smoothing) + np.mean(shifted, axis=-1) * label_smoothing
    return np.mean(np.log(total(np.exp(shifted), axis=-1)).reshape(-1) - picked)


def mse(prediction: A, target: A) -> A:
    """Mean of (prediction − target)². Shapes must be equal: (n,) with (n, 1) would average n² differences."""
    prediction, target = floating(prediction), floating(target)
    if prediction.shape != target.shape:
        raise ShapeError(f"mse: shapes {prediction.shape} and {target.shape} differ; it does not broadcast")
    if not prediction.size:
        raise ShapeError(f"mse: shapes {prediction.shape} hold no element to average over")
    return np.mean(np.square(prediction - target))


@overload
def attention(q: A, k: A, v: A, mask: object = None, return_weights: Literal[False] = False) -> A: ...
@overload
def attention(q: A, k: A, v: A, mask: object = None, *, return_weights: Literal[True]) -> tuple[A, A]: ...
def attention(q: A, k: A, v: A, mask: object = None, return_weights: bool = False) -> A | tuple[A, A]:
    """softmax(q kᵀ / √d) v, and the softmax's weights too if asked.

    q (..., T, d), k (..., S, d), v (..., S, e); mask boolean, True = may attend, broadcasts to (..., T, S).
    A query that may attend to nothing gets zeros; so it does where S = 0.
    """
    q, k, v = floating(q), floating(k), floating(v)
    refuse_misfits(q.shape, k.shape, v.shape)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.mT                  # (..., T, S)
    if mask is not None:
        scores = where(attention_mask(mask, scores.shape), scores, -np.inf)
    weights = softmax(scores)                                           # (..., T, S)
    return (weights @ v, weights) if return_weights else weights @ v


def refuse_misfits(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> None:
    wrong = ""
    if not q or len(k) < 2 or len(v) < 2:
        wrong = "k and v need two axes, (..., S, d) and (..., S, e)"
    elif q[-1] != k[-1] or not q[-1]:
        wrong = "the last axes of q and k must be equal, and not 0: they are multiplied"
    elif k[-2] != v[-2]:
        wrong = f"{k[-2]} keys cannot weigh {v[-2]} values; the last axes but one must be equal"
    elif not q[:-2] == k[:-2] == v[:-2]:
        try:
            np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
        except ValueError:
            wrong = "the leading axes do not broadcast; make them equal or 1"
    if wrong:
        raise ShapeError(f"attention: q {q}, k {k}, v {v}: {wrong}")


def attention_mask(mask: object, shape: tuple[int, ...]) -> NDArray[np.bool]:
    allowed = plain(mask)
    if allowed.dtype != bool:
        raise DtypeError(f"attention: the mask is {allowed.dtype}; it must be boolean, True = may attend")
    fits = [m in (1, n) for m, n in zip(allowed.shape[::-1], shape[::-1], strict=False)]
    if allowed.ndim > len(shape) or not all(fits):
        raise ShapeError(f"attention: a mask {allowed.shape} does not broadcast to the scores {shape}")
    return allowed


LISTS = (list, tuple, int, float)


def array(x: Any) -> Any:
    """A list or a number as an ndarray, everything else as it is: it may be a Tensor, or None."""
    return np.asarray(x) if isinstance(x, LISTS) else x


def floating(x: Any) -> Any:
    """x in floating point: unsigned integers would wrap around in −x and in x − max(x)."""
    x = array(x)
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    if kind in ("b", "i", "u"):
        return x.astype(np.float64)
    if kind not in ("f", "O"):
        raise DtypeError(f"functional takes real numbers: a Tensor, an ndarray or a list, not {x!r:.40}")
    return x


def plain(x: object) -> NDArray[Any]:
    return x._value if isinstance(x, Tensor) else np.asarray(x)


def integers(function: str, what: str, ids: object) -> NDArray[np.integer]:
    found = plain(ids)
    if not found.size:
        return found.astype(np.intp)  # an empty list has no dtype of its own
    if found.dtype.kind not in "iu":
        raise DtypeError(f"{function}: {what} are {found.dtype}; they must be integers")
    return found


def check_range(function: str, what: str, ids: NDArray[Any], size: int, counted: Any = True) -> None:
    wrong = counted & ((ids < 0) | (ids >= size))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at position {place[0] if len(place) == 1 else place}" if place else ""
        raise IndexError(f"{function}: {what} {ids[place]}{at} is outside [0, {size})")


def same_width(function: str, x: Any, **tables: Any) -> None:
    if not x.ndim or not x.shape[-1]:
        raise ShapeError(f"{function}: x has shape {x.shape}; there is no last axis to take a mean over")
    for name, table in tables.items():
        if table is not None and table.shape != x.shape[-1:]:
            raise ShapeError(f"{function}: {name} has shape {table.shape}, x {x.shape} wants {x.shape[-1:]}")
