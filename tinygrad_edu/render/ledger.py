"""The ledger of one backward pass as plain data: what arrived at each node, and what went along each edge.

    step 3   matmul, which got g          to x: rule(g, W)  of shape (4, 3)
                                          to b: rule(g)     of shape (4, 3), summed back to (3,)

It is heard from the engine's own pass, which tells of every share before it adds it: the arrays are the engine's, not
computed again. Nodes go by their numbers in the picture of the same tensor; each edge of the picture that carries a
gradient has one share here, and the sum of a node's shares, in their order, is its gradient to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_edu.backward import reverse
from tinygrad_edu.cotangents import cotangent_of
from tinygrad_edu.errors import NotTrackedError
from tinygrad_edu.graph import Node, Pick, user_location
from tinygrad_edu.operation import needs_of
from tinygrad_edu.render.formulas import Formulas
from tinygrad_edu.render.summary import LARGE, has_over
from tinygrad_edu.render.view import View, argument_name, numbered
from tinygrad_edu.source import remark, source_line, source_text
from tinygrad_edu.tensor import Tensor

__all__ = ["Ledger", "Rule", "Share", "Step", "ledger_of"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a share is made: the text as it stands in `where`, and what is said beside it there.

    source is None where its file is not there to be read. needs: what it is given beside the cotangent.
    """

    source: str | None
    remark: str | None
    where: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What one rule sent along one edge.

    step      of the pass, counted from 0
    giver     the node whose rule made it, receiver: the node of the argument; argument: which, name: what it is called
    made      the shape that the rule returned; where it is not value's, the engine summed over what was broadcast
    value     what was added
    total     the sum at the receiver, with this one
    formula   `dx = dz yᵀ`, and shapes: `(2, 4)·(4, 3) → (2, 3)`, where they were asked for and there are some
    reads     the nodes whose values the rule was given: what the forward pass saved for it
    place     for a receiver of several outputs, which of them it is for
    """

    step: int
    giver: int
    receiver: int
    argument: int
    name: str
    made: tuple[int, ...]
    value: Any
    total: Any
    rule: Rule
    formula: str | None = None
    shapes: str | None = None
    reads: tuple[int, ...] = ()
    place: int | None = None

    @property
    def summed(self) -> bool:
        """Was broadcasting undone?"""
        return bool(self.made != np.shape(self.value))


@dataclass(frozen=True, slots=True)
class Step:
    """One node's turn: the cotangent that had arrived, whole by now, and the shares that its rules made of it.

    cotangent  an array; for a node of several outputs, one for each
    kept       (name, value) of what the forward pass saved for the rules
    """

    number: int
    node: int
    cotangent: Any
    kept: tuple[tuple[str, Any], ...]
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """One pass, or the beginning of it.

    seed       the cotangent that it started from
    steps      in the engine's order; turns: how many there were, more than steps if only the first were asked for
    gradients  by the leaf's number
    counts     how many shares a node got in all, by its number and, for one of several outputs, by which
    sent       how many shares there were in all

    If only the first steps of a pass over more than 50,000 nodes were asked for, the view is of these steps alone.
    """

    view: View
    seed: Any
    steps: tuple[Step, ...]
    turns: int
    gradients: dict[int, Any]
    counts: dict[tuple[int, int | None], int]
    sent: int

    @property
    def shares(self) -> tuple[Share, ...]:
        """Those of the steps, in the order in which they were added."""
        return tuple(share for step in self.steps for share in step.shares)

    def received(self) -> dict[int, tuple[Share, ...]]:
        """By node: the shares that its gradient is the sum of, as far as the steps tell. The output got the seed."""
        found: dict[int, list[Share]] = {node.number: [] for node in self.view.nodes}
        for step in self.steps:
            for share in step.shares:
                found[share.receiver].append(share)
        return {number: tuple(shares) for number, shares in found.items()}


class Heard:
    """What the pass told, as it came. A sum is known only when the next share comes, or the receiver has its turn."""

    def __init__(self, steps: float) -> None:
        self.steps = steps
        self.turns = 0
        self.node: Node | None = None  # whose turn it is
        self.told: list[tuple[Node, int, Any, Any, Any]] = []
        self.totals: list[Any] = []
        self.latest: dict[tuple[Node, int | None], int] = {}  # what of it was told, but its sum is not known yet
        self.counts: dict[tuple[Node, int | None], int] = {}

    def tell(self, node: Node, place: int, g: Any, made: Any, share: Any, held: Any) -> None:
        if node is not self.node:
            self.node = node
            self.turns += 1
            self.settle(node, g)
        receiver = node.sources[place], place_of(node)
        if receiver[1] is not None:  # one of several outputs: their cotangents are gathered in a list
            held = held[receiver[1]] if held is not None and len(held) > receiver[1] else None
        self.counts[receiver] = self.counts.get(receiver, 0) + 1
        if (known := self.latest.pop(receiver, None)) is not None:
            self.totals[known] = held
        if self.turns <= self.steps:
            self.latest[receiver] = len(self.told)
            self.told.append((node, place, g, np.shape(made), share))
            self.totals.append(share)

    def settle(self, node: Node, g: Any) -> None:
        """All that it gets has come."""
        for place, whole in enumerate(g) if type(g) is tuple else [(None, g)]:
            if (known := self.latest.pop((node, place), None)) is not None:
                self.totals[known] = whole


def place_of(node: Node) -> int | None:
    """Which of its source's outputs a node picks; None for a node that computes."""
    return node.operation.index if type(node.operation) is Pick else None


def ledger_of(output: Tensor, gradient: Any = None, formulas: bool = False, steps: int | None = None) -> Ledger:
    """The backward pass from `output`, listened to. No `.grad` is touched, and the graph stays as it is.

    gradient: the cotangent to start from, of output's shape; may be left out for one element (then 1).
    formulas: read the formula of each rule, too, at about 10 ms for each kind of operation.
    steps: keep so many, the first of the pass, and of the others the sums alone.
    Raises what backward() would: NotTrackedError, CotangentError, FreedGraphError, MutationError, RuleError.
    """
    if output._node is None:
        raise NotTrackedError(
            f"the tensor depends on nothing that requires a gradient: no backward pass. Called {user_location()}"
        )
    seed = cotangent_of(output, gradient)
    heard = Heard(math.inf if steps is None else steps)
    found = reverse({output._node: seed}, tell=heard.tell)
    leaves = [node for node in found if node.plan is None]
    part = None
    if steps is not None and has_over(output._node, LARGE):
        part = sorted({output._node, *leaves, *(node for node, *_ in heard.told)}, key=attrgetter("number"))
    view, numbers = numbered(output, part=part)
    for leaf in leaves:
        heard.settle(leaf, found[leaf])
    operands = {(edge.target, edge.argument): edge.source for edge in view.edges}
    rules: dict[Callable[..., Any], Rule] = {}
    read = Formulas()
    kept: list[Step] = []
    shares: list[Share] = []
    for k, (node, place, g, made, value) in enumerate(heard.told):
        argument = node.plan.pullbacks[place][0]
        formula = read(node, argument) if formulas else None
        shares.append(
            Share(
                len(kept), numbers[node], numbers[node.sources[place]], argument, argument_name(node, argument), made,
                value, heard.totals[k], rule_of(node, argument, rules), formula.text or None if formula else None,
                formula.algebra if formula else None, read_by(node, place, numbers[node], operands), place_of(node),
            )
        )  # fmt: skip
        if k + 1 == len(heard.told) or heard.told[k + 1][0] is not node:
            kept.append(Step(len(kept), numbers[node], g, kept_by(node), tuple(shares)))
            shares = []
    gradients = {numbers[leaf]: found[leaf] for leaf in leaves}
    counts = {(numbers[node], place): count for (node, place), count in heard.counts.items() if node in numbers}
    return Ledger(view, seed, tuple(kept), heard.turns, gradients, counts, sum(heard.counts.values()))


def rule_of(node: Node, argument: int, known: dict[Callable[..., Any], Rule]) -> Rule:
    """The text of the rule for an argument; of a sequence of arrays, all elements have the same."""
    written = [rule for rule in node.operation.rules if rule is not None]
    rule = written[0] if node.operation.sequence is not None else node.operation.rules[argument]
    if rule not in known:
        known[rule] = Rule(source_text(rule), remark(rule), source_line(rule), needs_of(rule))
    return known[rule]


def read_by(node: Node, place: int, number: int, operands: dict[tuple[int, int], int]) -> tuple[int, ...]:
    """The numbers of the nodes whose values a rule is given: the operation's own, its operands'."""
    found: dict[int, None] = {}
    for k in node.plan.pullbacks[place][2]:
        source = node.plan.sources[k]
        if node.plan.names[k] == "z":
            found[number] = None
        elif source >= 0:
            found[operands[number, source]] = None
        elif source == -2:  # a sequence of arrays, all of them
            found.update((operands[number, argument], None) for argument in range(len(node.inputs)))
    return tuple(found)


def kept_by(node: Node) -> tuple[tuple[str, Any], ...]:
    """What it saved, without the keywords that nobody gave."""
    usual = node.operation.defaults
    kept = zip(node.plan.names, node.saved or (), strict=True)
    return tuple((name, value) for name, value in kept if name not in usual or value is not usual[name])
