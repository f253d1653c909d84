"""Guards on saved arrays: if one changes between forward and backward, the gradient must not be computed from it.

Three ways an array can change, and what notices each, at no cost where none is possible:

    an optimiser or `t.data = ...` replaces a leaf's data    the leaf's version was bumped
    the caller's own ndarray, used as an operand, changes    its fingerprint, taken when it was saved, differs
    `t.data` handed out the engine's array, and it changes   its fingerprint, taken when it was handed out, differs
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Escape", "Seal", "fingerprint", "is_broken", "root_of"]


class Escape(NamedTuple):
    """The engine's own array was handed to the user: the memory, and what it held then."""

    array: np.ndarray
    mark: int


class Seal(NamedTuple):
    """One saved array: whose memory it is (None: the user's), the leaf's version, a fingerprint if one was needed."""

    name: str
    array: Any
    owner: Any
    version: int
    mark: int | None


def fingerprint(array: np.ndarray) -> int:
    """A number that changes when the array does, by value or by position. One pass."""
    if array.dtype == np.longdouble and np.longdouble != np.float64:
        high = array.astype(np.float64)  # the padding bytes of a long double are noise
        return fingerprint(high) ^ fingerprint((array - high).astype(np.float64)) << 1
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    data: Any = array.reshape(-1).view(np.uint8)
    return zlib.crc32(data)  # every byte: sums per row and column miss rows that change places


def root_of(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory this one is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def is_broken(seal: Seal, node: Any) -> bool:
    """Has the array changed since `node` saved it?"""
    owner = seal.owner or node.owner or node
    if seal.owner is not None and owner.operation is None and owner.version != seal.version:
        return True
    if seal.mark is not None:
        return fingerprint(seal.array) != seal.mark
    return owner.escape is not None and fingerprint(owner.escape.array) != owner.escape.mark
