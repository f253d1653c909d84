"""Formulas 6 and 17: elementwise functions. For y_i = f(x_i) the Jacobian is diagonal, so dx = g ⊙ f'(x)."""

import math

import numpy as np


def relu_forward(x):
    return np.where(x > 0, x, 0.0)


def relu_backward(g, x):
    """f = x above 0 and 0 below, so f' = [x > 0]. At 0 itself any slope in [0, 1] would do; we take 0."""
    return g * (x > 0)


def leaky_relu_forward(x, slope=0.01):
    return np.where(x > 0, x, slope * x)


def leaky_relu_backward(g, x, slope=0.01):
    """f' = 1 above 0 and `slope` below; at 0, as for ReLU, the slope from the left."""
    return g * np.where(x > 0, 1.0, slope)


def sigmoid_forward(x):
    """σ(x) = 1/(1 + e⁻ˣ) = (1 + tanh(x/2))/2; the second form cannot overflow."""
    return (1 + np.tanh(x / 2)) / 2


def sigmoid_backward(g, x):
    """σ' = e⁻ˣ/(1 + e⁻ˣ)² = σ · e⁻ˣ/(1 + e⁻ˣ) = σ(1 − σ)."""
    s = sigmoid_forward(x)
    return g * s * (1 - s)


def silu_forward(x):
    return x * sigmoid_forward(x)


def silu_backward(g, x):
    """(xσ)' = σ + xσ' = σ + xσ(1 − σ) = σ(1 + x(1 − σ))."""
    s = sigmoid_forward(x)
    return g * s * (1 + x * (1 - s))


def gelu_erf_forward(x):
    """x Φ(x), Φ the distribution function of the normal law: Φ(x) = (1 + erf(x/√2))/2."""
    return x * normal_cdf(x)


def gelu_erf_backward(g, x):
    """(xΦ)' = Φ + xΦ' = Φ + xφ, with the density φ(x) = e^(−x²/2)/√(2π)."""
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return g * (normal_cdf(x) + x * density)


def normal_cdf(x):
    # NumPy has no erf; Python's is right to the last digit, and slow, which does not matter here.
    return (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2


def gelu_tanh_forward(x):
    """x (1 + tanh u)/2 with u = c(x + a x³), c = √(2/π), a = 0.044715."""
    return x * (1 + np.tanh(gelu_inner(x))) / 2


def gelu_tanh_backward(g, x):
    """With t = tanh u: y = x(1 + t)/2, so y' = (1 + t)/2 + x t'/2, t' = (1 − t²) u', u' = c(1 + 3a x²)."""
    t = np.tanh(gelu_inner(x))
    du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return g * ((1 + t) / 2 + x * (1 - t * t) * du / 2)


def gelu_inner(x):
    return math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
