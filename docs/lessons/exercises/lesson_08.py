"""Lesson 8, the training loop: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 8 check` says how far you are.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["accumulated", "adam", "split", "warmup_cosine"]

Array = NDArray[np.float64]


def adam(
    w: Array, gradients: Sequence[Array], lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
) -> Array:
    """The weights after one step of Adam for each gradient, in order: from w, a new array of the same shape.

    Both moments start at zero, and are corrected for it.
    """
    raise NotImplementedError


def warmup_cosine(step: int, peak: float, warmup: int, total: int) -> float:
    """The learning rate of a step, counted from 0.

    It climbs evenly, so that step k < warmup has peak * (k + 1) / warmup; then it falls along half a cosine, from peak
    at step = warmup to 0 at step = total. Beyond total it stays 0.
    """
    raise NotImplementedError


def split(questions: Sequence[Hashable], seed: int, held_out: float) -> tuple[list[int], list[int]]:
    """The indices of the questions for training, and of those for testing; together all of them, each once.

    Equal questions are on the same side. A share `held_out` of the *different* questions, rounded, is for testing;
    which of them the seed decides, and nothing else does.
    """
    raise NotImplementedError


def accumulated(gradient: Callable[[Array, Array], Array], x: Array, y: Array, parts: int) -> Array:
    """The gradient of the mean loss over all N rows, of which only some fit into memory at once.

    gradient(x, y) gives the gradient of the mean over the rows that it is given. Call it on `parts` pieces of x
    (N, ...) and y (N, ...), none of them longer than N / parts rounded up; N need not be a multiple of parts.
    """
    raise NotImplementedError
