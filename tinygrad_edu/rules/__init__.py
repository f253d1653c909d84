"""The table of derivatives, one file a family. Importing this package fills the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_edu.primitive import Operation, Primitive, registry
from tinygrad_edu.rules import (
    elementwise,
    folds,
    fused,
    fused_attention,
    fused_rows,
    indexing,
    left_out,
    linalg,
    missing,
    norms,
    parts,
    products,
    ranges,
    reductions,
    running,
    shapes,
    signals,
)

__all__ = [
    "elementwise",
    "folds",
    "fused",
    "fused_attention",
    "fused_rows",
    "indexing",
    "left_out",
    "linalg",
    "lookup",
    "missing",
    "norms",
    "operation_of",
    "parts",
    "products",
    "ranges",
    "reductions",
    "running",
    "shapes",
    "signals",
]


def lookup(function: Callable[..., Any]) -> Operation | None:
    """What the registry knows of a function, None if nothing."""
    return registry().get(function)


def operation_of(function: Callable[..., Any]) -> Primitive:
    """The primitive that stands for a function; TypeError if it is none."""
    operation = registry().get(function)
    if not isinstance(operation, Primitive):
        raise TypeError(f"{function!r} has no rules of its own")
    return operation
