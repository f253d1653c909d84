"""How large a result will be, for the operations whose result may be larger than all that it is made of.

Each takes the call's own arguments and returns a shape, or one of as many elements; None where nothing can grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.primitive import Primitive, registry
from tinygrad_edu.rules import operation_of
from tinygrad_edu.rules.indexing import getitem
from tinygrad_edu.rules.products import spelled_out

__all__ = ["EXTENTS", "broadcast"]

Extent = Callable[..., tuple[int, ...] | None]
MANY = 1 << 24  # pairs of elements; fewer cannot make a result that is too large


def broadcast(*args: Any, **_: Any) -> tuple[int, ...] | None:
    first = None
    for each in args:
        if type(each) is np.ndarray:
            if first is None:
                first = each.shape
            elif each.shape != first:
                break
    else:
        return None  # shapes that are all alike stay so; broadcast_shapes takes 10 µs to say it
    arrays = [each for each in args if type(each) is np.ndarray]
    pairs = math.prod([each.size for each in arrays])
    return np.broadcast_shapes(*[each.shape for each in arrays]) if pairs > MANY else None


def tiled(A: Any, reps: Any) -> tuple[int, ...]:
    return (np.size(A) * math.prod(np.atleast_1d(reps).tolist()),)


def beside(a: Any, axis: int) -> int:
    """The sizes of all other axes, multiplied."""
    return math.prod(a.shape[:axis] + a.shape[axis:][1:])


def repeated(a: Any, repeats: Any, axis: int | None = None) -> tuple[int, ...]:
    total = int(np.sum(repeats)) if np.ndim(repeats) else int(repeats) * (a.size if axis is None else a.shape[axis])
    return (total if axis is None else total * beside(a, axis),)


def padded(array: Any, pad_width: Any, *_: Any, **__: Any) -> tuple[int, ...]:
    pairs = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    return tuple(n + before + after for n, (before, after) in zip(array.shape, pairs, strict=True))


def flat(v: Any, k: int = 0) -> tuple[int, ...]:
    return (np.size(v) + abs(k),) * 2


def diagonal(v: Any, k: int = 0) -> tuple[int, ...] | None:
    return (v.size + abs(k),) * 2 if np.ndim(v) == 1 else None


def gathered(a: Any, indices: Any, axis: int | None = None, *_: Any, **__: Any) -> tuple[int, ...] | None:
    rest = 1 if axis is None else beside(a, axis)
    return (indices.size * rest,) if isinstance(indices, np.ndarray) else None


def gathered_along(arr: Any, indices: Any, axis: int | None = -1) -> tuple[int, ...]:
    if axis is None:
        return tuple(indices.shape)
    return np.broadcast_shapes(indices.shape, (*arr.shape[:axis], 1, *arr.shape[axis:][1:]))


def picked(x: Any, index: Any) -> tuple[int, ...] | None:
    if isinstance(index, np.ndarray) and index.dtype != bool and x.ndim:
        return (*index.shape, *x.shape[1:])
    return None


def summed(subscripts: str, *operands: Any) -> tuple[int, ...] | None:
    if math.prod([x.size for x in operands]) <= MANY:
        return None
    terms, output = spelled_out(subscripts, tuple([x.ndim for x in operands]))
    sizes: dict[str, int] = {}
    for letters, x in zip(terms, operands, strict=True):
        sizes.update(zip(letters, x.shape, strict=True))
    return tuple(sizes[letter] for letter in output)


EXTENTS: dict[Any, Extent] = {
    np.broadcast_to: lambda array, shape: tuple(np.atleast_1d(shape).tolist()),
    np.tile: tiled, np.repeat: repeated, np.pad: padded, np.diag: diagonal, np.einsum: summed,
    np.outer: lambda a, b: (np.size(a), np.size(b)), np.diagflat: flat, np.take: gathered,
    np.take_along_axis: gathered_along,
    operation_of(getitem).function: picked, np.floor_divide: broadcast,
    np.full_like: lambda *_, shape=None, **__: None if shape is None else tuple(np.atleast_1d(shape).tolist()),
}  # fmt: skip
for operation in registry().values():
    if isinstance(operation, Primitive) and operation.function in EXTENTS:
        operation.grows = True
