"""Optimisers: from gradients to new parameters, by the published formulas. What they share is in `optimizer`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.averages import MovingAverage
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError
from tinygrad_edu.flat import flat_gradient, spread_gradient
from tinygrad_edu.graph import user_location
from tinygrad_edu.optimizer import Array, Optimizer, Parameters, named
from tinygrad_edu.rules.loops import adam_compiled
from tinygrad_edu.schedules import (
    EarlyStopping,
    Plateau,
    RateRange,
    Schedule,
    constant,
    rate_range,
    step_decay,
    warmup,
    warmup_cosine,
)
from tinygrad_edu.settings import nonnegative, positive, share
from tinygrad_edu.tensor import Tensor

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "EarlyStopping",
    "Lion",
    "MovingAverage",
    "Optimizer",
    "Plateau",
    "RateRange",
    "Schedule",
    "clip_grad_norm",
    "constant",
    "flat_gradient",
    "rate_range",
    "spread_gradient",
    "step_decay",
    "warmup",
    "warmup_cosine",
]


class SGD(Optimizer):
    """v = μ v − lr g; w += v; with nesterov, w += μ v − lr g. weight_decay adds its share of w to g."""

    def __init__(
        self, parameters: Parameters, lr: float | Schedule,
        momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.momentum = share("momentum", momentum)
        if nesterov and not momentum:
            reject(ArgumentError, "SGD: nesterov=True looks ahead along the momentum; give momentum > 0")
        self.nesterov, self.weight_decay = nesterov, nonnegative("weight_decay", weight_decay)
        self.memories = ("velocity",) if momentum else ()
        super().__init__(parameters, lr)

    def update(self, w: Array, g: Array, lr: float, count: int, *memories: Array) -> None:
        if self.weight_decay:
            g = g + self.weight_decay * w
        step = -lr * g
        for v in memories:  # none without momentum
            v *= self.momentum
            v += step
            step = self.momentum * v + step if self.nesterov else v
        w += step


class Adam(Optimizer):
    """m = β₁ m + (1−β₁) g; v = β₂ v + (1−β₂) g²; w −= lr m̂ / (√v̂ + ε), with m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    weight_decay adds its share of w to g; see AdamW. t counts a parameter's own updates. ε must be positive in the
    parameters' dtype (1e-8 is 0 in float16): without it a gradient that was always 0 gives 0/0.
    """

    memories = ("m", "v")
    decoupled = False

    def __init__(
        self, parameters: Parameters, lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.betas = two_shares("betas", betas)
        self.weight_decay = nonnegative("weight_decay", weight_decay)
        super().__init__(parameters, lr)
        self.eps = positive("eps", eps, self._memory["v"].dtype)

    def update(self, w: Array, g: Array, lr: float, count: int, *memories: Array) -> None:
        if self.weight_decay and self.decoupled:
            w *= 1 - lr * self.weight_decay
        elif self.weight_decay:
            g = g + self.weight_decay * w
        (m, v), (beta1, beta2) = memories, self.betas
        if adam_compiled(w, g, m, v, self.betas, self.eps, lr, count):
            return
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        g *= g  # the piece of the flat buffer is ours
        g *= 1 - beta2
        v += g
        below = np.sqrt(v) * (1 / math.sqrt(1 - beta2**count))
        below += self.eps
        np.divide(m, below, out=below)
        below *= lr / (1 - beta1**count)
        w -= below


class AdamW(Adam):
    """Adam whose weight decay bypasses the moments: w −= lr · weight_decay · w, then Adam's step."""

    decoupled = True

    def __init__(
        self, parameters: Parameters, lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(parameters, lr, betas, eps, weight_decay)


class Lion(Optimizer):
    """c = β₁ m + (1−β₁) g; w −= lr (sign c + weight_decay · w); m = β₂ m + (1−β₂) g.

    Every weight moves by lr, whatever the size of its gradient, so lr is a third to a tenth of Adam's; half of Adam's
    memory, no root and no division. Source: Chen and others, Symbolic discovery of optimization algorithms (2023).
    """

    memories = ("m",)

    def __init__(
        self, parameters: Parameters, lr: float | Schedule = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.betas = two_shares("betas", betas)
        self.weight_decay = nonnegative("weight_decay", weight_decay)
        super().__init__(parameters, lr)

    def update(self, w: Array, g: Array, lr: float, count: int, *memories: Array) -> None:
        (m,) = memories
        beta1, beta2 = self.betas
        step = np.sign(beta1 * m + (1 - beta1) * g)
        w *= 1 - lr * self.weight_decay
        w -= lr * step
        m *= beta2
        m += (1 - beta2) * g


def clip_grad_norm(parameters: Parameters, max_norm: float, error_if_nonfinite: bool = True) -> float:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); returns the norm of all of them before.

    Worked out in float64 at the scale of the largest element, so that 1e200 does not overflow nor 1e-200 vanish; inf
    only where the norm itself is larger than any float64, and the gradients are scaled all the same.
    A gradient that holds NaN or inf raises FloatingPointError, naming the parameter: scaled, all would be NaN or 0.
    With error_if_nonfinite=False nothing is scaled, and the NaN or inf returned says to skip the step.
    """
    nonnegative("max_norm", max_norm)
    with_grad = {name: p for name, p in named(parameters).items() if p.grad is not None and p.size}
    top = 0.0
    for name, parameter in with_grad.items():
        largest = float(np.max(np.abs(parameter.grad._value)).item())  # type: ignore[union-attr]
        if not math.isfinite(largest):
            if not error_if_nonfinite:
                return largest
            raise FloatingPointError(
                f"clip_grad_norm: the gradient of {name!r} is not finite; none scaled. Called {user_location()}"
            )
        top = max(top, largest)
    if top == 0:
        return 0.0
    power = math.ldexp(1.0, math.frexp(top)[1] - 1)  # of two: dividing by it rounds nothing
    scale = 1.0 if 1e-100 < top < 1e100 else power
    squares = 0.0
    for parameter in with_grad.values():
        g = np.ravel(parameter.grad._value).astype(np.float64, copy=False)  # type: ignore[union-attr]
        g = g if scale == 1 else g / scale
        squares += float((g @ g).item())
    root = math.sqrt(squares)
    norm = root * scale
    factor = max_norm / (norm + 1e-6)
    share = max_norm / (root * (scale / power) + 1e-6 / power)  # the factor for gradients that `power` has divided
    if factor < 1:
        for parameter in with_grad.values():
            g = parameter.grad._value  # type: ignore[union-attr]
            exact = factor >= np.finfo(g.dtype).smallest_normal
            parameter.grad = Tensor(g * factor if exact else g / power * share)
    return norm


def two_shares(name: str, values: Any) -> tuple[float, float]:
    if not (isinstance(values, Sequence) and len(values) == 2):
        reject(DtypeError, f"{name} = {values!r}: give two numbers, as in (0.9, 0.999)")
    return share(f"{name}[0]", values[0]), share(f"{name}[1]", values[1])
