"""checkpoint(f): keep only what goes in, and compute the inside again when the backward pass needs it."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_edu.backward import reverse
from tinygrad_edu.errors import RuleError
from tinygrad_edu.graph import STATE, Node, next_number, node_location, picked, record
from tinygrad_edu.operation import Plan, Primitive
from tinygrad_edu.seals import fingerprint
from tinygrad_edu.tensor import Tensor, lift
from tinygrad_edu.tree import flatten

__all__ = ["checkpoint"]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, but what it recorded is let go after the forward pass, and computed again for the backward pass.

    One more forward run of f buys the memory of everything inside it. Tensors that f closes over, such as weights, get
    their gradients too. f must give the same result both times, or the backward pass raises RuleError: draw dropout
    masks outside. Returns what f returns; Tensors may come in a nest.
    """

    @functools.wraps(f)
    def run(*args: Any, **keywords: Any) -> Any:
        if STATE.get().tape is not None:
            return f(*args, **keywords)  # what a tape holds is run again as a whole
        start = next_number()
        outputs, rebuild = flatten(f(*args, **keywords))
        tracked = [k for k, out in enumerate(outputs) if isinstance(out, Tensor) and out.requires_grad]
        made = [outputs[k]._node for k in tracked]
        if any(node.number > start for node in made):
            sources = entries(made, start)

            defined = STATE.get().defined

            def again() -> list[Tensor]:
                # As the first time, also when backward() runs under no_grad or outside definitions().
                token = STATE.set(STATE.get().but(recording=True, defined=defined))
                try:
                    outputs = flatten(f(*args, **keywords))[0]
                finally:
                    STATE.reset(token)
                return [outputs[k] for k in tracked]

            for k, node in zip(tracked, recomputed(f, again, [outputs[k] for k in tracked], sources), strict=True):
                outputs[k] = lift(outputs[k]._value, node)
        return rebuild(outputs)

    return run


def entries(nodes: Iterable[Node], start: int) -> list[Node]:
    """The nodes recorded before `start` that those recorded since depend on: what enters f, by argument or closure."""
    stack = list(nodes)
    seen = set(stack)
    found = []
    while stack:
        node = stack.pop()
        if node.number < start:
            found.append(node)
            continue
        for source in node.sources:
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return sorted(found, key=lambda node: node.number)


def recomputed(
    f: Callable[..., Any], again: Callable[[], list[Tensor]], outputs: list[Tensor], sources: list[Node]
) -> list[Node]:
    """One node that stands for all of f, and from it a node for each output. Nothing is saved but fingerprints."""
    # The cotangent that was pulled back last, and what came of it. One tuple: threads may walk the graph together.
    known: list[tuple[Any, Any]] = [(None, None)]

    def rule_for(k: int) -> Callable[[Any], Any]:
        def rule(g: Any) -> Any:
            cotangent, shares = known[0]
            if cotangent is not g:
                shares = pull_through(this(), again(), marks, g, sources)
            known[0] = (None, None) if k == len(sources) - 1 else (g, shares)
            return shares[k]

        return rule

    marks = [fingerprint(np.asarray(out._value)) for out in outputs]
    name = f"checkpoint({getattr(f, '__name__', type(f).__name__)})"
    operation = Primitive(
        f, tuple(rule_for(k) for k in range(len(sources))), name=name,
        parameters=tuple(f"input {k}" for k in range(len(sources))), lazy=True,
    )  # fmt: skip
    plan = Plan(operation, (1 << len(sources)) - 1)
    shapes, dtypes = tuple(out.shape for out in outputs), tuple(out.dtype for out in outputs)
    node = record(plan, sources[0] if len(sources) == 1 else tuple(sources), (), (), shapes, dtypes, STATE.get().scope)
    this = weakref.ref(node)  # the node holds the rules: they may not hold it in turn
    return [picked(node, k, out) for k, out in enumerate(outputs)]


def pull_through(node: Any, outputs: list[Tensor], marks: list[int], g: tuple[Any, ...], sources: list[Node]) -> Any:
    """The cotangents of the sources, through a fresh recording of f."""
    for output, mark in zip(outputs, marks, strict=True):
        if fingerprint(np.asarray(output._value)) != mark:
            raise RuleError(
                f"{node.label}, called {node_location(node)}, gave another result when it was run again; "
                "does it draw random numbers, or change something outside? Draw them before, and pass them in."
            )
    roots = {output._node: part for output, part in zip(outputs, g, strict=True) if output._node is not None}
    record = any(isinstance(part, Tensor) for part in g)
    found = reverse(roots, set(sources), lift if record else None)
    return [found[source] if source in found else np.zeros(source.shape, source.dtype) for source in sources]
