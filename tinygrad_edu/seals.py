"""Guards on saved arrays: if one changes between forward and backward, the gradient must not be computed from it.

Three ways an array can change, and what notices each, at no cost where none is possible:

    an optimiser or `t.data = ...` replaces a leaf's data    the leaf's last change is younger than the node
    the caller's own ndarray, used as an operand, changes    its fingerprint, taken when it was saved, differs
    `t.data` handed out the engine's array, and it changes   its fingerprint, taken when it was handed out, differs
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.operation import CALLER, ELEMENTS, OUTPUT

__all__ = ["Escape", "changed", "fingerprint", "guard", "root_of"]

SMALL = 1 << 13  # bytes: up to here a copy is made and compared, which takes a tenth of the time of a checksum
BARE = frozenset((int, float, bool, str, type(None), np.float64, np.float32))  # values that hold no array
UNMARKED: dict[int, Any] = {}  # arrays were saved, none of which can change unseen


class Escape(NamedTuple):
    """The engine's own array was handed to the user: the memory, and what it held then."""

    array: np.ndarray
    mark: Any


def fingerprint(array: np.ndarray) -> Any:
    """What changes when the array does, by value or by position: all its bytes, or a checksum of them. One pass."""
    if array.dtype.char == "g" and np.longdouble != np.float64:
        high = array.astype(np.float64)  # the padding bytes of a long double are noise
        return fingerprint(high), fingerprint((array - high).astype(np.float64))
    if array.nbytes <= SMALL:
        return array.tobytes()
    import zlib  # not before it is needed: importing it takes as long as a file of ours

    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    data: Any = array.reshape(-1).view(np.uint8)
    return zlib.crc32(data)  # every byte: sums per row and column miss rows that change places


def root_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def arrays_of(node: Any) -> Iterator[tuple[int, np.ndarray, Any]]:
    """Every array that a node saved: its place in plan.names, the array, and whose it is: a node, None: the caller."""
    kept, plan = node.kept, node.plan
    for k, whose in plan.exposed:
        value = kept if plan.alone else kept[k]
        if type(value) is np.ndarray:
            yield k, value, owner_of(node, whose, 0)
        elif isinstance(value, (tuple, list)):  # noqa: UP038, half the time of tuple | list
            for position, element in enumerate(value):
                if type(element) is np.ndarray:
                    yield k, element, owner_of(node, whose, position)


def owner_of(node: Any, whose: int, position: int) -> Any:
    """The node that answers for a saved array: if it is a view, the one whose memory it looks into."""
    plan, feeds = node.plan, node.feeds
    if whose == CALLER or (whose == ELEMENTS and position not in plan.tracked):
        return None
    if whose == OUTPUT:
        return node.extras.owner or node
    place = plan.tracked.index(position) if whose == ELEMENTS else whose
    source = feeds[place] if type(feeds) is tuple else feeds
    return source.extras.owner or source


def guard(node: Any) -> None:
    """Take the fingerprints of what may change unseen: the caller's arrays, and those handed out already."""
    plan, kept = node.plan, node.kept
    for k, _ in plan.exposed:
        if type(kept if plan.alone else kept[k]) not in BARE:
            break
    else:
        return
    marks = None
    for count, (_, array, owner) in enumerate(arrays_of(node)):
        if marks is None:
            marks = UNMARKED
        if owner is None or owner.extras.escape is not None:
            marks = {**marks, count: fingerprint(array)}
    node.marks = marks


def changed(node: Any) -> tuple[str, np.ndarray] | None:
    """The first array, with its name, that is no longer as `node` saved it."""
    for count, (k, array, owner) in enumerate(arrays_of(node)):
        if count in node.marks:
            broken = fingerprint(array) != node.marks[count]
        else:
            escape = owner.extras.escape
            broken = escape is not None and fingerprint(escape.array) != escape.mark
        if broken or (owner is not None and owner.extras.changed > node.number):
            return node.plan.names[k], array
    return None
