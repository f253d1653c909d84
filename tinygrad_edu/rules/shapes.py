"""Shapes: the same values, elsewhere. Every rule is the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.primitive import composite, constant, derivative, primitive, refuse
from tinygrad_edu.rules.indexing import scatter
from tinygrad_edu.rules.reductions import axes_of

__all__ = ["astype"]


@primitive(lambda g: g, neutral="dtype")
def astype(a: Any, dtype: Any) -> Any:
    """a in another dtype; the cotangent comes back in a's own. An integer result carries no gradient."""
    return a.astype(dtype)


composite(np.astype)(lambda x, dtype: astype(x, dtype))
def reshape_argument(g: Any, a_shape: Any, order: str = "C") -> Any:
    if order not in ("C", "F"):
        raise UnsupportedError(f"reshape: order={order!r} depends on how the array lies in memory; write 'C' or 'F'")
    return np.reshape(g, a_shape, order=order)  # type: ignore[call-overload]


derivative(
    np.reshape, reshape_argument, parameters="a shape order",
    neutral="copy shape",
)  # fmt: skip


@composite(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    return np.reshape(a, -1, order=order)  # type: ignore[call-overload]


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
derivative(np.tril, lambda g, k=0: np.tril(g, k))
derivative(np.triu, lambda g, k=0: np.triu(g, k))


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
    axis %= g.ndim
    start = sum(shape[axis] for shape in arrays_shape[:i])
    return g[(slice(None),) * axis + (slice(start, start + arrays_shape[i][axis]),)]


derivative(
    np.concatenate, concatenate_element, parameters="arrays axis", sequence="arrays", neutral="dtype casting",
)  # fmt: skip
derivative(
    np.stack, lambda g, i, axis=0: g[(slice(None),) * (axis % g.ndim) + (i,)], parameters="arrays axis",
    sequence="arrays", neutral="dtype casting",
)  # fmt: skip
composite(np.vstack)(lambda tup: np.concatenate([np.atleast_2d(a) for a in tup], axis=0))
composite(np.hstack)(
    lambda tup: np.concatenate([np.atleast_1d(a) for a in tup], axis=1 if np.ndim(tup[0]) > 1 else 0)
)
composite(np.dstack)(lambda tup: np.concatenate([np.atleast_3d(a) for a in tup], axis=2))
composite(np.column_stack)(
    lambda tup: np.concatenate([a if np.ndim(a) == 2 else np.reshape(a, (-1, 1)) for a in tup], axis=1)
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
        bounds = [0, *[min(k if k >= 0 else k + size, size) for k in indices_or_sections], size]
    else:
        each, rest = divmod(size, int(indices_or_sections))
        bounds = [0, *np.cumsum([each + (k < rest) for k in range(int(indices_or_sections))]).tolist()]
    lead = (slice(None),) * (axis % ary.ndim)
    return [ary[(*lead, slice(start, stop))] for start, stop in zip(bounds[:-1], bounds[1:], strict=True)]


@composite(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if not np.ndim(indices_or_sections) and ary.shape[axis] % int(indices_or_sections):
        raise ValueError(f"{ary.shape[axis]} elements do not split into {indices_or_sections} equal parts")
    return array_split(ary, indices_or_sections, axis)


composite(np.vsplit)(lambda ary, indices_or_sections: split(ary, indices_or_sections, 0))
composite(np.hsplit)(lambda ary, indices_or_sections: split(ary, indices_or_sections, min(1, ary.ndim - 1)))
composite(np.dsplit)(lambda ary, indices_or_sections: split(ary, indices_or_sections, 2))


@composite(np.unstack)
def unstack(x: Any, axis: int = 0) -> tuple[Any, ...]:
    return tuple(x[(slice(None),) * (axis % x.ndim) + (k,)] for k in range(x.shape[axis]))


# More or fewer axes


def at_least(ndim: int, a: Any) -> Any:
    missing = ndim - np.ndim(a)
    if missing <= 0:
        return a
    if not np.ndim(a):
        return np.reshape(a, (1,) * ndim)
    return np.expand_dims(a, {(2, 1): (0,), (3, 1): (0, 2), (3, 2): (2,)}[ndim, np.ndim(a)])


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
def meshgrid(*xi: Any, indexing: str = "xy") -> tuple[Any, ...]:
    count = len(xi)
    grids = [np.reshape(x, (1,) * k + (-1,) + (1,) * (count - 1 - k)) for k, x in enumerate(xi)]
    grids = list(np.broadcast_arrays(*grids))
    return tuple(np.swapaxes(g, 0, 1) if indexing == "xy" and count > 1 else g for g in grids)


# Repeating and padding: which element stands where is worked out on indices, and looked up


@composite(np.tile)
def tile(A: Any, reps: Any) -> Any:
    reps = (reps,) if not np.ndim(reps) else tuple(reps)
    A = np.reshape(A, (1,) * (len(reps) - A.ndim) + A.shape)
    reps = (1,) * (A.ndim - len(reps)) + reps
    for axis, times in enumerate(reps):
        A = A if times == 1 else np.concatenate([A] * times, axis=axis) if times else np.take(A, [], axis=axis)
    return A


@composite(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    a = np.ravel(a) if axis is None else a
    axis = 0 if axis is None else axis
    return np.take(a, np.repeat(np.arange(a.shape[axis]), repeats), axis=axis)


@composite(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if isinstance(pad_width, dict):
        named: list[Any] = [pad_width.get(k, pad_width.get(k - array.ndim, 0)) for k in range(array.ndim)]
        pad_width = [np.broadcast_to(width, (2,)) for width in named]
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    if mode == "constant":
        inside = tuple(slice(int(w[0]), int(w[0]) + n) for w, n in zip(widths, array.shape, strict=True))
        shape = tuple(int(w[0] + w[1]) + n for w, n in zip(widths, array.shape, strict=True))
        out = scatter(array, inside, shape)
        if np.all(np.asarray(constant_values) == 0):
            return out
        return out + np.pad(np.zeros(array.shape, array.dtype), widths, constant_values=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(f"pad mode {mode!r}; constant, edge, reflect, symmetric and wrap have a derivative here")
    for axis, (width, n) in enumerate(zip(widths, array.shape, strict=True)):
        array = np.take(array, np.pad(np.arange(n), width, mode=mode), axis=axis)  # type: ignore[call-overload]
    return array


@composite(np.rot90)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    first, second = axes_of(axes, m.ndim)
    if k % 4 == 0:
        return m * 1.0
    if k % 4 == 2:
        return np.flip(m, (first, second))
    turned = np.swapaxes(m, first, second)
    return np.flip(turned, first if k % 4 == 1 else second)


composite(np.fliplr)(lambda m: np.flip(m, 1))
composite(np.flipud)(lambda m: np.flip(m, 0))

constant(
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iterable, np.may_share_memory, np.shares_memory,
    np.array_repr, np.array_str, np.array2string,
    reason="tells about an array, not its values",
)  # fmt: skip
constant(np.zeros_like, np.ones_like, np.empty_like, np.full_like, reason="uses the shape and dtype alone")
refuse(np.resize, reason="it repeats or drops elements silently; use reshape, tile or pad")
refuse(np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis,
       reason="it writes into an array; a Tensor is a value: use np.where or np.concatenate")  # fmt: skip
refuse(np.block, reason="its nesting hides Tensors; use np.concatenate row by row")
