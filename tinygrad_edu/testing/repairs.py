"""What is wrong with a gradient, in words.

An idea counts only if it fits to 1e-6 at two drawn points, and far better than the wrong gradient fits the right one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.testing.cases import Case, distance, largest
from tinygrad_edu.testing.ideas import FAMILIES, FIT, Family, exchanged

__all__ = ["explanation"]


def explanation(cases: Sequence[Case]) -> str:
    """The one or two most plausible corrections, or "" where none fits."""
    if not all(np.isfinite(case.derived).all() for case in cases):
        return "it is not finite"
    with np.errstate(all="ignore"):
        tried, seen = next(fitting(cases, (exchanged,)), ""), next(fitting(cases, FAMILIES), "")
    return "; ".join(filter(None, (tried, seen)))


def fitting(cases: Sequence[Case], families: Sequence[Family]) -> Iterator[str]:
    for family in families:
        for sentence, left, right in family(cases):
            if fits(cases, left, right):
                yield sentence


def fits(cases: Sequence[Case], left: Sequence[Any], right: Sequence[np.ndarray]) -> bool:
    for number, (case, a, b) in enumerate(zip(cases, left, right, strict=True)):
        size = largest(b[~np.isnan(b)]) or max(largest(case.derived), largest(case.numeric[~np.isnan(case.numeric)]))
        off = 1e-3 * distance(case.derived, case.numeric)
        if number:  # only at the first point is it known to be wrong
            off = max(off, 1e-9 * size)
        if a is None or not distance(a, b) <= min(FIT * size, off):
            return False
    return True
