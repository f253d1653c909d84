"""Formulas 1-4 and 17: softmax and the losses on it. z logits, p probabilities, y one-hot, q wanted; (..., V)."""

import numpy as np

from .embedding import onehot


def cross_entropy_forward(p, targets):
    """L = −(1/N) Σ_n log p_n,t(n), on probabilities p (N, V)."""
    return -np.log(p[np.arange(len(p)), targets]).mean()


def cross_entropy_backward(p, targets, g=1.0):
    """Only the probability of the target occurs in L: dp_n,t(n) = −1/(N p_n,t(n)), and 0 elsewhere."""
    N, V = p.shape
    return -g * onehot(targets, V) / (N * p)


def softmax_forward(z):
    """p_i = e^z_i / Σ_k e^z_k, after a max-shift. A row of nothing but −inf, all masked, gives zeros."""
    top = z.max(axis=-1, keepdims=True)
    e = np.exp(z - np.where(np.isfinite(top), top, 0.0))
    total = e.sum(axis=-1, keepdims=True)
    return e / np.where(total > 0, total, 1.0)


def softmax_jacobian(p):
    """∂p_i/∂z_j of one row p (V,). With S = Σ_k e^z_k the quotient rule gives

    (δ_ij e^z_i S − e^z_i e^z_j)/S² = p_i(δ_ij − p_j).
    """
    return np.diag(p) - np.outer(p, p)


def softmax_backward(g, p):
    """dz_j = Σ_i g_i p_i(δ_ij − p_j) = p_j(g_j − Σ_i g_i p_i); rows independent."""
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


def max_shift_forward(z):
    """z − max z: e^z overflows at 710, e^(z − max z) never."""
    return z - z.max(axis=-1, keepdims=True)


def max_shift_backward(g, z):
    """The maximum m = z_k is subtracted from all, so it collects −Σ g: dz_j = g_j − [j = k] Σ_i g_i.

    Below a softmax Σ g = 0: p(z + c) = p(z) for all c, so the derivative in the direction (1, ..., 1) is
    zero whatever arrives from above. The second term vanishes: the shift changes no gradient.
    """
    k = onehot(z.argmax(axis=-1), z.shape[-1])
    return g - k * g.sum(axis=-1, keepdims=True)


def log_softmax_forward(z):
    """log p_i = z_i − log Σ_k e^z_k, after a max-shift."""
    shifted = max_shift_forward(z)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def log_softmax_backward(g, p):
    """∂ log p_i/∂z_j = δ_ij − p_j, so dz_j = Σ_i g_i(δ_ij − p_j) = g_j − p_j Σ_i g_i; p = softmax(z)."""
    return g - p * g.sum(axis=-1, keepdims=True)


def smoothed(targets, V, a):
    """Label smoothing: q = (1 − a) onehot + a/V. It sums to 1, as a distribution must."""
    return (1 - a) * onehot(targets, V) + a / V


def softmax_cross_entropy_forward(z, q, w=None, temperature=1.0):
    """L = −Σ_n (w_n/Σw) Σ_j q_nj log p_nj with p = softmax(z/τ).

    z, q (..., V), q one-hot or smoothed; w (...) weights, 0 for padding, 1 everywhere when None.
    """
    log_p = log_softmax_forward(z / temperature)
    return -(shares(w, z) * (q * log_p).sum(axis=-1)).sum()


def softmax_cross_entropy_backward(z, q, w=None, temperature=1.0, g=1.0):
    """For one row, ∂/∂z_j of −Σ_i q_i log p_i is −Σ_i q_i(δ_ij − p_j)/τ = (p_j Σ_i q_i − q_j)/τ = (p_j − q_j)/τ,
    for Σ q = 1. So dz_n = (w_n/Σw)(p_n − q_n)/τ: a mean of N rows has 1/N in front, padding has 0.

    The softmax Jacobian is in this already: to apply it to p − y again descends another loss.
    """
    p = softmax_forward(z / temperature)
    return g * shares(w, z)[..., None] * (p - q) / temperature


def shares(w, z):
    """w_n/Σw, equal shares when w is None."""
    w = np.ones(z.shape[:-1]) if w is None else w
    return w / w.sum()


def half_squared_error_forward(y, target):
    """½ Σ (y − target)²."""
    return ((y - target) ** 2).sum() / 2


def half_squared_error_backward(y, target, g=1.0):
    """The ½ meets the 2: dy = y − target."""
    return g * (y - target)
