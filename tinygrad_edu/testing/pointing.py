"""Pointing at what is wrong: a rule's source line, the way through the graph in a line of text, the same as DOT."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from tinygrad_edu.backward import reachable
from tinygrad_edu.graph import Node
from tinygrad_edu.render.dot import dot_of
from tinygrad_edu.render.view import Edge, View, view_of
from tinygrad_edu.source import definition, source_line, source_text
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.suspects import Run

__all__ = ["label_of", "picture", "source_of"]

SHOWN = 7  # operations on the way that are written out
WIDTH = 100  # of a rule's source


def source_of(rule: Callable[..., Any]) -> tuple[str, str]:
    """(`lambda g, x: g * x`, `rules.py:41`): what is written there, as far as the source can be found, and where."""
    found = definition(rule.__code__)
    text = source_text(rule) if isinstance(found, ast.Lambda) else None if found is None else outline(found)
    text = " ".join((text or rule.__code__.co_qualname).split())
    return (text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"), source_line(rule)


def outline(node: ast.FunctionDef) -> str:
    """def rule(g, x): and what it returns, if that is one line."""
    returned = [ast.unparse(n) for n in ast.walk(node) if isinstance(n, ast.Return)]
    rest = f" … {returned[0]}" if len(returned) == 1 else ""
    return f"def {node.name}({ast.unparse(node.args)}):{rest}"


def way_of(root: Node, node: Node, start: Node | None) -> list[Node]:
    """The shortest way from an input through `node` to the root: from `start` if it leads there, else from any leaf."""
    nodes = reachable([root])
    towards: dict[Node, tuple[int, Node | None]] = {root: (0, None)}  # how far from the root, and the next one there
    for each in reversed(nodes):
        for source in each.sources:
            steps = towards[each][0] + 1
            if source not in towards or steps < towards[source][0]:
                towards[source] = steps, each
    way = [node]
    while towards[way[-1]][1] is not None:
        way.append(towards[way[-1]][1])  # type: ignore[arg-type]
    before: dict[Node, Node] = {}
    found = [node]
    end = node
    for each in found:
        if each is start or (each.plan is None and (start is None or end is node)):
            end = each
        if each is start:
            break
        for source in each.sources:
            if source not in before and source is not node:
                before[source] = each
                found.append(source)
    head = []
    while end is not node:
        head.append(end)
        end = before[end]
    return head + way


def label_of(node: Node) -> str:
    return node.label if node.plan is not None else node.name or "leaf"


def written(way: list[Node], node: Node) -> str:
    """inputs[0] ──> matmul ──> [multiply] ──> sum, shortened around what matters."""
    words = [f"[{label_of(each)}]" if each is node else label_of(each) for each in way]
    place = way.index(node)
    if len(words) > SHOWN + 2:
        low, high = max(1, place - SHOWN // 2), min(len(words) - 1, place + SHOWN // 2 + 1)
        words = [words[0], *(["…"] if low > 1 else []), *words[low:high], *(["…"] if high < len(words) - 1 else []),
                 words[-1]]  # fmt: skip
    return " ──> ".join(words)


def picture(run: Run, node: Node, start: Node | None) -> tuple[str, str]:
    """A line of text and DOT, of the way from the input through the node to the output."""
    output = run.root_of(node)
    way = way_of(output._node, node, start)  # type: ignore[arg-type]
    return f"  graph     {written(way, node)}", dot_of_way(output, way, node)


def dot_of_way(output: Tensor, way: list[Node], node: Node) -> str:
    """The nodes on the way and whatever else goes into the one that is wrong, which is red."""
    whole = view_of(output)
    operations = [n for n in reachable([output._node]) if n.plan is not None]  # type: ignore[list-item]
    drawn = [n.number for n in whole.nodes if n.kind == "operation"]
    numbers = dict(zip(operations, drawn, strict=True))
    leaves = {n.name: n.number for n in whole.nodes if n.kind == "leaf" and n.name}
    chosen = {numbers[n] if n in numbers else leaves.get(n.name, -1) for n in way}
    marked = numbers[node] if node in numbers else leaves.get(node.name, -1)
    chosen |= {edge.source for edge in whole.edges if edge.target == marked}
    kept = [n for n in whole.nodes if n.number in chosen]
    renumbered = {n.number: k for k, n in enumerate(kept)}
    nodes = tuple(n.numbered(k) for k, n in enumerate(kept))
    edges = tuple(
        Edge(renumbered[e.source], renumbered[e.target], e.argument, e.name)
        for e in whole.edges
        if e.source in renumbered and e.target in renumbered
    )
    view = View(nodes, edges, renumbered.get(whole.output, len(nodes) - 1))
    return dot_of(view, wrong=renumbered.get(marked))


