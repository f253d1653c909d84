"""What the checks of the exercises are written with: comparisons whose messages teach, and drawn values.

A check is a plain function `check_NAME(module)` that calls `module.NAME` and raises AssertionError where it is wrong.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Exercise(NamedTuple):
    """level: 1 to 3. hints: Markdown, from a nudge to nearly all. wrong: typical wrong answers, which checks catch."""

    level: int
    hints: tuple[str, ...]
    wrong: tuple[Callable[..., Any], ...]


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def call(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """The function's result; it must leave its arguments as they are."""
    before = copy.deepcopy(arguments)
    result = function(*arguments, **named)
    for number, (now, then) in enumerate(zip(arguments, before, strict=True), 1):
        if isinstance(now, np.ndarray) and not np.array_equal(now, then, equal_nan=True):
            raise AssertionError(f"{function.__name__} changed its argument {number}; work on a copy instead")
    if result is None:
        raise AssertionError(f"{function.__name__} returned None: is a `return` missing?")
    return result


def close(found: Any, wanted: Any, what: str, hint: str = "", tolerance: float = 1e-9) -> None:
    """Same shape, finite, and equal up to `tolerance` of the largest number; says where not."""
    ending = f" {hint}" if hint else ""
    array, right = numbers(found, what), np.asarray(wanted)
    if array.shape != right.shape:
        raise AssertionError(f"{what}: shape {array.shape}, but it should be {right.shape}.{ending}")
    if not np.isfinite(array).all() and np.isfinite(right).all():
        raise AssertionError(f"{what}: there are NaN or infinite numbers in it.{ending}")
    off = np.abs(array.astype(float) - right.astype(float))
    scale = max(1.0, float(np.abs(right).max(initial=0)))
    if not (off <= tolerance * scale).all():
        place = np.unravel_index(int(np.argmax(off > tolerance * scale)), off.shape)
        index = f" at index {tuple(int(each) for each in place)}" if off.ndim else ""
        one, other = told_apart(array[place], right[place])
        raise AssertionError(f"{what}: {one}{index}, but it should be {other}.{ending}")


def told_apart(one: Any, other: Any) -> tuple[str, str]:
    """Both numbers with six digits, or with as many as it takes to see that they differ."""
    for digits in (6, 9, 12, 17):
        words = f"{one:.{digits}g}", f"{other:.{digits}g}"
        if words[0] != words[1]:
            break
    return words


def differences(f: Callable[[np.ndarray], Any], x: np.ndarray, g: Any = 1.0) -> np.ndarray:
    """The cotangent of x, from central differences of the sum of g * f(x)."""
    dx = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += 1e-5
        down[index] -= 1e-5
        dx[index] = np.sum(g * (f(up) - f(down))) / 2e-5
    return dx


def numbers(found: Any, what: str) -> np.ndarray:
    array = np.asarray(found)
    that(array.dtype.kind in "biuf", f"{what}: numbers are wanted, not {type(found).__name__} of {array.dtype}.")
    return array


def shaped(found: Any, wanted: tuple[int, ...], what: str, hint: str = "") -> None:
    shape = numbers(found, what).shape
    that(shape == wanted, f"{what}: {shape}, but it should be {wanted}.{' ' + hint if hint else ''}")


def that(holds: Any, message: str) -> None:
    if not holds:
        raise AssertionError(message)
