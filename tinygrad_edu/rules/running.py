"""Running sums and products, and the product of all: what comes before an element, and what behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_edu.primitive import composite, derivative
from tinygrad_edu.rules.reductions import Axis, along, axes_of, count, in_dtype, restore

__all__: list[str] = []


def backwards(a: Any, axis: int) -> Any:
    """np.flip along one axis, which takes 2 µs to find out which."""
    return along(a, axis, slice(None, None, -1)) if type(a) is np.ndarray else np.flip(a, axis)


def cumsum_argument(g: Any, a_shape: Any, axis: int | None = None) -> Any:
    """Element k went into every sum from k on: the cotangents, summed from the far end."""
    over = 0 if axis is None else axis
    return np.reshape(backwards(np.cumsum(backwards(g, over), over), over), a_shape)


derivative(np.cumsum, cumsum_argument, neutral="dtype")


def in_range(z: Any) -> bool:
    """Are these plain numbers, and each far from 0 and from the largest there is? Then quotients lose no digit."""
    if not isinstance(z, ARRAYS):
        return False
    size, limits = np.abs(z), np.finfo(z.dtype)
    low, high = np.minimum.reduce(size, axis=None, initial=1.0), np.maximum.reduce(size, axis=None, initial=1.0)
    return bool(low >= limits.tiny**0.5 and high <= limits.max**0.5)  # no NaN: it compares false


ARRAYS = (np.ndarray, np.floating)


def prod_argument(g: Any, z: Any, a: Any, axis: Axis = None, keepdims: bool = False) -> Any:
    """∂z/∂aₖ is the product of the others: z/aₖ, or, where that would lose it, all before k times all behind it."""
    g = restore(g, axis, keepdims, a.shape)
    if in_range(z):
        return g * (restore(z, axis, keepdims, a.shape) / a)
    axes = axes_of(axis, a.ndim)
    order = (*(k for k in range(a.ndim) if k not in axes), *axes)
    moved = np.transpose(a, order)
    rows = np.reshape(moved, (*moved.shape[: a.ndim - len(axes)], count(a.shape, axes)))
    others = before(np.cumprod(rows, axis=-1)) * backwards(before(np.cumprod(backwards(rows, -1), axis=-1)), -1)
    return g * np.transpose(np.reshape(others, moved.shape), np.argsort(order).tolist())


def before(products: Any) -> Any:
    """Running products without each one's last factor: 1 goes first, and the last one goes."""
    return np.concatenate([np.ones_like(products[..., :1]), products[..., :-1]], axis=-1)


@composite(np.prod, rules=(prod_argument,))
def prod(
    a: Any, axis: Axis = None, dtype: Any = None, keepdims: bool = False, initial: Any = 1, where: Any = True
) -> Any:
    """A tree of products, so that the derivative is exact where elements are zero, at every order."""
    a = in_dtype(a, dtype)
    if where is not True or not (type(initial) is int and initial == 1):
        return prod(np.where(np.broadcast_to(where, a.shape), a, 1.0), axis, keepdims=keepdims) * initial
    shape, axes = a.shape, axes_of(axis, a.ndim)
    if not a.ndim:
        return a * 1.0
    kept = [k for k in range(a.ndim) if k not in axes]
    a = np.reshape(np.transpose(a, (*kept, *axes)), (*(shape[k] for k in kept), count(shape, axes)))
    while a.shape[-1] > 1:
        half = a.shape[-1] // 2
        product = a[..., :half] * a[..., half : 2 * half]
        a = np.concatenate([product, a[..., 2 * half :]], axis=-1) if a.shape[-1] % 2 else product
    a = np.ones(a.shape[:-1], a.dtype) + np.sum(a, axis=-1) if not a.shape[-1] else a[..., 0]
    return np.expand_dims(a, axes) if keepdims else a


def cumprod_argument(g: Any, z: Any, a: Any, axis: int | None = None) -> Any:
    """What stands before k, times sₖ = gₖ + aₖ₊₁ sₖ₊₁, the cotangents with all factors between; (Σⱼ gⱼ zⱼ)/aₖ if safe.

    The sums s double their length at each step, as the products of `cumprod` do.
    """
    over = axis if a.ndim and axis is not None else 0
    if in_range(z):
        return np.reshape(backwards(np.cumsum(backwards(g * z, over), over), over), a.shape) / a
    s, z, factors = (np.moveaxis(np.reshape(each, g.shape), over, -1) for each in (g, z, a))
    factors = factors[..., 1:]
    step = 1
    while step < s.shape[-1]:
        s = np.concatenate([s[..., :-step] + factors * s[..., step:], s[..., -step:]], axis=-1)
        factors = factors[..., :-step] * factors[..., step:]
        step *= 2
    return np.reshape(np.moveaxis(before(z) * s, -1, over), a.shape)


@composite(np.cumprod, rules=(cumprod_argument,))
def cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Any:
    """Products over doubling distances: ⌈log₂ n⌉ multiplications, exact where elements are zero."""
    a = in_dtype(np.ravel(a) if axis is None or not a.ndim else a, dtype)
    axis = 0 if axis is None else normalize_axis_index(axis, np.ndim(a))
    step = 1
    while step < a.shape[axis]:
        head, tail = along(a, axis, slice(None, step)), along(a, axis, slice(step, None))
        a = np.concatenate([head, tail * along(a, axis, slice(None, -step))], axis=axis)
        step *= 2
    return a * 1.0 if step == 1 else a
