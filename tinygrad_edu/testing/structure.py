"""Proposals of what is not elementwise: reductions, views, indices, products, joins, choices."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.testing.pool import APART, MOST, Dice, Known, Pool
from tinygrad_edu.testing.program import Ref, Step
from tinygrad_edu.testing.proposals import Proposal, fits, joined

__all__ = ["PROPOSALS"]

Options = tuple[tuple[Any, ...], dict[str, Any]]  # further arguments, keywords


def on(
    function: Callable[..., Any],
    options: Callable[[Dice, tuple[int, ...]], Options | None],
    suits: Callable[[Known], bool] = lambda known: True,
) -> Proposal:
    """function(x, ...) with further arguments chosen by x's shape."""

    def propose(pool: Pool, dice: Dice) -> list[Step] | None:
        choice = pool.where(suits)
        if not choice:
            return None
        number = dice.value(choice)
        found = options(dice, pool.values[number].shape)
        return None if found is None else [Step(function, Ref(number), *found[0], **found[1])]

    return propose


def has_axes(known: Known) -> bool:
    return len(known.shape) > 0


def axes_of(dice: Dice, ndim: int) -> Any:
    """None, one axis from either end, or several."""
    several = [axes for count in range(2, ndim + 1) for axes in itertools.permutations(range(ndim), count)]
    kind = dice.byte() % 3 if ndim else 0
    one = dice.byte()
    return None if kind == 0 else one % (2 * ndim) - ndim if kind == 1 or not several else several[one % len(several)]


def reduced(dice: Dice, shape: tuple[int, ...]) -> Options:
    keywords: dict[str, Any] = {}
    axis = axes_of(dice, len(shape))
    if axis is not None:
        keywords["axis"] = axis
    if dice.byte() % 3 == 1:
        keywords["keepdims"] = True
    return (), keywords


def along(dice: Dice, shape: tuple[int, ...]) -> Options:
    return (), {"axis": dice.byte() % (2 * len(shape)) - len(shape)}


def reshaped(dice: Dice, shape: tuple[int, ...]) -> Options:
    targets = [-1, (1, *shape), (*shape, 1), shape[::-1], (shape[0], -1) if shape else (1, 1)]
    return (dice.pick(targets),), {"order": "F"} if dice.byte() % 5 == 1 else {}


def transposed(dice: Dice, shape: tuple[int, ...]) -> Options:
    orders = list(itertools.permutations(range(len(shape))))
    return ((), {}) if dice.byte() % 2 == 0 else ((orders[-1 - dice.byte() % len(orders)],), {})


def two_axes(dice: Dice, shape: tuple[int, ...]) -> Options:
    ndim = len(shape)
    return (dice.byte() % (2 * ndim) - ndim, -1 - dice.byte() % ndim), {}


def stretched(dice: Dice, shape: tuple[int, ...]) -> Options | None:
    size = dice.pick((2, 3))
    wide = tuple(size if n == 1 else n for n in shape)
    wider = wide if wide != shape and dice.byte() % 2 == 0 else (size, *wide)
    return ((wider,), {}) if math.prod(wider) <= MOST else None


def slices(dice: Dice, shape: tuple[int, ...]) -> Options:
    """A basic index: a view."""
    whole, back, rest = slice(None), slice(None, None, -1), slice(1 if shape[0] > 1 else None, None)
    options: list[Any] = [0, -1, rest, back, slice(None, None, 2), None, (Ellipsis, None), (Ellipsis, 0)]
    if len(shape) > 1:
        short = slice(None, -1 if shape[-1] > 1 else None)
        options += [(whole, 0), (0, back), (back, -1), (Ellipsis, short), (-1, None, rest)]
    return (dice.pick(options),), {}


def places(dice: Dice, size: int, count: int) -> list[int]:
    """Places from either end, the first one named again at the end."""
    found = [dice.byte() % (2 * size) for _ in range(count)]
    found = [k // 2 if k % 2 == 0 else k // 2 - size for k in found]
    return [*found, found[0] if dice.byte() % 3 else found[0] % size - size]


def gathered(dice: Dice, shape: tuple[int, ...]) -> Options:
    """An index of places, most with repeats, or a mask."""
    kind, count = dice.byte() % 6, 1 + dice.byte() % 3
    if kind == 1:
        return ((Ellipsis, places(dice, shape[-1], count)),), {}
    if kind == 2 and len(shape) > 1:
        return ((places(dice, shape[0], count), places(dice, shape[1], count)),), {}
    if kind == 3:
        return (np.array([places(dice, shape[0], 1), places(dice, shape[0], 1)]),), {}
    if kind == 4:
        return (np.array([dice.byte() % 2 == 0 or k == 0 for k in range(shape[0])]),), {}
    return (places(dice, shape[0], count),), {}


def taken(dice: Dice, shape: tuple[int, ...]) -> Options:
    axis = dice.byte() % (len(shape) + 1) - 1
    size = math.prod(shape) if axis < 0 else shape[axis]
    return (places(dice, size, 1 + dice.byte() % 3),), {} if axis < 0 else {"axis": axis}


def product(function: Callable[..., Any]) -> Proposal:
    """Of vectors and matrices, in stacks too; where nothing else has the right sizes, by its own transpose."""

    def propose(pool: Pool, dice: Dice) -> list[Step] | None:
        lefts = pool.where(has_axes)
        if not lefts:
            return None
        left = dice.value(lefts)
        shape = pool.values[left].shape

        def right(known: Known) -> bool:
            other = known.shape
            inner = other[-2:][0] if other else 0
            return inner == shape[-1] and (function is not np.matmul or fits(shape[:-2], other[:-2]))

        rights = pool.where(right)
        if rights and (len(shape) < 2 or dice.byte() % 4 < 3):
            return [Step(function, Ref(left), Ref(dice.value(rights)))]
        if len(shape) != 2:
            return None
        return [Step(np.transpose, Ref(left)), Step(function, Ref(left), Ref(len(pool.values)))]

    return propose


def selected(pool: Pool, dice: Dice) -> list[Step] | None:
    """where(c > t, x, y), for a c that no small change takes across t; or with a mask that depends on nothing."""
    xs = pool.where(lambda v: True)
    x = dice.value(xs)
    shape = pool.values[x].shape
    y = dice.value(pool.where(lambda v: fits(v.shape, shape)))
    both = np.broadcast_shapes(shape, pool.values[y].shape)
    at = dice.pick([0.0, 1.0, -1.0, 0.5])
    conditions = pool.where(lambda v: fits(v.shape, both) and bool(np.min(np.abs(v.value - at)) >= APART))
    if conditions and dice.byte() % 4 < 3:
        condition = Ref(len(pool.values))
        return [Step(np.greater, Ref(dice.value(conditions)), at), Step(np.where, condition, Ref(x), Ref(y))]
    bits = dice.byte() * 0x9E3779B1
    mask = np.array([bits >> (k % 32) & 1 == 0 for k in range(math.prod(shape))]).reshape(shape)
    return [Step(np.where, mask, Ref(x), Ref(y))]


def invertible(known: Known) -> bool:
    """Square, and far from singular."""
    shape = known.shape
    return len(shape) > 1 and shape[-1] == shape[-2] and bool(np.all(np.linalg.cond(known.value) < 20.0))


def small(known: Known) -> bool:
    return math.prod(known.shape) <= 8


def of_several(known: Known) -> bool:
    return math.prod(known.shape) > 1


def nothing(dice: Dice, shape: tuple[int, ...]) -> Options:
    return (), {}


def same_shape(left: Known, right: Known) -> bool:
    return left.shape == right.shape


def same_but_first(left: Known, right: Known) -> bool:
    return len(left.shape) == len(right.shape) and left.shape[1:] == right.shape[1:]


# How often each comes among the registry's operations, where every elementwise one comes once.
PROPOSALS: dict[Callable[..., Any], list[tuple[Proposal, int]]] = {
    np.sum: [(on(np.sum, reduced), 4)],
    np.mean: [(on(np.mean, reduced), 3)],
    np.prod: [(on(np.prod, reduced, small), 2)],
    np.var: [(on(np.var, nothing, of_several), 1)],
    np.max: [(on(np.max, reduced, Known.apart), 3)],
    np.min: [(on(np.min, reduced, Known.apart), 1)],
    np.sort: [(on(np.sort, along, lambda v: has_axes(v) and v.apart()), 1)],
    np.cumsum: [(on(np.cumsum, along, has_axes), 2)],
    np.reshape: [(on(np.reshape, reshaped), 3)],
    np.ravel: [(on(np.ravel, nothing), 1)],
    np.transpose: [(on(np.transpose, transposed), 4)],
    np.swapaxes: [(on(np.swapaxes, two_axes, has_axes), 1)],
    np.moveaxis: [(on(np.moveaxis, two_axes, has_axes), 1)],
    np.expand_dims: [(on(np.expand_dims, lambda dice, shape: ((dice.pick((0, -1)),), {})), 2)],
    np.squeeze: [(on(np.squeeze, nothing, lambda v: 1 in v.shape), 1)],
    np.flip: [(on(np.flip, lambda dice, shape: ((), {}) if dice.byte() % 2 else along(dice, shape), has_axes), 1)],
    np.broadcast_to: [(on(np.broadcast_to, stretched), 2)],
    operator.getitem: [(on(operator.getitem, slices, has_axes), 5), (on(operator.getitem, gathered, has_axes), 8)],
    np.take: [(on(np.take, taken, has_axes), 3)],
    np.matmul: [(product(np.matmul), 10)],
    np.dot: [(product(np.dot), 2)],
    np.concatenate: [(joined(np.concatenate, same_but_first, lambda dice, first: {}, least=1), 5)],
    np.stack: [(joined(np.stack, same_shape, lambda dice, v: {"axis": dice.byte() % (len(v.shape) + 1)}), 4)],
    np.where: [(selected, 5)],
    np.linalg.inv: [(on(np.linalg.inv, nothing, invertible), 1)],
}
