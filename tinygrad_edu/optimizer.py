"""What all optimisers share: the walk over the parameters, the memories and their state.

While a step runs, all parameters lie in one flat buffer, cut into pieces that stay in the cache: many small
tensors cost no more than one large one. Every step makes new arrays; a recorded graph keeps its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arrays import beside, home
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError, NotTrackedError
from tinygrad_edu.schedules import Schedule, constant
from tinygrad_edu.settings import nonnegative
from tinygrad_edu.tensor import Tensor

__all__ = ["Array", "Optimizer", "Parameters", "named"]

Array = NDArray[Any]
Parameters = Iterable[Tensor] | Iterable[tuple[str, Tensor]]
PIECE = 1 << 17  # elements: half a megabyte of float32; smaller ones cost more in calls than they save in memory


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
            reject(DtypeError, f"{type(self).__name__}: several dtypes among the parameters; make one for each")
        ends = np.cumsum([parameter.size for parameter in values]).tolist()
        self._spans = [slice(end - parameter.size, end) for end, parameter in zip(ends, values, strict=True)]
        self._updates = np.zeros(len(values), np.int64)
        like = values[0]._value
        self._memory = {name: beside(np.zeros(ends[-1], values[0].dtype), like) for name in self.memories}

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
            reject(
                NotTrackedError,
                f"{type(self).__name__}.step(): none of the {len(gradients)} parameters has a gradient, from "
                f"{next(iter(self.parameters))!r} on; call loss.backward() first",
            )
        lr = self.lr
        self._updates[present] += 1
        values = [parameter._value for parameter in self.parameters.values()]
        weights = np.concatenate([np.ravel(value) for value in values])
        flat = np.concatenate(
            [np.ravel(value if g is None else g._value) for value, g in zip(values, gradients, strict=True)]
        )
        for piece, count in self._pieces(present, weights):
            memories = [memory[piece] for memory in self._memory.values()]
            w = weights[piece]
            self.update(w, flat[piece], lr, count, *memories)
            if type(weights) is not np.ndarray:  # what was changed in place is a copy there
                for whole, part in zip((weights, *self._memory.values()), (w, *memories), strict=True):
                    whole[piece] = part
        parameters = list(self.parameters.values())
        for k in present:
            new = weights[self._spans[k]].reshape(parameters[k].shape)
            parameters[k]._assign(new.copy() if type(new) is np.ndarray else new)
        self.steps += 1
        return [name for name, gradient in zip(self.parameters, gradients, strict=True) if gradient is None]

    def _pieces(self, present: Sequence[int], flat: Any) -> Iterator[tuple[slice, int]]:
        """Pieces of the flat buffer that one update may treat alike, with their number of updates.

        Arrays of other libraries are not cut to fit a cache.
        """
        counts = self._updates[present]
        if len(present) == len(self._spans) and counts.min() == counts.max():
            spans = [(slice(0, self._spans[-1].stop), int(counts[0]))]
        else:
            spans = [(self._spans[k], int(count)) for k, count in zip(present, counts, strict=True)]
        for span, count in spans:
            step = PIECE if type(flat) is np.ndarray else max(span.stop - span.start, 1)
            for start in range(span.start, span.stop, step):
                yield slice(start, min(start + step, span.stop)), count

    def update(self, w: Array, g: Array, lr: float, count: int, *memories: Array) -> None:
        """Change w (and the memories) in place; `count` is the number of this update, from 1. All are 1-d."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Array]:
        """What a resumed run needs, as arrays: steps, updates, and each memory as "memory.parameter".

        Rates, betas and the like belong to the caller's configuration.
        """
        state = {"steps": np.array(self.steps), "updates": self._updates.copy()}
        for memory, flat in self._memory.items():
            flat = home(flat)
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
            reject(
                ArgumentError,
                f"{type(self).__name__}: the state does not fit, nothing was loaded:\n  " + "\n  ".join(wrong),
            )
        self.steps = int(there["steps"])
        self._updates[:] = there["updates"]
        for memory, flat in self._memory.items():
            for name, span in zip(self.parameters, self._spans, strict=True):
                flat[span] = beside(there[f"{memory}.{name}"].reshape(-1).astype(flat.dtype), flat)


def named(parameters: Parameters) -> dict[str, Tensor]:
    """Name → tensor. A bare tensor goes by its own name if it has one, else by its place."""
    if isinstance(parameters, Tensor):
        reject(DtypeError, "parameters: one Tensor was given; put it into a list")
    if hasattr(parameters, "named_parameters"):
        reject(DtypeError, f"parameters: a {type(parameters).__name__} was given; pass its .named_parameters()")
    if not isinstance(parameters, Iterable):
        reject(DtypeError, f"parameters: a {type(parameters).__name__} was given; pass a list of Tensors")
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for k, given in enumerate(parameters):
        own = getattr(given, "name", None) or str(k)
        name, parameter = given if isinstance(given, tuple) else (own, given)
        if not isinstance(parameter, Tensor):
            reject(DtypeError, f"parameters: {name!r} is a {type(parameter).__name__}, not a Tensor")
        if not (parameter.requires_grad and parameter.is_leaf):
            reject(
                NotTrackedError,
                f"parameters: {name!r} is no leaf with requires_grad=True, not trainable; leave out what is frozen: "
                "[p for p in parameters if p.requires_grad]",
            )
        if id(parameter) in seen:
            reject(ArgumentError, f"parameters: {name!r} is there twice; it would be updated twice")
        seen.add(id(parameter))
        found[name if name not in found else f"{name}#{k}"] = parameter
    if not found:
        reject(ArgumentError, "parameters: the list is empty (an iterator that was used up?)")
    return found
