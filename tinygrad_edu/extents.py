"""How large a result will be, for the operations whose result may be larger than all that it is made of.

Each takes the call's own arguments and returns a shape, or one of as many elements; None where nothing can grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu.primitive import Composite, Primitive, registry
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
    """What the index arrays broadcast to, by the axes that are left, whole or in slices."""
    parts = list(index) if type(index) is tuple else [index]
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    pairs = math.prod([array.size for array in arrays]) * x.size
    if not arrays or pairs <= MANY or any(array.dtype == bool for array in arrays):
        return None
    dots = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    named = sum(part is not None and part is not Ellipsis for part in parts)
    parts = [*parts[:dots], *[slice(None)] * (x.ndim - named), *parts[dots + 1 :]]
    axes = zip(x.shape, [part for part in parts if part is not None], strict=True)
    left = [len(range(*part.indices(size))) for size, part in axes if isinstance(part, slice)]
    return (*np.broadcast_shapes(*[array.shape for array in arrays]), *left)


def compared(a: Any, b: Any, *_: Any, **__: Any) -> tuple[int, ...] | None:
    return broadcast(a, b)


def like(*_: Any, shape: Any = None, **__: Any) -> tuple[int, ...] | None:
    return None if shape is None else sizes(shape)


def sizes(shape: Any) -> tuple[int, ...]:
    return tuple(np.atleast_1d(shape).tolist())


def row(start: Any, stop: Any, num: int = 50, *_: Any, **__: Any) -> tuple[int, ...]:
    return (num, *np.broadcast_shapes(np.shape(start), np.shape(stop)))


def counted(x: Any, weights: Any = None, minlength: int = 0) -> tuple[int, ...]:
    return (max(minlength, int(np.max(x)) + 1 if np.size(x) else 0),)


def grid(*xi: Any, sparse: bool = False, **_: Any) -> tuple[int, ...] | None:
    return None if sparse else (len(xi), *[np.size(x) for x in xi])


def correlated(m: Any, y: Any = None, rowvar: bool = True, *_: Any, **__: Any) -> tuple[int, ...]:
    rows = [1 if np.ndim(x) < 2 else x.shape[0 if rowvar else 1] for x in (m, y) if x is not None]
    return (sum(rows),) * 2


def windows(x: Any, window_shape: Any, axis: Any = None, **_: Any) -> tuple[int, ...]:
    return (x.size, *sizes(window_shape))


def square(a: Any, wanted: bool) -> tuple[int, ...] | None:
    """Of a matrix (m, n), max(m, n) orthogonal columns."""
    return (*a.shape[:-2], max(a.shape[-2:]), max(a.shape[-2:])) if wanted else None


def summed(subscripts: str, *operands: Any) -> tuple[int, ...] | None:
    if math.prod([x.size for x in operands]) <= MANY:
        return None
    terms, output = spelled_out(subscripts, tuple([x.ndim for x in operands]))
    sizes: dict[str, int] = {}
    for letters, x in zip(terms, operands, strict=True):
        sizes.update(zip(letters, x.shape, strict=True))
    return tuple(sizes[letter] for letter in output)


EXTENTS: dict[Any, Extent] = {
    np.broadcast_to: lambda array, shape: sizes(shape),
    np.tile: tiled, np.repeat: repeated, np.pad: padded, np.diag: diagonal, np.einsum: summed,
    np.outer: lambda a, b: (np.size(a), np.size(b)), np.diagflat: flat, np.take: gathered,
    np.take_along_axis: gathered_along, operation_of(getitem).function: picked,
    np.full_like: like, np.zeros_like: like, np.ones_like: like, np.empty_like: like,
    np.resize: lambda a, new_shape: sizes(new_shape), sliding_window_view: windows, np.meshgrid: grid,
    np.linspace: row, np.logspace: row, np.geomspace: row, np.bincount: counted,
    np.vander: lambda x, N=None, increasing=False: (len(x), len(x) if N is None else N),
    np.cov: correlated, np.corrcoef: correlated,
    np.isclose: compared, np.allclose: compared, np.array_equiv: compared,
    np.linalg.svd: lambda a, full_matrices=True, compute_uv=True, *_: square(a, full_matrices and compute_uv),
    np.linalg.qr: lambda a, mode="reduced": square(a, mode == "complete"),
}  # fmt: skip
for operation in registry().values():
    kernel = operation.kernel if isinstance(operation, Composite) else operation
    if isinstance(kernel, Primitive) and kernel.function in EXTENTS:
        kernel.grows = True
