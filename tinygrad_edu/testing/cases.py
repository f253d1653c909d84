"""A wrong gradient beside the right one, in full: what an explanation is tried on.

The right one comes from the numeric Jacobian, column by column, so that not only the gradient is known, but also which
output each part of it came from.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu.numerics.ladder import ODD
from tinygrad_edu.testing.subject import Arrays, Subject

__all__ = ["Case", "cases_of", "distance"]

ELEMENTS = 64  # of an input that are measured, at most
NUMBERS = 1 << 21  # of a Jacobian that are kept, at most
SURE = 1e-7  # a column whose error is above this part of it tells nothing


@dataclass
class Case:
    """One argument at one point. names: of all arguments; k: which of them this is about.

    jacobian: one row for each element of the outputs, one column for each element of the argument; NaN where it was not
    measured, and None where the argument or the outputs are too large to keep it. numeric: the right gradient, NaN
    where unknown; rights: those of the other arguments of that shape. variants: what the rule gives when something in
    it is exchanged, by the sentence that says so.
    """

    names: Sequence[str]
    k: int
    inputs: Arrays
    outputs: Arrays
    weights: Arrays
    gradients: Arrays
    jacobian: np.ndarray | None
    numeric: np.ndarray
    rights: dict[int, np.ndarray] = field(default_factory=dict)
    variants: dict[str, Any] = field(default_factory=dict)

    @property
    def derived(self) -> np.ndarray:
        return self.gradients[self.k]

    @property
    def name(self) -> str:
        return self.names[self.k]

    @property
    def output(self) -> np.ndarray | None:
        return self.outputs[0] if len(self.outputs) == 1 else None

    @property
    def cotangent(self) -> np.ndarray:
        """Of a single output; of several, laid end to end."""
        return self.weights[0] if len(self.weights) == 1 else flat(self.weights)


def cases_of(subject: Subject, k: int, weights: Arrays, names: Sequence[str], rng: np.random.Generator) -> list[Case]:
    """At the subject's own point, and at one nearby with another cotangent: what fits both is no accident."""
    found = [case_at(subject, k, weights, names, rng)]
    other = moved(subject, rng)
    drawn = [rng.standard_normal(w.shape) * (w != 0) for w in weights]
    found.append(case_at(other, k, drawn, names, rng))
    return found


def moved(subject: Subject, rng: np.random.Generator) -> Subject:
    """The same at inputs changed by up to a quarter, and some in sign, where f has a value there; else as near by."""
    with np.errstate(all="ignore"):
        before = subject.evaluate(*subject.arrays)[0]
        for signs in ((-1.0, 1.0), (1.0,)):
            other = copy.copy(subject)
            other.arrays = [
                x * (1.0 + 0.25 * rng.uniform(-1.0, 1.0, x.shape)) * rng.choice(signs, x.shape) for x in subject.arrays
            ]
            try:
                after = other.evaluate(*other.arrays)[0]
                if all(np.shape(a) == np.shape(b) and np.isfinite(b).all() for a, b in zip(before, after, strict=True)):
                    return other
            except Exception:  # outside of f's domain
                continue
    return subject


def case_at(subject: Subject, k: int, weights: Arrays, names: Sequence[str], rng: np.random.Generator) -> Case:
    with np.errstate(all="ignore"):
        outputs, piece = subject.evaluate(*subject.arrays)
        outputs = [np.asarray(y, np.float64) for y in outputs]
        gradients = subject.gradients(subject.arrays, weights)
        x, rows = subject.arrays[k], sum(y.size for y in outputs)
        places = np.arange(x.size)
        count = max(4, min(ELEMENTS, NUMBERS // max(rows, 1)))
        if x.size > count:
            off = [int(np.argmax(np.abs(gradients[k])))] if x.size else []
            places = np.union1d(rng.choice(x.size, count - 1, replace=False), off)
        jacobian = np.full((rows, x.size), np.nan) if rows * x.size <= NUMBERS else None
        numeric = measured(subject, k, weights, places, piece, jacobian)
        rights = {
            j: measured(subject, j, weights, places, piece)
            for j, other in enumerate(subject.arrays)
            if j != k and other.shape == x.shape
        }
    return Case(names, k, subject.arrays, outputs, weights, gradients, jacobian, numeric, rights)


def measured(
    subject: Subject, k: int, weights: Arrays, places: np.ndarray, piece: Any, jacobian: np.ndarray | None = None
) -> np.ndarray:
    """The right gradient of one argument at these places, NaN elsewhere; the Jacobian's columns go into `jacobian`."""
    w, x = flat(weights), subject.arrays[k]
    numeric = np.full(x.size, np.nan)
    for place in places:
        found = column(subject, k, int(place), piece)
        if found is not None:
            numeric[place] = np.sum(np.where(w != 0, w * found, 0.0))
            if jacobian is not None:
                jacobian[:, place] = found
    return numeric.reshape(x.shape)


def column(subject: Subject, k: int, place: int, piece: Any) -> np.ndarray | None:
    """The outputs' derivatives by one element, from three central differences; None where no step is any good."""
    x = subject.arrays[k]
    if not np.isfinite(x).all():
        return None
    size = max(abs(float(x.flat[place])), 2.0**-10 * float(np.max(np.abs(x)))) or 1.0
    best, least = None, math.inf
    for below in (6, 10, 15):
        steps = [ODD * 2.0 ** (round(math.log2(size)) - below - each) for each in range(3)]
        slopes = [slope(subject, k, place, step, piece) for step in steps]
        if any(each is None for each in slopes):
            continue
        wide, middle, narrow = slopes
        coarse, fine = (4.0 * middle - wide) / 3.0, (4.0 * narrow - middle) / 3.0
        value = (16.0 * fine - coarse) / 15.0
        error = largest(value - fine) / (largest(value) or 1.0)
        if error < least:
            best, least = value, error
        if least < 1e-10:
            break
    return best if least < SURE else None


def slope(subject: Subject, k: int, place: int, step: float, piece: Any) -> Any:
    ends = []
    for h in (step, -step):
        arrays = [np.array(x) if j == k else x for j, x in enumerate(subject.arrays)]
        arrays[k].flat[place] += h
        try:
            outputs, there = subject.evaluate(*arrays)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            return None
        if there != piece:
            return None
        ends.append(flat([np.asarray(y, np.float64) for y in outputs]))
    difference = (ends[0] - ends[1]) / (2.0 * step)
    return difference if np.isfinite(difference).all() else None


def flat(arrays: Arrays) -> np.ndarray:
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def largest(a: np.ndarray) -> float:
    return float(np.max(np.abs(a), initial=0.0))


def distance(left: Any, right: np.ndarray) -> float:
    """How far two arrays are apart where the right one is known; inf where they cannot be compared."""
    left = np.asarray(left)
    known = ~np.isnan(right)
    if left.shape != right.shape or not known.any():
        return math.inf
    off = largest(left[known] - right[known])
    return off if math.isfinite(off) else math.inf
