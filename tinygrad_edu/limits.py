"""Results that would not fit in memory are refused before they are allocated: a broadcast by mistake is large."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_edu.errors import TooLargeError
from tinygrad_edu.extents import EXTENTS, broadcast
from tinygrad_edu.graph import user_location

__all__ = ["refuse_growth", "refuse_if_too_large", "refuse_large_jacobian", "refuse_large_pair"]

WORTH_A_LOOK = 1 << 27  # bytes; smaller results are not worth asking the system about


def available_bytes() -> int:
    """Memory the system could still hand out; a petabyte where it does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 50


def refuse_if_too_large(operation: Any, shape: tuple[int, ...], itemsize: int, operands: str) -> None:
    """Raise TooLargeError if an array of this shape would not fit. operation: itself, or its name."""
    size = math.prod(shape) * itemsize
    if size < WORTH_A_LOOK:
        return
    free = available_bytes()
    if size > free:
        raise TooLargeError(
            f"{getattr(operation, 'name', operation)}: {operands} gives shape {shape}, {size / 2**30:.3g} GiB, and "
            f"{free / 2**30:.3g} GiB are free. If (n,) met (n, 1), give both the same shape. Called {user_location()}"
        )


def refuse_large_pair(operation: Any, x: np.ndarray, y: np.ndarray) -> None:
    """The check for two arrays whose result may be larger than both: a broadcast, or a product of matrices."""
    if operation.function is np.matmul:
        if x.ndim < 2 or y.ndim < 2:
            return
        shape = (*x.shape[:-2], x.shape[-2], y.shape[-1])
    else:
        try:
            shape = np.broadcast_shapes(x.shape, y.shape)
        except ValueError:
            return  # the operation itself will say so
    refuse_if_too_large(operation, shape, max(x.itemsize, y.itemsize), f"{x.shape} with {y.shape}")


def refuse_growth(operation: Any, args: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    """The check for a call whose result may be larger than all that it is made of."""
    function = operation.function
    spreads = isinstance(function, np.ufunc) or getattr(operation, "elementwise", False)
    extent = EXTENTS.get(function) or (broadcast if len(args) > 1 and spreads else None)
    if extent is None:
        return
    try:
        shape = extent(*args, **keywords)
    except (AttributeError, IndexError, TypeError, ValueError):
        return  # a call that does not fit: the operation itself will say so
    if shape is not None:
        arrays = [each for each in args if isinstance(each, np.ndarray)]
        given = " with ".join(str(each.shape) for each in arrays) or "this"
        truths = isinstance(function, np.ufunc) and "dd->?" in function.types
        itemsize = 1 if truths else max((each.itemsize for each in arrays), default=8)
        refuse_if_too_large(operation, shape, itemsize, given)


def refuse_large_jacobian(output: Any, inputs: Iterable[Any]) -> None:
    """The check for the derivatives of every element of an output by every element of the inputs."""
    for x in inputs:
        refuse_if_too_large("jacobian", output.shape + x.shape, x.dtype.itemsize, f"{output.shape} by {x.shape}")
