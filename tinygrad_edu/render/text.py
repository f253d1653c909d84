"""A view as lines for a terminal: one node a line, scopes indented, each operation written as a call.

    0  x   (4, 3)  leaf
    2  matmul(x, W)   (4, 2)
    dense:
      3  add(#2, b)   (4, 2)
"""

from __future__ import annotations

from tinygrad_edu.render.fold import depths, parents, title
from tinygrad_edu.render.labels import NOTHING, contents, gradient_text, printable, shape_text, value_of
from tinygrad_edu.render.plain import View, ViewNode

__all__ = ["text_of"]


def text_of(view: View) -> str:
    """Constants stand inside the calls that use them; #2 is the result of line 2."""
    around = parents(view)
    depth = depths(around)
    arguments: list[list[str]] = [[] for _ in view.nodes]
    for edge in view.edges:
        arguments[edge.target].append(reference(view.nodes[edge.source]))
    width = len(str(len(view.nodes) - 1))
    lines = [f"({note})" for note in view.notes]
    open_scope = ""
    for node in view.nodes:
        if node.kind == "constant" and len(view.nodes) > 1:
            continue
        if node.scope != open_scope:
            lines += headings(view, node.scope, open_scope, around, depth)
            open_scope = node.scope
        lines.append(f"{'  ' * depth[node.scope]}{node.number:>{width}}  {line_of(view, node, arguments[node.number])}")
    return "\n".join(lines) + "\n"


def headings(view: View, scope: str, left: str, around: dict[str, str], depth: dict[str, int]) -> list[str]:
    """The scopes entered on the way from `left` to `scope`, outermost first."""
    opened = {""}
    while left:
        opened.add(left)
        left = around[left]
    entered = []
    while scope not in opened:
        entered.append(f"{'  ' * (depth[scope] - 1)}{printable(title(view, scope, around[scope]))}:")
        scope = around[scope]
    return entered[::-1]


def reference(node: ViewNode) -> str:
    if node.kind == "leaf" and node.name:
        return printable(node.label)
    if node.kind == "constant":
        shape = "" if node.name else shape_text(node.shape)
        return printable(node.label) + shape
    return f"#{node.number}"


def line_of(view: View, node: ViewNode, arguments: list[str]) -> str:
    label = printable(node.label)
    if node.kind == "folded":
        inside = ", ".join(contents(node, view.scopes.get(node.name or "", NOTHING)))
        facts = [f"{label}: {inside}" + (f"  from {', '.join(arguments)}" if arguments else "")]
    elif node.kind == "operation":
        given = [*arguments, *(f"{name}={printable(value)}" for name, value in node.keywords)]
        facts = [f"{label}({', '.join(given)})" + (f" = {printable(node.name)}" if node.name else "")]
    else:
        facts = [label]
    facts.append(f"{shape_text(node.shape) or 'scalar'} {node.dtype}")
    if node.kind == "leaf":
        facts.append("leaf")
    if value := value_of(node):
        facts.append(value)
    if node.gradient is not None:
        facts.append(gradient_text(node.gradient, node.size))
    if node.saved_bytes:
        facts.append(f"keeps {node.saved_bytes:,} B")
    if node.where and node.kind == "operation":
        facts.append(printable(node.where))
    return "  ".join(facts)
