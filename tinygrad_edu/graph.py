"""The record: a node for each operation that somebody may want to differentiate.

A node points at the nodes of its inputs and holds what the rules of its operation name, nothing more. Nodes never
point forward, so a graph is freed by reference counting the moment its last output goes.

    Tensor ──> Node ──> inputs: Node (tracked), Fixed (an array that is not), or a plain Python scalar
                   └──> saved:  the arrays and keywords that the rules asked for
"""

from __future__ import annotations

import functools
import itertools
from types import CodeType
from typing import Any, NamedTuple

from tinygrad_edu.operation import Plan, Primitive
from tinygrad_edu.seals import Escape
from tinygrad_edu.state import (
    INSIDE,
    STATE,
    State,
    carrying,
    definitions,
    getframe,
    hear,
    is_recording,
    left,
    location,
    no_grad,
    not_on_tape,
    placed,
    scope,
    user_location,
    user_origin,
)

__all__ = [
    "FREED",
    "PLAIN",
    "STATE",
    "Cut",
    "Extras",
    "Fixed",
    "Node",
    "Pick",
    "State",
    "carrying",
    "definitions",
    "hear",
    "is_recording",
    "leaf",
    "left",
    "location",
    "next_number",
    "no_grad",
    "node_location",
    "not_on_tape",
    "picked",
    "record",
    "scope",
    "user_location",
    "user_origin",
]

next_number = itertools.count().__next__


class Cut(NamedTuple):
    """Where a gradient was cut off: by what, and on which line."""

    what: str
    origin: tuple[CodeType, int] | None

    def __str__(self) -> str:
        return self.what if self.origin is None else f"{self.what} at {location(self.origin)}"


class Fixed:
    """An input array without gradient, as a picture wants to know it: shape, dtype, name. Its data is not kept.

    cut: where the gradient was cut off, if it was.
    """

    __slots__ = ("cut", "dtype", "name", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any, name: str | None, cut: Cut | None = None) -> None:
        self.shape, self.dtype, self.name, self.cut = shape, dtype, name, cut


class Extras:
    """What few nodes have: most share one PLAIN, which says so.

    grad, name, changed   of a leaf; changed: the number its data was last replaced at
    retains_grad          its cotangent goes into `grad`: a leaf's does
    escape                its array was handed out by `.data`, see seals.py
    owner                 the node whose memory this value is a view of, None when it has its own
    """

    __slots__ = ("changed", "escape", "grad", "name", "owner", "retains_grad")

    def __init__(self, name: str | None = None, retains_grad: bool = False) -> None:
        self.name, self.retains_grad = name, retains_grad
        self.grad: Any = None
        self.escape: Escape | None = None
        self.owner: Node | None = None
        self.changed = -1


PLAIN = Extras()
FREED: Any = object()  # instead of what was kept, once a backward pass has let it go


def extra(name: str) -> Any:
    """An attribute of a node that is kept in its `extras`."""

    def read(node: Node) -> Any:
        return getattr(node.extras, name)

    def write(node: Node, value: Any) -> None:
        if node.extras is PLAIN:
            node.extras = Extras()
        setattr(node.extras, name, value)

    return property(read, write)


class Node:
    """One recorded operation, or (operation None) a leaf.

    number   creation order: a valid topological order, and stable for pictures
    plan     the operation's, for the inputs that are tracked; None for a leaf
    inputs   one for each operand: Node, Fixed, or a plain scalar; `sources` are the tracked ones alone
    saved    what the rules asked for, in the order of plan.names; None once it was freed
    shape    of the value; a tuple of shapes (and dtypes) where there are several outputs
    origin   (code, instruction) of the user's line; decoded only when somebody asks
    marks    None: no array was saved. Else (position, array, fingerprint) of those that may change unseen, see seals.py

    In a graph of a million nodes the cyclic garbage collector takes longer than the arithmetic, and it charges by the
    object. So what comes alone (one source, one fixed input, one saved value) stands in its slot bare, in no tuple of
    one: a step of a chain is one object, not four (collecting took 2.7 µs an operation at 10⁶, and takes 0.7). Inner
    loops read `feeds`, `fixed` and `kept`; all others the
    properties, which give tuples always.
    """

    __slots__ = (
        "__weakref__", "code", "dtype", "extras", "feeds", "fixed", "instruction", "kept", "marks", "number", "plan",
        "scope", "shape",
    )  # fmt: skip

    number: int
    plan: Any
    feeds: Any
    fixed: Any
    kept: Any
    marks: tuple[Any, ...] | None
    shape: tuple[Any, ...]
    dtype: Any
    scope: str
    code: CodeType | None
    instruction: int
    extras: Extras

    grad, name, retains_grad = extra("grad"), extra("name"), extra("retains_grad")
    changed, escape, owner = extra("changed"), extra("escape"), extra("owner")

    def __repr__(self) -> str:
        return f"<Node {self.number} {self.label} {self.shape}>"

    @property
    def operation(self) -> Any:
        return None if self.plan is None else self.plan.operation

    @property
    def label(self) -> str:
        return "leaf" if self.plan is None else str(self.plan.operation.name)

    @property
    def sources(self) -> tuple[Node, ...]:
        return (self.feeds,) if type(self.feeds) is Node else self.feeds

    @property
    def inputs(self) -> tuple[Any, ...]:
        inputs = list(self.fixed) if type(self.fixed) is tuple else [self.fixed]
        for place, source in zip(() if self.plan is None else self.plan.tracked, self.sources, strict=True):
            inputs.insert(place, source)
        return tuple(inputs)

    @property
    def saved(self) -> tuple[Any, ...] | None:
        if self.kept is FREED:
            return None
        return (self.kept,) if self.plan is not None and self.plan.alone else self.kept

    @property
    def origin(self) -> tuple[CodeType, int] | None:
        return None if self.code is None else (self.code, self.instruction)


def record(plan: Any, feeds: Any, fixed: Any, kept: Any, shape: Any, dtype: Any, scope: str) -> Node:
    """A node for an operation that just ran, on the user's line. feeds, fixed, kept: see Node."""
    node = Node()  # no __init__: a call and a frame less, 0.15 µs
    node.number = next_number()
    node.plan = plan
    node.feeds = feeds
    node.fixed = fixed
    node.kept = kept
    node.marks = None
    node.shape = shape
    node.dtype = dtype
    node.scope = scope
    node.extras = PLAIN
    # The user's line, as user_origin() finds it, but in two slots and in no tuple.
    frame: Any = getframe(3)
    code = frame.f_code
    while INSIDE[code.co_filename]:
        frame = frame.f_back
        if frame is None:
            node.code = None
            return node
        code = frame.f_code
    node.code = code
    node.instruction = frame.f_lasti
    return node


def leaf(value: Any, name: str | None) -> Node:
    """A node for a tensor that wants a gradient and was not computed."""
    node = record(None, (), (), (), value.shape, value.dtype, STATE.get().scope)
    node.extras = Extras(name, retains_grad=True)
    return node


class Pick(Primitive):
    """Output number `index` of an operation with several outputs; its cotangent is filed under that number."""

    __slots__ = ("index",)

    def __init__(self, index: int, name: str) -> None:
        super().__init__(pick, (lambda g: g,), parameters=("outputs",), name=f"{name}[{index}]")
        self.index = index


def pick(outputs: Any) -> Any:
    raise NotImplementedError("a pick is made by the engine, never called")


@functools.lru_cache(maxsize=256)
def pick_plan(index: int, name: str) -> Plan:
    """The plan of every node that picks this output of that operation."""
    plan = Pick(index, name).plan(1)
    plan.unusual = True
    return plan


def picked(node: Node, index: int, part: Any) -> Node:
    """A node for one of several outputs."""
    plan = pick_plan(index, node.label)
    made = record(plan, node, (), (), part.shape, part.dtype, node.scope)
    made.code, made.instruction = node.code, getattr(node, "instruction", 0)
    return made


def node_location(node: Node) -> str:
    """`at lesson.py:41, in blocks.0.attention`, for an operation recorded earlier."""
    return placed(location(node.origin), node.scope)
