"""Sequences and samples: convolution, interpolation, differences on a grid, covariance. Forward code only."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_edu.primitive import composite
from tinygrad_edu.rules.products import as_operand
from tinygrad_edu.rules.reductions import axes_of
from tinygrad_edu.rules.shapes import astype

__all__: list[str] = []

Axis = int | tuple[int, ...] | None


def refuse_others(a: Any, v: Any) -> None:
    if a.ndim != 1 or v.ndim != 1 or not a.size or not v.size:
        raise ValueError(f"it takes two sequences with at least one element each, not shapes {a.shape} and {v.shape}")


def convolved(a: Any, v: Any, mode: Any = "full") -> Any:
    """NumPy's own, which takes no memory beside its result."""
    refuse_others(np.atleast_1d(a), np.atleast_1d(v))
    stretch(1, 1, mode)  # says which modes there are
    return np.convolve(a, v, mode)


def stretch(n: int, m: int, mode: Any) -> tuple[int, int]:
    """Where in the full convolution, n + m − 1 long, the result of a mode begins and ends."""
    mode = dict(enumerate(("valid", "same", "full"))).get(mode, mode)
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"mode={mode!r}; choose 'full', 'same' or 'valid'")
    n, m = max(n, m), min(n, m)
    return {"full": (0, n + m - 1), "same": ((m - 1) // 2, (m - 1) // 2 + n), "valid": (m - 1, n)}[mode]


def convolve_argument(g: Any, shape: tuple[int, ...], other: Any, mode: str) -> Any:
    """z_k = Σ aᵢ v_{k−i}, so daᵢ = Σ g_k v_{k−i}: the cotangent, laid out in full, slid along v reversed."""
    n, other = math.prod(shape), np.reshape(other, -1)
    whole = n + other.shape[0] - 1
    start, stop = stretch(n, other.shape[0], mode)
    g = np.pad(g, (start, whole - stop)) if stop - start < whole else g
    return np.reshape(np.convolve(g, np.flip(other), mode="valid"), shape)


@composite(
    np.convolve,
    rules=(
        lambda g, a_shape, v, mode="full": convolve_argument(g, a_shape, v, mode),
        lambda g, a, v_shape, mode="full": convolve_argument(g, v_shape, a, mode),
    ),
    fast=convolved,
)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """Every stretch of a, laid beside the reversed v: one product of a matrix and a vector."""
    a, v = np.atleast_1d(a), np.atleast_1d(v)
    refuse_others(a, v)
    a, v = (v, a) if v.shape[0] > a.shape[0] else (a, v)
    n, m = a.shape[0], v.shape[0]
    start, stop = stretch(n, m, mode)
    padded = np.pad(a, m - 1) if m > 1 else a
    full = padded[np.arange(n + m - 1)[:, None] + np.arange(m)] @ np.flip(v)
    return full[start:stop]


@composite(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = np.atleast_1d(a), np.atleast_1d(v)
    if v.size > a.size:
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
    places = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(last - 1, 0))
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
    """The slope at each element of the parabola through it and its neighbours; at the ends, of the line to the next.

    A spacing is a number, or the places along its axis. edge_order=2: parabolas at the ends too.
    """
    f = f if f.dtype.kind == "f" else astype(f, np.float64)
    axes, places = axes_of(axis, f.ndim), tuple(map(as_operand, varargs or (1.0,)))
    places = places * len(axes) if len(places) == 1 and not places[0].ndim else places
    if len(places) != len(axes):
        raise TypeError(f"{len(varargs)} spacings for {len(axes)} axes; give one number for all, or one for each")
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order={edge_order!r}; the ends follow a line, 1, or a parabola, 2")
    slopes = tuple(
        astype(np.moveaxis(slopes_along(np.moveaxis(f, k, 0), at, edge_order), 0, k), f.dtype)
        for k, at in zip(axes, places, strict=True)
    )
    return slopes[0] if len(slopes) == 1 else slopes


def slopes_along(f: Any, places: Any, edge_order: int) -> Any:
    """Along the first axis."""
    n = f.shape[0]
    if n <= edge_order:
        raise ValueError(f"shape {f.shape} is too small along an axis: it needs {edge_order + 1} elements at least")
    if places.ndim:
        if places.shape != (n,):
            raise ValueError(f"places of shape {places.shape} along an axis of {n} elements")
        widths: Any = np.reshape(np.diff(places), (n - 1,) + (1,) * (f.ndim - 1))
        before, after = widths[:-1], widths[1:]
        inside = ((f[2:] - f[1:-1]) * (before / after) + (f[1:-1] - f[:-2]) * (after / before)) / (before + after)
    else:
        widths = [places] * (n - 1)
        inside = (f[2:] - f[:-2]) * 0.5 / places
    first = at_end(f[:1], f[1:2], f[2:3], widths[0], widths[1:2], edge_order)
    last = at_end(f[-1:], f[-2:-1], f[-3:-2], -widths[-1], [-width for width in widths[-2:-1]], edge_order)
    return np.concatenate([first, inside, last])


def at_end(f: Any, near: Any, far: Any, to_near: Any, beyond: Any, edge_order: int) -> Any:
    """The slope at an end, from the next element or the next two."""
    line = (near - f) / to_near
    if edge_order == 1:
        return line
    next_line = (far - near) / beyond[0]
    return line + (line - next_line) * (to_near / (to_near + beyond[0]))


@composite(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    """One variable a row, one observation a column. At least float64, as NumPy's, unless a dtype is given.

    fweights: how often each observation counts; aweights: how much.
    """
    x = variables(m, rowvar, dtype)
    x = x if y is None else np.concatenate([x, variables(y, rowvar, dtype)])
    fewer = ddof if ddof is not None else 0 if bias else 1
    if fewer != int(fewer):
        raise ValueError(f"ddof={ddof!r} is no whole number")
    if fweights is None and aweights is None:
        centred = x - np.mean(x, axis=1, keepdims=True)
        return np.squeeze(centred @ centred.T / freedom(x.shape[1] - fewer, x))
    times = weights_of("fweights", fweights, x)
    weights = weights_of("aweights", aweights, x)
    each = times * weights
    total = np.sum(each)
    centred = x - (x @ each / total)[:, None]
    if fewer and aweights is not None:
        fewer = fewer * np.sum(each * weights) / total
    return np.squeeze((centred * each) @ centred.T / freedom(total - fewer, x))


def variables(m: Any, rowvar: bool, dtype: Any) -> Any:
    """The variables, one a row."""
    m = as_operand(m)
    if m.ndim > 2:
        raise ValueError(f"shape {m.shape} has more than two axes: variables and observations")
    x = np.atleast_2d(at_least_double(m) if dtype is None else astype(m, dtype))
    return x if rowvar or m.ndim < 2 else x.T


def weights_of(name: str, weights: Any, x: Any) -> Any:
    """One for each observation; 1 if none are given."""
    if weights is None:
        return np.ones(x.shape[1])
    weights = np.astype(at_least_double(weights), np.float64)  # as NumPy does, whatever they were
    if name == "fweights" and np.any(weights != np.round(weights)):
        raise TypeError("fweights count observations: whole numbers; aweights may be any")
    if weights.shape != (x.shape[1],):
        raise ValueError(f"{name} of shape {weights.shape} for {x.shape[1]} observations")
    if np.any(weights < 0.0):
        raise ValueError(f"{name} holds a negative number")
    return weights


def freedom(degrees: Any, x: Any) -> Any:
    """What the products are divided by: never below zero, where NumPy warns and goes on."""
    degrees = np.asarray(degrees, x.dtype)[()] if type(degrees) in (int, float) else degrees
    if degrees > 0:
        return degrees
    warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
    return np.zeros_like(degrees)


@composite(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    covariance = cov(x, y, rowvar, dtype=dtype)
    if not np.ndim(covariance):
        return covariance / covariance
    deviation = np.sqrt(np.diag(covariance))
    return np.clip(covariance / deviation[:, None] / deviation, -1.0, 1.0)


@composite(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Horner's scheme, highest power first."""
    p = as_operand(p)
    out = np.zeros_like(x)
    for k in range(p.shape[0]):
        out = out * x + p[k]
    return out


@composite(np.ediff1d)
def ediff1d(ary: Any) -> Any:
    return np.diff(np.ravel(ary))


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
