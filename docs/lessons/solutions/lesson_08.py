"""Lesson 8, the training loop: one way to write the answers."""

import math

import numpy as np


def adam(w, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return w


def warmup_cosine(step, peak, warmup, total):
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= total:
        return 0.0
    return peak * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


def split(questions, seed, held_out):
    different = list(dict.fromkeys(questions))  # each once, in an order that no hash decides
    order = np.random.default_rng(seed).permutation(len(different))
    testing = {different[k] for k in order[: round(held_out * len(different))]}
    train = [k for k, question in enumerate(questions) if question not in testing]
    test = [k for k, question in enumerate(questions) if question in testing]
    return train, test


def accumulated(gradient, x, y, parts):
    total = 0.0
    for rows in np.array_split(np.arange(len(x)), parts):
        if len(rows):
            total = total + gradient(x[rows], y[rows]) * len(rows)
    return total / len(x)
