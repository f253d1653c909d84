"""A view as DOT, the language of Graphviz: scopes as boxes, names on parameters, shapes under everything.

Two fills, told apart by any eye: blue for leaves, which receive a gradient, and orange for the output it starts from.
Constants are grey and without a frame; no gradient flows along their dashed edges.

Labels are written in Graphviz's markup, so every word from outside passes through `escaped`. Nodes and clusters are
named by their numbers, and nothing from outside becomes a URL.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from tinygrad_edu.render.fold import depths, parents
from tinygrad_edu.render.labels import contents, gradient_text, keyword_text, printable, shape_text, tooltip
from tinygrad_edu.render.view import View, ViewNode

__all__ = ["dot_of"]

FONT = "Helvetica,Arial,sans-serif"
INK, PALE, LINE = "#1f2933", "#5f6b76", "#8a949e"
GRADIENT = "#00664b"
# Okabe and Ito's blue and vermilion, which every kind of colour vision tells apart; the fills are tints of them.
STYLES: Mapping[str, Mapping[str, str]] = {
    "operation": {"style": "filled,rounded", "fillcolor": "#ffffff", "color": LINE},
    "leaf": {"style": "filled", "fillcolor": "#ddedf8", "color": "#0072b2"},
    "constant": {"shape": "plaintext", "margin": "0.04,0.02", "fontcolor": PALE},
    "folded": {"style": "filled,rounded", "peripheries": "2", "fillcolor": "#ffffff", "color": LINE},
    "output": {"style": "filled,rounded", "fillcolor": "#fdebdd", "color": "#d55e00", "penwidth": "1.4"},
    "wrong": {"style": "filled,rounded", "fillcolor": "#f6c1c1", "color": "#c00000", "penwidth": "2.4"},
}
SCOPE_FILLS = ("#f7f8fa", "#eff1f4")  # by turns, so that a box is seen inside a box
# The order of the arguments of these is no news.
SYMMETRIC = frozenset({"add", "multiply", "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2"})


def dot_of(view: View, direction: Literal["LR", "TB"] = "LR", wrong: int | None = None) -> str:
    """The same bytes for the same graph, in every run. wrong: the number of a node to draw in red."""
    import graphviz

    dot = graphviz.Digraph(
        "computation",
        graph_attr={"rankdir": direction, "bgcolor": "#ffffff", "fontname": FONT, "fontsize": "10", "pad": "0.2",
                    "nodesep": "0.18", "ranksep": "0.28"},
        node_attr={"shape": "box", "fontname": FONT, "fontsize": "10", "fontcolor": INK, "margin": "0.09,0.045",
                   "height": "0.2", "width": "0.2"},
        edge_attr={"color": LINE, "arrowsize": "0.55", "fontname": FONT, "fontsize": "7", "fontcolor": PALE,
                   "labeldistance": "1.3"},
    )  # fmt: skip
    if direction == "TB":
        dot.attr(ordering="in")  # the first argument comes from the left; from left to right it would be the lowest
    around = parents(view)
    depth = depths(around)
    boxes: dict[str, Any] = {"": dot}
    for number, scope in enumerate(around):
        box = graphviz.Digraph(name=f"cluster_{number}")
        label = scope.removeprefix(f"{around[scope]}.")
        fill = SCOPE_FILLS[depth[scope] % 2]
        box.attr("graph", label=f"<{escaped(label)}>", style="filled,rounded", color="#c9d0d6", fillcolor=fill,
                 fontcolor=PALE, labeljust="l", margin="7", tooltip=text(scope),
                 **{"class": "inner" if depth[scope] % 2 else "outer"})  # fmt: skip
        boxes[scope] = box
    dtype = view.nodes[view.output].dtype
    for node in view.nodes:
        role = "output" if node.number == view.output and node.kind == "operation" else node.kind
        role = "wrong" if node.number == wrong else role
        style = {**STYLES[role], "class": role}
        boxes[node.scope].node(str(node.number), label_of(node, dtype), tooltip=text(tooltip(node)), **style)
    # A box goes into the one around it when it is complete: longer paths first. No recursion, however deep they nest.
    for scope in sorted(around, key=len, reverse=True):
        boxes[around[scope]].subgraph(boxes[scope])
    operands = Counter(edge.target for edge in view.edges)
    for edge in view.edges:
        source, target = view.nodes[edge.source], view.nodes[edge.target]
        attributes = {"style": "dashed"} if source.kind == "constant" else {}
        if edge.name and target.label not in SYMMETRIC and operands[edge.target] > 1:
            attributes["headlabel"] = str(edge.argument + 1)
        dot.edge(str(edge.source), str(edge.target), **attributes)
    return str(dot.source)


def label_of(node: ViewNode, usual_dtype: str) -> str:
    """What it is in bold, its name, shape and gradient below; the dtype only where it is not the output's."""
    if node.kind == "constant":
        lines = [escaped(node.label)]
    elif node.kind == "folded":
        lines = [f"<B>{escaped(node.label)}</B>", small(contents(node))]
    else:
        lines = [f"<B>{escaped(node.label)}</B>"]
        if node.kind == "operation" and node.name:
            lines.append(f"<I>{escaped(node.name)}</I>")
        if given := keyword_text(node):
            lines.append(small(given, INK))
    shape = shape_text(node.shape)
    if node.dtype != usual_dtype and (shape or node.kind != "constant"):
        shape = f"{shape} {node.dtype}".strip()
    if node.value is not None and node.kind != "constant":
        shape = f"{shape} = {node.value}".strip()
    if shape:
        lines.append(small(shape))
    if node.gradient is not None:
        lines.append(small(gradient_text(node.gradient, node.size), GRADIENT))
    return f"<{'<BR/>'.join(lines)}>"


def small(line: str, colour: str = PALE) -> str:
    return f'<FONT POINT-SIZE="8" COLOR="{colour}">{escaped(line)}</FONT>'


def escaped(line: str) -> str:
    """For Graphviz's markup: visible characters only, and none of them markup."""
    return html.escape(printable(line))


def text(line: str) -> str:
    """For a plain DOT string, which has escapes (\\N, \\G) and entities of its own; marked as no markup."""
    import graphviz

    return str(graphviz.escape(html.escape(printable(line, 200))))
