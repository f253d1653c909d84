"""Reductions: many values become one. Elements that tie for a maximum or minimum share the cotangent equally."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tinygrad_edu.primitive import composite, constant, derivative, refuse
from tinygrad_edu.rules.elementwise import chosen, root_of_squares, root_slope

__all__ = ["UNSET", "Axis", "along", "axes_of", "count", "in_dtype", "restore"]

Axis = int | tuple[int, ...] | None
UNSET: Any = np._NoValue  # NumPy's functions mean by it: not given


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """An axis argument as a tuple of non-negative axes; None means all. Raises AxisError as NumPy does."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int and -ndim <= axis < ndim:
        return (axis % ndim,)
    if not ndim and axis in (0, -1):
        return ()  # NumPy's reductions let a number pass for a row of one
    return normalize_axis_tuple(axis, ndim)


def restore(reduced: Any, axis: Axis, keepdims: bool, shape: tuple[int, ...]) -> Any:
    """Put the reduced axes back, with size 1, so that the result broadcasts against the argument of that shape."""
    whole = axis is None or keepdims or not shape  # a 0-d result broadcasts as it is
    return reduced if whole else reduced.reshape(with_ones(shape, axis))


@functools.lru_cache(maxsize=256)
def with_ones(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape of a reduction that keeps its axes."""
    axes = axes_of(axis, len(shape))
    return tuple([1 if k in axes else size for k, size in enumerate(shape)])


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements a reduction over `axis` folds into one."""
    return math.prod([shape[a] for a in axes_of(axis, len(shape))])


def spread(g: Any, shape: tuple[int, ...]) -> Any:
    """broadcast_to, but a small array is filled: that is quicker than making a view, and need not be copied later."""
    if isinstance(g, ARRAYS) and math.prod(shape) <= SMALL:
        out = np.empty(shape, g.dtype)
        out[...] = g
        return out
    return np.broadcast_to(g, shape)


ARRAYS = (np.ndarray, np.generic)
SMALL = 1 << 13


def sum_argument(g: Any, a_shape: Any, axis: Axis = None, keepdims: bool = False, where: Any = True) -> Any:
    each = spread(restore(g, axis, keepdims, a_shape), a_shape)
    return each if where is True else np.where(where, each, 0.0)


def mean_argument(g: Any, a_shape: Any, axis: Axis = None, keepdims: bool = False, where: Any = True) -> Any:
    if where is True:
        return sum_argument(g / count(a_shape, axis), a_shape, axis, keepdims)
    counted = np.sum(np.broadcast_to(where, a_shape), axis=axis, keepdims=keepdims, dtype=g.dtype)
    return sum_argument(g / counted, a_shape, axis, keepdims, where)


def extreme_argument(
    g: Any, z: Any, a: Any, axis: Axis = None, keepdims: bool = False, where: Any = True, initial: Any = UNSET
) -> Any:
    """The cotangent in equal parts to the elements that attain the extreme; to none where `initial` is better."""
    g, best = restore(g, axis, keepdims, a.shape), a == restore(z, axis, keepdims, a.shape)
    if where is True and initial is UNSET and none_ties(best, z):
        return chosen(g, best)
    best = best if where is True else np.logical_and(best, where)
    ties = np.add.reduce(best, axis=axes_of(axis, a.ndim), keepdims=True, dtype=g.dtype)  # np.sum adds 2 µs
    return chosen(g / ties, best)


def none_ties(best: Any, z: Any) -> bool:
    """Has every fold one best element? As many as folds, and none without: only a NaN equals nothing."""
    return type(best) is np.ndarray and np.count_nonzero(best) == z.size and not math.isnan(np.vdot(z, z))


def folding(function: Any, fold: Callable[..., Any]) -> Callable[..., Any]:
    """np.sum or its like; in most calls the fold alone, without the questions asked before it: 1.5 µs less."""

    def run(a: Any, axis: Axis = None, *others: Any, **options: Any) -> Any:
        plain = type(a) is np.ndarray and not (others or options)
        return fold(a, axis) if plain else function(a, axis, *others, **options)

    return run


derivative(np.sum, sum_argument, neutral="dtype initial", fast=folding(np.sum, np.add.reduce))
derivative(np.mean, mean_argument, neutral="dtype")
for extreme, fold in ((np.max, np.maximum.reduce), (np.min, np.minimum.reduce)):
    derivative(
        extreme,
        extreme_argument,
        kinks=lambda a, axis=None, keepdims=False, extreme=extreme, **chosen: (
            a == extreme(a, axis=axis, keepdims=True, **chosen)
        ),
        neutral="initial",
        fast=folding(extreme, fold),
    )


@composite(np.amax)
def amax(a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = UNSET, where: Any = True) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims, initial=initial, where=where)


@composite(np.amin)
def amin(a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = UNSET, where: Any = True) -> Any:
    return np.min(a, axis=axis, keepdims=keepdims, initial=initial, where=where)


def along(a: Any, axis: int, part: slice) -> Any:
    return a[(slice(None),) * normalize_axis_index(axis, a.ndim) + (part,)]


def in_dtype(a: Any, dtype: Any) -> Any:
    """What a reduction with a dtype= computes in."""
    return a if dtype is None else np.astype(a, dtype)


def mean_of(a: Any, axis: Axis) -> Any:
    """The mean, with its axes kept: np.mean in a third of its time. It knows better than to add up in float16."""
    if a.dtype.itemsize < 4:
        return np.mean(a, axis=axis, keepdims=True)
    return np.add.reduce(a, axis=axis, keepdims=True) / count(a.shape, axis)


def var_argument(g: Any, a: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Any:
    """2 (aₖ − mean) / (n − ddof): that the mean moves too cancels."""
    free = count(a.shape, axis) - ddof
    share = a - mean_of(a, axis)
    share *= restore(g * (2.0 / free if free > 0 else math.inf), axis, keepdims, a.shape)
    return share


@composite(np.var, rules=(var_argument,))
def var(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = UNSET, correction: Any = UNSET,
) -> Any:  # fmt: skip
    a = in_dtype(a, dtype)
    mean = np.mean(a, axis=axis, keepdims=True, where=where) if mean is UNSET else mean
    centred = a - mean
    if where is not True:
        centred = np.where(where, centred, 0.0)
    return np.sum(centred * centred, axis=axis, keepdims=keepdims) / freedom(a, axis, ddof, correction, keepdims, where)


def freedom(a: Any, axis: Axis, ddof: float, correction: Any, keepdims: bool, where: Any) -> Any:
    """How many values count, less ddof, also called correction; never below 0."""
    if correction is not UNSET:
        if ddof:
            raise ValueError("ddof= and correction= are the same: give one")
        ddof = correction
    if where is True:  # an array, and no number: too few give NaN with NumPy's warning, not a ZeroDivisionError
        return np.asarray(max(count(a.shape, axis) - ddof, 0), a.dtype)[()]
    counted = np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims, dtype=a.dtype)
    return np.maximum(counted - ddof, 0.0)


@composite(
    np.std,
    rules=(
        lambda g, z, a, axis=None, ddof=0, keepdims=False: var_argument(root_slope(g, z), a, axis, ddof, keepdims),
    ),
)
def std(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = UNSET, correction: Any = UNSET,
) -> Any:  # fmt: skip
    """The root of the variance; for a constant, slope 0."""
    return root_of_squares(var(a, axis, dtype, ddof, keepdims, where, mean, correction))


@composite(np.ptp)
def ptp(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@composite(np.average)
def average(a: Any, axis: Axis = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full_like(mean, count(a.shape, axis))) if returned else mean
    if np.shape(weights) != np.shape(a):
        axes = axes_of(axis, np.ndim(a))
        if axis is None:
            raise TypeError(f"say along which axis= the weights of shape {np.shape(weights)} belong to {np.shape(a)}")
        if np.shape(weights) != tuple(np.shape(a)[k] for k in axes):
            raise ValueError(
                f"average: weights of shape {np.shape(weights)} fit neither the shape {np.shape(a)} nor its axes {axis}"
            )
        weights = np.transpose(weights, np.argsort(axes).tolist())  # as the axes stand in a
        weights = np.reshape(weights, [size if k in axes else 1 for k, size in enumerate(np.shape(a))])
    a, weights = (each if hasattr(each, "dtype") else np.asarray(each) for each in (a, weights))
    # As NumPy has it: whole numbers are averaged in float64, and the weights summed in what they are multiplied in.
    dtype = np.result_type(a.dtype, weights.dtype, np.float64 if a.dtype.kind in "iub" else a.dtype)
    a, weights = (each if each.dtype == dtype else np.astype(each, dtype) for each in (a, weights))
    total = np.sum(np.broadcast_to(weights, np.shape(a)), axis=axis, keepdims=keepdims)
    if np.any(total == 0.0):
        raise ZeroDivisionError("average: the weights sum to zero")
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / total
    return (mean, np.broadcast_to(total, mean.shape)) if returned else mean


def sorted_last(a: Any, axis: Axis) -> tuple[Any, tuple[int, ...]]:
    """The reduced axes folded into one, the last, and sorted along it; and which they were."""
    axes = axes_of(axis, a.ndim)
    kept = [k for k in range(a.ndim) if k not in axes]
    folded = (*(a.shape[k] for k in kept), count(a.shape, axes))
    return np.sort(np.reshape(np.transpose(a, (*kept, *axes)), folded), axis=-1), axes


PICKING = ("lower", "higher", "nearest", "inverted_cdf", "closest_observation")  # methods that take one of the values


def quantiles(a: Any, q: Any, axis: Axis, keepdims: bool, method: str) -> Any:
    """A straight line between the two sorted values beside a position. A plain number q keeps a's dtype."""
    dtype = a.dtype if type(q) in (int, float) or method in PICKING else np.result_type(a.dtype, as_array(q).dtype)
    q = as_array(q)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError("quantiles lie in [0, 1], percentiles in [0, 100]")
    a, axes = sorted_last(a, axis)
    last = a.shape[-1] - 1
    if last < 0:
        raise IndexError("no quantile of nothing: the axis has size 0")
    if method == "linear":
        position = q * last
    else:  # among 0, 1, 2, ... every method picks its own position
        position = np.asarray(np.quantile(np.arange(last + 1.0), np.asarray(q), method=method))  # type: ignore[call-overload]
    low = np.asarray(np.floor(position)).astype(int)
    share = np.astype(position - low, dtype)
    below, above = a[..., low], a[..., np.minimum(low + 1, last)]
    out = np.where(share < 0.5, below + (above - below) * share, above - (above - below) * (1.0 - share))
    missing = np.isnan(a[..., -1])
    out = np.where(missing[(..., *[None] * q.ndim)], np.nan, out) if np.any(missing) else out
    out = np.moveaxis(out, tuple(range(-q.ndim, 0)), tuple(range(q.ndim))) if q.ndim else out
    return np.expand_dims(out, tuple(q.ndim + k for k in axes)) if keepdims else out


def as_array(x: Any) -> Any:
    return x if hasattr(x, "dtype") else np.asarray(x)


@composite(np.quantile)
def quantile(a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    return quantiles(a, q, axis, keepdims, method)


@composite(np.percentile)
def percentile(a: Any, q: Any, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> Any:
    return quantiles(a, q / 100.0 if type(q) in (int, float) else as_array(q) / 100.0, axis, keepdims, method)


@composite(np.median)
def median(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """The value in the middle, or the mean of the two; of nothing, NaN."""
    a, axes = sorted_last(a, axis)
    size = a.shape[-1]
    if not size:
        out = np.mean(a, axis=-1)
    else:
        out = np.mean(a[..., (size - 1) // 2 : size // 2 + 1], axis=-1)
        missing = np.isnan(a[..., -1])  # sorting puts NaN last; one of them makes a NaN of the whole
        out = np.where(missing, np.nan, out) if np.any(missing) else out
    return np.expand_dims(out, axes) if keepdims else out


@composite(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if n < 0:
        raise ValueError(f"diff: n={n}, but a difference is taken 0 times or more")
    axis = normalize_axis_index(axis, np.ndim(a))
    joined = [x for x in (prepend, a, append) if x is not None]
    if n and len(joined) > 1:
        line = tuple(1 if k == axis else size for k, size in enumerate(np.shape(a)))
        a = np.concatenate([x if np.ndim(x) else np.broadcast_to(x, line) for x in joined], axis=axis)
    for _ in range(n):
        a = along(a, axis, slice(1, None)) - along(a, axis, slice(None, -1))
    return a


@composite(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = as_array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        behind = np.ndim(y) - axis - 1
        dx = np.diff(x, axis=axis) if np.ndim(x) > 1 else np.reshape(np.diff(x), (-1,) + (1,) * behind)
    return np.sum((along(y, axis, slice(1, None)) + along(y, axis, slice(None, -1))) * dx, axis=axis) * 0.5


constant(
    np.argmax, np.argmin, np.argsort, np.argpartition, np.nanargmax, np.nanargmin, np.lexsort, np.nonzero,
    np.flatnonzero, np.argwhere, np.count_nonzero, np.searchsorted, np.digitize, np.unravel_index,
    reason="an index or a count",
)  # fmt: skip
constant(np.all, np.any, reason="a truth value")
refuse(np.histogram, reason="counts jump; smooth them with a kernel of your own")
refuse(np.unique, reason="the number of results depends on the data; take np.unique(x.numpy(), return_index=True)")
