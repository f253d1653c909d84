"""Formulas 10 and 11: attention, its heads, and the projections around it."""

import math

import numpy as np

from .linear import linear_backward, linear_forward
from .loss import softmax_backward, softmax_forward


def attention_forward(Q, K, V, mask=None):
    """Z = Q Kᵀ/√d, A = softmax(Z), O = A V; rows of Z are queries. Returns O, A.

    Q (..., T, d), K (..., S, d), V (..., S, e); mask (..., T, S), True = may attend. A masked score is −inf,
    its weight exactly 0; a query that may attend to nothing has the weights 0 and the output 0.
    """
    Z = Q @ K.swapaxes(-1, -2) / math.sqrt(Q.shape[-1])
    if mask is not None:
        Z = np.where(mask, Z, -np.inf)
    A = softmax_forward(Z)
    return A @ V, A


def attention_backward(dO, Q, K, V, A):
    """Five steps in reverse, each one of formulas 2 and 5.

    O_ie  = Σ_j A_ij V_je:           dV_je = Σ_i A_ij dO_ie, dV = Aᵀ dO;   dA_ij = Σ_e dO_ie V_je, dA = dO Vᵀ
    A     = softmax of Z by rows:    dZ = A ⊙ (dA − rowsum(dA ⊙ A)); where masked A = 0, so dZ is exactly 0
    Z_ij  = Σ_c Q_ic K_jc/√d:        dQ_ic = Σ_j dZ_ij K_jc/√d, dQ = dZ K/√d;   dK = dZᵀ Q/√d
    Returns dQ, dK, dV: three different things, of which only dV has no softmax on its way.
    """
    d = Q.shape[-1]
    dV = A.swapaxes(-1, -2) @ dO
    dA = dO @ V.swapaxes(-1, -2)
    dZ = softmax_backward(dA, A)
    dQ = dZ @ K / math.sqrt(d)
    dK = dZ.swapaxes(-1, -2) @ Q / math.sqrt(d)
    return dQ, dK, dV


def split_heads(x, H):
    """(B, T, D) to (B, H, T, D/H): head h takes the h-th slice of the width. Pulled back by join_heads."""
    return np.stack(np.split(x, H, axis=-1), axis=1)


def join_heads(x):
    """(B, H, T, D/H) to (B, T, D), side by side. Both only move numbers, and they undo each other: a
    permutation's transpose is its inverse, so each is the other's pullback.
    """
    return np.concatenate([x[:, h] for h in range(x.shape[1])], axis=-1)


def rotary_forward(x, sign=1):
    """The pair (x_2i, x_2i+1) at position t, read as a complex number, times e^(iθ) with θ = t/10000^(2i/d).

    x (B, H, T, d), d even.
    """
    T, d = x.shape[-2:]
    theta = np.arange(T)[:, None] / 10000 ** (np.arange(0, d, 2) / d)
    turned = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * sign * theta)
    y = np.empty_like(x)
    y[..., 0::2], y[..., 1::2] = turned.real, turned.imag
    return y


def rotary_backward(g):
    """A rotation's transpose is its inverse: the same turn the other way."""
    return rotary_forward(g, sign=-1)


def multi_head_forward(x, p, H, mask=None, rotary=False):
    """[Q | K | V] = x W_qkv, H heads, attention in each, joined, times W_o. x (B, T, D).

    p has "qkv.weight" (D, 3D), "output.weight" (D, D), and perhaps their biases. Returns y, saved.
    """
    qkv = linear_forward(x, p["qkv.weight"], p.get("qkv.bias"))
    Q, K, V = (split_heads(part, H) for part in np.split(qkv, 3, axis=-1))
    if rotary:
        Q, K = rotary_forward(Q), rotary_forward(K)
    O, A = attention_forward(Q, K, V, mask)
    joined = join_heads(O)
    y = linear_forward(joined, p["output.weight"], p.get("output.bias"))
    return y, (x, Q, K, V, A, joined, rotary)


def multi_head_backward(g, p, saved):
    """dW_o = concatᵀ g, then formula 10 in each head, then dW_qkv = xᵀ [dQ | dK | dV].

    x feeds all three: dX = dQ W_qᵀ + dK W_kᵀ + dV W_vᵀ, which is [dQ | dK | dV] [W_q | W_k | W_v]ᵀ.
    Returns dx and a dict like p.
    """
    x, Q, K, V, A, joined, rotary = saved
    d_joined, dW_o, db_o = linear_backward(g, joined, p["output.weight"])
    dQ, dK, dV = attention_backward(split_heads(d_joined, Q.shape[1]), Q, K, V, A)
    if rotary:
        dQ, dK = rotary_backward(dQ), rotary_backward(dK)
    d_qkv = np.concatenate([join_heads(part) for part in (dQ, dK, dV)], axis=-1)
    dx, dW_qkv, db_qkv = linear_backward(d_qkv, x, p["qkv.weight"])
    all_four = {"qkv.weight": dW_qkv, "qkv.bias": db_qkv, "output.weight": dW_o, "output.bias": db_o}
    return dx, {name: all_four[name] for name in p}
