"""Pieces and rows. Where PyTorch has no function of that name, its formula is written out in PyTorch."""

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from reductions import scan

from tinygrad_edu.primitive import POSITIVE


def between(d, shape):
    """Numbers that are no whole ones, nor near."""
    return np.asarray(d.rng.integers(-3, 3, shape) + d.rng.uniform(0.1, 0.9, shape))


def divided(d):
    shape = d.shape()
    y = np.asarray(d.array(shape, POSITIVE))
    return lambda x, y: np.divmod(x, y)[1], torch.remainder, [np.asarray(between(d, shape) * y), y]


def block(d):
    operands = [d.array((2, 2)), d.array((2, 1)), d.array((3,))]
    return (
        lambda a, b, c: np.block([[a, b], [c]]),
        lambda a, b, c: torch.cat([torch.cat([a, b], 1), c[None]]),
        operands,
    )


def insert(d):
    n, place = d.pick(1, 2, 3), d.pick(0, 1, -1)
    return (
        lambda x, v: np.insert(x, place, v, axis=0),
        lambda x, v: torch.cat([x[:place], v[None], x[place:]]),
        [d.array((n, 2)), d.array((2,))],
    )


def resize(d):
    n = d.pick(1, 3, 7)
    return lambda x: np.resize(x, n), lambda t: t.reshape(-1).repeat(n)[:n], [d.array(d.shape())]


def windows(d):
    shape = d.shape(1, smallest=2)
    axis = d.axis(len(shape))
    return lambda x: sliding_window_view(x, 2, axis), lambda t: t.unfold(axis, 2, 1), [d.array(shape)]


def piecewise(d):
    return (
        lambda x: np.piecewise(x, [x < 0, x > 1], [np.sin, np.exp, lambda v: v * v]),
        lambda t: torch.where(t < 0, t.sin(), torch.where(t > 1, t.exp(), t * t)),
        [d.array(d.shape())],
    )


def along(d):
    shape = d.shape(1)
    axis = d.axis(len(shape))
    return (
        lambda x: np.apply_along_axis(lambda row: row * np.sum(row), axis, x),
        lambda t: t * t.sum(axis, keepdim=True),
        [d.array(shape)],
    )


def over_axes(d):
    return (
        lambda x: np.apply_over_axes(np.sum, x, [0, -1]),
        lambda t: t.sum((0, 2), keepdim=True),
        [d.array(d.shape(3, 3))],
    )


def rollaxis(d):
    return lambda x: np.rollaxis(x, 2), lambda t: torch.movedim(t, 2, 0), [d.array(d.shape(3, 3))]


def shifted(function, theirs):
    return lambda d: (function, theirs, [d.array(d.shape(1))])


def row(function, theirs, domain=None):
    """theirs: from the start, the stop and the places between them, 0 to 1."""

    def case(d):
        n, endpoint = d.pick(1, 2, 5), d.pick(True, False)
        shares = np.linspace(0.0, 1.0, n, endpoint)
        a, b = d.array(shape := d.shape(0, 1), domain), d.array(shape, domain)
        places = torch.from_numpy(shares.reshape(-1, *[1] * len(shape)))
        return lambda x, y: function(x, y, n, endpoint), lambda x, y: theirs(x, y, places), [a, b]

    return case


def even(x, y, places):
    return x + (y - x) * places


def unwrap(d):
    steps = d.rng.uniform(0.2, 2.9, 5) + 2.0 * np.pi * d.rng.integers(0, 3, 5)
    x = np.cumsum(steps * d.rng.choice([-1.0, 1.0], 5))
    jumps = torch.from_numpy(np.unwrap(x) - x)
    return np.unwrap, lambda t: t + jumps, [x]


def bincount(d):
    where = d.rng.integers(0, 4, 5)
    size = int(where.max()) + 1
    return (
        lambda w: np.bincount(where, w),
        lambda t: torch.zeros(size, dtype=t.dtype).index_add(0, torch.from_numpy(where), t),
        [d.array((5,))],
    )


def regular(d, n):
    return d.array((n, n)) + 3.0 * np.eye(n)


CASES = {
    np.modf: lambda d: (lambda x: np.modf(x)[0], torch.frac, [between(d, d.shape())]),
    np.divmod: divided,
    np.ldexp: lambda d: (lambda x: np.ldexp(x, 3), lambda t: torch.ldexp(t, torch.tensor(3)), [d.array(d.shape())]),
    np.nancumprod: scan(np.nancumprod, torch.cumprod),
    np.block: block,
    np.insert: insert,
    np.resize: resize,
    sliding_window_view: windows,
    np.piecewise: piecewise,
    np.apply_along_axis: along,
    np.apply_over_axes: over_axes,
    np.rollaxis: rollaxis,
    np.fft.fftshift: shifted(np.fft.fftshift, torch.fft.fftshift),
    np.fft.ifftshift: shifted(np.fft.ifftshift, torch.fft.ifftshift),
    np.linspace: row(np.linspace, even),
    np.logspace: row(np.logspace, lambda x, y, places: 10.0 ** even(x, y, places)),
    np.geomspace: row(np.geomspace, lambda x, y, places: x * (y / x) ** places, POSITIVE),
    np.vander: lambda d: (np.vander, lambda t: torch.linalg.vander(t).flip(-1), [d.array((4,))]),
    np.unwrap: unwrap,
    np.full_like: lambda d: (
        lambda x: np.full_like(x, x, shape=(2, 3)), lambda t: t.broadcast_to(2, 3), [d.array(d.pick((), (3,), (2, 1)))],
    ),
    np.bincount: bincount,
    np.linalg.tensorsolve: lambda d: (
        lambda a, b: np.linalg.tensorsolve(np.reshape(a, (3, 1, 3)), b),
        lambda a, b: torch.linalg.tensorsolve(a.reshape(3, 1, 3), b), [regular(d, 3), d.array((3, 1))],
    ),
    np.linalg.tensorinv: lambda d: (
        lambda a: np.linalg.tensorinv(np.reshape(a, (2, 2, 4))),
        lambda a: torch.linalg.tensorinv(a.reshape(2, 2, 4)), [regular(d, 4)],
    ),
}  # fmt: skip
WITHOUT = {}
