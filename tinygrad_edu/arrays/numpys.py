"""NumPy as if it were another library: what CuPy has, it has, so tests can do without a GPU."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygrad_edu.arrays.library import Library

__all__ = ["numpys"]


class Numpys(Library):
    """Its scalars are arrays without axes, as CuPy's are."""

    def wrapped(self, value: Any) -> Any:
        return super().wrapped(np.asarray(value) if isinstance(value, np.generic) else value)


@functools.cache
def numpys() -> Library:
    """The one library of NumPy's."""
    return Numpys("numpy", np, np.ndarray)
