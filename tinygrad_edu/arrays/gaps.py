"""What a library may lack, said by functions that it has. Each takes what NumPy's function takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

__all__ = ["ALWAYS", "FILLED", "FOLDS", "is_basic"]

UNSET: Any = np._NoValue
LN2 = math.log(2.0)


def is_basic(index: Any) -> bool:
    """Integers, slices, None and Ellipsis alone."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(part, int | np.integer | slice | type(None) | type(Ellipsis)) for part in parts)


def as_asked(axis: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


# One value in, one value out


def sinc(x: Any) -> Any:
    angle = np.where(x == 0, 1.0, x) * math.pi
    return np.where(x == 0, 1.0, np.sin(angle) / angle)


def fmod(x: Any, y: Any) -> Any:
    return np.copysign(np.remainder(np.abs(x), np.abs(y)), x)


def fmax(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


# Shapes


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    order = list(range(a.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return np.transpose(a, tuple(order))


def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    taken, to = normalize_axis_tuple(source, a.ndim), normalize_axis_tuple(destination, a.ndim)
    order = [k for k in range(a.ndim) if k not in taken]
    for place, axis in sorted(zip(to, taken, strict=True)):
        order.insert(place, axis)
    return np.transpose(a, tuple(order))


def expand_dims(a: Any, axis: Any) -> Any:
    axes = normalize_axis_tuple(axis, a.ndim + (len(axis) if isinstance(axis, tuple | list) else 1))
    sizes = iter(a.shape)
    return np.reshape(a, tuple(1 if k in axes else next(sizes) for k in range(a.ndim + len(axes))))


def squeeze(a: Any, axis: Any = None) -> Any:
    axes = [k for k, n in enumerate(a.shape) if n == 1] if axis is None else normalize_axis_tuple(axis, a.ndim)
    for k in axes:
        if a.shape[k] != 1:
            raise ValueError(f"axis {k} has size {a.shape[k]}, and only an axis of size 1 can go")
    return np.reshape(a, tuple(n for k, n in enumerate(a.shape) if k not in axes))


def flip(m: Any, axis: Any = None) -> Any:
    axes = as_asked(axis, m.ndim)
    return m[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(m.ndim))]


def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.reshape(roll(np.reshape(a, -1), shift, 0), a.shape)
    axes = normalize_axis_tuple(axis, a.ndim, allow_duplicate=True)
    for by, along in np.broadcast(shift, axes):
        size = a.shape[along]
        start = -int(by) % size if size else 0
        lead = (slice(None),) * int(along)
        a = np.concatenate([a[(*lead, slice(start, None))], a[(*lead, slice(None, start))]], axis=int(along))
    return a


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    first, second = normalize_axis_tuple(axes, m.ndim)
    k %= 4
    if k == 2:
        return flip(m, (first, second))
    if k:
        m = swapaxes(flip(m, second) if k == 1 else m, first, second)
        return m if k == 1 else flip(m, second)
    return np.copy(m)


def tile(A: Any, reps: Any) -> Any:
    reps = (reps,) if np.ndim(reps) == 0 else tuple(reps)
    ndim = max(A.ndim, len(reps))
    A = np.reshape(A, (1,) * (ndim - A.ndim) + A.shape)
    for axis, times in enumerate((1,) * (ndim - len(reps)) + reps):
        A = np.concatenate([A] * max(int(times), 1), axis=axis) if times else A[(slice(None),) * axis + (slice(0),)]
    return A


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    a, axis = (np.reshape(a, -1), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim))
    return a[(slice(None),) * axis + (np.repeat(np.arange(a.shape[axis]), repeats),)]


def tri_of(m: Any, k: int, upper: bool) -> Any:
    rows, columns = m.shape[-2:]
    kept = np.tri(rows, columns, k - 1 if upper else k, dtype=bool)
    return np.where(~kept if upper else kept, m, np.zeros_like(m))


def tril(m: Any, k: int = 0) -> Any:
    return tri_of(np.broadcast_to(m, (m.shape[0],) * 2) if m.ndim == 1 else m, k, upper=False)


def triu(m: Any, k: int = 0) -> Any:
    return tri_of(np.broadcast_to(m, (m.shape[0],) * 2) if m.ndim == 1 else m, k, upper=True)


def unstack(x: Any, *, axis: int = 0) -> Any:
    lead = (slice(None),) * normalize_axis_index(axis, x.ndim)
    return tuple(x[(*lead, k)] for k in range(x.shape[axis]))


def stack(arrays: Any, axis: int = 0, dtype: Any = None, casting: Any = "same_kind") -> Any:
    return np.concatenate([np.expand_dims(each, axis) for each in arrays], axis=axis, dtype=dtype)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    lead = (slice(None),) * normalize_axis_index(axis, a.ndim)
    for _ in range(n):
        a = np.subtract(a[(*lead, slice(1, None))], a[(*lead, slice(None, -1))])
    return a


# Picking: asked to move the elements' numbers, NumPy says which go where


def moved(function: Callable[..., Any], place: int = 0) -> Callable[..., Any]:
    """The function, by where it takes the elements of its argument number `place` from."""

    def run(*args: Any, **options: Any) -> Any:
        a = args[place]
        numbers = np.arange(a.size).reshape(a.shape)
        return np.reshape(a, -1)[function(*args[:place], numbers, *args[place + 1 :], **options)]

    return run


def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Any:
    if axis is None or mode != "raise":
        return moved(np.take)(a, indices, axis, mode=mode)
    index = indices if hasattr(indices, "dtype") else np.asarray(indices)
    return a[(slice(None),) * normalize_axis_index(axis, a.ndim) + (index,)]


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    if axis is None:
        return np.reshape(arr, -1)[indices]
    grid: list[Any] = [
        np.arange(n).reshape((1,) * k + (-1,) + (1,) * (arr.ndim - k - 1)) for k, n in enumerate(arr.shape)
    ]
    grid[axis] = indices
    return arr[tuple(grid)]


def diag(v: Any, k: int = 0) -> Any:
    if v.ndim != 1:
        return moved(np.diag)(v, k)
    n = v.shape[0] + abs(k)
    rows = np.arange(n)[:, None] - max(-k, 0)
    inside = np.eye(n, k=k, dtype=bool)
    return np.where(inside, v[np.where(inside, rows, 0)], np.zeros_like(v, shape=(n, n)))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(moved(np.diagonal)(a, offset, axis1, axis2), axis=-1)


def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    if weights is None or not isinstance(x, np.ndarray):
        raise ValueError("bincount: how long the result is depends on the values of x")
    out = np.zeros_like(weights, shape=(max(minlength, int(np.max(x, initial=-1)) + 1),))
    np.add.at(out, x, weights)
    return out


def searchsorted(a: Any, v: Any, side: str = "left") -> Any:
    """How many stand before: all that are smaller, from the right also those that are equal."""
    v = v[..., None]
    return np.sum(np.less(a, v) if side == "left" else np.less_equal(a, v), axis=-1)


# Products


def einsum(subscripts: str, *operands: Any, optimize: Any = None) -> Any:
    """Every letter an axis, all operands multiplied, and summed over the letters that the output has not."""
    terms, output = subscripts.replace(" ", "").split("->") if "->" in subscripts else (subscripts, None)
    written = terms.replace(" ", "").split(",")
    dots = max(x.ndim - len(term.replace("...", "")) for term, x in zip(written, operands, strict=True))
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts][:dots]
    letters = []
    for term, x in zip(written, operands, strict=True):
        own = x.ndim - len(term.replace("...", ""))
        letters.append(term.replace("...", "".join(spare[dots - own :])))
    every = "".join(dict.fromkeys("".join(letters)))
    if output is None:
        joined = "".join(letters)
        output = "".join(spare) + "".join(sorted(c for c in every if joined.count(c) == 1 and c not in spare))
    output = output.replace("...", "".join(spare))
    order = output + "".join(c for c in every if c not in output)
    product: Any = 1.0
    for term, x in zip(letters, operands, strict=True):
        for letter in dict.fromkeys(term):
            while term.count(letter) > 1:  # a letter twice is a diagonal
                first, last = term.index(letter), term.rindex(letter)
                x = np.diagonal(x, axis1=first, axis2=last)
                term = term[:first] + term[first + 1 : last] + term[last + 1 :] + letter
        here = [c for c in order if c in term]
        x = np.transpose(x, tuple(term.index(c) for c in here))
        product = product * np.reshape(x, tuple(x.shape[here.index(c)] if c in here else 1 for c in order))
    return np.sum(product, axis=tuple(range(len(output), len(order))))


# Reductions with options that only NumPy knows


def folded(function: Any, better: Any, nothing: Any) -> Callable[..., Any]:
    """max, min, sum or prod with where= and initial=: what is left out becomes `nothing`, and `better` joins two."""

    def run(a: Any, *args: Any, initial: Any = UNSET, where: Any = True, **options: Any) -> Any:
        if where is not True:
            a = np.where(where, a, nothing)
        if initial is UNSET:
            return a.library.plainly(function, (a, *args), options)
        if not a.size:  # of nothing, what it begins with
            axes = as_asked(args[0] if args else options.get("axis"), a.ndim)
            keep = options.get("keepdims", False)
            shape = [1 if k in axes else n for k, n in enumerate(a.shape) if keep or k not in axes]
            return np.zeros_like(a, shape=tuple(shape)) + initial
        return better(a.library.plainly(function, (a, *args), options), initial)

    return run


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True) -> Any:
    a = a if dtype is None else a.astype(dtype)
    if where is True:
        return a.library.plainly(np.mean, (a,), {"axis": axis, "keepdims": keepdims})
    counted = np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims, dtype=a.dtype)
    return np.sum(np.where(where, a, 0.0), axis=axis, keepdims=keepdims) / counted


# Facts


def result_type(*values: Any) -> Any:
    return np.result_type(*[getattr(value, "dtype", value) for value in values])


def like(value: float) -> Callable[..., Any]:
    """zeros_like and ones_like with shape=, which only NumPy's have."""

    def run(a: Any, dtype: Any = None, order: Any = None, subok: bool = True, *, shape: Any = None) -> Any:
        sizes = a.shape if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        return a.library.filled(sizes, value, a.dtype if dtype is None else np.dtype(dtype))

    return run


FOLDS = frozenset((np.sum, np.prod, np.max, np.min))

# Asked of no library: NumPy takes more options than others do, or only facts are asked for.
ALWAYS: dict[Any, Callable[..., Any]] = {
    np.shape: lambda a: a.shape, np.ndim: lambda a: a.ndim, np.size: lambda a: a.size,
    np.result_type: result_type, np.iscomplexobj: lambda x: False, np.isrealobj: lambda x: True,
    np.zeros_like: like(0.0), np.ones_like: like(1.0), np.empty_like: like(0.0),
    np.astype: lambda x, dtype, copy=True: x.astype(dtype), np.copy: lambda a, order="K", subok=False: a.copy(),
    np.sum: folded(np.sum, np.add, 0.0), np.prod: folded(np.prod, np.multiply, 1.0),
    np.max: folded(np.max, np.maximum, -np.inf), np.min: folded(np.min, np.minimum, np.inf), np.mean: mean,
}  # fmt: skip

# Where a library has nothing of NumPy's name.
FILLED: dict[Any, Callable[..., Any]] = {
    np.square: lambda x: x * x, np.reciprocal: lambda x: 1.0 / x, np.exp2: lambda x: np.power(2.0, x),
    np.cbrt: lambda x: np.sign(x) * np.abs(x) ** (1.0 / 3.0), np.float_power: lambda x, y: np.power(x, y),
    np.ldexp: lambda x, y: x * np.power(2.0, y), np.rint: lambda x: np.round(x), np.sinc: sinc, np.fmod: fmod,
    np.logaddexp2: lambda x, y: np.logaddexp(x * LN2, y * LN2) / LN2, np.fmax: fmax, np.fmin: fmin,
    np.degrees: lambda x: x * (180.0 / math.pi), np.rad2deg: lambda x: x * (180.0 / math.pi),
    np.radians: lambda x: x * (math.pi / 180.0), np.deg2rad: lambda x: x * (math.pi / 180.0),
    np.fabs: lambda x: np.abs(x), np.isposinf: lambda x: x == np.inf, np.isneginf: lambda x: x == -np.inf,
    np.ravel: lambda a, order="C": np.reshape(a, -1, order=order), np.swapaxes: swapaxes, np.moveaxis: moveaxis,
    np.matrix_transpose: lambda x: swapaxes(x, -1, -2), np.expand_dims: expand_dims, np.squeeze: squeeze,
    np.flip: flip, np.fliplr: lambda m: flip(m, 1), np.flipud: lambda m: flip(m, 0), np.rot90: rot90, np.roll: roll,
    np.tril: tril, np.triu: triu, np.tile: tile, np.repeat: repeat, np.unstack: unstack, np.stack: stack,
    np.diff: diff, np.clip: clip,
    np.searchsorted: searchsorted,
    np.take: take, np.take_along_axis: take_along_axis, np.compress: moved(np.compress, 1),
    np.extract: moved(np.extract, 1), np.delete: moved(np.delete), np.diagonal: moved(np.diagonal),
    np.linalg.diagonal: moved(np.linalg.diagonal), np.trace: trace,
    np.linalg.trace: lambda x, /, *, offset=0, dtype=None: trace(x, offset, -2, -1), np.diag: diag,
    np.diagflat: lambda v, k=0: diag(np.reshape(v, -1), k), np.bincount: bincount,
    np.argpartition: lambda a, kth, axis=-1: np.argsort(a, axis=axis),
    np.vecdot: lambda x, y: np.sum(x * y, axis=-1), np.einsum: einsum,
    np.outer: lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)),
    np.linalg.svdvals: lambda x: np.linalg.svd(x, full_matrices=False)[1],
}  # fmt: skip
