"""Indexing: pick elements, and, on the way back, add them up where they came from.

x[index] and scatter(g, index, shape) are each other's pullbacks, for every kind of index, repeated ones included.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.primitive import composite, derivative, primitive, refuse

__all__ = ["getitem", "scatter"]

INTEGERS = (int, np.integer)


def is_basic(index: Any) -> bool:
    """Only integers, slices, None and Ellipsis: each element is picked at most once, by a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, slice)
        or (isinstance(part, INTEGERS) and not isinstance(part, bool | np.bool_))
        for part in parts
    )  # fmt: skip


def is_mask(index: Any) -> bool:
    return isinstance(index, np.ndarray) and index.dtype == bool


@primitive(lambda g, index: g[index], neutral="shape")
def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape`, with g added at [index]; an element named k times receives k shares.

    g has the shape of zeros(shape)[index]. Sums run in the order of g, so that the result is the same every time.
    """
    if is_basic(index) or is_mask(index):
        out = np.zeros(shape, g.dtype)
        out[index] = g
        return out
    g = np.asarray(g)
    if isinstance(index, np.ndarray) and len(shape) == 2 and index.size * shape[0] <= 1 << 18 and np.isfinite(g).all():
        return add_rows(g, index, shape)
    if g.dtype.itemsize > 8:
        out = np.zeros(shape, g.dtype)
        np.add.at(out, index, g)
        return out
    size = int(np.prod(shape))
    where = np.arange(size).reshape(shape)[index]
    weights = np.broadcast_to(g, where.shape).ravel()
    return np.bincount(where.ravel(), weights, minlength=size).reshape(shape).astype(g.dtype)


def add_rows(g: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rows added up by one product with a one-hot matrix: for a small table much faster than one at a time."""
    places = np.where(rows < 0, rows + shape[0], rows).reshape(-1, 1)
    one_hot = (places == np.arange(shape[0])).astype(g.dtype)
    out: np.ndarray = one_hot.T @ g.reshape(-1, shape[1])
    return out


@primitive(lambda g, a_shape, index: scatter(g, index, a_shape))
def getitem(a: Any, index: Any) -> Any:
    """a[index]: basic, advanced or boolean."""
    return a[index]


@composite(np.take)
def take(a: Any, indices: Any, axis: int | None = None) -> Any:
    indices = np.asarray(indices)
    if indices.size == 0:
        indices = indices.astype(int)
    if axis is None:
        return np.ravel(a)[indices]
    return a[(slice(None),) * (axis % a.ndim) + (indices,)]


def along_axis(shape: tuple[int, ...], indices: Any, axis: int) -> tuple[Any, ...]:
    """The full index that take_along_axis means: its own places in every axis but one."""
    grid: list[Any] = [
        np.arange(n).reshape((1,) * k + (-1,) + (1,) * (len(shape) - k - 1)) for k, n in enumerate(shape)
    ]
    grid[axis % len(shape)] = indices
    return tuple(grid)


@composite(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return np.ravel(arr)[np.asarray(indices)]
    return arr[along_axis(arr.shape, np.asarray(indices), axis)]


@composite(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    return np.take(a, np.flatnonzero(np.asarray(condition)), axis=axis)


@composite(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return np.ravel(arr)[np.flatnonzero(np.asarray(condition))]


@composite(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    length = arr.size if axis is None else arr.shape[axis]
    return np.take(arr, np.delete(np.arange(length), obj), axis=axis)


@composite(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0.0) -> Any:
    out = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        out = np.where(condition, choice, out)
    return out


@composite(np.choose)
def choose(a: Any, choices: Any) -> Any:
    return np.select([np.asarray(a) == k for k in range(len(choices))], list(choices))


@composite(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    a = np.moveaxis(a, (axis1, axis2), (-2, -1))
    rows, columns = a.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    k = np.arange(length)
    return a[..., k + max(-offset, 0), k + max(offset, 0)]


composite(np.linalg.diagonal)(lambda x, *, offset=0: diagonal(x, offset, -2, -1))


@composite(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    if v.ndim == 2:
        return diagonal(v, k)
    n = v.shape[0] + abs(k)
    places = np.arange(v.shape[0])
    return scatter(v, (places + max(-k, 0), places + max(k, 0)), (n, n))


composite(np.diagflat)(lambda v, k=0: diag(np.ravel(v), k))


@composite(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1)


composite(np.linalg.trace)(lambda x, *, offset=0: trace(x, offset, -2, -1))

# Sorting: the elements move; equal ones share


def sort_argument(g: Any, z: Any, a: Any, axis: int | None = -1) -> Any:
    """Back to where each element came from; the cotangents of equal elements are averaged first."""
    values = np.reshape(a, -1) if axis is None else a
    axis = 0 if axis is None else axis
    order = np.argsort(values, axis=axis, kind="stable")
    new = np.moveaxis(np.diff(z, axis=axis) != 0, axis, -1)
    group = np.zeros((*new.shape[:-1], z.shape[axis]), int)
    if not np.all(new):
        starts = np.concatenate([np.ones((*new.shape[:-1], 1), bool), as_array(new)], axis=-1)
        group = np.cumsum(starts.reshape(-1)).reshape(starts.shape) - 1
        sizes = np.bincount(group.reshape(-1))
        turned = np.moveaxis(g, axis, -1)
        sums = scatter(turned, group, (len(sizes),))
        g = np.moveaxis((sums / sizes.astype(g.dtype))[group], -1, axis)
    back = scatter(g, along_axis(values.shape, as_array(order), axis), values.shape)
    return np.reshape(back, a.shape)


def as_array(values: Any) -> np.ndarray:
    """A truth value or an index as an ndarray, also when it was worked out on tensors."""
    return np.asarray(values)


derivative(
    np.sort, sort_argument, neutral="kind stable", kinks=lambda a, axis=-1: np.argsort(a, axis=axis, kind="stable"),
)  # fmt: skip


@composite(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis), axis=axis)


refuse(np.insert, reason="use np.concatenate of the pieces")
refuse(np.piecewise, reason="it calls functions on part of the data; use np.where or np.select")
