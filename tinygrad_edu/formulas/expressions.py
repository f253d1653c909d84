"""Expressions: what a symbol's history says in the vocabulary of a textbook, as plain, immutable data.

An expression has an operator, arguments, data (an axis, a number, a name) and a shape; equal ones are equal objects of
Python, so that they can be looked up. `evaluate` computes it with NumPy: an expression is a formula and a program.

    symbol number array                    what is given
    add mul power                          elementwise, any number of arguments; x/y is x · y^-1; they broadcast
    matmul transpose sum max min           `transpose` carries its permutation; reductions keep their axes, with size 1
    reshape broadcast
    where compare not onehot               conditions count as 0 and 1
    softmax call                           `call` is any other NumPy function, by its name
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.rules.elementwise import erf
from tinygrad_edu.rules.fused import relu

__all__ = [
    "Expr",
    "Held",
    "array",
    "axes_in",
    "broadcast_shape",
    "elementwise",
    "evaluate",
    "number",
    "size_of",
    "symbol",
    "walk",
]

Shape = tuple[int, ...]


class Held:
    """A constant array, or a function with its keywords: something hashed by what it is, not by its elements.

    index: the keywords, as they are written below the name.
    """

    __slots__ = ("index", "key", "name", "value")

    def __init__(self, value: Any, key: Any, name: str = "", index: str = "") -> None:
        self.value, self.key, self.name, self.index = value, key, name, index

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.key == other.key


class Expr:
    """One operator and its arguments."""

    __slots__ = ("_hash", "_key", "args", "cost", "data", "op", "shape")

    def __init__(self, op: str, args: tuple[Expr, ...], data: Any, shape: Shape) -> None:
        self.op, self.args, self.data, self.shape = op, args, data, shape
        # a + b is b + a; the order is kept all the same, for a reader
        order: Any = frozenset(Counter(args).items()) if op in ("add", "mul") else args
        self._key = (op, order, data, shape)
        self._hash = hash(self._key)
        self.cost: int = 1 + sum(arg.cost for arg in args)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Expr)
            and self._hash == other._hash
            and self._key == other._key
        )

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        if self.op in ("symbol", "number"):
            return str(self.data)
        told = "" if self.data is None else f"[{self.data.name if isinstance(self.data, Held) else self.data}]"
        return f"{self.op}{told}({inside})"

    @property
    def ndim(self) -> int:
        return len(self.shape)


def symbol(name: str, shape: Shape) -> Expr:
    return Expr("symbol", (), name, tuple(shape))


def number(value: float) -> Expr:
    """A number; one that rounding moved by less than 1e-12 off an integer is that integer."""
    value = float(value)
    near = round(value) if math.isfinite(value) else value
    return Expr("number", (), float(near) if abs(value - near) < 1e-12 else value, ())


def array(value: Any, name: str = "") -> Expr:
    """A constant array: equal bytes, equal expression."""
    value = np.asarray(value)
    return Expr("array", (), Held(value, (value.tobytes(), value.shape, value.dtype.str), name), value.shape)


def size_of(shape: Iterable[int]) -> int:
    return math.prod(shape)


def broadcast_shape(args: Iterable[Expr]) -> Shape:
    return tuple(int(n) for n in np.broadcast_shapes(*[arg.shape for arg in args]))


def axes_in(inner: Expr, axes: Iterable[int], ndim: int) -> list[int | None]:
    """Axes of an array of `ndim` dimensions as those of one that broadcasts to it; None where it is repeated."""
    lead = ndim - inner.ndim
    return [None if k < lead or inner.shape[k - lead] == 1 else k - lead for k in axes]


def walk(expr: Expr) -> Iterable[Expr]:
    """Every part of an expression, once."""
    seen: set[Expr] = set()
    todo = [expr]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            yield one
            todo.extend(one.args)


# Numbers


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt, "<": operator.lt, "≥": operator.ge, "≤": operator.le, "=": operator.eq, "≠": operator.ne,
}  # fmt: skip


def softmax(x: Any, axis: int) -> Any:
    """Zeros for a row of nothing but −∞, as the engine has it."""
    top = np.max(x, axis=axis, keepdims=True)
    e = np.exp(x - np.where(np.isinf(top), 0.0, top))
    return e / np.maximum(np.sum(e, axis=axis, keepdims=True), np.finfo(float).tiny)


def one_hot(ids: Any, size: int) -> Any:
    return (np.asarray(ids)[..., None] % size == np.arange(size)).astype(float)


# Functions that a formula writes by name. What a rule calls besides them goes by NumPy's own.
NAMED: dict[str, Callable[..., Any]] = {
    "exp": np.exp, "log": np.log, "sin": np.sin, "cos": np.cos, "tan": np.tan, "sinh": np.sinh, "cosh": np.cosh,
    "tanh": np.tanh, "abs": np.abs, "sign": np.sign, "maximum": np.maximum, "minimum": np.minimum, "floor": np.floor,
    "erf": erf, "relu": relu,
    "σ": lambda x: 1 / (1 + np.exp(-x)),
    "Φ": lambda x: (1 + erf(x * 0.5**0.5)) / 2,
    "φ": lambda x: np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
}  # fmt: skip


def elementwise(name: str) -> Held:
    """A function of NAMED, as the data of a `call`."""
    return Held(lambda args: NAMED[name](*args), name, name)


def raised(x: Any, exponent: float) -> Any:
    return np.sqrt(x) if exponent == 0.5 else 1 / x if exponent == -1 else x**exponent


EVALUATE: dict[str, Callable[[list[Any], Any, Shape], Any]] = {
    "add": lambda args, data, shape: sum(args[1:], args[0] + 0.0),
    "mul": lambda args, data, shape: math.prod(args[1:], start=args[0] * 1.0),
    "power": lambda args, data, shape: raised(args[0] * 1.0, data),
    "matmul": lambda args, data, shape: args[0] @ args[1],
    "transpose": lambda args, data, shape: np.transpose(args[0], data),
    "sum": lambda args, data, shape: np.sum(args[0], axis=data, keepdims=True),
    "max": lambda args, data, shape: np.max(args[0], axis=data, keepdims=True),
    "min": lambda args, data, shape: np.min(args[0], axis=data, keepdims=True),
    "reshape": lambda args, data, shape: np.reshape(args[0], shape),
    "broadcast": lambda args, data, shape: np.broadcast_to(args[0], shape),
    "where": lambda args, data, shape: np.where(args[0] != 0, args[1], args[2]),
    "compare": lambda args, data, shape: COMPARE[data](args[0], args[1]) * 1.0,
    "not": lambda args, data, shape: 1.0 - args[0],
    "onehot": lambda args, data, shape: one_hot(args[0], data),
    "softmax": lambda args, data, shape: softmax(args[0], data),
    "call": lambda args, data, shape: data.value(args),
}


def evaluate(expr: Expr, known: Mapping[str, Any], done: dict[Expr, Any] | None = None) -> Any:
    """The value, given those of the symbols by name. Raises KeyError for one that is missing."""
    done = {} if done is None else done
    todo = [expr]
    with np.errstate(all="ignore"):
        while todo:
            one = todo[-1]
            missing = [arg for arg in one.args if arg not in done]
            if missing:
                todo += missing
                continue
            todo.pop()
            if one in done:
                continue
            if one.op == "symbol":
                done[one] = np.asarray(known[one.data])
            elif one.op == "number":
                done[one] = np.float64(one.data)
            elif one.op == "array":
                done[one] = one.data.value
            else:
                done[one] = EVALUATE[one.op]([done[arg] for arg in one.args], one.data, one.shape)
    return done[expr]
