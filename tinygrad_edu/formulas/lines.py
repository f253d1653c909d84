"""From one run of a function to the lines of its forward and backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.errors import RuleError
from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.expressions import Expr, array, number, symbol, walk
from tinygrad_edu.formulas.inputs import Inputs
from tinygrad_edu.formulas.names import COTANGENT, name_in_text
from tinygrad_edu.formulas.naming import Kinds, given_names, unused
from tinygrad_edu.formulas.reading import Reader
from tinygrad_edu.formulas.rewriting import Simplifier
from tinygrad_edu.formulas.symbols import Symbol
from tinygrad_edu.formulas.tracing import Trace
from tinygrad_edu.formulas.writing import Writer
from tinygrad_edu.graph import Node

__all__ = ["Line", "Lines"]


@dataclass(frozen=True)
class Line:
    """One formula: name = expression. A cotangent's name begins with ∂."""

    name: str
    expression: Expr


SHORT = ("s", "t", "S")  # their cotangent is short enough to stand inside of the formula for their argument's


def replaced(x: Expr, names: Mapping[Expr, Expr]) -> Expr:
    """x, with some of its parts written by name."""
    if x in names:
        return names[x]
    args = tuple(replaced(arg, names) for arg in x.args)
    return x if args == x.args else Expr(x.op, args, x.data, x.shape)


class Lines:
    """Reads a trace, line by line: each result that has a name cuts the formulas after it short."""

    def __init__(self, traced: Trace, inputs: Inputs) -> None:
        self.trace, self.inputs = traced, inputs
        self.constants: dict[bytes, Expr] = {}
        self.taken = {*inputs.arrays, *inputs.rest}
        cut = {one: symbol(name, one.shape) for name, one in traced.arrays.items()}
        self.reader = Reader(cut, self.constant, traced.symbols)
        self.simplify = Simplifier()
        self.named: list[tuple[Any, str]] = []  # (node, name), in the order of the forward pass
        self.output = ""
        self.short: set[Node] = set()

    def constant(self, value: np.ndarray) -> Expr:
        """An array that f made without the engine: one of its arguments, laid out in another way, or a constant."""
        if value.dtype.kind in "iub":
            for name, given in self.inputs.arrays.items():
                if given.dtype == value.dtype and np.array_equal(given.ravel(), value.ravel()):
                    return al.reshape(symbol(name, given.shape), value.shape)
        key = value.tobytes()
        if key not in self.constants:
            values = np.unique(value[value != 0]) if value.dtype.kind == "f" else np.ones(1)
            if len(values) == 1 and values[0] != 1.0 and (value == 0).any():  # a mask and its scale
                return al.mul(number(float(values[0])), self.constant(np.asarray(value != 0)))
            name = unused("M" if value.dtype == bool or set(np.unique(value)) <= {0.0, 1.0} else "C", self.taken)
            self.taken.add(name)
            self.constants[key] = array(value, name)
        return self.constants[key]

    def read(self, value: Any) -> Expr:
        return self.simplify(self.reader(value))

    def go_forward(self, output: str | None) -> list[Line]:
        kinds, called = Kinds(self.trace.nodes), given_names(self.trace.nodes)
        lines = []
        for node in self.trace.nodes:
            if node.plan is None or node not in self.trace.value or self.trace.value[node] in self.reader.cut:
                continue
            value, last = self.trace.value[node], node is self.trace.output
            definition = self.read(value)
            name = called.get(node) or kinds.name(node, definition)
            if last:
                name = output or called.get(node) or ("Y" if value.ndim else "L")
            if name is None or (definition.op == "symbol" and not last):
                continue
            if node not in called and name in SHORT and not last:
                self.short.add(node)
            name = unused(name, self.taken)
            self.taken.add(name)
            if last:
                self.simplify.whole.add(definition)
            self.name(value, name, definition)
            self.named.append((node, name))
            lines.append(Line(name, definition))
            if last:
                self.output = name
        return lines

    def name(self, value: Symbol, name: str, definition: Expr) -> None:
        """From here on, `value` is written by its name; what is known of its sums stays known."""
        short = symbol(name, value.shape)
        if value.ndim and definition.op != "symbol":
            axis = value.ndim - 1
            total = self.simplify(al.total(definition, (axis,)))
            if al.is_number(total):
                self.simplify.facts[al.total(short, (axis,))] = total
        if definition.op == "call" and definition.data.name == "relu":
            self.simplify.facts[al.compare(">", short, al.ZERO)] = al.compare(">", definition.args[0], al.ZERO)
        self.reader.cut[value] = short
        self.simplify.names[definition] = short
        self.simplify.known.clear()

    def shorten(self, forward: list[Line], backward: list[Line]) -> tuple[list[Line], list[Line]]:
        """A softmax and a one-hot matrix in the middle of a cotangent get their usual names, P and Y."""
        names: dict[Expr, Expr] = {}
        for line in backward:
            for part in walk(line.expression):
                usual = {"softmax": "P", "onehot": "Y"}.get(part.op)
                scalar = not self.trace.seed.ndim
                if usual and scalar and part not in names and part.args[0].op == "symbol" and part != line.expression:
                    name = unused(usual, self.taken)
                    self.taken.add(name)
                    names[part] = symbol(name, part.shape)
        extra = [Line(one.data, definition) for definition, one in names.items()]
        self.extra = {line.name: line.expression for line in extra}
        shorter = [Line(line.name, replaced(line.expression, names)) for line in backward]
        known = {line.name for line in forward}
        ready = [line for line in extra if line.expression.args[0].data not in known]
        late = [line for line in extra if line not in ready]
        forward = [Line(line.name, replaced(line.expression, {one.expression: names[one.expression] for one in ready}))
                   for line in forward]  # fmt: skip
        return [*ready, *forward, *late], shorter

    def go_backward(self, wanted: list[str]) -> list[Line]:
        scalar = not self.trace.seed.ndim
        given = number(1.0) if scalar else symbol(COTANGENT + self.output, self.trace.seed.shape)
        self.reader.cut[self.trace.seed] = given
        lines = []
        for node, name in reversed(self.named):
            value = self.trace.cotangent.get(node)
            if isinstance(value, Symbol) and value not in self.reader.cut and node not in self.short:
                lines += self.cotangent(value, name)
        for name in wanted:
            value = self.trace.cotangent.get(self.trace.leaves[name])
            shape = self.inputs.arrays[name].shape
            expression = al.broadcast(al.ZERO, shape) if value is None else self.read(value)
            lines.append(Line(COTANGENT + name, expression))
        return lines

    def cotangent(self, value: Symbol, name: str) -> list[Line]:
        expression = self.read(value)
        if expression.op == "symbol":  # it passes unchanged: no new name
            self.reader.cut[value] = expression
            return []
        self.reader.cut[value] = symbol(COTANGENT + name, value.shape)
        self.simplify.known.clear()
        return [Line(COTANGENT + name, expression)]

    def check(self, lines: list[Line], values: Mapping[str, Any]) -> None:
        """Each line, computed on the example, is what the engine computed."""
        expected: dict[str, Any] = {name: self.trace.value[node] for node, name in self.named}
        expected |= {COTANGENT + name: self.trace.cotangent.get(node) for node, name in self.named}
        expected |= {COTANGENT + name: self.trace.cotangent.get(node) for name, node in self.trace.leaves.items()}
        for line in lines:
            if line.name in self.extra:
                continue
            engine = expected[line.name]
            wanted = np.zeros(values[line.name].shape) if not isinstance(engine, Symbol) else np.asarray(engine.value)
            scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted))))
            digits = 1e-8 if wanted.dtype == np.float64 else 1e-4  # what the engine's own precision allows
            if not np.allclose(values[line.name], wanted, rtol=digits, atol=digits * scale / 10, equal_nan=True):
                formula = f"{name_in_text(line.name)} = {Writer(False)(line.expression)}"
                raise RuleError(
                    f"derive: the formula {formula} does not compute what the engine does: "
                    f"a rule of simplification is wrong. Please report it with the function."
                )
