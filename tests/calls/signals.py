"""Sequences and samples: lengths and modes of convolution, points between points, variables against observations."""

import numpy as np

from calls.draw import Call
from calls.reductions import over, scan, with_nans


def sliding(function):
    def write(d):
        lengths = d.pick((1, 1), (4, 4), (5, 2), (2, 5), (6, 3), (3, 1))
        keywords = d.options(mode=["full", "same", "valid"])
        return Call(function, tuple(d.array((n,)) for n in lengths), keywords)

    return write


def interp(d):
    """x between the points and beyond them, never on one: there the slope jumps."""
    xp = np.cumsum(0.5 + d.rng.random(d.pick(2, 3, 5)))
    x = d.rng.uniform(xp[0] - 1.0, xp[-1] + 1.0, d.shape(0, 2))
    x = np.where(np.min(np.abs(x[..., None] - xp), axis=-1) < 0.02, x + 0.05, x)
    return Call(np.interp, (x, xp, d.array(xp.shape)))


def gradient(d):
    shape = d.shape(1, 2, smallest=2)
    spacing = d.pick((), (0.5,), tuple(0.5 + k for k in range(len(shape))))
    axis = {} if len(spacing) > 1 else d.options(axis=[0, -1])
    return Call(np.gradient, (d.array(shape), *spacing), axis)


def covariance(function, shapes, **choices):
    def write(d):
        shape = d.pick(*shapes)
        return Call(function, (d.array(shape),), d.options(rowvar=[True, False], **choices))

    return write


def polyval(d):
    return Call(np.polyval, (d.array((d.pick(1, 2, 4),)), d.array(d.shape(0, 2))))


CALLS = {
    np.convolve: sliding(np.convolve),
    np.correlate: sliding(np.correlate),
    np.interp: interp,
    np.gradient: gradient,
    np.cov: covariance(np.cov, [(5,), (2, 4), (3, 5), (4, 4)], bias=[True, False]),
    np.corrcoef: covariance(np.corrcoef, [(3, 5), (4, 4)]),
    np.polyval: polyval,
    np.ediff1d: lambda d: Call(np.ediff1d, (d.array(d.shape(1, smallest=2)),)),
    np.nanmax: over(np.nanmax, distinct=True),
    np.nanmin: over(np.nanmin, distinct=True),
    np.nanvar: over(np.nanvar, least=1, smallest=3, ddof=[0, 1]),
    np.nanstd: over(np.nanstd, least=1, smallest=3, ddof=[0, 1]),
    np.nanprod: with_nans(np.nanprod),
    np.nancumsum: scan(np.nancumsum),
    np.cumulative_sum: lambda d: Call(np.cumulative_sum, (d.array((4,)),)),
    np.cumulative_prod: lambda d: Call(np.cumulative_prod, (d.array((4,)),)),
}
