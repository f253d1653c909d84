"""Shapes: reshaping, moving, joining, splitting, repeating, padding; axes from either end."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.rules.shapes import astype
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import Shape
from tinygrad_edu.testing.written.draw import Draw, Function, Write


def on(function: Function, least: int = 0, most: int = 3, smallest: int = 1) -> Write:
    """function(a) of one array."""
    return lambda d: Call(function, (d.array(d.shape(least, most, smallest)),))


def swapaxes(d: Draw) -> Call:
    shape = d.shape(1)
    return Call(np.swapaxes, (d.array(shape), d.axis(len(shape)), d.axis(len(shape))))


def reshape(d: Draw) -> Call:
    shape = d.shape()
    size = math.prod(shape)
    targets: list[Any] = [shape[::-1], -1, size, (1, -1), (*shape, 1), (1, *shape), [-1, 1]]
    if shape:
        targets += [(shape[0], -1), (-1, shape[-1])]
    return Call(np.reshape, (d.array(shape), d.pick(*targets)), d.options(order=["C", "F"]))


def ravel(d: Draw) -> Call:
    return Call(np.ravel, (d.array(d.shape()),), d.options(order=["C", "F"]))


def transpose(d: Draw) -> Call:
    shape = d.shape()
    order = d.order(len(shape))
    axes = [k - len(shape) if d.flag() else k for k in order]
    further, keywords = d.pick(((), {}), ((tuple(axes),), {}), ((), {"axes": axes}))
    return Call(np.transpose, (d.array(shape), *further), keywords)


def moveaxis(d: Draw) -> Call:
    shape = d.shape(1)
    if d.flag():
        return Call(np.moveaxis, (d.array(shape), d.axis(len(shape)), d.axis(len(shape))))
    count = d.pick(*range(1, len(shape) + 1))
    source, destination = (
        tuple(k - len(shape) if d.flag() else k for k in d.order(len(shape))[:count]) for _ in range(2)
    )
    return Call(np.moveaxis, (d.array(shape), source, destination))


def squeeze(d: Draw) -> Call:
    shape = tuple(d.pick(1, 2, 2) for _ in range(d.pick(1, 2, 3)))
    ones = [k - len(shape) if d.flag() else k for k, size in enumerate(shape) if size == 1]
    choices = [None, tuple(ones), *ones]
    return Call(np.squeeze, (d.array(shape),), d.options(axis=choices))


def expand_dims(d: Draw) -> Call:
    shape = d.shape(0, 2)
    return Call(np.expand_dims, (d.array(shape), d.pick(0, -1, len(shape), (0, 1), (0, -1), (-2, -1))))


def broadcast_to(d: Draw) -> Call:
    whole = d.shape()
    kept = whole[d.number(len(whole) + 1) :] if d.flag() else whole
    part = tuple(1 if d.pick(False, False, True) else size for size in kept)
    return Call(np.broadcast_to, (d.array(part), whole))


def broadcast_arrays(d: Draw) -> Call:
    return Call(np.broadcast_arrays, tuple(d.array(shape) for shape in d.broadcasting(d.pick(1, 2, 3))))


def flip(d: Draw) -> Call:
    shape = d.shape()
    return Call(np.flip, (d.array(shape),), {"axis": d.axes(len(shape))} if d.flag() else {})


def triangle(function: Function) -> Write:
    return lambda d: Call(function, (d.array(d.shape(1)),), d.options(k=[-1, 0, 1, 2]))


def roll(d: Draw) -> Call:
    shape = d.shape(1)
    if d.flag():
        return Call(np.roll, (d.array(shape), d.pick(-2, 0, 1, 5)), d.options(axis=[None, d.axis(len(shape))]))
    axes = d.order(len(shape))[: d.pick(*range(1, len(shape) + 1))]
    shift = tuple(d.pick(-1, 1, 2) for _ in axes)
    return Call(np.roll, (d.array(shape), d.pick(shift, 1), tuple(axes)))


# Joining: the sizes along the axis may differ


def pieces(d: Draw, shape: Shape, axis: int, count: int) -> list[Any]:
    return [d.array((*shape[:axis], d.pick(1, 1, 2, 3), *shape[axis + 1 :])) for _ in range(count)]


def concatenate(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    arrays = pieces(d, shape, axis % len(shape), d.pick(1, 2, 3))
    if d.pick(True, False, False):
        return Call(np.concatenate, ([d.array(d.shape(1)) for _ in arrays],), {"axis": None})
    if len(arrays) > 1 and d.flag():
        arrays[0] = np.ones(arrays[0].shape, int)  # without gradient, between others
    together = tuple(arrays) if d.flag() else arrays
    if axis == 0 and d.flag():
        return Call(np.concatenate, (together,))
    return Call(np.concatenate, (together, axis)) if d.flag() else Call(np.concatenate, (together,), {"axis": axis})


def stack(d: Draw) -> Call:
    shape = d.shape()
    arrays = [d.array(shape) for _ in range(d.pick(1, 2, 3))]
    return Call(np.stack, (arrays,), d.options(axis=list(range(-len(shape) - 1, len(shape) + 1))))


def joined(function: Function, axis_of: Callable[[int], int | None], least: int = 0, most: int = 3) -> Write:
    """vstack and its kind: same shape but for one axis."""

    def write(d: Draw) -> Call:
        shape = d.shape(least, most)
        axis = axis_of(len(shape))
        if axis is None:
            return Call(function, ([d.array(shape) for _ in range(d.pick(1, 2, 3))],))
        return Call(function, (pieces(d, shape, axis, d.pick(1, 2, 3)),))

    return write


def column_stack(d: Draw) -> Call:
    rows = d.pick(1, 2, 3)
    return Call(np.column_stack, ([d.array((rows,) if d.flag() else (rows, d.pick(1, 2))) for _ in range(2)],))


def append(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.axis(len(shape))
    if d.flag():
        return Call(np.append, (d.array(shape), d.array(d.shape())))
    arr, values = pieces(d, shape, axis % len(shape), 2)
    return Call(np.append, (arr, values), {"axis": axis})


# Splitting


def split(function: Function, even: bool) -> Write:
    def write(d: Draw) -> Call:
        shape = d.shape(1)
        axis = d.axis(len(shape))
        sections = d.pick([1], [0, 2], [1, 2], [-1], (1, 1), shape[axis] if even else 2, 1)
        return Call(function, (d.array(shape), sections), {"axis": axis} if axis or d.flag() else {})

    return write


def split_along(function: Function, least: int) -> Write:
    return lambda d: Call(function, (d.array(d.shape(least)), d.pick([1], [0, 1], 1)))


def unstack(d: Draw) -> Call:
    shape = d.shape(1)
    return Call(np.unstack, (d.array(shape),), {"axis": d.axis(len(shape))} if d.flag() else {})


def at_least(function: Function) -> Write:
    return lambda d: Call(function, tuple(d.array(d.shape()) for _ in range(d.pick(1, 2))))


def meshgrid(d: Draw) -> Call:
    lines = [d.array(d.shape(0, 1)) for _ in range(d.pick(1, 2, 3))]
    return Call(np.meshgrid, tuple(lines), d.options(indexing=["xy", "ij"], sparse=[True, False]))


# Repeating, padding, turning


def tile(d: Draw) -> Call:
    return Call(np.tile, (d.array(d.shape(0, 2)), d.pick(0, 1, 2, (2,), (2, 1), (1, 3), (2, 1, 2), [2, 2])))


def repeat(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    times = d.pick(0, 1, 2, [2], d.rng.integers(0, 3, size), d.rng.integers(0, 3, size).tolist())
    return Call(np.repeat, (d.array(shape), times), {} if axis is None else {"axis": axis})


def pad(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    widths = [[d.pick(0, 1, 2), d.pick(0, 1)] for _ in shape]
    width = d.pick(widths, np.array(widths), 1, (1,), (2, 1), ((1, 2),))
    mode = d.pick("constant", "constant", "edge", "reflect", "symmetric", "wrap")
    keywords = d.options(constant_values=[0, 1.5, (0.5, -1.0)]) if mode == "constant" else {"mode": mode}
    return Call(np.pad, (d.array(shape), width), keywords)


def rot90(d: Draw) -> Call:
    axes = d.order(3)[:2]
    if d.flag():
        return Call(np.rot90, (d.array(d.shape(3, 3)),), {"k": d.pick(-1, 0, 1, 2, 3, 5), "axes": tuple(axes)})
    return Call(np.rot90, (d.array(d.shape(2)),), d.options(k=[0, 1, 2, 3]))


CALLS: dict[Function, Write] = {
    astype: lambda d: Call(astype, (d.array(d.shape()), d.pick(float, np.float64, "float64"))),
    np.astype: lambda d: Call(np.astype, (d.array(d.shape()), d.pick(float, np.float64))),
    np.copy: on(np.copy),
    np.reshape: reshape,
    np.ravel: ravel,
    np.transpose: transpose,
    np.matrix_transpose: on(np.matrix_transpose, least=2),
    np.linalg.matrix_transpose: on(np.linalg.matrix_transpose, least=2),
    np.swapaxes: swapaxes,
    np.moveaxis: moveaxis,
    np.squeeze: squeeze,
    np.expand_dims: expand_dims,
    np.broadcast_to: broadcast_to,
    np.broadcast_arrays: broadcast_arrays,
    np.flip: flip,
    np.fliplr: on(np.fliplr, least=2),
    np.flipud: on(np.flipud, least=1),
    np.tril: triangle(np.tril),
    np.triu: triangle(np.triu),
    np.roll: roll,
    np.concatenate: concatenate,
    np.stack: stack,
    np.vstack: joined(np.vstack, lambda ndim: 0 if ndim > 1 else None),
    np.hstack: joined(np.hstack, lambda ndim: None if not ndim else min(ndim - 1, 1)),
    np.dstack: joined(np.dstack, lambda ndim: 2 if ndim > 2 else None),
    np.column_stack: column_stack,
    np.append: append,
    np.split: split(np.split, even=True),
    np.array_split: split(np.array_split, even=False),
    np.hsplit: split_along(np.hsplit, 1),
    np.vsplit: split_along(np.vsplit, 2),
    np.dsplit: split_along(np.dsplit, 3),
    np.atleast_1d: at_least(np.atleast_1d),
    np.atleast_2d: at_least(np.atleast_2d),
    np.atleast_3d: at_least(np.atleast_3d),
    np.meshgrid: meshgrid,
    np.tile: tile,
    np.repeat: repeat,
    np.pad: pad,
    np.rot90: rot90,
}
if hasattr(np, "unstack"):  # NumPy 2.1
    CALLS[np.unstack] = unstack
