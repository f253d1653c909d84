"""Lesson 7, backpropagation: one way to write the answers."""

import math

import numpy as np


def accumulate(steps):
    names = {name for name, inputs in steps for name in (name, *(each for each, _ in inputs))}
    found = dict.fromkeys(names, 0.0)
    found[steps[-1][0]] = 1.0
    for name, inputs in reversed(steps):  # all uses of a value come before the step that made it
        for each, derivative in inputs:
            found[each] += found[name] * derivative
    return found


def softmax_backward(g, p):
    return p * (g - np.sum(g * p, axis=-1, keepdims=True))


def linear_backward(g, x, W):
    flat_g, flat_x = g.reshape(-1, g.shape[-1]), x.reshape(-1, x.shape[-1])
    return g @ W.T, flat_x.T @ flat_g, flat_g.sum(axis=0)


def layer_norm_backward(g, x, gamma, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    normed = centred / s
    h = g * gamma
    dx = (h - h.mean(axis=-1, keepdims=True) - normed * (h * normed).mean(axis=-1, keepdims=True)) / s
    return dx, (g * normed).sum(axis=0), g.sum(axis=0)


def attention_backward(dO, Q, K, V, mask):
    Z = np.where(mask, Q @ K.T / math.sqrt(Q.shape[1]), -np.inf)
    A = np.exp(Z - Z.max(axis=-1, keepdims=True))
    A /= A.sum(axis=-1, keepdims=True)
    dZ = softmax_backward(dO @ V.T, A)
    return dZ @ K / math.sqrt(Q.shape[1]), dZ.T @ Q / math.sqrt(Q.shape[1]), A.T @ dO


def clip(gradients, c):
    norm = math.sqrt(sum(float(np.sum(g * g)) for g in gradients.values()))
    return {name: min(1.0, c / (norm + 1e-6)) * g for name, g in gradients.items()}
