"""Formulas 5, 8, 9 and 17: linear maps, sums, and what is built of them alone."""

from . import activations


def flat(x):
    """Batch and time merged: (B, T, D) to (B·T, D). Every row meets the same weights."""
    return x.reshape(-1, x.shape[-1])


def linear_forward(x, W, b=None):
    """y = x W + b. x (..., D), W (D, E), b (E,)."""
    y = x @ W
    return y if b is None else y + b


def linear_backward(g, x, W):
    """Written out, y_ne = Σ_d x_nd W_de + b_e over the flat rows n. Hence

    dW_de = Σ_n g_ne ∂y_ne/∂W_de = Σ_n x_nd g_ne    = (flat(x)ᵀ flat(g))_de
    db_e  = Σ_n g_ne ∂y_ne/∂b_e  = Σ_n g_ne
    dx_nd = Σ_e g_ne ∂y_ne/∂x_nd = Σ_e g_ne W_de    = (g Wᵀ)_nd
    """
    dx = g @ W.T
    dW = flat(x).T @ flat(g)
    db = flat(g).sum(axis=0)
    return dx, dW, db


def residual_forward(x, Fx):
    return x + Fx


def residual_backward(g, pullback):
    """y = x + F(x): x reaches y twice, once by itself and once through F, so dx = g + (F's pullback of g)."""
    return g + pullback(g)


ACTIVATIONS = {
    "relu": (activations.relu_forward, activations.relu_backward),
    "gelu": (activations.gelu_erf_forward, activations.gelu_erf_backward),
    "silu": (activations.silu_forward, activations.silu_backward),
}


def feed_forward_forward(x, W1, b1, W2, b2, activation="relu"):
    """h = x W₁ + b₁, a = f(h), y = a W₂ + b₂. x (..., D), W₁ (D, F), W₂ (F, D). Returns y, (x, h, a)."""
    f, _ = ACTIVATIONS[activation]
    h = linear_forward(x, W1, b1)
    a = f(h)
    return linear_forward(a, W2, b2), (x, h, a)


def feed_forward_backward(g, W1, W2, saved, activation="relu"):
    """The three maps in reverse: dA = g W₂ᵀ, dW₂ = aᵀ g, db₂ = Σ g; dh = dA ⊙ f'(h), which for ReLU is
    dA ⊙ [h > 0]; dW₁ = xᵀ dh, db₁ = Σ dh, dx = dh W₁ᵀ. Returns dx, dW₁, db₁, dW₂, db₂.
    """
    x, h, a = saved
    _, pull_f = ACTIVATIONS[activation]
    dA, dW2, db2 = linear_backward(g, a, W2)
    dh = pull_f(dA, h)
    dx, dW1, db1 = linear_backward(dh, x, W1)
    return dx, dW1, db1, dW2, db2
