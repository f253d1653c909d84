"""Lesson 6, softmax and loss: what holds for a right answer, and wrong ones that must be noticed."""

import numpy as np
from judging import Exercise, call, close, differences, drawn

# Checks --------------------------------------------------------------------------------------------


def check_log_softmax(module):
    rng = drawn(1)
    for shape in ((4,), (3, 5), (2, 3, 4)):
        z = rng.normal(size=shape)
        found = call(module.log_softmax, z)
        close(found, np.log(softmax(z)), f"log_softmax of shape {shape}", "Each row by itself, over the last axis.")
    hint = "Take the maximum off first, and do not go by way of p."
    with np.errstate(all="ignore"):
        close(call(module.log_softmax, np.array([0.0, -1000.0])), [0.0, -1000.0], "log_softmax of (0, -1000)", hint)
        close(call(module.log_softmax, np.array([1e4, 0.0, 1e4])), [0, -1e4, 0] - np.log(2),
              "log_softmax of (10000, 0, 10000)", hint)  # fmt: skip


def check_cross_entropy(module):
    rng = drawn(2)
    z, targets = rng.normal(size=(6, 4)), np.array([0, 3, 1, -1, 2, -1])
    rows = [-np.log(softmax(z[k])[t]) for k, t in enumerate(targets)]
    close(call(module.cross_entropy, z[:3], targets[:3]), np.mean(rows[:3]), "the loss of three rows")
    close(call(module.cross_entropy, z, targets), np.mean([rows[k] for k in (0, 1, 2, 4)]), "with two rows ignored",
          "They count neither in the sum nor in the number that it is divided by.")  # fmt: skip
    close(module.cross_entropy(z, np.abs(targets), ignore=1), np.mean([rows[0], rows[1], rows[4]]), "with ignore=1")
    with np.errstate(all="ignore"):
        close(module.cross_entropy(np.array([[0.0, -1000.0]]), np.array([1])), 1000.0, "the loss at logits (0, -1000)",
              "Use log_softmax.")  # fmt: skip


def check_cross_entropy_gradient(module):
    rng = drawn(3)
    z, targets = rng.normal(size=(5, 4)), np.array([0, 3, -1, 1, -1])
    for count in (2, 5):
        found = call(module.cross_entropy_gradient, z[:count], targets[:count])
        close(np.asarray(found).sum(axis=-1), np.zeros(count), "the sum of each row of dz", "p and y sum to 1.")
        close(found, numeric(z[:count], targets[:count]), f"the gradient for the targets {targets[:count].tolist()}",
              "(p - y)/N, where N counts the rows that are not ignored.", 1e-8)  # fmt: skip


def check_smoothed(module):
    for a, V in ((0.1, 20), (0.5, 3), (0.0, 2)):
        found = call(module.smoothed, np.array([1, 0, 1]), V, a)
        close(np.asarray(found).sum(axis=-1), np.ones(3), f"the sum of each row for a = {a}, V = {V}")
        wanted = np.full((3, V), a / V)
        wanted[[0, 1, 2], [1, 0, 1]] = 1 - a + a / V
        close(found, wanted, f"the rows for a = {a}, V = {V}", "a/V goes to all V tokens, the right one too.")


def check_expected_calibration_error(module):
    two_of_three = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]])
    close(call(module.expected_calibration_error, two_of_three, np.array([0, 0, 1]), 10), 0.9 - 2 / 3,
          "90 % sure, two of three right")  # fmt: skip
    one_bin = np.array([[1.0, 0.0], [0.6, 0.4]])
    close(call(module.expected_calibration_error, one_bin, np.array([0, 1]), 1), 0.8 - 0.5, "all in one bin")
    close(module.expected_calibration_error(one_bin, np.array([1, 0]), 2), 0.8 - 0.5, "both in the upper of two bins",
          "(0.5, 1] is the upper bin: 1 belongs to it.")  # fmt: skip
    rng = drawn(4)
    p = softmax(3 * rng.normal(size=(200, 5)))
    sure = p.max(axis=1)  # the surer half is wrong mostly, the other half right
    targets = np.where(sure < np.median(sure), p.argmax(axis=1), rng.integers(0, 5, 200))
    right = p.argmax(axis=1) == targets
    for bins in (4, 15):
        which = np.searchsorted(np.arange(1, bins + 1) / bins, sure)
        gaps = [np.sum(sure[which == k] - right[which == k]) for k in range(bins)]
        close(module.expected_calibration_error(p, targets, bins), np.abs(gaps).sum() / 200, f"200 rows, {bins} bins",
              "Weigh each bin's gap by the share of rows that it holds.")  # fmt: skip


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numeric(z, targets):
    def loss(z):
        rows = np.flatnonzero(targets != -1)
        return -np.mean(np.log(softmax(z)[rows, targets[rows]]))

    return differences(loss, z)


# Wrong answers -------------------------------------------------------------------------------------


def by_way_of_p(z):
    return np.log(softmax(z))


def over_everything(z):
    return z - z.max() - np.log(np.exp(z - z.max()).sum())


def counts_ignored_rows(z, targets, ignore=-1):
    rows = np.flatnonzero(targets != ignore)
    return float(-np.sum(by_shift(z)[rows, targets[rows]]) / len(z))


def teaches_padding(z, targets, ignore=-1):
    return float(-np.mean(by_shift(z)[np.arange(len(z)), targets]))


def by_shift(z):
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def forgets_the_mean(z, targets, ignore=-1):
    return np.where((targets != ignore)[:, None], softmax(z) - np.eye(z.shape[1])[targets], 0.0)


def divides_by_all(z, targets, ignore=-1):
    return forgets_the_mean(z, targets, ignore) / len(z)


def sums_to_less(targets, V, a):
    return (1 - a) * np.eye(V)[targets]


def over_the_others(targets, V, a):
    return np.where(np.eye(V)[targets] == 1, 1 - a, a / (V - 1))


def one_gap_for_all(p, targets, bins):
    return float(abs(p.max(axis=1).mean() - (p.argmax(axis=1) == targets).mean()))


def one_has_a_bin_of_its_own(p, targets, bins):
    sure, right = p.max(axis=1), p.argmax(axis=1) == targets
    which = np.floor(sure * bins)
    return float(sum(abs(np.sum(sure[which == k] - right[which == k])) for k in np.unique(which)) / len(p))


def all_bins_alike(p, targets, bins):
    sure, right = p.max(axis=1), p.argmax(axis=1) == targets
    which = np.ceil(sure * bins) - 1
    gaps = [abs(sure[which == k].mean() - right[which == k].mean()) for k in range(bins) if (which == k).any()]
    return float(np.mean(gaps))


EXERCISES = {
    "log_softmax": Exercise(1, (
        "Take the row's maximum off. What is the logarithm of a quotient?",
        "`shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))`.",
    ), (by_way_of_p, over_everything)),
    "cross_entropy": Exercise(1, (
        "First keep the rows that count: `z[targets != ignore]`.",
        "`log_p[np.arange(len(log_p)), targets]` picks one number from each row.",
    ), (counts_ignored_rows, teaches_padding)),
    "cross_entropy_gradient": Exercise(2, (
        "p − y for each row that counts. By what is the mean divided?",
        "Start from zeros, fill in the rows that count with the softmax, take 1 off at the targets, and divide by how "
        "many rows count.",
    ), (forgets_the_mean, divides_by_all)),
    "smoothed": Exercise(1, (
        "`np.eye(V)[targets]` is the one-hot distribution.",
        "The share a is spread over all V tokens alike, the right one among them.",
    ), (sums_to_less, over_the_others)),
    "expected_calibration_error": Exercise(3, (
        "The bin of a sureness s is `np.ceil(s * bins) - 1`.",
        "Loop over the bins; for one with members, add |mean sureness − share right| × members/N.",
    ), (one_gap_for_all, all_bins_alike, one_has_a_bin_of_its_own)),
}  # fmt: skip
