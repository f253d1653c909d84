"""Lesson 4, stacking blocks: what holds for a right answer, and wrong ones that must be noticed."""

import numpy as np
from judging import Exercise, call, close, drawn

# Checks --------------------------------------------------------------------------------------------


def check_induction(module):
    close(call(module.induction, np.array([0, 1, 2, 0]), 4, 60.0), [0, 1, 0, 0], "after a b c a",
          "Once, b came after a.", 1e-6)  # fmt: skip
    rng = drawn(1)
    for T, V in ((6, 9), (9, 12)):
        for place in range(T - 2):
            ids = rng.permutation(V)[:T]
            ids[-1] = ids[place]
            found = call(module.induction, ids, V, 60.0)
            wanted = np.eye(V)[ids[place + 1]]
            close(found, wanted, f"after {ids.tolist()}", "Ask for the row whose predecessor is the last token, and "
                  "give back that row's token.", 1e-6)  # fmt: skip
    soft = np.asarray(module.induction(np.array([0, 1, 2, 0]), 4, 1.0))
    close(soft.sum(), 1.0, "the sum of the distribution for sharp = 1")
    close(soft, by_loops([0, 1, 2, 0], 4, 1.0), "the distribution for sharp = 1", "Both look-ups use `sharp`.")


def check_count_parameters(module):
    cases = {(20, 64, 256, 2, 0, False): 102_036, (20, 64, 256, 1, 0, False): 52_308, (10, 8, 16, 0, 0, False): 170}
    for arguments, wanted in cases.items():
        close(call(module.count_parameters, *arguments), wanted, f"the count for V, D, F, L = {arguments[:4]}",
              "Biases count: F + D in the feed-forward layer, V in the output; two norms have 2 D each.")  # fmt: skip
    close(module.count_parameters(20, 64, 256, 2, 50), 102_036 + 50 * 64, "the count with 50 learned positions")
    close(module.count_parameters(20, 64, 256, 2, 0, True), 102_036 - 64 * 20, "the count with a tied output",
          "Its bias remains.")  # fmt: skip


def check_probe(module):
    rng = drawn(2)
    centres = 4 * rng.normal(size=(3, 5))
    classes, held = rng.integers(3, size=90), rng.integers(3, size=60)
    close(call(module.probe, centres[classes], classes, centres[held], held), 1.0, "three points, told apart")
    line = np.linspace(1, 2, 40)[:, None]
    halves = (line[:, 0] > 1.5).astype(int)
    close(call(module.probe, line, halves, line, halves), 1.0, "two halves of a line away from 0",
          "The constant is missing, or is not among what is fitted.")  # fmt: skip
    x, y = rng.normal(size=(200, 4)), rng.normal(size=(100, 4))
    a, b = (x[:, 0] + 0.5 * rng.normal(size=200) > 0).astype(int), (y[:, 0] > 0).astype(int)
    sides = [np.c_[each, np.ones(len(each))] for each in (x, y)]
    weights = np.linalg.pinv(sides[0]) @ np.eye(2)[a]
    wanted = np.mean((sides[1] @ weights).argmax(axis=1) == b)
    close(module.probe(x, a, y, b), wanted, "noisy classes, judged on held-out examples",
          "Fit on the first two arguments, and judge on the others.")  # fmt: skip


def by_loops(ids, V, sharp):
    T = len(ids)
    before = np.zeros((T, V))
    for t in range(1, T):
        weights = [np.exp(sharp * (s == t - 1)) for s in range(T)]
        for s in range(T):
            before[t, ids[s]] += weights[s] / sum(weights)
    weights = [np.exp(sharp * before[t, ids[-1]]) for t in range(T)]
    found = np.zeros(V)
    for t in range(T):
        found[ids[t]] += weights[t] / sum(weights)
    return found


# Wrong answers -------------------------------------------------------------------------------------


def look_up(queries, keys, values, sharp):
    scores = sharp * queries @ keys.T
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True) @ values


def finds_itself(ids, V, sharp):
    tokens = np.eye(V)[ids]
    return look_up(tokens[-1:], tokens, tokens, sharp)[0]


def looks_the_other_way(ids, V, sharp):
    tokens, places = np.eye(V)[ids], np.eye(len(ids))
    after = look_up(np.roll(places, 1, axis=1), places, tokens, sharp)
    after[-1] = 0
    return look_up(tokens[-1:], after, tokens, sharp)[0]


def no_biases(V, D, F, L, positions=0, tied=False):
    return V * D + positions * D + L * (4 * D * D + 2 * D * F + 4 * D) + (0 if tied else D * V)


def one_norm_for_each_block(V, D, F, L, positions=0, tied=False):
    return V * D + positions * D + L * (4 * D * D + 2 * D * F + F + D + 2 * D) + V + (0 if tied else D * V)


def without_a_constant(features, classes, held_features, held_classes):
    weights = np.linalg.pinv(features) @ np.eye(classes.max() + 1)[classes]
    return float(np.mean((held_features @ weights).argmax(axis=1) == held_classes))


def judges_what_it_fitted(features, classes, held_features, held_classes):
    x = np.c_[features, np.ones(len(features))]
    weights = np.linalg.pinv(x) @ np.eye(classes.max() + 1)[classes]
    return float(np.mean((x @ weights).argmax(axis=1) == classes))


EXERCISES = {
    "induction": Exercise(3, (
        "With `places = np.eye(T)` as keys, which queries make row t look at place t − 1?",
        "`np.roll(places, -1, axis=1)`: row t has its 1 at t − 1. The second look-up has the last token as its query, "
        "what stood before each row as keys, and the tokens as values.",
    ), (finds_itself, looks_the_other_way)),
    "count_parameters": Exercise(1, (
        "Embedding, L times a block, output. A block is attention, feed-forward, two norms.",
        "4D² + (2DF + F + D) + 4D for a block; VD before, DV + V after.",
    ), (no_biases, one_norm_for_each_block)),
    "probe": Exercise(2, (
        "Add a column of ones to the features; `np.linalg.lstsq` fits all classes at once.",
        "`weights, *_ = np.linalg.lstsq(x, np.eye(C)[classes], rcond=None)`, and then `argmax` of the held-out scores.",
    ), (without_a_constant, judges_what_it_fitted)),
}  # fmt: skip
