"""Shapes: the same values, elsewhere. Every rule is the way back."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.primitive import composite, constant, derivative, primitive, refuse
from tinygrad_edu.rules.indexing import came_from, scatter

__all__ = ["astype"]


@primitive(lambda g: g, neutral="dtype")
def astype(a: Any, dtype: Any) -> Any:
    """a in another dtype; the cotangent comes back in a's own. An integer result carries no gradient."""
    return a.astype(dtype)


composite(np.astype)(lambda x, dtype: astype(x, dtype))


def reshape(a: Any, shape: Any, order: str = "C", **options: Any) -> Any:
    if type(a) is np.ndarray and order == "C" and not options:
        return a.reshape(shape)  # np.reshape asks twice as many questions
    return np.reshape(a, shape, in_order("reshape", order), **options)  # type: ignore[call-overload]


def ravel(a: Any, order: str = "C") -> Any:
    return np.ravel(a, in_order("ravel", order))  # type: ignore[call-overload]


def in_order(function: str, order: str) -> str:
    if order in ("A", "K"):
        raise UnsupportedError(f"{function}: order={order!r} depends on how the array lies in memory; write 'C' or 'F'")
    return order


derivative(
    np.reshape, lambda g, a_shape, order="C": reshape(g, a_shape, order), parameters="a shape order",
    neutral="copy shape", fast=reshape,
)  # fmt: skip
derivative(np.ravel, lambda g, a_shape, order="C": reshape(g, a_shape, order), fast=ravel)


def transpose_argument(g: Any, axes: Any = None) -> Any:
    return np.transpose(g) if axes is None else np.transpose(g, np.argsort([k % g.ndim for k in axes]).tolist())


derivative(np.transpose, transpose_argument)
derivative(np.matrix_transpose, lambda g: np.matrix_transpose(g), parameters="x")
composite(np.linalg.matrix_transpose)(lambda x: np.matrix_transpose(x))
derivative(np.swapaxes, lambda g, axis1, axis2: np.swapaxes(g, axis1, axis2))
derivative(np.moveaxis, lambda g, source, destination: np.moveaxis(g, destination, source))
derivative(np.squeeze, lambda g, a_shape: np.reshape(g, a_shape), neutral="axis")
derivative(np.expand_dims, lambda g, a_shape: np.reshape(g, a_shape), neutral="axis")
derivative(np.broadcast_to, lambda g: g, broadcasts=True, elementwise=False, parameters="array shape", neutral="shape")
derivative(np.copy, lambda g: g, neutral="order subok")
derivative(np.flip, lambda g, axis=None: np.flip(g, axis), parameters="m axis")
derivative(np.tril, lambda g, k=0: np.tril(g, k), broadcasts=True, elementwise=False)  # a vector becomes n rows
derivative(np.triu, lambda g, k=0: np.triu(g, k), broadcasts=True, elementwise=False)
derivative(np.rot90, lambda g, k=1, axes=(0, 1): np.rot90(g, -k, axes))
derivative(np.fliplr, lambda g: np.fliplr(g))
derivative(np.flipud, lambda g: np.flipud(g))


def roll_argument(g: Any, shift: Any, axis: Any = None) -> Any:
    return np.roll(g, tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift, axis)


derivative(np.roll, roll_argument)

# Joining


def concatenate_element(g: Any, i: int, arrays_shape: Any, axis: int | None = 0) -> Any:
    """Its own stretch of the cotangent."""
    if axis is None:
        sizes = [int(np.prod(shape)) for shape in arrays_shape]
        start = sum(sizes[:i])
        return np.reshape(g[start : start + sizes[i]], arrays_shape[i])
    axis = range(g.ndim)[axis]
    start = sum(shape[axis] for shape in arrays_shape[:i])
    return g[(slice(None),) * axis + (slice(start, start + arrays_shape[i][axis]),)]


derivative(
    np.concatenate, concatenate_element, parameters="arrays axis", sequence="arrays", neutral="dtype casting",
)  # fmt: skip
derivative(
    np.stack, lambda g, i, axis=0: g[(slice(None),) * range(g.ndim)[axis] + (i,)], parameters="arrays axis",
    sequence="arrays", neutral="dtype casting",
)  # fmt: skip


@composite(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    return np.concatenate([at_least(2, a) for a in tup], axis=0, dtype=dtype, casting=casting)


@composite(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = "same_kind") -> Any:
    arrays = [at_least(1, a) for a in tup]
    axis = 0 if arrays and arrays[0].ndim == 1 else 1
    return np.concatenate(arrays, axis=axis, dtype=dtype, casting=casting)


composite(np.dstack)(lambda tup: np.concatenate([at_least(3, a) for a in tup], axis=2))
composite(np.column_stack)(
    lambda tup: np.concatenate([a if np.ndim(a) >= 2 else np.reshape(a, (-1, 1)) for a in tup], axis=1)
)


@composite(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    if axis is None:
        arr, values = np.ravel(arr), np.ravel(values)
    return np.concatenate([arr, values], axis=0 if axis is None else axis)


# Splitting


@composite(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    size = ary.shape[axis]
    if np.ndim(indices_or_sections):
        bounds = [0, *indices_or_sections, size]
    else:
        sections = sections_of(indices_or_sections)
        each, rest = divmod(size, sections)
        bounds = [0, *np.cumsum([each + (k < rest) for k in range(sections)]).tolist()]
    lead = (slice(None),) * range(ary.ndim)[axis]
    inside = [slice(*slice(*ends).indices(size)) for ends in pairwise(bounds)]  # an array API knows no further ones
    return [ary[(*lead, part)] for part in inside]


def sections_of(given: Any) -> int:
    if int(given) <= 0:
        raise ValueError(f"{given} sections; their number must be larger than 0")
    return int(given)


@composite(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if not np.ndim(indices_or_sections) and ary.shape[axis] % sections_of(indices_or_sections):
        raise ValueError(f"{ary.shape[axis]} elements do not split into {indices_or_sections} equal parts")
    return array_split(ary, indices_or_sections, axis)


def split_along(ary: Any, indices_or_sections: Any, axis: int, least: int) -> list[Any]:
    if ary.ndim < least:
        raise ValueError(f"it works on arrays of {least} or more dimensions, not {ary.ndim}; np.split takes an axis=")
    return split(ary, indices_or_sections, axis)


composite(np.vsplit)(lambda ary, indices_or_sections: split_along(ary, indices_or_sections, 0, 2))
composite(np.hsplit)(lambda ary, indices_or_sections: split_along(ary, indices_or_sections, min(1, ary.ndim - 1), 1))
composite(np.dsplit)(lambda ary, indices_or_sections: split_along(ary, indices_or_sections, 2, 3))


derivative(np.unstack, lambda g, axis=0: np.stack(g, axis=axis[0] if isinstance(axis, tuple | list) else axis))


# More or fewer axes


def at_least(ndim: int, a: Any) -> Any:
    a = a if hasattr(a, "ndim") else np.asarray(a)
    if a.ndim >= ndim:
        return a
    if not a.ndim:
        return np.reshape(a, (1,) * ndim)
    return np.expand_dims(a, {(2, 1): (0,), (3, 1): (0, 2), (3, 2): (2,)}[ndim, a.ndim])


def each_at_least(ndim: int, arys: tuple[Any, ...]) -> Any:
    out = tuple(at_least(ndim, a) for a in arys)
    return out[0] if len(out) == 1 else out


composite(np.atleast_1d)(lambda *arys: each_at_least(1, arys))
composite(np.atleast_2d)(lambda *arys: each_at_least(2, arys))
composite(np.atleast_3d)(lambda *arys: each_at_least(3, arys))


@composite(np.broadcast_arrays)
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    shape = np.broadcast_shapes(*[np.shape(a) for a in args])
    return tuple(np.broadcast_to(a, shape) for a in args)


@composite(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Any, ...]:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing={indexing!r}; choose 'xy' or 'ij'")
    count = len(xi)
    grids = [np.reshape(x, (1,) * k + (-1,) + (1,) * (count - 1 - k)) for k, x in enumerate(xi)]
    if indexing == "xy" and count > 1:
        grids = [np.swapaxes(grid, 0, 1) for grid in grids]
    return tuple(grids) if sparse else tuple(np.broadcast_arrays(*grids))


@composite(np.full_like)
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """The fill value everywhere, of a's shape and dtype; a itself has no part in it."""
    fill_value = fill_value if hasattr(fill_value, "dtype") else np.asarray(fill_value)
    filled = astype(fill_value, a.dtype if dtype is None else dtype)
    return np.copy(np.broadcast_to(filled, a.shape if shape is None else shape))


# Repeating and padding


def tile_argument(g: Any, A_shape: Any, reps: Any) -> Any:
    """The copies added up: one axis counts them, the next one runs inside a copy."""
    reps = [max(int(times), 0) for times in (reps if np.ndim(reps) else [reps])]
    ndim = max(len(reps), len(A_shape))
    sizes = (1,) * (ndim - len(A_shape)) + tuple(A_shape)
    times = [1] * (ndim - len(reps)) + reps
    folded = np.reshape(g, [n for pair in zip(times, sizes, strict=True) for n in pair])
    return np.reshape(np.sum(folded, axis=tuple(range(0, 2 * ndim, 2))), A_shape)


derivative(np.tile, tile_argument)


def repeat_argument(g: Any, a_shape: Any, repeats: Any, axis: int | None = None) -> Any:
    """The copies added up; they stand side by side, where all have as many."""
    if not isinstance(repeats, int) or not a_shape:
        return came_from(g, a_shape, lambda places: np.repeat(places, repeats, axis))
    if axis is None:
        return np.reshape(np.sum(np.reshape(g, (math.prod(a_shape), repeats)), axis=1), a_shape)
    place = range(len(a_shape))[axis] + 1
    return np.sum(np.reshape(g, (*a_shape[:place], repeats, *a_shape[place:])), axis=place)


derivative(np.repeat, repeat_argument, parameters="a repeats axis")


@composite(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    widths = widths_of(pad_width, array.ndim)
    if mode == "constant":
        inside = tuple(slice(w[0], w[0] + n) for w, n in zip(widths.tolist(), array.shape, strict=True))
        shape = tuple(w[0] + w[1] + n for w, n in zip(widths.tolist(), array.shape, strict=True))
        out = scatter(array, inside, shape)
        if np.all(np.asarray(constant_values) == 0):
            return out
        return out + np.pad(np.zeros(array.shape, array.dtype), widths, constant_values=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad mode {mode!r}; constant, edge, reflect, symmetric and wrap have a derivative here")
    if not array.ndim:
        return np.copy(array)
    places = np.arange(array.size).reshape(array.shape)  # which element stands where is worked out, and looked up
    return np.reshape(array, -1)[np.pad(places, widths, mode=mode)]  # type: ignore[call-overload]


def widths_of(pad_width: Any, ndim: int) -> np.ndarray:
    """(before, after) for each axis."""
    if isinstance(pad_width, dict):
        named: list[Any] = [0] * ndim
        for axis, width in pad_width.items():
            named[axis] = width
        pad_width = [np.broadcast_to(width, (2,)) for width in named]
    given = np.asarray(pad_width)
    if given.dtype.kind not in "iu" and given.size:
        raise TypeError(f"pad_width={pad_width!r} must be of integers")
    if (given < 0).any():
        raise ValueError(f"pad_width={pad_width!r} holds a negative number; x[1:-1] takes elements away")
    return np.broadcast_to(given, (ndim, 2)).astype(int)


constant(
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iterable, np.may_share_memory, np.shares_memory,
    np.array_repr, np.array_str, np.array2string,
    reason="tells about an array, not its values",
)  # fmt: skip
constant(np.zeros_like, np.ones_like, np.empty_like, reason="uses the shape and dtype alone")
refuse(np.copyto, reason="it writes into an array; a Tensor is a value: use np.where, or np.broadcast_to(x, shape) for "
       "np.full")  # fmt: skip
refuse(np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis,
       reason="it writes into an array; a Tensor is a value: use np.where or np.concatenate")  # fmt: skip
