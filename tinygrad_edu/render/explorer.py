"""The graph as one HTML page: pan, zoom, search, the facts of a node at a click, and boxes that open.

Layout happens here, not in the browser. So each box that opens has a drawing of its own, a sheet: what is inside it,
and at the edges what comes in. A sheet has at most SHEET nodes, which lay out in a moment; boxes on it have sheets in
turn. Equal scopes in a row share the sheet of the first, and the reader chooses whose numbers it shows. Operations of a
run open too: to the sheet of their scalars.
"""

from __future__ import annotations

import html
from collections import deque
from collections.abc import Mapping
from typing import Any

from tinygrad_edu.render.closeup import DRAWN, Closeup, closeups
from tinygrad_edu.render.dot import dot_of
from tinygrad_edu.render.fold import depths, fold, folded, parents, title
from tinygrad_edu.render.labels import NOTHING, contents, keyword_text, printable, shape_text
from tinygrad_edu.render.layout import lay_out
from tinygrad_edu.render.page import inline_svg, page
from tinygrad_edu.render.palette import Direction, Heat, Theme, heat_of
from tinygrad_edu.render.plain import Statistics, View, ViewNode
from tinygrad_edu.render.repeats import once
from tinygrad_edu.render.run import Call

__all__ = ["html_of"]

SHEET = 30  # nodes of a drawing that one can take in, and read without zooming
SHEETS = 80
FACTS = 20_000  # nodes that the page tells of, beside those that it draws


def html_of(
    view: View,
    budget: int,
    depth: int | None = None,
    direction: Direction | None = None,
    theme: Theme | None = None,
    heat: Heat | None = None,
    calls: Mapping[int, Call] | None = None,
    zoom: int = 0,
) -> str:
    """The page. The same bytes for the same graph and Graphviz. Raises RenderError without one.

    calls: what the operations ran on, by their numbers; zoom: so many of them open to their scalars.
    """
    sheets = sheets_of(view, min(budget, SHEET), depth)
    left_out = add_closeups(sheets, view, calls or {}, zoom)
    svgs, told = [], []
    for sheet in sheets:
        warm = None if sheet.closeup else heat
        svg = lay_out(dot_of(sheet.view, direction or "TB", heat=warm, caption=False, opens=sheet.opens), "svg")
        what = f"graph of {printable(sheet.scope) or 'the whole'}"
        what = f"scalars of {sheet.closeup.title}" if sheet.closeup else what
        svgs.append(inline_svg(svg.decode(), what))
        told.append(sheet.facts(view.notes, warm))
    told[0]["notes"] += left_out
    drawn = {whole(node) for sheet in sheets for node in sheet.view.nodes}
    many = len(view.nodes) > FACTS
    nodes = {n.number: facts_of(n) for n in view.nodes if not many or n.number in drawn}
    inputs: dict[int, list[int]] = {}
    for edge in view.edges:
        if edge.target in nodes:
            inputs.setdefault(edge.target, []).append(edge.source)
    for sheet in sheets:
        if sheet.closeup:
            alone = {node.number: whole(node) for node in sheet.view.nodes if node.kind != "folded"}
            nodes |= {alone[number]: facts_of(sheet.view.nodes[number]) for number in alone}
            for edge in sheet.view.edges:
                if edge.source in alone and edge.target in alone:
                    inputs.setdefault(alone[edge.target], []).append(alone[edge.source])
    rows = {path: about.alike for sheet in sheets for path, about in sheet.view.scopes.items() if about.alike}
    for sheet, about in zip(sheets, told, strict=True):
        if sheet.closeup:
            about["contents"], about["rows"] = scalar_words(sheet, rows), []
            continue
        own = members_of(view, sheet.scope)
        about["contents"] = contents(folded(0, sheet.scope, own, "", view))
        about["rows"] = [path for path in rows if f"{sheet.scope}.".startswith(f"{path}.")]
    data = {
        "sheets": told, "nodes": nodes, "inputs": inputs,
        "rows": {path: {"paths": [printable(each, 200) for each in paths],
                        "nodes": [] if many else [[node.number for node in members_of(view, each)] for each in paths]}
                 for path, paths in rows.items()},
    }  # fmt: skip
    notes = [*view.notes, *([f"Search finds what is drawn, not all {len(view.nodes):,} nodes."] if many else [])]
    name = printable(view.nodes[view.output].name or view.nodes[view.output].label)
    return page(f"Graph of {name}", body_of(name, svgs, notes), data, ["stage.js", "explorer.js"], ["explorer.css"],
                theme or "auto")  # fmt: skip


class Sheet:
    """One drawing: of the whole, of what is inside one scope, or of the scalars of operation number `of`. above: the
    sheet from which it opens, of `around`."""

    closeup: Closeup | None = None
    of: int | None = None

    def __init__(self, scope: str, view: View, above: int | None, around: str = "") -> None:
        self.scope, self.view, self.above, self.around = scope, view, above, around
        self.opens: dict[int, int] = {}  # the number of a box here -> a sheet

    def facts(self, known: tuple[str, ...], heat: Heat | None) -> dict[str, Any]:
        """What the page tells of it. known: notes on the whole graph, which stand at the top of the page."""
        notes = [note for note in self.view.notes if note not in known]
        notes += [heat_of(self.view.nodes, heat).legend] if heat else []
        name = title(self.view, self.scope, self.around) if self.scope else "graph"
        return {
            "scope": printable(self.scope, 200),
            "title": self.closeup.title if self.closeup else printable(name),
            "of": self.of,
            "above": self.above,
            "notes": [printable(note, 300) for note in notes],
            "nodes": {str(n.number): whole(n) for n in self.view.nodes if n.kind != "folded"},
            "boxes": {str(n.number): box_facts(n, self.view) for n in self.view.nodes if n.kind == "folded"},
            "opens": self.opens,
        }


def sheets_of(view: View, budget: int, depth: int | None) -> list[Sheet]:
    """The whole first; then what its boxes hold, breadth first, as far as SHEETS goes."""
    sheets = [Sheet("", crowd(view, budget, depth, 0), None)]
    waiting = deque([0])
    while waiting:
        number = waiting.popleft()
        sheet = sheets[number]
        for node in sheet.view.nodes:
            if node.kind != "folded" or not node.name or len(sheets) == SHEETS or not members_of(view, node.name):
                continue
            inner = inside(view, node.name)
            opened = depths(parents(inner))[node.name]
            sheet.opens[node.number] = len(sheets)
            waiting.append(len(sheets))
            sheets.append(Sheet(node.name, crowd(inner, budget, None, opened), number, sheet.scope))
    return sheets


def add_closeups(sheets: list[Sheet], view: View, calls: Mapping[int, Call], zoom: int) -> list[str]:
    """A sheet for each of the operations that open to their scalars; what to say of how many do."""
    drawn = {whole(node): (place, node) for place, sheet in enumerate(sheets) for node in sheet.view.nodes
             if node.kind == "operation"}  # fmt: skip
    chosen, others = closeups(view, calls, drawn, zoom)
    number = len(view.nodes)
    for of, made in chosen.items():
        place, node = drawn[of]
        nodes = tuple(each._replace(whole=number + each.number) for each in made.view.nodes)
        number += len(nodes)
        sheets[place].opens[node.number] = len(sheets)
        sheet = Sheet(node.scope, fold(made.view._replace(nodes=nodes), DRAWN), place)
        sheet.closeup, sheet.of = made, of
        sheets.append(sheet)
    if not chosen:
        return []
    more = " zoom= may open more." if others else ""
    return [f"{len(chosen)} operations, with a double line, open to their scalars.{more}"]


def scalar_words(sheet: Sheet, rows: Mapping[str, tuple[str, ...]]) -> list[str]:
    """What a sheet of scalars is."""
    assert sheet.closeup is not None
    lines = [sheet.closeup.words()]
    lines += [f"Of {printable(path, 200)}, the first of {len(paths)} equal scopes."
              for path, paths in rows.items() if f"{sheet.scope}.".startswith(f"{path}.")]  # fmt: skip
    if sheet.closeup.dtype != "float64":
        lines.append(f"The scalars are float64; the operation ran in {sheet.closeup.dtype}.")
    return lines


def crowd(view: View, budget: int, depth: int | None, opened: int) -> View:
    """A sheet's view: equal scopes once and scopes folded, if it is over the budget."""
    if len(view.nodes) <= budget and depth is None:
        return view
    return fold(once(view), budget, depth, opened)


def inside(view: View, scope: str) -> View:
    """The part of the view within a scope, and outside of its box the nodes that feed it."""
    own = {node.number for node in members_of(view, scope)}
    into = [edge for edge in view.edges if edge.target in own]
    feeding = {edge.source for edge in into} - own
    leaving = [edge.source for edge in view.edges if edge.source in own and edge.target not in own]
    nodes = [node for node in view.nodes if node.number in own or node.number in feeding]
    number = {node.number: k for k, node in enumerate(nodes)}
    shown = [node if node.number in own else node._replace(kind="outside", scope="") for node in nodes]
    edges = tuple(edge._replace(source=number[edge.source], target=number[edge.target]) for edge in into)
    output = number[max(leaving, default=max(own))]
    return View(tuple(n.numbered(k) for k, n in enumerate(shown)), edges, output, view.scopes)


def whole(node: ViewNode) -> int:
    return node.number if node.whole is None else node.whole


def members_of(view: View, scope: str) -> list[ViewNode]:
    return [node for node in view.nodes if not scope or f"{node.scope}.".startswith(f"{scope}.")]


def facts_of(node: ViewNode) -> dict[str, Any]:
    """What the page tells of a node, in words and numbers; what is not known is left out."""
    told = {
        "label": printable(node.label),
        "kind": node.kind,
        "name": printable(node.name or "", 200),
        "scope": printable(node.scope, 200),
        "shape": shape_text(node.shape) or "scalar",
        "dtype": node.dtype,
        "keywords": printable(keyword_text(node), 200),
        "value": printable(node.value or "", 200),
        "statistics": numbers(node.statistics),
        "gradient": numbers(node.gradient),
        "bytes": node.saved_bytes,
        "seconds": node.seconds,
        "where": printable(node.where or "", 200),
    }
    return {name: fact for name, fact in told.items() if fact not in (None, "")}


def box_facts(node: ViewNode, view: View) -> dict[str, Any]:
    about = view.scopes.get(node.name or "", NOTHING)
    told = {"label": printable(node.label), "scope": printable(node.name or "", 200), "contents": contents(node, about),
            "shape": shape_text(node.shape) or "scalar", "dtype": node.dtype, "statistics": numbers(node.statistics),
            "gradient": numbers(node.gradient), "bytes": node.saved_bytes, "seconds": node.seconds}  # fmt: skip
    return {name: fact for name, fact in told.items() if fact not in (None, "")}


def numbers(found: Statistics | None) -> dict[str, float] | None:
    return None if found is None else found._asdict()


def body_of(name: str, svgs: list[str], notes: list[str]) -> str:
    """The frame that the script fills; every word from outside escaped."""
    banner = "".join(f"<li>{html.escape(printable(note, 300))}</li>" for note in notes)
    sheets = "".join(f'<div class="sheet hidden">{svg}</div>' for svg in svgs)
    return f"""<header>
<nav id="path" aria-label="where you are"></nav>
<span id="row" class="hidden"><button id="before" aria-label="the one before">‹</button>
<output id="which"></output><button id="after" aria-label="the next one">›</button></span>
<input id="search" type="search" placeholder="search /" aria-label="search operations, names and scopes"
autocomplete="off" spellcheck="false">
<button id="smaller" aria-label="smaller">−</button><button id="larger" aria-label="larger">+</button>
<button id="fit">fit</button>
</header>
<ul id="notes">{banner}</ul>
<main>
<div id="stage" tabindex="0" aria-label="the graph of {html.escape(name)}">{sheets}</div>
<aside id="about" aria-live="polite"></aside>
<ol id="found" class="hidden" aria-label="what was found"></ol>
</main>
<footer><kbd>tab</kbd> next node <kbd>enter</kbd> open <kbd>esc</kbd> back <kbd>/</kbd> search
<kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom <kbd>←</kbd> <kbd>↑</kbd> <kbd>→</kbd> <kbd>↓</kbd> move</footer>"""
