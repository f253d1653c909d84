"""The tape: what a function did, written down as steps while it ran, so that they can be done again.

Every operation on Tensors is told of when it has run, every share of a backward pass, and every number that Python
asked a Tensor for. An array is known by its identity: what an earlier step made, what came as an argument, what a
Tensor outside holds. All else is a constant.

What cannot be done again (item(), new weights, a gradient that is itself a graph) makes the tape useless, and it says
why; the function goes on as if nobody had recorded it.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign
from tinygrad_edu.backward import fitted_as, of_selected
from tinygrad_edu.graph import Node, Pick, next_number, user_location
from tinygrad_edu.seals import fingerprint
from tinygrad_edu.tape.steps import Deposit, Step, Value, added, as_scalar, asked, refuse_nan, uniform, values_in
from tinygrad_edu.tensor import Tensor, lift
from tinygrad_edu.variable import Variable

__all__ = ["Tape"]


FIXED = ("constant", "settled")
PLAIN = (bool, int, float, str, type(None), np.dtype, type)


class Tape:
    """steps, and what they start from and end in: arguments, tensors, outputs, deposits.

    failed: why what happened cannot be done again; "" if it can.
    """

    def __init__(self, arguments: list[Tensor]) -> None:
        self.failed = ""
        self.steps: list[Step] = []
        self.values: list[Value] = []
        self.deposited: list[Deposit] = []
        self.outputs: list[Any] = []
        self.generators: list[tuple[np.random.Generator, Any]] = []  # and how they stood before
        self.known: dict[int, tuple[Any, Value]] = {}
        self.leaves: dict[Node, Value] = {}
        self.cotangents: dict[Node, Any] = {}
        self.finished: dict[Node, Any] = {}
        self.chosen: set[Node] = set()
        self.aliases: list[tuple[Any, Value]] = []  # other Tensors that held a Tensor's array
        self.mood = np.geterr(), warnings.filters
        self.start = next_number()
        for place, tensor in enumerate(arguments):
            value = self.value("argument", place, tensor._value)
            if tensor._node is not None:
                self.leaves[tensor._node] = value

    def fail(self, what: str) -> None:
        self.failed = self.failed or f"{what} {user_location()}"

    # Arrays, by identity

    def value(self, kind: str, held: Any, array: Any) -> Value:
        value = Value(len(self.values), kind, held, array)
        self.values.append(value)
        self.enter(array, value)
        return value

    def enter(self, array: Any, value: Value) -> None:
        """From now on this array is that value. A weak reference: what nobody needs any more may go."""
        self.known[id(array)] = (weakref.ref(array) if type(array) is np.ndarray else lambda: array), value

    def find(self, array: Any) -> Value | None:
        held, value = self.known.get(id(array), (None, None))
        return value if held is not None and held() is array else None

    def meet(self, given: Any) -> None:
        """A Tensor that an operation was given: if it is from outside, it will be read again each time."""
        if isinstance(given, list | tuple):
            for each in given:
                self.meet(each)
        elif isinstance(given, Variable):
            node = given._node
            value = self.find(given._value)
            if value is None:
                if node is not None and node.plan is not None:
                    return self.fail("a Tensor that was computed outside, and wants a gradient,")
                value = self.value("tensor", given, given._value)
                value.leaf = node
            elif value.kind == "constant":
                return self.fail("a Tensor, whose array came in without it, too,")
            elif value.kind == "tensor" and value.held is not given:
                self.aliases.append((weakref.ref(given), value))
                if node is not None and value.leaf is None:  # w after its w.detach(): both hold one array
                    self.aliases.append((weakref.ref(value.held), value))
                    value.held, value.leaf = given, node
            if node is not None and node.plan is None and node.number < self.start:
                if self.leaves.setdefault(node, value).kind != value.kind:
                    self.fail("one tensor in two places, as an argument and from outside,")
        return None

    def expressed(self, tree: Any) -> Any:
        """A step's arguments, with Values in the places of arrays."""
        if isinstance(tree, np.ndarray | np.generic):
            return self.find(tree) or self.value("constant", tree, tree)
        if isinstance(tree, list | tuple):
            parts = [self.expressed(part) for part in tree]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        if isinstance(tree, dict):
            return {name: self.expressed(part) for name, part in tree.items()}
        if isinstance(tree, slice):
            return slice(*[getattr(part, "_value", part) for part in (tree.start, tree.stop, tree.step)])
        if isinstance(tree, Variable | Foreign):
            self.fail("an array of another library" if isinstance(tree, Foreign) else "a Tensor inside an argument")
        return tree

    # The way there

    def ran(
        self, run: Callable[..., Any], args: Any, keywords: dict[str, Any], value: Any, given: Any = (),
        operation: Any = None,
    ) -> None:  # fmt: skip
        """An operation has run on arrays. given: the same arguments as the user wrote them."""
        if self.failed:
            return
        if np.geterr() != self.mood[0] or warnings.filters is not self.mood[1]:
            return self.fail("np.errstate or warnings.catch_warnings, inside")
        self.meet(given)
        args, keywords = self.expressed(args), self.expressed(keywords)
        needs = list(values_in((args, keywords)))
        settled = all(each.kind in FIXED for each in needs)
        name = run.__name__ if operation is None else operation.name
        step = Step("forward", name, run, args, keywords)
        step.operation = operation
        if isinstance(value, np.ndarray | np.generic):
            same = self.find(value)
            if same is not None and same in needs:  # itself, as np.real gives it
                if getattr(operation, "foreign", False):
                    self.fail(f"{name}, which returned its own argument,")
                return
            if type(value) is np.bool:
                return self.fail(f"{name}, which gave a truth value,")
            if type(value) is not np.ndarray and not isinstance(run, np.ufunc) and run.__module__ != "_operator":
                step.run = as_scalar(run)
            step.made = self.result(value, settled)
        elif isinstance(value, list | tuple) and any(isinstance(part, np.ndarray | np.generic) for part in value):
            if any(type(part) is np.bool or not hasattr(part, "shape") for part in value):
                return self.fail(f"{name}, which gave arrays and other things,")
            step.made = tuple([self.result(part, settled) for part in value])
        elif is_plain(value):
            step.phase, step.expected = "check", value
        else:
            return self.fail(f"{name}, which gave {type(value).__name__},")
        stiff = isinstance(run, np.ufunc) or getattr(operation, "elementwise", False)
        counted = getattr(operation, "kind", "rule") != "rule" or any(each.dtype.kind != "f" for each in needs)
        step.exact = step.phase == "forward" and not stiff and counted
        self.steps.append(step)
        return None

    def result(self, array: Any, settled: bool) -> Value:
        return self.value("settled", array, array) if settled else self.value("made", None, array)

    def decides(self, kind: type[Any], value: Any, found: Any) -> None:
        """Python asked for a number."""
        if self.failed:
            return
        known = self.find(value)
        if known is None:
            self.fail(f"{kind.__name__}() of a Tensor from outside")
        else:
            self.steps.append(Step("check", kind.__name__, asked(kind), (known,), expected=found))

    def drawn(self, rng: Any, shape: tuple[int, ...]) -> Any:
        """Random numbers: drawn again each time, from the same generator."""
        if type(rng) is not np.random.Generator:
            self.fail(f"random numbers of a {type(rng).__name__}")
            return uniform(rng, shape)
        if all(rng is not one for one, _ in self.generators):
            self.generators.append((rng, rng.bit_generator.state))
        values = uniform(rng, shape)
        if not self.failed:
            step = Step("draw", "uniform", uniform, (rng, tuple(shape)))
            step.made = self.value("made", None, values)
            self.steps.append(step)
        return lift(values, None)

    # The way back

    def begins(self, roots: Any, tell: Any, lifted: Any) -> Callable[..., None] | None:
        """A backward pass begins; what is to hear of its shares."""
        if lifted is not None:
            self.fail("create_graph=True, a gradient that is itself a graph,")
        if self.failed or tell is not None:
            self.fail("a backward pass that somebody watches")
            return tell  # type: ignore[no-any-return]
        self.cotangents = {node: self.expressed(g) for node, g in roots.items()}
        self.finished, self.chosen = {}, set()
        return self.tell

    def tell(self, node: Node, place: int, g: Any, made: Any, share: Any, held: Any) -> None:
        """One share of a backward pass, as `reverse` works it out."""
        if self.failed:
            return
        plan = node.plan
        if type(plan.operation) is Pick:
            gathered = self.cotangents.setdefault(node.feeds, [])
            gathered.extend([None] * (plan.operation.index + 1 - len(gathered)))
            here = gathered[plan.operation.index]
            arrived = self.cotangents.pop(node)
            self.finished[node] = arrived
            gathered[plan.operation.index] = arrived if here is None else self.back("sum", node, added, (here, arrived))
            return
        if node in self.cotangents:  # its first share
            arrived = self.cotangents.pop(node)
            if type(arrived) is list:
                arrived = tuple([
                    self.expressed(part) if value is None else value
                    for value, part in zip([*arrived, *[None] * (len(g) - len(arrived))], g, strict=True)
                ])  # fmt: skip
            self.finished[node] = arrived
            if plan.selects or node in self.chosen:
                self.chosen.update(node.sources)
        arrived = self.finished[node]
        argument, rule, needs = plan.pullbacks[place]
        kept = (node.kept,) if plan.alone else node.kept
        target = node.sources[place]
        about = f"d {node.label}/d {plan.operation.parameters[min(argument, len(plan.operation.parameters) - 1)]}"
        if rule.__code__.co_code == ITSELF and not needs:
            value = arrived
        else:
            args = (arrived, *[self.expressed(kept[k]) for k in needs])
            value = self.back("backward", node, rule, args, about)
            self.steps[-1].operation, self.steps[-1].argument = plan.operation, argument
        if node in self.chosen and plan.operation.elementwise:
            value = self.back("backward", node, of_selected, (arrived, value), "of_selected")
        if value is not arrived:
            value.shape, value.dtype = np.shape(made), getattr(made, "dtype", value.dtype)
        if made is not share or plan.foreign:
            over = node.shape if plan.operation.elementwise else None
            args = (value, target.shape, target.dtype, over, plan.operation.broadcasts)
            value = self.back("backward", node, fitted_as, args, "fitted_as")
            value.shape, value.dtype = share.shape, share.dtype
        if plan.foreign:
            value = self.back("backward", node, refuse_nan, (value,), "refuse_nan")
        value.shape, value.dtype = share.shape, share.dtype
        before = self.cotangents.get(target)
        self.cotangents[target] = value if before is None else self.back("sum", node, added, (before, value))

    def back(self, phase: str, node: Node, run: Callable[..., Any], args: Any, name: str = "sum") -> Any:
        step = Step(phase, name, run, args)
        step.origin, step.scope = node.origin, node.scope
        like = args[0] if isinstance(args[0], Value) else args[0][0]
        step.made = Value(len(self.values), "made", None, like)
        self.values.append(step.made)
        self.steps.append(step)
        return step.made

    def ends(self, found: dict[Node, Any]) -> None:
        """A backward pass is over; found: what it was for."""
        if self.failed:
            return
        self.finished.update(self.cotangents)
        for node, g in found.items():
            value = self.finished[node]
            if isinstance(value, Value):
                self.enter(g, value)

    def deposits(self, found: dict[Node, Any]) -> None:
        """backward() is about to leave these gradients with their leaves."""
        for node, g in found.items():
            if self.failed:
                return
            if node.plan is not None or node.number > self.start:
                continue  # made here, and gone with the call: nobody reads its .grad
            leaf = self.leaves.get(node)
            if leaf is None:
                return self.fail("a backward pass into what was computed before")
            self.deposited.append(Deposit(leaf, self.finished[node], fingerprint(np.asarray(g))))
        return None

    def close(self, leaves: list[Any]) -> None:
        """The function has returned these."""
        self.outputs = []
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                self.meet(leaf)
                self.outputs.append(self.expressed(leaf._value))
            elif isinstance(leaf, PLAIN):
                self.outputs.append(leaf)
            else:
                self.fail(f"a result that is a {type(leaf).__name__}, not a Tensor,")
        self.cotangents, self.finished, self.chosen = {}, {}, set()


ITSELF = (lambda g: g).__code__.co_code


def is_plain(value: Any) -> bool:
    return isinstance(value, PLAIN) or (isinstance(value, tuple) and all(map(is_plain, value)))
