"""The values that a program has so far, and the drawn bytes that choose among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.testing.program import Step

__all__ = ["APART", "MOST", "Dice", "Known", "Pool"]

LARGEST, MOST = 30.0, 64  # of a value: its absolute value, its elements
APART = 0.05  # elements that are compared
REAL_NUMBERS = np.dtype(np.float64)


class Dice:
    """Drawn bytes, read one after the other; zeros after the last."""

    def __init__(self, raw: bytes) -> None:
        self.rest = iter(raw)

    def byte(self) -> int:
        return next(self.rest, 0)

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.byte() % len(options)]

    def value(self, numbers: Sequence[int]) -> int:
        """One of these values: any, or more often one of the last two, so that programs grow deep."""
        code = self.byte()
        return numbers[code % len(numbers)] if code < 112 else numbers[-1 - code % min(2, len(numbers))]


class Known:
    """A value, and what forms ask about it."""

    __slots__ = ("bounds", "gap", "shape", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.shape: tuple[int, ...] = value.shape
        sizes = np.abs(value)
        self.bounds = float(np.min(value)), float(np.max(value)), float(np.min(sizes))
        self.gap: float | None = None

    def inside(self, limits: tuple[float, float, float]) -> bool:
        low, high, small = self.bounds
        return low >= limits[0] and high <= limits[1] and small >= limits[2]

    def apart(self) -> bool:
        """No two elements are equal, or nearly so."""
        if self.gap is None:
            self.gap = float(np.min(np.diff(np.sort(self.value, axis=None)), initial=math.inf))
        return self.gap >= APART


class Pool:
    """The values so far: inputs, then one for each step. Truth values stand among them, and suit no form."""

    def __init__(self, inputs: Sequence[np.ndarray], most: int) -> None:
        self.most = most
        self.dtype = inputs[0].dtype if inputs else REAL_NUMBERS
        self.values: list[Any] = list(inputs)
        self.known: list[Known | None] = [Known(x) for x in inputs]
        self.steps: list[Step] = []

    def where(self, suits: Callable[[Known], bool]) -> list[int]:
        return [number for number, known in enumerate(self.known) if known is not None and suits(known)]

    def take(self, steps: Sequence[Step]) -> bool:
        """Run the steps and keep them, if their values are finite and of moderate size; else none of them."""
        values, known = list(self.values), list(self.known)
        if len(self.steps) + len(steps) > self.most:
            return False
        for step in steps:
            value = step(values)
            facts = self.judged(value)
            if facts is None and getattr(value, "dtype", REAL_NUMBERS).kind != "b":
                return False
            values.append(value)
            known.append(facts)
        self.values, self.known = values, known
        self.steps += steps
        return True

    def judged(self, value: Any) -> Known | None:
        if not isinstance(value, np.ndarray | np.floating) or value.dtype != self.dtype or not 0 < value.size <= MOST:
            return None
        known = Known(value)
        return known if -LARGEST <= known.bounds[0] and known.bounds[1] <= LARGEST else None  # NaN is not
