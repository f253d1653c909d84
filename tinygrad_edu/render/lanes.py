"""Both passes in one drawing: the forward pass on the left, going down; the backward pass on the right, going up.

       x           ∇ x             x, multiply: what the forward pass computed
       │  ·         ↑              ∂ multiply: its rules, with their formulas; it gets its cotangent from below
    multiply ·  ∂ multiply         dotted: from a value that was saved to the rules that read it
"""

from __future__ import annotations

import os
from typing import Any

from tinygrad_edu.render.dot import FONT, SHAPES, escaped, label_of, small, text
from tinygrad_edu.render.fold import boxes_of, fold
from tinygrad_edu.render.labels import printable, shape_text
from tinygrad_edu.render.layout import laid_out
from tinygrad_edu.render.ledger import Ledger, Step, ledger_of
from tinygrad_edu.render.palette import THEMES, Palette, Theme
from tinygrad_edu.render.plain import View
from tinygrad_edu.render.shown import Drawn, Format, Image
from tinygrad_edu.render.trace import counted
from tinygrad_edu.tensor import Tensor

__all__ = ["draw_passes"]

BUDGET = 80  # nodes of the forward pass
FORMATS: dict[str, Format] = {"svg": "svg", "dot": "dot", "png": "png", "pdf": "pdf"}


def draw_passes(
    output: Tensor,
    path: str | os.PathLike[str] | None = None,
    format: Format | None = None,
    gradient: Any = None,
    budget: int = BUDGET,
    theme: Theme = "light",
) -> Drawn | Image:
    """A drawing of the forward and the backward pass side by side, and of what the second reads of the first.

    output, gradient: as for backward(); nothing is changed. format: left out, the path's ending tells, else "svg".
    budget: the forward pass is folded to so many nodes, and its backward pass with it.
    Raises what backward() would, ValueError for a format or budget that is none, RenderError without Graphviz.
    """
    ending = "svg" if path is None else os.path.splitext(path)[1].lower().removeprefix(".")
    asked = FORMATS.get(format or ending)
    if asked is None:
        raise ValueError(f"{format or ending!r} is no format of this drawing; there are {', '.join(FORMATS)}")
    picture = laid_out(dot_of_passes(ledger_of(output, gradient, formulas=True), budget, theme), asked)
    if path is not None:
        with open(path, "wb") as file:
            file.write(picture.encode() if isinstance(picture, str) else picture)
    return picture


def dot_of_passes(ledger: Ledger, budget: int, theme: Theme = "light") -> str:
    """The same bytes for the same graph, in every run. Nodes are f0, f1, ... forward, b0, b1, ... backward."""
    import graphviz

    colours = THEMES[theme]
    view = ledger.view._replace(notes=())
    seen = fold(view, budget)
    boxes = boxes_of(view, seen)
    note = "".join(f'{escaped(each)}<BR ALIGN="LEFT"/>' for each in seen.notes)
    caption = {"label": f"<{note}>", "fontcolor": colours.pale, "fontsize": "9"} if note else {}
    dot = graphviz.Digraph(
        "passes",
        graph_attr={"rankdir": "TB", "bgcolor": colours.paper, "fontname": FONT, "pad": "0.2", "nodesep": "0.45",
                    "ranksep": "0.35", "ordering": "out", **caption},
        node_attr={"shape": "box", "fontname": FONT, "fontsize": "10", "fontcolor": colours.ink,
                   "margin": "0.09,0.045", "height": "0.2", "width": "0.2"},
        edge_attr={"color": colours.line, "arrowsize": "0.55"},
    )  # fmt: skip
    turns: dict[int, list[Step]] = {}
    for step in ledger.steps:
        turns.setdefault(boxes[step.node], []).append(step)
    leaves = {boxes[number] for number in ledger.gradients}
    forward_lane(dot, seen, colours)
    for node in seen.nodes:
        if node.number in turns:
            label, role = rules_label(node.label, turns[node.number], colours), "output"
        elif node.number in leaves:
            shape = small(shape_text(node.shape) or "scalar", colours.pale)
            label, role = f"<<B>∇ {escaped(node.label)}</B><BR/>{shape}>", "leaf"
        else:
            continue
        with dot.subgraph() as row:  # a node and its rules at one height
            row.attr(rank="same")
            row.node(f"f{node.number}")
            row.node(f"b{node.number}", label, tooltip=text(printable(node.label)), group="backward",
                     fillcolor=colours.fills["output"], color=colours.frames["output"], **SHAPES[role],
                     **{"class": role})  # fmt: skip
            row.edge(f"f{node.number}", f"b{node.number}", style="invis")
    joined: dict[tuple[str, int, int], None] = {}
    for share in ledger.shares:
        giver, receiver = boxes[share.giver], boxes[share.receiver]
        if giver != receiver:
            joined["sent", receiver, giver] = None
        joined.update((("read", boxes[number], giver), None) for number in share.reads)
    for kind, first, second in joined:
        if kind == "sent":  # written from above to below, so that the layout puts it beside the forward edge
            dot.edge(f"b{first}", f"b{second}", dir="back", color=colours.frames["output"])
        elif seen.nodes[first].kind != "folded" or first != second:
            dot.edge(f"f{first}", f"b{second}", style="dotted", color=colours.frames["leaf"], constraint="false")
    return str(dot.source)


def forward_lane(dot: Any, seen: View, colours: Palette) -> None:
    """The forward pass, in blue where a picture of it alone has its output in orange: here that means backward."""
    for node in seen.nodes:
        last = node.number == seen.output and node.kind == "operation"
        style = {**SHAPES["output" if last else node.kind], "class": node.kind}
        if node.kind == "constant":
            style["fontcolor"] = colours.pale
        else:
            style |= {"fillcolor": colours.fills[node.kind], "color": colours.frames["leaf" if last else node.kind]}
        label = label_of(node._replace(gradient=None), seen.nodes[seen.output].dtype, colours, False)
        dot.node(f"f{node.number}", label, group="forward", tooltip=text(printable(node.name or node.label)), **style)
    for edge in seen.edges:
        dashed = {"style": "dashed"} if seen.nodes[edge.source].kind == "constant" else {}
        dot.edge(f"f{edge.source}", f"f{edge.target}", **dashed)


def rules_label(label: str, steps: list[Step], colours: Palette) -> str:
    """∂ matmul and below it dx = dz yᵀ, dy = xᵀ dz; of a folded box how many turns it stands for."""
    lines = [f"<B>∂ {escaped(label)}</B>"]
    if len(steps) > 1:
        lines.append(small(counted(len(steps), "step"), colours.pale))
    else:
        lines += [small(share.formula, colours.ink) for share in steps[0].shares if share.formula]
    return f"<{'<BR/>'.join(lines)}>"
