"""A call of an operation, as something to differentiate: its float arrays, wherever they stand, are the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.testing.literals import literal, name_of
from tinygrad_edu.tree import flatten

__all__ = ["Call"]


class Call:
    """function(*args, **kwargs). Called with other arrays in the places of its float arrays, it returns the outputs.

    arrays: the float arrays among the arguments, in the order in which `call(*arrays)` takes them. Outputs come as a
    list, whether the function returns one or several.

        call = Call(np.multiply, (np.array([1.0, 2.0]), 3.0))
        call(*call.arrays)                # [array([3., 6.])]
        gradcheck(call, *call.arrays)
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None):
        self.function, self.args, self.kwargs = function, tuple(args), dict(kwargs or {})
        self.leaves, self.rebuild = flatten([list(self.args), self.kwargs])
        self.places = [k for k, leaf in enumerate(self.leaves) if is_float_array(leaf)]

    @property
    def arrays(self) -> list[np.ndarray]:
        return [self.leaves[k] for k in self.places]

    def __call__(self, *arrays: Any) -> list[Any]:
        leaves = list(self.leaves)
        for k, array in zip(self.places, arrays, strict=True):
            leaves[k] = array
        args, kwargs = self.rebuild(leaves)
        out = self.function(*args, **kwargs)
        return list(out) if isinstance(out, tuple | list) else [out]

    def __repr__(self) -> str:
        return f"{name_of(self.function)}({arguments(self.args, self.kwargs)})"


def arguments(args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    return ", ".join([*map(literal, args), *[f"{key}={literal(value)}" for key, value in kwargs.items()]])


def is_float_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"
