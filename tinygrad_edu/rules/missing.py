"""Reductions that leave NaN out: each is the plain one over what is a number. Forward code only."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_edu.primitive import composite
from tinygrad_edu.rules.elementwise import root_of_squares
from tinygrad_edu.rules.reductions import UNSET, Axis, in_dtype

__all__: list[str] = []


def present(a: Any, where: Any) -> Any:
    """What counts: the numbers, and of these the ones asked for."""
    numbers = ~np.isnan(a)
    return numbers if where is True else np.logical_and(numbers, np.broadcast_to(where, a.shape))


@composite(np.nansum)
def nansum(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 0, where: Any = True
) -> Any:
    a = in_dtype(a, dtype)
    return np.sum(np.where(np.isnan(a), 0.0, a), axis=axis, keepdims=keepdims, initial=initial, where=where)


@composite(np.nanprod)
def nanprod(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 1, where: Any = True
) -> Any:
    a = in_dtype(a, dtype)
    return np.prod(np.where(np.isnan(a), 1.0, a), axis=axis, keepdims=keepdims, initial=initial, where=where)


@composite(np.nanmean)
def nanmean(a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    a = in_dtype(a, dtype)
    numbers = np.sum(present(a, where), axis=axis, keepdims=keepdims, dtype=a.dtype)
    return nansum(a, axis, keepdims=keepdims, where=where) / numbers


@composite(np.nanvar)
def nanvar(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = UNSET, correction: Any = UNSET,
) -> Any:  # fmt: skip
    """Where ddof leaves nothing to divide by, NaN."""
    a = in_dtype(a, dtype)
    counts = present(a, where)
    least = ddof if correction is UNSET else correction
    enough = np.sum(counts, axis=axis, keepdims=keepdims) > least
    clean = np.where(np.isnan(a), 0.0, a)
    out = np.var(clean, axis=axis, ddof=ddof, keepdims=keepdims, where=counts, mean=mean, correction=correction)
    return out if np.all(enough) else np.where(enough, out, np.nan)


@composite(np.nanstd)
def nanstd(
    a: Any, axis: Axis = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True,
    mean: Any = UNSET, correction: Any = UNSET,
) -> Any:  # fmt: skip
    return root_of_squares(nanvar(a, axis, dtype, ddof, keepdims, where, mean, correction))


def extreme(function: Any, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any, worst: float) -> Any:
    """The extreme of what is a number; where nothing is, NaN with NumPy's warning."""
    if initial is not UNSET:
        return function(a, axis=axis, keepdims=keepdims, where=present(a, where), initial=initial)
    if where is not True:
        raise ValueError("where= may leave nothing over; pass the initial= that the extreme then is")
    if not a.size:
        return function(a, axis=axis, keepdims=keepdims)  # raises: nothing has no extreme
    counts = present(a, where)
    nothing = ~np.any(counts, axis=axis, keepdims=keepdims)
    out = function(a, axis=axis, keepdims=keepdims, where=counts, initial=worst)
    if not np.any(nothing):
        return out
    warnings.warn("All-NaN slice encountered", RuntimeWarning, stacklevel=2)
    return np.where(nothing, np.nan, out)


@composite(np.nanmax)
def nanmax(a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = UNSET, where: Any = True) -> Any:
    return extreme(np.max, a, axis, keepdims, initial, where, -np.inf)


@composite(np.nanmin)
def nanmin(a: Any, axis: Axis = None, keepdims: bool = False, initial: Any = UNSET, where: Any = True) -> Any:
    return extreme(np.min, a, axis, keepdims, initial, where, np.inf)


@composite(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumsum(np.where(np.isnan(a), 0.0, a), axis=axis, dtype=dtype)


@composite(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    return np.cumprod(np.where(np.isnan(a), 1.0, a), axis=axis, dtype=dtype)
