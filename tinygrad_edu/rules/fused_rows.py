"""Kernels along the last axis: softmax and its logarithm, the norms, the cross-entropy.

Each is held to its definition, the forward code in functional.py, by tests; `with definitions():` runs that instead.
What a rule could keep of the forward pass but need not (a mean, a softmax) it works out again: cheaper than memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.primitive import primitive
from tinygrad_edu.rules.loops import or_compiled
from tinygrad_edu.rules.pieces import by_pieces, exact_in_products, in_pieces, inner, over_rows, sums

__all__ = ["cross_entropy", "layer_norm", "log_softmax", "logsumexp", "rms_norm", "softmax"]

# Between −HARMLESS and HARMLESS no e^x, nor a sum of many, overflows or loses digits: such a row needs no shift.
# Asked of each row for itself: what stands in another row, or behind a mask, changes no bit. By itemsize.
HARMLESS = {4: 40.0, 8: 300.0}


def harmless(x: Any) -> bool:
    """Is every row? Then nobody has to look at them one by one."""
    if type(x) is not np.ndarray:
        return False  # that would ask for a value
    bound = HARMLESS.get(x.dtype.itemsize, 0.0) if x.size else 0.0
    if x.size * 4 <= bound * bound and np.vdot(x, x) <= bound * bound:
        return True  # none is larger than the length of all: asked first where that is likely to be enough
    low, high = np.minimum.reduce, np.maximum.reduce  # x.min() and x.max(), in two thirds of the time
    return bound > 0 and bool(low(x, axis=None) >= -bound and high(x, axis=None) <= bound)  # no NaN: it compares false


def shifted(x: Any) -> tuple[Any, Any]:
    """x less each row's maximum, and that, (..., 1); a row that is harmless, or has no finite maximum, is less 0."""
    if harmless(x):
        return x, 0.0
    top = np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    size = np.abs(top)
    bound = HARMLESS.get(x.dtype.itemsize, 0.0)
    shift = np.where((size <= bound) | (size == np.inf), 0.0, top).astype(x.dtype, copy=False)
    return x - shift, shift


def below_top(x: Any) -> Any:
    """x less each row's maximum, 0 where that is infinite: a logarithm near 0 keeps its digits only so.

    x − log Σ eˣ for x = (250, 0) is 250 − 250; after the shift it is −log(1 + e⁻²⁵⁰).
    """
    top = np.maximum.reduce(x, axis=-1, keepdims=True, initial=-np.inf)
    if type(x) is not np.ndarray or np.count_nonzero(np.isinf(top)):
        top = np.where(np.isinf(top), 0.0, top).astype(x.dtype, copy=False)
    return x - top


def total(e: Any) -> Any:
    """Σ e, or 1 where that is 0: then every e is 0, and 0 / 1 is 0."""
    s = sums(e)
    if type(s) is not np.ndarray or np.count_nonzero(s) != s.size:  # s.all() takes five times as long
        s += s == 0
    return s


@or_compiled
def weights_of(x: Any, allowed: Any, out: Any = None) -> Any:
    """The softmax of ndarrays, in a new array or in `out`; allowed in x's dtype, 0 or 1, with as many axes, or None."""
    if not harmless(x):
        x = shifted(x if allowed is None else np.where(allowed, x, -np.inf).astype(x.dtype, copy=False))[0]
        allowed = None
    e = np.exp(x, out=out)
    if allowed is not None:
        e *= allowed
    e /= total(e)
    return e


softmax_value = by_pieces(weights_of)


@by_pieces
def softmax_slope(g: Any, z: Any) -> Any:
    """dx = (g − Σ g ⊙ z) ⊙ z."""
    dx = g - inner(g, z)
    dx *= z
    return dx


@primitive(lambda g, z: softmax_slope(g, z), neutral="mask", rows={})
def softmax(x: Any, mask: Any = None) -> Any:
    """eˣ / Σ eˣ; 0 where mask, boolean, is False, and in a row of nothing but −inf. mask broadcasts to x (..., D)."""
    if mask is not None and type(x) is not np.ndarray:
        return softmax_value(x, mask)
    if mask is not None:
        mask = mask.reshape((1,) * (x.ndim - mask.ndim) + mask.shape).astype(x.dtype)
    return softmax_value(x, mask)


@by_pieces
def log_softmax_value(x: Any) -> Any:
    x = below_top(x)
    return x - np.log(total(np.exp(x)))


@by_pieces
def log_softmax_slope(g: Any, z: Any) -> Any:
    """dx = g − softmax(x) Σ g."""
    share = np.exp(z)
    share *= sums(g)
    return g - share


@primitive(lambda g, z: log_softmax_slope(g, z), rows={})
def log_softmax(x: Any) -> Any:
    """log (eˣ / Σ eˣ)."""
    return log_softmax_value(x)


@by_pieces
def logsumexp_value(x: Any) -> Any:
    x, shift = shifted(x)
    s = sums(np.exp(x))
    return np.log(s + (s == 0)) + np.where(s == 0, -np.inf, shift).astype(x.dtype, copy=False)


@primitive(lambda g, x: g * softmax(x), rows={})
def logsumexp(x: Any) -> Any:
    """log Σ eˣ, (..., 1)."""
    return logsumexp_value(x)


def deviations(x: Any) -> Any:
    """x − mean x."""
    return x - sums(x) / x.shape[-1]


def scale(c: Any, eps: float) -> Any:
    """1 / √(mean c² + eps)."""
    return 1.0 / np.sqrt(inner(c, c) / c.shape[-1] + eps)


def normal(x: Any, eps: float, centre: bool, found: Any) -> tuple[Any, Any]:
    """c = x − mean x, or x without centring, and r = 1/√(mean c² + eps); found (..., 2): each row's mean and r."""
    if found is None:
        c = deviations(x) if centre else x
        return c, scale(c, eps)
    return x - found[..., :1] if centre else x, found[..., 1:]


@or_compiled
@by_pieces
def norm_value(x: Any, weight: Any, bias: Any, eps: float, centre: bool, find: Any = None) -> Any:
    """find (..., 2): where each row's mean and r go."""
    mean = sums(x) / x.shape[-1] if centre else 0.0
    c = x - mean if centre else x
    r = scale(c, eps)
    if find is not None:
        find[..., :1], find[..., 1:] = mean, r
    y = c * r
    if weight is not None:
        y = y * weight
    if bias is None:
        return y
    if bias.dtype != y.dtype:
        return y + bias
    y += bias
    return y


def norm_and_found(x: Any, weight: Any, bias: Any, eps: float, centre: bool) -> tuple[Any, Any]:
    """The norm; and each row's mean and r, which its slopes need: two numbers of many."""
    plain = type(x) is np.ndarray and x.dtype.kind == "f"  # whole numbers would cut r off
    found = np.empty((*x.shape[:-1], 2), x.dtype) if plain else None
    return norm_value(x, weight, bias, eps, centre, found), found


@or_compiled
@by_pieces
def norm_slope(g: Any, x: Any, weight: Any, eps: float, centre: bool, found: Any = None) -> Any:
    """With c = x − mean x, r = 1/√(mean c² + eps), h = g ⊙ weight: dx = r (h − mean h − c r² mean(h ⊙ c)).

    Without centring c = x, and nothing but the term mean h falls away.
    """
    c, r = normal(x, eps, centre, found)
    h = g if weight is None else g * weight
    share = c * (r * r * inner(h, c) / c.shape[-1])
    if centre:
        dx = deviations(h)
        dx -= share
    else:
        dx = h - share
    dx *= r
    return dx


@or_compiled
def norm_weight(g: Any, x: Any, eps: float, centre: bool, found: Any = None) -> Any:
    """Σ over the rows of g ⊙ c r."""
    return over_rows(weighed(g, x, eps, centre, found))


@by_pieces
def weighed(g: Any, x: Any, eps: float, centre: bool, found: Any = None) -> Any:
    c, r = normal(x, eps, centre, found)
    out = g * c
    out *= r
    return out


@primitive(
    lambda g, x, weight=None, eps=1e-5, aside=None: norm_slope(g, x, weight, eps, True, aside),
    lambda g, x, eps=1e-5, aside=None: norm_weight(g, x, eps, True, aside),
    lambda g: over_rows(g),
    beside=lambda x, weight=None, bias=None, eps=1e-5: norm_and_found(x, weight, bias, eps, True),
    rows={"weight": 1, "bias": 1},
)
def layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """(x − mean) / √(var + eps) · weight + bias. weight, bias (D,) or None."""
    return norm_value(x, weight, bias, eps, True)


@primitive(
    lambda g, x, weight=None, eps=1e-5, aside=None: norm_slope(g, x, weight, eps, False, aside),
    lambda g, x, eps=1e-5, aside=None: norm_weight(g, x, eps, False, aside),
    beside=lambda x, weight=None, eps=1e-5: norm_and_found(x, weight, None, eps, False),
    rows={"weight": 1},
)
def rms_norm(x: Any, weight: Any = None, eps: float = 1e-5) -> Any:
    """x / √(mean x² + eps) · weight. weight (D,) or None."""
    return norm_value(x, weight, None, eps, False)


def losses(scores: Any, targets: Any, smoothing: float) -> tuple[Any, Any, Any]:
    """−log softmax(scores)[target] of each row, with smoothing a of (1−a) onehot + a/V; and eˣ, Σ eˣ below the top."""
    scores = below_top(scores)
    rows = np.arange(scores.size // scores.shape[-1]).reshape(targets.shape)
    picked = scores[rows, targets] if scores.ndim > 1 else scores[targets]
    if smoothing:
        picked = picked * (1 - smoothing) + sums(scores) * (smoothing / scores.shape[-1])
    e = np.exp(scores)
    s = total(e)
    return np.log(s) - picked, e, s


losses_alone = by_pieces(lambda scores, targets, smoothing: losses(scores, targets, smoothing)[0])


@by_pieces
def shares(scores: Any) -> Any:
    """The softmax, as `loss_and_shares` works it out, to the last bit: whether it was kept must change no gradient."""
    e = np.exp(below_top(scores))
    e /= total(e)
    return e


def mean_of(each: Any) -> Any:
    return np.sum(each) / each.size if exact_in_products(each) else np.mean(each)  # the first in half the time


def loss_and_shares(scores: Any, targets: Any, smoothing: float = 0.0) -> tuple[Any, Any]:
    """The cross-entropy; and the softmax, which its slope needs, where one piece holds it: larger ones take memory."""
    if in_pieces(scores):
        return cross_entropy(scores, targets, smoothing), None
    each, e, s = losses(scores, targets[:, None], smoothing)
    e /= s
    return mean_of(each), e


def cross_entropy_scores(
    g: Any, scores: Any, targets: Any, smoothing: float = 0.0, aside: Any = None
) -> Any:
    """(softmax − wanted) / N, where wanted = (1−a) onehot + a/V."""
    count, classes = scores.shape
    if type(scores) is np.ndarray:  # in place
        d = shares(scores) if aside is None else aside.copy()
        if smoothing:
            d -= smoothing / classes
        d[np.arange(count), targets] -= 1 - smoothing
    else:
        d = softmax(scores)
        wanted = np.full(scores.shape, smoothing / classes, scores.dtype)
        wanted[np.arange(count), targets] += 1 - smoothing
        d -= wanted
    d *= g / count
    return d


@primitive(cross_entropy_scores, beside=loss_and_shares)
def cross_entropy(scores: Any, targets: Any, smoothing: float = 0.0) -> Any:
    """Mean of −log softmax(scores)[target]. scores (N, V), targets (N,) int, N > 0."""
    return mean_of(losses_alone(scores, targets[:, None], smoothing))
