"""Schedules: functions from the number of steps already taken to the rate of the next.

Most know their course beforehand. `Plateau` looks at what training reports, as `EarlyStopping` does, which says when to
stop; `rate_range` looks before training, at which rate to begin with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError
from tinygrad_edu.settings import nonnegative, reported, share, whole

__all__ = [
    "EarlyStopping",
    "Plateau",
    "RateRange",
    "Schedule",
    "constant",
    "rate_range",
    "step_decay",
    "warmup",
    "warmup_cosine",
]

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """Always lr."""
    nonnegative("lr", lr)
    return lambda step: lr


def step_decay(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """lr, times `factor` after each `every` steps."""
    nonnegative("lr", lr)
    nonnegative("factor", factor)
    if whole("every", every) < 1:
        reject(ArgumentError, f"step_decay: every = {every}: the rate falls after 1 step at the earliest")
    return lambda step: lr * factor ** (step // every)


def warmup_cosine(lr: float, warmup: int, total: int, floor: float = 0.0) -> Schedule:
    """Linearly up to lr over `warmup` steps, then half a cosine down to `floor` at step `total` and after."""
    nonnegative("lr", lr)
    nonnegative("floor", floor)
    if not 0 <= whole("warmup", warmup) <= whole("total", total):
        reject(ArgumentError, f"warmup_cosine: warmup = {warmup} steps must lie in 0..total = {total}")

    def rate(step: int) -> float:
        if step < warmup:
            return lr * (step + 1) / warmup
        if step >= total:
            return floor
        return floor + (lr - floor) * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2

    return rate


def warmup(schedule: Schedule, steps: int) -> Schedule:
    """Linearly up to the first rate of `schedule` over `steps` steps; the schedule itself, from its start, after."""
    if not callable(schedule):
        reject(DtypeError, f"warmup: a {type(schedule).__name__} is no schedule; constant({schedule!r:.20}) is one")
    if whole("steps", steps) < 0:
        reject(ArgumentError, f"warmup: steps = {steps}: it must be 0 or more")
    return lambda step: schedule(0) * (step + 1) / steps if step < steps else schedule(step - steps)


# What training reports ----------------------------------------------------------------------------


class EarlyStopping:
    """Says when `patience` reports in a row, and one more, have been no better than the best before.

    Lower is better. Better means by more than `threshold` times the best; NaN never is.
    """

    def __init__(self, patience: int, threshold: float = 0.0) -> None:
        if whole("patience", patience) < 0:
            reject(ArgumentError, f"patience = {patience}: it must be 0 or more")
        self.patience, self.threshold = patience, nonnegative("threshold", threshold)
        self.best, self.waited = math.inf, 0

    def report(self, value: float) -> bool:
        """Take the newest value; True: it is time."""
        value = reported("value", value)
        better = value < self.best - (self.threshold * abs(self.best) if self.best < math.inf else 0.0)
        self.waited = 0 if better else self.waited + 1
        self.best = value if better else self.best
        return self.waited > self.patience

    def state_dict(self) -> dict[str, float]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = float(state["best"]), int(state["waited"])


class Plateau:
    """lr, times `factor` whenever more than `patience` reports in a row were no better; never below `floor`.

        schedule = Plateau(0.1, patience=2)
        optimizer = SGD(parameters, schedule)
        ...                                    # after each epoch:
        schedule.report(validation_loss)
    """

    def __init__(
        self, lr: float, factor: float = 0.1, patience: int = 10, threshold: float = 1e-4, floor: float = 0.0
    ) -> None:
        self.lr, self.factor, self.floor = nonnegative("lr", lr), share("factor", factor), nonnegative("floor", floor)
        self.watch = EarlyStopping(patience, threshold)

    def __call__(self, step: int) -> float:
        return self.lr

    def report(self, value: float) -> None:
        """Take the newest value; lower is better."""
        if self.watch.report(value):
            self.lr = max(self.lr * self.factor, min(self.lr, self.floor))
            self.watch.waited = 0

    def state_dict(self) -> dict[str, float]:
        return {"lr": self.lr, **self.watch.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.watch.load_state_dict(state)
        self.lr = nonnegative("lr", state["lr"])


# What to begin with -------------------------------------------------------------------------------


@dataclass(frozen=True)
class RateRange:
    """Rates that were tried, the loss at each, and the losses smoothed; `steepest` is a rate to begin with."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss fell fastest over the logarithm of the rate.

        Over a tenth of the steps, and in the middle of them: from one step to the next, above all among the first, it
        falls by luck with the batch. Raises ValueError where it never fell.
        """
        wide = max(1, len(self.smoothed) // 10)
        pairs = zip(self.smoothed, self.smoothed[wide:], self.rates[wide // 2 :], strict=False)
        fall, rate = min(((after - before, rate) for before, after, rate in pairs), default=(0.0, 0.0))
        if not fall < 0:
            reject(ArgumentError, f"the loss never fell between the rates {self.rates[0]:g} and {self.rates[-1]:g}")
        return rate


def rate_range(
    step: Callable[[float], float], lowest: float = 1e-6, highest: float = 1.0, steps: int = 100, smoothing: float = 0.9
) -> RateRange:
    """Train with rates that grow from lowest to highest, by one factor each step, until the loss explodes.

    step(lr) makes one step at that rate and returns the loss before it. Ends early where the smoothed loss is over four
    times its lowest, or not finite (then left out). Source: Smith, Cyclical learning rates (2017), section 3.3.
    """
    if not 0 < nonnegative("lowest", lowest) < nonnegative("highest", highest):
        reject(ArgumentError, f"rate_range: 0 < lowest = {lowest} < highest = {highest} must hold")
    if whole("steps", steps) < 2:
        reject(ArgumentError, f"rate_range: steps = {steps}: it takes two to see a loss fall")
    share("smoothing", smoothing)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for k in range(steps):
        rate = lowest * (highest / lowest) ** (k / (steps - 1))
        loss = reported("the loss that step returned", step(rate))
        if not math.isfinite(loss):
            break
        mean = smoothing * mean + (1 - smoothing) * loss
        rates.append(rate)
        losses.append(loss)
        smoothed.append(mean / (1 - smoothing ** (k + 1)))  # as if the average had begun at the first loss
        if smoothed[-1] > 4 * min(smoothed):
            break
    return RateRange(rates, losses, smoothed)
