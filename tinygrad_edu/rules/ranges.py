"""Rows of values between two ends, powers in a row, and phases without jumps. Forward code only."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_edu.primitive import composite
from tinygrad_edu.rules.products import as_operand
from tinygrad_edu.rules.shapes import astype

__all__: list[str] = []


def dtype_of(*values: Any) -> Any:
    """What they promote to, and a float; plain numbers are weak."""
    return np.result_type(*[getattr(value, "dtype", value) for value in values], 0.0)


def number_of(num: Any) -> int:
    if operator.index(num) < 0:
        raise ValueError(f"num={num}; a row has 0 values or more")
    return operator.index(num)


@composite(np.linspace)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    num, inexact = number_of(num), dtype_of(start, stop)
    start, stop = (astype(as_operand(end), inexact) for end in (start, stop))
    steps = num - 1 if endpoint else num
    step = (stop - start) / steps if steps > 0 else np.nan
    number = np.reshape(np.arange(num, dtype=inexact), (num,) + (1,) * max(start.ndim, stop.ndim))
    out = number * (step if steps > 0 else stop - start) + start
    if endpoint and num > 1:
        out = np.where(number == steps, stop, out)  # to the last digit
    out = as_asked(out, dtype, axis)
    return (out, step) if retstep else out


def as_asked(out: Any, dtype: Any, axis: int) -> Any:
    """The row along `axis`, in a dtype; whole numbers are rounded down."""
    out = np.moveaxis(out, 0, axis) if axis else out
    if dtype is None:
        return out
    return astype(np.floor(out) if np.issubdtype(dtype, np.integer) else out, dtype)


@composite(np.logspace)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    ndim = max(map(np.ndim, (start, stop, base))) if np.ndim(base) else 0
    if ndim:
        start, stop, base = (np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x)) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    out = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return out if dtype is None else astype(out, dtype)


@composite(np.geomspace)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    num, inexact = number_of(num), dtype_of(start, stop, np.float64(num))
    start, stop = (astype(as_operand(end), inexact) for end in (start, stop))
    if np.any(start == 0) or np.any(stop == 0):
        raise ValueError("a geometric row comes past no zero")
    sign = np.sign(start)
    out = sign * np.power(10.0, np.linspace(np.log10(start * sign), np.log10(stop * sign), num, endpoint))
    number = np.reshape(np.arange(num), (num,) + (1,) * (out.ndim - 1))
    out = np.where(number == 0, start, out)
    out = np.where(number == num - 1, stop, out) if endpoint and num > 1 else out
    out = np.moveaxis(out, 0, axis) if axis else out
    return out if dtype is None else astype(out, dtype)


@composite(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = as_operand(x)
    if x.ndim != 1:
        raise ValueError(f"shape {x.shape} is no row of numbers")
    x = astype(x, np.promote_types(x.dtype, int))  # so NumPy has it: float32 becomes float64
    powers = np.arange(len(x) if N is None else N, dtype=x.dtype)
    return x[:, None] ** (powers if increasing else powers[::-1])


@composite(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2.0 * np.pi) -> Any:
    """From each jump of more than half a period, whole periods are taken away: as constants, since they are counts."""
    axis = normalize_axis_index(axis, p.ndim)
    p = np.moveaxis(p, axis, 0)
    step, half = p[1:] - p[:-1], period / 2
    turns = np.where(step > 0, np.ceil((step - half) / period), np.floor((step + half) / period))
    turns = np.where(np.abs(step) < (half if discont is None else discont), 0.0, turns)
    out = np.concatenate([p[:1], p[1:] - np.cumsum(turns, axis=0) * period])
    return np.moveaxis(out, 0, axis)
