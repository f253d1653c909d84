"""What a graph does not keep for a picture: the value of every node, how long it took, its gradient.

A graph holds what its rules need, no more. So values are known where an operation kept them, or everywhere if the
picture runs the function itself: `draw(model, tokens)`.
"""

from __future__ import annotations

import bisect
import inspect
import math
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.backward import reachable, reverse
from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.graph import STATE, Node, Pick, next_number
from tinygrad_edu.nn import Module
from tinygrad_edu.operation import Operation, Primitive
from tinygrad_edu.render.labels import value_text
from tinygrad_edu.render.plain import Scope, Statistics, statistics_of
from tinygrad_edu.tensor import Tensor

__all__ = ["FEW", "Call", "Facts", "Fact", "gradients_of", "known_values", "named_inputs", "run", "scopes_of"]

FEW = 6  # elements that a picture shows as they are
Key = Node | tuple[Node, int]  # a value: a node's, or that of its constant argument number k


class Fact(NamedTuple):
    """A value in numbers; the numbers themselves where they are few."""

    statistics: Statistics
    value: str | None


Facts = dict[Key, Fact]


class Call(NamedTuple):
    """An operation with what it was given, and what came out."""

    operation: Operation
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    value: Any


class Heard(NamedTuple):
    """One operation that ran. number: of the node that was recorded for it, if one was. call: if it is kept."""

    number: int
    operation: Operation
    call: Call | None
    arguments: list[Fact | None]
    result: list[Fact | None]
    seconds: float


def run(
    f: Callable[..., Any], inputs: tuple[Any, ...], keep: bool = False
) -> tuple[Tensor, Facts, dict[Node, float], dict[Node, Call]]:
    """f(*inputs), a Tensor or a tuple that begins with one; its graph's values; the seconds that each node took, with
    the Python between it and the operation before; if keep, the calls. Raises TypeError if f returns something else.
    """
    heard: list[Heard] = []
    known: dict[int, tuple[Any, Fact | None]] = {}  # by id(), which is its own as long as the array is held here
    clock = perf_counter()

    def fact(value: Any) -> Fact | None:
        if id(value) not in known:
            known[id(value)] = value, fact_of(value)
        return known[id(value)][1]

    def watch(operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        nonlocal clock
        seconds = perf_counter() - clock
        operands: Any = args
        if isinstance(operation, Primitive) and operation.sequence is not None:
            operands = next((given for given in args if isinstance(given, list | tuple)), ())
        results = value if isinstance(value, tuple) else (value,)
        call = Call(operation, args, keywords, value) if keep else None
        heard.append(Heard(next_number() + 1, operation, call, [*map(fact, operands)], [*map(fact, results)], seconds))
        clock = perf_counter()  # what was noted here is no time of theirs

    token = STATE.set(STATE.get().but(watch=watch))
    try:
        output = f(*inputs)
    finally:
        STATE.reset(token)
    if isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(
            f"{getattr(f, '__name__', type(f).__name__)} returned a {type(output).__name__}; a picture is drawn of one "
            "Tensor: pass a function that returns the one to look at"
        )
    return output, *by_node(output, heard)


def named_inputs(f: Callable[..., Any], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Float arrays and numbers as tensors that want a gradient, named as the parameters; all else as it is."""
    try:
        names = list(inspect.signature(f).bind(*inputs).arguments)
    except (TypeError, ValueError):  # no signature, or arguments that do not fit: the call itself will say so
        names = []
    names += [f"x{k}" for k in range(len(names), len(inputs))]
    return tuple(
        Tensor(given, requires_grad=True, name=name)
        if isinstance(given, float | np.floating | np.ndarray) and np.asarray(given).dtype.kind == "f"
        else given
        for name, given in zip(names, inputs, strict=False)
    )


def scopes_of(f: Callable[..., Any]) -> dict[str, Scope]:
    """The classes of modules, and what they say of themselves, by the paths they are recorded under: of a module and
    those inside it, or of the modules that a function refers to."""
    code = getattr(f, "__code__", None)
    cells = [cell.cell_contents for cell in getattr(f, "__closure__", None) or () if has_contents(cell)]
    globals_ = [f.__globals__.get(name) for name in code.co_names] if code is not None else []
    found: dict[str, Scope] = {}
    waiting = [(each._scope, each) for each in (f, *cells, *globals_) if isinstance(each, Module)]
    while waiting:
        path, each = waiting.pop()
        if path and path not in found:
            found[path] = Scope(type(each).__name__, each.extra_repr())
        members = [(name, member) for name, member in each._members() if isinstance(member, Module)]
        waiting += [(f"{path}.{name}" if path else name, member) for name, member in reversed(members)]
    return found


def has_contents(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # a name that is bound later
        return False
    return True


def by_node(output: Tensor, heard: list[Heard]) -> tuple[Facts, dict[Node, float], dict[Node, Call]]:
    """The nodes behind what was heard: each was numbered right after its operation ran."""
    facts: Facts = {}
    seconds: dict[Node, float] = {}
    calls: dict[Node, Call] = {}
    numbers = [each.number for each in heard]
    for node in reachable([output._node]) if output._node is not None else ():
        if node.plan is None:
            continue
        maker = node.sources[0] if type(node.operation) is Pick else node
        place = bisect.bisect_right(numbers, maker.number) - 1
        if place < 0 or heard[place].operation is not maker.operation:
            continue  # recorded before, or by code that makes nodes of its own
        about = heard[place]
        if maker is not node:
            part = about.result[node.operation.index]
            facts.update({} if part is None else {node: part})
            continue
        seconds[node] = about.seconds
        if about.call is not None:
            calls[node] = about.call
        if len(about.result) == 1 and about.result[0] is not None:
            facts[node] = about.result[0]
        for k, given in enumerate(node.inputs):
            fact = about.arguments[k] if k < len(about.arguments) else None
            if fact is not None:
                facts.setdefault(given if type(given) is Node else (node, k), fact)
    return facts, seconds, calls


def known_values(nodes: list[Node]) -> Facts:
    """What the nodes still keep for the backward pass, by whose value it is. Arrays that changed since count as now."""
    facts: Facts = {}

    def note(key: Key, value: Any) -> None:
        if key not in facts and (fact := fact_of(value)) is not None:
            facts[key] = fact

    for node in nodes:
        saved, plan = node.saved, node.plan
        if plan is None or not saved:
            continue
        inputs = node.inputs
        for name, source, value in zip(plan.names, plan.sources, saved, strict=True):
            if name == "z":
                note(node, value)
            elif 0 <= source < len(inputs):  # an argument that was left out has no place among them
                note(inputs[source] if type(inputs[source]) is Node else (node, source), value)
            elif source == -2:
                for k, (given, part) in enumerate(zip(inputs, value, strict=True)):
                    note(given if type(given) is Node else (node, k), part)
    return facts


def fact_of(value: Any) -> Fact | None:
    """None of what is no array of numbers, or of several outputs."""
    if isinstance(value, Tensor):
        value = value._value
    if not isinstance(value, np.ndarray | np.generic | int | float) or np.asarray(value).dtype.kind not in "biuf":
        return None
    return Fact(statistics_of(value), few(value))


def few(value: Any) -> str | None:
    """0.25 or [[0.5, -0.3], [0.2, 0.4]]; None where they are many."""
    size = getattr(value, "size", 1)
    if not 0 < size <= FEW:
        return None
    return value_text(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)


def gradients_of(output: Tensor) -> tuple[dict[Node, Statistics], str]:
    """The gradient by every node, from a backward pass that is run for the picture alone: no `.grad` changes, and the
    graph can be used again. If it cannot be run, why not."""
    node = output._node
    if node is None:
        return {}, "No gradients by every node: nothing here wants one."
    if math.prod(output.shape) != 1:
        return {}, f"No gradients by every node: the output has shape {output.shape}, and a gradient is of one number."
    try:
        found = reverse({node: np.ones(output.shape, output.dtype)[()]}, set(reachable([node])))
    except AutodiffError as error:
        return {}, f"No gradients by every node: {error}"
    return {key: statistics_of(g) for key, g in found.items() if hasattr(g, "dtype")}, ""
