"""What a command does about its surroundings: BLAS threads, an output that is closed, errors told in one line."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from pathlib import Path
from typing import TextIO

import numpy as np

from tinygrad_edu import errors

LONGEST = 800  # letters of a line: a number in a file may have thousands of digits

__all__ = ["one_blas_thread", "one_line", "output", "reason", "set_blas_threads", "silence"]

# package → the extra that brings it
EXTRAS = {"tensorboardX": "tensorboard", "tokenizers": "huggingface", "starlette": "play", "uvicorn": "play"}


def one_blas_thread() -> None:
    """Small matrices lose by a second thread, ten times over when another process wants the core; results are equal.

    Whoever sets OMP_NUM_THREADS or its like has chosen.
    """
    if not any(f"{name}_NUM_THREADS" in os.environ for name in ("OMP", "OPENBLAS", "MKL")):
        set_blas_threads(1)


def set_blas_threads(count: int) -> None:
    """How many threads NumPy's own OpenBLAS multiplies matrices on; another BLAS is left alone."""
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs"):
        for library in folder.glob("*openblas*"):
            set_threads = getattr(ctypes.CDLL(str(library)), "scipy_openblas_set_num_threads64_", None)
            if set_threads is not None:
                set_threads(count)


def output() -> TextIO:
    """Where a command writes; in a shell's `>&-`, which leaves no stdout, nowhere."""
    return sys.stdout if sys.stdout is not None else io.StringIO()


def reason(error: Exception) -> str:
    """What went wrong, in one line unless the error itself points at a place in a question."""
    first, *rest = words_of(error).split("\n    ")
    return "\n    ".join([one_line(first), *rest])


def one_line(text: str) -> str:
    """Blanks for line ends, and of what is too long for a line its beginning and its end."""
    line, half = " ".join(text.split()), LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}"


def words_of(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        extra = EXTRAS.get(error.name or "", "train")
        return f"{error}; install it: pip install 'tinygrad_edu[{extra}]'"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} of what is read is no UTF-8 text"
    if isinstance(error, errors.TooLargeError):
        return str(error).split(". ")[0]  # the rest is for programmers
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}; choose smaller sizes" if str(error) else "not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def silence() -> None:
    """What cannot be written any more shall not be tried again, and complained about, when Python ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
