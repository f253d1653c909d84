"""Two graphs side by side: what the second has that the first has not, and what became of the rest.

Operations are matched by their scope, their kind and their name, in order: the longest common sequences first, as one
compares two texts. So a residual connection that was left out is one operation that went, and not a new graph.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from tinygrad_edu.render.dot import dot_of
from tinygrad_edu.render.labels import shape_text
from tinygrad_edu.render.layout import bundle, laid_out
from tinygrad_edu.render.plain import Edge, View, ViewNode
from tinygrad_edu.render.shown import Drawn, Format, Image
from tinygrad_edu.render.view import view_of
from tinygrad_edu.tensor import Tensor

__all__ = ["Change", "Difference", "diff"]

Status = Literal["same", "added", "removed", "changed"]
# Tints of Okabe and Ito's green, vermilion and yellow; the sign in front of the name says the same.
FILLS: Mapping[str, str] = {"added": "#cdeee2", "removed": "#f9d3bd", "changed": "#fbf3b4"}
SIGNS: Mapping[str, str] = {"same": " ", "added": "+", "removed": "−", "changed": "≠"}


class Change(NamedTuple):
    """One box of the two graphs. before, after: its number in each, None where it is not. what: how it changed."""

    status: Status
    label: str
    scope: str
    before: int | None
    after: int | None
    what: str = ""

    def __str__(self) -> str:
        place = f" in {self.scope}" if self.scope else ""
        return f"{SIGNS[self.status]} {self.label}{place}{f': {self.what}' if self.what else ''}"


class Difference(NamedTuple):
    """changes: every box of both, in order. view: both in one graph; its nodes are numbered as `changes` are."""

    changes: tuple[Change, ...]
    view: View

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(change.status for change in self.changes)
        return {status: found[status] for status in ("same", "added", "removed", "changed")}

    @property
    def text(self) -> str:
        """A line for each box that is not the same, and how many are."""
        rows = [str(change) for change in self.changes if change.status != "same"]
        counts = self.counts
        head = ", ".join(f"{counts[status]} {status}" for status in ("added", "removed", "changed", "same"))
        return "\n".join([head, *rows])

    def __str__(self) -> str:
        return self.text

    def draw(self, format: Format = "svg") -> Drawn | Image:
        """Both graphs in one picture: green with + is new, orange with − is gone, yellow with ≠ is another.

        format: svg, dot, text, json, png or pdf.
        """
        if format == "text":
            return Drawn(self.text + "\n", "text")
        if format == "json":
            return Drawn(self.view.to_json(), "json")
        fills = {k: FILLS[change.status] for k, change in enumerate(self.changes) if change.status != "same"}
        dot = dot_of(self.view, fills=fills)
        return laid_out(dot, format)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)


def diff(before: Tensor | View, after: Tensor | View) -> Difference:
    """What became of the graph `before` in the graph `after`: as data, as text, and as a picture.

        print(diff(model_without(x), model_with(x)))
    """
    old, new = (side if isinstance(side, View) else view_of(side) for side in (before, after))
    matcher = difflib.SequenceMatcher(None, [key(n) for n in old.nodes], [key(n) for n in new.nodes], autojunk=False)
    changes: list[Change] = []
    pairs: list[tuple[int | None, int | None]] = []
    for what, i, j, k, m in matcher.get_opcodes():
        if what == "equal":
            pairs += zip(range(i, j), range(k, m), strict=True)
        else:
            pairs += [*((n, None) for n in range(i, j)), *((None, n) for n in range(k, m))]
    partner = {a: b for a, b in pairs if a is not None and b is not None}
    for a, b in pairs:
        node = new.nodes[b] if b is not None else old.nodes[a]  # type: ignore[index]
        status: Status = "added" if a is None else "removed"
        told = ""
        if a is not None and b is not None:
            told = changed(old, new, a, b, partner)
            status = "changed" if told else "same"
        changes.append(Change(status, node.name or node.label, node.scope, a, b, told))
    return Difference(tuple(changes), united(old, new, changes))


def key(node: ViewNode) -> tuple[str, ...]:
    """What two boxes have in common that are one: scope, kind, operation and name."""
    number = node.kind == "constant" and node.value is not None  # x + 1 and x + 2 are one box that changed
    return node.scope, node.kind, "" if number else node.label, node.name or ""


def changed(old: View, new: View, a: int, b: int, partner: Mapping[int, int]) -> str:
    """How a box became another: shape, dtype, options, or where its operands come from."""
    x, y = old.nodes[a], new.nodes[b]
    told = []
    if x.label != y.label:
        told.append(f"{x.label} → {y.label}")
    if x.shape != y.shape:
        told.append(f"{shape_text(x.shape) or 'a number'} → {shape_text(y.shape) or 'a number'}")
    if x.dtype != y.dtype:
        told.append(f"{x.dtype} → {y.dtype}")
    if x.keywords != y.keywords:
        told.append(f"{options(x)} → {options(y)}")
    came = {edge.argument: partner.get(edge.source) for edge in old.edges if edge.target == a}
    comes = {edge.argument: edge.source for edge in new.edges if edge.target == b}
    if came != comes:
        moved = [k for k in sorted({*came, *comes}) if came.get(k) != comes.get(k)]
        told += [f"argument {k + 1} comes from elsewhere" for k in moved]
    return ", ".join(told)


def options(node: ViewNode) -> str:
    return ", ".join(f"{name}={value}" for name, value in node.keywords) or "no options"


def united(old: View, new: View, changes: list[Change]) -> View:
    """Both graphs in one. The order of the changes is one in which every box comes after those it is made from."""
    first = {change.before: k for k, change in enumerate(changes) if change.before is not None}
    second = {change.after: k for k, change in enumerate(changes) if change.after is not None}
    nodes = []
    for k, change in enumerate(changes):
        node = new.nodes[change.after] if change.after is not None else old.nodes[change.before]  # type: ignore[index]
        sign = "" if change.status == "same" else f"{SIGNS[change.status]} "
        nodes.append(node._replace(number=k, label=sign + node.label, whole=None))
    edges = {Edge(second[edge.source], second[edge.target], edge.argument, edge.name): None for edge in new.edges}
    for edge in old.edges:
        edges.setdefault(Edge(first[edge.source], first[edge.target], edge.argument, edge.name))
    notes = ("+ added, − removed, ≠ changed",)
    return View(tuple(nodes), tuple(sorted(edges, key=lambda e: (e.target, e.argument, e.source))),
                second[new.output], {**old.scopes, **new.scopes}, notes)  # fmt: skip
