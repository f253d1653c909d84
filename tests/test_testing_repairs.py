"""What is wrong with a rule, in words: planted one after the other, inside programs and in backward passes by hand."""

import numpy as np
import pytest

from tinygrad_edu import primitive, scope
from tinygrad_edu.testing import by_hand, gradcheck

RNG = np.random.default_rng(7)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))
T = np.array([2, 0, 2, 1])


def mT(x):
    return np.swapaxes(x, -1, -2)


def program(call):
    """A program of about ten operations around one; every value is used twice."""

    def model(x, w):
        h = np.tanh(x @ w) + 0.5 * x
        with scope("block"):
            y = call(h, w)
        return np.sum(np.sin(y) * np.exp(0.1 * y)) + np.mean(h * w)

    return model


PLANTS = {}


def plant(argument, words, call=None, **facts):
    """Enter an operation whose rules follow; `argument` is the one whose rule is wrong, None where all are right."""

    def enter(function, *rules):
        operation = primitive(*rules, **facts)(function)
        count = len(rules)
        used = call or (lambda op, h, w: op(*(h, w)[:count]))
        PLANTS[f"{len(PLANTS)} {function.__name__}: {words}"] = (operation, argument, words, used)

    return enter


def square(x):
    return x * x


def times(x, y):
    return x * y


def divided(x, y):
    return x / (2 + np.sin(y))


def product(x, y):
    return x @ y


def softened(x):
    e = np.exp(x - np.max(x, -1, keepdims=True))
    return e / np.sum(e, -1, keepdims=True)


def total(x, axis=-1):
    return np.sum(x, axis)


def running(x):
    return np.cumsum(x, -1)


def rolled(x, shift=1):
    return np.roll(x, shift, -1)


def picked(x):
    return x[T]


def turned(x):
    return x.T


def normed(x):
    return x - np.mean(x, -1, keepdims=True)


def shaped(x):
    return x.ravel()


def exponential(x):
    return np.exp(x)


def hyperbolic(x):
    return np.tanh(x)


def added(x, y):
    return x + y


def one_axis(x, axis=0):
    return np.flip(x, axis)


def permuted(x, axes=(0, 1, 2)):
    return np.transpose(x, axes)


def spread(g, axis):
    return np.expand_dims(g, axis) * np.ones(3)


def scattered(g, x_shape, add=True):
    out = np.zeros(x_shape)
    if add:
        np.add.at(out, T, g)
    else:
        out[T] = g
    return out


def one_more(share, *index):
    share = np.array(share)
    share[index] *= 2.0
    return share


ew = {"broadcasts": True}
plant("x", "its sign is flipped", **ew)(square, lambda g, x: -2 * g * x)
plant("x", "off by the factor 0.5", **ew)(square, lambda g, x: g * x)
plant("x", "off by the factor 1 + 1e-06", **ew)(square, lambda g, x: 2.000002 * g * x)
plant("x", "it is zero: nothing flows back", **ew)(square, lambda g, x: 0 * g)
plant("x", "the cotangent g is ignored, as if it were ones", **ew)(square, lambda g, x: 2 * x)
plant("x", "the local derivative is missing", **ew)(square, lambda g, x: g)
plant("x", "the local derivative is applied twice", **ew)(square, lambda g, x: g * 4 * x * x)
plant("x", "the cotangent g is squared", **ew)(square, lambda g, x: g * g * 2 * x)
plant("x", "it is rounded to float32", **ew)(square, lambda g, x: np.float64(np.float32(2 * g * x)))
plant("x", "0.001 is added to it", **ew)(square, lambda g, x: 2 * g * x + 1e-3)
plant("x", "0.01 times x is added to it", **ew)(exponential, lambda g, x, z: g * z + 0.01 * x)
plant("x", "0.5 times the cotangent g is added to it", **ew)(square, lambda g, x: 2 * g * x + g / 2)
plant("x", "it is transposed", broadcasts=True)(square, lambda g, x: (2 * g * x).T)
plant("x", "it is reversed along axis 1", **ew)(square, lambda g, x: (2 * g * x)[:, ::-1])
plant("x", "it is shifted by 1 along axis 0", **ew)(square, lambda g, x: np.roll(2 * g * x, 1, 0))
plant("x", "it is summed along axis 1, which it should not be", **ew)(
    square, lambda g, x: np.sum(2 * g * x, 1, keepdims=True) + 0 * x
)
plant("x", "it is averaged over all elements", **ew)(square, lambda g, x: np.mean(2 * g * x) + 0 * x)
plant("x", "its sign is lost", **ew)(square, lambda g, x: np.abs(2 * g * x))
plant("x", "off by the factor 2 at [1, 2]; the rest is right", **ew)(square, lambda g, x: one_more(2 * g * x, 1, 2))
plant("x", "it is zero at 2 along axis 0", **ew)(square, lambda g, x: 2 * g * x * (np.arange(3) < 2)[:, None])
plant("x", "it is zero where x < 0", **ew)(square, lambda g, x: 2 * g * x * (x > 0))
plant("x", "it is off by the factor 3 on the diagonal", **ew)(square, lambda g, x: 2 * g * x * (1 + 2 * np.eye(3)))
plant("x", "it uses x where the output z belongs", **ew)(exponential, lambda g, x: g * x)
plant("x", "it uses the output z where x belongs", **ew)(square, lambda g, z: 2 * g * z)
plant("x", "the factor the output z is missing", **ew)(exponential, lambda g: g)
plant("x", "the factor 1 - z² is missing", **ew)(hyperbolic, lambda g: g)
plant("y", "off by the factor 0.5", **ew)(times, lambda g, y: g * y, lambda g, x: g * x * 0.5)
plant("x", "it uses x where y belongs", **ew)(times, lambda g, x: g * x, lambda g, x: g * x)
plant("x", "the factor y is missing", **ew)(times, lambda g: g, lambda g, x: g * x)
plant("x", "the factor y is there once too often", **ew)(times, lambda g, y: g * y * y, lambda g, x: g * x)
plant("y", "its sign is flipped", **ew)(
    divided, lambda g, y: g / (2 + np.sin(y)), lambda g, x, y: g * x * np.cos(y) / (2 + np.sin(y)) ** 2
)
plant("x", "stands upside down", **ew)(
    divided, lambda g, y: g * (2 + np.sin(y)), lambda g, x, y: -g * x * np.cos(y) / (2 + np.sin(y)) ** 2
)
plant("x", "it uses y where y.T belongs")(product, lambda g, y: g @ y, lambda g, x: mT(x) @ g)
plant("y", "it uses x where x.T belongs")(product, lambda g, y: g @ mT(y), lambda g, x: x @ g)
plant("x", "it is transposed: the right gradient is its .T")(product, lambda g, y: y @ mT(g), lambda g, x: mT(x) @ g)
plant("y", "it is transposed: the right gradient is its .T")(product, lambda g, y: g @ mT(y), lambda g, x: mT(g) @ x)
plant("x", "it is exchanged with the gradient of y")(product, lambda g, x: mT(x) @ g, lambda g, y: g @ mT(y))
plant("x", "the term -z·Σ(g z) along axis 1 is missing, as of a softmax")(softened, lambda g, z: g * z)
plant("x", "only the Jacobian's diagonal is there")(softened, lambda g, z: g * z * (1 - z))
plant("x", "off by the factor 7")(softened, lambda g, z: 7 * z * (g - np.sum(g * z, -1, keepdims=True)))
plant("x", "which is 1/N for the size of axis 1 of x: a mean, where a sum belongs")(
    total, lambda g, axis=-1: spread(g, axis) / 3
)
plant("x", "it is transposed", lambda op, h, w: op(h, axis=0))(total, lambda g, axis=-1: spread(g, 1))
plant("x", "the Jacobian is not transposed")(running, lambda g: np.cumsum(g, -1))
plant("x", "the local derivative is missing")(running, lambda g: g)
plant("x", "it uses shift=1 where shift=-1 belongs")(rolled, lambda g, shift=1: np.roll(g, shift, -1))
plant("x", "of several shares only the last is kept: they overwrite each other", lambda op, h, w: op(h))(
    picked, lambda g, x_shape: scattered(g, x_shape, add=False)
)
plant("x", "several shares are averaged")(
    picked, lambda g, x_shape: scattered(g, x_shape) / np.maximum(np.bincount(T), 1)[:, None]
)
plant("x", "it is reversed along axis 0")(picked, lambda g, x_shape: scattered(g, x_shape)[::-1])
plant("x", "the subtraction of its mean along axis 1 is missing")(normed, lambda g: g)
plant("x", "it is transposed")(shaped, lambda g, x_shape: g.reshape(x_shape).T)
plant("x", "it is transposed")(turned, lambda g: g)
plant("y", "the cotangent g is ignored", **ew)(added, lambda g: g, lambda g: 0 * g + 1)
plant("y", "off by the factor 0.5", **ew)(added, lambda g: g, lambda g: g / 2)
plant("x", "its axes are permuted: the right gradient is its .transpose(", lambda op, h, w: op(
    np.multiply(h[:, :, None], w[:, None, :]), (1, 2, 0))
)(permuted, lambda g, axes=None: np.transpose(g, axes))


def failing(name):
    operation, argument, words, call = PLANTS[name]
    model = program(lambda h, w: call(operation, h, w))
    return operation, argument, words, gradcheck(model, X, W, wrt=1, manners=False)  # h and w both depend on w


@pytest.mark.parametrize("name", PLANTS)
def test_the_rule_that_is_wrong_is_named_with_what_is_wrong(name):
    operation, argument, words, report = failing(name)
    assert report.verdict == "wrong"
    assert f"The rule of {operation.__name__} for its argument {argument} is wrong: " in report.explanation
    assert report.explanation.count("The rule of") == 1 + ("exchanged" in words)
    assert words in report.explanation


# Somebody else's backward pass


def dense(x, w, b):
    return np.tanh(x @ w + b)


def dense_backward(g, x, w, b):
    d = g * (1 - dense(x, w, b) ** 2)
    return d @ w.T, x.T @ d, d.sum(0)


def wrong(argument, change):
    def backward(g, x, w, b):
        found = list(dense_backward(g, x, w, b))
        found[argument] = change(found[argument], g * (1 - dense(x, w, b) ** 2), x, w)
        return tuple(found)

    return backward


BY_HAND = {
    "inputs[0] is wrong: its sign is flipped": wrong(0, lambda found, d, x, w: -found),
    "inputs[0] is wrong: off by the factor 0.5": wrong(0, lambda found, d, x, w: found / 2),
    "inputs[1] is wrong: it is transposed: the right gradient is its .T (": wrong(1, lambda found, d, x, w: found.T),
    "inputs[1] is wrong: off by the factor 1/3, which is 1/N for": wrong(1, lambda found, d, x, w: found / 3),
    "inputs[1] is wrong: it is exchanged with the gradient of inputs[0]": lambda g, x, w, b: tuple(
        dense_backward(g, x, w, b)[k] for k in (1, 0, 2)
    ),
    "inputs[1] is wrong: 0.1 times inputs[1] is added to it": wrong(1, lambda found, d, x, w: found + 0.1 * w),
    "inputs[2] is wrong: of several shares only the first is kept": wrong(2, lambda found, d, x, w: d[0]),
    "inputs[2] is wrong: of several shares only the last is kept": wrong(2, lambda found, d, x, w: d[-1]),
    "inputs[2] is wrong: off by the factor 1/3": wrong(2, lambda found, d, x, w: d.mean(0)),
    "inputs[2] is wrong: it is shifted by 1 along axis 0": wrong(2, lambda found, d, x, w: np.roll(found, 1)),
    "inputs[2] is wrong: it is zero": wrong(2, lambda found, d, x, w: 0 * found),
    "inputs[2] is wrong: it is not finite": wrong(2, lambda found, d, x, w: found * np.nan),
    "inputs[2] is wrong: the cotangent g is ignored": lambda g, x, w, b: (
        *dense_backward(g, x, w, b)[:2], dense_backward(np.ones_like(g), x, w, b)[2]
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", BY_HAND)
def test_a_backward_pass_by_hand_is_explained_in_the_same_words(words):
    report = gradcheck(dense, X, W, X[1], vjp=by_hand(BY_HAND[words]), manners=False)
    assert f"The gradient of {words}" in report.explanation
    assert report.dot == ""
