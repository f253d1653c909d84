"""Functions that work piece by piece: blocks, insertions, windows, a function for each part. Forward code only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu.primitive import composite, refuse
from tinygrad_edu.rules.indexing import scatter
from tinygrad_edu.rules.products import as_operand
from tinygrad_edu.rules.shapes import astype

__all__: list[str] = []

Pick = Callable[[np.ndarray], np.ndarray]


def picked(a: Any, pick: Pick) -> Any:
    """The elements that `pick` picks, when it is asked with their numbers."""
    return np.ravel(a)[pick(np.arange(a.size).reshape(a.shape))]


@composite(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    a = as_operand(a)
    return picked(a, lambda places: np.resize(places, new_shape)) if a.size else np.zeros(new_shape, a.dtype)


@composite(sliding_window_view)
def windows(x: Any, window_shape: Any, axis: Any = None) -> Any:
    """A copy, where NumPy gives a view."""
    return picked(x, lambda places: sliding_window_view(places, window_shape, axis))


@composite(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """NumPy says where each element goes, old or new: the new ones are numbered on from the old."""
    arr = as_operand(arr)
    values = astype(as_operand(values), arr.dtype)
    new = arr.size + np.arange(values.size).reshape(values.shape)
    places = np.insert(np.arange(arr.size).reshape(arr.shape), obj, new, axis)
    return np.concatenate([np.ravel(arr), np.ravel(values)])[places]


@composite(np.block)
def block(arrays: Any) -> Any:
    depths = {depth for depth, _ in leaves(arrays, 0)}
    if len(depths) != 1:
        raise ValueError(f"lists nested {' and '.join(map(str, sorted(depths)))} deep; nest all alike")
    depth = depths.pop()
    return joined(arrays, depth, max(depth, *(np.ndim(leaf) for _, leaf in leaves(arrays, 0))))


def leaves(part: Any, depth: int) -> Iterator[tuple[int, Any]]:
    if isinstance(part, tuple):
        raise TypeError("a tuple among the blocks; nest lists")
    if not isinstance(part, list):
        yield depth, part
    elif not part:
        raise ValueError("an empty list among the blocks")
    else:
        for each in part:
            yield from leaves(each, depth + 1)


def joined(part: Any, depth: int, ndim: int) -> Any:
    """The innermost lists side by side along the last axis, those around them along the one before, and so on."""
    if isinstance(part, list):
        return np.concatenate([joined(each, depth - 1, ndim) for each in part], axis=-depth)
    return np.reshape(part, (1,) * (ndim - np.ndim(part)) + np.shape(part))


@composite(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Each function sees the elements that its condition chose; a later condition goes before an earlier one."""
    whole = x.ndim and not np.ndim(condlist[0]) if np.ndim(condlist) else True
    conditions = [np.asarray(each, bool) for each in ([condlist] if whole else condlist)]
    if len(funclist) == len(conditions) + 1:
        conditions.append(~np.any(conditions, axis=0))
    if len(funclist) != len(conditions):
        raise ValueError(f"{len(funclist)} functions for {len(conditions)} conditions; one each, and maybe one more")
    out = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        values = function
        if callable(function):
            if not condition.any():
                continue
            chosen = x[condition]
            values = np.broadcast_to(as_operand(function(chosen, *args, **kw)), chosen.shape)
            values = scatter(values, condition, x.shape)
        out = np.where(condition, astype(as_operand(values), x.dtype), out)
    return out


@composite(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    axis = normalize_axis_index(axis, arr.ndim)
    rows = np.moveaxis(arr, axis, -1)
    lead = rows.shape[:-1]
    results = [as_operand(func1d(rows[place], *args, **kwargs)) for place in np.ndindex(lead)]
    if not results:
        raise ValueError(f"shape {arr.shape} has no row along axis {axis} to call the function on")
    out = np.reshape(np.stack(results), lead + results[0].shape)
    return np.transpose(out, (*range(axis), *range(len(lead), out.ndim), *range(axis, len(lead))))


@composite(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    for axis in [axes] if not np.ndim(axes) else axes:
        out = func(a, axis)
        out = out if out.ndim == a.ndim else np.expand_dims(out, axis)
        if out.ndim != a.ndim:
            raise ValueError(f"the function made shape {out.shape} of {a.shape}; it may take away one axis at most")
        a = out
    return a


@composite(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    axis = normalize_axis_index(axis, a.ndim)
    if not -a.ndim <= start <= a.ndim:
        raise np.exceptions.AxisError(f"start={start} for {a.ndim} axes")
    start += a.ndim if start < 0 else 0
    return np.moveaxis(a, axis, start - (axis < start))


def shifted(x: Any, axes: Any, half: Callable[[int], int]) -> Any:
    axes = tuple(range(x.ndim)) if axes is None else tuple(np.atleast_1d(axes).tolist())
    return np.roll(x, tuple(half(x.shape[k]) for k in axes), axes)


composite(np.fft.fftshift)(lambda x, axes=None: shifted(x, axes, lambda n: n // 2))
composite(np.fft.ifftshift)(lambda x, axes=None: shifted(x, axes, lambda n: -(n // 2)))
refuse(
    np.fft.fft, np.fft.fft2, np.fft.fftn, np.fft.ifft, np.fft.ifft2, np.fft.ifftn, np.fft.rfft, np.fft.rfft2,
    np.fft.rfftn, np.fft.irfft, np.fft.irfft2, np.fft.irfftn, np.fft.hfft, np.fft.ihfft,
    reason="a spectrum is complex, and complex numbers are outside this engine; x @ np.cos(angles) and x @ "
    "np.sin(angles) are its real and imaginary parts",
)  # fmt: skip
