"""Every composite: first and second derivatives against finite differences, for drawn shapes and cotangents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import functional as F
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.transforms import gradients

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)


def away_from_zero(x):
    return x + np.copysign(0.1, x)


# name → (function of float arrays, their shapes for sizes n, m, k)
CASES = {
    "relu": (lambda x: F.relu(away_from_zero(x)), lambda n, m, k: [(n, m)]),
    "gelu": (F.gelu, lambda n, m, k: [(n, m)]),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"), lambda n, m, k: [(n, m)]),
    "sigmoid": (F.sigmoid, lambda n, m, k: [(n, m)]),
    "silu": (F.silu, lambda n, m, k: [(n, m)]),
    "softmax": (F.softmax, lambda n, m, k: [(n, m)]),
    "softmax_first_axis": (lambda x: F.softmax(x, axis=0), lambda n, m, k: [(n, m)]),
    "log_softmax": (F.log_softmax, lambda n, m, k: [(n, m, k)]),
    "logsumexp": (F.logsumexp, lambda n, m, k: [(n, m)]),
    "logsumexp_first_axis": (lambda x: F.logsumexp(x, axis=0, keepdims=True), lambda n, m, k: [(n, m)]),
    "linear": (F.linear, lambda n, m, k: [(n, m, k), (k, n), (n,)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, w, b, 0.1), lambda n, m, k: [(n, m, k + 2), (k + 2,), (k + 2,)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, w, 0.1), lambda n, m, k: [(n, m, k + 1), (k + 1,)]),
    "mse": (F.mse, lambda n, m, k: [(n, m), (n, m)]),
    "cross_entropy": (
        lambda z: F.cross_entropy(z, np.arange(z.shape[0]) % z.shape[1], label_smoothing=0.1),
        lambda n, m, k: [(n, m)],
    ),
    "cross_entropy_with_ignored": (
        lambda z: F.cross_entropy(z, [0, -1] * (z.shape[0] // 2), ignore=-1), lambda n, m, k: [(2 * n, m)],
    ),
    "embedding": (lambda w: F.embedding(w, [[0, 0], [len(w) - 1, 0]]), lambda n, m, k: [(n, m)]),
    "attention": (F.attention, lambda n, m, k: [(2, n, k), (2, m, k), (2, m, n)]),
    "attention_masked": (
        lambda q, k, v: F.attention(q, k, v, np.tri(q.shape[-2], k.shape[-2], -1, dtype=bool)),
        lambda n, m, k: [(2, n, k), (2, m, k), (2, m, n)],
    ),
    "attention_weights": (
        lambda q, k: F.attention(q, k, k, return_weights=True)[1], lambda n, m, k: [(n, k), (m, k)],
    ),
}  # fmt: skip


def sized(test):
    return settings(max_examples=8)(given(seed=SEEDS, n=SIZES, m=SIZES, k=SIZES)(test))


def slope(f, xs, vs):
    """d f(x + h v) / dh at h = 0 by five points: the error is near h⁴ + ε/h."""
    h = 2.0**-9
    at = [float(f([x + s * h * v for x, v in zip(xs, vs, strict=True)])) for s in (-2, -1, 1, 2)]
    return (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h)


def inner(xs, ys):
    return sum(float(np.sum(x * y)) for x, y in zip(xs, ys, strict=True))


def drawn(seed, shapes):
    rng = np.random.default_rng(seed)
    return rng, [rng.normal(size=shape) for shape in shapes]


def pullback(f, xs, cotangent, create_graph=False):
    tensors = [Tensor(x, requires_grad=True) for x in xs]
    loss = (f(*tensors) * cotangent).sum()
    return tensors, gradients(loss, tensors, create_graph=create_graph)


@pytest.mark.parametrize("name", CASES)
@sized
def test_tensors_and_arrays_give_the_same_numbers(name, seed, n, m, k):
    f, shapes = CASES[name]
    _, xs = drawn(seed, shapes(n, m, k))
    kept = [x.copy() for x in xs]
    plain, traced = f(*xs), f(*[Tensor(x, requires_grad=True) for x in xs])
    assert not isinstance(plain, Tensor) and isinstance(traced, Tensor)
    np.testing.assert_array_equal(plain, traced.numpy())
    assert all(np.array_equal(x, old) for x, old in zip(xs, kept, strict=True)), "an argument was changed"


@pytest.mark.parametrize("name", CASES)
@sized
def test_gradient_is_the_slope_along_a_drawn_direction_for_a_drawn_cotangent(name, seed, n, m, k):
    f, shapes = CASES[name]
    rng, xs = drawn(seed, shapes(n, m, k))
    c, vs = rng.normal(size=np.shape(f(*xs))), [rng.normal(size=x.shape) for x in xs]
    _, found = pullback(f, xs, c)
    numeric = slope(lambda at: np.sum(f(*at) * c), xs, vs)
    assert inner([g.numpy() for g in found], vs) == pytest.approx(numeric, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("name", CASES)
@sized
def test_second_derivative_is_the_slope_of_the_gradient(name, seed, n, m, k):
    f, shapes = CASES[name]
    rng, xs = drawn(seed, shapes(n, m, k))
    c = rng.normal(size=np.shape(f(*xs)))
    us, vs = ([rng.normal(size=x.shape) for x in xs] for _ in range(2))
    tensors, first = pullback(f, xs, c, create_graph=True)
    loss = sum((g * u).sum() for g, u in zip(first, us, strict=True))
    if not loss.requires_grad:
        assert name in ("relu", "embedding"), "only a (piecewise) linear function has no second derivative"
        return
    second = gradients(loss, tensors, allow_unused=True)
    second = [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(second, xs, strict=True)]
    numeric = slope(lambda at: inner([g.numpy() for g in pullback(f, at, c)[1]], us), xs, vs)
    assert inner(second, vs) == pytest.approx(numeric, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name):
    f, shapes = CASES[name]
    xs = [x.astype(np.float32) for x in drawn(0, shapes(2, 3, 4))[1]]
    if name == "relu":
        f = F.relu
    tensors, found = pullback(f, xs, np.float32(1))
    assert np.asarray(f(*xs)).dtype == f(*tensors).dtype == np.float32
    assert all(g.dtype == np.float32 and g.shape == x.shape for g, x in zip(found, xs, strict=True))
