"""Sequences and samples: lengths and modes of convolution, points between points, variables against observations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.operation import POSITIVE
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import Shape
from tinygrad_edu.testing.written.draw import Draw, Function, Write
from tinygrad_edu.testing.written.reductions import chosen, over, scan, with_nans


def sliding(function: Function) -> Write:
    def write(d: Draw) -> Call:
        lengths = d.pick((1, 1), (4, 4), (5, 2), (2, 5), (6, 3), (3, 1))
        keywords = d.options(mode=["full", "same", "valid"])
        return Call(function, tuple(d.array((n,)) for n in lengths), keywords)

    return write


def interp(d: Draw) -> Call:
    """x between the points and beyond them, never on one: there the slope jumps."""
    xp = np.cumsum(0.5 + d.rng.random(d.pick(2, 3, 5)))
    x = d.rng.uniform(xp[0] - 1.0, xp[-1] + 1.0, d.shape(0, 2))
    x = np.where(np.min(np.abs(x[..., None] - xp), axis=-1) < 0.02, x + 0.05, x)
    return Call(np.interp, (x, xp, d.array(xp.shape)))


def gradient(d: Draw) -> Call:
    """A spacing for all axes, one for each, or the places along them; lines or parabolas at the ends."""
    shape = d.shape(1, 2, smallest=3)
    kind = d.pick("none", "one", "each", "places")
    spacing: tuple[Any, ...] = ()
    if kind == "places":
        spacing = tuple(np.cumsum(d.values((size,), POSITIVE)) for size in shape)
    elif kind != "none":
        spacing = (0.5,) if kind == "one" else tuple(0.5 + k for k in range(len(shape)))
    axis = {} if len(spacing) > 1 or kind == "places" else d.options(axis=[0, -1])
    return Call(np.gradient, (d.array(shape), *spacing), axis | d.options(edge_order=[1, 2]))


def covariance(function: Function, shapes: Sequence[Shape], **choices: Sequence[Any]) -> Write:
    """Of one array, or of two; now and then not every observation counts as much.

    Simple numbers would often lie on a line, where the correlation is at its end.
    """

    def write(d: Draw) -> Call:
        shape = d.pick(*shapes)
        x, y = (d.laid_out(np.round(d.rng.standard_normal(shape), 3)) for _ in range(2))
        keywords = d.options(rowvar=[True, False], **choices)
        if function is np.cov and d.flag():
            keywords["rowvar"] = True
            keywords |= d.options(fweights=[d.rng.integers(1, 4, shape[-1])], aweights=[d.array(shape[-1:], POSITIVE)])
        return Call(function, (x, y) if d.flag() else (x,), keywords)

    return write


def polyval(d: Draw) -> Call:
    return Call(np.polyval, (d.array((d.pick(1, 2, 4),)), d.array(d.shape(0, 2))))


CALLS: dict[Function, Write] = {
    np.convolve: sliding(np.convolve),
    np.correlate: sliding(np.correlate),
    np.interp: interp,
    np.gradient: gradient,
    np.cov: covariance(np.cov, [(5,), (2, 6), (3, 5), (4, 4)], bias=[True, False]),
    np.corrcoef: covariance(np.corrcoef, [(3, 5), (4, 4)]),
    np.polyval: polyval,
    np.ediff1d: lambda d: Call(np.ediff1d, (d.array(d.shape(1, smallest=2)),)),
    np.nanmax: chosen(over(np.nanmax, distinct=True), initial=[-9.0, 0.1]),
    np.nanmin: chosen(over(np.nanmin, distinct=True), initial=[9.0, -0.1]),
    np.nanvar: chosen(over(np.nanvar, least=1, smallest=3, distinct=True, ddof=[0, 1]), least=2),
    np.nanstd: chosen(over(np.nanstd, least=1, smallest=3, distinct=True, ddof=[0, 1]), least=2),
    np.nanprod: chosen(with_nans(np.nanprod), initial=[1.0, -2.0]),
    np.nancumsum: scan(np.nancumsum),
    np.cumulative_sum: lambda d: Call(np.cumulative_sum, (d.array((4,)),)),
    np.cumulative_prod: lambda d: Call(np.cumulative_prod, (d.array((4,)),)),
}
