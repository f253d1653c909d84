"""Formula 16: from a gradient to the next weights. Pure functions: the old state in, the new state out."""

import numpy as np


def sgd(w, g, lr):
    """Downhill: L(w − lr g) ≈ L(w) − lr ‖g‖²."""
    return w - lr * g


def momentum(w, v, g, lr, mu=0.9):
    """v = μ v − lr g, w += v. A constant g ends at the speed −lr g/(1 − μ), ten times SGD's for μ = 0.9.

    Returns w, v.
    """
    v = mu * v - lr * g
    return w + v, v


def adam(w, m, v, g, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """m, v: running means of g and g², from 0; t counts steps from 1. Returns w, m, v.

    Unrolled, m_t = (1 − β₁) Σ_s β₁^(t−s) g_s; for a constant g that is (1 − β₁ᵗ) g. Hence m̂ = m/(1 − β₁ᵗ), which
    is right from the first step on, and v̂ likewise. Then w −= lr m̂/(√v̂ + ε): at t = 1 a step of lr sign(g).
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def adamw(w, m, v, g, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, decay=0.01):
    """Adam, and w −= lr · decay · w beside it: added to g instead, the decay would be divided by √v̂ too.

    Returns w, m, v.
    """
    stepped, m, v = adam(w, m, v, g, t, lr, beta1, beta2, eps)
    return stepped - lr * decay * w, m, v
