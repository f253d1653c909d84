"""Differences at many steps, and the steps that agree.

Three steps in a row give, by Richardson's extrapolation, values of rising order; the last two differ by more than
what the last one cuts off. That, and the noise over the step, is a rung's error bar. Small steps carry noise, wide
ones cut off too much or cross a kink: going up from the smallest, rungs are believed as long as their bars have a
number in common (Lepskii's principle), and of those the one with the smallest bar is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.numerics.line import Line, Slope
from tinygrad_edu.numerics.noise import measured_noise, stair_height
from tinygrad_edu.tree import flatten

__all__ = [
    "Estimate",
    "adjudicate",
    "agrees_elsewhere",
    "directional_derivative",
    "is_alone",
    "octave",
    "one_sided_derivatives",
    "triple",
]

FINEST = 46  # octaves below x, where steps begin: a sine of 10^12 turns within 10^-12 of it
RUNGS = 50  # above x, at most; further apart where the range is wider
ODD = 758767 / 2**20  # times a power of two: no period that x counts in divides a step, and 20 bits keep x + h exact
NEARLY = 0.01  # two runs that differ by less than this part mean the same slope
SUDDEN = 64.0  # times more than the step grows, from one rung to the next
LEAST, MOST = -1060, 1021  # powers of two: smaller steps may be rounded to 0, wider ones overflow
SLOW = 0.75  # of the ratio by which differences shrink from step to step, if f is smooth
BELOW = 2.0**-64  # of φ: a level of noise below this is nothing beside what φ rounds
CREDIBLE = 5  # rungs in a row that agree: fewer may agree by accident


class Estimate(NamedTuple):
    """A derivative, a bound on how far off it may be (inf where no step gave a number), the step, calls of f."""

    value: float
    error: float
    step: float = math.nan
    evaluations: int = 0


NOTHING = Estimate(math.nan, math.inf)


def extrapolated(slopes: Sequence[Slope], step: float, shrink: tuple[float, float]) -> Estimate:
    """From slopes at steps widest first, each half of the last: two terms of the error are cut, which shrink so."""
    wide, middle, narrow = (slope.value for slope in slopes)
    first, second = shrink
    coarse = (first * middle - wide) / (first - 1.0)
    fine = (first * narrow - middle) / (first - 1.0)
    value = (second * fine - coarse) / (second - 1.0)
    error = abs(value - fine)
    if abs(wide - middle) < SLOW * first * abs(middle - narrow):  # not the powers that were cut: f'' jumps close by
        error = max(error, 2.0 * abs(middle - narrow))
    error += 2.0 * slopes[-1].noise
    return Estimate(value, error, step) if math.isfinite(error) else NOTHING


def triple(line: Line, step: float) -> Estimate:
    """The central estimate from steps `step`, its half and its quarter; NOTHING where one is no good."""
    slopes = [line.central(step / 2.0**k) for k in range(3)]
    if None in slopes:
        return NOTHING
    return extrapolated(slopes, step / 4.0, (4.0, 16.0))  # type: ignore[arg-type]


def side(line: Line, step: float) -> Estimate:
    """The one-sided estimate; a negative step looks to the left. Its three points lie in one piece."""
    ends = [step / 2.0**k for k in range(3)]
    points = [line.at(h) for h in ends]
    if any(point is None for point in points) or len({point.piece for point in points if point is not None}) > 1:
        return NOTHING
    slopes = [line.slope(min(h, 0.0), max(h, 0.0)) for h in ends]
    if None in slopes:
        return NOTHING
    return extrapolated(slopes, ends[-1], (2.0, 4.0))  # type: ignore[arg-type]


def steps_of(line: Line) -> list[float]:
    """From a few units in the last place of |x| to max(1, |x|), over |v|, by powers of two.

    Where x is tiny it is a long way from there to 1: then the steps wider than x are further apart.
    """
    unit, top = min(math.floor(math.log2(line.unit)), MOST), min(math.ceil(math.log2(line.top)), MOST)
    stride = 1 + (top - unit) // RUNGS
    octaves = [*range(max(unit - FINEST, LEAST), unit + 1), *range(max(unit, LEAST) + stride, top + 1, stride)]
    return [ODD * 2.0**k for k in octaves]


def octave(line: Line, below: int) -> float:
    """The step so many octaves below the line's unit."""
    return ODD * 2.0 ** max(round(math.log2(line.unit)) - below, LEAST)


def is_alone(line: Line) -> bool:
    """Has x a piece of its own, as at a kink? Then no difference across it says anything, whatever the precision."""
    if line.piece is None:
        return False
    ends = (line.at(h) for step in steps_of(line) for h in (step, -step))
    return not any(point is not None and point.piece == line.piece for point in ends)


def agreeing(rungs: Sequence[Estimate]) -> list[list[Estimate]]:
    """The runs of neighbouring rungs, smallest step first, whose bars have a number in common.

    A run also ends where the bar shrinks at once: noise falls as steps grow, no faster. So it does where f runs past a
    pole, and what lies beyond says nothing about x.
    """
    runs: list[list[Estimate]] = []
    low, high, last = math.inf, -math.inf, NOTHING._replace(error=0.0)
    for rung in rungs:
        if not math.isfinite(rung.error):
            continue
        low, high = max(low, rung.value - rung.error), min(high, rung.value + rung.error)
        sudden, last = last.error > SUDDEN * rung.error * abs(rung.step / last.step), rung
        if low > high or sudden:
            runs.append([])
            low, high = rung.value - rung.error, rung.value + rung.error
        runs[-1].append(rung)
    return runs


def credible(rungs: Sequence[Estimate]) -> tuple[Estimate, bool]:
    """The best rung of the first run that is long enough, or of the longest; and whether others contradict it.

    They do below it, and above it where another run that is long or as sharp gives nearly the same: both then carry
    more noise than known.
    """
    runs = agreeing(rungs)
    if not runs:
        return NOTHING, False
    chosen = next((run for run in runs if len(run) >= CREDIBLE), max(runs, key=len))
    best = best_of(chosen)
    others = [(best_of(run), len(run) >= CREDIBLE) for run in runs if run is not chosen]
    weighty = [other for other, is_long in others if is_long or other.error <= 2.0 * best.error]
    contradicted = runs[0] is not chosen or any(abs(r.value - best.value) < NEARLY * abs(best.value) for r in weighty)
    if len(chosen) < CREDIBLE and len(rungs) > CREDIBLE:
        return best._replace(error=math.inf), contradicted  # so few may agree by accident
    return best, contradicted


def best_of(run: Sequence[Estimate]) -> Estimate:
    return min(run, key=lambda rung: rung.error)


def agrees_elsewhere(line: Line, claimed: float, slack: float) -> bool:
    """Is there a long run of steps, not the smallest, that agrees with the claim? Then f is rough at small scales."""
    rungs = [triple(line, step) for step in steps_of(line)]
    best = [best_of(run) for run in agreeing(rungs) if len(run) >= CREDIBLE]
    return any(abs(claimed - rung.value) <= 4.0 * rung.error + slack for rung in best)


def adjudicate(line: Line, sign: float = 0.0) -> Estimate:
    """The derivative at x from all steps, with its error bar: central, or (sign ±1) from one side.

    Small steps that contradict each other show more noise than was measured, and the bars are widened until they do
    not; small steps that agree far better than their bars show less, and the bars are narrowed.
    Costs about 100 evaluations, those that the line has made already not counted twice.
    """
    line.level = measured_noise(line, sign)
    size = line.widest
    steps = steps_of(line)

    def climb() -> list[Estimate]:
        return [side(line, sign * step) if sign else triple(line, step) for step in steps]

    rungs = climb()
    while line.level > BELOW * size and calm(rungs):
        line.level /= 32.0
        rungs = climb()
    raised = 0
    while raised < 16:
        best, contradicted = credible(rungs)
        stair = stair_height(line, sign or 1.0) if best.value == 0.0 and any(rung.value for rung in rungs) else 0.0
        if not contradicted and math.isfinite(best.error) and stair <= line.level:
            break
        line.level = max(stair, 8.0 * line.level, 2.0**-52 * size)
        rungs, raised = climb(), raised + 1
    if raised:  # they may have agreed by luck
        line.level *= 4.0
        rungs = climb()
    return credible(rungs)[0]._replace(evaluations=line.evaluations)


def calm(rungs: Sequence[Estimate]) -> bool:
    """Do the smallest steps, all of them, differ by less than a hundredth of their bars?"""
    few = [rung for rung in rungs if math.isfinite(rung.error)][:8]
    pairs = list(zip(few, few[1:], strict=False))
    return len(pairs) > 6 and all(0.0 < abs(a.value - b.value) < 0.01 * (a.error + b.error) for a, b in pairs)


def along(f: Callable[..., Any], inputs: Sequence[Any], directions: Sequence[Any], cotangent: Any) -> Line:
    """The line of a function on nests, in float64."""
    xs = [np.asarray(x, np.float64) for x in inputs]
    vs = [np.asarray(v, np.float64) for v in directions]
    weights = [np.asarray(w, np.float64) for w in flatten(cotangent)[0]]
    return Line(lambda *moved: (flatten(f(*moved))[0], None), xs, vs, weights)


def directional_derivative(
    f: Callable[..., Any], inputs: Sequence[Any], directions: Sequence[Any], cotangent: Any
) -> Estimate:
    """⟨cotangent, d/dh f(x + h v)⟩ at h = 0, in float64, with its error bar.

    f takes the inputs as arrays and returns an array or a nest of arrays; cotangent has the structure of the output,
    directions (v) have the shapes of the inputs (x). About 10 calls of f where f is smooth around x, 100 where it is
    not. A kink close by costs more calls, not accuracy: steps that cross it disagree. A kink at x itself gives the
    mean of both sides. Where no step gave a finite number, value is NaN and error inf.
    """
    line = along(f, inputs, directions, cotangent)
    for below in (6, 11):
        quick = triple(line, octave(line, below))
        if quick.error <= 1e-9 * abs(quick.value):
            # A period that fits the steps would agree too; this one it does not fit.
            other = line.central(0.3 * octave(line, below))
            if other is not None and abs(other.value - quick.value) <= 0.01 * abs(quick.value):
                return quick._replace(evaluations=line.evaluations)
    return adjudicate(line)


def one_sided_derivatives(
    f: Callable[..., Any], inputs: Sequence[Any], directions: Sequence[Any], cotangent: Any
) -> tuple[Estimate, Estimate]:
    """The derivatives of h ↦ ⟨cotangent, f(x + h v)⟩ from the left and from the right of h = 0, with error bars.

    They differ at a kink: for |x| at 0 they are -1 and 1. The arguments are those of directional_derivative.
    """
    line = along(f, inputs, directions, cotangent)
    return adjudicate(line, -1.0), adjudicate(line, 1.0)
