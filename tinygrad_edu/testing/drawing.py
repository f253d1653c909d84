"""What strategies are made of: few draws each, since a draw costs more than what is computed with it."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.operation import REAL, Domain
from tinygrad_edu.testing.decimals import WIDTH, from_bytes, from_seed, interior

__all__ = [
    "DrawFn", "Shape", "codes", "laid_out", "ordered_shapes", "part_of", "shape_from", "spaced", "spaced_by", "values",
]  # fmt: skip

Shape: TypeAlias = tuple[int, ...]
DrawFn: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]
SMALL = 64  # elements that are drawn one by one; a generator draws those of larger arrays
SIZES = (1, 2, 3, 4)


@functools.lru_cache(maxsize=256)
def codes(count: int) -> st.SearchStrategy[bytes]:
    """Bytes, each standing for one decision: a single draw."""
    return st.binary(min_size=count, max_size=count)


def part_of(whole: Shape, code: int, least: int = 0) -> Shape:
    """A shape that broadcasts to `whole`; `whole` itself for one half of the codes."""
    if code < 128:
        return whole
    kept = whole[code % (len(whole) - least + 1) :]
    return tuple(1 if code >> (k + 2) & 1 else size for k, size in enumerate(kept))


@functools.lru_cache(maxsize=64)
def ordered_shapes(least: int, most: int, smallest: int = 1) -> tuple[Shape, ...]:
    """From the simplest; squares and cubes as often as all others together."""
    sizes = range(smallest, max(SIZES[-1], smallest + 2) + 1)
    found = [shape for ndim in range(least, most + 1) for shape in itertools.product(sizes, repeat=ndim)]
    squares = [shape for shape in found if len(set(shape)) <= 1]
    found += squares * max(1, (len(found) - len(squares)) // max(1, len(squares)))
    return tuple(sorted(found, key=lambda shape: (math.prod(shape), len(shape), shape)))


def shape_from(draw: DrawFn, shape: Any) -> Shape:
    """A shape, given as one, as a number, as a strategy, or not at all."""
    if isinstance(shape, st.SearchStrategy) or shape is None:
        return tuple(draw(st.sampled_from(ordered_shapes(0, 3)) if shape is None else shape))
    return (shape,) if isinstance(shape, int) else tuple(shape)


def values(draw: DrawFn, shape: Shape, domain: Domain = REAL) -> np.ndarray:
    size = math.prod(shape)
    if size > SMALL:
        return from_seed(draw(st.integers(0, 2**32 - 1)), shape, domain)
    return from_bytes(draw(codes(WIDTH * size)), domain).reshape(shape)


def spaced(draw: DrawFn, shape: Shape, domain: Domain = REAL) -> np.ndarray:
    """No two values nearer than an eighth, nor two absolute values; in a bounded domain, than a third of its share."""
    size = math.prod(shape)
    if size > SMALL:
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        order, jitter = rng.permutation(size), rng.integers(0, 256, size)
    else:
        raw = np.frombuffer(draw(codes(2 * size)), np.uint8).astype(np.intp)
        order, jitter = np.argsort(np.argsort(raw[:size], kind="stable"), kind="stable"), raw[size:]
    return spaced_by(order, jitter, domain).reshape(shape)


def spaced_by(order: np.ndarray, jitter: np.ndarray, domain: Domain) -> np.ndarray:
    """So many numbers in this order; jitter: a byte for each, how far it lies from the least it may be."""
    size = order.size
    cell = (order + 1) + (jitter >> 1) / 254.0  # gaps of a half, at least
    away = np.round(0.25 * cell, 3)
    if math.isfinite(domain.low) and math.isfinite(domain.high):
        low, high = interior(domain)
        x = low + (high - low) * cell / (size + 1)
        x = np.where(domain.contains(x) & (x != 0), x, x + (high - low) / (8 * size + 8))
    elif math.isfinite(domain.low):
        x = domain.low + away
    elif math.isfinite(domain.high):
        x = domain.high - away
    else:
        x = np.where(jitter & 1, -away, away)
    return np.asarray(x)


def laid_out(x: np.ndarray, layout: str) -> np.ndarray:
    """The same values in another memory order."""
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "strided":
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return x[::-1].copy()[::-1] if layout == "reversed" else x
