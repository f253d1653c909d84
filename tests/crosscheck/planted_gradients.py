"""What gradient checkers are tried on: gradients with a planted error, and right ones in places that are hard to judge.

Each is NumPy alone, a forward and a backward pass of one array; `checkers` wraps both for each library.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """forward(x) and backward(g, x), on arrays; draw(rng) -> x.

    summed: what is checked is the sum of the outputs, taken by the library itself. order 2: forward, and
    backward(g, x, frozen), are of operators alone and run on the library's own arrays; frozen(x) is x, held constant.
    writes: the backward pass writes where it may only read, which a library of immutable arrays rules out.
    hidden: what is checked has the right gradient in spite of the plant. control: every checker must get it right.
    note: a sentence for the page.
    """

    name: str
    forward: Callable
    backward: Callable
    draw: Callable
    summed: bool = False
    order: int = 1
    writes: bool = False
    hidden: bool = False
    control: bool = False
    note: str = ""


def normal(*shape, scale=1.0, shift=0.0):
    return lambda rng: shift + scale * rng.standard_normal(shape)


def of_size(low, high, *shape):
    """Positive, log-uniform between 10^low and 10^high."""
    return lambda rng: 10.0 ** rng.uniform(low, high, shape)


def relu(x):
    return np.maximum(x, 0.0)


def relu_backward(g, x):
    return g * (x > 0)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_backward(g, x):
    p = softmax(x)
    return p * (g - np.sum(g * p, -1, keepdims=True))


def largest_shared(g, x):
    tied = x == x.max()
    return g * tied / tied.sum()


def inverse_backward(g, x):
    z = np.linalg.inv(x)
    return -z.T @ g @ z.T


def off_at(place, error):
    """The gradient of sin, wrong at one element by the part `error` of it."""

    def backward(g, x):
        slope = np.cos(x)
        slope[place] *= 1 + error
        return g * slope

    return backward


def sine_off_by(error):
    return lambda g, x: g * np.cos(x) * (1 + error)


def one_buffer_for_all(forward_slope):
    """Every call answers with the same memory, so the gradient of an earlier call changes when the next one is made."""
    buffers = {}

    def backward(g, x):
        buffer = buffers.setdefault((x.shape, x.dtype), np.empty_like(x))
        np.multiply(g, forward_slope(x), out=buffer)
        return buffer

    return backward


def doubled_in_place(g, x):
    g *= 2.0
    return g.copy()


def tied(rng):
    return rng.permutation(np.array([2.0, 2.0, 2.0, 1.0, -1.0]) + rng.standard_normal())


def ill_conditioned(rng):
    u, v = (np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(2))
    return u @ np.diag([1.0, 1e-3, 1e-6]) @ v


FAR = 1e5

PLANTED = [
    Case("every element twice too big (a control)", np.sin, sine_off_by(1.0), normal(4), control=True),
    Case("every element 0.09 % too big", np.sin, sine_off_by(9e-4), normal(4)),
    Case("every element 10⁻⁶ too big", np.sin, sine_off_by(1e-6), normal(4)),
    Case("every element 10⁻⁸ too big", np.sin, sine_off_by(1e-8), normal(4)),
    Case("one element of 1,000 twice too big", np.sin, off_at(777, 1.0), normal(1000)),
    Case("one element of 100,000 off by 10⁻⁴", np.sin, off_at(77_777, 1e-4), normal(100_000), summed=True,
         note="checked on the sum of the sines; PyTorch's slow mode moves every element, which takes minutes."),
    Case("sin(10⁻⁶ x) with the wrong sign", lambda x: np.sin(1e-6 * x), lambda g, x: -1e-6 * g * np.cos(1e-6 * x),
         normal(4)),
    Case("log(x + 100,000) with no gradient at all", lambda x: np.log(x + FAR), lambda g, x: np.zeros_like(x),
         normal(4)),
    Case("softmax 7 times too steep", softmax, lambda g, x: 7 * softmax_backward(g, x), normal(5)),
    Case("the same, under a sum", softmax, lambda g, x: 7 * softmax_backward(g, x), normal(5), summed=True, hidden=True,
         note="a softmax sums to 1, so the gradient of the sum is 0, and 7 · 0 is right: no check of the sum can see "
         "it, which is why a cotangent of ones is not enough."),
    Case("the full gradient for each of three that tie in max", np.max, lambda g, x: g * (x == x.max()), tied),
    Case("g · absolute(g) where g is due", np.sin, lambda g, x: g * np.abs(g) * np.cos(x), normal(4),
         note="not linear in the cotangent, and right for every cotangent of zeros and ones."),
    Case("g + 10⁻³ g² where g is due", np.sin, lambda g, x: (g + 1e-3 * g * g) * np.cos(x), normal(4),
         note="not linear either."),
    Case("writes into its cotangent", lambda x: 2.0 * x, doubled_in_place, normal(4), writes=True,
         note="the gradient is right; the caller's array is not, afterwards. JAX's arrays cannot be written to."),
    Case("hands out the same memory at every call", np.sin, one_buffer_for_all(np.cos), normal(4), writes=True,
         note="the next call changes the last one's answer. `autograd_vjp` packs its inputs, and autograd copies what "
         "it unpacks: through it, there is nothing to see."),
    Case("x³ without a second derivative", lambda x: x * x * x,
         lambda g, x, frozen: 3.0 * g * frozen(x) * frozen(x), normal(3), order=2,
         note="everyone is asked for second order: PyTorch by `gradgradcheck`."),
]  # fmt: skip

RIGHT = [
    Case("sin (a control)", np.sin, lambda g, x: g * np.cos(x), normal(4), control=True),
    Case("softmax (a control)", softmax, softmax_backward, normal(3, 4), control=True),
    Case("x³, to second order (a control)", lambda x: x * x * x, lambda g, x, frozen: 3.0 * g * x * x, normal(3),
         order=2, control=True),
    Case("sum of 1,000 sines", np.sin, lambda g, x: g * np.cos(x), normal(1000), summed=True),
    Case("relu at exactly 0", relu, relu_backward, lambda rng: np.array([0.0, 1.0, -1.0]) * rng.uniform(0.5, 2.0)),
    Case("relu 10⁻⁷ from its kink", relu, relu_backward, normal(4, scale=1e-7)),
    Case("max where three tie, shared equally", np.max, largest_shared, tied),
    Case("log of tiny x", np.log, lambda g, x: g / x, of_size(-9, -5, 4)),
    Case("√x near 0", np.sqrt, lambda g, x: 0.5 * g / np.sqrt(x), of_size(-9, -5, 4)),
    Case("x sin(x) of tiny x", lambda x: x * np.sin(x), lambda g, x: g * (np.sin(x) + x * np.cos(x)),
         normal(4, scale=1e-8)),
    Case("x² of huge x", np.square, lambda g, x: 2.0 * g * x, normal(4, scale=1e8)),
    Case("exp of large x", np.exp, lambda g, x: g * np.exp(x), normal(4, scale=10.0)),
    Case("10⁸ + sin(x)", lambda x: 1e8 + np.sin(x), lambda g, x: g * np.cos(x), normal(4)),
    Case("sin(1,000 x)", lambda x: np.sin(1e3 * x), lambda g, x: 1e3 * g * np.cos(1e3 * x), normal(4)),
    Case("tanh, saturated", np.tanh, lambda g, x: g * (1 - np.tanh(x)) * (1 + np.tanh(x)),
         normal(4, scale=2.0, shift=9.0)),
    Case("inverse, condition 10⁶", np.linalg.inv, inverse_backward, ill_conditioned),
    Case("float32 inside", lambda x: np.sin(np.asarray(x, np.float32)).astype(x.dtype),
         lambda g, x: g * np.cos(x), normal(4)),
]  # fmt: skip
