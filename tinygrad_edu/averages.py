"""The exponential moving average of weights: what the last steps agree on, without the noise of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arrays import beside, home
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError
from tinygrad_edu.settings import share
from tinygrad_edu.state import not_on_tape
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.variable import copied

__all__ = ["MovingAverage"]


class MovingAverage:
    """a = decay · a + (1 − decay) · w after each step; a begins as the weights it is made with.

        average = MovingAverage(model.named_parameters(), decay=0.99)
        ...                                    # after each optimizer.step():
        average.update()
        with average.applied():                # the model has the averaged weights in here
            ...
    """

    def __init__(self, parameters: Iterable[tuple[str, Tensor]], decay: float = 0.999) -> None:
        self.decay = share("decay", decay)
        self.parameters = dict(parameters)
        self.average = {name: copied(parameter._value) for name, parameter in self.parameters.items()}

    def update(self) -> None:
        not_on_tape("MovingAverage.update()")
        for name, parameter in self.parameters.items():
            mean = self.average[name]
            mean *= self.decay
            mean += (1 - self.decay) * parameter._value

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The parameters are their averages inside; afterwards they are what they were."""
        before = {name: parameter._value for name, parameter in self.parameters.items()}
        for name, parameter in self.parameters.items():
            parameter._assign(copied(self.average[name]))
        try:
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter._assign(before[name])

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Name → a copy of the average."""
        return {name: np.array(home(mean)) for name, mean in self.average.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what state_dict() gave, or nothing. Raises ValueError if names or shapes are others."""
        here = {name: mean.shape for name, mean in self.average.items()}
        there = {name: np.shape(mean) for name, mean in state.items()}
        if here != there:
            wrong = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
            reject(ArgumentError, f"MovingAverage: the state does not fit, nothing was loaded: {', '.join(wrong)}")
        for name, mean in state.items():
            self.average[name] = beside(np.array(mean, self.average[name].dtype), self.average[name])
