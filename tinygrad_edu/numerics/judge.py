"""Is a claimed derivative right? Accept cheaply, reject expensively, and never pass what cannot be told.

Accept: differences at three steps, extrapolated, agree with the claim to 1e-9 and among themselves to 1e-5. A wrong
claim does so only by accident. Wide steps, then finer ones, for what turns faster. Otherwise all steps are tried
(ladder), the noise is measured, and the claim is wrong if it lies outside the error bar by more than it may itself have
rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from tinygrad_edu.numerics.ladder import NOTHING, Estimate, adjudicate, agrees_elsewhere, is_alone, octave, triple
from tinygrad_edu.numerics.line import Line, largest
from tinygrad_edu.numerics.noise import stair, stair_height
from tinygrad_edu.numerics.oracles import complex_step, longdouble_derivative

__all__ = ["AT_A_KINK", "Judgement", "Method", "Verdict", "judge"]

Verdict = Literal["ok", "wrong", "kink", "unreliable"]
Method = Literal["auto", "central", "complex", "longdouble"]

CLOSE, SMOOTH = 1e-9, 1e-5
QUICK = ((6, SMOOTH), (12, SMOOTH), (20, 5.0 * CLOSE))  # octaves below x; so fine, rounding may bring any two together
EPSILON = 2.0**-52
VAGUE = 1e-3  # an error bar above this part of the value tells nothing
NEARBY = 0.25  # of the claim: how far off a slope across one unit in the last place may be
STEADY = 1e-3  # a claim that changes by less than this part in the last digits of x is more than rounding
BROKEN = 0.05  # a claim that changes by more than this part in the last digits of x is discontinuous, not rounded
# What a signature alone can tell: relu(x) - relu(-x) is smooth at 0, and made of two kinks.
AT_A_KINK = "f is smooth here, but an operation in it is not"


class Judgement(NamedTuple):
    """What was claimed, what was measured, how far they may differ, and the verdict with a word on why."""

    claimed: float
    numeric: float
    error: float
    tolerance: float
    step: float
    evaluations: int
    verdict: Verdict
    note: str = ""


def judge(
    line: Line,
    claimed: float,
    jitter: Callable[[], float] | None = None,
    method: Method = "auto",
    in_short: bool = False,
) -> Judgement:
    """Compare `claimed` with the derivative of φ along the line.

    jitter: how much the claim itself changes when x changes in its last digits; asked only when in doubt.
    method: "central" differences; the "complex" step or "longdouble" differences, for an f that allows them; "auto" is
    central, with longdouble where central is too vague. in_short: where it is known already that something is wrong,
    what is not accepted cheaply is rejected cheaply.
    """
    if not line.is_finite:
        return told(line, claimed, NOTHING, math.inf, "unreliable", "f(x) is not finite")
    if not math.isfinite(claimed):
        return judge_infinite(line, claimed)
    digits = 64.0 * max(EPSILON, line.epsilon)  # of a function that works in float32, no claim has more than its
    floor = digits * (abs(claimed) + neighbours(line))
    if method in ("auto", "central"):
        sharpest = NOTHING
        for below, smooth in QUICK:
            quick = triple(line, octave(line, below))
            if agrees(quick, claimed, floor, smooth) and (claimed or stays_put(line)):
                return told(line, claimed, quick, floor + quick.error, "ok")
            sharpest = min(sharpest, quick, key=lambda estimate: estimate.error)
        if in_short and math.isfinite(sharpest.error):
            allowed = floor + sharpest.error
            return told(line, claimed, sharpest, allowed, "wrong", "in short: others here are wrong in full")
    best = best_estimate(line, method)
    floor += digits * natural_scale(line)
    if method in ("complex", "longdouble") and math.isinf(best.error):
        note = {"complex": "f is not analytic, or takes no complex arrays", "longdouble": "f loses longdouble"}[method]
        return told(line, claimed, best, math.inf, "unreliable", note)
    allowed = best.error + floor
    if math.isfinite(allowed):
        off = abs(claimed - best.value)
        if off <= allowed:
            sharp = best.error + digits * abs(claimed)  # closer than the size of f's terms asks for
            vague = too_vague(sharp if off <= sharp else allowed, claimed, best, line, jitter)
            note = "the error bar is too wide to tell" if vague else ""
            return told(line, claimed, best, allowed, "unreliable" if vague else "ok", note)
    if not line.can_move:
        return told(line, claimed, best, allowed, "unreliable", "x is not finite here")
    found = judge_sides(line, claimed, best, allowed, floor, jitter)
    if found.verdict == "wrong" and jitter is not None and 4.0 * jitter() > BROKEN * abs(claimed):
        if turns_in_the_last_digits(line, claimed):
            return told(line, claimed, best, allowed, "unreliable", "f turns around within the last digits of x")
    return found


def neighbours(line: Line) -> float:
    """The largest slope beside the one that is asked for: as they may cancel, its last digits are the other's too.

    Or the largest change that goes with a change of x by its own size, if that is less: among elements of 1e300 and of
    1e-300 the slopes alone tell nothing.
    """
    gradient = line.gradient or []
    slopes = largest(gradient) * line.reach
    with np.errstate(all="ignore"):
        changes = largest([g * x for g, x in zip(gradient, line.xs, strict=bool(gradient))])
        parts = [np.abs(v[v != 0] / x[v != 0]) for v, x in zip(line.vs, line.xs, strict=True)]
    part = max([float(np.max(each, initial=0.0)) for each in parts], default=0.0)
    return min(slopes, changes * part) if changes and math.isfinite(changes * part) else slopes


def natural_scale(line: Line) -> float:
    """The size of φ's terms over the size of x: what a derivative is as big as, if nothing cancels."""
    return line.magnitude / line.top


def agrees(quick: Estimate, claimed: float, floor: float, smooth: float) -> bool:
    size = max(abs(claimed), abs(quick.value))
    return abs(claimed - quick.value) <= max(CLOSE * size, floor) and quick.error <= max(smooth * size, floor)


def stays_put(line: Line) -> bool:
    """Does f not move either when x moves far? A slope of 0 seen at small steps may be a slope below rounding."""
    line.at(0.37 * line.top)
    return not line.moves_at_all


def best_estimate(line: Line, method: Method) -> Estimate:
    if method == "complex":
        return complex_step(line)
    if method == "longdouble":
        return longdouble_derivative(line)
    if is_alone(line):
        return NOTHING
    central = adjudicate(line)
    if method == "auto" and not central.error <= VAGUE * abs(central.value):
        return min(central, longdouble_derivative(line), key=lambda estimate: estimate.error)
    return central


def too_vague(
    allowed: float, claimed: float, best: Estimate, line: Line, jitter: Callable[[], float] | None = None
) -> bool:
    """Would the tolerance let a wrong value pass? A zero is known as well as rounding lets any zero be known.

    What a gradient of zero rounds to changes with the last digits of x; a claim that does not is no such zero.
    """
    size, slopes = max(abs(claimed), abs(best.value)), largest(line.gradient or []) * line.reach
    if size <= allowed and abs(best.value) <= 2.0 * best.error:
        steady = bool(claimed) and jitter is not None and 0.0 < jitter() < STEADY * abs(claimed)
        if not steady:
            return not allowed <= 1e-9 * max(line.widest / line.top, slopes)
    return allowed > VAGUE * max(size, slopes)


def judge_infinite(line: Line, claimed: float) -> Judgement:
    """inf is right where one side's slope grows without end, -inf where it falls; NaN never is."""
    ends: list[float] = []
    for sign in (1.0, -1.0):
        steps = [sign * octave(line, below) for below in (10, 20, 30, 40)]
        slopes = [line.slope(min(h, 0.0), max(h, 0.0)) for h in steps]
        values = [math.nan if slope is None else slope.value for slope in slopes]
        rises = [math.copysign(1.0, values[-1]) * (b - a) for a, b in pairwise(values)]
        # As fast as a logarithm or faster; towards a slope that is finite they shrink.
        if all(b > 0.5 * a > 0.0 for a, b in pairwise(rises)) and rises[-1] > BROKEN * abs(values[-1]):
            ends.append(math.copysign(math.inf, values[-1]))
    if claimed in ends:
        return told(line, claimed, NOTHING, math.inf, "kink", "the slope is infinite here, as claimed")
    best = adjudicate(line)
    if ends and not math.isnan(claimed):
        return told(line, claimed, best, best.error, "wrong", f"the slope grows to {ends[0]}")
    sides = adjudicate(line, -1.0), adjudicate(line, 1.0)
    found = min(best, *sides, key=lambda estimate: estimate.error)
    if math.isfinite(found.error) and not np.isnan(line.magnitude):
        return told(line, claimed, found, found.error, "wrong", "not finite, where f has a slope")
    return told(line, claimed, best, best.error, "unreliable", "neither the claim nor any difference is finite")


def judge_sides(
    line: Line, claimed: float, best: Estimate, allowed: float, floor: float, jitter: Callable[[], float] | None
) -> Judgement:
    """The claim is off the central value: at a kink it may be, as long as it lies between the two sides."""
    if math.isfinite(best.error) and not bends(line, best.step):
        return judge_rough(line, claimed, best, allowed, floor, jitter)
    left, right = adjudicate(line, -1.0), adjudicate(line, 1.0)
    finite = [each for each in (left, right) if math.isfinite(each.error)]
    slopes = f"slopes {left.value:.6g} from the left, {right.value:.6g} from the right"
    if len(finite) == 2:
        bars = left.error + right.error
        sizes = abs(left.value) + abs(right.value)
        if abs(left.value - right.value) > 2.0 * bars + 1e-6 * sizes:
            slack = bars + floor + (allowed - best.error if math.isfinite(allowed) else 0.0)
            between = min(left.value, right.value) - slack <= claimed <= max(left.value, right.value) + slack
            return told(line, claimed, best, allowed, "kink" if between else "wrong", slopes)
        if not math.isfinite(best.error):  # a place with a signature of its own, through which φ is smooth
            best = min(finite, key=lambda estimate: estimate.error)
            allowed = bars + floor
            agreed = abs(claimed - best.value) <= allowed
            return told(line, claimed, best, allowed, "ok" if agreed else "wrong", "" if agreed else AT_A_KINK)
    elif len(finite) == 1 and abs(claimed - finite[0].value) <= finite[0].error + floor:
        only = finite[0]
        return told(line, claimed, only, only.error + floor, "kink", "right on one side; f jumps, or ends here")
    if not math.isfinite(best.error):
        return told(line, claimed, best, allowed, "unreliable", "no steps agree with each other")
    return judge_rough(line, claimed, best, allowed, floor, jitter)


def bends(line: Line, step: float) -> bool:
    """Do the slopes of both sides part at x? At a kink they differ by as much at a finer step; if smooth, by less."""
    gaps = []
    for h in (step, step / 16.0):
        left, right = line.slope(-h, 0.0), line.slope(0.0, h)
        if left is None or right is None:
            return True
        gaps.append((abs(right.value - left.value), left.noise + right.noise))
    (wide, _), (narrow, noise) = gaps
    return narrow > 0.25 * wide + 4.0 * noise


def judge_rough(
    line: Line, claimed: float, best: Estimate, allowed: float, floor: float, jitter: Callable[[], float] | None
) -> Judgement:
    """The last word where f is smooth: may the claim, or f itself, be rounded by that much?"""
    if jitter is not None:  # what the claim itself rounds, where f is ill-conditioned
        rounded = 4.0 * jitter()
        if rounded <= BROKEN * max(abs(claimed), abs(best.value)):
            allowed, floor = allowed + rounded, floor + rounded
        if abs(claimed - best.value) <= allowed and not too_vague(allowed, claimed, best, line, jitter):
            return told(line, claimed, best, allowed, "ok")
    if allowed > VAGUE * max(abs(claimed), abs(best.value)) and abs(claimed - best.value) <= 10.0 * allowed:
        return told(line, claimed, best, allowed, "unreliable", "the error bar is too wide to tell")
    if claimed and agrees_elsewhere(line, claimed, floor):
        return told(line, claimed, best, allowed, "unreliable", "right at wide steps only: f is rough at small ones")
    jump, still = stair(line)
    flat = abs(best.value) <= VAGUE * abs(claimed)  # in longdouble f's last digit may be taken for a slope
    seen = max(still, abs(best.step))  # from that far off, f is seen to stand still
    if jump and (claimed == 0.0 < stair_height(line) or flat and abs(claimed) * seen <= jump):
        return told(line, claimed, best, allowed, "unreliable", "f stands still around x and moves in jumps beyond")
    if not line.moves_at_all and abs(claimed) * line.top <= EPSILON * largest(line.weights) * largest(line.xs):
        return told(line, claimed, best, allowed, "unreliable", "f stands still, and the claim is below its last digit")
    return told(line, claimed, best, allowed, "wrong")


def turns_in_the_last_digits(line: Line, claimed: float) -> bool:
    """Is the claim the slope between neighbouring floats, though the next float has another? Or does f jump there?"""
    step = line.unit * EPSILON
    slope, behind, ahead = line.central(step), line.at(-step), line.at(step)
    if slope is None or behind is None or ahead is None:
        return False
    if max(abs(behind.rise), abs(ahead.rise)) > BROKEN * line.widest:
        return True
    return abs(slope.value - claimed) <= NEARBY * abs(claimed) and EPSILON * line.moving < NEARBY * abs(claimed) * step


def told(line: Line, claimed: float, found: Estimate, allowed: float, verdict: Verdict, note: str = "") -> Judgement:
    if verdict == "wrong" and line.moves_what_is_not_finite:
        verdict, note = "unreliable", "an output that depends on this is not finite at x: its slope cannot be measured"
    return Judgement(claimed, found.value, found.error, allowed, found.step, line.evaluations, verdict, note)
