"""Lesson 9, training dynamics: one way to write the answers."""

import math

import numpy as np


def mean_and_spread(scores):
    found = {}
    for name, each in scores.items():
        deviation = float(np.std(each, ddof=1))
        found[name] = float(np.mean(each)), deviation, deviation / math.sqrt(len(each))
    return found


def early_stopping(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best >= patience:
            return best, epoch
    return best, len(losses) - 1


def attention_entropy(weights, valid):
    logs = np.log(np.where(weights > 0, weights, 1.0))  # 0 log 0 is 0
    entropy = -(weights * logs).sum(axis=-1)  # (B, H, T)
    return (entropy * valid[:, None, :]).sum(axis=(0, 2)) / valid.sum()
