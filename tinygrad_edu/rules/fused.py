"""Kernels: what forward code could say in several operations, as one, for speed. Activations, and the linear layer.

Each is held to its definition, the forward code in functional.py, by tests; `with definitions():` runs that instead.
Their rules are formulas like all others, and run on Tensors too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.primitive import NONZERO, primitive
from tinygrad_edu.rules.elementwise import erf
from tinygrad_edu.rules.pieces import by_pieces, over_rows, rows_of
from tinygrad_edu.rules.products import matmul_left, matmul_right

__all__ = ["gelu", "gelu_tanh", "linear", "relu", "sigmoid", "silu"]

ROOT_2_OVER_PI, CUBIC = math.sqrt(2 / math.pi), 0.044715


def where_positive(g: Any, z: Any) -> Any:
    """g where z > 0. As a product: where() guesses for each element which way it goes, and is often wrong."""
    kept = (z > 0).astype(g.dtype)
    kept *= g
    return kept


@primitive(lambda g, z: where_positive(g, z), broadcasts=True, domain=(NONZERO,), kinks=lambda x: x > 0)
def relu(x: Any) -> Any:
    """where(x <= 0, 0, x), in a twentieth of the time; relu'(0) = 0, where maximum(x, 0) would share the tie."""
    return np.maximum(x, 0)


def small_side(x: Any) -> Any:
    """e^−|x|, which cannot overflow. Without |x|: its slope 0 at 0 would get lost in higher derivatives."""
    towards = (x < 0).astype(x.dtype)
    towards *= 2.0
    towards -= 1.0
    return np.exp(x * towards)


@by_pieces
def sigmoid_value(x: Any) -> Any:
    e = small_side(x)
    z = np.maximum(e, (x >= 0).astype(x.dtype))  # 1 on the right, e on the left
    e += 1.0
    z /= e
    return z


@by_pieces
def sigmoid_slope(g: Any, x: Any) -> Any:
    """σ' = e/(1+e)² with e = e^−|x|, on both sides of 0; as σ(1−σ) it would lose its digits where σ is nearly 1."""
    e = small_side(x)
    below = e + 1.0
    e /= below
    e /= below
    e *= g
    return e


@primitive(lambda g, x: sigmoid_slope(g, x), broadcasts=True)
def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return sigmoid_value(x)


@by_pieces
def silu_value(x: Any) -> Any:
    z = sigmoid_value(x)
    z *= x
    return z


@by_pieces
def silu_slope(g: Any, x: Any) -> Any:
    """(x σ)' = σ + x σ'."""
    slope = sigmoid_slope(x, x)
    slope += sigmoid(x)
    slope *= g
    return slope


@primitive(lambda g, x: silu_slope(g, x), broadcasts=True)
def silu(x: Any) -> Any:
    """x σ(x)."""
    return silu_value(x)


def below(x: Any) -> Any:
    """Φ(x), the share of a normal distribution below x."""
    share = erf(x * math.sqrt(0.5))
    share *= 0.5
    share += 0.5
    return share


@by_pieces
def gelu_value(x: Any) -> Any:
    z = below(x)
    z *= x
    return z


@by_pieces
def gelu_slope(g: Any, x: Any) -> Any:
    """(x Φ)' = Φ + x φ, φ the density."""
    slope = np.exp(x * x * -0.5)
    slope *= x
    slope *= 1 / math.sqrt(2 * math.pi)
    slope += below(x)
    slope *= g
    return slope


@primitive(lambda g, x: gelu_slope(g, x), broadcasts=True)
def gelu(x: Any) -> Any:
    """x Φ(x), by erf."""
    return gelu_value(x)


def bend(square: Any, x: Any) -> Any:
    """tanh(√(2/π) (x + 0.044715 x³))."""
    inner = square * CUBIC
    inner += 1.0
    inner *= x
    inner *= ROOT_2_OVER_PI
    return np.tanh(inner)


@by_pieces
def gelu_tanh_value(x: Any) -> Any:
    z = bend(x * x, x)
    z += 1.0
    z *= x
    z *= 0.5
    return z


@by_pieces
def gelu_tanh_slope(g: Any, x: Any) -> Any:
    """(x (1+t)/2)' = (1 + t + x (1−t²) √(2/π) (1 + 3 · 0.044715 x²)) / 2."""
    square = x * x
    t = bend(square, x)
    slope = 1.0 - t * t
    square *= 3.0 * CUBIC
    square += 1.0
    slope *= square
    slope *= x
    slope *= ROOT_2_OVER_PI
    slope += t
    slope += 1.0
    slope *= g
    slope *= 0.5
    return slope


@primitive(lambda g, x: gelu_tanh_slope(g, x), broadcasts=True)
def gelu_tanh(x: Any) -> Any:
    """x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2."""
    return gelu_tanh_value(x)


@primitive(
    lambda g, x_shape, weight: matmul_left(g, x_shape, weight),
    lambda g, x, weight_shape: matmul_right(g, x, weight_shape),
    lambda g: over_rows(g),
)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight + bias, all rows of x in one product. x (..., D), weight (D, E), bias (E,) or None."""
    y = np.reshape(x, (rows_of(x.shape), x.shape[-1])) @ weight
    if bias is not None and bias.dtype == y.dtype:
        y += bias
    elif bias is not None:
        y = y + bias
    return np.reshape(y, (*x.shape[:-1], y.shape[-1]))
