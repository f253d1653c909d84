"""One subject judged at one point: element by element where it is small, along directions of signs where it is large.

A direction that fails is halved until it names an element. At a kink the elements that are tied are moved together too:
one by one, a rule that gives every tie the full gradient would pass.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_edu.numerics import Judgement, Line, judge
from tinygrad_edu.numerics.judge import AT_A_KINK, Method
from tinygrad_edu.numerics.ladder import octave, triple
from tinygrad_edu.testing.report import Check
from tinygrad_edu.testing.subject import Arrays, Subject

__all__ = ["Checker"]

SMALL = 16  # elements of an input that are judged one by one
DIRECTIONS = 2  # along which a larger one is
ENOUGH = 2  # elements of an input that are shown to be wrong in full; the others are in short
JITTER = 4  # units in the last place
SHAKEN = 5  # times; the widest of two or three ranges may be narrow by luck


class Checker:
    """One subject at one point, under one cotangent."""

    def __init__(self, subject: Subject, weights: Arrays, method: Method, rng: np.random.Generator) -> None:
        self.subject, self.weights, self.method, self.rng = subject, weights, method, rng
        self.gradient = subject.gradients(subject.arrays, weights)
        outputs, piece = subject.evaluate(*subject.arrays)
        self.base = ([np.asarray(y) for y in outputs], piece)
        self.jittered: list[Arrays] | None = None

    def checks(self, directions: int | None, exhaustive: bool = True) -> list[Check]:
        found: list[Check] = []
        for k in self.subject.wanted:
            small = directions is None and self.subject.arrays[k].size <= SMALL
            count = DIRECTIONS if directions is None else directions
            for check in self.by_element(k) if small else self.by_direction(k, count):
                found.append(check)
                if check.verdict == "wrong" and not exhaustive:
                    return found
        return [*found, *self.at_ties([check for check in found if check.verdict == "kink"])]

    def by_element(self, k: int) -> Iterator[Check]:
        wrong = 0
        for index in np.ndindex(self.subject.arrays[k].shape):
            judgement = self.judge({k: self.unit(k, index)}, in_short=wrong >= ENOUGH)
            wrong += judgement.verdict == "wrong"
            yield Check.of(judgement, self.subject.paths[k], index, "")

    def by_direction(self, k: int, count: int) -> Iterator[Check]:
        """Signs of equal size, and signs of the size of each element, in turn: small elements hide in the first."""
        x, path = self.subject.arrays[k], self.subject.paths[k]
        size = float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) or 1.0
        for number in range(count if x.size else 0):
            signs = np.where(self.rng.random(x.shape) < 0.5, -1.0, 1.0) * np.isfinite(x)
            if number % 2:
                signs = signs * 2.0 ** (np.frexp(np.maximum(np.abs(x), 2.0**-30 * size))[1] - 1)
            judgement = self.judge({k: signs})
            if judgement.verdict == "wrong":
                found = self.located(k, signs, judgement)
                if found.index is not None or not self.is_mixed(k, judgement):
                    yield found
                    return
                judgement = judgement._replace(verdict="kink", note=f"many kinks at once; {judgement.note}")
            yield Check.of(judgement, path, None, f"along direction {number}")

    def is_mixed(self, k: int, judgement: Judgement) -> bool:
        """Many kinks that a direction runs through in both senses: no element alone was wrong, nor are all together."""
        if not judgement.note.startswith("slopes") and judgement.note != AT_A_KINK:
            return False
        return self.judge({k: np.ones(self.subject.arrays[k].shape)}).verdict != "wrong"

    def located(self, k: int, direction: np.ndarray, judgement: Judgement) -> Check:
        """Halve a direction that fails, keeping the half that is further off; name the element, or how many are left.

        Three differences tell which half it is; the element that is left is judged in full.
        """
        path, places = self.subject.paths[k], np.flatnonzero(direction)
        found, left = judgement, len(places)
        while len(places) > 1:
            halves = np.array_split(places, 2)
            lines = [self.line({k: restricted(direction, half)}) for half in halves]
            off = [abs(triple(line, octave(line, 6)).value - claimed) for line, claimed in lines]
            places = halves[int(np.argmax(np.nan_to_num(off, nan=-1.0)))]
            if len(places) == 1 or len(places) <= left // 64:
                closer = self.judge({k: restricted(direction, places)})
                if closer.verdict != "wrong":
                    break
                found, left = closer, len(places)
        if left > 1:
            return Check.of(found, path, None, f"along a direction of {left} elements")
        index = tuple(int(i) for i in np.unravel_index(places[0], direction.shape))
        return Check.of(self.judge({k: self.unit(k, index)}), path, index, "")

    def at_ties(self, kinks: Sequence[Check]) -> Iterator[Check]:
        """Elements at a kink, moved together: all of them, and those of equal value."""
        if len(kinks) < 2:
            return
        number = {path: k for k, path in enumerate(self.subject.paths)}
        places = [(number[check.path], check.index) for check in kinks if check.index is not None]
        values = np.array([self.subject.arrays[k][index] for k, index in places])
        groups = [values == value for value in np.unique(values)]
        if len(groups) > 1:
            groups.append(np.ones(len(values), bool))
        for group in groups:
            if group.sum() < 2:
                continue
            move: dict[int, np.ndarray] = {}
            for (k, index), chosen in zip(places, group, strict=True):
                if chosen:
                    move.setdefault(k, np.zeros(self.subject.arrays[k].shape))[index] = 1.0
            paths = ", ".join(self.subject.paths[k] for k in move)
            yield Check.of(self.judge(move), paths, None, f"{int(group.sum())} elements at a kink, together")

    def unit(self, k: int, index: tuple[int, ...]) -> np.ndarray:
        direction = np.zeros(self.subject.arrays[k].shape)
        direction[index] = 1.0
        return direction

    def judge(self, move: dict[int, np.ndarray], in_short: bool = False) -> Judgement:
        """Along one direction, which moves the inputs that `move` names."""
        line, claimed = self.line(move)
        found = judge(line, claimed, partial(self.jitter, move), self.method, in_short)
        alone = sum(int(np.count_nonzero(v)) for v in move.values()) == 1
        if found.verdict == "wrong" and alone and self.subject.vjp is not None and self.is_right_nearby(move, found):
            note = "right a few last digits away: a convention at a kink inside f, or a rule wrong at special points"
            return found._replace(verdict="unreliable", note=note)
        return found

    def line(self, move: dict[int, np.ndarray]) -> tuple[Line, float]:
        """The line of a direction, and the derivative that is claimed along it."""
        chosen = sorted(move)
        xs, vs, gradient = zip(*[(self.subject.arrays[k], move[k], self.gradient[k]) for k in chosen], strict=True)
        line = Line(partial(self.evaluate, chosen), xs, vs, self.weights, gradient, self.base)
        return line, self.along(self.gradient, move)

    def evaluate(self, chosen: Sequence[int], *moved: Any) -> tuple[list[Any], Any]:
        arrays = list(self.subject.arrays)
        for k, array in zip(chosen, moved, strict=True):
            arrays[k] = array
        return self.subject.evaluate(*arrays)

    def along(self, gradient: Arrays, move: dict[int, np.ndarray]) -> float:
        with np.errstate(all="ignore"):
            return float(sum(np.sum(np.where(v != 0, gradient[k] * v, 0.0)) for k, v in move.items()))

    def jitter(self, move: dict[int, np.ndarray]) -> float:
        """Over how wide a range the claim moves when the inputs move in their last digits."""
        claims = [self.along(self.gradient, move), *self.nearby(move)]
        return max(claims) - min(claims)

    def nearby(self, move: dict[int, np.ndarray]) -> list[float]:
        """What is claimed at inputs that differ in their last digits; nothing where f takes none of them."""
        if self.jittered is None:
            self.jittered = []
            for _ in range(SHAKEN):
                with np.errstate(all="ignore"), contextlib.suppress(Exception):
                    self.jittered.append(self.subject.gradients(self.shaken(), self.weights))
        return [self.along(gradient, move) for gradient in self.jittered]

    def is_right_nearby(self, move: dict[int, np.ndarray], found: Judgement) -> bool:
        """A black box does not tell its kinks: a claim that is wrong at x alone may be a convention."""
        slack = found.tolerance + 1e-3 * abs(found.claimed - found.numeric)
        nearby = self.nearby(move)
        return bool(nearby) and math.isfinite(slack) and all(abs(each - found.numeric) <= slack for each in nearby)

    def shaken(self) -> Arrays:
        """Every element moved, by up to JITTER units in its last place."""
        choices = [k for k in range(-JITTER, JITTER + 1) if k]
        return [x + np.spacing(x) * self.rng.choice(choices, x.shape) for x in self.subject.arrays]


def restricted(direction: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The direction at these places, zero elsewhere."""
    part = np.zeros(direction.size)
    part[places] = direction.ravel()[places]
    return part.reshape(direction.shape)
