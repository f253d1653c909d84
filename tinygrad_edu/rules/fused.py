"""Kernels: what forward code could say in several operations, as one, for speed. Activations, and the linear layer.

Each is held to its definition, the forward code in functional.py, by tests; `with definitions():` runs that instead.
Their rules are formulas like all others, and run on Tensors too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.primitive import NONZERO, primitive
from tinygrad_edu.rules.elementwise import erf
from tinygrad_edu.rules.loops import or_compiled
from tinygrad_edu.rules.pieces import by_pieces, over_rows, row_of, rows_of
from tinygrad_edu.rules.products import matmul_left, matmul_right

__all__ = ["gelu", "gelu_tanh", "linear", "relu", "sigmoid", "silu"]

ROOT_2_OVER_PI, CUBIC = math.sqrt(2 / math.pi), 0.044715


@or_compiled
def where_positive(g: Any, z: Any) -> Any:
    """g where z > 0. As a product: where() guesses for each element which way it goes, and is often wrong."""
    kept = (z > 0).astype(g.dtype)
    kept *= g
    return kept


@or_compiled
def relu_value(x: Any) -> Any:
    """max(x, 0). On long rows with a row of zeros: NumPy compares with one in half the time that a number takes."""
    long = type(x) is np.ndarray and x.ndim > 0 and 128 <= x.shape[-1] <= 4096
    return np.maximum(x, row_of(0.0, x.shape[-1], x.dtype) if long else 0)


def relu_slope(g: Any, z: Any) -> Any:
    if type(z) is np.float64:  # a scalar graph: its numbers need no ufunc
        return g * (1.0 if z > 0.0 else 0.0)
    return where_positive(g, z)


@primitive(lambda g, z: relu_slope(g, z), broadcasts=True, domain=(NONZERO,), kinks=lambda x: x > 0)
def relu(x: Any) -> Any:
    """where(x <= 0, 0, x), in a twentieth of the time; relu'(0) = 0, where maximum(x, 0) would share the tie."""
    if type(x) is np.float64:  # an object of its own, whoever watches tells values apart by that
        return np.float64(0.0) if x <= 0.0 else x + 0.0
    return relu_value(x)


def small_side(x: Any) -> Any:
    """e^−|x|, which cannot overflow. On Tensors without |x|: its slope 0 at 0 would get lost in higher derivatives."""
    if type(x) is np.ndarray:
        e = np.abs(x)
        np.negative(e, out=e)
        return np.exp(e, out=e)
    towards = (x < 0).astype(x.dtype)
    towards *= 2.0
    towards -= 1.0
    return np.exp(x * towards)


@by_pieces
def sigmoid_value(x: Any) -> Any:
    """eˣ / (eˣ + 1). Where eˣ is more than the dtype holds, any large number does in its place: the quotient is 1."""
    e = np.minimum(x, HOLDS.get(x.dtype.itemsize, 709.0))
    e = np.exp(e, out=e) if type(e) is np.ndarray else np.exp(e)
    e /= e + 1.0
    return e


HOLDS = {2: 11.0, 4: 88.0}  # e to this power is held; by itemsize
LEAST = {2: 2.0**-1, 4: 2.0**-3}


@by_pieces
def sigmoid_slope(g: Any, z: Any, x: Any) -> Any:
    """σ' = σ (1−σ); but where σ is so near 1 that the difference has lost its digits, e/(1+e)² with e = e^−|x|.

    1−σ = 2⁻ᵏ has lost k bits of σ's. That much is let pass, by dtype: 1 of 11, 3 of 24, 6 of 53.
    """
    if type(x) is not np.ndarray:
        return g * exact_slope(x)
    slope = 1.0 - z
    least = LEAST.get(x.dtype.itemsize, 2.0**-6)
    lost = None if np.minimum.reduce(slope, axis=None, initial=1.0) >= least else slope < least
    slope *= z
    if lost is not None:
        slope[lost] = exact_slope(x[lost])
    slope *= g
    return slope


def exact_slope(x: Any) -> Any:
    e = small_side(x)
    below = e + 1.0
    e /= below
    e /= below
    return e


@primitive(lambda g, z, x: sigmoid_slope(g, z, x), broadcasts=True)
def sigmoid(x: Any) -> Any:
    """1 / (1 + e⁻ˣ)."""
    return sigmoid_value(x)


@by_pieces
def silu_value(x: Any) -> Any:
    z = sigmoid_value(x)
    z *= x
    return z


def factor(z: Any, x: Any, f: Callable[[Any], Any]) -> Any:
    """f(x), read off z = x f(x) as z/x; worked out anew where x is 0, infinite, or too small for a quotient."""
    if type(x) is not np.ndarray:
        return f(x)
    limits = np.finfo(x.dtype)
    size = np.abs(x)
    safe = (size >= limits.tiny) & (size <= limits.max)
    quotient = z / x
    return quotient if np.count_nonzero(safe) == safe.size else np.where(safe, quotient, f(x))


@by_pieces
def silu_slope(g: Any, z: Any, x: Any) -> Any:
    """(x σ)' = σ + x σ' = σ (1 + x (1 − σ)); beside the 1, no digit of the difference is missed."""
    share = factor(z, x, sigmoid)
    slope = 1.0 - share
    slope *= x
    slope += 1.0
    slope *= share
    slope *= g
    return slope


@primitive(lambda g, z, x: silu_slope(g, z, x), broadcasts=True)
def silu(x: Any) -> Any:
    """x σ(x)."""
    return silu_value(x)


def below(x: Any) -> Any:
    """Φ(x), the share of a normal distribution below x."""
    share = erf(x * math.sqrt(0.5))
    share *= 0.5
    share += 0.5
    return share


@or_compiled
@by_pieces
def gelu_value(x: Any) -> Any:
    z = below(x)
    z *= x
    return z


@or_compiled
@by_pieces
def gelu_slope(g: Any, z: Any, x: Any) -> Any:
    """(x Φ)' = Φ + x φ, φ the density."""
    slope = np.exp(x * x * -0.5)
    slope *= x
    slope *= 1 / math.sqrt(2 * math.pi)
    slope += factor(z, x, below)
    slope *= g
    return slope


@primitive(lambda g, z, x: gelu_slope(g, z, x), broadcasts=True)
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
    rows={"weight": 2, "bias": 1},
)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """x @ weight + bias, all rows of x in one product. x (..., D), weight (D, E), bias (E,) or None."""
    y = x.reshape(rows_of(x.shape), x.shape[-1]) @ weight
    if bias is not None and bias.dtype == y.dtype:
        y += bias
    elif bias is not None:
        y = y + bias
    return y.reshape(*x.shape[:-1], y.shape[-1])
