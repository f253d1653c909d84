"""Lesson 3, residual connection, layer norm, feed-forward: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 3 check` says how far you are.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["block", "layer_norm", "maximum", "residual_backward"]

Array = NDArray[np.float64]
Layer = Callable[[Array], Array]


def residual_backward(g: Array, pullback: Layer) -> Array:
    """The cotangent of x where y = x + F(x): g is that of y, pullback turns a cotangent of F(x) into one of x."""
    raise NotImplementedError


def layer_norm(x: Array, gamma: Array, beta: Array, eps: float) -> Array:
    """Layer norm over the last axis: x (..., D), gamma and beta (D,). A constant row gives beta."""
    raise NotImplementedError


def maximum() -> tuple[Array, Array, Array, Array]:
    """W1 (2, F), b1 (F,), W2 (F, 1), b2 (1,) for which relu(x W1 + b1) W2 + b2 is max(x_1, x_2), for every x (N, 2).

    Not trained: thought out. F may be 3 at most.
    """
    raise NotImplementedError


def block(x: Array, attend: Layer, feed: Layer, norm1: Layer, norm2: Layer, pre: bool) -> Array:
    """A block of the transformer, of its four parts: each part takes and gives (T, D).

    pre = False: each norm comes after a sum, as in the network of the lessons. pre = True: each norm comes before its
    part, beside the sum. norm1 belongs to attention, norm2 to the feed-forward part.
    """
    raise NotImplementedError
