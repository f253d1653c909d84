"""Two further oracles, for functions that allow them: the complex step and extended precision.

The complex step takes no difference at all, Im φ(x + i h v) / h, so h may be tiny and nothing cancels; it needs f to
be analytic and to accept complex arrays (W. Squire and G. Trapp, SIAM Review 40, 1998). Extended precision needs f to
keep np.longdouble; where that is no wider than float64 it says nothing new.
"""

from __future__ import annotations

import numpy as np

from tinygrad_edu.numerics.ladder import NOTHING, Estimate, adjudicate, octave, triple
from tinygrad_edu.numerics.line import Line, weigh

__all__ = ["complex_step", "longdouble_derivative"]

TINY = 1e-20


def complex_step(line: Line) -> Estimate:
    """The derivative along the line, and its rounding; error inf where f does not take complex arrays.

    A function that is not analytic (abs, a comparison, .real) is caught by asking again along i v: Cauchy and Riemann
    want the same answer turned by a right angle.
    """
    step = TINY * line.unit
    if not step:
        return NOTHING
    with np.errstate(all="ignore"):
        try:
            ahead = line.evaluate(*[x + 1j * (step * v) for x, v in zip(line.xs, line.vs, strict=True)])[0]
        except Exception:
            return NOTHING
    line.evaluations += 1
    outputs = [np.asarray(y) for y in ahead]
    if not all(y.dtype.kind == "c" or w.size == 0 for w, y in zip(line.weights, outputs, strict=True)):
        return NOTHING
    value = sum(float(np.sum(w * y.imag)) for w, y in zip(line.weights, outputs, strict=True)) / step
    rounding = 8.0 * 2.0**-52 * weigh(line.weights, [y.imag for y in outputs]) / step
    # The real part must not have moved: it does where f took the modulus, or compared.
    same = all(np.allclose(y.real, b, rtol=1e-12, atol=0.0) for y, b in zip(outputs, line.outputs, strict=True))
    check = triple(line, octave(line, 8))
    if not same or not abs(value - check.value) <= 1e3 * check.error + 1e-4 * abs(value):
        return NOTHING
    return Estimate(value, rounding + 4.0 * 2.0**-52 * abs(value), step, line.evaluations)


def longdouble_derivative(line: Line) -> Estimate:
    """The derivative from differences in np.longdouble; error inf where f falls back to float64."""
    if np.finfo(np.longdouble).eps >= np.finfo(np.float64).eps:
        return NOTHING
    wide = [[np.asarray(a, np.longdouble) for a in arrays] for arrays in (line.xs, line.vs, line.weights)]
    try:
        finer = Line(line.evaluate, wide[0], wide[1], wide[2], line.gradient)
    except Exception:
        return NOTHING
    if any(y.dtype != np.longdouble for y in finer.outputs):
        return NOTHING
    found = adjudicate(finer)
    line.evaluations += finer.evaluations
    return found._replace(evaluations=line.evaluations)
