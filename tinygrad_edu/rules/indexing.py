"""Indexing: pick elements, and, on the way back, add them up where they came from.

x[index] and scatter(g, index, shape) are each other's pullbacks, for every kind of index, repeated ones included.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.primitive import composite, derivative, primitive

__all__ = ["getitem", "scatter"]

INTEGERS = (int, np.integer)
BASIC = frozenset((int, slice, type(None), type(Ellipsis)))


def is_basic(index: Any) -> bool:
    """Only integers, slices, None and Ellipsis: each element is picked at most once, by a view."""
    for part in index if isinstance(index, tuple) else (index,):
        if not (type(part) in BASIC or isinstance(part, INTEGERS)) or isinstance(part, bool | np.bool_):
            return False
    return True


def is_mask(index: Any) -> bool:
    return isinstance(index, np.ndarray) and index.dtype == bool


@primitive(lambda g, index: g[index], neutral="shape")
def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape`, with g added at [index]; an element named k times receives k shares.

    g has the shape of zeros(shape)[index]. Sums run in the order of g, so that the result is the same every time.
    """
    if type(g) not in PLAIN:  # zeros of g's own kind, and np.add.at: what another library has to know
        out = np.zeros_like(g, shape=shape)
        if is_basic(index) or is_mask(index):
            out[index] = g
        else:
            np.add.at(out, index, g)
        return out
    first = index[0] if type(index) is tuple and index else index
    if not is_places(first) and (is_basic(index) or is_mask(index)):
        out = np.zeros(shape, g.dtype)
        out[index] = g
        return out
    g = np.asarray(g)
    if first is index and is_short_table(index, shape, g.itemsize) and math.isfinite(np.vdot(g, g)):
        return add_rows(g, index, shape)
    if g.dtype.itemsize > 8 or g.size <= FEW:
        out = np.zeros(shape, g.dtype)
        np.add.at(out, index, g)
        return out
    size = math.prod(shape)
    where = numbered(index, shape)
    weights = np.broadcast_to(g, where.shape).ravel()
    added = np.bincount(where.ravel(), weights, minlength=size).astype(g.dtype, copy=False)
    added.resize(shape, refcheck=False)  # in place, where reshape gives a view, which a leaf's gradient may not be
    return added


scattered: Callable[..., Any] = scatter.__wrapped__  # type: ignore[attr-defined]  # the same, of plain arrays
PLAIN = frozenset((np.ndarray, np.float64, np.float32))
FEW = 1 << 8  # elements: one at a time, they take less than to number all of them does


def numbered(index: Any, shape: tuple[int, ...]) -> Any:
    """The places that an index picks, counted through the whole array."""
    if type(index) is tuple and len(index) == len(shape) and all(map(is_places, index)):
        where = 0
        for places, size in zip(index, shape, strict=True):
            where = where * size + (np.where(places < 0, places + size, places) if places.min() < 0 else places)
        return where
    return np.arange(math.prod(shape)).reshape(shape)[index]


def is_places(part: Any) -> bool:
    return type(part) is np.ndarray and part.dtype == np.intp and part.size > 0


def is_short_table(index: Any, shape: tuple[int, ...], itemsize: int) -> bool:
    """Are rows picked from so few that a product with a one-hot matrix is quicker than to add up each element?"""
    return (
        isinstance(index, np.ndarray) and len(shape) == 2 and shape[0] * itemsize <= 256
        and index.size * shape[0] <= 1 << 18
    )  # fmt: skip


def add_rows(g: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows added up by one product with a one-hot matrix: for a small table much faster than one at a time."""
    places = np.where(rows < 0, rows + shape[0], rows).reshape(-1, 1)
    one_hot = (places == np.arange(shape[0])).astype(g.dtype)
    out: np.ndarray = one_hot.T @ g.reshape(rows.size, shape[1])
    return out


@primitive(lambda g, a_shape, index: (scattered if type(g) in PLAIN else scatter)(g, index, a_shape))
def getitem(a: Any, index: Any) -> Any:
    """a[index]: basic, advanced or boolean."""
    return a[index]


# Picking by NumPy's own functions: asked to move the elements' numbers, they say where each one came from


def came_from(g: Any, shape: tuple[int, ...], move: Callable[[np.ndarray], np.ndarray]) -> Any:
    """g, added up in an array of `shape` where move() took its elements from."""
    size = math.prod(shape)
    places = move(np.arange(size).reshape(shape))
    return np.reshape(scatter(g, (places,), (size,)), shape)


def take_argument(g: Any, a_shape: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    if axis is None or mode != "raise" or not math.prod(a_shape) or not a_shape:
        return came_from(g, a_shape, lambda places: np.take(places, indices, axis, mode=mode))  # type: ignore[call-overload]
    index = (slice(None),) * range(len(a_shape))[axis] + (np.asarray(indices, np.intp),)
    return scatter(g, index, a_shape)


derivative(np.take, take_argument)
derivative(np.bincount, None, lambda g, x: g[x], parameters="x weights minlength", neutral="minlength")


def along_axis(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """The full index that take_along_axis means: its own places in every axis but one."""
    grid: list[Any] = [
        np.arange(n).reshape((1,) * k + (-1,) + (1,) * (len(shape) - k - 1)) for k, n in enumerate(shape)
    ]
    grid[axis] = indices
    return tuple(grid)


def take_along_axis_argument(g: Any, arr_shape: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return np.reshape(scatter(g, (indices,), (math.prod(arr_shape),)), arr_shape)
    return scatter(g, along_axis(arr_shape, indices, axis), arr_shape)


derivative(np.take_along_axis, take_along_axis_argument)
derivative(
    np.compress, None,
    lambda g, condition, a_shape, axis=None: came_from(g, a_shape, lambda places: np.compress(condition, places, axis)),
)  # fmt: skip
derivative(
    np.extract, None,
    lambda g, condition, arr_shape: came_from(g, arr_shape, lambda places: np.extract(condition, places)),
)  # fmt: skip
derivative(
    np.delete,
    lambda g, arr_shape, obj, axis=None: came_from(g, arr_shape, lambda places: np.delete(places, obj, axis)),
)


@composite(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(f"{len(condlist)} conditions for {len(choicelist)} choices; give one each, and at least one")
    out = default
    if type(default) in (int, float):  # of everything's dtype: alone with a narrow choice it would count as strong
        out = common_dtype((*choicelist, default)).type(default)
    for place, (condition, choice) in reversed(list(enumerate(zip(condlist, choicelist, strict=True)))):
        if getattr(condition, "dtype", None) != np.bool:
            raise TypeError(f"condition {place} must be a boolean array; write x > 0 or x.astype(bool)")
        out = np.where(condition, choice, out)
    return out


def common_dtype(choices: Any) -> Any:
    """What they promote to; plain numbers are weak."""
    kinds = (getattr(c, "dtype", c) for c in choices)
    return np.result_type(*[np.asarray(kind) if isinstance(kind, list | tuple) else kind for kind in kinds])


@composite(np.choose)
def choose(a: Any, choices: Any, mode: Any = "raise") -> Any:
    choices = list(choices)
    shape = np.broadcast_shapes(np.shape(a), *[np.shape(choice) for choice in choices])
    whole = np.broadcast_to(np.asarray(a), shape)
    picked = np.choose(whole, np.arange(len(choices)), mode=mode)  # NumPy says which is out of range
    rows = np.stack([np.broadcast_to(choice, shape) for choice in choices], dtype=common_dtype(choices))
    return rows[along_axis(rows.shape, picked[None], 0)][0]


def diagonal_argument(g: Any, a_shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return came_from(g, a_shape, lambda places: np.diagonal(places, offset, axis1, axis2))


def trace_argument(g: Any, a_shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    rows, columns = a_shape[axis1], a_shape[axis2]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    spread = np.broadcast_to(g[..., None], (*g.shape, length))
    return diagonal_argument(spread, a_shape, offset, axis1, axis2)


def diag_argument(g: Any, v_shape: Any, k: int = 0) -> Any:
    if len(v_shape) == 1 or (v_shape[0] == v_shape[1] and len(g)):
        return np.diag(g, k)
    return came_from(g, v_shape, lambda places: np.diag(places, k))


derivative(np.diagonal, diagonal_argument)
derivative(np.linalg.diagonal, lambda g, x_shape, offset=0: diagonal_argument(g, x_shape, offset, -2, -1))
derivative(np.trace, trace_argument, neutral="dtype")
derivative(np.linalg.trace, lambda g, x_shape, offset=0: trace_argument(g, x_shape, offset, -2, -1), neutral="dtype")
derivative(np.diag, diag_argument)
derivative(np.diagflat, lambda g, v_shape, k=0: np.reshape(np.diag(g, k), v_shape))

# Sorting: the elements move; equal ones share in equal parts, and so do infinities and NaNs


def sort_argument(g: Any, z: Any, a: Any, axis: int | None = -1) -> Any:
    """Back to where each element came from; the cotangents of equal elements, also of NaNs, are averaged first."""
    values = np.reshape(a, -1) if axis is None else a
    axis = 0 if axis is None else axis
    order = np.argsort(values, axis=axis)
    row = np.moveaxis(z, axis, -1)
    before = row[..., :-1]
    new = np.logical_and(row[..., 1:] != before, np.logical_not(np.isnan(before)))  # what follows a NaN is one too
    if g.size and not (type(new) is np.ndarray and np.all(new)):
        starts = np.concatenate([np.ones((*new.shape[:-1], 1), bool), new], axis=-1)
        group = np.cumsum(starts.reshape(-1)).reshape(starts.shape) - 1
        turned = np.moveaxis(g, axis, -1)
        sums, sizes = (scatter(each, group, (g.size,)) for each in (turned, np.ones_like(turned)))
        g = np.moveaxis((sums / np.maximum(sizes, 1.0))[group], -1, axis)
    back = scatter(g, along_axis(values.shape, order, axis), values.shape)
    return np.reshape(back, a.shape)


derivative(
    np.sort, sort_argument, neutral="kind stable", kinks=lambda a, axis=-1: np.argsort(a, axis=axis, kind="stable"),
)  # fmt: skip


@composite(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    """What a is sorted, in another order: so equal elements share as they do there."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    picked = np.take_along_axis(a, np.argpartition(a, kth, axis=axis), axis=axis)
    rank = np.argsort(np.argsort(picked, axis=axis), axis=axis)
    return np.take_along_axis(np.sort(a, axis=axis), rank, axis=axis)
