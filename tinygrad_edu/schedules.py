"""Schedules: functions from the number of steps already taken to the rate of the next."""

from __future__ import annotations

import math
from collections.abc import Callable

from tinygrad_edu.settings import nonnegative

__all__ = ["Schedule", "constant", "step_decay", "warmup_cosine"]

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """Always lr."""
    nonnegative("lr", lr)
    return lambda step: lr


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """lr, times `factor` after each `every` steps."""
    nonnegative("lr", lr)
    nonnegative("factor", factor)
    if every < 1:
        raise ValueError(f"step_decay: every = {every}: the rate falls after 1 step at the earliest")
    return lambda step: lr * factor ** (step // every)


def warmup_cosine(lr: float, warmup: int, total: int, floor: float = 0.0) -> Schedule:
    """Linearly up to lr over `warmup` steps, then half a cosine down to `floor` at step `total` and after."""
    nonnegative("lr", lr)
    nonnegative("floor", floor)
    if not 0 <= warmup <= total:
        raise ValueError(f"warmup_cosine: warmup = {warmup} steps must lie in 0..total = {total}")

    def rate(step: int) -> float:
        if step < warmup:
            return lr * (step + 1) / warmup
        if step >= total:
            return floor
        return floor + (lr - floor) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2

    return rate
