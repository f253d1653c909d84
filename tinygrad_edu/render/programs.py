"""A captured program as a view: its steps in the order in which they run, and the buffers that they write into."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.render.labels import value_text
from tinygrad_edu.render.plain import Edge, View, ViewNode
from tinygrad_edu.tape.program import Program, Row
from tinygrad_edu.tape.steps import Value, values_in

__all__ = ["view_of_program"]


def view_of_program(program: Program) -> View:
    """Each step by the buffers in which its results live; arguments and weights by their names in the source."""
    nodes: list[ViewNode] = []
    edges: list[Edge] = []
    made: dict[Value, int] = {}
    read = [value for row in program.rows for value in values_in((row.step.args, row.step.keywords))]
    born = {value for row in program.rows for value, _ in row.births}
    for value in dict.fromkeys([*program.arguments, *program.tensors, *(each for each in read if each not in born)]):
        made[value] = len(nodes)
        nodes.append(entry(program, value, len(nodes)))
    for row in program.rows:
        number = len(nodes)
        nodes.append(step_of(row, number))
        reads = dict.fromkeys(values_in((row.step.args, row.step.keywords)))
        edges += [Edge(made[value], number, k, "") for k, value in enumerate(reads)]
        made.update((value, number) for value, _ in row.births)
    buffers = {name for row in program.rows for _, name in row.births}
    notes = (
        f"{len(program.rows)} steps in {len(buffers)} buffers, of which at most {most_bytes(program) / 1e6:.3g} MB are "
        "in use at a time",
    )
    ends = [made[value] for value in values_in([*program.outputs, *[each.g for each in program.deposits]])]
    return View(tuple(nodes), tuple(edges), ends[0] if ends else len(nodes) - 1, notes=notes)


def entry(program: Program, value: Value, number: int) -> ViewNode:
    name, shape = program.names[value], value.shape
    known = getattr(value.held, "name", None)
    if value.kind not in ("argument", "tensor"):
        label = value_text(value.held[()]) if not shape else name
        return ViewNode(number, "constant", label, None, "", shape, str(value.dtype))
    kind = "leaf" if value.kind == "tensor" and value.leaf is not None else "constant"
    return ViewNode(number, kind, f"{name} {known}" if known else name, known or name, "", shape, str(value.dtype))


def step_of(row: Row, number: int) -> ViewNode:
    step = row.step
    values = [value for value, _ in row.births]
    shape: Any = tuple([value.shape for value in values]) if len(values) > 1 else values[0].shape if values else ()
    back = step.phase in ("backward", "sum")
    scope = ".".join(filter(None, ["backward" if back else "", step.scope]))
    told = (("must be", value_text(step.expected)),) if step.phase == "check" else ()
    into = (("in", ", ".join(name for _, name in row.births)),) if row.births else ()
    frees = (("frees", ", ".join(row.deaths)),) if row.deaths else ()
    return ViewNode(
        number, "operation", step.name, None, scope, shape, str(values[0].dtype) if values else "bool",
        keywords=(*told, *into, *frees), saved_bytes=None, where=step.line,
    )  # fmt: skip


def most_bytes(program: Program) -> int:
    """Of all buffers in use at a time, arguments, weights and constants apart; a view counts as a copy."""
    held: dict[str, int] = {}
    most = 0
    for row in program.rows:
        for value, name in row.births:
            size = value.dtype.itemsize
            for length in value.shape:
                size *= length
            held[name] = size
        most = max(most, sum(held.values()))
        for name in row.deaths:
            held.pop(name, None)
    return most
