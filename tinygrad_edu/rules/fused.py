"""Operations that NumPy lacks and that are worth a rule of their own, for speed. Each says what it is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.primitive import NONZERO, primitive

__all__ = ["relu"]


@primitive(lambda g, z: g * (z > 0), broadcasts=True, domain=(NONZERO,), kinks=lambda x: x > 0)
def relu(x: Any) -> Any:
    """where(x <= 0, 0, x), in a twentieth of the time; relu'(0) = 0, where maximum(x, 0) would share the tie."""
    return np.maximum(x, 0)
