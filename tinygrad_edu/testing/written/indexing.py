"""Indexing and sorting: every kind of index, repeated elements among them."""

import math
from typing import Any

import numpy as np

from tinygrad_edu.rules.indexing import getitem, scatter
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import Shape
from tinygrad_edu.testing.written.draw import Draw, Function, Write


def indices(d: Draw, shape: Shape) -> list[Any]:
    """One index of every kind: basic, arrays of places, masks, and mixtures."""
    first, last = shape[0], shape[-1]
    options: list[Any] = [
        d.axis(first), np.int64(0), slice(None, None, -1), slice(1, None), slice(None, None, 2), Ellipsis, None, (),
        (Ellipsis, None, slice(0, 1)), (None, d.axis(first)),
        d.places(first), d.places(first, 2, 2), d.places(first).tolist(), d.places(first, 1)[0], np.zeros(0, int),
        d.mask(shape), d.mask(first), (Ellipsis, d.mask(last)), np.True_, False,
    ]  # fmt: skip
    if len(shape) > 1:
        options += [
            (d.places(first, 4), d.places(shape[1], 4)), (d.places(first, 2, 1), d.places(shape[1], 3)),
            (slice(None), d.places(shape[1])), (d.axis(first), d.places(shape[1])), (0, slice(None, None, 2)),
            (d.places(first, 3), slice(None, None, -1)), (d.mask(first), 0), (d.places(first), None),
            (d.axis(first), d.axis(shape[1])), (slice(0, 1), d.mask(shape[1])),
        ]  # fmt: skip
    if len(shape) > 2:
        options += [
            (d.places(first, 2), slice(None), d.places(shape[2], 2)), (Ellipsis, d.places(shape[2])),
            (d.axis(first), slice(None), d.places(shape[2], 2, 2)), d.mask(shape[:2]),
        ]  # fmt: skip
    return options


def index_of(d: Draw, shape: Shape) -> Any:
    return d.pick(*indices(d, shape))


def getitem_call(d: Draw) -> Call:
    shape = d.shape(1)
    return Call(getitem, (d.array(shape), index_of(d, shape)))


def scatter_call(d: Draw) -> Call:
    shape = d.shape(1)
    index = index_of(d, shape)
    return Call(scatter, (d.array(np.empty(shape)[index].shape), index, shape))


def take(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    where = d.pick(d.places(size), d.places(size, 2, 2), d.places(size).tolist(), d.axis(size), [], d.places(size, 1))
    keywords = d.options(mode=["raise", "wrap", "clip"])
    if keywords.get("mode", "raise") != "raise" and np.ndim(where):
        where = [7, -9, 0]
    return Call(np.take, (d.array(shape), where), keywords if axis is None else keywords | {"axis": axis})


def take_along_axis(d: Draw) -> Call:
    shape = d.shape(1)
    if d.pick(True, False, False):
        return Call(np.take_along_axis, (d.array(shape), d.places(math.prod(shape))), {"axis": None})
    axis = d.axis(len(shape))
    longer = [4 if k == axis % len(shape) else n for k, n in enumerate(shape)]
    if d.flag():
        longer = [n if k == axis % len(shape) or d.flag() else 1 for k, n in enumerate(longer)]
    return Call(np.take_along_axis, (d.array(shape), d.places(shape[axis], *longer)), {"axis": axis})


def compress(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    chosen = d.mask(d.pick(size, size, max(size - 1, 1)), 0.7)
    return Call(np.compress, (chosen if d.flag() else chosen.tolist(), d.array(shape)), {"axis": axis})


def extract(d: Draw) -> Call:
    shape = d.shape()
    return Call(np.extract, (d.mask(shape, 0.7), d.array(shape)))


def delete(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    which = d.pick(0, -1, slice(None, None, 2), d.places(size), d.places(size).tolist(), d.mask(size), [])
    return Call(np.delete, (d.array(shape), which), {} if axis is None else {"axis": axis})


def select(d: Draw) -> Call:
    shape = d.shape()
    masks = [d.mask(shape, 0.4) for _ in range(2)]
    choices = [d.array(shape), d.array(d.pick(shape, ()))]
    return Call(np.select, (masks, choices), d.options(default=[1.5, np.arange(math.prod(shape)).reshape(shape)]))


def choose(d: Draw) -> Call:
    shape = d.shape()
    arrays = [d.array(shape) for _ in range(3)]
    arrays[1] = d.array(shape[1:])
    mode = d.options(mode=["raise", "wrap", "clip"])
    past = 3 if mode.get("mode", "raise") != "raise" else 0
    picked = np.asarray(d.rng.integers(-past, 3 + past, shape))
    return Call(np.choose, (picked, tuple(arrays) if d.flag() else arrays), mode)


BESIDE = (-1, 1, -1, 1, 0, 5)  # the diagonal itself is the same transposed, so that others are drawn more often


def diagonal(function: Function) -> Write:
    def write(d: Draw) -> Call:
        shape = d.shape(2)
        axes = [int(k) - (len(shape) if d.flag() else 0) for k in d.rng.permutation(len(shape))[:2]]
        keywords = d.options(offset=BESIDE)
        if d.flag():
            keywords |= {"axis1": axes[0], "axis2": axes[1]}
        return Call(function, (d.array(shape),), keywords)

    return write


def linalg_diagonal(function: Function) -> Write:
    return lambda d: Call(function, (d.array(d.shape(2)),), d.options(offset=BESIDE))


def diag(function: Function, least: int, most: int) -> Write:
    return lambda d: Call(function, (d.array(d.shape(least, most)),), d.options(k=[-2, -1, 0, 1]))


def sort(d: Draw) -> Call:
    shape = d.shape(1)
    axes = [None, *range(-len(shape), len(shape))]
    return Call(np.sort, (d.apart(shape),), d.options(axis=axes, kind=["stable", "quicksort"]))


def middle(a: Any, kth: int, axis: int | None) -> Any:
    """Of a partition only the k-th element has a place that is promised."""
    return np.take(np.partition(a, kth, axis=axis), kth, axis=0 if axis is None else axis)


def partition(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    return Call(middle, (d.apart(shape), d.axis(size), axis))


CALLS: dict[Function, Write] = {
    getitem: getitem_call,
    scatter: scatter_call,
    np.take: take,
    np.take_along_axis: take_along_axis,
    np.compress: compress,
    np.extract: extract,
    np.delete: delete,
    np.select: select,
    np.choose: choose,
    np.diagonal: diagonal(np.diagonal),
    np.trace: diagonal(np.trace),
    np.linalg.diagonal: linalg_diagonal(np.linalg.diagonal),
    np.linalg.trace: linalg_diagonal(np.linalg.trace),
    np.diag: diag(np.diag, 1, 2),
    np.diagflat: diag(np.diagflat, 0, 2),
    np.sort: sort,
    np.partition: partition,
}
