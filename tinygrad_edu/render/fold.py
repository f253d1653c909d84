"""Make a view small enough to look at: whole scopes become one box each, the deepest first.

    blocks.0.attention.qkv, ...      folded when all nodes together are over the budget
    blocks.0.attention, ...          folded when that was not enough; then blocks.0, and so on

All scopes of one depth go together, so that equal blocks look equal. If even the outermost leave too many, as in a
long loop without scopes, the middle of the graph becomes one box.
"""

from __future__ import annotations

from collections import Counter

from tinygrad_edu.render.plain import Edge, View, ViewNode

__all__ = ["boxes_of", "depths", "fold", "parameters", "parents", "title"]


def parents(view: View) -> dict[str, str]:
    """Scope → the scope around it, "" at the outside. Only scopes that hold a node themselves, or stand for others,
    count."""
    scopes = dict.fromkeys(node.scope for node in view.nodes if node.scope)
    rows = [path for path, about in view.scopes.items() if about.alike and path not in scopes]
    scopes |= dict.fromkeys(path for path in rows if any(scope.startswith(f"{path}.") for scope in scopes))
    found = {}
    for scope in scopes:
        around = scope.rpartition(".")[0]
        while around and around not in scopes:
            around = around.rpartition(".")[0]
        found[scope] = around
    return found


def fold(view: View, budget: int, depth: int | None = None, opened: int = 0) -> View:
    """At most `budget` nodes: the same view if it has no more, a folded one, which says so in its notes, if it has.

    depth: so many scopes inside each other are drawn open at most; 0 leaves one box of each outermost. opened: so many
    stay open, whatever the budget.
    Raises ValueError for a budget below 1, or a depth below 0.
    """
    if budget < 1:
        raise ValueError(f"budget={budget}: a picture has at least one node")
    if depth is not None and depth < 0:
        raise ValueError(f"depth={depth}: 0 draws every scope as one box, 1 opens the outermost")
    around = parents(view)
    deep = depths(around)
    deepest = max(deep.values())
    whole = deepest + 1  # nothing is as deep as that
    level = whole if depth is None else min(whole, depth + 1)
    direct = Counter(deep[node.scope] for node in view.nodes)
    boxes = Counter(deep.values())
    shown = sum(direct[k] for k in range(level)) + boxes[level]
    while level > 1 + opened and shown > budget:
        level -= 1
        shown += boxes[level] - boxes[level + 1] - direct[level]
    folded = view
    if level < whole:
        boxes_of = {scope: at_level(scope, level, around, deep) for scope in deep}
        folded = merge(view, [boxes_of[node.scope] for node in view.nodes], around)
    middle = len(folded.nodes) - budget + 1
    if middle > 1:
        head = budget // 2
        groups = ["…" if head <= node.number < head + middle else None for node in folded.nodes]
        folded = merge(folded, groups, {"…": ""})
    if folded is view:
        return view
    how = ["the scopes inside" if level > 1 else "the scopes"] if level < whole else []
    how += [f"{middle:,} in the middle"] if middle > 1 else []
    note = f"{len(view.nodes):,} nodes drawn as {len(folded.nodes):,}: {' and '.join(how)} are folded."
    return folded._replace(notes=(*folded.notes, note))


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
            nodes.append(node.numbered(len(nodes)))
        elif node is members[group][-1]:
            place.update((member.number, len(nodes)) for member in members[group])
            nodes.append(folded(len(nodes), group, members[group], around[group], view))
    edges: list[Edge] = []
    seen: Counter[int] = Counter()
    drawn: set[tuple[int, int]] = set()
    for edge in view.edges:
        source, target = place[edge.source], place[edge.target]
        if groups[edge.target] is None:
            edges.append(edge._replace(source=source, target=target))
        elif source != target and (source, target) not in drawn:
            drawn.add((source, target))
            edges.append(Edge(source, target, seen[target], ""))
            seen[target] += 1
    return view._replace(nodes=tuple(nodes), edges=tuple(edges), output=place[view.output])


def folded(number: int, group: str, members: list[ViewNode], around: str, view: View) -> ViewNode:
    """The box of a group: what leaves it is its last member's; bytes, seconds and parameters are all its members'."""
    counts: Counter[str] = Counter()
    for member in members:
        if member.folded:
            counts.update(dict(member.folded))
        else:
            counts[member.kind] += 1
    last = members[-1]
    kept = [member.saved_bytes for member in members if member.saved_bytes is not None]
    timed = [member.seconds for member in members if member.seconds is not None]
    return last.numbered(number)._replace(
        kind="folded",
        label=title(view, group, around),
        name=group,
        scope=around,
        value=None,
        keywords=(),
        saved_bytes=sum(kept) if kept else None,
        seconds=sum(timed) if timed else None,
        where=None,
        folded=tuple((kind, counts[kind]) for kind in ("operation", "leaf", "constant") if counts[kind]),
        parameters=sum(parameters(member) for member in members),
    )


def parameters(node: ViewNode) -> int:
    """How many numbers a backward pass gives a gradient for, in this leaf or what is folded here."""
    return node.size if node.kind == "leaf" else node.parameters


def title(view: View, scope: str, around: str = "") -> str:
    """What a scope is called inside the one around it: attention, blocks.0, or Block × 6."""
    about = view.scopes.get(scope)
    short = scope.removeprefix(f"{around}.")
    if about is None or not about.alike:
        return short
    return f"{about.kind or short.rpartition('.')[0] or short} × {len(about.alike)}"


def boxes_of(view: View, seen: View) -> list[int]:
    """For each node of the view its number in the folded one, or that of the box it is folded into."""
    alone = [node for node in seen.nodes if node.kind != "folded"]
    open_ones = {node.number if node.whole is None else node.whole: node.number for node in alone}
    boxes = {node.name: node.number for node in seen.nodes if node.kind == "folded"}
    found = []
    for node in view.nodes:
        scope = node.scope
        while scope and scope not in boxes:
            scope = scope.rpartition(".")[0]
        found.append(open_ones[node.number] if node.number in open_ones else boxes[scope or "…"])
    return found
