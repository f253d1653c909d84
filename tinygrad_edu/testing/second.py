"""Second order: the gradient as a subject of its own, and the symmetry of what it is differentiated to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.numerics import Line
from tinygrad_edu.numerics.ladder import adjudicate
from tinygrad_edu.testing.report import Finding
from tinygrad_edu.testing.subject import Arrays, Subject
from tinygrad_edu.transforms import vjp as own_vjp
from tinygrad_edu.tree import flatten

__all__ = ["derivative_of", "differences_are_symmetric", "gradient_subject", "second_derivative_is_symmetric"]

SYMMETRY = "the second derivative is symmetric"
RELATIVE = 1e-9  # of the terms of both sides, which are computed in two orders


def derivative_of(subject: Subject) -> Callable[..., Any]:
    """(inputs, cotangents) ↦ gradients: the function whose derivative is the second one."""
    size, vjp = len(subject.arrays), subject.vjp
    own_gradient = getattr(vjp, "gradient", None)

    def f(*xs: Any) -> Any:
        return subject.f(*subject.arguments(xs))

    def first(*values: Any) -> Any:
        if own_gradient is not None:
            return own_gradient(f, values[:size], values[size:])
        value, pullback = (vjp or own_vjp)(f, *values[:size])
        leaves, rebuild = flatten(value)
        return tuple(flatten(list(pullback(rebuild(list(values[size:])))))[0])

    first.__name__ = f"the gradient of {subject.name}"
    return first


def gradient_subject(subject: Subject, weights: Arrays) -> Subject | None:
    """The gradient as a function of inputs and cotangents, differentiated as f is; None for a pullback by hand.

    Raises UnsupportedError where the library cannot differentiate its pullback.
    """
    if getattr(subject.vjp, "is_by_hand", False):
        return None
    points = [*subject.arrays, *weights]
    wanted = [*subject.wanted, *range(len(subject.arrays), len(points))]
    again = Subject(derivative_of(subject), points, wanted, subject.vjp)
    again.paths = [*subject.paths, *[f"cotangent[{k}]" for k in range(len(weights))]]
    if subject.vjp is not None:
        try:
            again.gradients(points, again.cotangents(None, np.random.default_rng(0)))
        except Exception as error:
            raise UnsupportedError(
                f"gradcheck of {subject.name}, order=2: its vjp cannot differentiate its own pullback "
                f"({type(error).__name__}: {error}); ask for order=1"
            ) from error
    return again


def second_derivative_is_symmetric(again: Subject, count: int, rng: np.random.Generator) -> Finding:
    """⟨H u, v⟩ = ⟨H v, u⟩ for drawn directions u, v of the first `count` arrays, the inputs."""
    us, vs = directions(again, count, rng), directions(again, count, rng)
    of_u, of_v = again.gradients(again.arrays, us)[:count], again.gradients(again.arrays, vs)[:count]
    left, right = inner(of_u, vs), inner(of_v, us)
    allowed = RELATIVE * (sizes(of_u, vs) + sizes(of_v, us))
    return told(left, right, allowed)


def differences_are_symmetric(subject: Subject, weights: Arrays, rng: np.random.Generator) -> Finding:
    """The same of a pullback that is no more than numbers, by differences of it."""
    count = len(subject.arrays)
    us, vs = directions(subject, count, rng), directions(subject, count, rng)
    lines = [
        Line(lambda *xs: (list(subject.gradients(xs, weights)), None), subject.arrays, moved, seen)
        for moved, seen in ((us, vs), (vs, us))
    ]
    left, right = (adjudicate(line) for line in lines)
    terms = sum(sizes(subject.gradients(subject.arrays, weights), each) for each in (us, vs))
    vague = left.error + right.error > 1e-4 * (abs(left.value) + abs(right.value)) + 1e-9 * terms
    if vague:
        return Finding(SYMMETRY, True)  # at a kink, or of a pullback that is rough
    return told(left.value, right.value, 4.0 * (left.error + right.error) + RELATIVE * terms)


def directions(subject: Subject, count: int, rng: np.random.Generator) -> Arrays:
    return [rng.standard_normal(x.shape) for x in subject.arrays[:count]]


def inner(left: Arrays, right: Arrays) -> float:
    return float(sum(np.sum(a * b) for a, b in zip(left, right, strict=True)))


def sizes(left: Arrays, right: Arrays) -> float:
    return float(sum(np.sum(np.abs(a * b)) for a, b in zip(left, right, strict=True)))


def told(left: float, right: float, allowed: float) -> Finding:
    fine = not np.isfinite(left - right) or abs(left - right) <= allowed
    message = f"⟨v, H u⟩ = {left:.12g} but ⟨u, H v⟩ = {right:.12g}: no function has such a gradient"
    return Finding(SYMMETRY, fine, "" if fine else message)
