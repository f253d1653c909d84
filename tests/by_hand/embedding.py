"""Formulas 12, 13 and 17: where tokens become vectors, where positions join them, and tied weights."""

import numpy as np

from .linear import flat


def onehot(ids, V):
    """ids (...) to (..., V): 1 at the id, 0 elsewhere."""
    return (np.asarray(ids)[..., None] == np.arange(V)).astype(float)


def embedding_forward(E, ids):
    """x_bs = E[ids_bs], which is onehot(ids) E. E (V, D), ids (B, T), x (B, T, D)."""
    return E[ids]


def embedding_backward(g, E, ids):
    """x = onehot E is linear in E, so by formula 5 dE = flat(onehot)ᵀ flat(g): row t is the sum of g_bs over
    the occurrences of token t. The comma of Max(1,6,2) stands at positions 3 and 5 and collects both; a token
    that does not occur gets 0.
    """
    dE = np.zeros_like(E)
    for t, row in zip(np.ravel(ids), flat(g), strict=True):
        dE[t] += row
    return dE


def sinusoidal(T, D):
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same). (T, D)"""
    table = np.zeros((T, D))
    for i in range(0, D, 2):
        turns = np.arange(T) / 10000 ** (i / D)
        table[:, i] = np.sin(turns)
        if i + 1 < D:
            table[:, i + 1] = np.cos(turns)
    return table


def fixed_positions_forward(x, table):
    """y_bs = x_bs + PE_s. x (B, T, D); table (at least T, D), no parameter."""
    return x + table[: x.shape[1]]


def fixed_positions_backward(g):
    """Adding a constant: dx = g."""
    return g


def learned_positions_forward(x, P):
    """y_bs = x_bs + P_s. P (longest T, D)."""
    return x + P[: x.shape[1]]


def learned_positions_backward(g, P):
    """P_s is added in every sequence of the batch: dP_s = Σ_b g_bs, and 0 beyond T. dx = g. Returns dx, dP."""
    dP = np.zeros_like(P)
    dP[: g.shape[1]] = g.sum(axis=0)
    return g, dP


def tied_output_forward(h, E, b):
    """z = h Eᵀ + b: the output projection is the embedding's transpose. h (..., D), z (..., V)."""
    return h @ E.T + b


def tied_output_backward(g, h, E):
    """With W = Eᵀ formula 5 gives dW = hᵀ dz; E = Wᵀ, so its share is (hᵀ dz)ᵀ. To be added to the embedding
    part, for E is used twice. Returns dh, dE, db.
    """
    return g @ E, (flat(h).T @ flat(g)).T, flat(g).sum(axis=0)
