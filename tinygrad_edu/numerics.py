"""Finite differences with an error bar: the judge of every derivative rule.

The slope of h ↦ ⟨cotangent, f(x + h v)⟩ at 0 is differenced on halved steps h. Three steps in a row give, by
Richardson's extrapolation, values of order 2, 4 and 6; the last two differ by more than what the last one cuts off,
and the rounding of the outputs, over h, bounds the noise. Their sum is the error bar; the step with the smallest wins.

    >>> estimate = directional_derivative(np.sin, [np.array(1.0)], [np.array(1.0)], np.array(1.0))
    >>> abs(estimate.value - np.cos(1.0)) <= estimate.error < 1e-10
    True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.tree import flatten

__all__ = ["Estimate", "directional_derivative"]

EPSILON = float(np.finfo(np.float64).eps)
FIRST, LAST = 6, 36  # steps run from 2⁻⁶ to 2⁻³⁶ times the size of x over the size of v


class Estimate(NamedTuple):
    """A derivative and a bound on how far off it may be; inf where no step gave a finite number."""

    value: float
    error: float


class Difference(NamedTuple):
    """The central difference at one step, and the noise it carries."""

    slope: float
    noise: float


def directional_derivative(
    f: Callable[..., Any], inputs: Sequence[Any], directions: Sequence[Any], cotangent: Any
) -> Estimate:
    """⟨cotangent, d/dh f(x + h v)⟩ at h = 0, in float64, with its error bar.

    f takes the inputs as arrays and returns an array or a nest of arrays; cotangent has the structure of the output,
    directions (v) have the shapes of the inputs (x). About 8 calls of f where f is smooth around x. A kink close by
    costs more calls, not accuracy: steps that cross it disagree. A kink at x itself gives the mean of both sides.
    """
    xs = [np.asarray(x, np.float64) for x in inputs]
    vs = [np.asarray(v, np.float64) for v in directions]
    weights = [np.asarray(w, np.float64) for w in flatten(cotangent)[0]]
    unit = largest(xs) / largest(vs)
    differences: list[Difference] = []
    best = Estimate(math.nan, math.inf)
    with np.errstate(all="ignore"):
        for k in range(FIRST, LAST):
            differences.append(central_difference(f, xs, vs, weights, unit * 0.5**k, 2.0**k))
            if len(differences) < 3:
                continue
            best = min(best, extrapolated(*differences[-3:]), key=lambda estimate: estimate.error)
            # Smaller steps cannot help once the noise alone, which only grows, is over the best error bar.
            if best.error <= 1e-11 * abs(best.value) or best.error <= differences[-1].noise:
                break
    return best


def largest(arrays: list[np.ndarray]) -> float:
    """The largest finite absolute value, 1 if there is none: a size to measure steps by."""
    sizes = [float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))) for a in arrays]
    return max(sizes, default=0.0) or 1.0


def central_difference(
    f: Callable[..., Any],
    xs: list[np.ndarray],
    vs: list[np.ndarray],
    weights: list[np.ndarray],
    h: float,
    shrunk: float,
) -> Difference:
    ahead, behind = (
        [np.asarray(y, np.float64) for y in flatten(f(*[x + sign * h * v for x, v in zip(xs, vs, strict=True)]))[0]]
        for sign in (1.0, -1.0)
    )
    slope = rounding = 0.0
    for weight, high, low in zip(weights, ahead, behind, strict=True):
        slope += float(np.sum(weight * (high - low)))  # differenced first: outputs that stay put add no noise
        rounding += float(np.sum(np.abs(weight) * np.where(high == low, 0.0, np.maximum(np.abs(high), np.abs(low)))))
    slope /= 2.0 * h
    # What the outputs round, and what x ± h v rounds.
    return Difference(slope, EPSILON * (2.0 * rounding / h + abs(slope) * shrunk))


def extrapolated(wide: Difference, middle: Difference, narrow: Difference) -> Estimate:
    """Orders 4 and 6 from three steps, each half of the one before."""
    fourth_wide = (4.0 * middle.slope - wide.slope) / 3.0
    fourth = (4.0 * narrow.slope - middle.slope) / 3.0
    sixth = (16.0 * fourth - fourth_wide) / 15.0
    error = abs(sixth - fourth) + 2.0 * narrow.noise
    return Estimate(sixth, error) if math.isfinite(error) else Estimate(math.nan, math.inf)
