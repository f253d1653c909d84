"""The places where a derivative is not one number: what the page of subgradients asks everybody.

A case is written against NumPy's names: f(np, x, y, ...), where np is whatever a peer calls them.
"""

import numpy as np

INF, NAN = np.inf, np.nan


class Case:
    """name: how it is written. f: of the names and the arrays. weights: of the outputs, ones if None.
    note: what to know, and what to write instead; a must where our slope does not lie between the one-sided ones.
    """

    def __init__(self, name, f, *arrays, weights=None, note=""):
        self.name, self.f, self.weights, self.note = name, f, weights, note
        self.arrays = [np.asarray(array, np.float64) for array in arrays]


SECTIONS = {
    "Kinks": [
        Case("relu(x)", lambda np, x: np.relu(x), 0.0),
        Case("absolute(x)", lambda np, x: np.absolute(x), 0.0),
        Case("sqrt(x * x)", lambda np, x: np.sqrt(x * x), 0.0, note="∞ · 0: write `absolute(x)`."),
        Case("sign(x)", lambda np, x: np.sign(x), 0.0),
        Case("floor(x)", lambda np, x: np.floor(x), 2.0),
        Case("mod(x, y)", lambda np, x, y: np.mod(x, y), 4.0, 2.0),
        Case("clip(x, 0, 1)", lambda np, x: np.clip(x, 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0]),
        Case("sinc(x)", lambda np, x: np.sinc(x), 0.0),
        Case("relu(x) - relu(-x)", lambda np, x: np.relu(x) - np.relu(-x), 0.0,
             note="this is x; but an engine sees two kinks, and each says 0."),
        Case("x * absolute(x)", lambda np, x: x * np.absolute(x), 0.0),
    ],
    "Ties": [
        Case("maximum(x, y)", lambda np, x, y: np.maximum(x, y), 1.0, 1.0),
        Case("minimum(x, y)", lambda np, x, y: np.minimum(x, y), 1.0, 1.0),
        Case("fmax(x, y)", lambda np, x, y: np.fmax(x, y), 1.0, 1.0),
        Case("maximum(x, x)", lambda np, x: np.maximum(x, x), 1.0),
        Case("maximum(x, 0)", lambda np, x: np.maximum(x, np.zeros_like(x)), 0.0),
        Case("max(x)", lambda np, x: np.max(x), [2.0, 2.0, 1.0]),
        Case("min(x)", lambda np, x: np.min(x), [2.0, 1.0, 1.0]),
        Case("max(x) of a constant", lambda np, x: np.max(x), [3.0, 3.0, 3.0]),
        Case("ptp(x) of a constant", lambda np, x: np.ptp(x), [3.0, 3.0]),
        Case("sort(x)", lambda np, x: np.sort(x), [3.0, 1.0, 3.0], weights=[1.0, 2.0, 6.0],
             note="cotangent [1, 2, 6]."),
        Case("median(x)", lambda np, x: np.median(x), [1.0, 1.0, 1.0],
             note="one element that moves alone does not move it; all three together do, and share that."),
    ],
    "Lengths and spreads": [
        Case("norm(x)", lambda np, x: np.norm(x), [0.0, 0.0]),
        Case("norm(x, 1)", lambda np, x: np.norm(x, 1), [0.0, 2.0]),
        Case("norm(x, inf)", lambda np, x: np.norm(x, INF), [2.0, -2.0]),
        Case("hypot(x, y)", lambda np, x, y: np.hypot(x, y), 0.0, 0.0),
        Case("std(x) of a constant", lambda np, x: np.std(x), [3.0, 3.0]),
        Case("sqrt(sum(x * x))", lambda np, x: np.sqrt(np.sum(x * x)), [0.0, 0.0], note="as above: write `norm(x)`."),
        Case("arctan2(y, x)", lambda np, y, x: np.arctan2(y, x), 0.0, 0.0, note="no direction at the origin."),
        Case("arctan2(y, x), the cut", lambda np, y, x: np.arctan2(y, x), 0.0, -1.0,
             note="the value jumps by 2π, the slope is the same on both sides of the jump."),
    ],
    "Powers and products": [
        Case("x ** 0", lambda np, x: x**0, 0.0),
        Case("x ** 1", lambda np, x: x**1, 0.0),
        Case("x ** 2", lambda np, x: x**2, 0.0),
        Case("x ** 0.5", lambda np, x: x**0.5, 0.0),
        Case("power(x, y)", lambda np, x, y: np.power(x, y), 0.0, 0.0),
        Case("power(x, y)", lambda np, x, y: np.power(x, y), 0.0, 2.0),
        Case("power(x, y)", lambda np, x, y: np.power(x, y), -2.0, 2.0,
             note="a negative base has no real power beside a whole one: no slope by the exponent."),
        Case("prod(x)", lambda np, x: np.prod(x), [0.0, 3.0, 5.0]),
        Case("prod(x)", lambda np, x: np.prod(x), [0.0, 0.0, 5.0]),
        Case("cumprod(x)", lambda np, x: np.cumprod(x), [2.0, 0.0, 5.0]),
        Case("x * log(x)", lambda np, x: x * np.log(x), 0.0, note="select: `where(x == 0, 0, x * log(x))`."),
    ],
    "Infinite slopes and ends of domains": [
        Case("sqrt(x)", lambda np, x: np.sqrt(x), 0.0),
        Case("cbrt(x)", lambda np, x: np.cbrt(x), 0.0),
        Case("log(x)", lambda np, x: np.log(x), 0.0),
        Case("log1p(x)", lambda np, x: np.log1p(x), -1.0),
        Case("1 / x", lambda np, x: 1.0 / x, 0.0),
        Case("arcsin(x)", lambda np, x: np.arcsin(x), 1.0),
        Case("arccosh(x)", lambda np, x: np.arccosh(x), 1.0),
    ],
    "Branches that were not selected": [
        Case("where(x > 0, sqrt(x), 0)", lambda np, x: np.where(x > 0, np.sqrt(x), np.zeros_like(x)), [0.0, 4.0]),
        Case("where(x > 0, sqrt(x), 0)", lambda np, x: np.where(x > 0, np.sqrt(x), np.zeros_like(x)), [-1.0, 4.0]),
        Case("where(x > 0, log(x), x)", lambda np, x: np.where(x > 0, np.log(x), x), [0.0, -1.0, 2.0]),
        Case("where(x > 0, 1 / x, 1)", lambda np, x: np.where(x > 0, 1.0 / x, np.ones_like(x)), [0.0, 2.0]),
        Case("where(x < 9, x, exp(999 x))", lambda np, x: np.where(x < 9, x, np.exp(x * 999.0)), [1.0, 8.0]),
        Case("where(x == 0, 0, x * log(x))",
             lambda np, x: np.where(x == 0, np.zeros_like(x), x * np.log(x)), [0.0, 1.0]),
    ],
    "Infinities and large numbers": [
        Case("logaddexp(x, y)", lambda np, x, y: np.logaddexp(x, y), 0.0, 0.0),
        Case("logaddexp(x, y)", lambda np, x, y: np.logaddexp(x, y), -INF, -INF),
        Case("logaddexp(x, y)", lambda np, x, y: np.logaddexp(x, y), -INF, 0.0),
        Case("logaddexp(x, y)", lambda np, x, y: np.logaddexp(x, y), 1000.0, -1000.0),
        Case("logsumexp(x)", lambda np, x: np.logsumexp(x), [-INF, -INF]),
        Case("logsumexp(x)", lambda np, x: np.logsumexp(x), [INF, 0.0]),
        Case("softmax(x)", lambda np, x: np.softmax(x), [-INF, -INF], weights=[1.0, 2.0], note="cotangent [1, 2]."),
        Case("softmax(x)", lambda np, x: np.softmax(x), [1000.0, 0.0], weights=[1.0, 2.0], note="cotangent [1, 2]."),
        Case("sigmoid(x)", lambda np, x: np.sigmoid(x), [-1000.0, 1000.0]),
        Case("1 / (1 + exp(-x))", lambda np, x: 1.0 / (1.0 + np.exp(-x)), -1000.0, note="write `sigmoid(x)`."),
        Case("tanh(x)", lambda np, x: np.tanh(x), [-INF, 1000.0]),
        Case("exp(x)", lambda np, x: np.exp(x), [-INF, 1000.0]),
        Case("maximum(x, y)", lambda np, x, y: np.maximum(x, y), NAN, 1.0),
        Case("max(x)", lambda np, x: np.max(x), [NAN, 1.0]),
        Case("max(x)", lambda np, x: np.max(x), [INF, INF]),
    ],
}  # fmt: skip
