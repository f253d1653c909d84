"""A function along a line: h ↦ f(x + h v), evaluated once at each h, differenced before it is projected.

Outputs are differenced first and weighted by the cotangent after, so an output that stays put adds no noise. Two
points count as neighbours only if f ran through the same smooth piece at both, where f can tell (its signature).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Line", "Point", "Slope"]

# f on flat arrays: its outputs as a list, and the signature of the smooth piece it ran through (None: unknown).
Evaluate = Callable[..., tuple[list[Any], Hashable]]


class Point(NamedTuple):
    """f at one place of the line."""

    outputs: list[np.ndarray]
    piece: Hashable


class Slope(NamedTuple):
    """A difference quotient at one step, and the rounding it carries."""

    value: float
    noise: float


class Line:
    """f along x + h v, seen through the cotangent w: φ(h) = ⟨w, f(x + h v)⟩.

    evaluate: takes the inputs as arrays, returns (outputs, piece). xs, vs: the inputs and the direction, of equal
    shapes. weights: one for each output. gradient: what is claimed to be ∂φ/∂x, in the shapes of xs; if given, what
    x + h v rounds is taken out to first order, else it is counted as noise.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        xs: Sequence[np.ndarray],
        vs: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        gradient: Sequence[np.ndarray] | None = None,
        base: Point | None = None,
    ) -> None:
        self.evaluate, self.xs, self.vs, self.gradient = evaluate, list(xs), list(vs), gradient
        self.weights = list(weights)
        self.points: dict[float, Point | None] = {}
        self.evaluations = 0
        self.level = 0.0  # noise of φ, where it was measured to be above what rounding explains
        self.widest = 0.0  # Σ |w y|, the largest met so far
        self.moves: list[np.ndarray] = []  # which outputs were ever seen to move: the others add no noise
        if base is not None:
            self.points[0.0] = base
        self.size = largest([np.where(v != 0, x, 0.0) for x, v in zip(self.xs, self.vs, strict=True)])
        self.reach = largest(self.vs) or 1.0
        start = self.at(0.0)
        if base is not None:
            self.notice(base)
        # What the outputs count their last digits in: a function that works in float32 is as rough as float32.
        self.epsilon = max([epsilon_of(y) for y in start.outputs], default=0.0) if start else 0.0
        self.magnitude = self.widest  # Σ |w y| at x: the size of φ's terms

    @property
    def unit(self) -> float:
        """The step that moves the largest input element which moves at all by its own size (by 1 if that is 0)."""
        return (self.size or 1.0) / self.reach

    @property
    def top(self) -> float:
        """The widest step worth trying: the unit, or a change by 1 where x is smaller than that."""
        return max(self.size, 1.0) / self.reach

    def at(self, h: float) -> Point | None:
        """f at x + h v; None where f raised a floating-point or domain error."""
        if h not in self.points:
            self.evaluations += 1
            moved = [x if h == 0.0 else x + h * v for x, v in zip(self.xs, self.vs, strict=True)]
            try:
                with np.errstate(all="ignore"):
                    outputs, piece = self.evaluate(*moved)
            except (ArithmeticError, ValueError, np.linalg.LinAlgError):
                if h == 0.0:
                    raise
                self.points[h] = None
            else:
                self.points[h] = point = Point([np.asarray(y) for y in outputs], piece)
                self.notice(point)
        return self.points[h]

    def notice(self, point: Point) -> None:
        """Keep account of which outputs move, and how large the terms of φ are."""
        base = self.points.get(0.0) or point
        if [y.shape for y in point.outputs] != [y.shape for y in base.outputs]:
            return
        moved = [(y != start) & (w != 0) for w, y, start in zip(self.weights, point.outputs, base.outputs, strict=True)]
        self.moves = [a | b for a, b in zip(self.moves or moved, moved, strict=True)]
        self.widest = max(self.widest, weigh(self.weights, point.outputs))

    def slope(self, low: float, high: float) -> Slope | None:
        """(φ(high) - φ(low)) / (high - low); None where that is not finite.

        Across x, also None unless both ends lie in the piece of x itself. From x to one side, any piece will do: at a
        kink x has a piece of its own.
        """
        base, ahead, behind = self.at(0.0), self.at(high), self.at(low)
        if base is None or ahead is None or behind is None:
            return None
        if low and high and not base.piece == ahead.piece == behind.piece:
            return None
        rise, rounding = self.rise(behind, ahead)
        width = high - low
        if not np.isfinite(rise):
            return None
        drift, unknown = self.drift(low, high)
        value = (rise - drift) / width
        noise = (max(rounding, self.level) + unknown * abs(rise)) / width
        return Slope(value, noise)

    def rise(self, behind: Point, ahead: Point) -> tuple[float, float]:
        """⟨w, ahead - behind⟩ and what its terms round; NaN where an output that moved is not finite."""
        total = rounding = 0.0
        with np.errstate(all="ignore"):
            for w, low, high, moves in zip(self.weights, behind.outputs, ahead.outputs, self.moves, strict=True):
                if low.shape != high.shape:
                    return np.nan, np.inf
                change = np.where((low != high) & (w != 0), high - low, 0) * w
                total += float(np.sum(change))
                ends = np.where(moves, np.abs(w) * np.maximum(np.abs(low), np.abs(high)), 0)
                rounding += float(np.sum(ends)) * self.epsilon + float(np.sum(np.abs(change))) * 2.0**-52
        return total, rounding

    def drift(self, low: float, high: float) -> tuple[float, float]:
        """What x + h v rounded: its effect by the claimed gradient, or else a bound relative to the rise."""
        if self.gradient is None:
            return 0.0, 2.0**-52 * self.size / (self.reach * max(abs(low), abs(high)))
        effect = 0.0
        for x, v, g in zip(self.xs, self.vs, self.gradient, strict=True):
            off = ((x + high * v) - (x + low * v)) - (high - low) * v
            if np.any(off):
                effect += float(np.sum(np.where(off != 0, g * off, 0.0)))
        return (effect, 0.0) if np.isfinite(effect) else (0.0, 0.0)

    def central(self, h: float) -> Slope | None:
        return self.slope(-h, h)


def largest(arrays: Sequence[np.ndarray]) -> float:
    """The largest finite absolute value, 0 if there is none."""
    sizes = [float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))) for a in arrays]
    return max(sizes, default=0.0)


def weigh(weights: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> float:
    """Σ |w y| over what is finite: the size that φ's terms have."""
    total = 0.0
    with np.errstate(all="ignore"):
        for w, y in zip(weights, outputs, strict=True):
            terms = np.abs(w * y)
            total += float(np.sum(np.where(np.isfinite(terms), terms, 0.0)))
    return total


def epsilon_of(y: np.ndarray) -> float:
    return float(np.finfo(y.dtype).eps) if y.dtype.kind in "fc" else 0.0
