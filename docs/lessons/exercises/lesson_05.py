"""Lesson 5, output projection: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 5 check` says how far you are.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_bias", "logits_backward", "pool_last", "strongest_tokens"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def best_bias(targets: Ints, V: int, smoothing: float) -> Array:
    """The bias (V,) whose softmax is how often each token is a target: targets (N,), each count raised by `smoothing`.

    Smoothing is positive, so that no logarithm is of zero. Of the many that differ by a constant, give the one whose
    exponentials sum to 1.
    """
    raise NotImplementedError


def logits_backward(h: Array, W: Array, b: Array, targets: Ints) -> tuple[Array, Array, Array]:
    """dh, dW, db of the mean cross-entropy of softmax(h W + b): h (N, D), W (D, V), b (V,), targets (N,)."""
    raise NotImplementedError


def pool_last(x: Array, valid: NDArray[np.bool_]) -> Array:
    """The row of the last valid position of each sequence: x (B, T, D), valid (B, T), to (B, D).

    Valid positions need not be the first ones; a sequence without any gives zeros.
    """
    raise NotImplementedError


def strongest_tokens(h: Array, W: Array, count: int) -> Ints:
    """The `count` tokens whose columns point most in the direction of a row: h (N, D), W (D, V), to (N, count).

    By cosine, the strongest first: how long a column is does not matter.
    """
    raise NotImplementedError
