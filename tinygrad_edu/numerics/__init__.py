"""Finite differences that say how far off they may be: the judge of every derivative.

    line     f along a straight line, one evaluation for each step, and what its outputs round
    noise    how uneven the values of f are, measured where the rounding bound may be too small
    ladder   differences at many steps, extrapolated, and the steps that agree with each other
    judge    a claimed derivative against them: ok, wrong, kink or unreliable, with error bar and tolerance

    >>> import numpy as np
    >>> estimate = directional_derivative(np.sin, [np.array(1.0)], [np.array(1.0)], np.array(1.0))
    >>> abs(estimate.value - np.cos(1.0)) <= estimate.error < 1e-10
    True
"""

from tinygrad_edu.numerics.judge import Judgement, Verdict, judge
from tinygrad_edu.numerics.ladder import Estimate, directional_derivative, one_sided_derivatives
from tinygrad_edu.numerics.line import Line
from tinygrad_edu.numerics.oracles import complex_step, longdouble_derivative

__all__ = [
    "Estimate",
    "Judgement",
    "Line",
    "Verdict",
    "complex_step",
    "directional_derivative",
    "judge",
    "longdouble_derivative",
    "one_sided_derivatives",
]
