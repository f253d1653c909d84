"""Lesson 3, residual connection, layer norm, feed-forward: what holds for a right answer, and wrong ones."""

import numpy as np
from judging import Exercise, call, close, differences, drawn, shaped, that

# Checks --------------------------------------------------------------------------------------------


def check_residual_backward(module):
    rng = drawn(1)
    for n in (1, 5):
        W, g, x = rng.normal(size=(n, n)), rng.normal(size=(3, n)), rng.normal(size=(3, n))

        def pullback(g, x=x, W=W):
            return (g * (1 - np.tanh(x @ W) ** 2)) @ W.T

        def y(x, W=W):
            return x + np.tanh(x @ W)

        found = call(module.residual_backward, g, pullback)
        wanted = differences(y, x, g)
        close(found, wanted, "dx of y = x + tanh(x W)", "x is used twice, so two things arrive at it.", 1e-8)


def check_layer_norm(module):
    rng = drawn(2)
    for shape, eps in (((3, 5), 1e-5), ((2, 3, 4), 0.5), ((6,), 1e-3)):
        x, gamma, beta = 3 * rng.normal(size=shape) + 2, rng.normal(size=shape[-1]), rng.normal(size=shape[-1])
        found = np.asarray(call(module.layer_norm, x, gamma, beta, eps))
        shaped(found, shape, "the shape")
        normed = (found - beta) / gamma
        close(normed.mean(axis=-1), np.zeros(shape[:-1]), f"the mean of each row before γ and β, for shape {shape}",
              "Take the row's mean off.")  # fmt: skip
        variance = x.var(axis=-1)
        close((normed**2).mean(axis=-1), variance / (variance + eps), f"its mean square for shape {shape}, eps = {eps}",
              "Divide by the root of (the biased variance + eps).")  # fmt: skip
        pattern = x - x.mean(axis=-1, keepdims=True)
        close(normed * np.sqrt(variance + eps)[..., None], pattern, "the pattern of each row")
    with np.errstate(all="ignore"):
        close(module.layer_norm(np.full((1, 4), 7.0), np.ones(4), np.arange(4.0), 1e-5), [np.arange(4.0)],
              "a constant row", "0/√eps is 0.")  # fmt: skip


def check_maximum(module):
    parts = call(module.maximum)
    that(isinstance(parts, tuple | list) and len(parts) == 4, "return W1, b1, W2, b2")
    W1, b1, W2, b2 = (np.asarray(part, dtype=float) for part in parts)
    F = b1.size
    that(0 < F <= 3, f"there are {F} hidden units; three are enough")
    close([W1.shape, W2.shape], [(2, F), (F, 1)], "the shapes of W1 and W2")
    close([b1.shape, b2.shape], [(F,), (1,)], "the shapes of b1 and b2")
    rng = drawn(3)
    few = np.array([[1.0, 1.0], [0.0, 0.0], [-2.0, -1.0]])
    for x in (few, rng.normal(size=(200, 2)), 1e3 * rng.normal(size=(200, 2))):
        found = (np.maximum(0, x @ W1 + b1) @ W2 + b2)[:, 0]
        for row, value in zip(x, found, strict=True):
            close(value, row.max(), f"the maximum of {row.round(3).tolist()}",
                  "max(a, b) = b + relu(a − b). How can b itself be written with relu?")  # fmt: skip


def check_block(module):
    rng = drawn(4)
    x = rng.normal(size=(3, 4))

    def attend(x):
        return np.roll(x, 1, axis=0) * 0.5

    def feed(x):
        return np.maximum(x, 0) - 0.1

    def norm1(x):
        return (x - x.mean(axis=-1, keepdims=True)) * 2

    def norm2(x):
        return x / np.abs(x).max(axis=-1, keepdims=True)

    u = norm1(x + attend(x))
    close(call(module.block, x, attend, feed, norm1, norm2, False), norm2(u + feed(u)), "the block with pre = False",
          "Each sum first, and then its norm; the second part works on the result of the first.")  # fmt: skip
    u = x + attend(norm1(x))
    close(call(module.block, x, attend, feed, norm1, norm2, True), u + feed(norm2(u)), "the block with pre = True",
          "The stream itself is never normalised; only what a part is given is.")  # fmt: skip


# Wrong answers -------------------------------------------------------------------------------------


def forgets_itself(g, pullback):
    return pullback(g)


def pulls_twice(g, pullback):
    return pullback(g + pullback(g))


def eps_outside(x, gamma, beta, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / (x.std(axis=-1, keepdims=True) + eps) + beta


def unbiased(x, gamma, beta, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt(x.var(axis=-1, keepdims=True, ddof=1) + eps) + beta


def right_above_zero():
    return np.array([[1.0, 0.0], [-1.0, 1.0]]), np.zeros(2), np.ones((2, 1)), np.zeros(1)


def pushed_up_by_a_bias():
    return np.array([[1.0, 0.0], [-1.0, 1.0]]), np.array([0.0, 9.0]), np.ones((2, 1)), np.array([-9.0])


def always_post(x, attend, feed, norm1, norm2, pre):
    x = norm1(x + attend(x))
    return norm2(x + feed(x))


def norms_on_the_stream(x, attend, feed, norm1, norm2, pre):
    if not pre:
        return always_post(x, attend, feed, norm1, norm2, pre)
    x = norm1(x)
    x = norm2(x + attend(x))
    return x + feed(x)


EXERCISES = {
    "residual_backward": Exercise(1, (
        "How does x reach y? In two ways; what arrives by each?",
        "By itself: g. Through F: `pullback(g)`. Uses add.",
    ), (forgets_itself, pulls_twice)),
    "layer_norm": Exercise(1, (
        "Mean and variance over the last axis, with `keepdims=True`.",
        "`np.sqrt(variance + eps)`: eps stands inside the root, and the variance is the biased one.",
    ), (eps_outside, unbiased)),
    "maximum": Exercise(3, (
        "max(a, b) = b + relu(a − b): what is added is how much a is ahead.",
        "relu(b) − relu(−b) = b, which takes two of the three units.",
    ), (right_above_zero, pushed_up_by_a_bias)),
    "block": Exercise(2, (
        "Write the two formulas one below the other: LN(x + F(x)), and x + F(LN(x)).",
        "The second part works on what the first gave: x is a new x after each line.",
    ), (always_post, norms_on_the_stream)),
}  # fmt: skip
