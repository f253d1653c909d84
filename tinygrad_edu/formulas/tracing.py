"""One run of a function, seen twice: as the graph that the engine recorded, and as symbols.

The function runs on Tensors, unchanged. Every operation that ran was watched; its array arguments are known by what
they are, so that each gets the symbol of the operation that made it. Those symbols take the place of what the graph
saved. Then the engine's own backward pass runs over it, with its own rules: the cotangents that come out are symbols.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable, reverse
from tinygrad_edu.errors import NotTrackedError, UnsupportedError
from tinygrad_edu.formulas.local import local_rule
from tinygrad_edu.formulas.names import COTANGENT
from tinygrad_edu.formulas.symbols import PART, Symbol
from tinygrad_edu.graph import STATE, Node, Pick, next_number
from tinygrad_edu.operation import Operation
from tinygrad_edu.primitive import registry
from tinygrad_edu.tensor import Tensor

__all__ = ["Trace", "trace"]


class Trace:
    """output: its node. nodes: oldest first. value: node → symbol. cotangent: node → symbol.

    seed: the symbol of the output's cotangent. leaves: argument → node. arrays: argument → symbol.
    """

    output: Node
    nodes: list[Node]
    seed: Symbol

    def __init__(self) -> None:
        self.events: list[tuple[int, Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.symbols: dict[int, Symbol] = {}
        self.kept: list[Any] = []  # so that no id is used twice
        self.arrays: dict[str, Symbol] = {}
        self.leaves: dict[str, Node] = {}
        self.value: dict[Node, Symbol] = {}
        self.cotangent: dict[Node, Any] = {}

    def watch(self, operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        self.events.append((next_number(), operation, args, keywords, value))

    def enter(self, value: Any, symbol: Symbol) -> Symbol:
        self.symbols[id(value)] = symbol
        self.kept.append(value)
        return symbol

    def known(self, value: Any) -> Any:
        """Symbols in the place of arrays that were seen before, also inside lists and tuples."""
        if isinstance(value, list | tuple):
            parts = [self.known(each) for each in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        return self.symbols.get(id(value), value) if isinstance(value, np.ndarray | np.generic) else value

    def meet_parameters(self) -> None:
        """Leaves that are no arguments, such as a module's parameters: their values are what operations were given."""
        numbers = [event[0] for event in self.events]
        known = {*self.leaves.values()}
        for node in self.nodes:
            if node.plan is None or isinstance(node.operation, Pick) or known.issuperset(node.sources):
                continue
            _, operation, args, _, _ = self.events[bisect.bisect(numbers, node.number) - 1]
            operands = args[0] if operation.sequence and isinstance(args[0], list | tuple) else args
            for place, source in zip(node.plan.tracked, node.sources, strict=True):
                if source.plan is None and source not in known:
                    known.add(source)
                    name = source.name or "C"
                    while name in self.arrays:
                        name += "_"
                    self.leaves[name] = source
                    self.arrays[name] = self.enter(operands[place], Symbol(operands[place], name))

    def read_events(self) -> list[int]:
        keys = {operation: function for function, operation in registry().items()}
        for _, operation, args, keywords, value in self.events:
            words = {name: self.known(each) for name, each in keywords.items() if each is not np._NoValue}
            args = tuple(self.known(each) for each in args)
            if isinstance(value, tuple):
                whole = Symbol(0.0, None, keys[operation], args, words)
                for k, part in enumerate(value):
                    self.enter(part, Symbol(part, None, PART, (whole, k)))
            else:
                self.enter(value, Symbol(value, None, keys[operation], args, words))
        return [event[0] for event in self.events]


def trace(f: Callable[..., Any], arrays: Mapping[str, np.ndarray], wrt: list[str], rest: Mapping[str, Any]) -> Trace:
    """Run f(**arrays, **rest), and its backward pass on symbols. wrt: the arguments to differentiate by.

    Raises NotTrackedError if what f returns is no Tensor that depends on one of them.
    """
    found = Trace()
    given: dict[str, Any] = dict(rest)
    for name, value in arrays.items():
        given[name] = value
        if value.dtype.kind == "f":
            given[name] = Tensor(value, requires_grad=name in wrt, name=name)
        found.arrays[name] = found.enter(getattr(given[name], "_value", value), Symbol(value, name))
        if name in wrt:
            found.leaves[name] = given[name]._node
    token = STATE.set(STATE.get().but(recording=True, watch=found.watch))
    try:
        output = f(**given)
    finally:
        STATE.reset(token)
    if not isinstance(output, Tensor) or output._node is None:
        raise NotTrackedError(
            f"derive: the function returned {type(output).__name__}, which depends on none of {', '.join(wrt)} by "
            "functions the engine knows; it returns one Tensor, computed with NumPy functions and Tensor methods"
        )
    found.output = output._node
    found.nodes = reachable([output._node])
    found.meet_parameters()
    numbers = found.read_events()
    leaves = {node: found.arrays[name] for name, node in found.leaves.items()}
    for node in found.nodes:
        if node.plan is None:
            found.value[node] = leaves[node] if node in leaves else Symbol(np.zeros(node.shape), node.name or "C")
        elif not isinstance(node.operation, Pick):
            value = found.events[bisect.bisect(numbers, node.number) - 1][4]
            if not isinstance(value, tuple):
                found.value[node] = found.symbols[id(value)]
        else:
            source = found.events[bisect.bisect(numbers, node.sources[0].number) - 1][4]
            found.value[node] = found.symbols[id(source[node.operation.index])]
    shape, dtype = output.shape, output.dtype
    example = np.random.default_rng(0).normal(size=shape).astype(dtype) if shape else dtype.type(1.0)
    found.seed = Symbol(example, COTANGENT)

    for node in found.nodes:  # nobody else holds this graph
        if node.plan is not None:
            node.kept, node.marks = found.known(node.kept), None
    try:
        found.cotangent = reverse({found.output: found.seed}, set(found.nodes))
    except UnsupportedError as error:
        raise UnsupportedError(f"derive: {', '.join(without_formula(found.nodes))} has no formula: {error}") from None
    return found


def without_formula(nodes: list[Node]) -> list[str]:
    """The operations whose rules ask for numbers."""
    recorded = [node for node in nodes if node.plan is not None]
    return [node.label for node in recorded if any(part.expression is None for part in local_rule(node))]
