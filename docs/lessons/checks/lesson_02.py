"""Lesson 2, attention: what holds for a right answer, and wrong ones that must be noticed."""

import math

import numpy as np
from judging import Exercise, call, close, drawn, shaped, that

# Checks --------------------------------------------------------------------------------------------


def check_attention(module):
    rng = drawn(1)
    for T, S, d, e in ((3, 5, 4, 2), (4, 4, 4, 4)):
        Q, K, V = rng.normal(size=(T, d)), rng.normal(size=(S, d)), rng.normal(size=(S, e))
        results = call(module.attention, Q, K, V)
        that(isinstance(results, tuple | list) and len(results) == 2, "return O and A")
        O, A = results
        shaped(A, (T, S), "the shape of A")
        close(np.sum(A, axis=1), np.ones(T), "the sum of each row of A", "The softmax runs over the keys, axis 1.")
        ratio = [math.exp((Q[i] @ (K[1] - K[0])) / math.sqrt(d)) for i in range(T)]
        close(A[:, 1] / A[:, 0], ratio, "the ratio of two weights of a row", "Scores are divided by √d.")
        close(O, A @ V, "O", "The weighted mean of the values.")
    with np.errstate(all="ignore"):
        _, A = call(module.attention, np.array([[1000.0]]), np.array([[1.0], [2.0]]), np.eye(2))
        close(A, [[0.0, 1.0]], "the weights for scores of 1000 and 2000", "Take the row's maximum off first.")


def check_score_variance(module):
    rng = drawn(2)
    for d in (4, 64):
        q, k = rng.normal(size=(50, d)) + 0.3, rng.normal(size=(40, d))
        scores = np.array([sum(a * b for a, b in zip(x, y, strict=True)) for x in q for y in k])
        plain, scaled = call(module.score_variance, q, k)
        close(plain, np.mean((scores - scores.mean()) ** 2), f"the variance of the scores for d = {d}")
        close(scaled, np.mean((scores - scores.mean()) ** 2) / d, f"the variance of the scaled scores for d = {d}",
              "Divided by √d, and the variance goes with the square.")  # fmt: skip


def check_causal_mask(module):
    valid = np.array([[True, True, True, True], [True, True, False, False], [True, False, True, True]])
    found = np.asarray(call(module.causal_mask, valid))
    shaped(found, (3, 4, 4), "the shape", "One square for each sequence of the batch.")
    that(found.dtype == bool, f"truth values are wanted, not {found.dtype}")
    for b in range(3):
        for t in range(4):
            for s in range(4):
                may = bool(valid[b, s] and s <= t)
                that(bool(found[b, t, s]) is may, f"query {t} may {'' if may else 'not '}attend to key {s}, which is "
                     f"{'valid' if valid[b, s] else 'padding'}")  # fmt: skip


def check_split_and_join(module):
    rng = drawn(3)
    for B, T, D, H in ((2, 3, 8, 4), (1, 4, 4, 1), (2, 2, 6, 3)):
        X = rng.normal(size=(B, T, D))
        heads, joined = call(module.split_and_join, X, H)
        shaped(heads, (B, H, T, D // H), f"the shape of the heads for {(B, T, D)} and H = {H}")
        width = D // H
        for h in range(H):
            close(heads[:, h], X[:, :, h * width : (h + 1) * width], f"head {h} of {H}",
                  "It holds a slice of the width of every token, not some tokens whole.")  # fmt: skip
        close(joined, X, "what is joined", "To split and to join undo each other.")


# Wrong answers -------------------------------------------------------------------------------------


def soft(Z, axis):
    E = np.exp(Z - Z.max(axis=axis, keepdims=True))
    return E / E.sum(axis=axis, keepdims=True)


def no_root(Q, K, V):
    A = soft(Q @ K.T, 1)
    return A @ V, A


def columns_sum_to_one(Q, K, V):
    A = soft(Q @ K.T / np.sqrt(Q.shape[1]), 0)
    return A @ V, A


def divides_the_variance_by_the_root(q, k):
    scores = q @ k.T
    return scores.var(), scores.var() / np.sqrt(q.shape[1])


def only_pairs(q, k):
    n = min(len(q), len(k))
    scores = (q[:n] * k[:n]).sum(axis=1)
    return scores.var(), scores.var() / q.shape[1]


def sees_the_future(valid):
    return np.tri(valid.shape[1], dtype=bool).T & valid[:, None, :]


def hides_the_query(valid):
    return np.tri(valid.shape[1], dtype=bool) & valid[:, :, None]


def not_even_itself(valid):
    return np.tri(valid.shape[1], k=-1, dtype=bool) & valid[:, None, :]


def by_reshape_alone(X, H):
    B, T, D = X.shape
    heads = X.reshape(B, H, T, D // H)
    return heads, heads.reshape(B, T, D)


def forgets_to_swap_back(X, H):
    B, T, D = X.shape
    heads = X.reshape(B, T, H, D // H).swapaxes(1, 2)
    return heads, heads.reshape(B, T, D)


EXERCISES = {
    "attention": Exercise(2, (
        "Three lines: scores, softmax by rows, weighted mean.",
        "`Z.max(axis=1, keepdims=True)` has shape (T, 1), and can be taken off each row.",
    ), (no_root, columns_sum_to_one)),
    "score_variance": Exercise(1, (
        "`q @ k.T` has all scores in one array.",
        "`.var()` of an array takes all of its elements.",
    ), (divides_the_variance_by_the_root, only_pairs)),
    "causal_mask": Exercise(2, (
        "Two conditions, joined by `&`: one on (query, key), the other on the key alone.",
        "`np.tri(T, dtype=bool)` is True where the key's index is at most the query's; `valid[:, None, :]` has shape "
        "(B, 1, T), and speaks of keys.",
    ), (sees_the_future, hides_the_query, not_even_itself)),
    "split_and_join": Exercise(2, (
        "First give each token an axis of heads, (B, T, H, D/H); then bring the heads forward.",
        "Joining is the same two steps in reverse: `swapaxes` first, then `reshape`.",
    ), (by_reshape_alone, forgets_to_swap_back)),
}  # fmt: skip
