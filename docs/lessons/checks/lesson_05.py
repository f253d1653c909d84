"""Lesson 5, output projection: what holds for a right answer, and wrong ones that must be noticed."""

import numpy as np
from judging import Exercise, call, close, differences, drawn, shaped, that

# Checks --------------------------------------------------------------------------------------------


def check_best_bias(module):
    rng = drawn(1)
    for V, smoothing in ((4, 1.0), (20, 0.1)):
        targets = rng.integers(0, V - 1, 50)  # one token never occurs
        found = np.asarray(call(module.best_bias, targets, V, smoothing))
        shaped(found, (V,), "the shape")
        wanted = [(int((targets == v).sum()) + smoothing) / (50 + V * smoothing) for v in range(V)]
        close(np.exp(found) / np.exp(found).sum(), wanted, f"the softmax of the bias for smoothing {smoothing}",
              "Count, add the smoothing to every count, divide by the new sum.")  # fmt: skip
        close(np.exp(found).sum(), 1.0, "the sum of the exponentials", "The logarithm of shares, not of counts.")


def check_logits_backward(module):
    rng = drawn(2)
    for N, D, V in ((3, 4, 5), (6, 3, 3)):
        h, W, b = rng.normal(size=(N, D)), rng.normal(size=(D, V)), rng.normal(size=V)
        targets = rng.integers(V, size=N)
        results = call(module.logits_backward, h, W, b, targets)
        that(isinstance(results, tuple | list) and len(results) == 3, "return dh, dW, db")
        for name, place, found in zip(("dh", "dW", "db"), range(3), results, strict=True):
            close(found, numeric((h, W, b), place, targets), f"{name} for N, D, V = {N, D, V}",
                  "dz = (p − y)/N, and then the three formulas of a linear map.", 1e-8)  # fmt: skip


def check_pool_last(module):
    rng = drawn(3)
    x = rng.normal(size=(4, 5, 3))
    valid = np.arange(5) < np.array([[5], [2], [1], [0]])
    for mask, what in ((valid, "lengths 5, 2, 1 and 0"), (valid[:, ::-1], "valid positions at the end")):
        found = np.asarray(call(module.pool_last, x, mask))
        shaped(found, (4, 3), "the shape")
        for b in range(4):
            places = np.flatnonzero(mask[b])
            wanted = x[b, places[-1]] if len(places) else np.zeros(3)
            close(found[b], wanted, f"sequence {b} of {what}",
                  "Zeros for none; else the largest index that is valid.")  # fmt: skip
    gaps = np.array([[True, False, True, False, False]] * 4)
    close(module.pool_last(x, gaps), x[:, 2], "valid at 0 and 2 alone", "The number of valid ones is not the place.")


def check_strongest_tokens(module):
    rng = drawn(4)
    W = rng.normal(size=(4, 7)) * np.array([1, 1, 30, 1, 0.01, 1, 1])
    h = rng.normal(size=(5, 4)) * np.array([[1], [5], [0.1], [1], [2]])
    for count in (1, 3):
        found = np.asarray(call(module.strongest_tokens, h, W, count))
        shaped(found, (5, count), "the shape")
        for n in range(5):
            cosines = [row_cosine(h[n], W[:, v]) for v in range(7)]
            close(found[n], np.argsort(cosines)[::-1][:count], f"the tokens for row {n}, count {count}",
                  "Divide each column by its length first; the largest comes first.")  # fmt: skip


def row_cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def numeric(arrays, place, targets):
    def loss(x):
        h, W, b = (x if k == place else each for k, each in enumerate(arrays))
        z = h @ W + b
        return -np.mean(z[np.arange(len(z)), targets] - np.log(np.exp(z).sum(axis=1)))

    return differences(loss, arrays[place])


# Wrong answers -------------------------------------------------------------------------------------


def logarithm_of_counts(targets, V, smoothing):
    return np.log(np.bincount(targets, minlength=V) + smoothing)


def smooths_too_late(targets, V, smoothing):
    return np.log(np.bincount(targets, minlength=V) / len(targets) + smoothing)


def difference(h, W, b, targets):
    z = h @ W + b
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True) - np.eye(len(b))[targets]


def forgets_the_mean(h, W, b, targets):
    dz = difference(h, W, b, targets)
    return dz @ W.T, h.T @ dz, dz.sum(axis=0)


def mean_of_the_bias_alone(h, W, b, targets):
    dz = difference(h, W, b, targets)
    return dz @ W.T, h.T @ dz, dz.mean(axis=0)


def takes_the_padding(x, valid):
    return x[:, -1].copy()


def counts_for_places(x, valid):
    return x[np.arange(len(x)), np.maximum(valid.sum(axis=1) - 1, 0)] * valid.any(axis=1, keepdims=True)


def by_product(h, W, count):
    return np.argsort(-(h @ W), axis=1)[:, :count]


def the_weakest_first(h, W, count):
    return np.argsort(h @ (W / np.linalg.norm(W, axis=0)), axis=1)[:, -count:]


EXERCISES = {
    "best_bias": Exercise(1, (
        "Which bias has a given softmax? Its logarithm is one.",
        "`np.bincount(targets, minlength=V)` counts; add the smoothing, divide by the sum, take the logarithm.",
    ), (logarithm_of_counts, smooths_too_late)),
    "logits_backward": Exercise(2, (
        "First dz: the probabilities, minus 1 at the targets, over N.",
        "dh = dz Wᵀ, dW = hᵀ dz, and db is the sum of dz over the rows.",
    ), (forgets_the_mean, mean_of_the_bias_alone)),
    "pool_last": Exercise(2, (
        "`np.argmax` of truth values finds the first True. How do you find the last?",
        "Reverse each row: `T - 1 - np.argmax(valid[:, ::-1], axis=1)`. A row without any True needs a zero.",
    ), (takes_the_padding, counts_for_places)),
    "strongest_tokens": Exercise(2, (
        "A cosine is a product of vectors of length 1. Which of the two lengths changes the order?",
        "Divide the columns by `np.linalg.norm(W, axis=0)`; `np.argsort` of the negative scores has the largest first.",
    ), (by_product, the_weakest_first)),
}  # fmt: skip
