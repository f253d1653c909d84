"""What a step of training frees is kept for the next one, and not handed back to the system in between.

The C library of Linux returns the free end of its heap once that exceeds 128 kB, and takes large arrays from the
system one by one: each page of 4 kB then costs a fault when it is next written to, a quarter of the time of a small
model's step. It raises both limits by itself, to 64 and 32 MB, when an array of the latter size has been freed. So one
is, of which nothing was ever touched. Elsewhere this does nothing.
"""

from __future__ import annotations

import numpy as np

__all__ = ["keep_freed_memory"]

ENOUGH = (1 << 25) - (1 << 13)  # just below the most that the library adapts to


def keep_freed_memory() -> None:
    """Let the C library keep up to 64 MB of freed memory."""
    np.empty(ENOUGH, np.uint8)
