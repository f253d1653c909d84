"""Blocks, insertions, windows, functions of parts; rows of values between two ends; what takes numbers apart."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu.operation import POSITIVE, REAL, Domain
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import Shape
from tinygrad_edu.testing.written.draw import Draw, Function, Write
from tinygrad_edu.testing.written.reductions import scan


def fraction(x: Any) -> Any:
    return np.modf(x)[0]


def rest(x: Any, y: Any) -> Any:
    return np.divmod(x, y)[1]


def between(d: Draw, shape: Shape) -> np.ndarray:
    """Numbers that are no whole ones, nor near."""
    return np.asarray(d.rng.integers(-3, 3, shape) + d.rng.uniform(0.1, 0.9, shape))


def divided(d: Draw) -> Call:
    shape = d.shape()
    y = d.array(shape, POSITIVE)
    return Call(rest, (np.asarray(between(d, shape) * y), y))


def block(d: Draw) -> Call:
    a, b, c = d.array((2, 2)), d.array((2, 1)), d.array((3,))
    return Call(np.block, (d.pick([a, b], [[a, b], [c]], [[a], [a]], [c, c], [[[a]], [[a]]]),))


def insert(d: Draw) -> Call:
    shape = d.shape(1)
    axis = d.pick(None, *range(-len(shape), len(shape)))
    size = math.prod(shape) if axis is None else shape[axis]
    where = d.pick(0, -1, size, [0, size], [1, 1, 0], slice(None, None, 2), [])
    return Call(np.insert, (d.array(shape), where, d.array(())), {} if axis is None else {"axis": axis})


def insert_row(d: Draw) -> Call:
    n = d.pick(1, 2, 3)
    shape, where, values, axis = d.pick(
        ((n, 3), 1, (3,), 0), ((3, n), [1], (3, 1), 1), ((3, n), 0, (2, 3), -1), ((4,), [0, 3], (2,), None)
    )
    return Call(np.insert, (d.array(shape), where, d.array(values), axis))


def windows(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    axis = d.axis(len(shape))
    whole = (tuple(d.pick(1, 2) for _ in shape), None)
    return Call(sliding_window_view, (d.array(shape), *((d.pick(1, 2), axis) if d.flag() else whole)))


def piecewise(d: Draw) -> Call:
    x = d.apart(d.shape())
    functions = d.pick([np.square, np.sin], [np.exp, 2.0], [np.sum, 0.5], [np.negative, np.positive, np.cos])
    return Call(np.piecewise, (x, [x < 99, x > 0.95], functions))


def times_its_sum(row: Any) -> Any:
    return row * row.sum()


def by_its_first(row: Any) -> Any:
    return np.outer(row, row[:2])


def along(d: Draw) -> Call:
    function = d.pick(np.sum, np.cumsum, times_its_sum, by_its_first)
    shape = d.shape(1)
    return Call(np.apply_along_axis, (function, d.axis(len(shape)), d.array(shape)))


def over_axes(d: Draw) -> Call:
    shape = d.shape(1)
    return Call(np.apply_over_axes, (d.pick(np.sum, np.cumsum), d.array(shape), d.pick(0, -1, [0, -1])))


def rollaxis(d: Draw) -> Call:
    ndim = d.pick(1, 2, 3)
    starts = list(range(-ndim, ndim + 1))
    return Call(np.rollaxis, (d.array(d.shape(ndim, ndim)), d.axis(ndim)), d.options(start=starts))


def shifted(function: Function) -> Write:
    return lambda d: Call(function, (d.array(d.shape(1)),), d.options(axes=[0, -1, (0,)]))


def row(function: Function, domain: Domain = REAL, **choices: Sequence[Any]) -> Write:
    """From start to stop, numbers or arrays of them."""

    def write(d: Draw) -> Call:
        shape = d.shape(0, 2)
        keywords = d.options(num=[0, 1, 2, 5], endpoint=[True, False], axis=[0, -1], **choices)
        ends = d.array(shape, domain), d.array(d.pick(shape, shape[1:]), domain)
        return Call(function, ends, keywords)

    return write


def unwrap(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    steps = d.rng.choice([-1.0, 1.0], shape) * (d.rng.uniform(0.2, 2.9, shape) + np.pi * d.rng.integers(0, 3, shape))
    return Call(np.unwrap, (np.cumsum(steps, axis=-1),), d.options(discont=[2.0, 7.0]))


def filled(fill: Any, shape: Shape) -> Any:
    return np.full_like(fill, fill, shape=shape)


def full_like(d: Draw) -> Call:
    shape = d.shape()
    return Call(filled, (d.array(d.pick((), shape)), shape))


def bincount(d: Draw) -> Call:
    n = d.pick(1, 3, 6)
    return Call(np.bincount, (d.rng.integers(0, 4, n), d.array((n,))), d.options(minlength=[0, 6]))


def tensorsolve(d: Draw) -> Call:
    a = d.values((3, 3)) / 3 + 3.0 * np.eye(3)
    shape, b, axes = d.pick(((3, 1, 3), (3, 1), None), ((3, 3, 1), (3,), (0,)), ((3, 3), (3,), None))
    return Call(np.linalg.tensorsolve, (a.reshape(shape), d.array(b), axes))


def tensorinv(d: Draw) -> Call:
    a = d.values((4, 4)) / 4 + 3.0 * np.eye(4)
    shape, ind = d.pick(((2, 2, 4), 2), ((4, 2, 2), 1), ((4, 4), 1), ((2, 2, 2, 2), 2))
    return Call(np.linalg.tensorinv, (a.reshape(shape),), {"ind": ind})


CALLS: dict[Function, Write] = {
    np.modf: lambda d: Call(fraction, (between(d, d.shape()),)),
    np.divmod: divided,
    np.ldexp: lambda d: Call(np.ldexp, (d.array((2, 3)), d.pick(2, np.array([1, -2, 0])))),
    np.nancumprod: scan(np.nancumprod),
    np.block: block,
    np.insert: lambda d: insert(d) if d.flag() else insert_row(d),
    np.resize: lambda d: Call(np.resize, (d.array(d.shape()), d.pick(3, (2, 2), (7,), (0, 2)))),
    sliding_window_view: windows,
    np.piecewise: piecewise,
    np.apply_along_axis: along,
    np.apply_over_axes: over_axes,
    np.rollaxis: rollaxis,
    np.fft.fftshift: shifted(np.fft.fftshift),
    np.fft.ifftshift: shifted(np.fft.ifftshift),
    np.linspace: row(np.linspace, retstep=[False]),
    np.logspace: row(np.logspace, base=[2.0, 10.0]),
    np.geomspace: row(np.geomspace, POSITIVE),
    np.vander: lambda d: Call(np.vander, (d.array((d.pick(1, 3),)),), d.options(N=[0, 1, 4], increasing=[True, False])),
    np.unwrap: unwrap,
    np.full_like: full_like,
    np.bincount: bincount,
    np.linalg.tensorsolve: tensorsolve,
    np.linalg.tensorinv: tensorinv,
}
