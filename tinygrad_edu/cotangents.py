"""The cotangent that a backward pass begins with: of its output's shape and dtype, and in its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign, beside, refuse_mixed
from tinygrad_edu.errors import CotangentError, DtypeError, NotTrackedError, ShapeError
from tinygrad_edu.graph import is_recording, user_location
from tinygrad_edu.variable import Variable, make, operand

__all__ = ["cotangent_of"]


def cotangent_of(output: Any, gradient: Any, as_tensor: bool = False) -> Any:
    """The cotangent a pass starts from, checked against its output."""
    if as_tensor and not is_recording():
        raise NotTrackedError(
            "create_graph=True under no_grad() would give gradients without a graph: leave no_grad(), or ask without "
            f"create_graph. Called {user_location()}"
        )
    if gradient is None:
        if output.size != 1:
            raise CotangentError(
                f"backward() from shape {output.shape} needs a cotangent of that shape; sum() or mean() it to a "
                f"scalar, or pass gradient=. Called {user_location()}"
            )
        value = beside(np.ones(output.shape, output.dtype)[()], output._value)
    elif type(gradient) is np.ndarray and type(output._value) is Foreign:
        refuse_mixed([gradient, output._value])
        value = beside(gradient, output._value)
    elif type(gradient) is np.ndarray and gradient.shape == output.shape and gradient.dtype == output.dtype:
        value = gradient  # nearly always
    else:
        try:
            value = gradient._value if isinstance(gradient, Variable) else operand(gradient)
        except (ShapeError, DtypeError) as error:
            raise CotangentError(f"the cotangent: {error}") from None
        if not isinstance(gradient, Variable | np.ndarray | np.generic) and type(value) is not Foreign:
            value = value.astype(output.dtype)[()]  # a number, or a list of them, has no dtype of its own, and no place
            value = beside(value, output._value)
        if value.shape != output.shape or value.dtype != output.dtype:
            raise CotangentError(
                f"the cotangent is {value.dtype}{list(value.shape)}, the output it belongs to is "
                f"{output.dtype}{list(output.shape)}; they must be the same. Called {user_location()}"
            )
    if not as_tensor:
        return value
    return gradient if isinstance(gradient, output._kind) else make(output._kind, value, None)
