"""Lesson 4, stacking blocks: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 4 check` says how far you are.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_parameters", "induction", "probe"]

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def induction(ids: Ints, V: int, sharp: float) -> Array:
    """What came after the earlier occurrence of the last token: a distribution (V,) over the tokens, by two look-ups.

    A look-up is softmax(sharp * queries @ keys.T) @ values. The first gives each row the one-hot token before it (the
    first row gets zeros), the second asks these for the last token. ids (T,), 0 <= id < V; the last token occurred
    exactly once before, and not at the very end. For a large `sharp` the result is one-hot.
    """
    raise NotImplementedError


def count_parameters(V: int, D: int, F: int, L: int, positions: int = 0, tied: bool = False) -> int:
    """The parameters of a post-norm transformer with L blocks, as the lessons' network has them.

    V tokens, width D, inner width F; positions: how many learned ones there are, 0 for sinusoidal. Tied: the output
    uses the embedding, and has its bias alone. Attention has no biases.
    """
    raise NotImplementedError


def probe(features: Array, classes: Ints, held_features: Array, held_classes: Ints) -> float:
    """The share of held-out examples whose class a linear reader tells: features (N, D), classes (N,) from 0 up.

    The reader is fitted by least squares to one-hot classes, with a constant beside the features; the class it tells is
    the one with the largest score.
    """
    raise NotImplementedError
