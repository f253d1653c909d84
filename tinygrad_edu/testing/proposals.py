"""How an operation becomes a step of a program, as far as that follows from what it declares.

A proposal looks at the values there are, and at a few drawn bytes; it gives the steps to take, or None where no value
suits: operands must lie inside the declared domain and away from its ends, away from kinks, and be of moderate size.
Bytes count modulo what there is to choose from, so any bytes mean something, whatever came before; zero bytes choose
the first values and the simplest variant.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.operation import REAL, Domain, Primitive
from tinygrad_edu.testing.decimals import NEAR, interior, numbers
from tinygrad_edu.testing.pool import APART, Dice, Known, Pool
from tinygrad_edu.testing.program import Ref, Step

__all__ = ["Proposal", "derived", "fits", "joined", "of_one_shape"]

Proposal = Callable[[Pool, Dice], "list[Step] | None"]
NUMBERS = 24  # plain numbers that stand in for an array
# These take large numbers as well as small ones.
TAME = {np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.maximum, np.minimum, np.absolute}


def limits_of(domain: Domain, tame: bool) -> tuple[float, float, float]:
    """Least, largest, and least absolute value of an operand. A tame operation takes large ones too."""
    low, high = interior(domain)
    if tame:
        low = low if math.isfinite(domain.low) else -math.inf
        high = high if math.isfinite(domain.high) else math.inf
    return low, high, NEAR * min(1.0, (high - low) / 2.0) if domain.without_zero else 0.0


def derived(function: Callable[..., Any], operation: Primitive) -> Proposal:
    """Operands that broadcast, or of one shape, each from its domain; of two, one may be a plain number."""
    if operation.sequence is not None:
        return joined(function, lambda known, first: known.shape == first.shape, lambda dice, first: {})
    limits = [limits_of(domain, function in TAME) for domain in operation.domain]
    plain = [numbers(domain)[:NUMBERS] for domain in operation.domain]
    match = fits if operation.broadcasts else operator.eq

    def propose(pool: Pool, dice: Dice) -> list[Step] | None:
        coin = dice.byte()
        number_at = coin % 2 if coin >= 208 and operation.broadcasts and len(limits) == 2 else None
        args: list[Any] = []
        shape: tuple[int, ...] | None = None
        for k, limit in enumerate(limits):
            if k == number_at:
                args.append(dice.pick(plain[k]))
                continue
            so_far = shape
            choice = pool.where(lambda v: v.inside(limit) and (so_far is None or match(v.shape, so_far)))  # noqa: B023
            if not choice:
                return None
            number = dice.value(choice)
            args.append(Ref(number))
            shape = np.broadcast_shapes(shape or (), pool.values[number].shape)
        arrays = [pool.values[arg.number] if type(arg) is Ref else arg for arg in args]
        return [Step(function, *args)] if operation.kinks is None or is_smooth(operation.kinks, arrays) else None

    return propose


def fits(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Do the shapes broadcast?"""
    return all(m == n or m == 1 or n == 1 for m, n in zip(reversed(left), reversed(right), strict=False))


def is_smooth(kinks: Callable[..., Any], arrays: Sequence[Any]) -> bool:
    """Is the piece the same all around: each operand moved up and down, as a whole and every other element?"""
    here = kinks(*arrays)
    for signs in itertools.product((APART, -APART), repeat=len(arrays)):
        for uneven in (False, True):
            moved = [x + s * (np.cos(np.pi * np.arange(np.size(x))).reshape(np.shape(x)) if uneven else 1.0)
                     for x, s in zip(arrays, signs, strict=True)]  # fmt: skip
            if not np.array_equal(kinks(*moved), here):
                return False
    return True


def of_one_shape(function: Callable[..., Any], count: int) -> Proposal:
    """A function that declares nothing: so many operands of one shape."""
    limit = limits_of(REAL, False)

    def propose(pool: Pool, dice: Dice) -> list[Step] | None:
        choice = pool.where(lambda v: v.inside(limit))
        if not choice:
            return None
        first = dice.value(choice)
        same = pool.where(lambda v: v.inside(limit) and v.shape == pool.values[first].shape)
        return [Step(function, Ref(first), *[Ref(dice.value(same)) for _ in range(count - 1)])]

    return propose


def joined(
    function: Callable[..., Any],
    match: Callable[[Known, Known], bool],
    keywords: Callable[[Dice, Known], dict[str, Any]],
    least: int = 0,
) -> Proposal:
    """function([x, y, ...], ...): up to three values that match the first, which may come again."""

    def propose(pool: Pool, dice: Dice) -> list[Step] | None:
        choice = pool.where(lambda v: len(v.shape) >= least)
        if not choice:
            return None
        number = dice.value(choice)
        first = pool.known[number]
        others = pool.where(lambda v: first is not None and match(v, first))
        count = dice.byte() % 3
        parts = [Ref(number), *[Ref(dice.value(others)) for _ in range((2, 1, 3)[count] - 1)]]
        return [Step(function, parts, **keywords(dice, first))] if first is not None else None

    return propose
