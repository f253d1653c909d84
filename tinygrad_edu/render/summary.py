"""A graph of a great many nodes in few: one box for each outermost scope, and the two ends of what stands in none.

Only what is shown becomes plain data, so that a million nodes take the seconds of a walk over them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tinygrad_edu.backward import reachable
from tinygrad_edu.graph import Node
from tinygrad_edu.render.plain import Edge, View, ViewNode
from tinygrad_edu.render.run import fact_of
from tinygrad_edu.render.view import Walk
from tinygrad_edu.tensor import Tensor

__all__ = ["LARGE", "has_over", "summary_of"]

LARGE = 50_000  # nodes; of more, nobody reads the numbers of each
END = 12  # nodes without a scope that are shown at either end
BOXES = 1_000


def has_over(node: Node, limit: int) -> bool:
    """Do more than `limit` nodes lead here? It looks at no more than that."""
    seen = {node}
    waiting = [node]
    while waiting and len(seen) <= limit:
        for source in waiting.pop().sources:
            if source not in seen:
                seen.add(source)
                waiting.append(source)
    return len(seen) > limit


def summary_of(target: Tensor) -> View:
    """The view of a tracked tensor in at most 1,030 nodes, without constants, and without values but its own."""
    assert target._node is not None
    found = reachable([target._node])
    group = grouped(found)
    own = fact_of(target)
    walk = Walk([node for node in found if node not in group], {} if own is None else {target._node: own})
    last = {box: node for node, box in group.items()}
    counts: dict[str, Counter[str]] = {box: Counter() for box in last}
    sizes: Counter[str] = Counter()
    place: dict[str, int] = {}
    for node in found:
        box = group.get(node)
        if box is None:
            walk.add(node)
            continue
        counts[box]["leaf" if node.plan is None else "operation"] += 1
        sizes[box] += walk.size(node) if node.plan is None else 0
        if node is last[box]:
            place[box] = len(walk.nodes)
            folded = tuple((kind, counts[box][kind]) for kind in ("operation", "leaf") if counts[box][kind])
            walk.nodes.append(
                ViewNode(len(walk.nodes), "folded", box, box, "", node.shape, walk.dtype(node.dtype), walk.size(node),
                         saved_bytes=None, folded=folded, parameters=sizes[box])
            )  # fmt: skip
    edges: dict[tuple[int, int], Edge] = {}
    for node in found:
        box = group.get(node)
        end = walk.numbers[node] if box is None else place[box]
        for argument, source in enumerate(node.sources):
            from_box = group.get(source)
            start = walk.numbers[source] if from_box is None else place[from_box]
            if start != end and (start, end) not in edges:
                edges[start, end] = Edge(start, end, argument, "")
    note = f"{len(found):,} operations and leaves, too many for their values: one box for each outermost scope."
    return View(tuple(walk.nodes), tuple(edges.values()), walk.numbers[target._node], {}, (note,))


def grouped(found: list[Node]) -> dict[Node, str]:
    """Node → the box it goes into, for all but the output and what is shown as it is."""
    paths = [node.scope if node.plan is not None else (node.name or "").rpartition(".")[0] for node in found]
    cut: Callable[[str], str] = outermost
    boxes = dict.fromkeys(map(cut, dict.fromkeys(paths)))
    if len(boxes) > BOXES:
        cut = first_part
        boxes = dict.fromkeys(map(cut, boxes))
    outside = [node for node, path in zip(found, paths, strict=True) if not path or len(boxes) > BOXES]
    between = set(outside[END:-END])
    known = {path: cut(path) for path in dict.fromkeys(paths)}
    group = {}
    for node, path in zip(found, paths, strict=True):
        if node in between:
            group[node] = "…"
        elif path and len(boxes) <= BOXES:
            group[node] = known[path]
    group.pop(found[-1], None)
    return group


def outermost(path: str) -> str:
    """blocks.3 of blocks.3.attention; output of output.norm."""
    first, _, rest = path.partition(".")
    second = rest.partition(".")[0]
    return f"{first}.{second}" if second.isdigit() else first


def first_part(path: str) -> str:
    return path.partition(".")[0]
