"""The record: a node for each operation that somebody may want to differentiate.

A node points at the nodes of its inputs and holds what the rules of its operation name, nothing more. Nodes never
point forward, so a graph is freed by reference counting the moment its last output goes.

    Tensor ──> Node ──> inputs: Node (tracked), Fixed (an array that is not), or a plain Python scalar
                   └──> saved:  the arrays and keywords that the rules asked for
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.operation import Plan, Primitive, SequencePlan
from tinygrad_edu.seals import Escape, Seal

__all__ = [
    "Cut",
    "Fixed",
    "Node",
    "State",
    "is_recording",
    "next_number",
    "no_grad",
    "node_location",
    "scope",
    "user_location",
    "user_origin",
]


class State:
    """What holds for the running thread or task: is the graph recorded, under which scope, are NaNs looked for.

    variables: the inputs of the transforms (grad, vjp, ...) whose function is running, outermost first.
    watch: is told of every operation that runs, as watch(operation, args, keywords, value), before it is recorded.
    """

    __slots__ = ("anomaly", "recording", "scope", "variables", "watch")

    def __init__(
        self,
        recording: bool = True,
        scope: str = "",
        anomaly: bool = False,
        variables: frozenset[Node] = frozenset(),
        watch: Callable[..., None] | None = None,
    ) -> None:
        self.recording, self.scope, self.anomaly, self.variables = recording, scope, anomaly, variables
        self.watch = watch

    def but(self, **changed: Any) -> State:
        """This state, with some of it changed."""
        return State(**{name: changed.get(name, getattr(self, name)) for name in self.__slots__})


# A context variable, not a global: a flag set by one thread must not get stuck in another.
STATE: ContextVar[State] = ContextVar("tinygrad_edu_state", default=State())  # noqa: B039, a State never changes


def is_recording() -> bool:
    """Would an operation on a tracked tensor be recorded here?"""
    return STATE.get().recording


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: `with no_grad(): ...`, or as a decorator `@no_grad()`."""
    token = STATE.set(STATE.get().but(recording=False))
    try:
        yield
    finally:
        STATE.reset(token)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Name what is recorded within; scopes nest to a path such as blocks.0.attention."""
    state = STATE.get()
    path = f"{state.scope}.{name}" if state.scope else name
    token = STATE.set(State(state.recording, path, state.anomaly, state.variables, state.watch))
    try:
        yield
    finally:
        STATE.reset(token)


next_number = itertools.count().__next__


class Cut(NamedTuple):
    """Where a gradient was cut off: by what, and on which line."""

    what: str
    origin: tuple[CodeType, int] | None

    def __str__(self) -> str:
        return f"{self.what} at {location(self.origin)}"


class Fixed:
    """An input array without gradient, as a picture wants to know it: shape, dtype, name. Its data is not kept.

    cut: where the gradient was cut off, if it was.
    """

    __slots__ = ("cut", "dtype", "name", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any, name: str | None, cut: Cut | None = None) -> None:
        self.shape, self.dtype, self.name, self.cut = shape, dtype, name, cut


class Node:
    """One recorded operation, or (operation None) a leaf.

    number   creation order: a valid topological order, and stable for pictures
    shape    of the value; a tuple of shapes (and dtypes) where there are several outputs
    origin   (code, instruction) of the user's line; decoded only when somebody asks
    seals    what guards the saved arrays against change, see seals.py
    owner    the node whose memory this value is a view of, None when it has its own
    """

    __slots__ = (
        "__weakref__", "dtype", "escape", "grad", "inputs", "name", "number", "operation", "origin", "owner", "plan",
        "retains_grad", "saved", "scope", "seals", "shape", "version",
    )  # fmt: skip

    grad: Any
    name: str | None
    version: int

    def __init__(
        self,
        operation: Any,
        plan: Plan | SequencePlan | None,
        inputs: tuple[Any, ...],
        saved: tuple[Any, ...] | None,
        shape: tuple[Any, ...],
        dtype: Any,
        scope: str,
        origin: tuple[CodeType, int] | None,
    ) -> None:
        self.number = next_number()
        self.operation = operation
        self.plan = plan
        self.inputs = inputs
        self.saved = saved
        self.shape = shape
        self.dtype = dtype
        self.scope = scope
        self.origin = origin
        self.retains_grad = False
        self.seals: tuple[Seal, ...] | None = None
        self.escape: Escape | None = None
        self.owner: Node | None = None

    def __repr__(self) -> str:
        return f"<Node {self.number} {self.label} {self.shape}>"

    @property
    def label(self) -> str:
        return "leaf" if self.operation is None else str(self.operation.name)


def leaf(value: Any, name: str | None) -> Node:
    """A node for a tensor that wants a gradient and was not computed."""
    node = Node(None, None, (), (), value.shape, value.dtype, STATE.get().scope, user_origin())
    node.version = 0
    node.grad = None
    node.retains_grad = True
    node.name = name
    return node


class Pick(Primitive):
    """Output number `index` of an operation with several outputs; its cotangent is filed under that number."""

    __slots__ = ("index",)

    def __init__(self, index: int, name: str) -> None:
        super().__init__(pick, (None,), parameters=("outputs",), name=f"{name}[{index}]")
        self.index = index


def pick(outputs: Any) -> Any:
    raise NotImplementedError("a pick is made by the engine, never called")


_HOME = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_inside: dict[str, bool] = {}


def is_inside(filename: str) -> bool:
    """Does this source file belong to the engine, to NumPy, or to the standard library's plumbing?"""
    known = _inside.get(filename)
    if known is None:
        known = _inside[filename] = filename.startswith((_HOME, _NUMPY)) or filename.endswith("contextlib.py")
    return known


def user_origin(depth: int = 3) -> tuple[CodeType, int] | None:
    """The innermost frame outside the engine, as (code, instruction): cheap to take, decoded on demand.

    depth: how many frames are the engine's for sure: this one, the one that records or raises, the method before.
    """
    frame = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        inside = _inside.get(code.co_filename)
        if not (is_inside(code.co_filename) if inside is None else inside):
            return code, frame.f_lasti
        frame = frame.f_back  # type: ignore[assignment]
    return None


def location(origin: tuple[CodeType, int] | None) -> str:
    """lesson.py:41, from an origin."""
    if origin is None:
        return "an unknown line"
    code, instruction = origin
    line = next(itertools.islice(code.co_positions(), instruction // 2, None), (None,))[0]
    return f"{os.path.basename(code.co_filename)}:{line or code.co_firstlineno}"


def user_location() -> str:
    """`at lesson.py:41, in blocks.0.attention`, for an error raised now."""
    return placed(location(user_origin()), STATE.get().scope)


def node_location(node: Node) -> str:
    """`at lesson.py:41, in blocks.0.attention`, for an operation recorded earlier."""
    return placed(location(node.origin), node.scope)


def placed(where: str, scope_path: str) -> str:
    return f"at {where}, in {scope_path}" if scope_path else f"at {where}"
