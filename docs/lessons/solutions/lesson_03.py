"""Lesson 3, residual connection, layer norm, feed-forward: one way to write the answers."""

import numpy as np


def residual_backward(g, pullback):
    return g + pullback(g)


def layer_norm(x, gamma, beta, eps):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + eps) + beta


def maximum():
    # max(a, b) = b + relu(a - b), and b = relu(b) - relu(-b)
    W1 = np.array([[1.0, 0.0, 0.0], [-1.0, 1.0, -1.0]])
    W2 = np.array([[1.0], [1.0], [-1.0]])
    return W1, np.zeros(3), W2, np.zeros(1)


def block(x, attend, feed, norm1, norm2, pre):
    if pre:
        x = x + attend(norm1(x))
        return x + feed(norm2(x))
    x = norm1(x + attend(x))
    return norm2(x + feed(x))
