"""What holds while an operation runs: the state of its thread or task, and the user's line that called it."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import CodeType
from typing import Any

import numpy as np

__all__ = [
    "INSIDE",
    "STATE",
    "Revision",
    "State",
    "carrying",
    "definitions",
    "entered",
    "getframe",
    "hear",
    "is_recording",
    "left",
    "location",
    "no_grad",
    "not_on_tape",
    "placed",
    "scope",
    "user_location",
    "user_origin",
]


class State:
    """What holds for the running thread or task: is the graph recorded, under which scope, are NaNs looked for.

    variables: the inputs of the transforms (grad, vjp, ...) whose function is running, outermost first.
    watch: is told of every operation that runs, as watch(operation, args, keywords, value), before it is recorded.
    tell: is told of every share of a backward pass, see backward.reverse.
    defined: run what defines a kernel, instead of the kernel.
    carries: an ndarray that meets an array of another library is a rule's or a definition's own, and is carried over.
    tape: writes down what runs, to run it again; see capture.
    inner: the states of the scopes that were entered from here, by name, and of no_grad(), by None: a model enters the
        same ones at each step.
    """

    __slots__ = (
        "anomaly", "carries", "defined", "heard", "inner", "recording", "scope", "tape", "tell", "variables", "watch",
    )  # fmt: skip

    def __init__(
        self,
        recording: bool = True,
        scope: str = "",
        anomaly: bool = False,
        variables: frozenset[Any] = frozenset(),
        watch: Callable[..., None] | None = None,
        defined: bool = False,
        tell: Callable[..., None] | None = None,
        tape: Any = None,
        carries: bool = False,
    ) -> None:
        self.recording, self.scope, self.anomaly, self.variables = recording, scope, anomaly, variables
        self.watch, self.defined, self.tell, self.tape, self.carries = watch, defined, tell, tape, carries
        self.heard = watch is not None or tape is not None  # one question for each operation, not two
        self.inner: dict[str | None, State] = {}

    def within(self, name: str | None) -> State:
        """The state in a scope of that name, or in no_grad()."""
        inner = self.inner.get(name)
        if inner is None:
            if len(self.inner) >= SCOPES:
                self.inner.clear()
            if name is None:
                inner = self.but(recording=False)
            else:
                inner = self.but(scope=f"{self.scope}.{name}" if self.scope else name)
            self.inner[name] = inner
        return inner

    def but(self, **changed: Any) -> State:
        """This state, with some of it changed."""
        state = State(
            self.recording, self.scope, self.anomaly, self.variables, self.watch, self.defined, self.tell, self.tape,
            self.carries,
        )  # fmt: skip
        for name, value in changed.items():
            setattr(state, name, value)
        state.heard = state.watch is not None or state.tape is not None
        return state


SCOPES = 256  # in one other; names that are made up as a program runs may not pile up

# A context variable, not a global: a flag set by one thread must not get stuck in another.
STATE: ContextVar[State] = ContextVar("tinygrad_edu_state", default=State())  # noqa: B039, a State never changes


def hear(
    operation: Any, run: Callable[..., Any], args: Any, keywords: dict[str, Any], value: Any, given: Any
) -> None:
    """An operation has run, as run(*args, **keywords): tell who asked. given: the arguments, Tensors among them."""
    state = STATE.get()
    if state.watch is not None:
        state.watch(operation, args, keywords, value)
        not_on_tape("what somebody watches (profile, detect_anomaly)")
    if state.tape is not None:
        state.tape.ran(run, args, keywords, value, given, operation)


def not_on_tape(what: str) -> None:
    """Something happens that no tape can hold: whoever records goes on without it, and says why."""
    tape = STATE.get().tape
    if tape is not None:
        tape.fail(what)


def left(value: Any, kind: type[Any]) -> Any:
    """A number that Python asks for, to decide or to count by: a tape holds that it was this one."""
    elsewhere = hasattr(value, "run_whole")  # what is worked out when asked by name only is not asked so
    found = kind(value if elsewhere else value.item())
    tape = STATE.get().tape
    if tape is not None:
        tape.decides(kind, value, found)
    return found


class Revision:
    """How often an attribute of a module has changed: what was recorded before may not hold since."""

    number = 0


def is_recording() -> bool:
    """Would an operation on a tracked tensor be recorded here?"""
    return STATE.get().recording


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: `with no_grad(): ...`, or as a decorator `@no_grad()`."""
    token = STATE.set(STATE.get().within(None))
    try:
        yield
    finally:
        STATE.reset(token)


@contextmanager
def carrying(needed: bool = True) -> Iterator[None]:
    """Within it an ndarray that meets an array of another library is no mistake of the caller's: it is carried over."""
    token = STATE.set(STATE.get().but(carries=True)) if needed else None
    try:
        yield
    finally:
        if token is not None:
            STATE.reset(token)


@contextmanager
def definitions() -> Iterator[None]:
    """Within it `functional` runs (and a graph shows) the forward code that defines an operation, not its kernel.

    Softmax, the norms, GELU and the like have kernels of their own, for speed; the numbers are the same to the last
    digits. `with definitions(): loss = f(x)` records exp, max, sum and a division in place of one softmax.
    """
    token = STATE.set(STATE.get().but(defined=True))
    try:
        yield
    finally:
        STATE.reset(token)


def entered(name: str) -> Token[State]:
    """The scope begins; STATE.reset of what is returned ends it. For calls of modules: half the time of a with."""
    return STATE.set(STATE.get().within(name))


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Name what is recorded within; scopes nest to a path such as blocks.0.attention."""
    token = entered(name)
    try:
        yield
    finally:
        STATE.reset(token)


# Where in the user's code

_HOME = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_PACKAGES = tuple(_PYTHON + folder + os.sep for folder in ("site-packages", "dist-packages"))


class Inside(dict[str, bool]):
    """Does a source file belong to the engine, to NumPy, or to the standard library? Looked at once."""

    def __missing__(self, filename: str) -> bool:
        pythons = filename.startswith(_PYTHON) and not filename.startswith(_PACKAGES)
        known = self[filename] = pythons or filename.startswith((_HOME, _NUMPY))
        return known


INSIDE = Inside()
getframe = sys._getframe


def user_origin(depth: int = 3) -> tuple[CodeType, int] | None:
    """The innermost frame outside the engine, as (code, instruction): cheap to take, decoded on demand.

    depth: how many frames are the engine's for sure: this one, the one that records or raises, the method before.
    """
    frame: Any = getframe(depth)
    while frame is not None:
        code = frame.f_code
        if not INSIDE[code.co_filename]:
            return code, frame.f_lasti
        frame = frame.f_back
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


def placed(where: str, scope_path: str) -> str:
    return f"at {where}, in {scope_path}" if scope_path else f"at {where}"
