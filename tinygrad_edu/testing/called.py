"""Written calls as steps of programs: one of a call's arrays is replaced by what the program has computed so far.

A decomposition wants a matrix that is far from singular, a sort values that are apart. So the value does not stand in
itself: it moves the array that was drawn, by little, and its gradient flows through all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.operation import REAL, Domain
from tinygrad_edu.testing.decimals import from_seed
from tinygrad_edu.testing.drawing import Shape, spaced_by
from tinygrad_edu.testing.pool import MOST, Dice, Pool
from tinygrad_edu.testing.program import Ref, Step
from tinygrad_edu.testing.proposals import Proposal, fits
from tinygrad_edu.testing.written import WRITTEN, Draw
from tinygrad_edu.testing.written.draw import Function, Write

__all__ = ["any_written", "in_one", "near", "proposal_of"]

MOVED = 0.03  # less than half of the gap between values that are apart, and than their distance from any bound


def near(x: Any, there: Any) -> Any:
    """`there`, moved by x, and by no more than 0.03."""
    return there + MOVED * np.sin(x)


def in_one(function: Function, *args: Any, **kwargs: Any) -> Any:
    """All outputs of a function, laid end to end."""
    return np.concatenate([np.ravel(y) for y in function(*args, **kwargs)])


class Thrown(Draw):
    """Draws by a generator that a few bytes of a step have seeded."""

    def __init__(self, dice: Dice) -> None:
        self.rng = np.random.default_rng([dice.byte() for _ in range(4)])

    def number(self, count: int) -> int:
        return int(self.rng.integers(count))

    def values(self, shape: Shape, domain: Domain = REAL) -> np.ndarray:
        return from_seed(int(self.rng.integers(1, 2**32)), shape, domain)

    def apart(self, shape: Shape) -> np.ndarray:
        size = int(np.prod(shape))
        return spaced_by(self.rng.permutation(size), self.rng.integers(0, 256, size), REAL).reshape(shape)


def proposal_of(function: Function) -> Proposal:
    return lambda pool, dice: steps_of(WRITTEN[function], pool, dice)


def any_written(pool: Pool, dice: Dice) -> list[Step] | None:
    """A call of any NumPy function of which calls are written."""
    return steps_of(dice.pick(EVERY), pool, dice)


def steps_of(write: Write, pool: Pool, dice: Dice) -> list[Step] | None:
    """The array that is moved, and the call with it."""
    start, kind = dice.byte(), dice.byte()
    call = write(Thrown(dice))
    if not call.places:
        return None
    place = call.places[kind % len(call.places)]
    there = np.array(call.leaves[place], pool.dtype)
    if not 0 < there.size <= MOST or not np.isfinite(there).all():
        return None
    whole = there.shape
    choice = pool.where(lambda v: fits(v.shape, whole) and np.broadcast_shapes(v.shape, whole) == whole)
    if not choice:
        return None
    leaves = [np.array(leaf, pool.dtype if k in call.places else None) if isinstance(leaf, np.ndarray) else leaf
              for k, leaf in enumerate(call.leaves)]  # fmt: skip
    leaves[place] = Ref(len(pool.values))
    args, kwargs = call.rebuild(leaves)
    if any(isinstance(value, Ref) for value in kwargs.values()):
        return None  # a step refers to earlier values by position
    several = isinstance(call.function(*call.args, **call.kwargs), tuple | list)
    step = Step(in_one, call.function, *args, **kwargs) if several else Step(call.function, *args, **kwargs)
    return [Step(near, Ref(choice[-1 - start % len(choice)]), there), step]


EVERY = [write for function, write in WRITTEN.items() if str(function.__module__).startswith("numpy")]
