"""Formula 17: dropout and clipping."""

import math


def dropout_forward(x, keep, p):
    """y = x ⊙ m/(1 − p), m the 0-1 array `keep`, drawn with P(m = 1) = 1 − p: the mean of y is x."""
    return x * keep / (1 - p)


def dropout_backward(g, keep, p):
    """m is a constant once drawn: dx = g ⊙ m/(1 − p), with the m of the forward pass."""
    return g * keep / (1 - p)


def global_norm(gradients):
    """√(Σ over all parameters and elements of g²). gradients: dict of arrays."""
    return math.sqrt(sum(float((g * g).sum()) for g in gradients.values()))


def clip(gradients, c):
    """Every g times min(1, c/(‖g‖ + 1e-6)), one factor for all: the direction stays, the length is at most c."""
    factor = min(1.0, c / (global_norm(gradients) + 1e-6))
    return {name: factor * g for name, g in gradients.items()}
