"""Where every rule is right by itself: how their shares are put together.

The steps of a recorded run can be taken again from any value on, so the cotangent of every value is known numerically
too. The newest that the engine gets wrong is where the fault is: all that it was made from is right. And where the
engine is right about the graph, the graph is not all of the function: something went round it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.explaining import explain, shares
from tinygrad_edu.forms import elements, form_of
from tinygrad_edu.graph import Fixed, Node, Pick, node_location
from tinygrad_edu.numerics.ladder import ODD
from tinygrad_edu.tensor import Tensor, lift
from tinygrad_edu.testing.alone import evened, is_for_symmetric
from tinygrad_edu.testing.pointing import label_of, picture
from tinygrad_edu.testing.subject import Arrays, is_float
from tinygrad_edu.testing.suspects import Run, summed_to
from tinygrad_edu.testing.trace import Step, recorded
from tinygrad_edu.transforms import gradients

__all__ = ["Tape", "wiring"]

BUDGET = 50_000  # operations that are run again, at most
CLOSE = 1e-6
STEP = ODD * 2.0**-10


class OpaqueError(Exception):
    """A node stands for several operations, and cannot be run again from its inputs."""


def wiring(run: Run, weights: Arrays, start: Node | None, seed: int) -> tuple[str, str]:
    healthy = "Every rule is right by itself"
    if not run.roots:
        return f"{healthy}, but the output depends on no input: {unconnected(run)}", ""
    tape = Tape(run, weights)
    found = tape.cotangents()
    rng = np.random.default_rng(seed)
    for number in sorted(run.nodes, reverse=True):
        node = run.nodes[number]
        if node not in found:
            continue
        try:
            wrong = tape.is_wrong(node, found[node], rng)
        except OpaqueError as hidden:
            return f"{healthy}, and so are the cotangents that reach {hidden}; what it hands on is not.", ""
        said = tape.told(node, found) if wrong else ""
        if said:
            graph, dot = picture(run, node, start)
            return f"{healthy}; their shares are put together wrongly. {said}\n{graph}", dot
        if tape.spent > BUDGET:
            return f"{healthy}. The graph is too large to follow the cotangents through it.", ""
    return around(run, healthy, found, weights, start)


def unconnected(run: Run) -> str:
    output = next((y for y in run.outputs if isinstance(y, Tensor)), None)
    return "it is no Tensor" if output is None else explain(run.leaves[0], output)


def around(
    run: Run, healthy: str, found: Mapping[Node, Any], weights: Arrays, start: Node | None
) -> tuple[str, str]:
    """The graph is differentiated rightly: then something goes round it, or is done to the result."""
    for k in run.subject.wanted:
        for sentence, step in cuts(run, k):
            graph, dot = picture(run, run.nodes[step.number], start)
            return "\n".join([f"{healthy}; the gradient is cut. {sentence}", graph]), dot
    given = run.subject.gradients(run.subject.arrays, weights)
    for leaf, path, g in zip(run.leaves, run.subject.paths, given, strict=True):
        traced = found.get(leaf._node, np.zeros(g.shape))  # type: ignore[arg-type]
        if not close(traced, g):
            return f"{healthy}, and the gradient that reaches {path} is right, but not what the pullback returns.", ""
    return f"{healthy}, and their shares are put together rightly, as far as can be told.", ""


def cuts(run: Run, k: int) -> Iterator[tuple[str, Step]]:
    """Arguments that change with an input, although no gradient flows back from them."""
    x = run.subject.arrays[k]
    moved = list(run.subject.arrays)
    moved[k] = x + STEP * (1.0 + np.abs(x)) * np.where(np.arange(x.size).reshape(x.shape) % 2, 0.7, 1.0)
    with recorded() as steps:
        run.subject.f(*run.subject.arguments([Tensor(a, requires_grad=True) for a in moved]))
    if [step.operation for step in steps] != [step.operation for step in run.steps]:
        return
    for before, after in zip(run.steps, steps, strict=True):
        if not run.is_of(before):
            continue
        node = run.nodes[before.number]
        for place, (old, new) in enumerate(zip(operands(before), operands(after), strict=True)):
            if place not in node.plan.tracked and is_float(old) and not np.array_equal(old, new, equal_nan=True):
                source = node.inputs[place]
                cut = source.cut if isinstance(source, Fixed) else None
                why = f"it was cut off by {cut}" if cut else "it came in as a plain array"
                name = node.operation.parameters[min(place, len(node.operation.parameters) - 1)]
                yield (
                    f"The argument {name} of {node.label}, {node_location(node)}, depends on {run.subject.paths[k]}, "
                    f"but no gradient flows back from it: {why}."
                ), before


def operands(step: Step) -> Sequence[Any]:
    operation: Any = step.operation
    if operation.sequence is None:
        return step.args[: len(operation.rules)]
    return list(elements(step.args, form_of(operation, len(step.args), tuple(step.keywords)).place))


class Tape:
    """A run that can be taken again from any of its values on."""

    def __init__(self, run: Run, weights: Arrays) -> None:
        self.run, self.spent = run, 0
        tracked = {id(y): y._node for y in run.roots if y._node is not None}
        pairs = zip(run.outputs, weights, strict=True)
        self.weights = {tracked[id(y)]: w for y, w in pairs if id(y) in tracked}
        self.values: dict[Node, Any] = {x._node: x._value for x in run.leaves if x._node is not None}
        self.consumers: dict[Node, list[Node]] = {}
        for number in sorted(run.nodes):
            node = run.nodes[number]
            for source in dict.fromkeys(node.sources):
                self.consumers.setdefault(source, []).append(node)
            if node.plan is not None and isinstance(node.operation, Pick):
                if node.sources[0] in self.values:
                    self.values[node] = self.values[node.sources[0]][node.operation.index]
            elif number in run.ran:
                self.values[node] = run.ran[number].value
        self.magnitude = 0.0  # Σ |w y|
        for y in run.roots:
            self.magnitude += float(np.sum(np.abs(self.weights[y._node] * y._value)))  # type: ignore[index]
        self.values.update({y._node: y._value for y in run.roots if y._node is not None})

    def cotangents(self) -> dict[Node, Any]:
        """What the engine's own pass gives each value, over all outputs."""
        known = [node for node in self.run.nodes.values() if node in self.values]
        singles = [node for node in known if not isinstance(node.dtype, tuple)]
        targets = [lift(self.values[node], node) for node in singles]
        total: dict[Node, Any] = {}
        for output in self.run.roots:
            seed = np.asarray(self.weights[output._node], output.dtype)[()]  # type: ignore[index]
            for node, g in zip(singles, gradients(output, targets, seed, allow_unused=True), strict=True):
                share = np.zeros(node.shape) if g is None else np.asarray(g._value)
                total[node] = total[node] + share if node in total else share
        return total

    def again(self, node: Node, value: Any) -> float:
        """⟨w, outputs⟩ with another value at one node."""
        changed = {node: value}
        for number in sorted(number for number in self.run.nodes if number > node.number):
            each = self.run.nodes[number]
            if each.plan is None or changed.keys().isdisjoint(each.sources):
                continue
            self.spent += 1
            if isinstance(each.operation, Pick):
                changed[each] = changed[each.sources[0]][each.operation.index]
                continue
            if number not in self.run.ran:
                raise OpaqueError(f"{each.label}, {node_location(each)}")
            changed[each] = taken_again(self.run.ran[number], each, changed)
        moved = [(w, root) for root, w in self.weights.items() if root in changed]
        return float(sum(np.sum(w * (changed[root] - self.values[root])) for w, root in moved))

    def is_wrong(self, node: Node, g: Any, rng: np.random.Generator) -> bool:
        """Along two directions: does the cotangent differ from what differences say?"""
        value = np.asarray(self.values[node])
        if value.dtype.kind != "f" or not value.size or not np.isfinite(value).all():
            return False
        if not np.isfinite(g).all():
            return True
        size = float(np.max(np.abs(value))) or 1.0
        for _ in range(2):
            v = rng.standard_normal(value.shape)
            if self.differs(node, value, v, size, float(np.sum(g * v)), float(np.sum(np.abs(g * v)))):
                return True
        return False

    def differs(self, node: Node, value: Any, v: Any, size: float, claimed: float, scale: float) -> bool:
        for step in (STEP * size, STEP * size / 16.0):  # a kink may be close
            slopes = [
                (self.again(node, (value + h * v)[()]) - self.again(node, (value - h * v)[()])) / (2.0 * h)
                for h in (step, step / 2.0, step / 4.0)
            ]
            coarse, fine = (4.0 * slopes[1] - slopes[0]) / 3.0, (4.0 * slopes[2] - slopes[1]) / 3.0
            found = (16.0 * fine - coarse) / 15.0
            rounding = 2.0**-50 * (self.magnitude + scale * size) / step
            slack = CLOSE * max(abs(found), scale) + 4.0 * abs(found - fine) + rounding
            if not abs(claimed - found) > slack:
                return False
        return True

    def told(self, node: Node, found: Mapping[Node, Any]) -> str:
        """What the value is, who uses it, what became of their shares; "" if they were added rightly after all."""
        name = node.name if node.plan is None else f"{node.label} {node_location(node)}"
        what = f"The first that is wrong is the cotangent of {name} {tuple(node.shape)}"
        links = list(self.links(node, found))
        users = ", ".join(dict.fromkeys(f"{label_of(each)} {node_location(each)}" for each, _ in links))
        own = self.weights.get(node)
        if not links:
            return f"{what}, the output itself: the pass does not start from the cotangent that it was given."
        if any(share is None for _, share in links):
            return f"{what}, which goes into {users}."
        reason = putting_together(found[node], [(label_of(each), share) for each, share in links], own, node.shape)
        if not reason:
            return ""
        return f"{what}; the cotangents of what uses it are right ({users}). {reason}"

    def links(self, node: Node, found: Mapping[Node, Any]) -> Iterator[tuple[Node, Any]]:
        """Each use of a value, newest first, and the share that its rule gives; None where that is not to be had."""
        for each in sorted(self.consumers.get(node, ()), key=lambda n: -n.number):
            if each not in found or isinstance(each.operation, Pick) or each.saved is None:
                yield each, None
                continue
            place = -1
            for (_, share), source in zip(shares(each, found[each]), each.sources, strict=True):
                place += 1
                if source is node:
                    yield each, np.asarray(share, np.float64)


def taken_again(step: Step, node: Node, changed: Mapping[Node, Any]) -> Any:
    operation: Any = step.operation
    args = list(operands(step))
    for place, source in zip(node.plan.tracked, node.sources, strict=True):
        if source in changed:
            made = changed[source]
            args[place] = evened(made) if is_for_symmetric(operation, place) else made
    if operation.sequence is None:
        raw: tuple[Any, ...] = (*args, *step.args[len(args) :])
    else:
        form = form_of(operation, len(step.args), tuple(step.keywords))
        raw = form.with_elements(step.args, args)
    with np.errstate(all="ignore"):
        return operation.function(*raw, **step.keywords)


def putting_together(g: Any, shares: Sequence[tuple[str, Any]], own: Any, shape: tuple[int, ...]) -> str:
    """How the shares became what they are, in words; "" where that is their sum."""
    right = [summed_to(share, shape) for _, share in shares]
    names = [name for name, _ in shares]
    if own is not None:
        right.append(np.asarray(own, np.float64))
        names.append("the output's own cotangent")
    total = np.sum(right, axis=0)
    if len(right) > 1:
        for name, share in zip(names, right, strict=True):
            if close(g, share):
                return f"Of {len(right)} shares only that of {name} is there: it overwrites the others."
        for name, share in zip(names, right, strict=True):
            if close(g, total - share):
                return f"The share of {name} is missing."
            if close(g, total + share):
                return f"The share of {name} is counted twice."
        if close(g, total / len(right)):
            return "The shares are averaged, where they must be added."
    elif shares and shares[0][1].shape != shape:
        return broadcast_back(g, *shares[0], shape)
    size = float(np.sum(total * total))
    factor = float(np.sum(g * total)) / size if size else 0.0
    if not np.any(g):
        return "Nothing arrives: it is zero."
    if close(g, total):
        return ""
    if factor and close(g, factor * total):
        return f"It is {factor:.6g} times the sum of their shares."
    return "It is not the sum of their shares."


def broadcast_back(g: Any, name: str, share: np.ndarray, shape: tuple[int, ...]) -> str:
    """What was done with the share of an argument that had been broadcast."""
    wide = np.broadcast_to(share, np.broadcast_shapes(share.shape, shape))
    inner = wide.ndim - len(shape)
    axes = tuple(a for a in range(wide.ndim) if a < inner or wide.shape[a] != shape[a - inner])
    said = f"The argument was broadcast: the share of {name}, {share.shape}, has to be summed over "
    said += f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"

    def one(which: slice) -> np.ndarray:
        return wide[tuple(which if a in axes else slice(None) for a in range(wide.ndim))]

    for how, made in (
        ("it is averaged", wide.mean(axes)), ("its largest element is taken", wide.max(axes)),
        ("only the first of it is there", one(slice(0, 1))), ("only the last of it is there", one(slice(-1, None))),
    ):  # fmt: skip
        if close(g, made.reshape(shape)):
            return f"{said}; {how}."
    return f"{said}; what is there is something else."


def close(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    size = max(float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))), 1e-12)
    return a.shape == b.shape and np.allclose(a, b, rtol=0.0, atol=CLOSE * size, equal_nan=True)
