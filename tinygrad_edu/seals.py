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

from tinygrad_edu.operation import ELEMENTS, OUTPUT

__all__ = ["Escape", "changed", "fingerprint", "guard", "root_of"]

SMALL = 1 << 13  # bytes: up to here a copy is made and compared, which takes a tenth of the time of a checksum
BARE = frozenset((int, float, bool, str, type(None), np.float64, np.float32))  # values that hold no array


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


def parts_of(value: Any) -> Any:
    """(position, array) of a saved value that is an array, or holds some in a list or a tuple."""
    if type(value) is np.ndarray:
        return ((0, value),)
    if isinstance(value, (tuple, list)):  # noqa: UP038, half the time of tuple | list
        return [pair for pair in enumerate(value) if type(pair[1]) is np.ndarray]
    return ()


def owned_by(node: Any) -> Iterator[tuple[int, np.ndarray, Any]]:
    """The saved arrays of the engine's: place in plan.names, array, and the node that answers for it, None if none."""
    kept, plan = node.kept, node.plan
    for k, whose in plan.owned:
        for position, array in parts_of(kept if plan.alone else kept[k]):
            yield k, array, owner_of(node, whose, position)


def owner_of(node: Any, whose: int, position: int) -> Any:
    """The node that answers for a saved array: if it is a view, the one whose memory it looks into."""
    plan, feeds = node.plan, node.feeds
    if whose == ELEMENTS and position not in plan.tracked:
        return None
    if whose == OUTPUT:
        return node.extras.owner or node
    place = plan.tracked.index(position) if whose == ELEMENTS else whose
    source = feeds[place] if type(feeds) is tuple else feeds
    return source.extras.owner or source


def untouched(node: Any) -> int:
    """How many of the engine's arrays it saved; -1 unless all have memory of their own, not handed out or replaced."""
    plan, kept, feeds, count = node.plan, node.kept, node.feeds, 0
    for k, whose in plan.owned:
        value = kept if plan.alone else kept[k]
        if type(value) in BARE:
            continue
        if type(value) is not np.ndarray or whose == ELEMENTS:
            return -1
        extras = (node if whose == OUTPUT else feeds[whose] if type(feeds) is tuple else feeds).extras
        if extras.escape is not None or extras.owner is not None or extras.changed > node.number:
            return -1
        count += 1
    return count


def guard(node: Any) -> None:
    """Take the fingerprints of what may change unseen: the caller's arrays, and those handed out already."""
    plan, kept, count = node.plan, node.kept, untouched(node)
    marks: tuple[Any, ...] | None = () if count else None
    for k in plan.given:
        value = kept if plan.alone else kept[k]
        if type(value) not in BARE:
            marks = (*(marks or ()), *[(k, array, fingerprint(array)) for _, array in parts_of(value)])
    if count < 0:
        escaped = (each for each in owned_by(node) if each[2] is None or each[2].extras.escape is not None)
        marks = (*(marks or ()), *[(k, array, fingerprint(array)) for k, array, _ in escaped])
    node.marks = marks


def changed(node: Any) -> tuple[str, np.ndarray] | None:
    """The first array, with its name, that is no longer as `node` saved it."""
    names, marks = node.plan.names, node.marks
    for k, array, mark in marks:
        if fingerprint(array) != mark:
            return names[k], array
    if untouched(node) >= 0:
        return None  # nearly always
    for k, array, owner in owned_by(node):
        if owner is None:
            continue
        escape = owner.extras.escape
        late = escape is not None and all(array is not marked for _, marked, _ in marks)  # handed out since
        if owner.extras.changed > node.number or (late and fingerprint(escape.array) != escape.mark):
            return names[k], array
    return None
