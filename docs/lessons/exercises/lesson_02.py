"""Lesson 2, attention: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 2 check` says how far you are.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["attention", "causal_mask", "score_variance", "split_and_join"]

Array = NDArray[np.float64]


def attention(Q: Array, K: Array, V: Array) -> tuple[Array, Array]:
    """O (T, e) and the weights A (T, S): queries Q (T, d), keys K (S, d), values V (S, e).

    A = softmax(Q Kᵀ / √d) by rows, O = A V. Scores of hundreds must not overflow.
    """
    raise NotImplementedError


def score_variance(q: Array, k: Array) -> tuple[float, float]:
    """The variance of all scores q_i · k_j, and of all scores divided by √d: q (N, d), k (M, d).

    The variance is the mean square of the N M scores' distance from their mean.
    """
    raise NotImplementedError


def causal_mask(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Who may attend to whom, (B, T, T), True = may: query t to keys up to t which are valid. valid (B, T).

    Rows of padding follow the same rule.
    """
    raise NotImplementedError


def split_and_join(X: Array, H: int) -> tuple[Array, Array]:
    """X (B, T, D) split into heads, (B, H, T, D/H), and these joined again, (B, T, D).

    Head h holds the h-th slice of the width of every token. The second result is to be made from the first, not from X.
    """
    raise NotImplementedError
