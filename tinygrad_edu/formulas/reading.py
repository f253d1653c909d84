"""From a symbol's history to an expression: what each NumPy function means in the vocabulary of a formula.

A function that is not in the table becomes a named function application, `\\operatorname{sort}(X)`, of the same value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas import picking  # enters what an index means
from tinygrad_edu.formulas.expressions import Expr, Held, array, number
from tinygrad_edu.formulas.meanings import MEANINGS
from tinygrad_edu.formulas.symbols import PART, Symbol
from tinygrad_edu.operation import qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.indexing import scatter

__all__ = ["Reader", "constant", "picking"]


def constant(value: np.ndarray) -> Expr:
    """An array that is given with the rule: I for an identity matrix, else C."""
    square = value.ndim == 2 and value.shape[0] == value.shape[1] and np.array_equal(value, np.eye(len(value)))
    return array(value, "I" if square else "C")


class Reader:
    """Reads histories; what stands in `cut` is written as it says there, and not looked into.

    constant: how an array without history is written. met: arrays that have one after all, by their id.
    """

    def __init__(
        self, cut: Mapping[Symbol, Expr], constant: Callable[[np.ndarray], Expr] = constant,
        met: Mapping[int, Symbol] | None = None,
    ) -> None:  # fmt: skip
        self.cut, self.constant, self.met = dict(cut), constant, met or {}
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
        return self.found(value)

    def found(self, value: Any) -> Expr:
        return (self.cut.get(value) or self.known[value]) if isinstance(value, Symbol) else self.plain(value)

    def plain(self, value: Any) -> Expr:
        """A number, or an array that nobody computed here."""
        if isinstance(value, np.ndarray | np.generic) and id(value) in self.met:
            return self(self.met[id(value)])
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
        options = [*(written(a) for a in args if is_plain(a)), *(f"{k}={written(v)}" for k, v in told.items())]
        index = written(args[1]) if function is scatter else ", ".join(options)
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
