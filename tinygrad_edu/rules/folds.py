"""The methods of a ufunc, in forward code: reduce, accumulate, reduceat fold a function of two over a row; outer.

np.sum and its like stand for the folds of add, multiply, maximum and minimum. Of others each step is an operation.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.rules.products import as_operand
from tinygrad_edu.rules.reductions import UNSET, Axis, axes_of, count, in_dtype
from tinygrad_edu.rules.shapes import astype

__all__ = ["METHODS"]

REDUCTIONS: dict[Any, Any] = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
ACCUMULATIONS: dict[Any, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}


def reduce(
    ufunc: np.ufunc, array: Any, axis: Axis = 0, dtype: Any = None, keepdims: bool = False, initial: Any = UNSET,
    where: Any = True,
) -> Any:  # fmt: skip
    stand_in = REDUCTIONS.get(ufunc)
    if stand_in is not None:
        options = {} if dtype is None else {"dtype": dtype}
        return stand_in(array, axis=axis, keepdims=keepdims, initial=initial, where=where, **options)
    array = in_dtype(as_operand(array), dtype)
    one = np.ones((1,) * array.ndim, array.dtype)
    ufunc.reduce(one, axis=axis)  # NumPy says which axes there are, and whether they may be several
    axes = axes_of(axis, array.ndim)
    if initial is UNSET and ufunc.identity is not None:
        initial = ufunc.identity
    if initial is not UNSET:
        initial = astype(as_operand(initial), ufunc(one, one).dtype)
    if initial is UNSET and (where is not True or not count(array.shape, axes)):
        raise ValueError(f"{ufunc.__name__} has no identity to begin with: pass initial=")
    rows = rows_of(array, axes)
    if where is not True:
        chosen = rows_of(np.broadcast_to(where, array.shape), axes)
        out = initial
        for wanted, row in zip(chosen, rows, strict=True):
            out = np.where(wanted, ufunc(out, row), out)
    else:
        out = functools.reduce(ufunc, rows if initial is UNSET else itertools.chain([initial], rows))
    out = np.broadcast_to(out, [size for k, size in enumerate(array.shape) if k not in axes])
    return np.expand_dims(out, axes) if keepdims else out


def rows_of(array: Any, axes: tuple[int, ...]) -> Iterator[Any]:
    """What stands at each place of the axes."""
    kept = [k for k in range(array.ndim) if k not in axes]
    shape = (count(array.shape, axes), *(array.shape[k] for k in kept))
    return iter(np.reshape(np.transpose(array, (*axes, *kept)), shape))


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    array = as_operand(array)
    if not array.ndim:
        raise TypeError("cannot accumulate on a scalar")
    stand_in = ACCUMULATIONS.get(ufunc)
    if stand_in is not None:
        return stand_in(array, axis=axis, dtype=dtype)
    array = in_dtype(array, dtype)
    rows = itertools.accumulate(rows_of(array, axes_of(axis, array.ndim)), ufunc)
    return np.stack(list(rows), axis=axis) if array.shape[axis] else np.copy(array)


def reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """For each index, what lies between it and the next; the element alone, where the next is no larger."""
    array, places = in_dtype(as_operand(array), dtype), np.asarray(indices).tolist()
    array = np.moveaxis(array, axis, 0)
    size = array.shape[0]
    for place in places:
        if not 0 <= place < size:
            raise IndexError(f"index {place} is outside [0, {size})")
    parts = [
        reduce(ufunc, array[place:after]) if place < after else array[place]
        for place, after in itertools.zip_longest(places, places[1:], fillvalue=size)
    ]
    return np.moveaxis(np.stack(parts) if parts else array[:0], 0, axis)


def outer(ufunc: np.ufunc, x: Any, y: Any, **options: Any) -> Any:
    x, y = as_operand(x), as_operand(y)  # NumPy's own takes no number for weak here
    return ufunc(np.reshape(x, x.shape + (1,) * y.ndim), y, **options)


METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce, "accumulate": accumulate, "reduceat": reduceat, "outer": outer,
}  # fmt: skip
