"""Reductions and scans: any set of axes, from either end, with and without keepdims, and their other keywords."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.operation import POSITIVE
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.written.draw import Draw, Function, Write


def over(
    function: Function, least: int = 0, smallest: int = 1, distinct: bool = False, **choices: Sequence[Any]
) -> Write:
    """function(a, axis=, keepdims=), and now and then its other keywords."""

    def write(d: Draw) -> Call:
        shape = d.shape(least, smallest=smallest)
        a = d.laid_out(d.apart(shape)) if distinct else d.array(shape)
        keywords = d.options(keepdims=[True, False], **choices)
        axis = d.axes(len(shape))
        if axis is not None or d.flag():
            keywords["axis"] = axis
        return Call(function, (a,), keywords)

    return write


def chosen(write: Write, least: int = 1, **initials: Sequence[Any]) -> Write:
    """Now and then only some of the elements, at least so many in each reduction, and a value to begin with."""

    def write_chosen(d: Draw) -> Call:
        call = write(d)
        (a,) = call.args
        if d.flag():
            where = d.mask(a.shape, 0.7)
            enough = np.all(np.sum(where, axis=call.kwargs.get("axis")) >= least)
            call.kwargs |= {"where": where if enough else np.ones(a.shape, bool), **d.options(**initials)}
            call.kwargs |= {name: values[0] for name, values in initials.items() if name not in call.kwargs}
        return Call(call.function, call.args, call.kwargs)

    return write_chosen


def scan(function: Function, **choices: Sequence[Any]) -> Write:
    def write(d: Draw) -> Call:
        shape = d.shape(1)
        keywords = d.options(axis=[None, *range(-len(shape), len(shape))], **choices)
        return Call(function, (d.array(shape),), keywords)

    return write


def prod(d: Draw) -> Call:
    """With zeros in it, one or several: the derivative is then a product of the others."""
    call = over(np.prod)(d)
    a = call.args[0]
    zeros = d.pick(0, 0, 1, 2)
    if a.ndim:
        a.flat[d.rng.permutation(a.size)[:zeros]] = 0.0
    return call


def average(d: Draw) -> Call:
    shape = d.shape(1)
    kind = d.pick("plain", "full", "one axis")
    keepdims = d.options(keepdims=[True])
    if kind == "plain":
        return Call(np.average, (d.array(shape),), {"axis": d.axes(len(shape)), **keepdims})
    if kind == "full":
        weights = d.array(shape, POSITIVE)
        keywords = {"axis": d.axes(len(shape)), "weights": weights, **keepdims, **d.options(returned=[True])}
        return Call(np.average, (d.array(shape),), keywords)
    axis = d.axis(len(shape))
    weights = d.array((shape[axis],), POSITIVE)
    return Call(np.average, (d.array(shape),), {"axis": axis, "weights": weights, **keepdims})


METHODS = [
    "linear", "lower", "higher", "nearest", "midpoint", "inverted_cdf", "averaged_inverted_cdf", "closest_observation",
    "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased",
]  # fmt: skip


def quantile(function: Function, scale: float) -> Write:
    def write(d: Draw) -> Call:
        call = over(function, distinct=True)(d)
        q = d.pick(0.0, 0.3, 0.5, 1.0, [0.1, 0.8], (0.25,), [[0.2], [0.9]])
        q = (np.asarray(q) * scale).tolist()
        return Call(function, (*call.args, q), call.kwargs | d.options(method=METHODS))

    return write


def diff(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    keywords = d.options(n=[0, 1, 2], axis=list(range(-len(shape), len(shape))))
    if keywords.get("n") != 0 and d.pick(True, False, False):
        axis = keywords.get("axis", -1)
        ends = tuple(1 if k == axis % len(shape) else size for k, size in enumerate(shape))
        keywords |= d.pick({"prepend": d.array(ends)}, {"append": d.array(ends)})
    return Call(np.diff, (d.array(shape),), keywords)


def trapezoid(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    axis = d.axis(len(shape))
    kind = d.pick("dx", "line", "full", "nothing")
    y = d.array(shape)
    if kind == "nothing":
        return Call(np.trapezoid, (y,))
    if kind == "dx":
        return Call(np.trapezoid, (y,), {"dx": 0.3, "axis": axis})
    return Call(np.trapezoid, (y, d.array((shape[axis],) if kind == "line" else shape)), {"axis": axis})


def with_nans(function: Function) -> Write:
    def write(d: Draw) -> Call:
        call = over(function, smallest=2)(d)
        a = call.args[0]
        if a.size > 1 and d.flag() and call.kwargs.get("axis") is None:
            a.flat[0] = np.nan
        return call

    return write


CALLS: dict[Function, Write] = {
    np.sum: chosen(over(np.sum), initial=[0.0, 2.0]),
    np.mean: chosen(over(np.mean)),
    np.max: chosen(over(np.max, distinct=True), initial=[-9.0, 0.1]),
    np.min: chosen(over(np.min, distinct=True), initial=[9.0, -0.1]),
    np.amax: chosen(over(np.amax, distinct=True), initial=[-9.0, 0.1]),
    np.amin: chosen(over(np.amin, distinct=True), initial=[9.0, -0.1]),
    np.ptp: over(np.ptp, distinct=True, smallest=2),
    np.prod: chosen(prod, initial=[1.0, -2.0]),
    np.var: chosen(over(np.var, least=1, smallest=3, distinct=True, ddof=[0, 1, 0.5]), least=2),
    np.std: chosen(over(np.std, least=1, smallest=3, distinct=True, ddof=[0, 1, 0.5]), least=2),
    np.nansum: chosen(with_nans(np.nansum), initial=[0.0, 2.0]),
    np.nanmean: chosen(with_nans(np.nanmean), least=2),
    np.cumsum: scan(np.cumsum),
    np.cumprod: scan(np.cumprod),
    np.average: average,
    np.median: over(np.median, distinct=True),
    np.quantile: quantile(np.quantile, 1.0),
    np.percentile: quantile(np.percentile, 100.0),
    np.diff: diff,
    np.trapezoid: trapezoid,
}
