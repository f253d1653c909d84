"""Parts of an axis: a stretch put into zeros, and stretches that together make an array, [Q | K | V]."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.formulas.algebra import broadcast, coefficient, mul
from tinygrad_edu.formulas.expressions import Expr, Held, number
from tinygrad_edu.formulas.simplifier import rule

__all__ = ["put_into"]


def put_into(g: Expr, axis: int, part: slice, shape: tuple[int, ...]) -> Expr:
    """Zeros of a shape, with g at a stretch of one axis."""
    start, stop, _ = part.indices(shape[axis])
    index = (*(slice(None),) * axis, slice(start, stop))

    def compute(args: list[Any]) -> Any:
        out = np.zeros(shape)
        out[index] = args[0]
        return out

    text = ", ".join([*":" * axis, f"{start}:{stop}", *":" * (len(shape) - axis - 1)])
    return Expr("call", (g,), Held(compute, ("put", axis, start, stop), "put", text), tuple(shape))


@rule("add")
def stretches_that_fill_an_axis(x: Expr) -> Expr | None:
    """Stretches of one axis, each put into zeros, added: side by side they are the array, if nothing is left out."""
    found = []
    for term in x.args:
        value, core = coefficient(term)
        if core.op != "call" or core.data.name != "put":
            return None
        _, axis, start, stop = core.data.key
        found.append((axis, start, stop, mul(number(value), core.args[0])))
    found.sort(key=lambda one: one[:3])
    axes = {axis for axis, *_ in found}
    ends = [0, *(stop for _, _, stop, _ in found)]
    if len(axes) != 1 or [start for _, start, *_ in found] != ends[:-1] or ends[-1] != x.shape[min(axes)]:
        return None
    (axis,) = axes
    joined = Held(lambda args: np.concatenate(args, axis=axis), ("concatenate", axis), "concatenate", str(axis))
    parts = tuple(broadcast(part, part.shape) for *_, part in found)
    return Expr("call", parts, joined, x.shape)
