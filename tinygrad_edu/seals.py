"""Guards on saved arrays: if one changes between forward and backward, the gradient must not be computed from it.

Three ways an array can change, and what notices each, at no cost where none is possible:

    an optimiser or `t.data = ...` replaces a leaf's data    the leaf's last change is younger than the node
    the caller's own ndarray, used as an operand, changes    its fingerprint, taken when it was saved, differs
    `t.data` handed out the engine's array, and it changes   its fingerprint, taken when it was handed out, differs
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Escape", "changed", "fingerprint", "guard", "root_of"]

SMALL = 1 << 13  # bytes: up to here a copy is made and compared, which takes a tenth of the time of a checksum


class Escape(NamedTuple):
    """The engine's own array was handed to the user: the memory, and what it held then."""

    array: np.ndarray
    mark: Any


def fingerprint(array: np.ndarray) -> Any:
    """What changes when the array does, by value or by position: all its bytes, or a checksum of them. One pass."""
    if array.dtype == np.longdouble and np.longdouble != np.float64:
        high = array.astype(np.float64)  # the padding bytes of a long double are noise
        return fingerprint(high), fingerprint((array - high).astype(np.float64))
    if array.nbytes <= SMALL:
        return array.tobytes()
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    data: Any = array.reshape(-1).view(np.uint8)
    return zlib.crc32(data)  # every byte: sums per row and column miss rows that change places


def root_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def arrays_of(node: Any) -> Iterator[tuple[tuple[int, int], np.ndarray, Any]]:
    """Every array that a node saved: where it stands, the array, and whose it is: a node, or None for the caller."""
    plan = node.plan
    for k, (name, place, value) in enumerate(zip(plan.names, plan.sources, node.saved, strict=True)):
        if type(value) is np.ndarray:
            if name == "z":
                yield (k, -1), value, node.owner or node
            elif place in plan.tracked:
                source = node.sources[plan.tracked.index(place)]
                yield (k, -1), value, source.owner or source
            else:
                yield (k, -1), value, None
        elif isinstance(value, list | tuple):
            for position, element in enumerate(value):
                if type(element) is np.ndarray:
                    owner = None
                    if name == "z":
                        owner = node.owner or node
                    elif place == -2 and position in plan.tracked:
                        source = node.sources[plan.tracked.index(position)]
                        owner = source.owner or source
                    yield (k, position), element, owner


def guard(node: Any) -> None:
    """Take the fingerprints of what may change unseen: the caller's arrays, and those handed out already."""
    marks = {}
    for key, array, owner in arrays_of(node):
        if owner is None or owner.escape is not None:
            marks[key] = fingerprint(array)
    node.marks = marks


def changed(node: Any) -> tuple[str, np.ndarray] | None:
    """The first array, with its name, that is no longer as `node` saved it."""
    for key, array, owner in arrays_of(node):
        mark = node.marks.get(key)
        if mark is not None:
            broken = fingerprint(array) != mark
        else:
            broken = owner.escape is not None and fingerprint(owner.escape.array) != owner.escape.mark
        if broken or (owner is not None and owner.changed > node.number):
            return node.plan.names[key[0]], array
    return None
