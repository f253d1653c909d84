"""Elementwise operations that take more than arrays: exponents that are numbers, conditions, bounds."""

from typing import Any

import numpy as np

from tinygrad_edu.operation import NONZERO, POSITIVE
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.written.draw import Draw, Function, Write

BELOW, ABOVE = (-0.95, -0.45, -0.2), (0.2, 0.45, 0.95)  # no value that is `apart` comes near one of these


def power(function: Function) -> Write:
    """Whole exponents take another branch of the rule, and any base."""

    def write(d: Draw) -> Call:
        if d.flag():
            base, exponents = d.broadcasting(2)
            if d.pick(False, False, True):
                return Call(function, (d.array(base, POSITIVE), 1.75) if d.flag() else (1.75, d.array(base)))
            return Call(function, (d.array(base, POSITIVE), d.array(exponents, POSITIVE)))
        exponent = d.pick(-2.0, -1, 0, 1, 2, 3, 2.0, 0.5, np.array([3.0])[0], np.array(2))
        if function is np.power and isinstance(exponent, int | np.ndarray):
            exponent = float(exponent)
        return Call(function, (d.array(d.shape(), POSITIVE if exponent == 0.5 else NONZERO), exponent))

    return write


def where(d: Draw) -> Call:
    condition, *shapes = d.broadcasting(3)
    both: list[Any] = [d.array(shape) for shape in shapes]
    if d.pick(False, False, True):
        both[d.number(2)] = 0.5
    return Call(np.where, (d.mask(condition), *both))


def clip(d: Draw) -> Call:
    shape, *shapes = d.broadcasting(3)
    low, high = (d.rng.choice(levels, each) for levels, each in zip((BELOW, ABOVE), shapes, strict=True))
    kind = d.pick("both", "low", "high", "numbers", "keywords")
    if kind == "keywords":
        return Call(np.clip, (d.apart(shape),), {"min": BELOW[1], "max": ABOVE[2]} if d.flag() else {"max": high})
    bounds = {"both": (low, high), "low": (low, None), "high": (None, high), "numbers": (BELOW[1], ABOVE[2])}
    return Call(np.clip, (d.laid_out(d.apart(shape)), *bounds[kind]))


def nan_to_num(d: Draw) -> Call:
    x = np.array(d.array(d.shape()))
    if x.size and d.flag():
        x.flat[0] = d.pick(np.nan, np.inf, -np.inf)
    infinite = {"posinf": 3.0, "neginf": -2.0} if np.isinf(x).any() else {}  # else the largest float: it overflows
    return Call(np.nan_to_num, (x,), infinite | d.options(nan=[1.5]))


def unchanged(function: Function) -> Write:
    return lambda d: Call(function, (d.array(d.shape()),))


CALLS: dict[Function, Write] = {
    np.power: power(np.power),
    np.float_power: power(np.float_power),
    np.where: where,
    np.clip: clip,
    np.nan_to_num: nan_to_num,
    np.conjugate: unchanged(np.conjugate),
    np.real: unchanged(np.real),
    np.real_if_close: unchanged(np.real_if_close),
}
