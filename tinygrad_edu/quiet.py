"""`quiet()`: np.errstate(all="ignore") in a tenth of its time, for what is entered at every backward pass.

NumPy (2.0 and later) keeps its error state in a context variable, and np.errstate works out anew each time what to put
there. Here that is found once, by looking at what np.errstate changes; where it changes nothing that can be seen so,
it is used itself.
"""

from __future__ import annotations

from contextvars import ContextVar, Token, copy_context
from typing import Any

import numpy as np

__all__ = ["quiet"]


def silence() -> tuple[ContextVar[Any], Any] | None:
    """The variable that np.errstate(all="ignore") sets, and to what."""
    before = copy_context()
    with np.errstate(all="ignore"):
        after = copy_context()
    found = [(variable, value) for variable, value in after.items() if before.get(variable) is not value]
    return found[0] if len(found) == 1 else None


class Silence:
    """While one is entered, this thread's or task's floating-point errors pass without a word."""

    __slots__ = ("token",)
    token: Token[Any]

    def __enter__(self) -> None:
        self.token = VARIABLE.set(VALUE)

    def __exit__(self, *_: object) -> None:
        VARIABLE.reset(self.token)


def quiet() -> Any:
    """A context in which nothing is said of overflow, of 0 / 0 and the like."""
    return np.errstate(all="ignore") if FOUND is None else Silence()


FOUND = silence()
if FOUND is not None:
    VARIABLE, VALUE = FOUND
