"""How uneven the values of a function are, where rounding bounds say too little.

Differences of high order of a smooth function on a fine grid vanish; what stays is its noise. After J. J. Moré and
S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33 (2011).
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from tinygrad_edu.numerics.line import Line

__all__ = ["measured_noise", "stair", "stair_height"]

POINTS = 8  # on both sides of x, and never x itself: where f runs past a pole, x is the one that stands out
GRIDS = (46, 38, 30, 22, 15)  # spacings, as powers of ½ of the line's unit
FLAT = 8.0  # orders that measure noise, not slope, agree within this factor
COARSE = 2.0**-9  # stairs lower than this part of φ are rounding in a narrower float; higher ones are f's own
SAFE = 4.0  # a level is a standard deviation; a difference may catch several of them
SAME = 16.0  # so do two grids, and by less than the root of what their spacings part: at a kink they part as these do


def measured_noise(line: Line, sign: float = 0.0) -> float:
    """The noise of φ around x, or on one side of it; 0 where no two grids agree on one.

    A function that computes in float32 looks constant on the finest grids, hence several. One whose rounding comes from
    an elimination looks exact on a grid that its last digits happen to fit, hence any two.
    """
    size = line.magnitude or line.widest  # where f runs past a pole, what lies beyond it is larger
    spacings = sorted({unit * 2.0**-k for unit in (line.unit, line.top) for k in GRIDS} - {0.0})
    levels = [(spacing, noise_on_grid(line, spacing, sign, size)) for spacing in spacings]
    found = [0.0]
    for (fine, low), (coarse, high) in combinations(levels, 2):
        if 0.0 < max(low, high) < min(SAME, math.sqrt(coarse / fine)) * min(low, high):
            found.append(max(low, high))
    return SAFE * max(found)


def noise_on_grid(line: Line, spacing: float, sign: float, size: float) -> float:
    """0 where the grid shows no noise: it is not smooth or not finite there, or the function moves too fast."""
    first = 1.0 if sign else 0.5 - POINTS / 2
    points = [line.at((sign or 1.0) * (first + k) * spacing) for k in range(POINTS)]
    whole = [point for point in points if point is not None]
    if len(whole) < POINTS or len({point.piece for point in whole}) > 1:
        return 0.0
    values = np.array([float(point.rise) for point in whole])
    # A grid on which φ changes by a quarter of its size shows the function, not its noise.
    if not np.isfinite(values).all() or np.ptp(values) > 0.25 * size:
        return 0.0
    levels, table = [], values
    for order in range(1, POINTS - 1):
        table = table[1:] - table[:-1]
        scale = math.factorial(order) ** 2 / math.factorial(2 * order)
        alternates = table.min() < 0.0 < table.max()
        levels.append(math.sqrt(scale * float((table * table).mean())) if alternates else math.inf)
        three = levels[-3:]
        if order > 2 and 0.0 < min(three) and max(three) < FLAT * min(three):
            return three[0]
    return 0.0


def stair_height(line: Line, sign: float = 1.0) -> float:
    """The height of the stair that x lies on, if it is more than float64 rounds: f computes in a narrower float."""
    jump = stair(line, sign)[0]
    return jump if jump > 8.0 * 2.0**-52 * line.widest else 0.0


def stair(line: Line, sign: float = 1.0) -> tuple[float, float]:
    """How far φ jumps where it first moves, seen from x, and how far off that is: found by bisection.

    (0, 0) where it starts to move smoothly. A function that computes in a narrower float, or cancels, stands still for
    a while and then jumps by its last digit. A jump that is not small beside φ is f's own, like that of floor.
    """
    still = moved = 0.0
    for h in sorted((h for h in line.points if h * sign > 0.0), key=abs):
        point = line.points[h]
        if point is None:
            return 0.0, 0.0
        moved = h
        if point.rise:
            break
        still = h
    if not still or still == moved:
        return 0.0, 0.0
    jumps = [0.0]
    for _ in range(24):
        middle = 0.5 * (still + moved)
        point = line.at(middle)
        if point is None:
            return 0.0, 0.0
        rise = abs(float(point.rise))
        still, moved = (still, middle) if rise else (middle, moved)
        jumps.append(rise or jumps[-1])
    jump = jumps[-1]
    # Not a kink, from which a function rises ever less as one comes near.
    is_stair = jump > 0.5 * jumps[12] and jump < COARSE * line.widest
    return (jump, abs(moved)) if is_stair else (0.0, 0.0)
