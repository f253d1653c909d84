"""The numbers that are drawn: decimals of few digits inside a domain, from the simple to the arbitrary.

Hypothesis draws bytes, for all elements at once. The first of two picks one of the round numbers of a domain (0.1, 0.2,
... for most), of which the simplest come first; the other says the sign, and adds up to half a step in thousandths.
Shrinking makes bytes smaller, each by itself, and so numbers rounder: 1, then whole numbers, halves, tenths. What a
report prints is what was computed with, to the last bit.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from tinygrad_edu.operation import Domain

__all__ = ["WIDTH", "from_bytes", "from_seed", "interior", "numbers"]

WIDTH = 2  # bytes for one number
NEAR, FAR = 0.05, 4.0  # from an end; from the only end, at most
REACH = 3.0  # of numbers that may be anything
SIMPLE = 8  # numbers that a large array shrinks to
STEPS = 100  # thousandths, from one round number to the next


def interior(domain: Domain) -> tuple[float, float]:
    """The closed interval that numbers are drawn from: inside the domain, away from its ends, of moderate size."""
    low, high = domain.low, domain.high
    if math.isfinite(low) and math.isfinite(high):
        margin = NEAR * (high - low)
        return low + margin, high - margin
    if math.isfinite(low):
        return low + NEAR, low + FAR
    if math.isfinite(high):
        return high - FAR, high - NEAR
    return -REACH, REACH


class Table(NamedTuple):
    """Round numbers k · 10^-digits, the simplest first; of two that differ in sign, the positive one."""

    k: np.ndarray
    digits: int
    mirrored: np.ndarray  # is -k in the domain too?


@functools.lru_cache(maxsize=256)
def table_of(domain: Domain) -> Table:
    """10 to 100 round numbers, counting both signs. Zero is none: there too many functions have a kink, or no slope."""
    low, high = interior(domain)
    digits = 3 - math.floor(math.log10(high - low))
    least, most = (end * 10.0**digits / STEPS for end in (low, high))
    k = np.arange(math.ceil(least - 1e-9), math.floor(most + 1e-9) + 1) * STEPS
    k = k[(k != 0) & domain.contains(decimal(k, digits))]
    mirrored = np.isin(-k, k)
    k, mirrored = k[(k > 0) | ~mirrored], mirrored[(k > 0) | ~mirrored]
    x = decimal(k, digits)
    needed = sum((k % 10**e != 0).astype(int) for e in range(digits, 0, -1)) if digits > 0 else np.zeros(k.shape, int)
    level = np.where((needed > 0) & (2.0 * x == np.rint(2.0 * x)), 0.5, needed)  # halves come before tenths
    order = np.lexsort((np.abs(np.log2(np.abs(x))), level))
    return Table(k[order], digits, mirrored[order])


def decimal(k: np.ndarray, digits: int) -> np.ndarray:
    """k · 10^-digits, as the floats that these decimals name."""
    return np.asarray(k / 10**digits if digits >= 0 else k * 10.0**-digits)


def numbers(domain: Domain) -> list[float]:
    """The round ones, simplest first, each with its negative where that lies in the domain."""
    table = table_of(domain)
    signs = [(1, -1) if both else (1,) for both in table.mirrored]
    k = np.array([sign * one for one, each in zip(table.k, signs, strict=True) for sign in each])
    found: list[float] = decimal(k, table.digits).tolist()
    return found


def chosen(coarse: np.ndarray, fine: np.ndarray, domain: Domain) -> np.ndarray:
    """One number for each pair of bytes, given as integers. The upper half of `fine` is negative, where it may be."""
    table = table_of(domain)
    place = coarse * table.k.size >> 8
    j = (fine & 127) * (STEPS - 1) >> 7  # 0, 1, -1, 2, -2, ... thousandths, less than half a step
    k = table.k[place] + (j + 1 >> 1) * ((j & 1) * 2 - 1)
    return decimal(np.where(table.mirrored[place] & (fine > 127), -k, k), table.digits)


def from_bytes(raw: bytes, domain: Domain) -> np.ndarray:
    """One number for each two bytes: the first half picks, the second refines; zero bytes give the simplest."""
    both = np.frombuffer(raw, np.uint8).astype(np.intp)
    return chosen(both[: both.size // WIDTH], both[both.size // WIDTH :], domain)


def from_seed(seed: int, shape: tuple[int, ...], domain: Domain) -> np.ndarray:
    """Many numbers: by a generator; seed 0 repeats the simplest few."""
    if not seed:
        return np.resize(numbers(domain)[:SIMPLE], math.prod(shape)).reshape(shape)
    coarse, fine = np.random.default_rng(seed).integers(0, 256, (2, *shape))
    return chosen(coarse, fine, domain)
