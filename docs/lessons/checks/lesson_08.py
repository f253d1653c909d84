"""Lesson 8, the training loop: what holds for a right answer, and wrong ones that must be noticed."""

import math

import numpy as np
from judging import Exercise, call, close, drawn, that

# Checks --------------------------------------------------------------------------------------------


def check_adam(module):
    rng = drawn(1)
    w, g = rng.normal(size=4), rng.normal(size=4)
    hint = "At t = 1 both corrections make m̂ = g and √v̂ = |g|."
    close(call(module.adam, w, [g], 0.1), w - 0.1 * g / (np.abs(g) + 1e-8), "one step", hint, 1e-12)
    constant = call(module.adam, w, [g] * 7, 0.1)
    close(constant, w - 0.7 * g / (np.abs(g) + 1e-8), "seven equal gradients", "Then each step is the rate.", 1e-9)
    path = module.adam(np.array([0.5]), [np.array([x]) for x in (-0.1, -0.08, -0.12, -0.09, -0.11)], 0.01)
    close(path, [0.54969], "the five gradients of the lesson", tolerance=6e-6)
    gradients = [rng.normal(size=4) for _ in range(5)]
    m = [sum(0.2 * 0.8 ** (t - s) * gradients[s] for s in range(t + 1)) / (1 - 0.8 ** (t + 1)) for t in range(5)]
    v = [sum(0.4 * 0.6 ** (t - s) * gradients[s] ** 2 for s in range(t + 1)) / (1 - 0.6 ** (t + 1)) for t in range(5)]
    wanted = w - sum(0.1 * a / (np.sqrt(b) + 0.01) for a, b in zip(m, v, strict=True))
    found = call(module.adam, w, gradients, 0.1, beta1=0.8, beta2=0.6, eps=0.01)
    close(found, wanted, "five drawn gradients, beta1 0.8, beta2 0.6, eps 0.01", "eps stands outside the root.", 1e-12)


def check_warmup_cosine(module):
    rates = [call(module.warmup_cosine, step, 0.2, 4, 20) for step in range(25)]
    close(rates[:4], [0.05, 0.1, 0.15, 0.2], "the climb to 0.2 in four steps", "Step 0 must not have the rate 0.")
    close(rates[4], 0.2, "the rate at step = warmup")
    close(rates[12], 0.1, "the rate half-way down", "Half a cosine is at half its height there.")
    close(rates[8], 0.1 * (1 + math.sqrt(0.5)), "the rate a quarter of the way down")
    close(rates[20:], np.zeros(5), "the rate from step = total on")
    close(module.warmup_cosine(0, 0.2, 0, 10), 0.2, "without a warm-up, at step 0", "Mind the division by warmup.")


def check_split(module):
    rng = drawn(2)
    questions = [f"Max({a},{b})" for a, b in rng.integers(0, 6, size=(200, 2))]
    train, test = call(module.split, questions, 1, 0.25)
    that(sorted([*train, *test]) == list(range(200)), "every index must be in exactly one of both lists")
    shared = {questions[k] for k in train} & {questions[k] for k in test}
    that(not shared, f"{len(shared)} questions are on both sides, such as {min(shared, default='')}: split the "
         "different questions, and then sort the indices by them")  # fmt: skip
    different = len(set(questions))
    close(len({questions[k] for k in test}), round(0.25 * different), "how many different questions are held out",
          f"There are {different} different ones.")  # fmt: skip
    again = module.split(questions, 1, 0.25)
    that([list(each) for each in again] == [list(train), list(test)], "the same seed must give the same split")
    that(set(module.split(questions, 2, 0.25)[1]) != set(test), "another seed must give another split")


def check_accumulated(module):
    rng = drawn(3)
    w = rng.normal(size=3)
    for N, parts in ((12, 3), (10, 4), (7, 7), (5, 1)):
        x, y = rng.normal(size=(N, 3)), rng.normal(size=N)
        lengths = []

        def gradient(x, y, lengths=lengths):
            lengths.append(len(x))
            return x.T @ (np.tanh(x @ w) - y) / len(x)

        found = call(module.accumulated, gradient, x, y, parts)
        that(lengths and max(lengths) <= math.ceil(N / parts),
             f"for N = {N} and {parts} parts a piece had {max(lengths, default=0)} rows")  # fmt: skip
        close(found, gradient(x, y), f"the gradient of {N} rows in {parts} parts",
              "A piece's mean counts for as many rows as the piece has.", 1e-12)  # fmt: skip


# Wrong answers -------------------------------------------------------------------------------------


def without_correction(w, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - lr * m / (np.sqrt(v) + eps)
    return w


def eps_inside_the_root(w, gradients, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - lr * (m / (1 - beta1**t)) / np.sqrt(v / (1 - beta2**t) + eps)
    return w


def begins_with_nothing(step, peak, warmup, total):
    if step < warmup:
        return peak * step / warmup
    return peak * (1 + math.cos(math.pi * min(1.0, (step - warmup) / (total - warmup)))) / 2


def a_whole_cosine(step, peak, warmup, total):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(2 * math.pi * min(1.0, (step - warmup) / (total - warmup)))) / 2


def splits_the_draws(questions, seed, held_out):
    order = np.random.default_rng(seed).permutation(len(questions))
    count = round(held_out * len(questions))
    return order[count:].tolist(), order[:count].tolist()


def never_shuffles(questions, seed, held_out):
    different = sorted(set(questions))
    testing = set(different[: round(held_out * len(different))])
    sides = [question in testing for question in questions]
    return [k for k, side in enumerate(sides) if not side], [k for k, side in enumerate(sides) if side]


def a_sum_of_means(gradient, x, y, parts):
    return sum(gradient(a, b) for a, b in zip(np.array_split(x, parts), np.array_split(y, parts), strict=True))


def a_mean_of_means(gradient, x, y, parts):
    return a_sum_of_means(gradient, x, y, parts) / parts


EXERCISES = {
    "adam": Exercise(2, (
        "Keep m and v between the steps, and count the steps from 1.",
        "`w = w - lr * m_hat / (np.sqrt(v_hat) + eps)`, with `m_hat = m / (1 - beta1**t)`.",
    ), (without_correction, eps_inside_the_root)),
    "warmup_cosine": Exercise(1, (
        "Three cases: climbing, falling, over.",
        "On the way down the progress is (step − warmup)/(total − warmup), from 0 to 1, and the rate "
        "peak · (1 + cos(π · progress))/2.",
    ), (begins_with_nothing, a_whole_cosine)),
    "split": Exercise(2, (
        "`list(dict.fromkeys(questions))` has each question once, in an order that is always the same. A set's is not.",
        "Permute the different questions with `np.random.default_rng(seed)`, take the first for testing, and then sort "
        "all indices by whether their question is among them.",
    ), (splits_the_draws, never_shuffles)),
    "accumulated": Exercise(2, (
        "The mean over all rows is the sum over all rows, divided by N. What is the sum over a piece, given its mean?",
        "`np.array_split` makes pieces that differ by one row at most; weigh each by its length.",
    ), (a_sum_of_means, a_mean_of_means)),
}  # fmt: skip
