"""Elementwise operations: any shapes that broadcast, values from the declared domains, now and then a plain scalar."""

import numpy as np

from calls.draw import Call, Draw
from tinygrad_edu.primitive import NONZERO, POSITIVE


def derived(function, domains, d):
    """One array for each declared domain; of two, one may be a Python number."""
    arrays = [d.array(shape, domain) for shape, domain in zip(d.broadcasting(len(domains)), domains, strict=True)]
    if len(arrays) == 2 and d.pick(True, False, False):
        k = d.pick(0, 1)
        arrays[k] = float(d.values((), domains[k]))
    return Call(function, tuple(arrays))


def takes_squares(operation, function):
    """Is it a NumPy function of numbers, with a rule for each argument?"""
    return isinstance(function, np.ufunc) and getattr(operation, "elementwise", False) and None not in operation.rules


def square(function, domains, rng):
    """All arguments square and of one size, where a share that is transposed shows by its values alone."""
    d = object.__new__(Draw)
    d.rng = rng
    return Call(function, tuple(d.values((3, 3), domain) for domain in domains))


def power(function):
    """Whole exponents take another branch of the rule, and any base."""

    def write(d):
        if d.flag():
            return derived(function, (POSITIVE, POSITIVE), d)
        exponent = d.pick(-2.0, -1, 0, 1, 2, 3, 2.0, 0.5, np.array([3.0])[0], np.array(2))
        if function is np.power and isinstance(exponent, int | np.ndarray):
            exponent = float(exponent)
        return Call(function, (d.array(d.shape(), POSITIVE if exponent == 0.5 else NONZERO), exponent))

    return write


def where(d):
    condition, x, y = d.broadcasting(3)
    x, y = d.array(x), d.array(y)
    if d.pick(True, False, False):
        x, y = (x, 0.5) if d.flag() else (-1.0, y)
    return Call(np.where, (d.rng.random(condition) < 0.5, x, y))


def clip(d):
    shape, low, high = d.broadcasting(3)
    a, low, high = d.array(shape), d.array(low) - 1.0, d.array(high, POSITIVE)
    kind = d.pick("both", "low", "high", "numbers", "keywords")
    if kind == "keywords":
        return Call(np.clip, (a,), {"min": -0.5, "max": 0.8} if d.flag() else {"max": high})
    bounds = {"both": (low, high), "low": (low, None), "high": (None, high), "numbers": (-0.5, 0.8)}
    return Call(np.clip, (a, *bounds[kind]))


def nan_to_num(d):
    x = np.array(d.array(d.shape()))
    if x.size and d.flag():
        x.flat[0] = d.pick(np.nan, np.inf, -np.inf)
    infinite = {"posinf": 3.0, "neginf": -2.0} if np.isinf(x).any() else {}  # else the largest float: it overflows
    return Call(np.nan_to_num, (x,), infinite | d.options(nan=[1.5]))


def unchanged(function):
    return lambda d: Call(function, (d.array(d.shape()),))


CALLS = {
    np.power: power(np.power),
    np.float_power: power(np.float_power),
    np.where: where,
    np.clip: clip,
    np.nan_to_num: nan_to_num,
    np.conjugate: unchanged(np.conjugate),
    np.real: unchanged(np.real),
    np.real_if_close: unchanged(np.real_if_close),
}
