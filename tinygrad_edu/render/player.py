"""The backward pass as one page to step through: the graph, the step, the rule, and every sum as it grows.

    ledger, what the engine did ──> facts, plain data ──┐
    view ──fold──> DOT ──> SVG, if Graphviz is there ───┴──> page.py ──> one file

The page shows what the ledger holds and computes nothing: its script only turns the leaves.
"""

from __future__ import annotations

import html
import os
from collections import Counter
from typing import Any, Literal

import numpy as np

from tinygrad_edu.render.amounts import amount, amount_data
from tinygrad_edu.render.dot import dot_of
from tinygrad_edu.render.fold import boxes_of, fold
from tinygrad_edu.render.labels import printable, shape_text
from tinygrad_edu.render.layout import RenderError, TooSlow, lay_out
from tinygrad_edu.render.ledger import Ledger, Rule, Step, ledger_of
from tinygrad_edu.render.page import inline_svg, page
from tinygrad_edu.render.trace import calls_of, counted, name_of, tells_more
from tinygrad_edu.tensor import Tensor

__all__ = ["replay"]

BUDGET = 150  # nodes of the drawing: beyond that a step cannot be seen in it
STEPS = 400  # of the page: about 2 kB each
LISTED = 100  # shares of one node
LEAST = 12  # nodes to which the drawing is folded when its layout takes too long


def replay(
    output: Tensor,
    path: str | os.PathLike[str] | None = None,
    gradient: Any = None,
    budget: int = BUDGET,
    steps: int = STEPS,
    theme: Literal["auto", "light", "dark"] = "auto",
) -> str:
    """A page that replays the backward pass from `output`, step by step: the file's text, also written to `path`.

    One HTML file that loads nothing: it can be opened from a disk, sent by mail, printed. gradient: the cotangent to
    start from, of output's shape; may be left out for one element (then 1). budget: the drawing has at most so many
    nodes, or is folded, and says so. steps: the page has at most so many, the first of the pass, and says so.
    No `.grad` is touched, and the graph stays as it is. Without Graphviz there is no drawing, and the page says why.
    Raises what backward() would, and ValueError for a budget or steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: replay at least one")
    ledger = ledger_of(output, gradient, formulas=True, steps=steps)
    drawing, notes, boxes = drawn(ledger, budget)
    if ledger.turns > steps:
        notes.append(f"The page has the first {steps:,} of {ledger.turns:,} steps; steps={ledger.turns} has all.")
    facts = facts_of(ledger, boxes)
    title = f"The backward pass from {name_of(ledger.view.nodes[ledger.view.output])}"
    parts = body(title, drawing, notes, ledger, facts)
    text = page(title, parts, facts, ["stage.js", "player.js"], ["player.css"], theme)
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return text


def drawn(ledger: Ledger, budget: int) -> tuple[str, list[str], list[int]]:
    """The SVG, or words that say why there is none; what was folded; and which box of the drawing each node is in."""
    view = ledger.view._replace(notes=())  # that there are no gradients yet is no news here
    while True:
        seen = fold(view, budget)
        notes, seen = list(seen.notes), seen._replace(notes=())
        boxes = boxes_of(view, seen)
        try:
            svg = lay_out(dot_of(seen, "TB"), "svg").decode()
            return inline_svg(svg, "The graph; each operation and leaf can be clicked"), notes, boxes
        except RenderError as error:
            if not isinstance(error, TooSlow) or budget <= LEAST:
                return f'<p class="without">{html.escape(printable(str(error), 400))}</p>', notes, boxes
        budget = max(LEAST, min(budget, len(view.nodes)) // 4)


def facts_of(ledger: Ledger, boxes: list[int]) -> dict[str, Any]:
    """What the page's script turns into words and tables. Steps and nodes are named by their numbers."""
    calls = calls_of(ledger.view)
    rules: dict[Rule, int] = {}
    counts: dict[tuple[int, int | None], int] = {}
    expected: Counter[int] = Counter()
    for (number, _), count in ledger.counts.items():
        expected[number] += count
    sent: dict[int, list[tuple[int, int]]] = {}
    for step in ledger.steps:
        for place, share in enumerate(step.shares):
            sent.setdefault(share.receiver, []).append((step.number, place))
    told = [step_facts(step, rules, counts, ledger) for step in ledger.steps]
    named = {ledger.view.output, *ledger.gradients, *sent, *(step.node for step in ledger.steps)}
    nodes = {}
    for number in sorted(named):
        node = ledger.view.nodes[number]
        about = [f"node {number}", shape_text(node.shape) or "scalar", node.dtype]
        about += [printable(node.where)] if node.where and node.kind == "operation" else []
        about += [f"in {printable(node.scope)}"] if node.scope else []
        nodes[number] = {
            "kind": node.kind, "name": name_of(node), "call": calls[number], "about": " · ".join(about),
            "box": boxes[number], "shares": sent.get(number, [])[:LISTED], "expects": expected[number],
        }  # fmt: skip
    return {
        "output": ledger.view.output,
        "seed": amount_data(ledger.seed),
        "steps": told,
        "all": ledger.turns,
        "rules": [{"source": rule.source, "where": printable(rule.where)} for rule in rules],
        "nodes": nodes,
        "leaves": [[number, amount_data(gradient)] for number, gradient in ledger.gradients.items()],
    }


def step_facts(
    step: Step, rules: dict[Rule, int], counts: dict[tuple[int, int | None], int], ledger: Ledger
) -> dict[str, Any]:
    """One turn. rules, counts: known so far, and added to."""
    shares = []
    kept = dict(step.kept)
    for share in step.shares:
        key = share.receiver, share.place
        counts[key] = counts.get(key, 0) + 1
        shares.append({
            "to": share.receiver, "argument": share.name, "rule": rules.setdefault(share.rule, len(rules)),
            "formula": share.formula or share.rule.remark,
            "shapes": share.shapes if share.formula and tells_more(share.shapes) else None,
            "reads": [name for name in share.rule.needs if name in kept],
            "value": amount_data(share.value), "total": amount_data(share.total), "words": amount(share.value),
            "made": shape_text(share.made) or "()" if share.summed else None,
            "shape": shape_text(np.shape(share.value)) or "()", "count": counts[key], "of": ledger.counts[key],
        })  # fmt: skip
    return {
        "node": step.node, "got": amount_data(step.cotangent), "words": amount(step.cotangent),
        "kept": {name: amount_data(value) for name, value in step.kept}, "shares": shares,
    }  # fmt: skip


def body(title: str, drawing: str, notes: list[str], ledger: Ledger, facts: dict[str, Any]) -> str:
    """The page's parts: head, graph, what happens now, the list of steps, the controls."""
    nodes = facts["nodes"]
    entries = [
        entry(k + 1, f"{k + 1}", nodes[step["node"]]["call"]) for k, step in enumerate(facts["steps"])
    ]
    leaves = [f'<li><button type="button" data-leaf="{number}">{breaking(nodes[number]["name"])}</button></li>'
              for number, _ in facts["leaves"]]  # fmt: skip
    last = len(facts["steps"]) + 1
    sizes = ", ".join([counted(ledger.turns, "step"), counted(ledger.sent, "share"),
                       counted(len(ledger.gradients), "leaf")])  # fmt: skip
    told = "".join(f'<p class="note">{html.escape(note)}</p>' for note in notes)
    return f"""<header>
<h1>{html.escape(title)}</h1>
<p class="pale">{sizes}. <kbd>←</kbd> <kbd>→</kbd> step, <kbd>space</kbd> plays, <kbd>Home</kbd> <kbd>End</kbd> jump, \
<kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom; click a node to go to its turn.</p>
{told}</header>
<main>
<section id="graph" aria-label="The graph"><div id="stage">{drawing}</div></section>
<section id="now" aria-label="This step"></section>
<nav aria-label="Steps and gradients">
<section><h2>Steps</h2><ol id="list">
{entry(0, "", "the start")}
{"".join(entries)}
{entry(last, "", "the end: every gradient")}
</ol></section>
<section><h2>Gradients</h2><ul id="leaves">{"".join(leaves)}</ul></section>
</nav>
</main>
<p id="said" class="unseen" role="status" aria-live="polite"></p>
<footer>
<button type="button" id="first" aria-label="To the start">|◀</button>
<button type="button" id="previous">◀ Previous</button>
<button type="button" id="play" aria-pressed="false">Play</button>
<button type="button" id="next">Next ▶</button>
<button type="button" id="last" aria-label="To the end">▶|</button>
<input type="range" id="place" min="0" max="{last}" value="0" aria-label="Step">
<output id="count" for="place"></output>
</footer>"""


def entry(position: int, number: str, words: str) -> str:
    told = f'<span class="number pale">{number}</span> ' if number else ""
    return f'<li><button type="button" data-position="{position}">{told}{breaking(words)}</button></li>'


def breaking(words: str) -> str:
    """Harmless, and with places where a line may end."""
    return html.escape(words).replace(".", ".<wbr>").replace("_", "_<wbr>")

