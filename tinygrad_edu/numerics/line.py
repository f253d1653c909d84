"""A function along a line: h ↦ f(x + h v), evaluated once at each h, differenced before it is projected.

Outputs are differenced from f(x) first and weighted by the cotangent after, so an output that stays put adds no noise,
and nothing but a few numbers is kept of each point. Two points count as neighbours only if f ran through the same
smooth piece at both, where f can tell (its signature).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Line", "Point", "Slope", "largest", "weigh"]

GROWTH = 32.0  # at most, of measured noise

# f on flat arrays: its outputs as a list, and the signature of the smooth piece it ran through (None: unknown).
Evaluate = Callable[..., tuple[list[Any], Hashable]]


class Point(NamedTuple):
    """φ at one place of the line, seen from x.

    rise: φ(h) - φ(0); NaN where an output that moved is not finite. sway: Σ |w (y(h) - y(0))|. piece: the signature.
    """

    rise: Any
    sway: float
    piece: Hashable


class Slope(NamedTuple):
    """A difference quotient at one step, and the rounding it carries."""

    value: float
    noise: float


class Chord(NamedTuple):
    """A difference quotient, the larger sway of its ends, their distance, and what of its rise is rounding of x."""

    value: float
    sway: float
    width: float
    unknown: float


class Line:
    """f along x + h v, seen through the cotangent w: φ(h) = ⟨w, f(x + h v)⟩.

    evaluate: takes the inputs as arrays, returns (outputs, piece). xs, vs: the inputs and the direction, of equal
    shapes. weights: one for each output. gradient: what is claimed to be ∂φ/∂x, in the shapes of xs; if given, what
    x + h v rounds is taken out to first order, else it is counted as noise. base: what evaluate(*xs) returns, if known.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        xs: Sequence[np.ndarray],
        vs: Sequence[np.ndarray],
        weights: Sequence[np.ndarray],
        gradient: Sequence[np.ndarray] | None = None,
        base: tuple[list[Any], Hashable] | None = None,
    ) -> None:
        self.evaluate, self.xs, self.vs, self.gradient = evaluate, list(xs), list(vs), gradient
        self.weights = list(weights)
        self.points: dict[float, Point | None] = {}
        self.chords: dict[tuple[float, float], Chord | None] = {}
        self.evaluations = 0
        self.level = 0.0  # noise of φ, where it was measured to be above what rounding explains
        self.size = largest([np.where(v != 0, x, 0.0) for x, v in zip(self.xs, self.vs, strict=True)])
        self.reach = largest(self.vs) or 1.0
        if base is None:
            self.evaluations += 1
            with np.errstate(all="ignore"):
                base = evaluate(*self.xs)
        self.outputs, self.piece = [np.asarray(y) for y in base[0]], base[1]
        self.shapes = [y.shape for y in self.outputs]
        # What the outputs count their last digits in: a function that works in float32 is as rough as float32.
        self.epsilon = max([epsilon_of(y) for y in self.outputs], default=0.0)
        self.magnitude = self.widest = weigh(self.weights, self.outputs)  # Σ |w y| at x, and the largest met so far
        self.moves = [np.zeros(y.shape, bool) for y in self.outputs]  # outputs seen to move: the others add no noise
        self.moving = 0.0  # Σ |w y| over those
        self.counted = [w != 0 for w in self.weights]
        self.moved = [moved_part(*each) for each in zip(self.xs, self.vs, gradient or [], strict=gradient is not None)]
        self.points[0.0] = Point(0.0, 0.0, self.piece)

    @property
    def unit(self) -> float:
        """The step that moves the largest input element which moves at all by its own size (by 1 if that is 0)."""
        return (self.size or 1.0) / self.reach

    @property
    def top(self) -> float:
        """The widest step worth trying: the unit, or a change by 1 where x is smaller than that."""
        return max(self.size, 1.0) / self.reach

    @property
    def moves_at_all(self) -> bool:
        return any(bool(np.any(moves)) for moves in self.moves)

    @property
    def moves_what_is_not_finite(self) -> bool:
        """Is an output inf or NaN at x that was seen to be another number elsewhere? What it moves by, nobody knows."""
        return any(bool(np.any(m & ~np.isfinite(y))) for m, y in zip(self.moves, self.outputs, strict=True))

    @property
    def is_finite(self) -> bool:
        """Is any output that counts finite at x? Where none counts, there is nothing that is not."""
        counted = [y[w != 0] for w, y in zip(self.weights, self.outputs, strict=True)]
        return any(np.isfinite(y).any() for y in counted) or not any(y.size for y in counted)

    @property
    def can_move(self) -> bool:
        """Is any element that the direction moves finite? From infinity no step leads anywhere."""
        return any(bool(np.any(np.isfinite(x) & (v != 0))) for x, v in zip(self.xs, self.vs, strict=True))

    def at(self, h: float) -> Point | None:
        """φ at x + h v; None where f raised, or changed its shape."""
        if h not in self.points:
            self.evaluations += 1
            try:
                with np.errstate(all="ignore"):
                    outputs, piece = self.evaluate(*[x + h * v for x, v in zip(self.xs, self.vs, strict=True)])
                    self.points[h] = self.seen([np.asarray(y) for y in outputs], piece)
            except Exception:  # f does not take what lies there, and says so in its own way
                self.points[h] = None
        return self.points[h]

    def seen(self, outputs: list[np.ndarray], piece: Hashable) -> Point | None:
        """What is kept of a point; also takes account of which outputs move."""
        if [y.shape for y in outputs] != self.shapes:
            return None
        rise: Any = 0.0
        sway, news = 0.0, False
        for w, counts, y, start, moves in zip(
            self.weights, self.counted, outputs, self.outputs, self.moves, strict=True
        ):
            moved = (y != start) & counts
            count = np.count_nonzero(moved)  # a fraction of what any() costs
            if count:
                change = w * (y - start)
                if count < moved.size:
                    change = np.where(moved, change, 0)
                rise = rise + np.add.reduce(change, axis=None)
                sway += float(np.add.reduce(np.abs(change), axis=None))
                if np.count_nonzero(moved > moves):
                    moves |= moved
                    news = True
        if news:
            kept = [np.where(moves, w, 0) for moves, w in zip(self.moves, self.weights, strict=True)]
            self.moving = weigh(kept, self.outputs)
        self.widest = max(self.widest, self.magnitude + sway if math.isfinite(sway) else 0.0)
        return Point(rise, sway, piece)

    def slope(self, low: float, high: float) -> Slope | None:
        """(φ(high) - φ(low)) / (high - low); None where that is no finite number.

        Across x, also None unless both ends lie in the piece of x itself. From x to one side, any piece will do: at a
        kink x has a piece of its own.
        """
        if (low, high) not in self.chords:
            self.chords[low, high] = self.chord(low, high)
        chord = self.chords[low, high]
        if chord is None:
            return None
        value, sway, width, unknown = chord
        rounding = self.epsilon * (self.moving + sway) + 2.0**-52 * sway
        # Measured where φ is as large as at x; further on it may be larger, and so may its noise.
        growth = 1.0 + sway / self.moving if sway < (GROWTH - 1.0) * self.moving else GROWTH
        return Slope(value, (max(rounding, self.level * growth) + unknown) / width)

    def chord(self, low: float, high: float) -> Chord | None:
        """What of a slope does not depend on how noisy φ is taken to be, which changes while steps are compared."""
        ahead, behind = self.at(high), self.at(low)
        if ahead is None or behind is None or low == high:
            return None
        if low and high and not self.piece == ahead.piece == behind.piece:
            return None
        if not (np.isfinite(ahead.rise) and np.isfinite(behind.rise)):
            return None
        rise, width = float(ahead.rise - behind.rise), high - low
        drift, unknown = self.drift(low, high)
        return Chord((rise - drift) / width, max(ahead.sway, behind.sway), width, unknown * abs(rise))

    def drift(self, low: float, high: float) -> tuple[float, float]:
        """What x + h v rounded: its effect by the claimed gradient, or else a bound relative to the rise."""
        if self.gradient is None:
            return 0.0, 2.0**-52 * self.size / (self.reach * max(abs(low), abs(high)))
        effect = 0.0
        with np.errstate(all="ignore"):
            for x, v, g in self.moved:
                off = ((x + high * v) - (x + low * v)) - (high - low) * v
                effect += (g * off if off else 0.0) if type(off) is float else float(np.sum(g * off, where=off != 0))
        return effect if math.isfinite(effect) else 0.0, 0.0

    def central(self, h: float) -> Slope | None:
        return self.slope(-h, h)


def moved_part(*arrays: np.ndarray) -> tuple[Any, ...]:
    """x, v and more, where v is not 0; a single element as plain numbers: most lines move no more."""
    where = arrays[1] != 0
    parts = [a[where] for a in arrays]
    return tuple(part.item() for part in parts) if parts[0].size == 1 else tuple(parts)


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
