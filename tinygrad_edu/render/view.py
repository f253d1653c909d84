"""The graph behind a tensor as plain data: what every picture of it is made from.

Nodes are numbered 0, 1, 2, ... in topological order, never by id(), so that pictures are the same from run to run.
A leaf or a constant stands right before the operation that first uses it; an operation that uses a tensor twice has two
edges from it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable
from tinygrad_edu.graph import Fixed, Node, location
from tinygrad_edu.memory import arrays_in
from tinygrad_edu.seals import root_of
from tinygrad_edu.tensor import Tensor

__all__ = ["Edge", "Gradient", "View", "ViewNode", "numbered", "view_of"]


@dataclass(frozen=True)
class Gradient:
    """A gradient in three numbers. norm and largest are over its finite elements, largest without its sign."""

    norm: float
    largest: float
    nonfinite: int


@dataclass(frozen=True)
class ViewNode:
    """One box of a picture.

    kind         "leaf" (wants a gradient), "operation", "constant" (wants none), or "folded": several in one
    label        the operation, the leaf's name inside its scope, the constant's value, or the folded scope
    name         the tensor's full name, if it has one
    shape        of the value; a tuple of shapes (and dtypes) where there are several outputs
    value        the number itself, where it is known and there is just one
    keywords     what the rules keep besides arrays: axis, index, ...
    saved_bytes  what it keeps for the backward pass; None once that was let go
    where        lesson.py:41
    folded       for a folded node, how many of each kind it stands for
    """

    number: int
    kind: str
    label: str
    name: str | None = None
    scope: str = ""
    shape: tuple[Any, ...] = ()
    dtype: str = ""
    size: int = 1
    value: str | None = None
    keywords: tuple[tuple[str, str], ...] = ()
    gradient: Gradient | None = None
    saved_bytes: int | None = 0
    where: str | None = None
    folded: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Edge:
    """source is argument number `argument` of target; name is the parameter it is bound to."""

    source: int
    target: int
    argument: int
    name: str


@dataclass(frozen=True)
class View:
    """nodes[k].number is k. output: the node of the tensor that was asked for."""

    nodes: tuple[ViewNode, ...]
    edges: tuple[Edge, ...]
    output: int

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries only, ready for JSON."""
        nodes = [
            {**vars(node), "keywords": dict(node.keywords), "folded": dict(node.folded),
             "gradient": None if node.gradient is None else dict(vars(node.gradient))}
            for node in self.nodes
        ]  # fmt: skip
        return {"nodes": nodes, "edges": [dict(vars(edge)) for edge in self.edges], "output": self.output}


def view_of(target: Tensor) -> View:
    """The graph that leads to `target`; a tensor without one is a single constant.

    Linear in the nodes, and iterative: a chain of 100,000 operations neither recurses nor crawls.
    """
    return numbered(target)[0]


def numbered(target: Tensor) -> tuple[View, dict[Node, int]]:
    """view_of(target), and the number of each recorded node in it."""
    if not isinstance(target, Tensor):
        raise TypeError(f"a picture is drawn of a Tensor, not of a {type(target).__name__}; pass an output or a loss")
    value = number_text(target.item()) if target.size == 1 else None
    if target._node is None:
        only = ViewNode(0, "constant", target.name or value or "constant", target.name, "", target.shape,
                        str(target.dtype), target.size, value)  # fmt: skip
        return View((only,), (), 0), {}
    found = reachable([target._node])
    homes = homes_of(found)
    nodes: list[ViewNode] = []
    edges: list[Edge] = []
    numbers: dict[Node, int] = {}
    seen = Seen()

    def add(node: Node) -> None:
        number = numbers[node] = len(nodes)
        nodes.append(tracked(number, node, homes.get(node), value if node is target._node else None, seen))

    for node in found:
        if node.operation is None and node is not target._node:
            continue  # a leaf comes right before its first use
        sources = []
        for argument, given in enumerate(node.inputs):
            if type(given) is Node:
                if given not in numbers:
                    add(given)
                sources.append((argument, numbers[given]))
            elif given is not None:
                sources.append((argument, len(nodes)))
                nodes.append(constant(len(nodes), given, node.scope))
        add(node)
        number = numbers[node]
        edges += [Edge(source, number, argument, argument_name(node, argument)) for argument, source in sources]
    return View(tuple(nodes), tuple(edges), len(nodes) - 1), numbers


class Seen:
    """What a walk learns once: whose memory was counted, which dtypes and lines were written out."""

    __slots__ = ("dtypes", "lines", "memory")

    def __init__(self) -> None:
        self.memory: set[int] = set()
        self.dtypes: dict[Any, str] = {}
        self.lines: dict[tuple[int, int], str] = {}

    def dtype(self, dtype: Any) -> str:
        text = self.dtypes.get(dtype)
        if text is None:
            text = self.dtypes[dtype] = ", ".join(map(str, dtype)) if isinstance(dtype, tuple) else str(dtype)
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


def tracked(number: int, node: Node, home: str | None, value: str | None, seen: Seen) -> ViewNode:
    name = getattr(node, "name", None)
    gradient = getattr(node, "grad", None)
    label = node.label if node.operation is not None else name or "leaf"
    several = isinstance(node.dtype, tuple)
    return ViewNode(
        number=number,
        kind="leaf" if node.operation is None else "operation",
        label=label if home is None else label.rpartition(".")[2],
        name=name,
        scope=node.scope if home is None else home,
        shape=node.shape,
        dtype=seen.dtype(node.dtype),
        size=sum(size_of(shape) for shape in node.shape) if several else size_of(node.shape),
        value=value,
        keywords=keywords_of(node),
        gradient=None if gradient is None else gradient_of(gradient._value),
        saved_bytes=saved_bytes(node, seen.memory),
        where=seen.line(node),
    )


def constant(number: int, given: Any, scope: str) -> ViewNode:
    """An array's data is not kept, so of an array only shape and name are known; a scalar shows itself."""
    if isinstance(given, Fixed):
        label = given.name or ("array" if given.shape else "scalar")
        size = size_of(given.shape)
        return ViewNode(number, "constant", label, given.name, scope, given.shape, str(given.dtype), size)
    array = np.asarray(given)
    text = number_text(given) if not array.ndim else "array"
    return ViewNode(number, "constant", text, None, scope, array.shape, str(array.dtype), array.size,
                    None if array.ndim else text)  # fmt: skip


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


def gradient_of(array: Any) -> Gradient:
    values = np.abs(np.asarray(array, np.float64))
    finite = values[np.isfinite(values)]
    largest = float(finite.max(initial=0.0))
    # Scaled, or the squares of 1e200 would overflow.
    norm = largest * float(np.sqrt(np.square(finite / largest).sum())) if largest else 0.0
    return Gradient(min(norm, sys.float_info.max), largest, int(values.size - finite.size))


def keywords_of(node: Node) -> tuple[tuple[str, str], ...]:
    """Axes, indices and the like, as one would write them; what has its default value says nothing."""
    if node.operation is None or node.plan is None or node.saved is None:
        return ()
    operation = node.operation
    operands = operation.parameters[: len(operation.rules)]
    found = []
    for name, value in zip(node.plan.names, node.saved, strict=True):
        if name in ("z", *operands) or name.endswith("_shape"):
            continue
        if value is None or value is np._NoValue or operation.sequence == name:
            continue
        if name not in operation.defaults or not is_same(value, operation.defaults[name]):
            found.append((name, value_text(value)))
    return tuple(found)


def is_same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and not isinstance(value, np.ndarray) and bool(value == default)


def value_text(value: Any) -> str:
    """-1, (2, 0, 1), :5, ...; an array is only hinted at."""
    if isinstance(value, slice):
        ends = ["" if end is None else value_text(end) for end in (value.start, value.stop)]
        return ":".join(ends if value.step is None else [*ends, value_text(value.step)])
    if isinstance(value, tuple | list):
        inner = ", ".join(value_text(each) for each in value)
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if value is Ellipsis:
        return "..."
    if isinstance(value, bool | int | str) or value is None:
        return str(value)
    if isinstance(value, float | np.generic):
        return number_text(value)
    return type(value).__name__ if not isinstance(value, np.ndarray) else f"array{value.shape}"


def number_text(value: Any) -> str:
    """0.25, 3, 1e-05, nan: four digits are enough to recognise a number."""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
