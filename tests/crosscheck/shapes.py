"""Rearrangements: run on numbered elements, the function itself says where each one goes; PyTorch gathers by that."""

import numpy as np
import torch

from tinygrad_edu.rules.shapes import astype


def listed(out):
    return list(out) if isinstance(out, tuple | list) else [out]


def rearranged(d, f, *shapes):
    """Elements are numbered through all operands from 1; a 0 in the result is a place that was filled with zero."""
    ends = np.cumsum([1, *(int(np.prod(shape)) for shape in shapes)])
    numbered = [np.arange(a, b).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
    places = [torch.tensor(index.copy()) for index in listed(f(*numbered))]

    def theirs(*ts):
        flat = torch.cat([torch.zeros(1, dtype=torch.float64), *(t.reshape(-1) for t in ts)])
        return [flat[index] for index in places]

    return f, theirs, [d.array(shape) for shape in shapes]


def one(least, f, most=3):
    """f(d, shape) draws what to do with one operand of at least so many axes."""

    def case(d):
        shape = d.shape(least, most)
        return rearranged(d, f(d, shape), shape)

    return case


def several(function, ndim=None, least=1):
    """Join two or three operands that differ only along the axis."""

    def case(d):
        shape = d.shape(least, 3) if ndim is None else tuple(d.pick(1, 2, 3) for _ in range(ndim))
        axis = d.axis(len(shape))
        sizes = [d.pick(1, 2, 3) for _ in range(d.pick(2, 3))]
        shapes = [tuple(n if k == axis % len(shape) else m for k, m in enumerate(shape)) for n in sizes]
        return rearranged(d, lambda *xs: function(list(xs), axis=axis), *shapes)

    return case


def alike(function, ndim):
    def case(d):
        shape = tuple(d.pick(1, 2, 3) for _ in range(d.pick(*ndim)))
        return rearranged(d, lambda *xs: function(list(xs)), shape, shape)

    return case


def stack(d):
    shape = d.shape()
    axis = d.axis(len(shape) + 1)
    return rearranged(d, lambda *xs: np.stack(xs, axis=axis), *[shape] * d.pick(1, 2, 3))


def factor(d, shape):
    """The shape taken apart or put together, one size left open."""
    size = int(np.prod(shape))
    return d.pick((-1,), (size,), (1, size), (*shape[::-1],), (-1, *shape[1:]) if shape else (1,))


def order(d, shape):
    axes = d.rng.permutation(len(shape))
    return tuple(int(a) for a in d.pick(axes, axes - len(shape)))


def pair(d, shape):
    return d.axis(len(shape)), d.axis(len(shape))


def squeezed(d):
    shape = d.shape()
    axis = d.axis(len(shape) + 1)
    wide = np.expand_dims(np.empty(shape), axis).shape
    return rearranged(d, lambda x: np.squeeze(x, axis=axis), wide)


def broadcast_to(d):
    whole = d.shape(1)
    part = tuple(1 if d.pick(True, False) else size for size in whole[d.rng.integers(len(whole)) :])
    return rearranged(d, lambda x: np.broadcast_to(x, whole), part)


def broadcast_arrays(d):
    return rearranged(d, lambda *xs: np.broadcast_arrays(*xs), *d.broadcasting(2))


def rolled(d, shape):
    if d.pick(True, False):
        return lambda x: np.roll(x, 2)
    axes = order(d, shape)
    return lambda x: np.roll(x, tuple(range(-1, len(axes) - 1)), axes)


def append(d):
    if d.pick(True, False):
        return rearranged(d, lambda x, y: np.append(x, y), d.shape(), d.shape())
    return rearranged(d, lambda x, y: np.append(x, y, axis=1), (2, 3), (2, d.pick(1, 2)))


def split(function):
    def build(d, shape):
        axis = d.axis(len(shape))
        parts = d.pick(shape[axis], 1, [1], [1, 1])
        return lambda x: function(x, parts, axis)

    return build


def unstack(d, shape):
    axis = d.axis(len(shape))
    return lambda x: np.unstack(x, axis=axis)


def meshgrid(d):
    shapes = [(d.pick(1, 2, 3),) for _ in range(d.pick(1, 2, 3))]
    indexing = d.pick("xy", "ij")
    return rearranged(d, lambda *xs: np.meshgrid(*xs, indexing=indexing), *shapes)


def tile(d, shape):
    reps = d.pick(2, (2,), (1, 2), (2, 1, 2), (3, 1))
    return lambda x: np.tile(x, reps)


def repeat(d, shape):
    axis = d.pick(None, d.axis(len(shape)))
    length = int(np.prod(shape)) if axis is None else shape[axis]
    repeats = d.pick(2, [int(n) for n in d.rng.integers(0, 3, length)])
    return lambda x: np.repeat(x, repeats, axis=axis)


def pad(d, shape):
    mode = d.pick("constant", "constant", "edge", "symmetric", "wrap", "reflect")
    width = d.pick(1, (0, 1), [(1, k % 2) for k in range(len(shape))])
    return lambda x: np.pad(x, width, mode=mode)


def rot90(d, shape):
    axes = order(d, shape)[:2]
    k = d.pick(-1, 0, 1, 2, 3)
    return lambda x: np.rot90(x, k, axes)


def plainly(function, *arguments):
    return lambda d, shape: lambda x: function(x, *arguments)


def told(function, choose):
    """choose(d, shape) draws the second argument."""

    def build(d, shape):
        chosen = choose(d, shape)
        return lambda x: function(x, chosen)

    return build


def told_two(function):
    def build(d, shape):
        first, second = pair(d, shape)
        return lambda x: function(x, first, second)

    return build


def axis_or_all(d, shape):
    return d.axes(len(shape))


def offset(d, shape):
    return d.pick(-2, -1, 0, 1, 2)


CASES = {
    astype: one(0, lambda d, shape: lambda x: astype(x, np.float64 if x.dtype.kind == "f" else x.dtype)),
    np.astype: one(0, lambda d, shape: lambda x: np.astype(x, np.float64) if x.dtype.kind == "f" else x),
    np.reshape: one(0, told(np.reshape, factor)),
    np.ravel: one(0, plainly(np.ravel)),
    np.transpose: one(1, lambda d, s: told(np.transpose, d.pick(order, lambda d, s: None))(d, s)),
    np.permute_dims: one(1, told(np.permute_dims, order)),
    np.matrix_transpose: one(2, plainly(np.matrix_transpose)),
    np.linalg.matrix_transpose: one(2, plainly(np.linalg.matrix_transpose)),
    np.swapaxes: one(1, told_two(np.swapaxes)),
    np.moveaxis: one(1, told_two(np.moveaxis)),
    np.squeeze: squeezed,
    np.expand_dims: one(0, told(np.expand_dims, lambda d, shape: d.pick(0, -1, len(shape), (0, 1), (0, -1)))),
    np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays,
    np.copy: one(0, plainly(np.copy)),
    np.flip: one(1, told(np.flip, axis_or_all)),
    np.fliplr: one(2, plainly(np.fliplr)),
    np.flipud: one(1, plainly(np.flipud)),
    np.rot90: one(2, rot90),
    np.tril: one(2, told(np.tril, offset)),
    np.triu: one(2, told(np.triu, offset)),
    np.roll: one(1, rolled),
    np.concatenate: several(np.concatenate),
    np.concat: several(np.concat),
    np.stack: stack,
    np.vstack: alike(np.vstack, (0, 1, 2, 3)),
    np.hstack: alike(np.hstack, (0, 1, 2, 3)),
    np.dstack: alike(np.dstack, (0, 1, 2, 3)),
    np.column_stack: alike(np.column_stack, (1, 2)),
    np.append: append,
    np.array_split: one(1, split(np.array_split)),
    np.split: one(1, split(np.split)),
    np.vsplit: one(2, lambda d, shape: lambda x: np.vsplit(x, [1])),
    np.hsplit: one(1, lambda d, shape: lambda x: np.hsplit(x, [1])),
    np.dsplit: one(3, lambda d, shape: lambda x: np.dsplit(x, [1])),
    np.unstack: one(1, unstack),
    np.atleast_1d: one(0, plainly(np.atleast_1d)),
    np.atleast_2d: one(0, plainly(np.atleast_2d)),
    np.atleast_3d: one(0, plainly(np.atleast_3d)),
    np.meshgrid: meshgrid,
    np.tile: one(0, tile),
    np.repeat: one(1, repeat),
    np.pad: one(1, pad),
}
WITHOUT = {}
