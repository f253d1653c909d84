"""Calls of every operation in the registry, drawn.

Elementwise operations are drawn from what they declare: how many arguments,
and on which domain. Every other one has a
function from a Draw to a Call in one of the family modules. `without_calls` names what has neither.
"""

import functools

from hypothesis import strategies as st

from calls import elementwise, fused, indexing, linalg, parts, reductions, shapes, signals
from calls.draw import Call, Draw
from tinygrad_edu.primitive import Primitive, registry

WRITTEN = {
    **elementwise.CALLS, **reductions.CALLS, **shapes.CALLS, **indexing.CALLS, **linalg.CALLS,
    **signals.CALLS, **fused.CALLS, **parts.CALLS,
}  # fmt: skip

OPERATIONS = [
    operation
    for function, operation in registry().items()
    if operation.kind in ("rule", "composite") and function.__module__.startswith(("numpy", "tinygrad_edu"))
]


def key_of(operation):
    """The function a user calls: what the registry files the operation under."""
    return next(function for function, known in registry().items() if known is operation)


def drawn_by(operation):
    """The function from a Draw to a Call, None if there is none."""
    written = WRITTEN.get(key_of(operation))
    if written is not None:
        return written
    if isinstance(operation, Primitive) and operation.elementwise and None not in operation.rules:
        return functools.partial(elementwise.derived, key_of(operation), operation.domain)
    return None


def calls(operation):
    """A Hypothesis strategy of calls of one operation."""
    write = drawn_by(operation)

    @st.composite
    def strategy(draw):
        return write(Draw(draw))

    return strategy()


def without_calls():
    return [operation.name for operation in OPERATIONS if drawn_by(operation) is None]


__all__ = ["OPERATIONS", "Call", "Draw", "calls", "key_of", "without_calls"]
