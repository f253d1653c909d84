"""Reverse accumulation: walk the graph once, from the outputs to the leaves.

A node may pass its cotangent on only after every consumer has added a share; hence the topological order. For
b = a + a; c = b + b, plain recursion passes the whole of b's cotangent on twice and gives 8 instead of 4.

Creation order is a topological order, so the nodes that wait for their turn stand in a heap, and the newest goes first:
all its consumers are newer still, and done. So every node is visited once, and nothing is collected or sorted, which
took 0.35 µs a node. Nothing recurses: Python's stack ends near 1,000 frames, an unrolled network does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush, heappushpop
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_edu.anomalies import check_backward, check_sum
from tinygrad_edu.arrays import Foreign
from tinygrad_edu.errors import FreedGraphError, MutationError, RuleError, ShapeError
from tinygrad_edu.graph import FREED, PLAIN, STATE, Node, Pick, carrying, node_location, picked
from tinygrad_edu.quiet import quiet
from tinygrad_edu.seals import changed

__all__ = ["fitted_as", "of_selected", "reverse", "unbroadcast"]

FLOAT, float64, ndarray = np.dtype(np.float64), np.float64, np.ndarray
Lift = Callable[[Any, Node | None], Any]


def reachable(roots: Iterable[Node]) -> list[Node]:
    """Every node a root depends on, newest last."""
    found = list(roots)
    seen = set(found)
    for node in found:  # the list grows while it is walked
        feeds = node.feeds
        for source in feeds if type(feeds) is tuple else (feeds,):
            if source not in seen:
                seen.add(source)
                found.append(source)
    return sorted(found, key=attrgetter("number"))


def leading_to(nodes: list[Node], targets: set[Node]) -> set[Node]:
    """Those among `nodes` (oldest first) from which a target can be reached: nobody wants the others' cotangents."""
    wanted: set[Node] = set()
    for node in nodes:
        if node in targets or not wanted.isdisjoint(node.sources):
            wanted.add(node)
    return wanted


def reverse(
    roots: Mapping[Node, Any],
    targets: set[Node] | None = None,
    lift: Lift | None = None,
    free: bool = False,
    tell: Callable[..., None] | None = None,
) -> dict[Node, Any]:
    """The cotangents of `targets` (None: of every leaf, and of nodes that retain theirs), given those of the roots.

    lift    wraps a saved array as a tensor, with its node: then the rules run on tensors and the pass is recorded
    free    let each node's saved arrays go once they were used; a second pass over them raises FreedGraphError
    tell    is told of every share before it is added: tell(node, place among its sources, g, made, share, held), where
            `made` is what the rule returned, `share` that in its argument's shape, `held` what was added up so far;
            it must change none of them, and may keep them all
    """
    wanted = None if targets is None else leading_to(reachable(roots), targets)
    cotangents: dict[Node, Any] = dict(roots)
    found: dict[Node, Any] = {}
    chosen: set[Node] = set()  # upstream of a where: zeros there mean "not selected"
    waiting: list[tuple[int, Node]] = []
    fresh: Node | None = None
    for root in roots:
        if root.plan is not None and (wanted is None or root in wanted):
            if fresh is not None:
                heappush(waiting, (-fresh.number, fresh))
            fresh = root
    take, held_for = cotangents.pop, cotangents.get
    state = STATE.get()
    anomaly, tell = state.anomaly, tell or state.tell
    if state.tape is not None:
        tell = state.tape.begins(roots, tell, lift)
    watched = anomaly or tell is not None
    foreign = lies_elsewhere(next(iter(cotangents.values()), None))  # then what the rules make goes there too
    # sqrt'(0) is inf: said once in the docs and not at every step.
    with quiet(), carrying() if foreign else quiet():
        while waiting or fresh is not None:
            if fresh is None:
                node = heappop(waiting)[1]
            elif waiting:
                node = heappushpop(waiting, (-fresh.number, fresh))[1]
            else:
                node = fresh  # a chain: nothing else waits, and the heap is left alone
            fresh = None
            g = take(node)
            if targets is None:
                if node.extras is not PLAIN and node.retains_grad:
                    found[node] = g
            elif node in targets:
                found[node] = g
                if wanted is not None and wanted.isdisjoint(node.sources):
                    continue  # nothing wanted before it: its own past may be gone
            plan, feeds, kept = node.plan, node.feeds, node.kept
            careful = plan.unusual or watched or chosen  # else three questions less for each share
            if careful and type(plan.operation) is Pick:
                if tell is not None:
                    tell(node, 0, g, g, g, held_for(feeds))
                fresh = file_under(cotangents, node, g)
                continue
            if kept is FREED:
                raise freed(node)
            if node.marks is not None:
                check_marks(node)
            if careful and (plan.selects or node in chosen):
                chosen.update(node.sources)
            if lift is not None:
                kept = lifted(node, lift)
            if type(g) is list:
                g = filled(node, g)
            alone, several = plan.alone, type(feeds) is tuple
            place = -1
            for argument, rule, needs in plan.pullbacks:
                place += 1
                target = feeds[place] if several else feeds
                if wanted is not None and target not in wanted:
                    continue
                if not needs:
                    share = rule(g)
                elif alone:
                    share = rule(g, kept)
                elif len(needs) == 1:
                    share = rule(g, kept[needs[0]])  # the comprehension below would cost 0.15 µs more
                elif len(needs) == 2:
                    share = rule(g, kept[needs[0]], kept[needs[1]])
                else:
                    share = rule(g, *[kept[k] for k in needs])
                if careful:
                    if node in chosen and plan.operation.elementwise:
                        share = of_selected(g, share)
                    made = share
                if not (  # the two usual cases, without a call
                    (type(share) is float64 and target.dtype is FLOAT and not target.shape)
                    or (type(share) is ndarray and share.shape == target.shape and share.dtype == target.dtype)
                ):
                    share = fitted(share, target, node, argument)
                held = held_for(target)
                if careful:
                    if anomaly or plan.foreign:
                        check_backward(node, argument, g, share, slope_may_be_infinite=not anomaly)
                    if anomaly and held is not None:
                        check_sum(node, held, share)
                    if tell is not None:
                        tell(node, place, g, made, share, held)
                if held is None:
                    cotangents[target] = share
                    if target.plan is None:
                        pass  # a leaf waits for the end
                    elif fresh is None:
                        fresh = target
                    else:
                        heappush(waiting, (-target.number, target))
                elif type(held) is ndarray and held.base is None and sys.getrefcount(cotangents[target]) == 3:
                    # Nobody else holds it: the dictionary, this name, and the call that counts. Not getrefcount(held):
                    # Python 3.14 lends a local to a call without counting it.
                    held += share
                else:
                    cotangents[target] = held + share
            if free:
                node.kept, node.marks = FREED, None
    if targets is not None:
        cotangents = {leaf: g for leaf, g in cotangents.items() if leaf in targets}
    found.update(cotangents)  # leaves are all that is left
    if state.tape is not None:
        state.tape.ends(found)
    return found


def of_selected(g: Any, share: Any) -> Any:
    """0 · inf, where nothing was selected, is nothing."""
    if lies_elsewhere(share):  # not asked for a value: that would stop a GPU
        return np.where(np.logical_or(g != 0, np.isfinite(share)), share, 0.0)
    return share if np.isfinite(np.sum(share)) else np.where(g == 0, 0.0, share)


def lies_elsewhere(g: Any) -> bool:
    """Is it an array of another library, or a tensor over one?"""
    return type(getattr(g, "_value", g)) is Foreign


def freed(node: Node) -> FreedGraphError:
    return FreedGraphError(
        f"{node.label}, recorded {node_location(node)}: its saved arrays were let go by an earlier backward(). "
        "Call that one with retain_graph=True, or run the forward pass again."
    )


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
        returned, broadcasts = share.shape, node.operation.broadcasts
        over = node.shape if node.operation.elementwise else None
        share = summed(share, target.shape, over) if broadcasts else share
        if share.shape != target.shape:
            hint = f", the output {node.shape}" if broadcasts else ""
            advice = "" if broadcasts else ", or declare broadcasts=True if the operation broadcasts"
            raise RuleError(
                f"{node.label}: the rule for {name_of(node, argument)!r} returned shape {returned}, its "
                f"argument has {target.shape}{hint}. Mend the rule{advice}. Recorded {node_location(node)}"
            )
    if share.dtype != target.dtype:
        if share.dtype.kind != "f":
            raise RuleError(
                f"{node.label}: the rule for {name_of(node, argument)!r} returned dtype {share.dtype}, "
                f"its argument has {target.dtype}. Recorded {node_location(node)}"
            )
        share = share.astype(target.dtype)
    return share


def fitted_as(
    share: Any, shape: tuple[int, ...], dtype: Any, over: tuple[int, ...] | None, broadcasts: bool
) -> Any:
    """What `fitted` gives where it has nothing to complain of; ShapeError where it has."""
    share = share if hasattr(share, "shape") else np.float64(share)
    if share.shape != shape and broadcasts:
        share = summed(share, shape, over)
    if share.shape != shape:
        raise ShapeError(f"a cotangent of shape {share.shape} where {shape} belongs")
    return share if share.dtype == dtype else share.astype(dtype)


def summed(share: Any, shape: tuple[int, ...], over: tuple[int, ...] | None) -> Any:
    """A broadcast undone; what is no broadcast of the output's comes back as it is. over: the output's shape."""
    try:
        if over is not None and share.shape != over:
            share = np.broadcast_to(share, over)
        return unbroadcast(share, shape)
    except ValueError:
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


def check_marks(node: Node) -> None:
    broken = changed(node)
    if broken is not None:
        name, array = broken
        raise MutationError(
            f"{node.label}, recorded {node_location(node)}, needs {name!r} {list(array.shape)} as it was "
            "in the forward pass, but it was changed since (through .data, a NumPy view, or an optimiser step). "
            "Call backward() before changing it, or give the operation a copy."
        )


def lifted(node: Node, lift: Lift) -> Any:
    """What the node kept, as tensors that know their node, so that the rules' work is recorded.

    While somebody watches, numbers and masks without a node are tensors too: what a rule makes of them is then seen.
    """
    out: list[Any] = []
    inputs = node.inputs
    watched = STATE.get().watch is not None
    for name, source, value in zip(node.plan.names, node.plan.sources, node.saved or (), strict=True):
        if name == "z" and isinstance(value, tuple):
            out.append(tuple(lift(part, picked(node, k, part)) for k, part in enumerate(value)))
        elif name == "z":
            out.append(lift(value, node))
        elif name == "aside":  # arrays without a graph: the rule works it out again
            out.append(None)
        elif 0 <= source < len(inputs) and type(inputs[source]) is Node:  # an optional one may not be there
            out.append(lift(value, inputs[source]))
        elif source == -2:
            out.append(
                [lift(v, n) if type(n) is Node else v for v, n in zip(value, inputs, strict=True)]
            )
        else:
            follow = watched and isinstance(value, np.ndarray | np.generic | Foreign) and value.dtype.kind in "fb"
            out.append(lift(value, None) if follow else value)
    return out[0] if node.plan.alone else tuple(out)


def file_under(cotangents: dict[Node, Any], node: Node, g: Any) -> Node | None:
    """Several outputs share one node: gather their cotangents in a list, one place an output. Returns it at first."""
    source, index = node.sources[0], node.operation.index
    first = source not in cotangents
    gathered = cotangents.setdefault(source, [])
    gathered.extend([None] * (index + 1 - len(gathered)))
    gathered[index] = g if gathered[index] is None else gathered[index] + g
    return source if first else None


def filled(node: Node, gathered: list[Any]) -> tuple[Any, ...]:
    """Zeros for the outputs nobody used: one zero, repeated."""
    gathered = gathered + [None] * (len(node.shape) - len(gathered))
    return tuple(
        np.broadcast_to(np.zeros((), dtype), shape) if g is None else g
        for g, shape, dtype in zip(gathered, node.shape, node.dtype, strict=True)
    )
