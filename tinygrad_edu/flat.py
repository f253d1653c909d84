"""The gradients of many parameters as one flat array, and back: what is sent between processes is one buffer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arrays import beside, home
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import CotangentError, NotTrackedError
from tinygrad_edu.tensor import Tensor

__all__ = ["flat_gradient", "spread_gradient"]


def flat_gradient(parameters: Iterable[tuple[str, Tensor]]) -> NDArray[Any]:
    """A copy of all gradients, one after the other, (n,). Raises NotTrackedError naming a parameter that has none."""
    found = []
    for name, parameter in parameters:
        if parameter.grad is None:
            reject(NotTrackedError, f"flat_gradient: {name!r} has no gradient; call loss.backward() first")
        found.append(np.ravel(home(parameter.grad._value)))
    return np.concatenate(found)


def spread_gradient(parameters: Iterable[tuple[str, Tensor]], flat: NDArray[Any]) -> None:
    """The inverse: every `.grad` is its part of `flat`, copied. Raises CotangentError unless all of it is used."""
    every = [parameter for _, parameter in parameters]
    wanted = sum(parameter.size for parameter in every)
    if flat.shape != (wanted,):
        reject(CotangentError, f"spread_gradient: {flat.shape} given, the parameters have {wanted} elements")
    end = 0
    for parameter in every:
        start, end = end, end + parameter.size
        parameter.grad = Tensor(beside(flat[start:end].reshape(parameter.shape), parameter._value))
