"""One run of a subject, recorded; and its operations as suspects: what each argument of theirs is called, which rule
differentiates it, and what the rule gives when something in it is exchanged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable
from tinygrad_edu.forms import Form, elements, form_of
from tinygrad_edu.graph import Node, Pick
from tinygrad_edu.operation import Primitive, sequence_plan
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.alone import evened, is_for_symmetric
from tinygrad_edu.testing.subject import Arrays, Subject
from tinygrad_edu.testing.trace import Step, recorded
from tinygrad_edu.tree import flatten

__all__ = ["Run", "Suspect", "summed_to"]


class Run:
    """f ran once on tracked Tensors. nodes: of the graph behind its outputs, by number; steps: all that ran."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.leaves = [
            Tensor(x, requires_grad=True, name=path) for x, path in zip(subject.arrays, subject.paths, strict=True)
        ]
        with recorded() as steps:
            value = subject.f(*subject.arguments(self.leaves))
        self.steps = steps
        self.outputs = flatten(value)[0]
        self.roots = [y for y in self.outputs if isinstance(y, Tensor) and y._node is not None]
        found = reachable(dict.fromkeys(y._node for y in self.roots if y._node is not None))
        self.nodes = {node.number: node for node in found}
        self.ran = {step.number: step for step in steps if self.is_of(step)}

    def is_of(self, step: Step) -> bool:
        node = self.nodes.get(step.number)
        return node is not None and node.operation is step.operation

    @property
    def opaque(self) -> list[Node]:
        """Nodes that stand for more than one operation: checkpoints."""
        return [
            node for number, node in self.nodes.items()
            if node.plan is not None and number not in self.ran and not isinstance(node.operation, Pick)
        ]  # fmt: skip

    def suspects(self) -> Iterator[Step]:
        """Operations with rules on the way of the gradient, from the output on; those inside checkpoints come last."""
        inside = [step for step in self.steps if not self.is_of(step)] if self.opaque else []
        for step in [*reversed([step for step in self.steps if self.is_of(step)]), *reversed(inside)]:
            if isinstance(step.operation, Primitive):
                yield step

    def root_of(self, node: Node) -> Tensor:
        """The output that the node leads to."""
        for output in self.roots:
            if output._node is not None and node in reachable([output._node]):
                return output
        return self.roots[0]

    def leaf(self, path: str) -> Node | None:
        return next((x._node for x in self.leaves if x._node is not None and x._node.name == path), None)


class Suspect:
    """One argument of one operation. element: its place among the operands; path: what a subject calls it."""

    def __init__(self, step: Step, path: str) -> None:
        self.step, self.operation = step, step.operation
        operation: Any = step.operation
        numbers = [int(number) for number in re.findall(r"\[(\d+)\]", path)]
        self.rule: Callable[..., Any]
        if operation.sequence is None:
            self.element = numbers[0]
            self.name = str(operation.parameters[self.element])
            self.rule = operation.rules[self.element]
        else:
            place = operation.parameters.index(operation.sequence)
            self.element = numbers[1] if len(numbers) > 1 else numbers[0] - place
            self.name = f"{operation.sequence}[{self.element}]"
            self.rule = next(rule for rule in operation.rules if rule is not None)

    def call(self, subject: Subject) -> tuple[Any, list[str], list[Any], dict[str, Any]]:
        """How the rule is called: the output, the names it asks for, their values, and what else is known."""
        operation: Any = self.operation
        args, known = tuple(subject.arguments(subject.arrays)), {}
        if operation.sequence is None:
            args = (*args, *self.step.args[len(operation.rules) :])
            known = {name: a for name, a in zip(operation.parameters, args, strict=False) if is_number(a)}
        z = operation.function(*args, **self.step.keywords)
        form, plan = self.form_and_plan()
        kept = [pick(args, self.step.keywords, z) for pick in form.picks_for(plan)]
        needs = plan.pullbacks[0][2]
        return z, [plan.names[place] for place in needs], [kept[place] for place in needs], {**known, "z": z}

    def form_and_plan(self) -> tuple[Form, Any]:
        """The form of the call, and the plan for this one argument."""
        operation: Any = self.operation
        form = form_of(operation, len(self.step.args), tuple(self.step.keywords))
        if operation.sequence is None:
            return form, operation.plan(1 << self.element)
        count = len(elements(self.step.args, form.place))
        return form, sequence_plan(operation, 1 << self.element, count)

    def share(self, subject: Subject, g: Any, values: list[Any]) -> np.ndarray:
        """What the rule gives, called directly: no engine in between."""
        found = np.asarray(self.form_and_plan()[1].pullbacks[0][1](g, *values))
        if is_for_symmetric(self.operation, self.element):
            found = evened(found)
        return summed_to(found, subject.arrays[self.place_in(subject)].shape)

    def answers_for(self, subject: Subject, weights: Arrays, claimed: np.ndarray) -> bool:
        """Is the rule's own result what the engine made of it? If not, it is not the rule that is to blame."""
        try:
            z, _, values, _ = self.call(subject)
            parts: list[Any] = [weights[0][()]]
            if isinstance(z, tuple):  # several outputs are pulled back one by one
                parts = [tuple((w * (j == k))[()] for j, w in enumerate(weights)) for k in range(len(weights))]
            shares = [self.share(subject, part, values) for part in parts]
        except Exception:  # no second opinion to be had
            return True
        close = 1e-9 if all(share.dtype == np.float64 for share in shares) else 1e-5
        return np.allclose(np.sum(shares, axis=0), claimed, rtol=close, atol=1e-12, equal_nan=True)

    def variants(self, subject: Subject, weights: Arrays) -> dict[str, Any]:
        """What the rule gives with something else in the place of an argument, an axis, the output, by a sentence."""
        z, names, values, known = self.call(subject)
        found: dict[str, Any] = {}
        if isinstance(z, tuple):
            return found
        for sentence, instead, given in exchanges(weights[0][()], names, values, known):
            try:
                found[sentence] = self.share(subject, instead, given)
            except Exception:  # what does not fit is no explanation
                continue
        return found

    def place_in(self, subject: Subject) -> int:
        return [Suspect(self.step, path).element for path in subject.paths].index(self.element)


def exchanges(
    g: Any, names: list[str], values: list[Any], known: dict[str, Any]
) -> Iterator[tuple[str, Any, list[Any]]]:
    """(sentence, g, values): one thing in another's place, in the call rule(g, *values)."""
    for k, (name, value) in enumerate(zip(names, values, strict=True)):
        for other, instead in others(name, value, known):
            given = list(values)
            given[k] = instead
            yield f"it uses {shown(name, value)} where {other} belongs", g, given
    if getattr(g, "ndim", 0) > 1:
        yield "it uses g where g.T belongs", np.swapaxes(g, -1, -2), values


def shown(name: str, value: Any) -> str:
    if name == "z":
        return "the output z"
    return name if isinstance(value, np.ndarray | float | np.generic) else f"{name}={value}"


def others(name: str, value: Any, known: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What may belong in the place of a value."""
    if is_number(value):
        for other, instead in known.items():
            if other != name and np.shape(instead) == np.shape(value):
                yield shown(other, instead), instead
        if np.ndim(value) > 1:
            yield f"{name}.T", np.swapaxes(value, -1, -2)
        return
    if name in ("axis", "axes", "dim") and (value is None or isinstance(value, int)):
        dims = max((np.ndim(each) for each in known.values()), default=0)
        for axis in [*range(dims), None]:
            if axis != value:
                yield f"{name}={axis}", axis
    elif isinstance(value, int) and not isinstance(value, bool) and value:
        yield f"{name}={-value}", -value
    elif isinstance(value, tuple) and value and set(map(repr, value)) == set(map(repr, range(len(value)))):
        back = tuple(int(k) for k in np.argsort(value))
        yield f"{name}={back}, the inverse,", back


def is_number(value: Any) -> bool:
    return isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def summed_to(share: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A share summed over the axes along which its argument was repeated; written again, as a second opinion."""
    if share.shape == shape:
        return share
    share = np.broadcast_to(share, np.broadcast_shapes(share.shape, shape))
    while share.ndim > len(shape):
        share = share.sum(0)
    for axis, size in enumerate(shape):
        if size == 1 != share.shape[axis]:
            share = share.sum(axis, keepdims=True)
    return share
