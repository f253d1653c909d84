"""Cases of the formulas that treat each row by itself: losses, linear maps, activations, norms; see `cases`."""

import numpy as np

from . import activations, embedding, linear, loss, normalization, regularization
from .drawing import also, apart, case, normal

# 1-4: losses


def draw_rows(rng, B, T, D):
    V = D + 1
    return [normal(rng, B, V)], {"targets": rng.integers(V, size=B)}


@case(lambda rng, B, T, D: ([loss.softmax_forward(normal(rng, B, D))], {"targets": rng.integers(D, size=B)}))
def cross_entropy_on_probabilities(p, targets):
    return loss.cross_entropy_forward(p, targets), lambda g: (loss.cross_entropy_backward(p, targets, g),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def softmax(z):
    p = loss.softmax_forward(z)
    return p, lambda g: (loss.softmax_backward(g, p),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def log_softmax(z):
    return loss.log_softmax_forward(z), lambda g: (loss.log_softmax_backward(g, loss.softmax_forward(z)),)


@case(lambda rng, B, T, D: ([apart(rng, B, D)], {}))
def max_shift(z):
    return loss.max_shift_forward(z), lambda g: (loss.max_shift_backward(g, z),)


@case(draw_rows)
def softmax_cross_entropy(z, targets):
    y = embedding.onehot(targets, z.shape[-1])
    pull = loss.softmax_cross_entropy_backward
    return loss.softmax_cross_entropy_forward(z, y), lambda g: (pull(z, y, g=g),)


def draw_padded(rng, B, T, D):
    w = rng.integers(2, size=(B, T)).astype(float)
    w[0, 0] = 1  # one target at least is not padding
    return [normal(rng, B, T, D + 1)], {"targets": rng.integers(D + 1, size=(B, T)), "w": w}


@case(draw_padded)
def softmax_cross_entropy_padded(z, targets, w):
    y = embedding.onehot(targets, z.shape[-1])
    pull = loss.softmax_cross_entropy_backward
    return loss.softmax_cross_entropy_forward(z, y, w), lambda g: (pull(z, y, w, g=g),)


@case(also(draw_padded, w=lambda rng, B, T, D: rng.uniform(0.1, 2, size=(B, T))))
def softmax_cross_entropy_weighted(z, targets, w):
    return softmax_cross_entropy_padded(z, targets, w)


@case(also(draw_rows, tau=lambda rng, B, T, D: rng.uniform(0.3, 3)))
def temperature(z, targets, tau):
    y = embedding.onehot(targets, z.shape[-1])
    pull = loss.softmax_cross_entropy_backward
    return loss.softmax_cross_entropy_forward(z, y, None, tau), lambda g: (pull(z, y, None, tau, g),)


@case(also(draw_rows, a=lambda rng, B, T, D: rng.uniform(0, 1)))
def label_smoothing(z, targets, a):
    q = loss.smoothed(targets, z.shape[-1], a)
    pull = loss.softmax_cross_entropy_backward
    return loss.softmax_cross_entropy_forward(z, q), lambda g: (pull(z, q, g=g),)


@case(lambda rng, B, T, D: ([normal(rng, D)], {"target": normal(rng, D)}))
def half_squared_error(y, target):
    return loss.half_squared_error_forward(y, target), lambda g: (loss.half_squared_error_backward(y, target, g),)


# 5, 6, 8, 9: linear maps and activations


@case(lambda rng, B, T, D: ([normal(rng, B, T, D), normal(rng, D, T + 1), normal(rng, T + 1)], {}))
def linear_map(x, W, b):
    return linear.linear_forward(x, W, b), lambda g: linear.linear_backward(g, x, W)


@case(lambda rng, B, T, D: ([apart(rng, B, T, D)], {}))
def relu(x):
    return activations.relu_forward(x), lambda g: (activations.relu_backward(g, x),)


@case(lambda rng, B, T, D: ([apart(rng, B, T, D)], {"slope": rng.uniform(0, 1)}))
def leaky_relu(x, slope):
    return activations.leaky_relu_forward(x, slope), lambda g: (activations.leaky_relu_backward(g, x, slope),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def sigmoid(x):
    return activations.sigmoid_forward(x), lambda g: (activations.sigmoid_backward(g, x),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def silu(x):
    return activations.silu_forward(x), lambda g: (activations.silu_backward(g, x),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def gelu_erf(x):
    return activations.gelu_erf_forward(x), lambda g: (activations.gelu_erf_backward(g, x),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {}))
def gelu_tanh(x):
    return activations.gelu_tanh_forward(x), lambda g: (activations.gelu_tanh_backward(g, x),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D), normal(rng, D, D), normal(rng, D)], {}))
def residual(x, W, b):
    """F(x) = silu(x W + b)."""
    h = linear.linear_forward(x, W, b)

    def pullback(g):
        dh = activations.silu_backward(g, h)
        _, dW, db = linear.linear_backward(dh, x, W)
        return linear.residual_backward(g, lambda g: linear.linear_backward(dh, x, W)[0]), dW, db

    return linear.residual_forward(x, activations.silu_forward(h)), pullback


def draw_feed_forward(rng, B, T, D):
    F = T + 2
    arrays = [normal(rng, B, T, D), normal(rng, D, F), normal(rng, F), normal(rng, F, D), normal(rng, D)]
    return arrays, {"activation": ("gelu", "silu")[rng.integers(2)]}


@case(draw_feed_forward)
def feed_forward(x, W1, b1, W2, b2, activation):
    y, saved = linear.feed_forward_forward(x, W1, b1, W2, b2, activation)
    return y, lambda g: linear.feed_forward_backward(g, W1, W2, saved, activation)


def draw_feed_forward_relu(rng, B, T, D):
    """Drawn until no h is near the kink."""
    while True:
        (x, W1, *rest), _ = draw_feed_forward(rng, B, T, D)
        if np.abs(x @ W1 + rest[0]).min() > 0.03:
            return [x, W1, *rest], {"activation": "relu"}


@case(lambda rng, B, T, D: draw_feed_forward_relu(rng, 1, min(T, 2), D))
def feed_forward_relu(x, W1, b1, W2, b2, activation):
    return feed_forward(x, W1, b1, W2, b2, activation)


# 7: norms


@case(
    lambda rng, B, T, D: (
        [normal(rng, B, T, D), normal(rng, D), normal(rng, D)], {"eps": 10.0 ** -rng.integers(1, 6)}
    )
)  # fmt: skip
def layer_norm(x, gamma, beta, eps):
    y, saved = normalization.layer_norm_forward(x, gamma, beta, eps)
    return y, lambda g: normalization.layer_norm_backward(g, gamma, saved)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D), normal(rng, D)], {"eps": 10.0 ** -rng.integers(1, 6)}))
def rms_norm(x, gamma, eps):
    y, saved = normalization.rms_norm_forward(x, gamma, eps)
    return y, lambda g: normalization.rms_norm_backward(g, gamma, saved)


# 17: dropout


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {"p": 0.25, "keep": rng.random((B, T, D)) > 0.25}))
def dropout(x, keep, p):
    return regularization.dropout_forward(x, keep, p), lambda g: (regularization.dropout_backward(g, keep, p),)
