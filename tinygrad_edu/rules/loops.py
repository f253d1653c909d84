"""Kernels as loops over single numbers, for a compiler: one pass over memory where NumPy's formulas take twenty.

As Python they would take minutes. `compiled.py` has numba translate them, on request; then they stand in for the
kernels of the same names, for float32 ndarrays. All is float32 throughout, no row looks at another, and each repeats
the formula of its kernel: tests hold the two together, and both to float64.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.rules.special import ABOVE, BELOW

__all__ = ["COMPILED", "LOOPS", "SCALARS", "adam_compiled", "or_compiled"]

COMPILED: dict[str, Callable[..., Any]] = {}  # loops by the name of their kernel; compiled.py fills and empties it

f32 = np.float32
INF, ZERO, HALF, ONE, FOUR, TINY = f32(np.inf), f32(0.0), f32(0.5), f32(1.0), f32(4.0), f32(-87.0)
PER_LOG2, HIGH, LOW = f32(1 / math.log(2)), f32(0.693359375), f32(math.log(2) - 0.693359375)
ROOT_HALF, DENSITY = f32(math.sqrt(0.5)), f32(1 / math.sqrt(2 * math.pi))
# (eʳ − 1 − r) / r² for |r| <= log 2 / 2, fitted so that eʳ is right to 1e-10.
E0, E1, E2, E3, E4, E5 = (f32(c) for c in (
    0.500000007, 0.166666659, 0.0416662944, 0.00833349734, 0.00139447036, 0.000197902983,
))  # fmt: skip
A0, A1, A2, A3, A4, A5 = (f32(c) for c in ABOVE)
B0, B1, B2, B3, B4, B5 = (f32(c) for c in BELOW)


def exponential(x: Any) -> Any:
    """eˣ for x <= 0, to 1e-7 of it; 0 below −87, where float32 runs out of digits. NaN stays NaN."""
    y = TINY if x < TINY else x
    k = np.rint(y * PER_LOG2)  # eˣ = 2ᵏ eʳ
    r = y - k * HIGH
    r -= k * LOW
    e = ((((E5 * r + E4) * r + E3) * r + E2) * r + E1) * r + E0
    e = e * (r * r) + r + ONE
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    return ZERO if x < TINY else e * power


def share_below(x: Any) -> Any:
    """Φ(x), by the quotient that erf_value has for float32."""
    y = x * ROOT_HALF
    y = -FOUR if y < -FOUR else y
    y = FOUR if y > FOUR else y
    s = y * y
    above = ((((A5 * s + A4) * s + A3) * s + A2) * s + A1) * s + A0
    below = ((((B5 * s + B4) * s + B3) * s + B2) * s + B1) * s + B0
    e = y * above / below
    e = ONE if e > ONE else e
    e = -ONE if e < -ONE else e
    return HALF * e + HALF


# Numbers one by one: flat arrays in, the last written.


def relu_value(x: Any, z: Any) -> None:
    for i in range(x.size):
        z[i] = ZERO if x[i] <= ZERO else x[i]  # NaN stays NaN


def where_positive(g: Any, z: Any, dx: Any) -> None:
    for i in range(g.size):
        dx[i] = g[i] * (ONE if z[i] > ZERO else ZERO)  # as a product: NaN · 0 is NaN there too


def gelu_value(x: Any, z: Any) -> None:
    for i in range(x.size):
        z[i] = x[i] * share_below(x[i])


def gelu_slope(g: Any, z: Any, x: Any, dx: Any) -> None:
    """Φ(x) anew: z / x would lose it around 0."""
    for i in range(x.size):
        v = x[i]
        dx[i] = g[i] * (v * DENSITY * exponential(-HALF * v * v) + share_below(v))


# Rows: x (N, D), tables (D,), the last written.


def normal(row: Any, eps: Any, centre: bool) -> Any:
    """A row's mean, 0 without centring, and r = 1/√(mean square of what is left + eps)."""
    mean, square = ZERO, ZERO
    if centre:
        for j in range(row.size):
            mean += row[j]
        mean /= f32(row.size)
    for j in range(row.size):
        square += (row[j] - mean) * (row[j] - mean)
    return mean, ONE / np.sqrt(square / f32(row.size) + eps)


def norm_value(x: Any, weight: Any, bias: Any, eps: Any, centre: bool, find: Any, y: Any) -> None:
    """find (N, 2): for each row's mean and r; so found below, which may have no rows: then they are worked out anew."""
    for i in range(x.shape[0]):
        mean, r = normal(x[i], eps, centre)
        find[i, 0], find[i, 1] = mean, r
        for j in range(x.shape[1]):
            y[i, j] = (x[i, j] - mean) * r * weight[j] + bias[j]


def norm_slope(g: Any, x: Any, weight: Any, eps: Any, centre: bool, found: Any, dx: Any) -> None:
    D = f32(x.shape[1])
    for i in range(x.shape[0]):
        mean, r = normal(x[i], eps, centre) if len(found) == 0 else (found[i, 0], found[i, 1])
        mean_h, with_c = ZERO, ZERO
        for j in range(x.shape[1]):
            h = g[i, j] * weight[j]
            mean_h += h
            with_c += h * (x[i, j] - mean)
        mean_h = mean_h / D if centre else ZERO
        slope = r * r * with_c / D
        for j in range(x.shape[1]):
            dx[i, j] = r * (g[i, j] * weight[j] - mean_h - (x[i, j] - mean) * slope)


def norm_weight(g: Any, x: Any, eps: Any, centre: bool, found: Any, dw: Any) -> None:
    """dw: zeros."""
    for i in range(x.shape[0]):
        mean, r = normal(x[i], eps, centre) if len(found) == 0 else (found[i, 0], found[i, 1])
        for j in range(x.shape[1]):
            dw[j] += g[i, j] * (x[i, j] - mean) * r


def weights_of(x: Any, allowed: Any) -> None:
    """The softmax of x (B, H, T, S) in its place; allowed likewise, or 1 for any of B, H, T: 0 gets no share.

    A row that reaches +inf gets NaN there, and no share elsewhere: as inf / inf and e / inf are.
    """
    B, H, T, _ = allowed.shape
    tops = np.empty(x.shape[2], np.float32)
    for b in range(x.shape[0]):
        for h in range(x.shape[1]):
            for t in range(x.shape[2]):
                tops[t] = lowered(x[b, h, t], allowed[b if B > 1 else 0, h if H > 1 else 0, t if T > 1 else 0])
            numbers = x[b, h].reshape(-1)  # of all rows: a short one leaves little to work out side by side
            for i in range(numbers.size):
                numbers[i] = exponential(numbers[i])
            for t in range(x.shape[2]):
                if tops[t] != INF:
                    share_out(x[b, h, t])


def lowered(row: Any, allowed: Any) -> Any:
    """A row less its top, which is returned; -inf where nothing is allowed."""
    for j in range(row.size):
        row[j] = row[j] if allowed[j] != ZERO else -INF
    top = highest(row)
    shift = ZERO if top == -INF else top
    for j in range(row.size):
        row[j] -= shift
    return top


def share_out(row: Any) -> None:
    """Numbers >= 0 as shares of their sum, 0 if all are 0."""
    total = ZERO
    for j in range(row.size):
        total += row[j]
    scale = ONE / (total if total != ZERO else ONE)
    for j in range(row.size):
        row[j] *= scale


def highest(row: Any) -> Any:
    """Of numbers; whatever it says of a row with a NaN, all shares will be NaN."""
    top = -INF
    for j in range(row.size):
        top = row[j] if row[j] > top else top
    return top


def adam(w: Any, g: Any, m: Any, v: Any, kept: Any, taken: Any, root: Any, eps: Any, rate: Any) -> None:
    """One step of the optimiser of that name, on a piece of its flat buffers. kept: both β; taken: 1 less each."""
    for i in range(w.size):
        m[i] = kept[0] * m[i] + taken[0] * g[i]
        v[i] = kept[1] * v[i] + taken[1] * (g[i] * g[i])
        w[i] -= rate * (m[i] / (np.sqrt(v[i]) * root + eps))


def adam_compiled(w: Any, g: Any, m: Any, v: Any, betas: Any, eps: float, rate: float, count: int) -> bool:
    """Did a compiled loop take step number `count`? With rate and root corrected for the first steps' bias."""
    if "adam" not in COMPILED or w.dtype != f32:
        return False
    root, rate = 1 / math.sqrt(1 - betas[1] ** count), rate / (1 - betas[0] ** count)
    kept, taken = np.array(betas, f32), np.array([1 - beta for beta in betas], f32)
    COMPILED["adam"](w, g, m, v, kept, taken, f32(root), f32(eps), f32(rate))
    return True


# What loops call; each calls only those before it.
SCALARS = (exponential, share_below, highest, lowered, share_out, normal)
LOOPS = (relu_value, where_positive, gelu_value, gelu_slope, norm_value, norm_slope, norm_weight, weights_of, adam)


def or_compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel, or while there is one, the compiled loop of its name: for float32 ndarrays."""
    name = kernel.__name__

    @functools.wraps(kernel)
    def run(*args: Any, **options: Any) -> Any:
        loop = COMPILED.get(name)
        if loop is None:
            return kernel(*args, **options)
        for each in args:
            if type(each) is np.ndarray:
                if each.dtype != f32 or not each.ndim:
                    return kernel(*args, **options)
            elif not (each is None or isinstance(each, bool | float | int)):
                return kernel(*args, **options)
        return loop(*args, **options)

    return run
