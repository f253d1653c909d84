"""Formula 14: from a vector for each position to one for the sequence. valid (B, T) is False at padding."""

import numpy as np


def pool_forward(x, valid, how):
    """x (B, T, D) to (B, D). "first" is position 0, "last" the last valid one, "mean" and "max" over the valid.

    A sequence that is nothing but padding gives zeros, except for "first".
    """
    if how == "first":
        return x[:, 0]
    y = np.zeros((len(x), x.shape[-1]))
    for b, rows in enumerate(x):
        rows = rows[valid[b]]
        if len(rows):
            y[b] = {"last": rows[-1], "mean": rows.mean(axis=0), "max": rows.max(axis=0)}[how]
    return y


def pool_backward(g, x, valid, how):
    """dx is 0 except: first or last, g at that position; mean = (1/n) Σ, so g/n at each of the n valid positions;
    max, g at the argmax of each column, in equal shares at a tie.
    """
    dx = np.zeros_like(x)
    if how == "first":
        dx[:, 0] = g
        return dx
    for b in range(len(x)):
        places = np.flatnonzero(valid[b])
        if not len(places):
            continue
        if how == "last":
            dx[b, places[-1]] = g[b]
        elif how == "mean":
            dx[b, places] = g[b] / len(places)
        else:
            rows = x[b, places]
            winners = rows == rows.max(axis=0)
            dx[b, places] = g[b] * winners / winners.sum(axis=0)
    return dx
