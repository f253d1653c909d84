"""How a formula looks: what a reader does not see, what he recognises, what comes first."""

from __future__ import annotations

import numpy as np

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.expressions import Expr, number, size_of
from tinygrad_edu.formulas.names import COTANGENT

__all__ = [
    "ELEMENTWISE", "is_one", "joins_heads", "new_axes", "order", "plain_to_see", "scaled", "splits_heads", "visible",
]

ELEMENTWISE = ("add", "mul", "power", "where", "compare", "call")


def visible(x: Expr) -> tuple[int, ...]:
    """The shape as a reader sees it, to whom an axis of size 1 that comes or goes is not told; () if none fits."""
    if x.op == "reshape" and al.squeezed(x):
        return visible(x.args[0])
    if x.op in ELEMENTWISE and x.args and not (x.op == "call" and x.data.key != x.data.name):
        try:
            return tuple(np.broadcast_shapes(*map(visible, x.args)))
        except ValueError:
            return ()
    return x.shape


def plain_to_see(x: Expr) -> bool:
    """Do the parts of an elementwise expression meet as a reader thinks, who is told of no axis of size 1?

    They do if each is seen as it is, or if nothing is repeated: then all have the same axes, in the same order.
    """
    arrays = [arg for arg in x.args if arg.ndim]
    if all(stripped(visible(arg)) == stripped(arg.shape) for arg in arrays):
        return True
    long = al.long_axes(x.shape)
    return all(al.long_axes(arg.shape) == al.long_axes(visible(arg)) == long for arg in arrays)


def stripped(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of size 1 in front, which come by themselves."""
    first = next((k for k, n in enumerate(shape) if n != 1), len(shape))
    return shape[first:]


def new_axes(old: tuple[int, ...], new: tuple[int, ...]) -> str:
    """The index that adds axes of size 1: `:, None`."""
    left = list(old)
    places: list[str] = []
    for size in new:
        fits = left and left[0] == size and (size != 1 or len(left) == len(new) - len(places))
        places.append(":" if fits else "None")
        if fits:
            left.pop(0)
    while places[-1] == ":":
        places.pop()
    return ", ".join(places)


def is_one(x: Expr) -> bool:
    return x.op == "number" and x.data == 1.0


def scaled(x: Expr, value: float) -> Expr:
    """A sum, each term times a number."""
    return al.add(*[al.mul(number(value), term) for term in x.args])


def order(parts: list[Expr]) -> list[Expr]:
    """Scalars first, then the cotangent that arrives, then what has a name, at last what is long."""

    def place(x: Expr) -> int:
        x = x.args[0] if x.op == "power" else x
        if not x.ndim:
            return 0
        if x.op == "symbol":
            return 1 if x.data.startswith(COTANGENT) else 2
        return 4 if x.op == "add" else 3

    return sorted(parts, key=place)


def splits_heads(x: Expr) -> bool:
    """(B, T, D) as (B, T, H, d)."""
    return x.op == "reshape" and x.ndim == 4 and x.args[0].ndim == 3 and x.shape[:2] == x.args[0].shape[:2]


def joins_heads(x: Expr) -> bool:
    """(B, H, T, d) as (B, T, D)."""
    inner = x.args[0]
    swapped = inner.op == "transpose" and inner.data == (0, 2, 1, 3)
    return swapped and x.shape == (*inner.shape[:2], size_of(inner.shape[2:]))
