"""Reverse accumulation: walk the graph once, from the outputs to the leaves.

A node may pass its cotangent on only after every consumer has added a share; hence the topological order. For
b = a + a; c = b + b, plain recursion passes the whole of b's cotangent on twice and gives 8 instead of 4.

Creation order is a topological order, so the reachable nodes are collected with a stack and sorted by number. Nothing
recurses: Python's stack ends near 1,000 frames, an unrolled network does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_edu.anomalies import check_backward
from tinygrad_edu.errors import FreedGraphError, MutationError, RuleError
from tinygrad_edu.graph import STATE, Node, Pick, node_location
from tinygrad_edu.seals import is_broken

__all__ = ["reverse", "unbroadcast"]

Lift = Callable[[Any, Node | None], Any]


def reachable(roots: Iterable[Node]) -> list[Node]:
    """Every node a root depends on, newest last."""
    stack = list(roots)
    seen = set(stack)
    while stack:
        for source in stack.pop().inputs:
            if type(source) is Node and source not in seen:
                seen.add(source)
                stack.append(source)
    return sorted(seen, key=attrgetter("number"))


def leading_to(nodes: list[Node], targets: set[Node]) -> set[Node]:
    """Those among `nodes` (oldest first) from which a target can be reached: nobody wants the others' cotangents."""
    wanted: set[Node] = set()
    for node in nodes:
        if node in targets or not wanted.isdisjoint(node.inputs):
            wanted.add(node)
    return wanted


def reverse(
    roots: Mapping[Node, Any], targets: set[Node] | None = None, lift: Lift | None = None, free: bool = False
) -> dict[Node, Any]:
    """The cotangents of `targets` (None: of every leaf, and of nodes that retain theirs), given those of the roots.

    lift    wraps a saved array as a tensor, with its node: then the rules run on tensors and the pass is recorded
    free    let each node's saved arrays go once they were used; a second pass over them raises FreedGraphError
    """
    order = reachable(roots)
    wanted = None if targets is None else leading_to(order, targets)
    cotangents: dict[Node, Any] = dict(roots)
    found: dict[Node, Any] = {}
    chosen: set[Node] = set()  # upstream of a where: zeros there mean "not selected"
    take = cotangents.pop
    anomaly = STATE.get().anomaly
    with np.errstate(all="ignore"):  # sqrt'(0) is inf, said once in the docs and not at every step
        while order:
            node = order.pop()
            g = take(node, None)
            if g is None:
                continue
            if node.retains_grad if targets is None else node in targets:
                found[node] = g
            plan = node.plan
            if plan is None:  # a leaf, or one of several outputs
                if node.operation is not None:
                    file_under(cotangents, node, g)
                continue
            if wanted is not None and wanted.isdisjoint(node.inputs):
                continue  # a target with nothing wanted before it: its own past may be gone
            saved = node.saved
            if saved is None:
                raise freed(node)
            if node.seals:
                check_seals(node)
            if plan.selects or (chosen and node in chosen):
                chosen.update(source for source in node.inputs if type(source) is Node)
            if lift is not None:
                saved = lifted(node, lift)
            if type(g) is list:
                g = filled(node, g)
            inputs = node.inputs
            for argument, rule, needs in plan.pullbacks:
                target = inputs[argument]
                if wanted is not None and target not in wanted:
                    continue
                share = rule(g, saved[needs[0]]) if len(needs) == 1 else rule(g, *[saved[k] for k in needs])
                if chosen and node in chosen and node.operation.elementwise and not np.isfinite(np.sum(share)):
                    share = np.where(g == 0, 0.0, share)  # 0 · inf, where nothing was selected, is nothing
                if (target.shape or type(share) is not target.dtype.type) and not fits(share, target):
                    share = fitted(share, target, node, argument)
                if anomaly or plan.foreign:
                    check_backward(node, argument, g, share, slope_may_be_infinite=not anomaly)
                held = cotangents.get(target)
                if held is None:
                    cotangents[target] = share
                elif type(held) is np.ndarray and held.base is None and sys.getrefcount(held) == 3:
                    held += share  # nobody else holds it: the dictionary, this name, and the call that counts
                else:
                    cotangents[target] = held + share
            if free:
                node.saved = node.seals = None
    return found


def freed(node: Node) -> FreedGraphError:
    return FreedGraphError(
        f"{node.label}, recorded {node_location(node)}: its saved arrays were let go by an earlier backward(). "
        "Call that one with retain_graph=True, or run the forward pass again."
    )


def fits(share: Any, target: Node) -> bool:
    try:
        return bool(share.shape == target.shape and share.dtype == target.dtype)
    except AttributeError:
        return False


def fitted(share: Any, target: Node, node: Node, argument: int) -> Any:
    """Give a rule's result its argument's shape and dtype: sum a broadcast back, or say that the rule is wrong."""
    if not hasattr(share, "shape"):
        if not isinstance(share, int | float):
            raise RuleError(
                f"{node.label}: the rule for {name_of(node, argument)!r} returned {type(share).__name__}, "
                f"not an array. Recorded {node_location(node)}"
            )
        share = np.float64(share)
    if share.shape != target.shape:
        if not node.operation.broadcasts:
            raise RuleError(
                f"{node.label}: the rule for {name_of(node, argument)!r} returned shape {share.shape}, its "
                f"argument has {target.shape}. Mend the rule, or declare broadcasts=True if the operation broadcasts. "
                f"Recorded {node_location(node)}"
            )
        share = unbroadcast(share, target.shape)
    if share.dtype != target.dtype:
        if share.dtype.kind != "f":
            raise RuleError(
                f"{node.label}: the rule for {name_of(node, argument)!r} returned dtype {share.dtype}, "
                f"its argument has {target.dtype}. Recorded {node_location(node)}"
            )
        share = share.astype(target.dtype)
    return share


def name_of(node: Node, argument: int) -> str:
    """The name of an argument; an element of a sequence goes by the sequence's."""
    parameters = node.operation.parameters
    return str(parameters[min(argument, len(parameters) - 1)])


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a cotangent over the axes along which its argument was repeated.

    g (any shape that `shape` broadcasts to, or that broadcasts to it); returns exactly `shape`.
    """
    if g.ndim < len(shape) or any(n == 1 != m for n, m in zip(g.shape[g.ndim - len(shape) :], shape, strict=True)):
        g = np.broadcast_to(g, np.broadcast_shapes(g.shape, shape))
    extra = g.ndim - len(shape)
    if extra:
        g = np.sum(g, axis=tuple(range(extra)))
    axes = tuple(axis for axis, size in enumerate(shape) if size == 1 != g.shape[axis])
    return np.sum(g, axis=axes, keepdims=True) if axes else g


def check_seals(node: Node) -> None:
    for seal in node.seals or ():
        if is_broken(seal, node):
            raise MutationError(
                f"{node.label}, recorded {node_location(node)}, needs {seal.name!r} {list(seal.array.shape)} as it was "
                "in the forward pass, but it was changed since (through .data, a NumPy view, or an optimiser step). "
                "Call backward() before changing it, or give the operation a copy."
            )


def lifted(node: Node, lift: Lift) -> tuple[Any, ...]:
    """The saved arrays as tensors that know their node, so that the rules' work is recorded."""
    out = []
    for name, source, value in zip(node.plan.names, node.plan.sources, node.saved or (), strict=True):  # type: ignore[union-attr]
        if name == "z" and isinstance(value, tuple):
            out.append(tuple(lift(part, pick_again(node, k, part)) for k, part in enumerate(value)))
        elif name == "z":
            out.append(lift(value, node))
        elif source >= 0 and type(node.inputs[source]) is Node:
            out.append(lift(value, node.inputs[source]))
        elif source == -2:
            out.append(
                [lift(v, n) if type(n) is Node else v for v, n in zip(value, node.inputs, strict=True)]  # type: ignore[arg-type]
            )
        else:
            out.append(value)
    return tuple(out)


def pick_again(node: Node, index: int, part: Any) -> Node:
    return Node(Pick(index, node.label), None, (node,), (), part.shape, part.dtype, node.scope, node.origin)


def file_under(cotangents: dict[Node, Any], node: Node, g: Any) -> None:
    """Several outputs share one node: gather their cotangents in a list, one place an output."""
    source, index = node.inputs[0], node.operation.index
    gathered = cotangents.setdefault(source, [])
    gathered.extend([None] * (index + 1 - len(gathered)))
    gathered[index] = g if gathered[index] is None else gathered[index] + g


def filled(node: Node, gathered: list[Any]) -> tuple[Any, ...]:
    """Zeros for the outputs nobody used."""
    gathered = gathered + [None] * (len(node.shape) - len(gathered))
    return tuple(
        np.zeros(shape, dtype) if g is None else g
        for g, shape, dtype in zip(gathered, node.shape, node.dtype, strict=True)
    )
