"""Lesson 7, backpropagation: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 7 check` says how far you are.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["accumulate", "attention_backward", "clip", "layer_norm_backward", "linear_backward", "softmax_backward"]

Array = NDArray[np.float64]


def accumulate(steps: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> dict[str, float]:
    """The derivative of the last value by every value: the heart of an engine for scalars.

    steps, in the order of the forward pass: (name of the value, [(name of an input, derivative of the value by it)]).
    Inputs that no step makes are leaves. An input may be used in many steps, and twice in one.

        accumulate([("s", [("x", 3.0), ("x", 1.0)]), ("L", [("s", 2.0), ("x", 5.0)])])
        -> {"L": 1.0, "s": 2.0, "x": 13.0}

    A value that the last one does not depend on has the derivative 0.0.
    """
    raise NotImplementedError


def softmax_backward(g: Array, p: Array) -> Array:
    """The cotangent of the logits, from the cotangent g of p = softmax(z), both (..., V). No Jacobian is stored."""
    raise NotImplementedError


def linear_backward(g: Array, x: Array, W: Array) -> tuple[Array, Array, Array]:
    """dx, dW, db of y = x W + b: g (B, T, E), x (B, T, D), W (D, E); results (B, T, D), (D, E), (E,)."""
    raise NotImplementedError


def layer_norm_backward(g: Array, x: Array, gamma: Array, eps: float) -> tuple[Array, Array, Array]:
    """dx, dgamma, dbeta of layer norm over the last axis: g and x (N, D), gamma (D,).

    y = gamma * (x - mean) / sqrt(var + eps) + beta, var being the mean of the squares of x - mean.
    """
    raise NotImplementedError


def attention_backward(dO: Array, Q: Array, K: Array, V: Array, mask: NDArray[np.bool_]) -> tuple[Array, Array, Array]:
    """dQ, dK, dV of O = A V with A = softmax(Q Kᵀ/√d) over the keys that the mask allows.

    dO (T, e), Q (T, d), K (S, d), V (S, e), mask (T, S), True = may attend; each row of the mask allows some key.
    """
    raise NotImplementedError


def clip(gradients: Mapping[str, Array], c: float) -> dict[str, Array]:
    """Every gradient times min(1, c / (norm + 1e-6)), norm being that of all gradients together."""
    raise NotImplementedError
