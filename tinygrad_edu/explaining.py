"""Why is this gradient None, or zero? In words.

The gradient that should have arrived is followed from the output down to the tensor, and the place where it ended is
named, with the line that recorded it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.backward import filled, reachable, reverse
from tinygrad_edu.graph import Fixed, Node, node_location
from tinygrad_edu.tensor import Tensor

__all__ = ["explain"]

# Why the slope of an operation is 0 at an element.
REASONS = {
    "relu": "its argument is 0 or less (dead units: lower the learning rate, or raise the bias)",
    "where": "the other branch was selected, by a mask or a condition",
    "maximum": "the other argument is the larger one (a dead unit, or a value that was clipped)",
    "minimum": "the other argument is the smaller one (a value that was clipped)",
    "max": "another element attained the maximum",
    "min": "another element attained the minimum",
    "multiply": "the other factor is 0 (a mask, dropout, or weights that are zero)",
    "matmul": "the other factor is 0",
    "tanh": "it is saturated: 1 - tanh² rounds to 0",
    "sigmoid": "it is saturated: its slope rounds to 0",
    "softmax": "its results are 0 or 1 (a mask, one element alone, or a very large difference)",
    "erf": "it is saturated: its slope rounds to 0",
    "exp": "its result is 0: the argument is -inf (a mask) or very negative",
    "power": "the base or the exponent is 0",
    "square": "its argument is 0",
    "absolute": "its argument is exactly 0, where the slope is taken as 0",
    "getitem": "other elements were picked",
    "take": "other elements were picked",
}
REASONS.update(fmax=REASONS["maximum"], fmin=REASONS["minimum"])
INSIDE = "it ended inside f: call f without checkpoint to see where"


def explain(tensor: Tensor, output: Tensor | None = None) -> str:
    """Say why `tensor.grad` is None or zero; with `output`, follow the gradient from there.

    output: the tensor whose backward() was expected to reach this one. Its graph may have been walked already only
    with retain_graph=True, since a freed graph cannot be followed. Nothing is changed, `.grad` neither.
    """
    for each in (tensor,) if output is None else (tensor, output):
        if not isinstance(each, Tensor):
            return f"A {type(each).__name__} remembers no graph, so no gradient flows through it; Tensors do."
    what = f"{tensor.name or 'this tensor'} {list(tensor.shape)}"
    node = tensor._node
    if node is None:
        return untracked(tensor, what)
    if output is None:
        return without_output(tensor, what)
    if output._node is None:
        return f"The output itself has no graph, so nothing flows to {what}: {untracked(output, 'it')}"
    nodes = reachable([output._node])
    if node not in nodes:
        return unreachable(nodes, what)
    if not tensor.size:
        return f"{what} has no elements, and neither has its gradient."
    if any(n.saved is None for n in nodes):
        return f"The graph from the output to {what} was freed by backward(); run the forward pass again to follow it."
    return follow(node, output, nodes, what)


def untracked(tensor: Tensor, what: str) -> str:
    cut = getattr(tensor, "_cut", None)
    if cut is not None:
        return f"{what} is off the graph: its gradient was cut by {cut}."
    if tensor.dtype.kind != "f":
        return f"{what} holds {tensor.dtype}, which has no derivative."
    return f"{what} was made without requires_grad=True, so nobody asked for its gradient; set x.requires_grad = True."


def without_output(tensor: Tensor, what: str) -> str:
    if tensor.grad is not None:
        grad = tensor.grad.numpy()
        zeros = int((grad == 0).sum())
        if zeros < grad.size:
            return f"{what} has a gradient; {zeros} of its {grad.size} elements are 0."
        return f"The gradient of {what} is 0 everywhere; explain(tensor, output) follows where it ended."
    node = tensor._node
    if node is not None and node.operation is not None:
        return (
            f"{what} was computed by {node.label} {node_location(node)}; backward() fills .grad of leaves only. "
            "Call retain_grad() on it before backward(), or use gradients(output, tensor)."
        )
    return (
        f"{what} is a leaf that wants a gradient, but no backward() has reached it: either none was called since it "
        "was made or zeroed, or the output did not depend on it; explain(tensor, output) tells which."
    )


def unreachable(nodes: list[Node], what: str) -> str:
    """There is no path: name the cuts that the graph does contain."""
    cuts = [(n, source.cut) for n in nodes for source in n.inputs if isinstance(source, Fixed) and source.cut]
    if not cuts:
        return (
            f"No path: nothing that the output was computed from depends on {what}. Values that item(), numpy() or "
            ".data took out carry no gradient."
        )
    told = "; ".join(dict.fromkeys(f"{cut}, on its way into {n.label} {node_location(n)}" for n, cut in cuts))
    return f"No path leads from the output to {what}. The graph was cut at: {told}."


def is_zero(g: Any) -> bool:
    return not any(np.any(part) for part in (g if isinstance(g, tuple | list) else [g]))


def follow(node: Node, output: Tensor, nodes: list[Node], what: str) -> str:
    """Run the pass and look where a cotangent that was not zero became zero on its way to the tensor."""
    seed = np.ones(output.shape, output.dtype)[()]
    found = reverse({output._node: seed}, set(nodes))  # type: ignore[dict-item]
    g = found.get(node)
    if g is not None and not is_zero(g):
        return f"The output's gradient does reach {what}: {arrived(node, np.asarray(g), nodes, found)}."
    towards = {node}
    for n in nodes:
        if not towards.isdisjoint(n.inputs):
            towards.add(n)
    ends = []
    for n in nodes:
        if n in found and n in towards and n is not node and not is_zero(found[n]):
            passed, slopes = shares(n, found[n]), shares(n, like(n, found[n]))
            reached = shares(n, like(n, found[n], where_nonzero=True))
            for (k, share), (_, slope), (_, there) in zip(passed, slopes, reached, strict=True):
                if n.inputs[k] in towards and is_zero(share):
                    ends.append(f"{n.label} {node_location(n)}: {reason(n, slope, there, nodes, found)}")
    if not ends:
        ones = "" if output.size == 1 else " for a cotangent of ones"
        return f"The gradient of {what} is zero because the shares of its consumers cancel exactly{ones}."
    return f"The gradient of {what} is 0 because it ended at {'; and at '.join(dict.fromkeys(ends))}."


def reason(node: Node, slope: Any, there: Any, nodes: list[Node], found: dict[Node, Any]) -> str:
    """Why a rule gave 0. slope: what it makes of a cotangent that is 0 nowhere; there: of one that is 0 where g is."""
    why = INSIDE if node.label.startswith("checkpoint(") else REASONS.get(node.label, "its slope is 0")
    if is_zero(slope):
        return f"{why}, at every element"
    if not is_zero(there):
        small = f"the product is too small for {node.dtype} and rounds to 0"
        return small if node.operation.elementwise else f"its terms cancel, or {small}"
    g = found[node]
    if isinstance(g, list | tuple):
        return "the gradient came to other outputs than those that this argument moves"
    reached = f"{np.count_nonzero(np.asarray(g))} of {node_size(node)}"
    if node.operation.elementwise or node.label in REASONS:
        return f"{why}, at the {reached} elements of the result that the gradient reached"
    narrow = [
        f"{n.label} {node_location(n)}: {REASONS.get(n.label, 'its slope is 0')}"
        for n in nodes if node in n.inputs and n in found and not is_zero(found[n])
        for k, share in shares(n, like(n, found[n])) if n.inputs[k] is node and np.any(np.asarray(share) == 0)
    ]  # fmt: skip
    rest = f"; the rest of it ended at {', and at '.join(dict.fromkeys(narrow))}" if narrow else ""
    return f"the gradient reached {reached} elements of the result, none of which depends on this argument{rest}"


def arrived(node: Node, g: Any, nodes: list[Node], found: dict[Node, Any]) -> str:
    """A gradient that is not 0, in numbers."""
    told = f"{int(np.sum(g == 0))} of its {node_size(node)} elements are 0"
    bad = int(np.sum(~np.isfinite(g)))
    if bad:
        return f"{told}, {bad} NaN or infinite; detect_anomaly() tells where that began"
    largest = float(np.max(np.abs(g)))
    consumers = [n for n in nodes if node in n.inputs and n in found and n is not node and not is_zero(found[n])]
    usual = [
        float(np.max(np.abs(share))) * scale(found[n])
        for n in consumers for k, share in shares(n, like(n, found[n])) if n.inputs[k] is node
    ]  # fmt: skip
    if usual and largest < 64 * np.finfo(g.dtype).eps * max(usual):
        return f"{told}, but the largest, {largest:.2g}, is a rounding error: what its consumers pass on cancels"
    return told


def scale(g: Any) -> float:
    return max(float(np.max(np.abs(part))) for part in (g if isinstance(g, list | tuple) else [g]) if part is not None)


def like(node: Node, g: Any, where_nonzero: bool = False) -> Any:
    """A cotangent of this shape that is nowhere 0, or only where g is; drawn, lest something cancels."""
    if isinstance(g, list | tuple):
        return tuple(like(node, part, where_nonzero) for part in filled(node, list(g)))
    g = np.asarray(g)
    drawn = np.random.default_rng(0).uniform(1.0, 2.0, g.shape).astype(g.dtype)
    return np.where(g != 0, drawn, 0)[()].astype(g.dtype) if where_nonzero else drawn[()] if g.ndim == 0 else drawn


def shares(node: Node, g: Any) -> list[tuple[int, Any]]:
    """What the rules of one node pass on: (argument, share) for each tracked argument."""
    if node.plan is None:
        return [] if node.operation is None else [(0, g)]
    saved = node.saved or ()
    g = filled(node, g) if type(g) is list else g
    with np.errstate(all="ignore"):
        return [(argument, rule(g, *[saved[k] for k in needs])) for argument, rule, needs in node.plan.pullbacks]


def node_size(node: Node) -> int:
    return int(np.prod(node.shape))
