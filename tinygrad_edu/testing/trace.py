"""What a function did when it ran on Tensors: every operation with its arguments, its value and the user's line.

The signature of a run names the smooth piece that it went through: the kinks that operations declare (which side of
relu, which element is the maximum), and every comparison, index and rounding on the way. Two runs with one signature
have no kink between them, as far as the operations can tell.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.graph import STATE, location, next_number, user_origin
from tinygrad_edu.operation import Operation, Primitive
from tinygrad_edu.state import placed
from tinygrad_edu.tensor import Tensor

__all__ = ["Step", "recorded", "run_traced"]

# Constants that change with every argument, and say nothing about kinks.
SMOOTH = {"spacing", "nextafter", "linalg.cond"}


class Step(NamedTuple):
    """One operation that ran: its plain arguments, keywords and value. number: of the node made for it, if one was.
    where: `at lesson.py:41, in blocks.0`, as placed by origin and scope."""

    operation: Operation
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    value: Any
    number: int
    origin: tuple[CodeType, int] | None = None
    scope: str = ""

    @property
    def where(self) -> str:
        return placed(location(self.origin), self.scope)


@contextmanager
def recorded(recording: bool = True) -> Iterator[list[Step]]:
    """Within it, every operation on Tensors is listed as it runs; `recording`: graphs are recorded, as well."""
    steps: list[Step] = []

    def watch(operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        steps.append(Step(operation, args, keywords, value, next_number() + 1, user_origin(), STATE.get().scope))

    token = STATE.set(STATE.get().but(recording=recording, watch=watch))
    try:
        yield steps
    finally:
        STATE.reset(token)


def run_traced(f: Callable[..., Any], arrays: Sequence[Any]) -> tuple[Any, Hashable]:
    """f's value on Tensors of these arrays, and the signature of the smooth piece that it ran through."""
    digest = hashlib.blake2b(digest_size=16)

    def watch(operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        if isinstance(operation, Primitive) and operation.kinks is None:
            return  # most of what runs
        for mark in marks(operation, args, keywords, value):
            digest.update(operation.name.encode())
            digest.update((mark + 0).tobytes())  # -0.0 and 0.0 are one piece

    token = STATE.set(STATE.get().but(recording=False, watch=watch))
    try:
        value = f(*[Tensor(array) for array in arrays])
    finally:
        STATE.reset(token)
    return value, digest.digest()


def marks(operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> Iterator[np.ndarray]:
    """The arrays that tell on which side of its kinks an operation ran."""
    if isinstance(operation, Primitive):
        if operation.kinks is not None:
            yield np.asarray(operation.kinks(*args, **understood(operation, keywords)))
    elif operation.kind == "constant" and operation.name not in SMOOTH:
        for part in value if isinstance(value, tuple) else (value,):
            mark = np.asarray(part)
            if mark.dtype.kind in "biuf":
                yield mark


def understood(operation: Primitive, keywords: dict[str, Any]) -> dict[str, Any]:
    """Without those that change no derivative, unless `kinks` takes them: np.sort(x, kind="stable")."""
    code = getattr(operation.kinks, "__code__", None)
    if code is None or code.co_flags & inspect.CO_VARKEYWORDS or operation.neutral.isdisjoint(keywords):
        return keywords
    return {k: v for k, v in keywords.items() if k not in operation.neutral or k in code.co_varnames}
