"""Formula 7: layer norm in full, and its relative without a mean. Each row of D numbers by itself."""

import numpy as np


def layer_norm_forward(x, gamma, beta, eps=1e-5):
    """y = γ ⊙ x̂ + β with x̂ = (x − μ)/s, μ = mean x, s = √(mean (x − μ)² + ε). Returns y, (x̂, s)."""
    mu = x.mean(axis=-1, keepdims=True)
    s = np.sqrt(((x - mu) ** 2).mean(axis=-1, keepdims=True) + eps)
    x_hat = (x - mu) / s
    return gamma * x_hat + beta, (x_hat, s)


def layer_norm_backward(g, gamma, saved):
    """γ and β are shared by all rows: dγ = Σ g ⊙ x̂ and dβ = Σ g over them. What arrives at x̂ is ĝ = g ⊙ γ.

    x_i reaches x̂_j by itself, through μ and through s:
        ∂μ/∂x_i = 1/D
        ∂s/∂x_i = (1/2s) · (2/D) Σ_k (x_k − μ)(δ_ik − 1/D) = (x_i − μ)/(D s) = x̂_i/D,  as Σ_k (x_k − μ) = 0
        ∂x̂_j/∂x_i = (δ_ij − 1/D)/s − (x_j − μ)/s² · x̂_i/D = (δ_ij − 1/D − x̂_j x̂_i/D)/s
    so  dx_i = Σ_j ĝ_j ∂x̂_j/∂x_i = (ĝ_i − mean ĝ − x̂_i · mean(ĝ ⊙ x̂))/s.
    Without the last term it would be the gradient of a norm whose s is a constant: a common mistake.
    """
    x_hat, s = saved
    rows = tuple(range(g.ndim - 1))
    d_gamma = (g * x_hat).sum(axis=rows)
    d_beta = g.sum(axis=rows)
    g_hat = g * gamma
    mean_g = g_hat.mean(axis=-1, keepdims=True)
    mean_gx = (g_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = (g_hat - mean_g - x_hat * mean_gx) / s
    return dx, d_gamma, d_beta


def rms_norm_forward(x, gamma, eps=1e-5):
    """y = γ ⊙ x̂ with x̂ = x/r, r = √(mean x² + ε). Returns y, (x̂, r)."""
    r = np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    x_hat = x / r
    return gamma * x_hat, (x_hat, r)


def rms_norm_backward(g, gamma, saved):
    """As layer norm with μ = 0 held: ∂r/∂x_i = x_i/(D r) = x̂_i/D, ∂x̂_j/∂x_i = (δ_ij − x̂_j x̂_i/D)/r,
    so dx = (ĝ − x̂ · mean(ĝ ⊙ x̂))/r and dγ = Σ g ⊙ x̂.
    """
    x_hat, r = saved
    d_gamma = (g * x_hat).sum(axis=tuple(range(g.ndim - 1)))
    g_hat = g * gamma
    dx = (g_hat - x_hat * (g_hat * x_hat).mean(axis=-1, keepdims=True)) / r
    return dx, d_gamma
