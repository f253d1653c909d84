"""Which uses, tokens and paths make the gradient of one weight. Counted along the edges, never path by path.

    gradient = Σ over uses of what each sends       uses: the arguments of operations that the weight is
             = Σ over uses, Σ over positions        each rule is linear in its cotangent, so that can be cut into pieces
             = Σ over all ways from the output      2ⁿ of them, after n diamonds: their number needs one sum a node

A way's part: from the weight go up, at each node to one of those that sent it a share, as likely as its share is large
(by norm, among all shares that arrived there). The chance to take a way is its part; all parts add up to 1.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_edu.backward import fitted, reverse
from tinygrad_edu.cotangents import cotangent_of
from tinygrad_edu.errors import NotTrackedError, ShapeError
from tinygrad_edu.graph import Node, user_location
from tinygrad_edu.render.amounts import amount, norm_of
from tinygrad_edu.render.labels import printable, shape_text
from tinygrad_edu.render.summary import LARGE, has_over
from tinygrad_edu.render.trace import calls_of
from tinygrad_edu.render.view import argument_name, numbered
from tinygrad_edu.tensor import Tensor

__all__ = ["Contributions", "Use", "contributions"]

SHOWN = 24  # steps of a way, positions and uses that the words list


@dataclass(frozen=True)
class Use:
    """One argument of one operation that the weight is.

    node       the operation's number in the picture of the output; call: how it is written; argument: its name
    where      lesson.py:41, in blocks.0
    value      what it sends to the weight, of the weight's shape
    fraction   the part of the gradient that it is: ⟨value, gradient⟩ / ⟨gradient, gradient⟩; all uses' add up to 1
    ways       how many lead from the output through here
    positions  value, cut by the positions along the axis that was asked for; None where its result has no such axis
    """

    node: int
    call: str
    argument: str
    where: str
    value: Any
    fraction: float
    ways: int
    positions: tuple[Any, ...] | None


@dataclass(frozen=True)
class Contributions:
    """gradient: the sum of the values of all uses, in their order. ways: how many lead from the output to the weight.
    strongest: the way with the largest part, as calls from the output down; log_part: the logarithm of its part."""

    name: str
    gradient: Any
    uses: tuple[Use, ...]
    ways: int
    strongest: tuple[str, ...]
    log_part: float
    labels: tuple[str, ...] = ()

    @property
    def part(self) -> float:
        """What the strongest way brings of it all, by the rule above; 0 to 1."""
        return math.exp(self.log_part)

    def __str__(self) -> str:
        ways = f"{self.ways:,}" if self.ways < 10**12 else f"about 10^{int(math.log10(self.ways))}"
        lines = [f"The gradient of {printable(self.name)} {shape_text(np.shape(self.gradient))}".rstrip() + ":"]
        lines.append(f"  {amount(self.gradient)}")
        lines.append(f"  {percent(1.0)} in {len(self.uses):,} use{'s' * (len(self.uses) != 1)}, {ways} ways")
        ranked = sorted(range(len(self.uses)), key=lambda k: -norm_of(self.uses[k].value))[:SHOWN]
        for use in [self.uses[k] for k in sorted(ranked)]:
            count = f"{use.ways:,}" if use.ways < 10**12 else f"10^{int(math.log10(use.ways))}"
            lines.append(f"  {percent(use.fraction)}  {use.call}, argument {use.argument}, {use.where}; {count} ways")
            parts = fractions(use.positions or (), self.gradient)
            order = sorted(range(len(parts)), key=lambda k: -abs(parts[k]))[:SHOWN]
            for k in sorted(order):
                label = f" {printable(self.labels[k])}" if k < len(self.labels) else ""
                lines.append(f"    {percent(parts[k])}  position {k}{label}")
            if len(parts) > SHOWN:
                lines.append(f"    {percent(sum(parts) - sum(parts[k] for k in order))}  {len(parts) - SHOWN} others")
        if len(self.uses) > SHOWN:
            lines.append(f"  and {len(self.uses) - SHOWN:,} uses more, which send less")
        shown = self.strongest
        if len(shown) > SHOWN:
            shown = (*shown[: SHOWN // 2], f"… {len(shown) - SHOWN} more …", *shown[-SHOWN // 2 :])
        part = f"{self.part:.3g}" if self.part else f"10^{self.log_part / math.log(10):.1f}"
        lines.append(f"  The strongest way, {part} of it all:")
        lines += textwrap.wrap(" ← ".join(shown), 110, initial_indent="    ", subsequent_indent="    ")
        return "\n".join(lines) + "\n"


def contributions(
    output: Tensor,
    weight: Tensor,
    gradient: Any = None,
    axis: int | None = None,
    labels: Sequence[str] = (),
) -> Contributions:
    """What the gradient of `weight` is made of: its uses, the positions of each, the ways from the output.

    output, gradient: as for backward(); nothing is changed. weight: a tensor that output depends on, leaf or not.
    axis: cut each use's share along this axis of the operation's result, as 1 for the tokens of (batch, time, width):
    an embedding's gradient by the place that looked it up, a weight's by the token it was multiplied with. labels: a
    word for each position, for `str()`.
    Linear in the nodes; print the result, or read its fields.
    Raises NotTrackedError where output does not depend on weight, and what backward() would.
    """
    if output._node is None or weight._node is None:
        what = "output" if output._node is None else "weight"
        raise NotTrackedError(f"the {what} is not on any graph: it requires no gradient. Called {user_location()}")
    if axis is not None and isinstance(axis, bool):
        raise ShapeError(f"axis={axis}: name an axis by its number. Called {user_location()}")
    told: list[tuple[Node, int, Any, Any]] = []
    seed = cotangent_of(output, gradient)
    target = weight._node

    def tell(node: Node, place: int, g: Any, made: Any, share: Any, held: Any) -> None:
        told.append((node, place, g, share))

    # No cotangent is asked for by name, so that the pass is that of backward(); the weight's is the sum of its shares.
    reverse({output._node: seed}, tell=tell)
    ways, best = walked(output._node, told)
    if target not in ways:
        which = f"{weight.name or 'the weight'} {list(weight.shape)}"
        raise NotTrackedError(f"the output does not depend on {which}. Called {user_location()}")
    mine = [(node, place, g, share) for node, place, g, share in told if node.sources[place] is target]
    way = strongest(target, output._node, best)
    part = None
    if has_over(output._node, LARGE):
        part = sorted({*way, *(node for node, *_ in mine)}, key=attrgetter("number"))
    view, numbers = numbered(output, part=part)
    calls = calls_of(view)
    total = sum_of([share for *_, share in mine]) if mine else seed
    found = fractions([share for *_, share in mine], total)
    uses = []
    for (node, place, g, share), fraction in zip(mine, found, strict=True):
        argument = argument_name(node, node.plan.pullbacks[place][0])
        about = view.nodes[numbers[node]]
        where = " ".join([printable(about.where or ""), *([f"in {printable(about.scope)}"] if about.scope else [])])
        cut = None if axis is None else pieces(node, place, g, axis)
        uses.append(Use(numbers[node], calls[numbers[node]], argument, where.strip(), share, fraction, ways[node], cut))
    log_part = best[target][0] if target in best else 0.0
    name = weight.name or calls[numbers[target]]
    return Contributions(
        name, total, tuple(uses), ways[target], tuple(calls[numbers[node]] for node in way), log_part, tuple(labels)
    )


def walked(
    output: Node, told: list[tuple[Node, int, Any, Any]]
) -> tuple[dict[Node, int], dict[Node, tuple[float, Node]]]:
    """How many ways lead to each node; and the best one's last step: (log of its part, who sent the share).

    A node has its turn after all shares for it came in, so whatever is known of it by then is all there is.
    """
    sums: dict[Node, list[tuple[float, Node]]] = {}
    for node, place, _, share in told:
        sums.setdefault(node.sources[place], []).append((norm_of(share), node))
    ways = {output: 1}
    logs = {output: 0.0}
    best: dict[Node, tuple[float, Node]] = {}

    def settle(node: Node) -> None:
        if node in ways:
            return
        ways[node] = sum(ways[giver] for _, giver in sums[node])
        steps = [(logs[giver] + log, giver) for log, giver in odds(sums[node])]
        best[node] = max(steps, key=lambda step: step[0])
        logs[node] = best[node][0]

    for node in (*(node for node, *_ in told), *sums):  # in turn; then the leaves, which have none
        settle(node)
    return ways, best


def odds(sent: list[tuple[float, Node]]) -> list[tuple[float, Node]]:
    """The logarithm of each share's part in all that arrived. What is not finite outweighs what is."""
    infinite = [not math.isfinite(norm) for norm, _ in sent]
    sizes = [float(each) for each in infinite] if any(infinite) else [norm for norm, _ in sent]
    largest = max(sizes)
    if not largest:  # nothing at all arrived
        return [(-math.inf, giver) for _, giver in sent]
    whole = math.fsum(size / largest for size in sizes)
    return [
        (math.log(size / largest / whole) if size / largest else -math.inf, giver)
        for size, (_, giver) in zip(sizes, sent, strict=True)
    ]


def strongest(target: Node, output: Node, best: dict[Node, tuple[float, Node]]) -> list[Node]:
    """The nodes of the best way, from the output down to the weight."""
    way = [target]
    while way[-1] is not output:
        way.append(best[way[-1]][1])
    return way[::-1]


def sum_of(shares: list[Any]) -> Any:
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    return total


def fractions(parts: Sequence[Any], whole: Any) -> list[float]:
    """How much of `whole` each part is, along it; together 1. Of a gradient of zero nothing is a part."""
    wide = np.asarray(whole, np.float64)
    largest = float(np.max(np.abs(wide), initial=0.0))
    if not largest or not math.isfinite(largest):
        return [math.nan] * len(parts)
    wide = wide / largest
    square = float(np.sum(wide * wide))
    return [float(np.sum(np.asarray(part, np.float64) / largest * wide)) / square for part in parts]


def pieces(node: Node, place: int, g: Any, axis: int) -> tuple[Any, ...] | None:
    """The share of one use, cut: the rule is linear in g, so it is given one position of it at a time."""
    if isinstance(g, tuple) or not -np.ndim(g) <= axis < np.ndim(g):
        return None
    argument, rule, needs = node.plan.pullbacks[place]
    kept = [node.saved[k] for k in needs] if node.saved is not None else []
    found = []
    with np.errstate(all="ignore"):
        for k in range(g.shape[axis]):
            index = [slice(None)] * g.ndim
            index[axis] = slice(k, k + 1)
            only = np.zeros_like(g)
            only[tuple(index)] = g[tuple(index)]
            found.append(fitted(rule(only, *kept), node.sources[place], node, argument))
    return tuple(found)


def percent(part: float) -> str:
    return f"{100 * part:7.1f} %" if math.isfinite(part) else "      – %"

