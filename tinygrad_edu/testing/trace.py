"""What a function did when it ran on Tensors: every operation with its arguments, its value and the user's line."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from tinygrad_edu.graph import no_grad
from tinygrad_edu.tensor import Tensor

__all__ = ["run_traced"]


def run_traced(f: Callable[..., Any], arrays: Sequence[Any]) -> tuple[Any, Hashable]:
    """f's value on Tensors of these arrays, and the signature of the smooth piece that it ran through."""
    with no_grad():
        return f(*[Tensor(array) for array in arrays]), None
