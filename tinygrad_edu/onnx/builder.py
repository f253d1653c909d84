"""The graph while it is built: nodes and constants as plain data, and which array goes by which name.

An array is known by its identity. What comes from an input has a name; everything else is a constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import UnsupportedError

__all__ = ["Builder", "Name", "OpNode", "parts_of"]


class Name(str):
    """The name of a value in the graph."""

    __slots__ = ()


class OpNode(NamedTuple):
    """One node of ONNX. about: which operation of ours it belongs to, and where that was called."""

    op: str
    inputs: tuple[Name, ...]
    outputs: tuple[Name, ...]
    attributes: Mapping[str, Any]
    about: str


class Builder:
    """Called with an ONNX operation and its inputs, it adds a node and returns the name of its output.

    Inputs are names, or arrays and numbers as our operations had them. label: what the next nodes are named after.
    """

    def __init__(self) -> None:
        self.nodes: list[OpNode] = []
        self.constants: dict[Name, np.ndarray] = {}
        self.pool: dict[tuple[Any, ...], Name] = {}  # a constant of many uses is stored once
        self.known: dict[int, Name] = {}
        self.parameters: dict[int, Name] = {}
        self.held: list[Any] = []  # so that no identity is used twice
        self.taken: dict[str, int] = {}
        self.label = self.about = ""
        self.lost = False  # did a truth value without axes come from an input? It is one of two objects, not itself

    def __call__(self, op: str, *inputs: Any, **attributes: Any) -> Name:
        return self.several(op, 1, *inputs, **attributes)[0]

    def several(self, op: str, count: int, *inputs: Any, **attributes: Any) -> tuple[Name, ...]:
        """A node of so many outputs."""
        names = tuple(self.name_of(each) for each in inputs)
        outputs = tuple(self.fresh(self.label or op) for _ in range(count))
        self.nodes.append(OpNode(op, names, outputs, attributes, self.about))
        return outputs

    def fresh(self, stem: str) -> Name:
        number = self.taken[stem] = self.taken.get(stem, 0) + 1
        return Name(stem if number == 1 else f"{stem}_{number}")

    # Which array goes by which name

    def enter(self, value: Any, name: Name) -> None:
        self.known[id(value)] = name
        self.held.append(value)

    def comes_from_input(self, value: Any) -> bool:
        """Does it, or something in it, come from an input?"""
        if isinstance(value, list | tuple):
            return any(self.comes_from_input(each) for each in value)
        if isinstance(value, np.bool_):
            return self.lost
        return isinstance(value, np.ndarray | np.generic) and id(value) in self.known

    def name_of(self, value: Any) -> Name:
        """The value's name; a constant is stored under one."""
        if isinstance(value, Name):
            return value
        if isinstance(value, np.bool_) and self.lost:
            raise UnsupportedError(
                f"{self.about}: a truth value without axes has no identity to be followed by; give it one, x[None]"
            )
        if isinstance(value, np.ndarray | np.generic):
            if id(value) in self.known:
                return self.known[id(value)]
            if id(value) in self.parameters:
                name = self.parameters[id(value)]
                self.constants[name] = np.asarray(value)
                return name
        array = np.asarray(value)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.pool:
            name = self.pool[key] = self.fresh("constant")
            self.constants[name] = array
        return self.pool[key]

    # What many operations need

    def cast(self, value: Any, dtype: Any) -> Name:
        """A value of ours in a dtype, which ONNX, unlike NumPy, wants to be told."""
        if not self.comes_from_input(value) and id(value) not in self.parameters:
            return self.name_of(np.asarray(value, dtype))
        if value.dtype == dtype:
            return self.name_of(value)
        return self("Cast", value, to=np.dtype(dtype))

    def shaped(self, value: Any, shape: Any) -> Name:
        return self("Reshape", value, np.asarray(shape, np.int64).reshape(-1), allowzero=int(0 in shape))

    def expanded(self, value: Any, shape: Any) -> Name:
        return self("Expand", value, np.asarray(shape, np.int64).reshape(-1))

    def gathered(self, value: Any, places: Any, shape: Any) -> Name:
        """Element places[k] of the values in a row, in a result of `shape`."""
        return self.shaped(self("Gather", self.shaped(value, (-1,)), places, axis=0), shape)

    # What is left in the end

    def pruned(self, outputs: tuple[Name, ...]) -> tuple[list[OpNode], dict[Name, np.ndarray]]:
        """The nodes and constants that the outputs depend on."""
        wanted, nodes = set(outputs), []
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.outputs):
                wanted.update(node.inputs)
                nodes.append(node)
        return nodes[::-1], {name: array for name, array in self.constants.items() if name in wanted}


def parts_of(value: Any) -> Iterator[Any]:
    """One array, or each of several."""
    if isinstance(value, tuple | list):
        yield from value
    else:
        yield value
