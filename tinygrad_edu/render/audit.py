"""An audit: each operation of a graph, coloured by how far its rule is from finite differences.

The function runs once, watched. Then each operation alone is judged: its rule's share of a drawn cotangent, in a drawn
direction, against differences of the operation itself. An error is found where it is made, and not where it arrives.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.backward import reachable, unbroadcast
from tinygrad_edu.forms import form_of
from tinygrad_edu.graph import STATE, Node, next_number
from tinygrad_edu.numerics import Estimate, directional_derivative
from tinygrad_edu.operation import Primitive
from tinygrad_edu.render.dot import dot_of
from tinygrad_edu.render.layout import bundle, laid_out
from tinygrad_edu.render.palette import THEMES, mixed
from tinygrad_edu.render.plain import View
from tinygrad_edu.render.run import named_inputs
from tinygrad_edu.render.shown import Drawn, Format, Image
from tinygrad_edu.render.view import numbered
from tinygrad_edu.tensor import Tensor

__all__ = ["Audit", "Judged", "audit"]

VAGUE = 1e-3  # of the value: an error bar above it tells nothing


class Judged(NamedTuple):
    """One argument of one operation. error: relative to the measured derivative; NaN where that could not be told."""

    number: int
    operation: str
    argument: int
    claimed: float
    measured: Estimate
    error: float

    def __str__(self) -> str:
        told = "not to be told" if math.isnan(self.error) else f"off by {self.error:.1e}"
        return f"node {self.number}, {self.operation}, argument {self.argument + 1}: {told}"


class Audit(NamedTuple):
    """judged: every rule that ran, in the order of the forward pass. view: the graph that its numbers refer to."""

    judged: tuple[Judged, ...]
    view: View

    @property
    def worst(self) -> Judged | None:
        """The rule that is off the most."""
        known = [one for one in self.judged if not math.isnan(one.error)]
        return max(known, key=lambda one: one.error, default=None)

    def errors(self) -> dict[int, float]:
        """Node → the largest error of its rules."""
        found: dict[int, float] = {}
        for one in self.judged:
            if not math.isnan(one.error):
                found[one.number] = max(found.get(one.number, 0.0), one.error)
        return found

    @property
    def text(self) -> str:
        return "\n".join(str(one) for one in sorted(self.judged, key=lambda one: -np.nan_to_num(one.error)))

    def __str__(self) -> str:
        return self.text

    def draw(self, format: Format = "svg") -> Drawn | Image:
        """The graph; pale where the rule agrees with differences to ten digits, strong where to none."""
        if format == "text":
            return Drawn(self.text + "\n", "text")
        low, high = THEMES["light"].heat
        shares = {k: min(1.0, max(0.0, 1 + math.log10(max(e, 1e-16)) / 10)) for k, e in self.errors().items()}
        note = "Colour: relative error of the rule against finite differences, 1e-10 (pale) to 1 (strong)."
        fills = {number: mixed(low, high, share) for number, share in shares.items()}
        dot = dot_of(self.view._replace(notes=(*self.view.notes, note)), fills=fills)
        return laid_out(dot, format)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self)


def audit(f: Callable[..., Any], *inputs: Any, seed: int = 0) -> Audit:
    """Run f(*inputs), and hold the rule of each of its operations to finite differences of that operation.

        audit(layer, x).draw()

    f: a function or module that returns a Tensor; its float arrays become tensors under its arguments' names.
    """
    events: list[tuple[int, Primitive, tuple[Any, ...], dict[str, Any]]] = []

    def watch(operation: Any, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        events.append((next_number(), operation, args, keywords))

    token = STATE.set(STATE.get().but(recording=True, watch=watch))
    try:
        output = f(*named_inputs(f, inputs))
    finally:
        STATE.reset(token)
    output = output[0] if isinstance(output, tuple) else output
    if not isinstance(output, Tensor) or output._node is None:
        raise TypeError(f"audit: the function returned {type(output).__name__}, and no Tensor that wants a gradient")
    view, numbers = numbered(output)
    starts = [event[0] for event in events]
    rng = np.random.default_rng(seed)
    judged: list[Judged] = []
    for node in reachable([output._node]):
        place = bisect.bisect(starts, node.number) - 1
        if node.plan is None or place < 0 or events[place][1] is not node.operation or isinstance(node.dtype, tuple):
            continue
        _, operation, args, keywords = events[place]
        judged += judged_alone(node, numbers[node], operation, args, keywords, rng)
    return Audit(tuple(judged), view)


def judged_alone(
    node: Node, number: int, operation: Primitive, args: tuple[Any, ...], keywords: dict[str, Any],
    rng: np.random.Generator,
) -> list[Judged]:  # fmt: skip
    """The rules of one node, with a cotangent and a direction that are drawn."""
    sequence = operation.sequence is not None
    at = form_of(operation, len(args), tuple(keywords)).place if sequence else 0
    packed = sequence and isinstance(args[at], list | tuple)
    operands = list(args[at]) if packed else list(args[at:]) if sequence else list(args)
    g = rng.normal(size=node.shape).astype(node.dtype)[()]
    found = []
    for place, (argument, rule, needs) in enumerate(node.plan.pullbacks):
        source = node.sources[place]
        with np.errstate(all="ignore"):
            share = rule(g, *[(node.saved or ())[k] for k in needs])
        share = unbroadcast(share, source.shape) if operation.broadcasts else share
        direction = rng.normal(size=source.shape)

        def alone(x: np.ndarray, argument: int = argument) -> Any:
            changed = [*operands[:argument], x, *operands[argument + 1 :]]
            given = (*args[:at], changed) if packed else (*args[:at], *changed)
            rest = args[at + 1 :] if packed else ()
            return operation.function(*given, *rest, **keywords)

        x = np.asarray(operands[argument], np.float64)
        measured = directional_derivative(alone, [x], [direction], np.asarray(g, np.float64))
        claimed = float(np.sum(np.asarray(share, np.float64) * direction))
        scale = max(abs(measured.value), float(np.max(np.abs(g), initial=0.0)) * 1e-3, 1e-300)
        known = np.isfinite(measured.value) and measured.error <= VAGUE * scale
        error = max(0.0, abs(claimed - measured.value) - measured.error) / scale if known else math.nan
        found.append(Judged(number, node.label, argument, claimed, measured, error))
    return found
