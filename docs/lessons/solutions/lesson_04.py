"""Lesson 4, stacking blocks: one way to write the answers."""

import numpy as np


def look_up(queries, keys, values, sharp):
    scores = sharp * queries @ keys.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ values


def induction(ids, V, sharp):
    tokens, places = np.eye(V)[ids], np.eye(len(ids))
    before = look_up(np.roll(places, -1, axis=1), places, tokens, sharp)  # row t asks for place t - 1
    before[0] = 0
    return look_up(tokens[-1:], before, tokens, sharp)[0]


def count_parameters(V, D, F, L, positions=0, tied=False):
    block = 4 * D * D + (2 * D * F + F + D) + 4 * D
    output = V if tied else D * V + V
    return V * D + positions * D + L * block + output


def probe(features, classes, held_features, held_classes):
    def with_constant(x):
        return np.concatenate([x, np.ones((len(x), 1))], axis=1)

    one_hot = np.eye(max(classes.max(), held_classes.max()) + 1)[classes]
    weights, *_ = np.linalg.lstsq(with_constant(features), one_hot, rcond=None)
    return float(np.mean((with_constant(held_features) @ weights).argmax(axis=1) == held_classes))
