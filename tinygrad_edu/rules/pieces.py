"""Large arrays, piece by piece: a chain of operations costs one trip to memory, not one for each of its steps.

Every step of x * (erf(x) + 1) reads an array and writes one; where they do not fit into the cache, that is what takes
the time. A formula that works row by row may as well be worked out for a few rows at a time.

Sums along short rows, and over many rows, are products with ones: NumPy's own begin anew with every row.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["by_pieces", "exact_in_products", "in_pieces", "inner", "over_rows", "row_of", "rows_of", "sums"]

PIECE = 1 << 17  # bytes of one array: four of them fit into a core's cache
LARGE = 2 * PIECE
SHORT = 64  # numbers: for shorter rows vecdot takes up to three times as long as a product and its sums


def by_pieces(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The same formula, on pieces of its arrays where these are large ndarrays.

    formula takes x (..., D), then anything else; of that, arrays with as many axes as x are cut where x is, unless
    they are repeated there (size 1). It works along the last axis, if along any, and returns an array of x's shape or,
    where each row becomes one number, (..., 1). What is not an ndarray, such as a Tensor, is given to it whole; arrays
    of another library may make one step of it.
    """

    @functools.wraps(formula)
    def run(x: Any, *others: Any) -> Any:
        if type(x) is not np.ndarray and hasattr(x, "run_whole"):
            return x.run_whole(formula, *others)
        if type(x) is not np.ndarray or x.nbytes <= LARGE or x.ndim < 2:  # not in_pieces(x), without a call
            return formula(x, *others)
        rows = PIECE // (x.nbytes // len(x))  # 0: not one along the first axis is small enough
        out = None
        for start in range(0, len(x), rows or 1):
            part = slice(start, start + rows) if rows else start
            made = run(x[part], *[cut(each, x, part) for each in others])
            out = np.empty((*x.shape[:-1], made.shape[-1]), made.dtype) if out is None else out
            out[part] = made
        return out

    return run


def in_pieces(x: Any) -> bool:
    """Is it an array too large to be worked on as a whole?"""
    return type(x) is np.ndarray and x.nbytes > LARGE and x.ndim > 1


def cut(array: Any, x: np.ndarray, part: slice | int) -> Any:
    """The part of an argument that belongs to a part of x."""
    if type(array) is not np.ndarray or array.ndim != x.ndim:
        return array
    if len(array) == len(x):
        return array[part]
    return array if isinstance(part, slice) else array[0]


def exact_in_products(x: Any) -> bool:
    """Do products of matrices add up as precisely as np.sum? Not in float16, which has no wider sums there."""
    return bool(x.dtype.itemsize >= 4)


def sums(x: Any) -> Any:
    """Σ along the last axis, kept with size 1: of an array as a product, in a third of the time."""
    if type(x) is not np.ndarray or not exact_in_products(x):
        return np.sum(x, axis=-1, keepdims=True)
    if x.ndim > 2 and x.flags.c_contiguous:  # as one matrix: a stack of small ones takes twice as long
        return (x.reshape(rows_of(x.shape), x.shape[-1]) @ ones(x.shape[-1], x.dtype)).reshape(*x.shape[:-1], 1)
    return (x @ ones(x.shape[-1], x.dtype))[..., None]


def inner(x: Any, y: Any) -> Any:
    """Σ x ⊙ y along the last axis, kept with size 1."""
    if x.shape[-1] < SHORT or not exact_in_products(x):
        return sums(x * y)
    return np.vecdot(x, y)[..., None]


def rows_of(shape: tuple[int, ...]) -> int:
    """How many rows a stack of matrices has, laid flat; reshape's -1 cannot tell where there are no columns."""
    return math.prod(shape[:-1])


def over_rows(x: Any) -> Any:
    """Σ over all axes but the last."""
    if not exact_in_products(x) or hasattr(x, "run_whole"):
        return np.sum(x, axis=tuple(range(x.ndim - 1)))
    rows = rows_of(x.shape)
    return ones(rows, x.dtype) @ x.reshape(rows, x.shape[-1])


@functools.lru_cache(maxsize=64)
def row_of(number: float, count: int, dtype: Any) -> np.ndarray:
    """The number, so many times: asked for in every other kernel, and made once."""
    made = np.full(count, number, dtype)
    made.flags.writeable = False
    return made


def ones(count: int, dtype: Any) -> np.ndarray:
    return row_of(1.0, count, dtype)
