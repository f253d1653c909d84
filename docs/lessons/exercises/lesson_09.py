"""Lesson 9, training dynamics: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 9 check` says how far you are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["attention_entropy", "early_stopping", "mean_and_spread"]

Array = NDArray[np.float64]


def mean_and_spread(scores: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, float, float]]:
    """For each variant: the mean of its scores, their standard deviation, and the standard error of the mean.

    One score for each seed, two at least. The standard deviation is that of a sample: n - 1 in its denominator.
    """
    raise NotImplementedError


def early_stopping(losses: Sequence[float], patience: int) -> tuple[int, int]:
    """Which epoch's weights are kept, and after which epoch training stops; both counted from 0.

    losses: on held-out data, after each epoch that *would* be made. The kept one is the first with the least loss until
    then. Training stops once `patience` epochs in a row have brought nothing better, or when the losses end.
    """
    raise NotImplementedError


def attention_entropy(weights: Array, valid: NDArray[np.bool_]) -> Array:
    """How spread each head's attention is: the mean entropy, in nats, of its rows. A row is one query's weights.

    weights (B, H, T, T), rows sum to 1 and may hold zeros; valid (B, T) is False at padding, whose rows do not count.
    The result is (H,).
    """
    raise NotImplementedError
