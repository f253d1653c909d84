"""What each NumPy function means in the vocabulary of a formula: the table that `reading` looks up.

A meaning is given the reader, the symbol, and its arguments by name; it returns an expression, or None where this call
has none, and then the function is written by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.expressions import Expr, number
from tinygrad_edu.formulas.symbols import Symbol
from tinygrad_edu.rules.elementwise import erf, root_of_squares
from tinygrad_edu.rules.fused import relu
from tinygrad_edu.rules.fused_rows import softmax
from tinygrad_edu.rules.reductions import axes_of
from tinygrad_edu.rules.shapes import astype

__all__ = ["MEANINGS", "means"]

Reader = Any  # reading.Reader, which imports this table
Meaning = Callable[..., Expr | None]

MEANINGS: dict[Any, Meaning] = {}


def means(*functions: Any) -> Callable[[Meaning], Meaning]:
    def enter(meaning: Meaning) -> Meaning:
        MEANINGS.update(dict.fromkeys(functions, meaning))
        return meaning

    return enter


def pointwise(function: Any, construct: Callable[..., Expr]) -> None:
    """An elementwise function: its operands, read, go to `construct`."""

    def meaning(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
        return construct(*[reader.found(arg) for arg in one.args])

    MEANINGS[function] = meaning


pointwise(np.add, al.add)
pointwise(np.subtract, lambda x, y: al.add(x, al.minus(y)))
pointwise(np.multiply, al.mul)
pointwise(np.divide, lambda x, y: al.mul(x, al.power(y, -1.0)))
pointwise(np.negative, al.minus)
pointwise(np.positive, lambda x: x)
pointwise(np.conjugate, lambda x: x)
pointwise(np.square, lambda x: al.power(x, 2.0))
pointwise(np.reciprocal, lambda x: al.power(x, -1.0))
pointwise(np.sqrt, lambda x: al.power(x, 0.5))
pointwise(root_of_squares, lambda x: al.power(x, 0.5))
pointwise(np.logical_not, al.negated)
pointwise(np.logical_and, al.mul)
pointwise(np.where, al.where)
for sign, ufunc in zip(
    (">", "<", "≥", "≤", "=", "≠"),
    (np.greater, np.less, np.greater_equal, np.less_equal, np.equal, np.not_equal),
    strict=True,
):
    pointwise(ufunc, lambda x, y, sign=sign: al.compare(sign, x, y))
for name, function in {
    "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "abs": np.abs, "sign": np.sign, "maximum": np.maximum, "minimum": np.minimum, "floor": np.floor,
    "erf": erf, "relu": relu,
}.items():  # fmt: skip
    pointwise(function, lambda *args, name=name: al.call(name, *args))


@means(np.power, np.float_power)
def power(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    exponent = reader.found(bound["y"])
    return al.power(reader.found(bound["x"]), exponent.data) if exponent.op == "number" else None


@means(np.matmul)
def matmul(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    return al.matmul(reader.found(bound["x"]), reader.found(bound["y"]))


@means(np.vecdot)
def vecdot(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    if one.keywords:
        return None
    found = al.mul(*[reader.found(arg) for arg in one.args])
    return al.reshape(al.total(found, (found.ndim - 1,)), one.shape)


@means(softmax)
def of_rows(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    x = reader.found(one.args[0])
    return Expr("softmax", (x,), x.ndim - 1, x.shape) if bound.get("mask") is None and x.ndim else None


def reduction(function: Any, construct: Callable[[Expr, tuple[int, ...]], Expr]) -> None:
    def meaning(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
        if bound.get("where", True) is not True or "initial" in bound:
            return None
        a = reader.found(bound["a"])
        return al.reshape(construct(a, axes_of(bound.get("axis"), a.ndim)), one.shape)

    MEANINGS[function] = meaning


def mean(x: Expr, axes: tuple[int, ...]) -> Expr:
    count = float(np.prod([x.shape[k] for k in axes]))
    return al.mul(number(1.0 / count), al.total(x, axes))


reduction(np.sum, al.total)
reduction(np.mean, mean)
reduction(np.max, lambda x, axes: al.reduce("max", x, axes))
reduction(np.min, lambda x, axes: al.reduce("min", x, axes))


@means(np.reshape, np.expand_dims, np.squeeze, np.ravel)
def reshape(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    return None if bound.get("order", "C") != "C" else al.reshape(reader.found(bound["a"]), one.shape)


@means(np.broadcast_to)
def broadcast_to(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    return al.broadcast(reader.found(bound["array"]), one.shape)


@means(np.copy, astype, np.astype)
def same(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    found: Expr = reader.found(one.args[0])
    return found


@means(np.zeros_like)
def zeros_like(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    return al.broadcast(al.ZERO, one.shape)


@means(np.ones_like)
def ones_like(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    return al.broadcast(al.ONE, one.shape)


@means(np.transpose, np.swapaxes, np.moveaxis, np.matrix_transpose)
def transpose(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr:
    """Any of them is the permutation that it makes of an array whose sizes are its axes' numbers."""
    x = reader.found(one.args[0])
    marked = np.empty(tuple(range(1, x.ndim + 1)), np.int8)
    return al.transpose(x, [n - 1 for n in one.function(marked, *one.args[1:], **one.keywords).shape])
