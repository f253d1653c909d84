"""NumPy's complaints, turned into ours: what, with which shapes, on which line of the user's, and what to do."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tinygrad_edu.errors import (
    ArgumentError,
    AutodiffError,
    DtypeError,
    MatrixError,
    RangeError,
    ShapeError,
    TooLargeError,
    UnsupportedError,
)
from tinygrad_edu.graph import not_on_tape, user_location
from tinygrad_edu.rules.left_out import OPTIONS

__all__ = ["complain", "describe", "refuse_keyword", "reject", "signature_of"]


def reject(kind: type[AutodiffError], what: str) -> NoReturn:
    """Raise our own complaint, with the user's line."""
    raise kind(f"{what}. Called {user_location()}")


def complain(operation: Any, raw: tuple[Any, ...], error: Exception) -> NoReturn:
    """Turn NumPy's complaint into ours: what, with which shapes, where, what to do."""
    not_on_tape(f"{operation.name}, which raised an error,")
    if isinstance(error, AutodiffError):
        if re.search("Called |Recorded ", str(error)):
            raise error
        reject(type(error), str(error))  # a definition's own refusal: it does not know where it was called
    described = ", ".join(describe(value) for value in raw)
    where = f"Called {user_location()}"
    said = str(error).rstrip(". ")
    if isinstance(error, np.linalg.LinAlgError):
        raise MatrixError(f"{operation.name}({described}): {said}. {where}") from None
    if isinstance(error, ValueError | TypeError) and operation.name == "matmul" and len(raw) == 2:
        raise ShapeError(f"{matmul_complaint(*raw)} {where}") from None
    if isinstance(error, MemoryError):
        raise TooLargeError(f"{operation.name}({described}): {said}. {where}") from None
    if isinstance(error, TypeError) and re.search(r"(positional|keyword|required) .*argument|for argument", said):
        signature = signature_of(operation.function)
        raise UnsupportedError(f"{operation.name}{signature or ''} does not take this call: {said}. {where}") from None
    kinds: list[tuple[type[Exception], type[AutodiffError]]] = [
        (np.exceptions.AxisError, ShapeError),
        (IndexError, RangeError),
        (ValueError, ArgumentError if operation.kind == "composite" else ShapeError),
        (TypeError, DtypeError),
        (OverflowError, DtypeError),
    ]
    for caught, raised in kinds:
        if isinstance(error, caught):
            raise raised(f"{operation.name}({described}): {said}. {where}") from None
    raise error


@functools.cache
def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """How a function is called, None if it does not say."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        return f"[{', '.join(describe(v) for v in value)}]"
    text = repr(value)
    return text if len(text) < 40 else text[:37] + "..."


def matmul_complaint(x: Any, y: Any) -> str:
    x, y = np.asarray(x), np.asarray(y)
    if not x.ndim or not y.ndim:
        return f"matmul: {x.shape} @ {y.shape}: a number has no axis to sum over; multiply by it with *."
    inner = x.shape[-1], y.shape[-2] if y.ndim > 1 else y.shape[0]
    if inner[0] == inner[1]:
        return f"matmul: {x.shape} @ {y.shape}: the leading axes do not broadcast; make them equal or 1."
    fits = [
        (x.ndim > 1 and x.shape[-2] == inner[1], "x.mT"),
        (y.ndim > 1 and y.shape[-1] == inner[0], "y.mT"),
    ]
    hint = "".join(f"; {what} would fit" for does, what in fits if does)
    return f"matmul: {x.shape} @ {y.shape}: inner sizes {inner[0]} and {inner[1]} differ{hint}."


def refuse_keyword(operation: Any, name: str, value: Any, known: Any) -> None:
    """UnsupportedError for an option that no derivative knows of, unless it is left at None."""
    if name not in known and value is not None and value is not np._NoValue:
        raise UnsupportedError(
            f"{operation.name}: the keyword {name}= is not supported on a Tensor: "
            f"{OPTIONS.get(name, 'no derivative knows of it; leave it out')}. "
            f"Called {user_location()}"
        )
