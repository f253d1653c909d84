"""From a symbol's history to an expression: what each NumPy function means in the vocabulary of a formula.

A function that is not in the table becomes a named function application, `\\operatorname{sort}(X)`, of the same value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.derive import algebra as al
from tinygrad_edu.derive.expressions import Expr, Held, array, number
from tinygrad_edu.derive.symbols import PART, Symbol
from tinygrad_edu.operation import qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.elementwise import erf, root_of_squares
from tinygrad_edu.rules.fused import relu
from tinygrad_edu.rules.indexing import getitem, scatter
from tinygrad_edu.rules.reductions import axes_of
from tinygrad_edu.rules.shapes import astype

__all__ = ["Reader", "constant"]

Meaning = Callable[..., Expr | None]


def constant(value: np.ndarray) -> Expr:
    """An array that is given with the rule: I for an identity matrix, else C."""
    square = value.ndim == 2 and value.shape[0] == value.shape[1] and np.array_equal(value, np.eye(len(value)))
    return array(value, "I" if square else "C")


class Reader:
    """Reads histories; what stands in `cut` is written as it says there, and not looked into.

    constant: how an array without history is written.
    """

    def __init__(self, cut: Mapping[Symbol, Expr], constant: Callable[[np.ndarray], Expr] = constant) -> None:
        self.cut, self.constant = dict(cut), constant
        self.known: dict[Symbol, Expr] = {}

    def __call__(self, value: Any) -> Expr:
        if not isinstance(value, Symbol):
            return self.plain(value)
        todo = [value]
        while todo:  # iterative: a history may be long
            one = todo[-1]
            missing = [s for s in parts_of((one.args, one.keywords)) if s not in self.cut and s not in self.known]
            if one in self.cut or one in self.known or not missing:
                todo.pop()
                if one not in self.cut and one not in self.known:
                    self.known[one] = self.read(one)
            else:
                todo += missing
        return self.cut.get(value) or self.known[value]

    def found(self, value: Any) -> Expr:
        return (self.cut.get(value) or self.known[value]) if isinstance(value, Symbol) else self.plain(value)

    def plain(self, value: Any) -> Expr:
        """A number, or an array that nobody computed here."""
        value = np.asarray(value)
        if not value.ndim:
            return number(float(value))
        if value.size and value.dtype.kind == "f" and (value == value.flat[0]).all():
            return al.broadcast(number(float(value.flat[0])), value.shape)
        return self.constant(value)

    def read(self, one: Symbol) -> Expr:
        if one.function is PART:
            whole, number = one.args
            return self.by_name(whole, number, one.shape)
        meaning = MEANINGS.get(one.function)
        if one.function is None:
            raise KeyError(f"{one!r} stands for nothing here")
        if meaning is not None:
            names = parameters_of(one.function)
            bound = {**dict(zip(names, one.args, strict=False)), **one.keywords}
            made = meaning(self, one, bound)
            if made is not None:
                return made if made.shape == one.shape else al.broadcast(made, one.shape)
        return self.by_name(one)

    def by_name(self, one: Symbol, part: int | None = None, shape: tuple[int, ...] | None = None) -> Expr:
        """f(x, ...): a function that is written by its name, with all it was given; one part of what it returns."""
        leaves = list(dict.fromkeys(parts_of((one.args, one.keywords))))
        places = {leaf: k for k, leaf in enumerate(leaves)}
        function, args, keywords = one.function, one.args, one.keywords

        def compute(values: list[Any]) -> Any:
            filled = filled_in((args, keywords), places, values)
            made = function(*filled[0], **filled[1])
            return np.asarray(made if part is None else made[part])[()]

        name = getattr(function, "__name__", "f") if function not in registry() else qualified_name(function)
        told = {k: v for k, v in keywords.items() if not parts_of(v)}
        name = name if part is None else f"{name}_{part}"
        key = (name, repr(filled_in((args, told), places, [f"#{k}" for k in range(len(leaves))])))
        index = ", ".join([*(written(a) for a in args if is_plain(a)), *(f"{k}={written(v)}" for k, v in told.items())])
        held = Held(compute, key, name, index)
        return Expr("call", tuple(self.found(leaf) for leaf in leaves), held, one.shape if shape is None else shape)


def is_plain(value: Any) -> bool:
    """An option, and no operand: what is written below a function's name."""
    return not parts_of(value) and not (isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value))


def written(value: Any) -> str:
    """An option as one writes it: 0, (1, 2), :, 1:; an array by its shape alone."""
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop)]
        return ":".join(ends if value.step is None else [*ends, str(value.step)])
    if value is Ellipsis:
        return "…"
    if isinstance(value, tuple):
        return ", ".join(map(written, value))
    return str(value)


def parts_of(value: Any) -> list[Symbol]:
    """The symbols in an argument, also inside lists, tuples and dicts."""
    if isinstance(value, Symbol):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [part for each in value for part in parts_of(each)] if isinstance(value, list | tuple) else []


def filled_in(value: Any, places: Mapping[Symbol, int], values: list[Any]) -> Any:
    if isinstance(value, Symbol):
        return values[places[value]]
    if isinstance(value, dict):
        return {k: filled_in(v, places, values) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled_in(each, places, values) for each in value)
    return value


def parameters_of(function: Any) -> tuple[str, ...]:
    if isinstance(function, np.ufunc):
        return ("x", "y")
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:
        operation = registry().get(function)
        return tuple(getattr(operation, "parameters", ()))


# The table

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
    return reader.found(one.args[0])


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


# Indexing

FULL = slice(None)


def parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def only_reshapes(index: Any) -> bool:
    return all(part is None or part is Ellipsis or is_full(part) for part in parts(index))


def is_full(part: Any) -> bool:
    return isinstance(part, slice) and part == FULL


def whole_rows(index: Any) -> Any:
    """The integer array that picks rows of a table; None for another index."""
    (first, *rest) = parts(index)
    right = isinstance(first, np.ndarray) and first.dtype.kind in "iu" and all(map(is_full, rest))
    return first if right else None


def one_of_each_row(index: Any) -> Any:
    """The integer array t of x[arange(n), t]; None for another index."""
    if isinstance(index, tuple) and len(index) == 2 and all(isinstance(part, np.ndarray) for part in index):
        rows, ids = index
        if ids.ndim == 1 and ids.dtype.kind in "iu" and np.array_equal(rows, np.arange(len(rows))):
            return ids
    return None


def one_hot(reader: Reader, ids: Any, size: int) -> Expr:
    return Expr("onehot", (reader.plain(ids),), int(size), (*ids.shape, int(size)))


@means(getitem)
def pick(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    a, index = reader.found(bound["a"]), bound["index"]
    if only_reshapes(index):
        return al.reshape(a, one.shape)
    rows = whole_rows(index)
    if rows is not None and a.ndim == 2:
        return al.matmul(one_hot(reader, rows, a.shape[0]), a)  # exactly: every other product is 0
    ids = one_of_each_row(index)
    if ids is not None and a.ndim == 2 and len(ids) == a.shape[0]:
        return al.reshape(al.total(al.mul(one_hot(reader, ids, a.shape[1]), a), (1,)), one.shape)
    return None


@means(scatter)
def put(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    g, index, shape = reader.found(bound["g"]), bound["index"], bound["shape"]
    if only_reshapes(index):
        return al.reshape(g, shape)
    rows = whole_rows(index)
    if rows is not None and len(shape) == 2:
        chosen = al.reshape(one_hot(reader, rows, shape[0]), (rows.size, shape[0]))
        return al.matmul(al.transpose(chosen, (1, 0)), al.reshape(g, (rows.size, shape[1])))
    ids = one_of_each_row(index)
    if ids is not None and len(shape) == 2 and len(ids) == shape[0]:
        return al.mul(one_hot(reader, ids, shape[1]), al.reshape(g, (shape[0], 1)))
    return None
