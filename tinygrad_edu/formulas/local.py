"""The rule of one recorded operation, as a formula: what its cotangent becomes for each argument.

    for part in local_rule(loss._node): print(part.text, part.algebra, part.source)

The rule is run on symbols that stand for what the node saved. Nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.backward import unbroadcast
from tinygrad_edu.errors import AutodiffError, UnsupportedError
from tinygrad_edu.formulas.expressions import Expr, evaluate, symbol, walk
from tinygrad_edu.formulas.names import COTANGENT
from tinygrad_edu.formulas.reading import Reader, constant
from tinygrad_edu.formulas.rewriting import Simplifier
from tinygrad_edu.formulas.symbols import Symbol
from tinygrad_edu.formulas.writing import Writer
from tinygrad_edu.graph import Node, Pick
from tinygrad_edu.source import source_text

__all__ = ["LocalRule", "local_rule"]


@dataclass(frozen=True)
class LocalRule:
    """One argument's rule.

    argument  its name, as the operation has it (x, y, a, ...); place: which of the operation's arguments it is
    latex     the formula, `\\bar{x} = ...`; text: the same for a terminal, `dx = ...`
    source    the rule as it is written in the engine
    output    what the cotangent that arrives is called in `expression`
    algebra   the shapes of the matrix products in it, `(2, 3)·(3, 4) → (2, 4)`; else of the cotangent and the result
    """

    argument: str
    place: int
    latex: str
    text: str
    source: str
    output: str
    algebra: str
    expression: Expr | None
    known: Mapping[str, Any]

    def evaluate(self, cotangent: Any) -> np.ndarray:
        """What the formula gives for a cotangent of the output, from what the node saved.

        Raises UnsupportedError where there is no formula.
        """
        if self.expression is None:
            raise UnsupportedError(f"the rule for {self.argument} has no formula")
        several = isinstance(cotangent, tuple)
        given = {f"{self.output}_{k}": g for k, g in enumerate(cotangent)} if several else {self.output: cotangent}
        return np.asarray(evaluate(self.expression, {**self.known, **given}))


def local_rule(node: Node, names: Mapping[str, str] | None = None) -> tuple[LocalRule, ...]:
    """The rules that a backward pass would run at this node, one for each tracked argument.

    names: what to call the operation's arguments and its output z, if not as it does itself ({"x": "Z", "z": "A"}).
    None for a node that only picks one of several outputs. A rule that has no formula is told by its source alone:
    latex and text are then "". Raises UnsupportedError for a leaf, and for a node whose saved arrays were let go by a
    backward pass (call backward(retain_graph=True)).
    """
    if node.plan is None:
        raise UnsupportedError("a leaf has no rule: its gradient is the sum of what arrives")
    if node.saved is None:
        raise UnsupportedError(f"{node.label}: its saved arrays are gone; ask before backward(), or retain the graph")
    if isinstance(node.operation, Pick):
        return ()  # one of several outputs: what arrives is filed under its number, and nothing is computed
    called = dict(names or {})
    operation = node.operation
    sequence = operation.sequence is not None
    saved = {}
    for name, source, value in zip(node.plan.names, node.plan.sources, node.saved, strict=True):
        operand = name == "z" or source >= 0 or (name in operation.parameters[: len(operation.rules)])
        value = None if name == "aside" else value  # the rule then says how it comes about
        saved[name] = stand_in(value, called.get(name, name), operand, source == -2)
    cotangent = stand_in(example(node), COTANGENT + called.get("z", "z"), True, False)
    cut = {one: symbol(one.name or "", one.shape) for one in symbols_in([cotangent, *saved.values()])}
    known = {one.name or "": one.value for one in cut}
    found = []
    for place, (argument, rule, needs) in enumerate(node.plan.pullbacks):
        if sequence:
            name = f"{called.get(operation.sequence, operation.sequence)}_{argument}"
            original = next(one for one in operation.rules if one is not None)
        else:
            name, original = operation.parameters[argument], operation.rules[argument]
            name = called.get(name, name)
        wanted = node.sources[place].shape
        values = [saved[node.plan.names[k]] for k in needs]
        try:
            with np.errstate(all="ignore"):
                result = rule(cotangent, *values)
                if operation.broadcasts and result.shape != wanted:
                    result = unbroadcast(result, wanted)
            expression = Simplifier()(Reader(cut, constant)(result))
        except (AutodiffError, TypeError, ValueError, AttributeError, KeyError):
            expression = None  # a rule that has to look at numbers, one by one
        latex = text = ""
        if expression is not None:
            latex = f"{Writer(True).name(COTANGENT + name)} = {Writer(True)(expression)}"
            text = f"{Writer(False).name(COTANGENT + name)} = {Writer(False)(expression)}"
        told = source_text(original) or "", COTANGENT + called.get("z", "z"), algebra(expression, node, wanted)
        found.append(LocalRule(name, argument, latex, text, *told, expression, known))
    return tuple(found)


def example(node: Node) -> Any:
    """A cotangent to run the rule with: ones, or a tuple of them."""
    if isinstance(node.dtype, tuple):
        return tuple(np.ones(shape, dtype) for shape, dtype in zip(node.shape, node.dtype, strict=True))
    return np.ones(node.shape, node.dtype)


def stand_in(value: Any, name: str, operand: bool, elements: bool) -> Any:
    """A symbol for an array that the rule is given; keywords and shapes go as they are."""
    if elements or (operand and isinstance(value, tuple)):
        parts = [stand_in(each, f"{name}_{k}", True, False) for k, each in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    numeric = isinstance(value, np.ndarray | np.generic) and not isinstance(value, np.str_)
    return Symbol(value, name) if operand and numeric else value


def symbols_in(values: list[Any]) -> Iterator[Symbol]:
    for one in values:
        if isinstance(one, Symbol):
            yield one
        elif isinstance(one, list | tuple):
            yield from symbols_in(list(one))


def algebra(expression: Expr | None, node: Node, wanted: tuple[int, ...]) -> str:
    products = [] if expression is None else [part for part in walk(expression) if part.op == "matmul"]
    if len(products) == 1:
        left, right = products[0].args
        return f"{left.shape}·{right.shape} → {products[0].shape}"
    return f"{node.shape} → {wanted}"
