"""Elementwise operations: one value in, one value out, at every place. They broadcast.

Conventions where the derivative does not exist: |x|'(0) = 0; equal arguments of maximum and minimum share the cotangent
in equal parts; x**0 and 0**y have derivative 0 at 0; sqrt'(0) is inf, as NumPy says.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_edu.primitive import (
    ABOVE_ONE,
    NONZERO,
    POSITIVE,
    REAL,
    UNIT,
    composite,
    constant,
    derivative,
    primitive,
    refuse,
)
from tinygrad_edu.rules.special import erf_value

__all__ = ["chosen", "erf", "or_infinite", "root_of_squares", "root_slope"]

LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))
PI = float(np.pi)

# Arithmetic

derivative(np.add, lambda g: g, lambda g: g, broadcasts=True, fast=operator.add)
derivative(np.subtract, lambda g: g, lambda g: -g, broadcasts=True, fast=operator.sub)
derivative(np.multiply, lambda g, y: g * y, lambda g, x: g * x, broadcasts=True, fast=operator.mul)
derivative(
    np.divide,                       # z = x / y
    lambda g, y: g / y,              # ∂z/∂x = 1/y
    lambda g, z, y: -g * z / y,      # ∂z/∂y = -x/y² = -z/y
    broadcasts=True, domain=(REAL, NONZERO), fast=operator.truediv,
)  # fmt: skip
derivative(np.negative, lambda g: -g, broadcasts=True, fast=operator.neg)
derivative(np.positive, lambda g: g, broadcasts=True)
derivative(np.reciprocal, lambda g, z: -g * z * z, broadcasts=True, domain=(NONZERO,))
derivative(np.square, lambda g, x: g * (2.0 * x), broadcasts=True)
derivative(
    np.remainder,                                # z = x - ⌊x/y⌋ y
    lambda g: g,
    lambda g, x, y: -g * np.floor(x / y),
    broadcasts=True, domain=(REAL, NONZERO), kinks=lambda x, y: np.floor(x / y), fast=operator.mod,
)  # fmt: skip
derivative(
    np.fmod,
    lambda g: g,
    lambda g, x, y: -g * np.trunc(x / y),
    broadcasts=True, domain=(REAL, NONZERO), kinks=lambda x, y: np.trunc(x / y),
)  # fmt: skip

# Powers and roots


def power_base(g: Any, x: Any, y: Any) -> Any:
    """∂x^y/∂x = y x^(y-1), and 0 where y = 0 (also at x = 0 and inf, where the product would be 0 · inf).

    Elsewhere nothing is put in for y = 0: its slope there, 1/x, belongs to the second derivative.
    """
    if isinstance(y, int | float):
        return g * (2.0 * x) if y == 2 else g * (y * x ** (y - 1)) if y != 0 else np.zeros_like(g)
    still = np.logical_and(y == 0, np.logical_or(x == 0, ~np.isfinite(x)))
    return g * (y * np.where(still, 1.0, x) ** (y - 1.0))


def power_exponent(g: Any, z: Any, x: Any) -> Any:
    """∂x^y/∂y = x^y log x, and 0 where x = 0. NaN for x < 0: no real neighbour exists there."""
    return g * z * np.log(np.where(x == 0, 1.0, x))


derivative(np.power, power_base, power_exponent, broadcasts=True, domain=(POSITIVE, REAL), fast=operator.pow)
derivative(np.float_power, power_base, power_exponent, broadcasts=True, domain=(POSITIVE, REAL))
derivative(np.ldexp, lambda g, y: np.ldexp(g, y), None, broadcasts=True)  # z = x · 2^y, y an integer
derivative(np.sqrt, lambda g, z: g * (0.5 / z), broadcasts=True, domain=(POSITIVE,))
derivative(np.cbrt, lambda g, z: g / (3.0 * z * z), broadcasts=True, domain=(NONZERO,))


def or_infinite(z: Any) -> Any:
    """z, and inf where it is 0: what is divided by it is 0 there."""
    if type(z) is np.float64:
        return z if z else np.inf
    return np.where(z == 0, np.inf, z)


def root_slope(g: Any, z: Any) -> Any:
    """g/(2z), and 0 where z is 0."""
    return g * (0.5 / or_infinite(z))


@primitive(lambda g, z: root_slope(g, z), broadcasts=True, domain=(POSITIVE,))
def root_of_squares(x: Any) -> Any:
    """√x for a sum of squares: a length. The length of the zero vector has slope 0, not inf."""
    return np.sqrt(x)


# Exponentials and logarithms

derivative(np.exp, lambda g, z: g * z, broadcasts=True)
derivative(np.exp2, lambda g, z: g * z * LN2, broadcasts=True)
derivative(np.expm1, lambda g, z: g * (z + 1.0), broadcasts=True)
derivative(np.log, lambda g, x: g / x, broadcasts=True, domain=(POSITIVE,))
derivative(np.log2, lambda g, x: g / (x * LN2), broadcasts=True, domain=(POSITIVE,))
derivative(np.log10, lambda g, x: g / (x * LN10), broadcasts=True, domain=(POSITIVE,))
derivative(np.log1p, lambda g, x: g / (x + 1.0), broadcasts=True, domain=(POSITIVE,))


def less(x: Any, z: Any) -> Any:
    """x - z, and 0 where both are the same infinity."""
    if type(z) is np.ndarray and math.isfinite(np.vdot(z, z)):
        return x - z
    return np.where(x == z, 0.0, x - z)


derivative(
    np.logaddexp,                                    # z = log(eˣ + eʸ)
    lambda g, z, x: g * np.exp(less(x, z)),
    lambda g, z, y: g * np.exp(less(y, z)),
    broadcasts=True,
)  # fmt: skip
derivative(
    np.logaddexp2,
    lambda g, z, x: g * np.exp2(less(x, z)),
    lambda g, z, y: g * np.exp2(less(y, z)),
    broadcasts=True,
)

# Trigonometric and hyperbolic

derivative(np.sin, lambda g, x: g * np.cos(x), broadcasts=True)
derivative(np.cos, lambda g, x: -g * np.sin(x), broadcasts=True)
derivative(np.tan, lambda g, z: g * (1.0 + z * z), broadcasts=True, domain=(UNIT,))
derivative(np.arcsin, lambda g, x: g / np.sqrt((1.0 - x) * (1.0 + x)), broadcasts=True, domain=(UNIT,))
derivative(np.arccos, lambda g, x: -g / np.sqrt((1.0 - x) * (1.0 + x)), broadcasts=True, domain=(UNIT,))
derivative(np.arctan, lambda g, x: g / (1.0 + x * x), broadcasts=True)
derivative(
    np.arctan2,                                        # the angle of (y, x), NumPy's order of arguments
    lambda g, x, y: g * y / (x * x + y * y),
    lambda g, x, y: -g * x / (x * x + y * y),
    broadcasts=True, domain=(REAL, POSITIVE),
)  # fmt: skip
derivative(np.sinh, lambda g, x: g * np.cosh(x), broadcasts=True)
derivative(np.cosh, lambda g, x: g * np.sinh(x), broadcasts=True)
derivative(np.tanh, lambda g, z: g * (1.0 - z * z), broadcasts=True)
derivative(np.arcsinh, lambda g, x: g / np.sqrt(1.0 + x * x), broadcasts=True)
derivative(np.arccosh, lambda g, x: g / np.sqrt((x - 1.0) * (x + 1.0)), broadcasts=True, domain=(ABOVE_ONE,))
derivative(np.arctanh, lambda g, x: g / ((1.0 - x) * (1.0 + x)), broadcasts=True, domain=(UNIT,))
for to_degrees in (np.degrees, np.rad2deg):
    derivative(to_degrees, lambda g: g * (180.0 / PI), broadcasts=True)
for to_radians in (np.radians, np.deg2rad):
    derivative(to_radians, lambda g: g * (PI / 180.0), broadcasts=True)
derivative(
    np.hypot,
    lambda g, z, x: g * x / np.where(z == 0, 1.0, z),
    lambda g, z, y: g * y / np.where(z == 0, 1.0, z),
    broadcasts=True, domain=(NONZERO, NONZERO),
)  # fmt: skip


def sinc_slope(x: Any, z: Any) -> Any:
    """(cos πx - sinc x)/x; its series near 0, where the difference has no digits left."""
    t = (PI * x) ** 2
    near = t < 0.1
    series = -1.0 / 3.0 + t * (1.0 / 30.0 - t * (1.0 / 840.0 - t * (1.0 / 45360.0 - t / 3991680.0)))
    far = (np.cos(PI * x) - z) / np.where(near, 1.0, x)
    return np.where(near, PI * PI * x * series, far)


derivative(np.sinc, lambda g, z, x: g * sinc_slope(x, z), parameters="x", broadcasts=True)


@primitive(lambda g, x: g * (2.0 / PI**0.5) * np.exp(-x * x), broadcasts=True)
def erf(x: Any) -> Any:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt, to the last digit or two of the dtype."""
    return erf_value(x)


# Choosing between values


def chosen(g: Any, condition: Any) -> Any:
    """where(condition, g, 0). But for a few elements as a product, if no 0 · inf is in it: where() guesses which way
    each element goes, and of a pattern that it has not met before guesses every other one wrong."""
    many = type(g) is type(condition) is np.ndarray and g.size > FEW
    if many and condition.dtype == bool and math.isfinite(np.vdot(g, g)):
        kept = condition.astype(g.dtype)
        if kept.shape != g.shape:
            return g * kept
        kept *= g
        return kept
    return np.where(condition, g, 0.0)


FEW = 1 << 9  # elements: wrong guesses about so many cost less than the look at g


def larger(g: Any, x: Any, y: Any) -> Any:
    """The share of the first argument: all of g where it is larger, half where both are equal."""
    tie = x == y
    if type(tie) is np.ndarray and not np.count_nonzero(tie):
        return chosen(g, x > y)
    return np.where(tie, 0.5 * g, np.where(x > y, g, 0.0))


def smaller(g: Any, x: Any, y: Any) -> Any:
    """The share of the first argument: all of g where it is smaller. Without a minus: -1 wraps to 255 in uint8."""
    return larger(g, y, x)


derivative(
    np.maximum,
    lambda g, x, y: larger(g, x, y),
    lambda g, x, y: larger(g, y, x),
    broadcasts=True, kinks=lambda x, y: np.sign(x - y),
)  # fmt: skip
derivative(
    np.minimum,
    lambda g, x, y: smaller(g, x, y),
    lambda g, x, y: smaller(g, y, x),
    broadcasts=True, kinks=lambda x, y: np.sign(x - y),
)  # fmt: skip
derivative(
    np.fmax,                                                    # a NaN loses against a number
    lambda g, x, y: np.where(np.isnan(y), g, larger(g, x, y)),
    lambda g, x, y: np.where(np.isnan(x), g, larger(g, y, x)),
    broadcasts=True, kinks=lambda x, y: np.sign(x - y),
)  # fmt: skip
derivative(
    np.fmin,
    lambda g, x, y: np.where(np.isnan(y), g, smaller(g, x, y)),
    lambda g, x, y: np.where(np.isnan(x), g, smaller(g, y, x)),
    broadcasts=True, kinks=lambda x, y: np.sign(x - y),
)  # fmt: skip
derivative(np.absolute, lambda g, x: g * np.sign(x), broadcasts=True, domain=(NONZERO,), kinks=np.sign, fast=abs)
derivative(np.fabs, lambda g, x: g * np.sign(x), broadcasts=True, domain=(NONZERO,), kinks=np.sign)
derivative(
    np.copysign,                                                # |x| with the sign of y
    lambda g, x, y: g * np.sign(x) * np.copysign(1.0, y),
    lambda g: np.zeros_like(g),
    broadcasts=True, domain=(NONZERO, NONZERO), kinks=lambda x, y: np.sign(x) * np.sign(y),
)  # fmt: skip
derivative(
    np.where,
    None,
    lambda g, condition: chosen(g, condition),
    lambda g, condition: chosen(g, np.logical_not(condition)),
    parameters="condition x y", broadcasts=True, selects=True,
)  # fmt: skip


@composite(np.clip)
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """minimum(maximum(a, low), high): on a bound, a and the bound share."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


@composite(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    if x.dtype.kind != "f":
        return np.copy(x)  # no integer is NaN or infinite
    limits = np.finfo(x.dtype)
    x = np.where(np.isnan(x), nan, x)
    x = np.where(x == np.inf, float(limits.max) if posinf is None else posinf, x)
    return np.where(x == -np.inf, float(limits.min) if neginf is None else neginf, x)


composite(np.divmod)(lambda x, y: (np.floor_divide(x, y), np.remainder(x, y)))


@composite(np.modf)
def modf(x: Any) -> Any:
    """(the part behind the point, the part before it), both with the sign of x."""
    whole = np.trunc(x)
    return np.where(np.isinf(x), 0.0, x - whole), whole


for same in (np.conjugate, np.real, np.real_if_close):
    composite(same)(lambda x: x)

constant(
    np.floor, np.ceil, np.trunc, np.rint, np.round, np.around, np.fix, np.floor_divide, np.sign, np.signbit,
    np.heaviside, np.spacing, np.nextafter,
    reason="piecewise constant: the derivative is 0 wherever it exists",
)  # fmt: skip
constant(
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.logical_and, np.logical_or,
    np.logical_not, np.logical_xor, np.isnan, np.isinf, np.isfinite, np.isneginf, np.isposinf, np.isclose,
    np.allclose, np.array_equal, np.array_equiv, np.isin, np.iscomplexobj, np.isrealobj, np.isreal, np.iscomplex,
    reason="a truth value",
)  # fmt: skip
constant(
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert, np.left_shift, np.right_shift, np.gcd, np.lcm,
    reason="works on integers",
)  # fmt: skip
refuse(np.angle, np.imag, reason="complex numbers are outside this engine; keep real and imaginary parts apart")
refuse(np.frexp, reason="the mantissa jumps with the exponent; np.log2 is what they come from")
refuse(np.i0, reason="its derivative, the Bessel function I₁, is not in NumPy; declare it with @primitive over SciPy")
