"""The backward pass in words, one step a paragraph: for a terminal, for a screen reader, for a printed page.

    Step 2 of 3. Node 2, multiply(x, x), (2,) float64, at lesson.py:4.
      It got [1, 1].
      To x, argument x, it sends [2, 3].
        Formula: dx = dz ⊙ y
        With y = [2, 3].
        Rule, elementwise.py:36: lambda g, y: g * y
        Sum at x: [2, 3], share 1 of 2.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from tinygrad_edu.render.amounts import amount
from tinygrad_edu.render.labels import keyword_text, printable, shape_text
from tinygrad_edu.render.ledger import Ledger, Rule, Share, Step, ledger_of
from tinygrad_edu.render.plain import View, ViewNode
from tinygrad_edu.tensor import Tensor

__all__ = ["calls_of", "name_of", "trace_backward"]

LISTED = 50  # shares of one leaf


def trace_backward(output: Tensor, gradient: Any = None, steps: int = 200) -> str:
    """The backward pass from `output` in words: each node's turn, and at the end the sum of every leaf's gradient.

    gradient: the cotangent to start from, of output's shape; may be left out for one element (then 1).
    steps: so many are told at most, the first of the pass.
    A rule's text stands where it is used first. No `.grad` is touched. Raises what backward() would, and ValueError for
    steps below 1.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: tell at least one")
    ledger = ledger_of(output, gradient, formulas=True, steps=steps)
    words = Words(ledger)
    rest = ledger.turns - len(ledger.steps)
    left_out = [f"{rest:,} steps more are not told here; steps={ledger.turns} tells them all.\n"] if rest else []
    return "\n".join([words.opening(), *map(words.step, ledger.steps), *left_out, words.sums()])


def name_of(node: ViewNode) -> str:
    """How a sentence refers to a node: a leaf by its name, an operation by its number."""
    if node.kind == "leaf" and node.name:
        return printable(node.name)
    return f"node {node.number}, {printable(node.label)}"


def calls_of(view: View) -> list[str]:
    """Every node as it would be written: multiply(weight, #3), where #3 is the result of node 3."""
    arguments: list[list[str]] = [[] for _ in view.nodes]
    for edge in view.edges:
        arguments[edge.target].append(reference(view.nodes[edge.source], view.nodes[edge.target]))
    return [
        f"{printable(node.label)}({', '.join([*arguments[node.number], *filter(None, [keyword_text(node)])])})"
        if node.kind == "operation" else printable(node.name or node.label)
        for node in view.nodes
    ]  # fmt: skip


def reference(source: ViewNode, user: ViewNode) -> str:
    """A leaf of the user's own scope goes by its name in there: weight, not blocks.0.norm1.weight."""
    if source.kind == "constant" or source.scope and source.scope == user.scope and source.kind == "leaf":
        return printable(source.label)
    return printable(source.name) if source.kind == "leaf" and source.name else f"#{source.number}"


class Words:
    """What the paragraphs share: how nodes are written, how many shares each gets, which rules were shown."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.nodes = ledger.view.nodes
        self.calls = calls_of(ledger.view)
        self.received = ledger.received()
        self.so_far: dict[tuple[int, int | None], int] = {}
        self.shown: dict[Rule, int] = {}

    def opening(self) -> str:
        """What is walked, and from where."""
        output = self.nodes[self.ledger.view.output]
        return (
            f"The backward pass from {name_of(output)}: {counted(self.ledger.turns, 'step')}, "
            f"{counted(self.ledger.sent, 'share')}, {counted(len(self.ledger.gradients), 'leaf')}.\n"
            f"It starts with the cotangent {amount(self.ledger.seed)}. In formulas z is a node's value and dz the "
            "cotangent that it got.\n"
        )

    def step(self, step: Step) -> str:
        node = self.nodes[step.node]
        facts = [f"Node {node.number}, {self.calls[step.node]}", f"{shape_text(node.shape) or 'scalar'} {node.dtype}"]
        facts += [f"at {printable(node.where)}"] if node.where else []
        facts += [f"in {printable(node.scope)}"] if node.scope else []
        lines = [f"Step {step.number + 1} of {self.ledger.turns}. {', '.join(facts)}."]
        lines.append(f"  It got {amount(step.cotangent)}.")
        for share in step.shares:
            lines += self.share(step, share)
        return "\n".join([*lines, ""])

    def share(self, step: Step, share: Share) -> list[str]:
        receiver = self.nodes[share.receiver]
        lines = [f"  To {name_of(receiver)}, argument {share.name}, it sends {amount(share.value)}."]
        if share.summed:
            lines.append(f"    Summed from {share.made} back to {np.shape(share.value)}: it was broadcast.")
        lines += self.rule(step, share)
        key = share.receiver, share.place
        count = self.so_far[key] = self.so_far.get(key, 0) + 1
        shares = self.ledger.counts[key]
        if shares > 1:
            state = "complete" if count == shares else f"share {count} of {shares}"
            lines.append(f"    Sum at {name_of(receiver)}: {amount(share.total)}, {state}.")
        return lines

    def rule(self, step: Step, share: Share) -> list[str]:
        """Its text where it is met first, later only where that was; with what it was given."""
        rule = share.rule
        kept = [f"{name} = {amount(value)}" for name, value in step.kept if name in rule.needs]
        told = [f"    Formula: {formula_of(share)}"] if formula_of(share) else []
        told += [f"    With {'; '.join(kept)}."] if kept else []
        if rule in self.shown:
            return [*told, f"    Rule as in step {self.shown[rule]}."]
        self.shown[rule] = step.number + 1
        if rule.source is None:
            return [*told, f"    Rule: {rule.where}, whose text is not there to be read."]
        if "\n" not in rule.source:
            return [*told, f"    Rule, {rule.where}: {rule.source}"]
        source = "\n".join(line for line in rule.source.splitlines() if line.strip())  # a blank one ends a paragraph
        return [*told, f"    Rule, {rule.where}:", textwrap.indent(source, "      ")]

    def sums(self) -> str:
        """Every leaf's gradient, as the sum that it is."""
        lines = ["The gradients, and the shares that they are the sum of:"]
        for number, gradient in self.ledger.gradients.items():
            shares = self.received[number][:LISTED]
            lines.append(f"  {name_of(self.nodes[number])} {shape_text(self.nodes[number].shape)}".rstrip())
            width = max([len(self.calls[share.giver]) for share in shares], default=0)
            lines += [
                f"    step {share.step + 1:>{len(str(len(self.ledger.steps)))}}  {self.calls[share.giver]:<{width}}  "
                f"{amount(share.value)}"
                for share in shares
            ]
            rest = self.ledger.counts.get((number, None), 0) - len(shares)
            lines += [f"    and {counted(rest, 'share')} more"] if rest else []
            lines.append(f"    sum: {amount(gradient)}")
        return "\n".join([*lines, ""])


def formula_of(share: Share) -> str:
    """dx = dz yᵀ  [(2, 4)·(4, 3) → (2, 3)]; without a derived one, what is said beside the rule."""
    if share.formula is None:
        return share.rule.remark or ""
    return share.formula + (f"  [{share.shapes}]" if tells_more(share.shapes) else "")


def tells_more(shapes: str | None) -> bool:
    """(2, 3) → (2, 3) does not."""
    before, _, after = (shapes or "").partition(" → ")
    return before != after


def counted(number: int, noun: str) -> str:
    plural = {"leaf": "leaves"}.get(noun, f"{noun}s")
    return f"{number:,} {noun if number == 1 else plural}"
