"""Lesson 6, softmax and loss: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 6 check` says how far you are.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["cross_entropy", "cross_entropy_gradient", "expected_calibration_error", "log_softmax", "smoothed"]

Array = NDArray[np.float64]


def log_softmax(z: Array) -> Array:
    """The logarithm of softmax over the last axis, z (..., V) to (..., V); finite for every finite z.

    No probability is computed on the way: it may be 0 where its logarithm is an ordinary number.
    """
    raise NotImplementedError


def cross_entropy(z: Array, targets: NDArray[np.int64], ignore: int = -1) -> float:
    """The mean of -log softmax(z)[target] over the rows whose target is not `ignore`: z (N, V), targets (N,)."""
    raise NotImplementedError


def cross_entropy_gradient(z: Array, targets: NDArray[np.int64], ignore: int = -1) -> Array:
    """The gradient of that mean by z (N, V). A row whose target is `ignore` gets zeros."""
    raise NotImplementedError


def smoothed(targets: NDArray[np.int64], V: int, a: float) -> Array:
    """The target distributions of label smoothing, (N,) to (N, V): each row sums to 1."""
    raise NotImplementedError


def expected_calibration_error(p: Array, targets: NDArray[np.int64], bins: int) -> float:
    """How far sureness and accuracy are apart: p (N, V) probabilities, targets (N,).

    Sureness is the largest probability of a row. Bin k of `bins` holds the rows whose sureness s has
    k/bins < s <= (k + 1)/bins. The result is the mean over bins of |mean sureness - share right|, weighted by how many
    rows a bin holds; empty bins do not count.
    """
    raise NotImplementedError
