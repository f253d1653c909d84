"""What a graph keeps alive for its backward pass: which array, which rule asked for it, how many bytes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable
from tinygrad_edu.graph import Node, node_location
from tinygrad_edu.operation import needs_of
from tinygrad_edu.seals import root_of
from tinygrad_edu.tensor import Tensor

__all__ = ["Kept", "MemoryReport", "memory_report"]


@dataclass(frozen=True)
class Kept:
    """One array that a node keeps. bytes: 0 if another entry counts this memory already."""

    operation: str
    name: str
    asked_by: tuple[str, ...]
    shape: tuple[int, ...]
    bytes: int
    scope: str
    where: str


@dataclass(frozen=True)
class MemoryReport:
    """kept: every saved array, in recording order. peak: the most that saved arrays and cotangents need together
    during the backward pass, in bytes."""

    kept: tuple[Kept, ...]
    peak: int

    @property
    def total(self) -> int:
        """Bytes kept for the backward pass; memory shared by several entries counts once."""
        return sum(entry.bytes for entry in self.kept)

    def by_operation(self) -> dict[str, int]:
        return self._by("operation")

    def by_scope(self) -> dict[str, int]:
        return self._by("scope")

    def _by(self, key: str) -> dict[str, int]:
        sums: Counter[str] = Counter()
        for entry in self.kept:
            sums[getattr(entry, key)] += entry.bytes
        return dict(sums.most_common())

    def __str__(self) -> str:
        lines = [f"{self.total:,} bytes kept for backward, {self.peak:,} at the peak of the pass"]
        for title, sums in (("operation", self.by_operation()), ("scope", self.by_scope())):
            lines += [f"  by {title}:", *[f"    {size:>14,}  {name or '(no scope)'}" for name, size in sums.items()]]
        largest = sorted(self.kept, key=lambda entry: -entry.bytes)[:10]
        lines.append("  largest:")
        lines += [
            f"    {e.bytes:>14,}  {e.operation}: {e.name} {list(e.shape)}, asked by the rule for "
            f"{' and '.join(e.asked_by)}, {e.where}"
            for e in largest
        ]
        return "\n".join(lines)


def arrays_in(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    return [array for part in value for array in arrays_in(part)] if isinstance(value, list | tuple) else []


def memory_report(output: Tensor) -> MemoryReport:
    """What the graph of `output` keeps, why, and the peak of its backward pass; nothing is run.

    An untracked tensor keeps nothing. Scalars are not counted; nor is, in the peak, what a rule holds while it works,
    nor what `checkpoint` runs again. Raises TypeError for what is no Tensor.
    """
    if not isinstance(output, Tensor):
        raise TypeError(f"memory_report: a {type(output).__name__} has no graph; pass the loss, a Tensor")
    kept = kept_by(reachable([output._node])) if output._node is not None else {}
    entries = tuple(entry for of_node in kept.values() for entry in of_node)
    return MemoryReport(entries, max(held_through(kept), default=0))


def kept_by(nodes: list[Node]) -> dict[Node, list[Kept]]:
    """What each node keeps; memory that an earlier one keeps already has 0 bytes."""
    seen: set[int] = set()
    found: dict[Node, list[Kept]] = {}
    for node in nodes:
        kept = found[node] = []
        for name, value in zip(node.plan.names if node.plan else (), node.saved or (), strict=False):
            for array in arrays_in(value):
                root = root_of(array)
                size = 0 if id(root) in seen else root.nbytes
                seen.add(id(root))
                kept.append(
                    Kept(node.label, name, askers(node, name), array.shape, size, node.scope, node_location(node))
                )
    return found


def askers(node: Node, name: str) -> tuple[str, ...]:
    """The arguments whose rules name this array."""
    names = node.operation.parameters
    if node.operation.sequence is not None:
        return (node.operation.sequence,)
    return tuple(names[k] for k, rule, _ in node.plan.pullbacks if name in needs_of(rule))


def held_through(kept: dict[Node, list[Kept]]) -> list[int]:
    """The bytes of saved arrays and cotangents together at each node's turn in the backward pass, played on sizes.

    Saved arrays go as their node is done, cotangents live until they are used; leaves, whose cotangents stay, have no
    turn but count as one. kept: by node, oldest first.
    """
    nodes = list(kept)
    if not nodes:
        return []
    waiting = {nodes[-1]}
    now = sum(entry.bytes for entries in kept.values() for entry in entries) + size_of(nodes[-1])
    held = []
    for node in reversed(nodes):
        for source in node.inputs:
            if type(source) is Node and source not in waiting:
                waiting.add(source)
                now += size_of(source)
        held.append(now)
        now -= sum(entry.bytes for entry in kept[node]) + (0 if node.operation is None else size_of(node))
    return held


def size_of(node: Node) -> int:
    """Bytes of one cotangent of this node."""
    shapes, dtypes = (node.shape, node.dtype) if isinstance(node.dtype, tuple) else ((node.shape,), (node.dtype,))
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in zip(shapes, dtypes, strict=True))
