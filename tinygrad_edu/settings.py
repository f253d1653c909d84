"""Numbers that a caller sets: each is checked where it is given, not where it first does harm."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError

__all__ = ["nonnegative", "positive", "reported", "share", "whole"]


def nonnegative(name: str, value: float) -> float:
    if not (number(name, value) >= 0 and math.isfinite(value)):
        reject(ArgumentError, f"{name} = {value}: it must be a finite number, 0 or more")
    return float(value)


def positive(name: str, value: float, dtype: np.dtype[Any]) -> float:
    if not (number(name, value) > 0 and math.isfinite(value)):
        reject(ArgumentError, f"{name} = {value}: it must be a finite number above 0")
    if not dtype.type(value) > 0:
        least = float(np.finfo(dtype).smallest_subnormal)
        what = f"{name} = {value} is 0 in {dtype}, the parameters' dtype; it must be {least:.1e} or more"
        reject(ArgumentError, what)
    return float(value)


def share(name: str, value: float) -> float:
    if not 0 <= number(name, value) < 1:
        reject(ArgumentError, f"{name} = {value}: it must lie in [0, 1)")
    return float(value)


def reported(name: str, value: Any) -> float:
    """What training measured: also infinite, NaN, or a Tensor or array of one number."""
    return float(number(name, value.item() if getattr(value, "shape", None) == () else value))


def whole(name: str, value: int) -> int:
    if not isinstance(value, numbers.Integral):
        reject(DtypeError, f"{name} = {value!r} is a {type(value).__name__}, not a whole number")
    return int(value)


def number(name: str, value: float) -> float:
    if not (isinstance(value, float) or isinstance(value, numbers.Real)):  # the first is quicker, and nearly all
        reject(DtypeError, f"{name} = {value!r} is a {type(value).__name__}, not a number")
    return value
