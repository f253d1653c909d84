"""What ONNX says in several operations. Each is an entry of the table: o builds, z is the value, then the arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.onnx.builder import Builder, Name
from tinygrad_edu.rules.reductions import UNSET, axes_of, count

__all__: list[str] = []

Entry = Callable[..., Any]
NUMBERS = (int, float)  # of Python's own: np.float64 passes for a float, and may come from an input


def common(*xs: Any) -> Any:
    """The dtype that NumPy works in; Python's numbers are weak."""
    return np.result_type(*[x if type(x) in NUMBERS else np.asarray(x).dtype for x in xs])


# Elementwise


def remainder(o: Builder, z: Any, x: Any, y: Any) -> Name:
    """NumPy's has the sign of the divisor, C's that of the dividend."""
    x, y = o.cast(x, z.dtype), o.cast(y, z.dtype)
    if z.dtype.kind != "f":
        return o("Mod", x, y)
    rest, zero = o("Mod", x, y, fmod=1), z.dtype.type(0)
    other = o("Xor", o("Less", rest, zero), o("Less", y, zero))
    return o("Where", o("And", o("Not", o("Equal", rest, zero)), other), o("Add", rest, y), rest)


def floor_divide(o: Builder, z: Any, x: Any, y: Any) -> Name:
    whole = o("Div", o("Sub", o.cast(x, z.dtype), remainder(o, z, x, y)), o.cast(y, z.dtype))
    return o("Round", whole) if z.dtype.kind == "f" else whole


def ldexp(o: Builder, z: Any, x: Any, y: Any) -> Name:
    return o("Mul", o.cast(x, z.dtype), o("Pow", z.dtype.type(2), o.cast(y, z.dtype)))


def cbrt(o: Builder, z: Any, x: Any) -> Name:
    return o("Mul", o("Sign", x), o("Pow", o("Abs", x), z.dtype.type(1 / 3)))


def signbit(o: Builder, x: Any) -> Name:
    """Also of −0, whose reciprocal is −∞."""
    zero = x.dtype.type(0)
    return o("Or", o("Less", x, zero), o("Less", o("Reciprocal", x), zero))


def copysign(o: Builder, z: Any, x: Any, y: Any) -> Name:
    size = o("Abs", o.cast(x, z.dtype))
    return o("Where", signbit(o, np.asarray(y, z.dtype) if type(y) in NUMBERS else y), o("Neg", size), size)


def expm1(o: Builder, z: Any, x: Any) -> Name:
    """Near 0 as 2 t / (1 − t) with t = tanh(x/2), which keeps the digits that eˣ − 1 would lose."""
    one = z.dtype.type(1)
    near = o("Less", o("Abs", x), one)
    t = o("Tanh", o("Mul", o("Where", near, x, z.dtype.type(0)), z.dtype.type(0.5)))
    small = o("Div", o("Add", t, t), o("Sub", one, t))
    return o("Where", near, small, o("Sub", o("Exp", x), one))


def log1p(o: Builder, x: Any, dtype: Any) -> Name:
    """log u · x / (u − 1) with u = 1 + x as it was rounded: the errors of both cancel. Source: Kahan."""
    one = dtype.type(1)
    u = o("Add", x, one)
    rounded = o("Sub", u, one)
    exact = o("Or", o("Equal", rounded, dtype.type(0)), o("IsInf", u))
    safe = o("Where", exact, one, rounded)
    return o("Where", exact, o("Where", o("IsInf", u), u, x), o("Mul", o("Log", u), o("Div", x, safe)))


def log_base(base: int) -> Entry:
    return lambda o, z, x: o("Mul", o("Log", x), z.dtype.type(1 / math.log(base)))


def logaddexp(base: float) -> Entry:
    """max + log(1 + b^−|x − y|)."""
    ln = math.log(base)

    def entry(o: Builder, z: Any, x: Any, y: Any) -> Name:
        x, y, zero = o.cast(x, z.dtype), o.cast(y, z.dtype), z.dtype.type(0)
        apart = o("Where", o("Equal", x, y), zero, o("Abs", o("Sub", x, y)))
        more = log1p(o, o("Exp", o("Mul", apart, z.dtype.type(-ln))), z.dtype)
        return o("Add", o("Max", x, y), o("Mul", more, z.dtype.type(1 / ln)))

    return entry


def arctan2(o: Builder, z: Any, y: Any, x: Any) -> Name:
    y, x, zero = o.cast(y, z.dtype), o.cast(x, z.dtype), z.dtype.type(0)
    pi = z.dtype.type(math.pi)
    left = o("Less", x, zero)
    turn = o("Where", left, o("Where", o("Less", y, zero), -pi, pi), zero)
    nothing = o("And", o("Equal", x, zero), o("Equal", y, zero))
    return o("Add", o("Where", nothing, zero, o("Atan", o("Div", y, x))), turn)


def hypot(o: Builder, z: Any, x: Any, y: Any) -> Name:
    """The longer side times √(1 + ratio²), which does not overflow."""
    x, y = (o("Abs", o.cast(each, z.dtype)) for each in (x, y))
    long, one = o("Max", x, y), z.dtype.type(1)
    ratio = o("Div", o("Min", x, y), o("Where", o("Equal", long, z.dtype.type(0)), one, long))
    return o("Mul", long, o("Sqrt", o("Add", one, o("Mul", ratio, ratio))))


def sinc(o: Builder, z: Any, x: Any) -> Name:
    zero, one = z.dtype.type(0), z.dtype.type(1)
    angle = o("Mul", x, z.dtype.type(math.pi))
    at_zero = o("Equal", x, zero)
    return o("Where", at_zero, one, o("Div", o("Sin", angle), o("Where", at_zero, one, angle)))


def without_nan(op: str) -> Entry:
    """The other one, where one is NaN."""

    def entry(o: Builder, z: Any, x: Any, y: Any) -> Name:
        x, y = o.cast(x, z.dtype), o.cast(y, z.dtype)
        return o("Where", o("IsNaN", x), y, o("Where", o("IsNaN", y), x, o(op, x, y)))

    return entry


def bits(op: str) -> Entry:
    """Of truth values; of integers, bit by bit."""
    return lambda o, z, *xs: o(op if z.dtype == bool else f"Bitwise{op}", *[o.cast(x, z.dtype) for x in xs])


def trunc(o: Builder, z: Any, x: Any) -> Name:
    return o("Mul", o("Sign", x), o("Floor", o("Abs", x)))


def rounded(o: Builder, z: Any, a: Any, decimals: int = 0) -> Name:
    if not decimals:
        return o("Round", a)
    scale = z.dtype.type(10.0 ** abs(decimals))
    there, back = ("Mul", "Div") if decimals > 0 else ("Div", "Mul")
    return o(back, o("Round", o(there, a, scale)), scale)


def heaviside(o: Builder, z: Any, x: Any, y: Any) -> Name:
    x, y, zero = o.cast(x, z.dtype), o.cast(y, z.dtype), z.dtype.type(0)
    return o("Where", o("Equal", x, zero), y, o("Where", o("Less", x, zero), zero, z.dtype.type(1)))


# Products and reductions


def einsum(o: Builder, z: Any, subscripts: str, *arrays: Any, **neutral: Any) -> Name:
    arrays = tuple(arrays[0]) if isinstance(arrays[0], list) else arrays
    return o("Einsum", *[o.cast(each, z.dtype) for each in arrays], equation=subscripts.replace(" ", ""))


def reduced(op: str, neutral: float, joined: str) -> Entry:
    def entry(
        o: Builder, z: Any, a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = UNSET,
        where: Any = True,
    ) -> Name:  # fmt: skip
        name = o.cast(a, z.dtype)
        if where is not True:
            name = o("Where", o.cast(where, np.bool_), name, z.dtype.type(neutral))
        axes = axes_of(axis, a.ndim)
        if axes:
            name = o(op, name, np.array(axes, np.int64), keepdims=int(keepdims))
        return name if initial is UNSET else o(joined, name, z.dtype.type(initial))

    return entry


def mean(
    o: Builder, z: Any, a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Name:
    total = reduced("ReduceSum", 0, "Add")(o, z, a, axis, None, keepdims, UNSET, where)
    if where is True:
        return o("Div", total, z.dtype.type(count(a.shape, axis)))
    counted = o.expanded(o.cast(where, z.dtype), a.shape)
    axes = axes_of(axis, a.ndim)
    return o("Div", total, o("ReduceSum", counted, np.array(axes, np.int64), keepdims=int(keepdims)))


def flattened(o: Builder, a: Any, axis: int | None, dtype: Any) -> tuple[Name, int]:
    name = o.cast(a, dtype)
    return (o.shaped(name, (-1,)), 0) if axis is None or not a.ndim else (name, axis % a.ndim)


def cumsum(o: Builder, z: Any, a: Any, axis: int | None = None, dtype: Any = None) -> Name:
    name, axis = flattened(o, a, axis, z.dtype)
    return o("CumSum", name, np.array(axis, np.int64))


def truth(op: str) -> Entry:
    """any and all, as the largest and the smallest of 0 and 1."""

    def entry(o: Builder, z: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Name:
        numbers = o("Cast", o.cast(a, np.bool_), to=np.dtype(np.int32))
        axes = np.array(axes_of(axis, a.ndim), np.int64)
        return o("Cast", o(op, numbers, axes, keepdims=int(keepdims)), to=np.dtype(bool))

    return entry


def count_nonzero(o: Builder, z: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Name:
    numbers = o("Cast", o.cast(a, np.bool_), to=np.dtype(np.int64))
    return o("ReduceSum", numbers, np.array(axes_of(axis, a.ndim), np.int64), keepdims=int(keepdims))


def argument(op: str) -> Entry:
    def entry(o: Builder, z: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Name:
        name, over = flattened(o, a, axis, a.dtype if a.dtype.kind == "f" else np.dtype(np.int32))
        return o.shaped(o(op, name, axis=over, keepdims=int(keepdims)), np.shape(z))

    return entry


def ordered(which: int) -> Entry:
    """The values in order, or their places: TopK gives both."""

    def entry(o: Builder, z: Any, a: Any, axis: Any = -1, **neutral: Any) -> Name:
        name, over = flattened(o, a, axis, a.dtype)
        size = np.array([z.shape[over]], np.int64)
        return o.several("TopK", 2, name, size, axis=over, largest=0, sorted=1)[which]

    return entry


def searchsorted(o: Builder, z: Any, a: Any, v: Any, side: str = "left") -> Name:
    """How many are smaller, or not larger."""
    dtype = common(a, v)
    each = o.shaped(o.cast(v, dtype), (*np.shape(v), 1))
    below = o("Less" if side == "left" else "LessOrEqual", o.cast(a, dtype), each)
    return o("ReduceSum", o("Cast", below, to=np.dtype(np.int64)), np.array([-1], np.int64), keepdims=0)


# Shapes and picking


def triangle(function: Callable[..., Any]) -> Entry:
    def entry(o: Builder, z: Any, m: Any, k: int = 0) -> Name:
        return o("Where", function(np.ones(z.shape, bool), k), m, z.dtype.type(0))

    return entry


def concatenate(o: Builder, z: Any, arrays: Any, axis: int | None = 0, **neutral: Any) -> Name:
    names = [o.cast(each, z.dtype) for each in arrays]
    if axis is None:
        names = [o.shaped(name, (-1,)) for name in names]
    return o("Concat", *names, axis=0 if axis is None else axis % z.ndim)


def stack(o: Builder, z: Any, arrays: Any, axis: int = 0, **neutral: Any) -> Name:
    axis %= z.ndim
    shape = [1 if k == axis else size for k, size in enumerate(z.shape)]
    return o("Concat", *[o.shaped(o.cast(each, z.dtype), shape) for each in arrays], axis=axis)


def unstack(o: Builder, z: Any, x: Any, axis: Any = 0) -> tuple[Name, ...]:
    axis = (axis[0] if isinstance(axis, tuple | list) else axis) % x.ndim
    parts = o.several("Split", len(z), x, axis=axis, num_outputs=len(z))
    return tuple(o.shaped(part, each.shape) for part, each in zip(parts, z, strict=True))


def take(o: Builder, z: Any, a: Any, indices: Any, axis: int | None) -> Name:
    name, over = flattened(o, a, axis, a.dtype)
    return o("Gather", name, o.cast(indices, np.int64), axis=over)


def take_along_axis(o: Builder, z: Any, arr: Any, indices: Any, axis: int | None = -1) -> Name:
    name, over = flattened(o, arr, axis, arr.dtype)
    places = o.cast(indices, np.int64)
    if axis is None or not arr.ndim:
        return o("GatherElements", name, places, axis=0)
    whole = [arr.shape[k] if k == over else size for k, size in enumerate(z.shape)]
    return o("GatherElements", o.expanded(name, whole), o.expanded(places, z.shape), axis=over)


def bincount(o: Builder, z: Any, x: Any, weights: Any, minlength: int = 0) -> Name:
    zeros = np.zeros(z.shape, z.dtype)
    return o("ScatterElements", zeros, o.cast(x, np.int64), o.cast(weights, z.dtype), axis=0, reduction="add")


def trace(function: Callable[..., Any]) -> Entry:
    def entry(o: Builder, z: Any, a: Any, *args: Any, dtype: Any = None, **keywords: Any) -> Name:
        places = function(np.arange(a.size).reshape(a.shape), *args, **keywords)
        picked = o.gathered(o.cast(a, z.dtype), places.reshape(-1), places.shape)
        return o("ReduceSum", picked, np.array([-1], np.int64), keepdims=0)

    return entry


def spread(function: Callable[..., Any]) -> Entry:
    """Elements elsewhere, and zeros between them: number 0 stands for a zero that is put in front."""

    def entry(o: Builder, z: Any, v: Any, k: int = 0) -> Name:
        numbers = function(np.arange(1, v.size + 1).reshape(v.shape), k)
        with_zero = o("Concat", np.zeros(1, z.dtype), o.shaped(v, (-1,)), axis=0)
        return o.gathered(with_zero, numbers.reshape(-1), z.shape)

    return entry
