"""Sequences and samples: convolution, interpolation, differences on a grid, covariance. Forward code only."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_edu.primitive import composite
from tinygrad_edu.rules.reductions import axes_of, in_dtype, var
from tinygrad_edu.rules.shapes import astype

__all__: list[str] = []

Axis = int | tuple[int, ...] | None


@composite(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Every stretch of a, laid beside the reversed v: one product of a matrix and a vector."""
    if np.ndim(a) != 1 or np.ndim(v) != 1 or not a.shape[0] or not v.shape[0]:
        raise ValueError("convolve: both arguments are sequences with at least one element")
    a, v = (v, a) if v.shape[0] > a.shape[0] else (a, v)
    n, m = a.shape[0], v.shape[0]
    padded = np.pad(a, m - 1) if m > 1 else a
    full = padded[np.arange(n + m - 1)[:, None] + np.arange(m)] @ np.flip(v)
    start, stop = {"full": (0, n + m - 1), "same": ((m - 1) // 2, (m - 1) // 2 + n), "valid": (m - 1, n)}[mode]
    return full[start:stop]


@composite(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    if np.shape(v)[0] > np.shape(a)[0]:
        return np.flip(np.correlate(v, a, mode=mode))  # type: ignore[call-overload]
    return np.convolve(a, np.flip(v), mode=mode)  # type: ignore[call-overload]


def at_least_double(x: Any) -> Any:
    x = x if hasattr(x, "dtype") else np.asarray(x)
    return astype(x, np.result_type(x.dtype, np.float64))


@composite(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Straight lines between the points (xp, fp), flat beyond; at a point, the line to its right. At least float64."""
    x, xp, fp = at_least_double(x), at_least_double(xp), at_least_double(fp)
    if np.ndim(xp) != 1 or np.shape(xp) != np.shape(fp) or not np.shape(xp)[0]:
        raise ValueError(f"interp: points of shapes {np.shape(xp)} and {np.shape(fp)}; as many of both, in one axis")
    last = np.shape(xp)[0] - 1
    places = np.asarray(np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(last - 1, 0)))
    after = np.minimum(places + 1, last)
    width = xp[after] - xp[places]
    share = np.clip((x - xp[places]) / np.where(width == 0.0, 1.0, width), 0.0, 1.0)
    # At a point itself its neighbour does not count, be it infinite.
    low = np.where(share == 1.0, 0.0, fp[places]) * (1.0 - share)
    high = np.where(share == 0.0, 0.0, fp[after]) * share
    out = low + high
    out = out if left is None else np.where(x < xp[0], left, out)
    return out if right is None else np.where(x > xp[last], right, out)


@composite(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Axis = None, edge_order: int = 1) -> Any:
    """Central differences inside, one-sided at the ends, for even spacing."""
    axes = axes_of(axis, np.ndim(f))
    steps = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    if edge_order != 1 or len(steps) != len(axes) or any(np.ndim(h) for h in steps):
        raise ValueError("gradient: one number for each axis as its spacing, and edge_order=1, have a derivative here")
    if any(np.shape(f)[k] < 2 for k in axes):
        raise ValueError(f"gradient: shape {np.shape(f)} is too small; each axis needs two elements at least")
    slopes = []
    for k, h in zip(axes, steps, strict=True):
        f = np.moveaxis(f, k, 0)
        slope = np.concatenate([f[1:2] - f[:1], (f[2:] - f[:-2]) * 0.5, f[-1:] - f[-2:-1]]) / h
        slopes.append(np.moveaxis(slope, 0, k))
        f = np.moveaxis(f, 0, k)
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


@composite(np.cov)
def cov(m: Any, rowvar: bool = True, bias: bool = False, ddof: int | None = None) -> Any:
    """One variable a row, one observation a column. At least float64, as NumPy's."""
    x = at_least_double(np.atleast_2d(m))
    x = x if rowvar or np.ndim(m) == 1 else x.T
    centred = x - np.mean(x, axis=1, keepdims=True)
    fewer = ddof if ddof is not None else 0 if bias else 1
    out = centred @ centred.T / (x.shape[1] - fewer)
    return np.squeeze(out)


@composite(np.corrcoef)
def corrcoef(x: Any, rowvar: bool = True) -> Any:
    covariance = np.atleast_2d(cov(x, rowvar))
    deviation = np.sqrt(np.diag(covariance))
    return np.squeeze(covariance / deviation[:, None] / deviation)


@composite(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Horner's scheme, highest power first."""
    out = np.zeros_like(x)
    for k in range(np.shape(p)[0]):
        out = out * x + p[k]
    return out


@composite(np.ediff1d)
def ediff1d(ary: Any) -> Any:
    return np.diff(np.ravel(ary))


def nan_extreme(extreme: Any, a: Any, axis: Axis, keepdims: bool, worst: float) -> Any:
    """The extreme of what is a number; where nothing is, NaN with NumPy's warning."""
    missing = np.isnan(a)
    nothing = np.all(missing, axis=axis, keepdims=keepdims)
    if not np.size(a):
        return extreme(a, axis=axis, keepdims=keepdims)  # raises: nothing has no extreme
    out = extreme(a, axis=axis, keepdims=keepdims, where=~missing, initial=worst)
    if not np.any(nothing):
        return out
    warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=2)
    return np.where(nothing, np.nan, out)


@composite(np.nanmax)
def nanmax(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return nan_extreme(np.max, a, axis, keepdims, -np.inf)


@composite(np.nanmin)
def nanmin(a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    return nan_extreme(np.min, a, axis, keepdims, np.inf)


@composite(np.nanvar)
def nanvar(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    a = in_dtype(a, dtype)
    return var(np.where(np.isnan(a), 0.0, a), axis, ddof=ddof, keepdims=keepdims, where=~np.isnan(a))


@composite(np.nanstd)
def nanstd(a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    a = in_dtype(a, dtype)
    missing = np.isnan(a)
    return np.std(np.where(missing, 0.0, a), axis=axis, ddof=ddof, keepdims=keepdims, where=~missing)


@composite(np.nanprod)
def nanprod(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    return np.prod(np.where(np.isnan(a), 1.0, a), axis=axis, dtype=dtype, keepdims=keepdims)


@composite(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis, dtype=dtype)


def one_axis(x: Any, axis: int | None) -> tuple[Any, int]:
    if axis is None and np.ndim(x) > 1:
        raise ValueError(f"shape {np.shape(x)} has several axes: say along which, axis=")
    return (np.atleast_1d(x), 0) if axis is None else (x, axis)


def started(x: Any, axis: int, first: float) -> Any:
    """With the value of no elements in front."""
    lead = [1 if k == normalize_axis_index(axis, np.ndim(x)) else size for k, size in enumerate(np.shape(x))]
    return np.concatenate([np.full(lead, first, x.dtype), x], axis=axis)


@composite(np.cumulative_sum)
def cumulative_sum(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
    x, axis = one_axis(x, axis)
    sums = np.cumsum(x, axis=axis)
    return started(sums, axis, 0.0) if include_initial else sums


@composite(np.cumulative_prod)
def cumulative_prod(x: Any, axis: int | None = None, include_initial: bool = False) -> Any:
    x, axis = one_axis(x, axis)
    products = np.cumprod(x, axis=axis)
    return started(products, axis, 1.0) if include_initial else products
