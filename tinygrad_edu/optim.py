"""Optimisers: from gradients to new parameters, by the published formulas.

While a step runs, all parameters lie in one flat buffer, cut into pieces that stay in the cache: many small
tensors cost no more than one large one. Every step makes new arrays; a recorded graph keeps its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.averages import MovingAverage
from tinygrad_edu.errors import DtypeError, NotTrackedError
from tinygrad_edu.flat import flat_gradient, spread_gradient
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

Array = NDArray[Any]
Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]]
PIECE = 1 << 15  # elements: a handful of float32 pieces fit into a second-level cache


class Optimizer:
    """The walk over parameters; a subclass gives its formula, `update`, and the names of its memories.

    parameters: Tensors, or (name, Tensor) pairs as `named_parameters()` gives them. lr: number or schedule.
    Raises TypeError, ValueError or NotTrackedError for parameters that cannot be trained, and DtypeError when
    they have several dtypes: make one optimiser for each.
    """

    memories: tuple[str, ...] = ()

    def __init__(self, parameters: Parameters, lr: float | Schedule) -> None:
        self.parameters = named(parameters)
        self.schedule = lr if callable(lr) else constant(nonnegative("lr", lr))
        self.steps = 0
        values = list(self.parameters.values())
        if len({parameter.dtype for parameter in values}) > 1:
            raise DtypeError(f"{type(self).__name__}: several dtypes among the parameters; make one for each")
        ends = np.cumsum([parameter.size for parameter in values]).tolist()
        self._spans = [slice(end - parameter.size, end) for end, parameter in zip(ends, values, strict=True)]
        self._updates = np.zeros(len(values), np.int64)
        self._memory = {name: np.zeros(ends[-1], values[0].dtype) for name in self.memories}

    @property
    def lr(self) -> float:
        """The rate of the next step. Setting it replaces the schedule by a constant."""
        return nonnegative(f"lr of step {self.steps}", self.schedule(self.steps))

    @lr.setter
    def lr(self, lr: float) -> None:
        self.schedule = constant(nonnegative("lr", lr))

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def step(self) -> list[str]:
        """Update every parameter that has a gradient; returns the names of those that have none.

        Raises NotTrackedError if none has one.
        """
        gradients = [parameter.grad for parameter in self.parameters.values()]
        present = [k for k, gradient in enumerate(gradients) if gradient is not None]
        if not present:
            raise NotTrackedError(
                f"{type(self).__name__}.step(): none of the {len(gradients)} parameters has a gradient, from "
                f"{next(iter(self.parameters))!r} on; call loss.backward() first"
            )
        lr = self.lr
        self._updates[present] += 1
        values = [parameter._value for parameter in self.parameters.values()]
        weights = np.concatenate([np.ravel(value) for value in values])
        flat = np.concatenate(
            [np.ravel(value if g is None else g._value) for value, g in zip(values, gradients, strict=True)]
        )
        for piece, count in self._pieces(present):
            memories = [memory[piece] for memory in self._memory.values()]
            self.update(weights[piece], flat[piece], lr, count, *memories)
        parameters = list(self.parameters.values())
        for k in present:
            parameters[k]._assign(weights[self._spans[k]].reshape(parameters[k].shape).copy())
        self.steps += 1
        return [name for name, gradient in zip(self.parameters, gradients, strict=True) if gradient is None]

    def _pieces(self, present: Sequence[int]) -> Iterator[tuple[slice, int]]:
        """Pieces of the flat buffer that one update may treat alike, with their number of updates."""
        counts = self._updates[present]
        if len(present) == len(self._spans) and counts.min() == counts.max():
            spans = [(slice(0, self._spans[-1].stop), int(counts[0]))]
        else:
            spans = [(self._spans[k], int(count)) for k, count in zip(present, counts, strict=True)]
        for span, count in spans:
            for start in range(span.start, span.stop, PIECE):
                yield slice(start, min(start + PIECE, span.stop)), count

    def update(self, w: Array, g: Array, lr: float, count: int, *memories: Array) -> None:
        """Change w (and the memories) in place; `count` is the number of this update, from 1. All are 1-d."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """What a resumed run needs, as arrays: steps, updates, and each memory as "memory.parameter".

        Rates, betas and the like belong to the caller's configuration.
        """
        state = {"steps": np.array(self.steps), "updates": self._updates.copy()}
        for memory, flat in self._memory.items():
            for (name, parameter), span in zip(self.parameters.items(), self._spans, strict=True):
                state[f"{memory}.{name}"] = flat[span].reshape(parameter.shape).copy()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what state_dict() gave; all or nothing. Raises one ValueError that lists everything wrong."""
        here = self.state_dict()
        there = {name: np.asarray(value) for name, value in state.items()}
        wrong = [f"missing: {name}" for name in here if name not in there]
        wrong += [f"unexpected: {name}" for name in there if name not in here]
        wrong += [
            f"shape: {name} is {here[name].shape} here, {array.shape} in the state"
            for name, array in there.items()
            if name in here and here[name].shape != array.shape
        ]
        wrong += [f"dtype: {name} is {array.dtype}" for name, array in there.items() if array.dtype.kind not in "fiu"]
        wrong += [
            f"count: {name} must be whole numbers, 0 or more"
            for name in ("steps", "updates")
            if name in there and not (there[name].dtype.kind in "iu" and (there[name] >= 0).all())
        ]
        if wrong:
            raise ValueError(
                f"{type(self).__name__}: the state does not fit, nothing was loaded:\n  " + "\n  ".join(wrong)
            )
        self.steps = int(there["steps"])
        self._updates[:] = there["updates"]
        for memory, flat in self._memory.items():
            for name, span in zip(self.parameters, self._spans, strict=True):
                flat[span] = there[f"{memory}.{name}"].reshape(-1)


class SGD(Optimizer):
    """v = μ v − lr g; w += v; with nesterov, w += μ v − lr g. weight_decay adds its share of w to g."""

    def __init__(
        self, parameters: Parameters, lr: float | Schedule,
        momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0,
    ) -> None:  # fmt: skip
        self.momentum = share("momentum", momentum)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov=True looks ahead along the momentum; give momentum > 0")
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
        largest = float(np.max(np.abs(parameter.grad._value)))  # type: ignore[union-attr]
        if not math.isfinite(largest):
            if not error_if_nonfinite:
                return largest
            raise FloatingPointError(f"clip_grad_norm: the gradient of {name!r} is not finite; none scaled")
        top = max(top, largest)
    if top == 0:
        return 0.0
    power = math.ldexp(1.0, math.frexp(top)[1] - 1)  # of two: dividing by it rounds nothing
    scale = 1.0 if 1e-100 < top < 1e100 else power
    squares = 0.0
    for parameter in with_grad.values():
        g = np.ravel(parameter.grad._value).astype(np.float64, copy=False)  # type: ignore[union-attr]
        g = g if scale == 1 else g / scale
        squares += float(g @ g)
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
        raise TypeError(f"{name} = {values!r}: give two numbers, as in (0.9, 0.999)")
    return share(f"{name}[0]", values[0]), share(f"{name}[1]", values[1])


def named(parameters: Parameters) -> dict[str, Tensor]:
    """Name → tensor. A bare tensor goes by its own name if it has one, else by its place."""
    if isinstance(parameters, Tensor):
        raise TypeError("parameters: one Tensor was given; put it into a list")
    if hasattr(parameters, "named_parameters"):
        raise TypeError(f"parameters: a {type(parameters).__name__} was given; pass its .named_parameters()")
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for k, given in enumerate(parameters):
        own = getattr(given, "name", None) or str(k)
        name, parameter = given if isinstance(given, tuple) else (own, given)
        if not isinstance(parameter, Tensor):
            raise TypeError(f"parameters: {name!r} is a {type(parameter).__name__}, not a Tensor")
        if not (parameter.requires_grad and parameter.is_leaf):
            raise NotTrackedError(
                f"parameters: {name!r} is no leaf with requires_grad=True, not trainable; leave out what is frozen: "
                "[p for p in parameters if p.requires_grad]"
            )
        if id(parameter) in seen:
            raise ValueError(f"parameters: {name!r} is there twice; it would be updated twice")
        seen.add(id(parameter))
        found[name if name not in found else f"{name}#{k}"] = parameter
    if not found:
        raise ValueError("parameters: the list is empty (an iterator that was used up?)")
    return found
