"""A graph as plain data: numbers, strings and tuples, which every picture is made from and which JSON can carry.

Nodes are numbered 0, 1, 2, ... in topological order, never by id(), so that pictures are the same from run to run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Edge", "Scope", "Statistics", "View", "ViewNode", "statistics_of"]


class Statistics(NamedTuple):
    """An array in six numbers. All but nonfinite are of its finite elements; of none, they are zero."""

    low: float
    high: float
    mean: float
    std: float
    norm: float
    nonfinite: int = 0

    @property
    def largest(self) -> float:
        """Without its sign."""
        return max(abs(self.low), abs(self.high))


def statistics_of(array: Any) -> Statistics:
    """Of an array or a number. Scaled before it is squared: the square of 1e200 would overflow."""
    if isinstance(array, float) and math.isfinite(array):
        value = float(array)
        return Statistics(value, value, value, 0.0, abs(value))
    values = np.asarray(array, np.float64).ravel()
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)  # NaN, if there is one
    nonfinite = 0
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = values[np.isfinite(values)]
        nonfinite = values.size - finite.size
        values, low, high = finite, finite.min(initial=np.inf), finite.max(initial=-np.inf)
    largest = max(abs(low), abs(high))
    if not values.size or not largest:
        return Statistics(0.0, 0.0, 0.0, 0.0, 0.0, nonfinite)
    with np.errstate(under="ignore"):
        scaled = values / largest
        mean, std = float(scaled.mean()), float(scaled.std())
    norm = min(largest * math.sqrt(values.size) * math.hypot(mean, std), float(np.finfo(float).max))
    return Statistics(float(low), float(high), float(largest * mean), float(largest * std), float(norm), nonfinite)


class ViewNode(NamedTuple):
    """One box of a picture.

    kind         "leaf" (wants a gradient), "operation", "constant" (wants none), or "folded": several in one
    label        the operation, the leaf's name inside its scope, the constant's value, or the folded scope
    name         the tensor's full name, if it has one
    scope        the path of what it was recorded in: blocks.0.attention
    shape        of the value; a tuple of shapes (and dtypes) where there are several outputs
    value        the numbers themselves, where they are known and few
    keywords     what the rules keep besides arrays: axis, index, ...
    statistics   of the value, where it is known: a graph keeps only what its rules need
    gradient     of the output of the graph by this value, where it is known
    saved_bytes  what it keeps for the backward pass; None once that was let go
    seconds      how long it took, where the run was timed
    where        lesson.py:41
    folded       for a folded node, how many of each kind it stands for
    parameters   numbers in the leaves it stands for, if it is folded
    whole        its number in the whole graph, if this is only a part of that
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
    statistics: Statistics | None = None
    gradient: Statistics | None = None
    saved_bytes: int | None = 0
    seconds: float | None = None
    where: str | None = None
    folded: tuple[tuple[str, int], ...] = ()
    parameters: int = 0
    whole: int | None = None

    def numbered(self, number: int) -> ViewNode:
        """This node in a view in which it has another number."""
        return self._replace(number=number, whole=self.number if self.whole is None else self.whole)


class Edge(NamedTuple):
    """source is argument number `argument` of target; name is the parameter it is bound to."""

    source: int
    target: int
    argument: int
    name: str


class Scope(NamedTuple):
    """What is known of a scope beside its path. kind: the module's class. note: what it says of itself, as `4 heads`.
    alike: the paths of all that it stands for, if equal ones in a row are drawn once; itself first."""

    kind: str = ""
    note: str = ""
    alike: tuple[str, ...] = ()


class View(NamedTuple):
    """nodes[k].number is k. output: the node of the tensor that was asked for. scopes: by path, those that are more
    than a path. notes: what a reader must know of the whole, such as that no backward pass was run."""

    nodes: tuple[ViewNode, ...]
    edges: tuple[Edge, ...]
    output: int
    scopes: Mapping[str, Scope] = {}
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dictionaries only, ready for JSON."""
        return {
            "nodes": [plain_node(node) for node in self.nodes],
            "edges": [edge._asdict() for edge in self.edges],
            "output": self.output,
            "scopes": {path: {**scope._asdict(), "alike": list(scope.alike)} for path, scope in self.scopes.items()},
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """As a line of ASCII for each node and edge; the same for the same graph, in every run."""
        data = self.to_dict()
        rows = {key: ",\n  ".join(json.dumps(row, allow_nan=False) for row in data[key]) for key in ("nodes", "edges")}
        rest = json.dumps({key: data[key] for key in ("output", "scopes", "notes")}, allow_nan=False)
        lists = "".join(f' "{key}": [\n  {text}\n ],\n' if text else f' "{key}": [],\n' for key, text in rows.items())
        return f"{{\n{lists} {rest[1:]}\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> View:
        """What to_dict made, also after its way through JSON. Raises ValueError for what is no view."""
        try:
            nodes = tuple(node_from(node) for node in data["nodes"])
            edges = tuple(Edge(**edge) for edge in data["edges"])
            scopes = {path: Scope(s["kind"], s["note"], tuple(s["alike"])) for path, s in data["scopes"].items()}
            view = cls(nodes, edges, data["output"], scopes, tuple(data["notes"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not what View.to_dict() makes: {error!r}") from None
        count = len(nodes)
        ends = [end for edge in edges for end in edge[:2]]
        ordered = all(node.number == k for k, node in enumerate(nodes))
        if not ordered or not all(0 <= end < count for end in [*ends, view.output]):
            raise ValueError(f"nodes are numbered 0 to {count - 1} in order, and edges and output are among them")
        return view

    @classmethod
    def from_json(cls, text: str) -> View:
        return cls.from_dict(json.loads(text))


def plain_node(node: ViewNode) -> dict[str, Any]:
    data = node._asdict()
    for name in ("statistics", "gradient"):
        data[name] = None if data[name] is None else data[name]._asdict()
    data["keywords"], data["folded"] = dict(node.keywords), dict(node.folded)
    return data


def node_from(data: Mapping[str, Any]) -> ViewNode:
    known = dict(data)
    for name in ("statistics", "gradient"):
        known[name] = None if known[name] is None else Statistics(**known[name])
    for name in ("keywords", "folded"):
        known[name] = tuple(known[name].items())
    known["shape"] = tuple(tuple(part) if isinstance(part, list) else part for part in known["shape"])
    return ViewNode(**known)
