"""Make a view small enough to look at: whole scopes become one box each, the deepest first.

    blocks.0.attention.qkv, ...      folded when all nodes together are over the budget
    blocks.0.attention, ...          folded when that was not enough; then blocks.0, and so on

All scopes of one depth go together, so that equal blocks look equal. If even the outermost leave too many, as in a
long loop without scopes, the middle of the graph becomes one box.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tinygrad_edu.render.view import Edge, View, ViewNode

__all__ = ["depths", "fold", "parents"]


def parents(view: View) -> dict[str, str]:
    """Scope → the scope around it, "" at the outside. Only scopes that hold a node themselves count."""
    scopes = dict.fromkeys(node.scope for node in view.nodes if node.scope)
    found = {}
    for scope in scopes:
        around = scope.rpartition(".")[0]
        while around and around not in scopes:
            around = around.rpartition(".")[0]
        found[scope] = around
    return found


def fold(view: View, budget: int) -> View:
    """At most `budget` nodes: the same view if it has no more, a folded one if it has."""
    if budget < 1:
        raise ValueError(f"budget={budget}: a picture has at least one node")
    if len(view.nodes) <= budget:
        return view
    around = parents(view)
    depth = depths(around)
    deepest = max(depth.values())
    direct = Counter(depth[node.scope] for node in view.nodes)
    boxes = Counter(depth.values())
    level, shown = deepest, sum(direct[k] for k in range(deepest)) + boxes[deepest]
    while level > 1 and shown > budget:
        level -= 1
        shown += boxes[level] - boxes[level + 1] - direct[level]
    if level:
        boxes_of = {scope: at_level(scope, level, around, depth) for scope in depth}
        view = merge(view, [boxes_of[node.scope] for node in view.nodes], around)
    if len(view.nodes) > budget:
        head = budget // 2
        tail = len(view.nodes) - (budget - head - 1)
        view = merge(view, ["…" if head <= node.number < tail else None for node in view.nodes], {"…": ""})
    return view


def depths(around: dict[str, str]) -> dict[str, int]:
    """How many boxes stand around and including a scope's own; 0 outside of all."""
    depth = {"": 0}
    for scope in sorted(around, key=len):  # what is around has the shorter path
        depth[scope] = depth[around[scope]] + 1
    return depth


def at_level(scope: str, level: int, around: dict[str, str], depth: dict[str, int]) -> str | None:
    """The box at `level` that holds this scope; None if the scope stands further out."""
    if depth[scope] < level:
        return None
    while depth[scope] > level:
        scope = around[scope]
    return scope


def merge(view: View, groups: list[str | None], around: dict[str, str]) -> View:
    """One node for each group, at the place of its last member, since its output is what comes next."""
    members: dict[str, list[ViewNode]] = {}
    for node, group in zip(view.nodes, groups, strict=True):
        if group is not None:
            members.setdefault(group, []).append(node)
    nodes: list[ViewNode] = []
    place: dict[int, int] = {}
    for node, group in zip(view.nodes, groups, strict=True):
        if group is None:
            place[node.number] = len(nodes)
            nodes.append(replace(node, number=len(nodes)))
        elif node is members[group][-1]:
            place.update((member.number, len(nodes)) for member in members[group])
            nodes.append(folded(len(nodes), group, members[group], around[group]))
    edges: list[Edge] = []
    seen: Counter[int] = Counter()
    drawn: set[tuple[int, int]] = set()
    for edge in view.edges:
        source, target = place[edge.source], place[edge.target]
        if groups[edge.target] is None:
            edges.append(replace(edge, source=source, target=target))
        elif source != target and (source, target) not in drawn:
            drawn.add((source, target))
            edges.append(Edge(source, target, seen[target], ""))
            seen[target] += 1
    return View(tuple(nodes), tuple(edges), place[view.output])


def folded(number: int, group: str, members: list[ViewNode], around: str) -> ViewNode:
    counts: Counter[str] = Counter()
    for member in members:
        if member.folded:
            counts.update(dict(member.folded))
        else:
            counts[member.kind] += 1
    last = members[-1]
    known = [member.saved_bytes for member in members if member.saved_bytes is not None]
    return ViewNode(
        number=number,
        kind="folded",
        label=group.removeprefix(f"{around}."),
        scope=around,
        shape=last.shape,
        dtype=last.dtype,
        size=last.size,
        saved_bytes=sum(known) if known else None,
        folded=tuple((kind, counts[kind]) for kind in ("operation", "leaf", "constant") if counts[kind]),
    )
