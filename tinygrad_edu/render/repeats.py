"""Equal scopes in a row are drawn once, as papers do: blocks.0 to blocks.5 become "Block × 6", and blocks.0 shows how.

A row is scopes that differ in a number alone, in which the same operations on the same shapes take their inputs from
the same places: from inside, from the one before, or from one and the same node outside. The values may differ.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tinygrad_edu.render.plain import Edge, Scope, View, ViewNode

__all__ = ["once"]

Ref = tuple[str, int]  # ("inside" | "before", place among its nodes) or ("outside", number)


def once(view: View) -> View:
    """The view with the first of each row alone; its Scope names all it stands for, and a note says so."""
    level = 1
    while True:
        families, deeper = rows_at(view, level)
        rows = [row for family in families for row in alike(view, family)]
        if rows:
            view = first_alone(view, rows)
        if not deeper:
            return view
        level += 1


class Member:
    """One scope with a number: its nodes, and where each takes its inputs from."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.nodes: list[ViewNode] = []
        self.refs: list[Ref] = []
        self.structure: list[Any] = []


def rows_at(view: View, level: int) -> tuple[list[list[Member]], bool]:
    """Scopes by what stands before their number, the `level`-th in their path; are there more numbers in some path?"""
    cut: dict[str, str | None] = {}
    deeper = False
    for scope in {node.scope: None for node in view.nodes}:
        parts = scope.split(".")
        numbers = [k for k, part in enumerate(parts) if part.isdigit()]
        cut[scope] = ".".join(parts[: numbers[level - 1] + 1]) if len(numbers) >= level else None
        deeper = deeper or len(numbers) > level
    members: dict[str, Member] = {}
    for node in view.nodes:
        path = cut[node.scope]
        if path is not None:
            members.setdefault(path, Member(path)).nodes.append(node)
    families: dict[str, list[Member]] = defaultdict(list)
    for path, member in members.items():
        families[path.rpartition(".")[0]].append(member)
    return [family for family in families.values() if len(family) > 1], deeper


def alike(view: View, family: list[Member]) -> list[list[Member]]:
    """The rows of two or more among these scopes, which stand in the order in which they were first used."""
    home = {node.number: (m, k) for m, member in enumerate(family) for k, node in enumerate(member.nodes)}
    inputs: dict[int, list[Edge]] = defaultdict(list)
    for edge in view.edges:
        if edge.target in home:
            inputs[edge.target].append(edge)
    for m, member in enumerate(family):
        for node in member.nodes:
            label = node.label.removeprefix(member.path)
            inner = node.scope.removeprefix(member.path)
            shape = (inner, node.kind, label, node.shape, node.dtype, node.keywords, node.folded)
            edges = inputs[node.number]
            member.structure.append((shape, [(edge.argument, edge.name) for edge in edges]))
            for edge in edges:
                at, place = home.get(edge.source, (-1, edge.source))
                kind = "inside" if at == m else "before" if at == m - 1 and at >= 0 else "outside"
                member.refs.append((kind, place if kind != "outside" else edge.source))
    rows = [[family[0]]]
    for member in family[1:]:
        if follows(rows[-1], member):
            rows[-1].append(member)
        else:
            rows.append([member])
    return [row for row in rows if len(row) > 1]


def follows(row: list[Member], member: Member) -> bool:
    """Is it like the first of the row, with the last of the row where that has what came before?"""
    first, last = row[0], row[-1]
    if member.structure != first.structure:
        return False
    if len(row) > 1:
        return member.refs == last.refs
    return all(
        own == other or (own[0] == "before" and other[0] != "inside")
        for own, other in zip(member.refs, first.refs, strict=True)
    )


def first_alone(view: View, rows: list[list[Member]]) -> View:
    """Without the others: what one of them feeds outside is fed by its counterpart in the first."""
    counterpart: dict[int, int] = {}
    scopes, notes = dict(view.scopes), list(view.notes)
    for row in rows:
        first = row[0]
        for member in row[1:]:
            counterpart.update((mine.number, its.number) for mine, its in zip(member.nodes, first.nodes, strict=True))
        about = scopes.get(first.path, Scope())
        scopes[first.path] = about._replace(alike=tuple(member.path for member in row))
        others = "the other is" if len(row) == 2 else f"the other {len(row) - 1} are"
        notes.append(f"{about.kind or first.path.rpartition('.')[0] or first.path} × {len(row)}: "
                     f"{first.path} is drawn, {others} like it.")  # fmt: skip
    kept = [node for node in view.nodes if node.number not in counterpart]
    number = {node.number: k for k, node in enumerate(kept)}
    edges = tuple(
        edge._replace(source=number[counterpart.get(edge.source, edge.source)], target=number[edge.target])
        for edge in view.edges
        if edge.target not in counterpart
    )
    nodes = tuple(node.numbered(k) for k, node in enumerate(kept))
    return View(nodes, edges, number[counterpart.get(view.output, view.output)], scopes, tuple(notes))
