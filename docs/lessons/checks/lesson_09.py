"""Lesson 9, training dynamics: what holds for a right answer, and wrong ones that must be noticed."""

import math

import numpy as np
from judging import Exercise, call, close, drawn, shaped, that

# Checks --------------------------------------------------------------------------------------------


def check_mean_and_spread(module):
    scores = {"a": [0.9, 0.94, 0.92], "b": [0.5, 0.7]}
    found = call(module.mean_and_spread, scores)
    that(set(found) == {"a", "b"}, "there must be an entry for each variant")
    for name, values in scores.items():
        that(len(found[name]) == 3, "three numbers for each variant: mean, standard deviation, standard error")
        mean, deviation, error = found[name]
        close(mean, sum(values) / len(values), f"the mean of {values}")
        variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
        close(deviation, math.sqrt(variance), f"the standard deviation of {values}", "n − 1, for it is a sample.")
        close(error, math.sqrt(variance / len(values)), "the standard error of the mean",
              "The deviation over the root of the number of runs.")  # fmt: skip


def check_early_stopping(module):
    for losses, patience, wanted in (
        ([3.0, 2.0, 1.0], 2, (2, 2)),
        ([3.0, 1.0, 2.0, 2.0, 0.5], 2, (1, 3)),
        ([3.0, 1.0, 2.0, 0.9, 1.0, 1.0, 1.0], 2, (3, 5)),
        ([1.0, 1.0, 1.0, 1.0], 3, (0, 3)),
        ([2.0, 1.0, 1.5], 5, (1, 2)),
        ([1.0, 2.0], 1, (0, 1)),
    ):
        found = call(module.early_stopping, losses, patience)
        that(isinstance(found, tuple | list) and len(found) == 2, "return two numbers: kept, and last")
        what = f"losses {losses}, patience {patience}"
        close(found[0], wanted[0], f"the epoch that is kept for {what}", "An equal loss is nothing better.")
        close(found[1], wanted[1], f"the last epoch that is made for {what}",
              "What comes after the stop is never seen, however good.")  # fmt: skip


def check_attention_entropy(module):
    rng = drawn(1)
    every = np.ones((2, 4), bool)
    uniform, sharp = np.full((2, 1, 4, 4), 0.25), np.tile(np.eye(4), (2, 1, 1, 1))
    close(call(module.attention_entropy, uniform, every), [math.log(4)], "four equal weights", "It is ln 4.")
    with np.errstate(all="ignore"):
        found = call(module.attention_entropy, sharp, every)
        close(found, [0.0], "all weight on one token", "0 · log 0 counts as 0, and is NaN if computed so.")
    weights = rng.random((3, 2, 5, 5)) * (rng.random((3, 2, 5, 5)) < 0.7) + 1e-3
    weights /= weights.sum(axis=-1, keepdims=True)
    valid = np.arange(5) < np.array([[5], [3], [1]])
    wanted = np.zeros(2)
    for b in range(3):
        for t in range(int(valid[b].sum())):
            wanted += [-sum(w * math.log(w) for w in weights[b, h, t]) for h in range(2)]
    found = call(module.attention_entropy, weights, valid)
    shaped(found, (2,), "the shape for two heads")
    close(found, wanted / 9, "three sequences of 5, 3 and 1 tokens", "Nine rows count, each as much as another.")


# Wrong answers -------------------------------------------------------------------------------------


def of_a_population(scores):
    return {k: (float(np.mean(v)), float(np.std(v)), float(np.std(v)) / math.sqrt(len(v))) for k, v in scores.items()}


def spread_for_error(scores):
    deviations = {name: float(np.std(values, ddof=1)) for name, values in scores.items()}
    return {k: (float(np.mean(v)), deviations[k], deviations[k] / len(v)) for k, v in scores.items()}


def knows_the_future(losses, patience):
    best = int(np.argmin(losses))
    return best, min(best + patience, len(losses) - 1)


def keeps_the_last(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        best = epoch if loss <= losses[best] else best
        if epoch - best >= patience:
            return best, epoch
    return best, len(losses) - 1


def counts_padding(weights, valid):
    logs = np.log(np.where(weights > 0, weights, 1.0))
    return -(weights * logs).sum(axis=-1).mean(axis=(0, 2))


def mean_of_each_sequence(weights, valid):
    logs = np.log(np.where(weights > 0, weights, 1.0))
    entropy = -(weights * logs).sum(axis=-1) * valid[:, None, :]
    return (entropy.sum(axis=2) / valid.sum(axis=1)[:, None]).mean(axis=0)


EXERCISES = {
    "mean_and_spread": Exercise(1, (
        "`np.std` has an argument that says what is taken off n.",
        "`np.std(values, ddof=1)`; the standard error is that over `math.sqrt(len(values))`.",
    ), (of_a_population, spread_for_error)),
    "early_stopping": Exercise(2, (
        "Walk through the epochs and remember which was the best so far.",
        "Stop where `epoch - best >= patience`; better means strictly less.",
    ), (knows_the_future, keeps_the_last)),
    "attention_entropy": Exercise(2, (
        "−Σ w log w over the last axis. What is w log w at w = 0?",
        "`np.log(np.where(weights > 0, weights, 1.0))` is 0 there. Then sum over the valid rows, and divide by their "
        "number.",
    ), (counts_padding, mean_of_each_sequence)),
}  # fmt: skip
