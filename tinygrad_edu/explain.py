"""Why is this gradient None, or zero? In words.

The gradient that should have arrived is followed from the output down to the tensor, and the place where it ended is
named, with the line that recorded it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable, reverse
from tinygrad_edu.graph import Fixed, Node, node_location
from tinygrad_edu.tensor import Tensor

__all__ = ["explain"]

REASONS = {
    "relu": "its argument is negative at every element: the units are dead; lower the learning rate, or raise the bias",
    "where": "the other branch was selected at every element, by a mask or a condition",
    "maximum": "the other argument was larger everywhere (dead units?)",
    "minimum": "the other argument was smaller everywhere",
    "max": "another element attained the maximum",
    "min": "another element attained the minimum",
    "multiply": "the other factor is 0 everywhere (a mask, or weights that are all zero)",
    "matmul": "the other factor is 0 wherever the cotangent is not",
    "tanh": "it is saturated: 1 - tanh² rounds to 0",
    "exp": "its result underflowed to 0",
    "getitem": "the elements that were picked are others",
    "absolute": "its argument is exactly 0, where the slope is taken as 0",
    "take": "the elements that were picked are others",
}


def explain(tensor: Tensor, output: Tensor | None = None) -> str:
    """Say why `tensor.grad` is None or zero; with `output`, follow the gradient from there.

    output: the tensor whose backward() was expected to reach this one. Its graph may have been walked already only
    with retain_graph=True, since a freed graph cannot be followed. Nothing is changed, `.grad` neither.
    """
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
        return f"No path: nothing that the output was computed from depends on {what}."
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
        zeros = int(np.sum(np.asarray(g) == 0))
        return f"The output's gradient does reach {what}: {zeros} of its {node_size(node)} elements are 0."
    towards = {node}
    for n in nodes:
        if not towards.isdisjoint(n.inputs):
            towards.add(n)
    ends = []
    for n in nodes:
        if n in found and n in towards and n is not node and not is_zero(found[n]):
            if any(n.inputs[k] in towards and is_zero(share) for k, share in shares(n, found[n])):
                reason = REASONS.get(n.label, "its rule gave 0 for this argument")
                ends.append(f"{n.label} {node_location(n)}: {reason}")
    if not ends:
        return f"The gradient of {what} is zero because the shares of its consumers cancel exactly."
    return f"The gradient of {what} is 0 because it ended at {'; and at '.join(dict.fromkeys(ends))}."


def shares(node: Node, g: Any) -> list[tuple[int, Any]]:
    """What the rules of one node pass on: (argument, share) for each tracked argument."""
    if node.plan is None:
        return [] if node.operation is None else [(0, g)]
    saved = node.saved or ()
    with np.errstate(all="ignore"):
        return [(argument, rule(g, *[saved[k] for k in needs])) for argument, rule, needs in node.plan.pullbacks]


def node_size(node: Node) -> int:
    return int(np.prod(node.shape))
