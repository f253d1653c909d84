"""Of what kind the arguments of a call are: what has to be equal for a program to hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.variable import make, operand, recognisable

__all__ = ["argument", "kind_of", "objects_among", "pattern_of", "shape_of"]

PLAIN = (bool, int, str, bytes, type(None), type)


def argument(leaf: Any) -> Any:
    """What f gets, and the tape knows by identity: of every array a Tensor of its own, though not a copy."""
    node = None
    if isinstance(leaf, Tensor):
        node, leaf = leaf._node, leaf._value
    elif not isinstance(leaf, np.ndarray | np.generic):
        return leaf
    value = operand(leaf)
    if type(value) is Foreign:
        return make(Tensor, value, node)
    if not value.ndim:
        value = recognisable(np.array(value)[()])
    return make(Tensor, value.view() if type(value) is np.ndarray else value, node)


def kind_of(leaf: Any) -> Any:
    """What has to be equal for a program to hold."""
    if type(leaf) is Tensor:
        value = leaf._value
        return value.shape, value.dtype, getattr(value, "strides", None)
    if isinstance(leaf, PLAIN):
        return type(leaf), leaf
    return (float, leaf.hex()) if type(leaf) is float else (type(leaf), id(leaf), Held(leaf))


def objects_among(leaves: list[Any]) -> list[Any]:
    """Arguments that may change without being others."""
    return [leaf for leaf in leaves if type(leaf) not in (Tensor, float) and not isinstance(leaf, PLAIN)]


class Held:
    """Keeps an object alive, so that its id stays its own."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.thing is self.thing

    def __hash__(self) -> int:
        return 0


def shape_of(outline: Any) -> Any:
    """The structure of a nest, to be compared."""
    if isinstance(outline, dict):
        return type(outline), tuple((type(key), repr(key), key, shape_of(part)) for key, part in outline.items())
    if isinstance(outline, list | tuple):
        return type(outline), tuple(map(shape_of, outline))
    return None


def pattern_of(tensors: list[Tensor]) -> tuple[int, ...]:
    """Which of them are leaves, and which of these are one and the same."""
    nodes = [each._node for each in tensors]
    return tuple([nodes.index(node) for node in nodes if node is not None])
