"""A view as DOT, the language of Graphviz: scopes as boxes, names on parameters, shapes under everything.

Leaves, which receive a gradient, and the output it starts from have colours and outlines of their own; constants are
pale and without a frame, and no gradient flows along their dashed edges.

Labels are written in Graphviz's markup, so every word from outside passes through `escaped`. Nodes and clusters are
named by their numbers, and nothing from outside becomes a URL.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Container, Mapping
from typing import Any

from tinygrad_edu.render.fold import depths, parameters, parents, title
from tinygrad_edu.render.labels import (
    NOTHING,
    contents,
    counted,
    gradient_text,
    has_several,
    keyword_text,
    printable,
    shape_text,
    tooltip,
    value_of,
)
from tinygrad_edu.render.palette import STEPS, THEMES, Direction, Heat, Palette, Theme, heat_of, mixed
from tinygrad_edu.render.plain import Scope, View, ViewNode

__all__ = ["dot_of"]

FONT = "Helvetica,Arial,sans-serif"
SHAPES: Mapping[str, Mapping[str, str]] = {
    "operation": {"style": "filled,rounded"},
    "leaf": {"style": "filled"},
    "constant": {"shape": "plaintext", "margin": "0.04,0.02"},
    "outside": {"shape": "plaintext", "margin": "0.04,0.02"},
    "folded": {"style": "filled,rounded", "peripheries": "2"},
    "output": {"style": "filled,rounded", "penwidth": "1.4"},
    "wrong": {"style": "filled,rounded", "penwidth": "2.4"},
}
# The order of the arguments of these is no news.
SYMMETRIC = frozenset({"add", "multiply", "maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp", "logaddexp2"})


def dot_of(
    view: View,
    direction: Direction = "LR",
    wrong: int | None = None,
    theme: Theme = "light",
    heat: Heat | None = None,
    caption: bool = True,
    fills: Mapping[int, str] | None = None,
    opens: Container[int] = (),
) -> str:
    """The same bytes for the same graph, in every run. wrong: the number of a node to draw in red. caption: with the
    view's notes, and what the colours mean, under the graph. fills: number → the colour to fill that node with.
    opens: numbers of what has a double line, because there is more to see of it."""
    import graphviz

    colours = THEMES[theme]
    warmth = heat_of(view.nodes, heat) if heat else None
    notes = [*view.notes, *([warmth.legend] if warmth else [])] if caption else []
    lines = "".join(f'{escaped(note, 200)}<BR ALIGN="LEFT"/>' for note in notes)
    below = {"label": f"<{lines}>", "labelloc": "b", "labeljust": "l", "fontcolor": colours.pale, "fontsize": "9"}
    dot = graphviz.Digraph(
        "computation",
        graph_attr={"rankdir": direction, "bgcolor": colours.paper, "fontname": FONT, "fontsize": "10", "pad": "0.2",
                    "nodesep": "0.18", "ranksep": "0.28", **(below if notes else {})},
        node_attr={"shape": "box", "fontname": FONT, "fontsize": "10", "fontcolor": colours.ink,
                   "margin": "0.09,0.045", "height": "0.2", "width": "0.2"},
        edge_attr={"color": colours.line, "arrowsize": "0.55", "fontname": FONT, "fontsize": "7",
                   "fontcolor": colours.pale, "labeldistance": "1.3"},
    )  # fmt: skip
    if direction == "TB":
        dot.attr(ordering="in")  # the first argument comes from the left; from left to right it would be the lowest
    around = parents(view)
    depth = depths(around)
    inside = parameters_of(view, around)
    boxes: dict[str, Any] = {"": dot}
    for number, scope in enumerate(around):
        box = graphviz.Digraph(name=f"cluster_{number}")
        box.attr("graph", label=scope_label(view, scope, around[scope], inside[scope], colours.pale),
                 style="filled,rounded", color=colours.frame, fillcolor=colours.scopes[depth[scope] % 2],
                 fontcolor=colours.pale, fontsize="10", labelloc="t", labeljust="l", margin="7", tooltip=text(scope),
                 **{"class": "inner" if depth[scope] % 2 else "outer"})  # fmt: skip
        boxes[scope] = box
    dtype = view.nodes[view.output].dtype
    # Values in all boxes, or in none but the output's: in a few they would puzzle. Several outputs have no one value.
    known = all(node.statistics or has_several(node) for node in view.nodes if node.kind == "operation")
    for node in view.nodes:
        role = "output" if node.number == view.output and node.kind == "operation" else node.kind
        role = "wrong" if node.number == wrong else role
        style = {**SHAPES[role], "class": role}
        if node.number in opens:
            style["peripheries"] = "2"
        # Pale words would drown in a strong colour.
        filled = node.number in (fills or {})
        strong = role == "wrong" or warmth or filled
        words = colours._replace(pale=colours.ink, gradient=colours.ink) if strong else colours
        if role in ("constant", "outside"):
            style["fontcolor"] = colours.pale
        else:
            style |= {"fillcolor": colours.fills[role], "color": colours.frames[role]}
        if warmth and role not in ("constant", "outside"):
            step = warmth.steps.get(node.number, 0)
            style |= {"fillcolor": mixed(*colours.heat, step / (STEPS - 1)), "class": f"{role} heat{step}"}
        if fills and filled:
            style |= {"fillcolor": fills[node.number], "style": SHAPES["operation"]["style"]}
        about = view.scopes.get(node.name or "", NOTHING)
        label = label_of(node, dtype, words, known or node.number == view.output, about)
        boxes[node.scope].node(str(node.number), label, tooltip=text(tooltip(node)), **style)
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


def parameters_of(view: View, around: dict[str, str]) -> Counter[str]:
    """How many parameters stand in each scope and those inside it."""
    inside: Counter[str] = Counter()
    for node in view.nodes:
        inside[node.scope] += parameters(node)
    for scope in sorted(around, key=len, reverse=True):
        inside[around[scope]] += inside[scope]
    return inside


def scope_label(view: View, scope: str, around: str, inside: int, pale: str) -> str:
    """attention   Attention(4 heads), 16,384 parameters"""
    about = view.scopes.get(scope, NOTHING)
    facts = [f"{about.kind}({about.note})" if about.kind else about.note] if about.note else []
    facts += [counted(inside, about)] if inside else []
    note = f"   {small(', '.join(facts), pale)}" if facts else ""
    return f"<{escaped(title(view, scope, around))}{note}>"


def label_of(node: ViewNode, usual_dtype: str, colours: Palette, values: bool, about: Scope = NOTHING) -> str:
    """What it is in bold, its name, shape, value and gradient below; the dtype only where it is not the output's.
    about: the scope that it stands for, if it is folded."""
    pale = colours.pale
    if node.kind == "constant":
        lines = [escaped(node.label)]
    else:
        lines = [f"<B>{escaped(node.label)}</B>"]
        if node.kind == "operation" and node.name:
            lines.append(f"<I>{escaped(node.name)}</I>")
        if node.kind == "folded":
            lines += [small(line, pale) for line in contents(node, about)]
        elif given := keyword_text(node):
            lines.append(small(given, colours.ink))
    shape = shape_text(node.shape)
    if node.dtype != usual_dtype and (shape or node.kind != "constant"):
        shape = f"{shape} {node.dtype}".strip()
    if shape:
        lines.append(small(shape, pale))
    if values and node.kind != "constant" and (value := value_of(node)):
        lines.append(small(value, pale))
    if node.gradient is not None:
        lines.append(small(gradient_text(node.gradient, node.size), colours.gradient))
    return f"<{'<BR/>'.join(lines)}>"


def small(line: str, colour: str) -> str:
    return f'<FONT POINT-SIZE="8" COLOR="{colour}">{escaped(line)}</FONT>'


def escaped(line: str, limit: int = 60) -> str:
    """For Graphviz's markup: visible characters only, and none of them markup."""
    return html.escape(printable(line, limit))


def text(line: str) -> str:
    """For a plain DOT string, which has escapes (\\N, \\G) and entities of its own; marked as no markup."""
    import graphviz

    return str(graphviz.escape(html.escape(printable(line, 200))))
