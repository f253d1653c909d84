"""What a step of training frees is kept for the next one, and not handed back to the system in between.

The C library of Linux takes large arrays from the system one by one, and returns the free end of its heap when it
exceeds 128 kB. Each page of 4 kB then costs a fault when it is next written to: a quarter of a small model's step, a
third of a large one's. Told to, it keeps what was freed. Other systems have other habits, and are left alone.
"""

from __future__ import annotations

import ctypes  # NumPy has imported it already
import os

__all__ = ["keep_freed_memory"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
ENOUGH = 1 << 30


def keep_freed_memory() -> None:
    """Let glibc take arrays of up to 1 GiB from its heap, and keep up to 1 GiB that is free at the heap's end.

    What a user has set by environment variables (MALLOC_..., GLIBC_TUNABLES) stays.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library, or another system
    mallopt(MMAP_THRESHOLD, ENOUGH)
    mallopt(TRIM_THRESHOLD, ENOUGH)
