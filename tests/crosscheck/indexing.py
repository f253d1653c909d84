"""Indexing and sorting. Where elements only move, PyTorch gathers by the places that NumPy itself gives."""

import numpy as np
import torch
from shapes import one, rearranged

from tinygrad_edu.rules.indexing import getitem, scatter


def places(d, size, *shape):
    """Indices from either end, repeated ones among them."""
    return d.rng.integers(-size, size, shape or (d.pick(1, 3, 5),))


def index_of(d, shape):
    """An index of any kind: basic, an array of places, one for each axis, a mask, or a mixture."""
    first = shape[0]
    options = [
        d.axis(first), slice(None, None, -1), slice(1, None), Ellipsis, None, (Ellipsis, None, slice(0, 1)),
        places(d, first), places(d, first, 2, 2), (), d.rng.random(shape) < 0.5, d.rng.random(first) < 0.5,
    ]  # fmt: skip
    if len(shape) > 1:
        options += [
            (places(d, first, 4), places(d, shape[1], 4)), (places(d, first, 2, 1), places(d, shape[1], 3)),
            (slice(None), places(d, shape[1])), (d.axis(first), places(d, shape[1])), (0, slice(None, None, 2)),
        ]  # fmt: skip
    if len(shape) > 2:
        options += [(places(d, first, 2), slice(None), places(d, shape[2], 2)), (Ellipsis, places(d, shape[2]))]
    return options[d.rng.integers(len(options))]


def picked(d, shape):
    index = index_of(d, shape)
    return lambda x: getitem(x, index)


def scattered(d):
    shape = d.shape(1)
    index = index_of(d, shape)
    g = d.array(np.empty(shape)[index].shape)
    numbered = torch.tensor(np.array(np.arange(int(np.prod(shape))).reshape(shape)[index]))

    def theirs(t):
        flat = torch.zeros(int(np.prod(shape)), dtype=torch.float64)
        return flat.index_add(0, numbered.reshape(-1), t.reshape(-1)).reshape(shape)

    return lambda x: scatter(x, index, shape), theirs, [g]


def take(d, shape):
    axis = d.pick(None, d.axis(len(shape)))
    where = places(d, int(np.prod(shape)) if axis is None else shape[axis], *d.pick((3,), (2, 2)))
    return lambda x: np.take(x, where, axis=axis)


def take_along_axis(d, shape):
    axis = d.axis(len(shape))
    where = d.rng.integers(0, shape[axis], [4 if k == axis % len(shape) else n for k, n in enumerate(shape)])
    return lambda x: np.take_along_axis(x, where, axis=axis)


def compress(d, shape):
    axis = d.axis(len(shape))
    chosen = d.rng.random(shape[axis]) < 0.7
    return lambda x: np.compress(chosen, x, axis=axis)


def extract(d, shape):
    chosen = d.rng.random(shape) < 0.7
    return lambda x: np.extract(chosen, x)


def delete(d, shape):
    axis = d.pick(None, d.axis(len(shape)))
    return lambda x: np.delete(x, 0, axis=axis)


def select(d):
    shape = d.shape()
    masks = [d.rng.random(shape) < 0.4 for _ in range(2)]
    return rearranged(d, lambda x, y: np.select(masks, [x, y], 0), shape, shape)


def choose(d):
    shape = d.shape()
    which = d.rng.integers(0, 3, shape)
    return rearranged(d, lambda *xs: np.choose(which, xs), shape, shape, shape)


def diagonal(d, shape):
    axes = [int(a) for a in d.rng.permutation(len(shape))[:2]]
    offset = d.pick(-1, 0, 1)
    return lambda x: np.diagonal(x, offset, *axes)


def along_offset(function, **keyword):
    def build(d, shape):
        offset = d.pick(-1, 0, 1)
        return (lambda x: function(x, offset=offset)) if keyword else (lambda x: function(x, offset))

    return build


def trace(d):
    shape, offset = d.shape(2, 2), d.pick(-1, 0, 1)
    return lambda x: np.trace(x, offset), lambda t: torch.diagonal(t, offset).sum(-1), [d.array(shape)]


def linalg_trace(d):
    return np.linalg.trace, lambda t: torch.diagonal(t, 0, -2, -1).sum(-1), [d.array(d.shape(2, 3))]


def sort(d):
    shape = d.shape(1)
    axis = d.pick(None, d.axis(len(shape)))
    return (
        lambda x: np.sort(x, axis=axis),
        lambda t: torch.sort(t.reshape(-1) if axis is None else t, -1 if axis is None else axis).values,
        [d.array(shape)],
    )


def partition(d):
    """Only the middle element of a partition has a place that is promised."""
    shape = (*d.shape(0, 2), 5)
    return lambda x: np.partition(x, 2, axis=-1)[..., 2], lambda t: torch.sort(t).values[..., 2], [d.array(shape)]


CASES = {
    getitem: one(1, picked),
    scatter: scattered,
    np.take: one(1, take),
    np.take_along_axis: one(1, take_along_axis),
    np.compress: one(1, compress),
    np.extract: one(1, extract),
    np.delete: one(1, delete),
    np.select: select,
    np.choose: choose,
    np.diagonal: one(2, diagonal),
    np.linalg.diagonal: one(2, along_offset(np.linalg.diagonal, by_name=True)),
    np.diag: one(1, along_offset(np.diag), most=2),
    np.diagflat: one(0, along_offset(np.diagflat), most=2),
    np.trace: trace,
    np.linalg.trace: linalg_trace,
    np.sort: sort,
    np.partition: partition,
}
WITHOUT = {}
