"""Functions whose gradient is right, and on which checkers like to raise a false alarm.

A regime is a function and a way to draw its inputs: scales from 1e-8 to 1e8, kinks near and exactly met, saturation,
cancellation, oscillation, ill-conditioned matrices, deep chains. `python tests/meta/regimes.py 100000` counts.
"""

import itertools
import sys
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinygrad_edu import functional as F
from tinygrad_edu import vjp
from tinygrad_edu.testing import by_hand, gradcheck


@dataclass(frozen=True)
class Regime:
    name: str
    function: object
    draw: object  # rng -> inputs
    backward: object = None  # by hand, for functions that are not written for the engine


def normal(*shapes, scale=1.0, shift=0.0):
    return lambda rng: [shift + scale * rng.standard_normal(shape) for shape in shapes]


def positive(*shapes, low=-1.0, high=1.0):
    """Log-uniform between 10^low and 10^high."""
    return lambda rng: [10.0 ** rng.uniform(low, high, shape) for shape in shapes]


def small_integers(*shapes):
    """Values with many ties, and many zeros."""
    return lambda rng: [rng.integers(-2, 3, shape).astype(float) for shape in shapes]


def spread(*shapes):
    """Magnitudes from 1e-8 to 1e8 side by side."""
    return lambda rng: [rng.choice([-1.0, 1.0], shape) * 10.0 ** rng.uniform(-8, 8, shape) for shape in shapes]


def symmetric(size, gap=1.0):
    def draw(rng):
        q, _ = np.linalg.qr(rng.standard_normal((size, size)))
        return [q @ np.diag(1.0 + gap * np.arange(size)) @ q.T]

    return draw


def near_singular(size, condition):
    def draw(rng):
        u, v = (np.linalg.qr(rng.standard_normal((size, size)))[0] for _ in range(2))
        return [u @ np.diag(np.geomspace(1.0, 1.0 / condition, size)) @ v]

    return draw


def recurrent(x, w):
    for _ in range(40):
        x = np.tanh(x @ w)
    return x


def logistic_map(x):
    for _ in range(12):
        x = 3.7 * x * (1 - x)
    return x


def attention_block(q, k, v):
    return F.softmax(q @ k.mT / 1.7) @ v


def in_float32(x):
    return np.sin(np.asarray(x, np.float32)).astype(np.float64)


def absolute_cubed(x):
    return np.abs(x) ** 3


def newton_root(x):
    y = 0.5 * (1.0 + x)
    for _ in range(8):
        y = 0.5 * (y + x / y)
    return y


MASK = np.tril(np.ones((4, 4), bool))
TARGETS = np.array([0, 2, 1])

REGIMES = [
    Regime("polynomial", lambda x: x * x * x - 2 * x, normal((5,))),
    Regime("tiny scale", lambda x: np.sin(1e-6 * x), normal((4,))),
    Regime("tiny inputs", lambda x: np.sin(x) * x, normal((4,), scale=1e-8)),
    Regime("huge inputs", lambda x: np.log1p(x * x), normal((4,), scale=1e8)),
    Regime("mixed magnitudes", lambda x, y: x * y + np.arctan(x), spread((4,), (4,))),
    Regime("offset of 1e5", lambda x: np.log(x * x + 1e5), normal((4,))),
    Regime("offset of 1e8", lambda x: 1e8 + np.sin(x), normal((3,))),
    Regime("cancellation", lambda x: (1e6 + x) - 1e6, normal((3,))),
    Regime("difference of squares", lambda x: (x + 1e4) ** 2 - (x - 1e4) ** 2, normal((3,))),
    Regime("fast oscillation", lambda x: np.sin(1e3 * x), normal((3,))),
    Regime("very fast oscillation", lambda x: np.sin(1e5 * x), normal((3,))),
    Regime("steep", lambda x: np.tanh(1e3 * x), normal((3,), scale=1e-3)),
    Regime("saturated", lambda x: np.tanh(x), normal((4,), scale=4, shift=12)),
    Regime("sigmoid tails", F.sigmoid, normal((4,), scale=30)),
    Regime("exp of large", lambda x: np.exp(x), normal((3,), scale=40)),
    Regime("exp of minus square", lambda x: np.exp(-x * x), normal((4,), scale=4)),
    Regime("log near 0", np.log, positive((4,), low=-12, high=0)),
    Regime("square root near 0", np.sqrt, positive((4,), low=-12, high=0)),
    Regime("reciprocal near 0", lambda x: 1 / x, positive((4,), low=-8, high=8)),
    Regime("powers", lambda x, y: x**y, positive((3,), (3,))),
    Regime("log1p and expm1 of tiny", lambda x: np.log1p(np.expm1(x)), normal((4,), scale=1e-9)),
    Regime("relu", F.relu, normal((6,))),
    Regime("relu at ties", F.relu, small_integers((6,))),
    Regime("relu minus relu", lambda x: F.relu(x) - F.relu(-x), small_integers((4,))),
    Regime("absolute near 0", np.abs, normal((4,), scale=1e-7)),
    Regime("absolute of a shift", lambda x: np.abs(x - 1.0), lambda rng: [1.0 + 10.0 ** rng.uniform(-9, 0, 4)]),
    Regime("maximum with ties", np.maximum, small_integers((5,), (5,))),
    Regime("maximum of itself", lambda x: np.maximum(x, x), normal((4,))),
    Regime("max with ties", lambda x: np.max(x, axis=-1), small_integers((3, 4))),
    Regime("clip at its bounds", lambda x: np.clip(x, -1.0, 1.0), small_integers((6,))),
    Regime("where on a comparison", lambda x: np.where(x > 0.3, x * x, -x), normal((6,))),
    Regime("sort", lambda x: np.sort(x) * np.arange(5.0), normal((5,))),
    Regime("median", lambda x: np.median(x, axis=0), normal((5, 3))),
    Regime("a branch in Python", lambda x: x * x if x > 0 else -x, normal(())),
    Regime("product with zeros", lambda x: np.prod(x, axis=1), small_integers((3, 3))),
    Regime("cumulative product", np.cumprod, normal((5,))),
    Regime("norm near 0", np.linalg.norm, normal((4,), scale=1e-9)),
    Regime("standard deviation of nearly equal", lambda x: np.std(x), normal((5,), scale=1e-5, shift=1.0)),
    Regime("variance with an offset", lambda x: np.var(x), normal((5,), shift=1e4)),
    Regime("hypot near 0", np.hypot, normal((4,), (4,), scale=1e-6)),
    Regime("arctan2", np.arctan2, normal((4,), (4,))),
    Regime("log-sum-exp of large", lambda x: F.logsumexp(x, axis=-1), normal((3, 4), scale=300)),
    Regime("softmax", lambda x: F.softmax(x), normal((3, 4), scale=5)),
    Regime("softmax of far apart", lambda x: F.softmax(x), normal((2, 4), scale=60)),
    Regime("sum of a softmax", lambda x: np.sum(F.softmax(x)), normal((6,))),
    Regime("cross-entropy of sure logits", lambda x: F.cross_entropy(x, TARGETS), normal((3, 4), scale=50)),
    Regime("layer norm", lambda x, w, b: F.layer_norm(x, w, b), normal((3, 4), (4,), (4,))),
    Regime("layer norm of nearly equal", lambda x, w, b: F.layer_norm(x, w, b), lambda rng: [
        1.0 + 1e-3 * rng.standard_normal((2, 4)), rng.standard_normal(4), rng.standard_normal(4)]),
    Regime("gelu", F.gelu, normal((6,), scale=3)),
    Regime("attention", attention_block, normal((4, 3), (4, 3), (4, 3))),
    Regime("causal attention", lambda x: F.softmax(np.where(MASK, x @ x.T, -np.inf)) @ x, normal((4, 3))),
    Regime("matrix product", np.matmul, normal((3, 3), (3, 3))),
    Regime("inverse", np.linalg.inv, normal((3, 3))),
    Regime("inverse, ill-conditioned", np.linalg.inv, near_singular(3, 1e6)),
    Regime("solve, ill-conditioned", lambda a: np.linalg.solve(a, np.arange(3.0)), near_singular(3, 1e8)),
    Regime("determinant", np.linalg.det, normal((4, 4))),
    Regime("eigenvalues close together", lambda a: np.linalg.eigh((a + a.T) / 2)[0], symmetric(3, gap=1e-3)),
    Regime("cholesky", lambda a: np.linalg.cholesky(a @ a.T + np.eye(3)), normal((3, 3))),
    Regime("a recurrent net of 40 steps", recurrent, normal((2, 3), (3, 3))),
    Regime("chaos, 12 steps", logistic_map, lambda rng: [rng.uniform(0.1, 0.9, 3)]),
    Regime("Newton's iteration", newton_root, positive((3,), low=-4, high=4)),
    Regime("a long sum", lambda x: np.sum(np.cos(x) * x), normal((20000,))),
    Regime("large, by directions", lambda x: np.tanh(x) * x, normal((300,))),
    Regime("indices with repeats", lambda x: x[np.array([0, 0, 3, -1])] * x[0], normal((4,))),
    Regime("float32 inside", in_float32, normal((3,)), lambda g, x: g * np.cos(x)),
    Regime("absolute cubed, by hand", absolute_cubed, small_integers((5,)), lambda g, x: 3 * g * x * np.abs(x)),
    Regime("rounding, by hand", np.round, normal((5,), scale=3), lambda g, x: np.zeros_like(x)),
    Regime("sawtooth, by hand", lambda x: x - np.floor(x), normal((5,), scale=3), lambda g, x: 1.0 * g),
    Regime("minimum of parabolas, by hand", lambda x: np.minimum(x * x, (x - 1) ** 2), normal((5,)),
           lambda g, x: g * np.where(x < 0.5, 2 * x, 2 * (x - 1))),
]  # fmt: skip

HOW = {"traced": None, "black box": vjp}


def verdicts(regime, seed, how):
    """The checks of one regime at inputs drawn from `seed`: traced by the engine, or as a black box."""
    inputs = regime.draw(np.random.default_rng(seed))
    if regime.backward is not None:
        return gradcheck(regime.function, *inputs, vjp=by_hand(regime.backward), seed=seed, manners=False)
    return gradcheck(regime.function, *inputs, vjp=HOW[how], seed=seed, manners=False)


def count(checks, first_seed=0, regimes=REGIMES):
    """{(regime, how): Counter of verdicts}, and the reports with a false alarm, after so many checks in all."""
    found, alarms, done = {}, [], 0
    for seed in itertools.count(first_seed):
        for regime, how in itertools.product(regimes, HOW):
            if done >= checks:
                return found, alarms
            report = verdicts(regime, seed, how)
            tally = found.setdefault((regime.name, how), Counter())
            tally.update(check.verdict for check in report.checks)
            done += len(report.checks)
            if any(check.verdict == "wrong" for check in report.checks):
                alarms.append((regime.name, how, seed, report))


def main(checks):
    start = time.perf_counter()
    found, alarms = count(checks)
    total = Counter()
    for (name, how), tally in found.items():
        total.update(tally)
        if tally["wrong"] or tally["unreliable"]:
            print(f"{name:40} {how:10} {dict(tally)}")
    done = sum(total.values())
    print(f"{done} checks, {len(REGIMES)} regimes, {time.perf_counter() - start:.0f} s: {dict(total)}")
    print(f"unreliable {total['unreliable'] / done:.2%}")
    for name, how, seed, report in alarms[:20]:
        print(name, how, seed, report, sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
