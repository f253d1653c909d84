"""The graph behind a tensor as a View: walked once, linear in its nodes, without recursion.

A leaf or a constant stands right before the operation that first uses it; an operation that uses a tensor twice has two
edges from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable
from tinygrad_edu.graph import Fixed, Node, location
from tinygrad_edu.memory import arrays_in
from tinygrad_edu.render.labels import value_text
from tinygrad_edu.render.plain import Edge, Scope, Statistics, View, ViewNode, statistics_of
from tinygrad_edu.render.run import Fact, Facts, fact_of, gradients_of, known_values
from tinygrad_edu.seals import root_of
from tinygrad_edu.tensor import Tensor

__all__ = ["Edge", "Scope", "Statistics", "View", "ViewNode", "numbered", "view_of"]

def view_of(target: Tensor, gradients: bool = False) -> View:
    """The graph that leads to `target`; a tensor without one is a single constant.

    Values are told where an operation keeps them for the backward pass, gradients where they were left in `.grad`.
    gradients: run a backward pass for this view alone, which tells the gradient by every node.
    Linear in the nodes, and iterative: a chain of 100,000 operations neither recurses nor crawls.
    """
    return numbered(target, gradients=gradients)[0]


def numbered(
    target: Tensor,
    facts: Facts | None = None,
    seconds: Mapping[Node, float] | None = None,
    scopes: Mapping[str, Scope] | None = None,
    gradients: bool = False,
    part: list[Node] | None = None,
) -> tuple[View, dict[Node, int]]:
    """view_of(target), and the number of each recorded node in it. facts, seconds: of a run, see render/run.py.

    part: of a graph too large to be seen, these operations with what they were given, and these leaves; oldest first.
    """
    if not isinstance(target, Tensor):
        raise TypeError(f"a picture is drawn of a Tensor, not of a {type(target).__name__}; pass an output or a loss")
    own = fact_of(target)
    if target._node is None:
        label = target.name or (own.value if own and target.size == 1 else None) or "constant"
        only = ViewNode(0, "constant", label, target.name, "", target.shape, str(target.dtype), target.size)
        return View((with_fact(only, own),), (), 0, scopes or {}), {}
    found = reachable([target._node]) if part is None else part
    walk = Walk(found, known_values(found) if facts is None else dict(facts))
    if own is not None:
        walk.facts[target._node] = own
    if seconds is not None:
        walk.seconds = seconds
    why = ""
    if gradients:
        walk.gradients, why = gradients_of(target)
    notes = [why] if why else missing(found, walk.gradients)
    for node in part or ():
        if node.plan is None and node is not target._node:
            walk.add(node)
    return walk.view(target._node, scopes or {}, tuple(notes)), walk.numbers


def missing(found: list[Node], gradients: Mapping[Node, Statistics] | None) -> list[str]:
    """What to say of the leaves that have no gradient, which is not a gradient of zero."""
    leaves = [node for node in found if node.plan is None]
    known = [node for node in leaves if node.grad is not None or (gradients is not None and node in gradients)]
    if not leaves or len(known) == len(leaves):
        return []
    if not known:
        return ["No gradients: backward() was not run."]
    return [f"No gradient yet at {len(leaves) - len(known):,} of {len(leaves):,} leaves."]


class Walk:
    """One way through the graph: what is known of its nodes, and what was learnt on the way.

    gradients: None where those left in `.grad` are told.
    """

    def __init__(self, found: list[Node], facts: Facts) -> None:
        self.found, self.facts = found, facts
        self.seconds: Mapping[Node, float] = {}
        self.gradients: Mapping[Node, Statistics] | None = None
        self.homes = homes_of(found)
        self.numbers: dict[Node, int] = {}
        self.nodes: list[ViewNode] = []
        self.edges: list[Edge] = []
        # Learnt once: whose memory was counted, which dtypes and lines were written out.
        self.memory: set[int] = set()
        self.dtypes: dict[Any, str] = {}
        self.lines: dict[tuple[int, int], str] = {}

    def view(self, target: Node, scopes: Mapping[str, Scope], notes: tuple[str, ...]) -> View:
        for node in self.found:
            if node.plan is None and node is not target:
                continue  # a leaf comes right before its first use
            sources = []
            for argument, given in enumerate(node.inputs):
                if type(given) is Node:
                    if given not in self.numbers:
                        self.add(given)
                    sources.append((argument, self.numbers[given]))
                elif given is not None:
                    sources.append((argument, len(self.nodes)))
                    made = constant(len(self.nodes), given, node.scope)
                    self.nodes.append(with_fact(made, self.facts.get((node, argument))))
            self.add(node)
            place = self.numbers[node]
            self.edges += [Edge(source, place, argument, argument_name(node, argument)) for argument, source in sources]
        return View(tuple(self.nodes), tuple(self.edges), len(self.nodes) - 1, scopes, notes)

    def add(self, node: Node) -> None:
        number = self.numbers[node] = len(self.nodes)
        home, fact = self.homes.get(node), self.facts.get(node)
        label = node.label if node.plan is not None else node.name or "leaf"
        self.nodes.append(
            ViewNode(
                number=number,
                kind="leaf" if node.plan is None else "operation",
                label=label if home is None else label.rpartition(".")[2],
                name=node.name,
                scope=node.scope if home is None else home,
                shape=node.shape,
                dtype=self.dtype(node.dtype),
                size=self.size(node),
                value=None if fact is None else fact.value,
                keywords=keywords_of(node),
                statistics=None if fact is None else fact.statistics,
                gradient=self.gradient(node),
                saved_bytes=saved_bytes(node, self.memory),
                seconds=self.seconds.get(node),
                where=self.line(node),
            )
        )

    def gradient(self, node: Node) -> Statistics | None:
        if self.gradients is not None and (self.gradients or node.grad is None):
            return self.gradients.get(node)
        return None if node.grad is None else statistics_of(node.grad._value)

    def size(self, node: Node) -> int:
        several = isinstance(node.dtype, tuple)
        return sum(size_of(shape) for shape in node.shape) if several else size_of(node.shape)

    def dtype(self, dtype: Any) -> str:
        text = self.dtypes.get(dtype)
        if text is None:
            several = dtype if isinstance(dtype, tuple) else (dtype,)
            text = self.dtypes[dtype] = ", ".join(dict.fromkeys(map(str, several)))
        return text

    def line(self, node: Node) -> str | None:
        if node.origin is None:
            return None
        code, instruction = node.origin
        key = id(code), instruction  # the node keeps the code alive, so that its id() stays its own
        text = self.lines.get(key)
        if text is None:
            text = self.lines[key] = location(node.origin)
        return text


def homes_of(found: list[Node]) -> dict[Node, str]:
    """Leaf → the scope it belongs to by its name: blocks.0.norm1.weight stands where blocks.0.norm1 uses it.

    A module called by itself records a shorter scope than the name tells: norm1 for blocks.0.norm1.
    """
    homes: dict[Node, str] = {}
    for node in found:
        for given in node.inputs:
            if type(given) is Node and given.operation is None and given not in homes:
                owner = (given.name or "").rpartition(".")[0]
                if node.scope and f".{owner}".endswith(f".{node.scope}"):
                    homes[given] = node.scope
    return homes


def constant(number: int, given: Any, scope: str) -> ViewNode:
    """An array's data is not kept, so of an array only shape and name are known; a scalar shows itself."""
    if isinstance(given, Fixed):
        label = given.name or ("array" if given.shape else "scalar")
        size = size_of(given.shape)
        return ViewNode(number, "constant", label, given.name, scope, given.shape, str(given.dtype), size)
    array = np.asarray(given)
    text = value_text(given) if not array.ndim else "array"
    return ViewNode(number, "constant", text, None, scope, array.shape, str(array.dtype), array.size,
                    None if array.ndim else text)  # fmt: skip


def with_fact(node: ViewNode, fact: Fact | None) -> ViewNode:
    if fact is None:
        return node
    return node._replace(statistics=fact.statistics, value=node.value or fact.value)


def size_of(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def argument_name(node: Node, argument: int) -> str:
    """The parameter of NumPy's function; for a sequence of arrays, and one of several outputs, the place in it."""
    operation = node.operation
    if operation.sequence is not None or argument >= len(operation.parameters):
        return str(argument)
    return str(operation.parameters[argument])


def saved_bytes(node: Node, counted: set[int]) -> int | None:
    """Bytes of the arrays kept for the rules; memory shared with an earlier node counts there."""
    if node.saved is None:
        return None
    total = 0
    for value in node.saved:
        for array in arrays_in(value):
            root = root_of(array)
            total += 0 if id(root) in counted else root.nbytes
            counted.add(id(root))
    return total


def keywords_of(node: Node) -> tuple[tuple[str, str], ...]:
    """Axes, indices and the like, as one would write them; what has its default value says nothing."""
    if node.operation is None or node.plan is None or node.saved is None:
        return ()
    operation = node.operation
    operands = operation.parameters[: len(operation.rules)]
    found = []
    for name, value in zip(node.plan.names, node.saved, strict=True):
        if name in ("z", "aside", *operands) or name.endswith("_shape"):
            continue
        if value is None or value is np._NoValue or operation.sequence == name:
            continue
        if name not in operation.defaults or not is_same(value, operation.defaults[name]):
            found.append((name, value_text(value)))
    return tuple(found)


def is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and not isinstance(value, np.ndarray) and bool(value == default)
