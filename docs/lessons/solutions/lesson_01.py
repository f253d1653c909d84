"""Lesson 1, embeddings and positional encoding: one way to write the answers."""

import numpy as np


def one_hot(ids, V):
    return (np.asarray(ids)[:, None] == np.arange(V)).astype(float)


def wavelength_factors(D):
    i = np.arange(D // 2)
    return 10000.0 ** (2 * i / D)


def embedding_gradient(g, ids, V):
    dE = np.zeros((V, g.shape[1]))
    for row, token in zip(g, ids, strict=True):
        dE[token] += row  # += row by row: a token may come twice
    return dE


def sinusoidal(T, D):
    turns = np.arange(T)[:, None] / 10000.0 ** (np.arange(0, D, 2) / D)  # (T, D/2)
    table = np.empty((T, D))
    table[:, 0::2] = np.sin(turns)
    table[:, 1::2] = np.cos(turns)
    return table


def shift(k, D):
    M = np.zeros((D, D))
    for i in range(D // 2):
        angle = k / 10000.0 ** (2 * i / D)
        # sin(a + b) = cos b sin a + sin b cos a;  cos(a + b) = -sin b sin a + cos b cos a
        M[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    return M


def rotary(x, positions):
    D = x.shape[1]
    angles = np.asarray(positions)[:, None] / 10000.0 ** (np.arange(0, D, 2) / D)  # (T, D/2)
    a, b = x[:, 0::2], x[:, 1::2]
    turned = np.empty(x.shape)
    turned[:, 0::2] = a * np.cos(angles) - b * np.sin(angles)
    turned[:, 1::2] = a * np.sin(angles) + b * np.cos(angles)
    return turned
