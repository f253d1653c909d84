"""The composites one by one: values against independent formulas, the ends of the line, what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import functional as F
from tinygrad_edu.errors import DtypeError, ShapeError
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.transforms import gradients

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)


def drawn(seed, shapes):
    rng = np.random.default_rng(seed)
    return rng, [rng.normal(size=shape) for shape in shapes]


def pullback(f, xs, cotangent):
    """The gradients of (f(xs) * cotangent).sum(), as arrays."""
    tensors = [Tensor(x, requires_grad=True) for x in xs]
    return [g.numpy() for g in gradients((f(*tensors) * cotangent).sum(), tensors)]


# Activations

X = np.array([-1000.0, -30.0, -2.0, -1e-3, 0.0, 1e-3, 2.0, 30.0, 1000.0])


def test_activations_agree_with_their_formulas_to_the_ends_of_the_line():
    phi = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in X])
    sigmoid = np.array([1 / (1 + math.exp(-x)) if x > -700 else math.exp(x) for x in X])
    cubic = math.sqrt(2 / math.pi) * (X + 0.044715 * X * X * X)
    np.testing.assert_allclose(F.sigmoid(X), sigmoid, rtol=1e-15)
    np.testing.assert_allclose(F.silu(X), X * sigmoid, rtol=1e-15)
    np.testing.assert_allclose(F.gelu(X), X * phi, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(F.gelu(X, "tanh"), 0.5 * X * (1 + np.tanh(cubic)), rtol=1e-12)
    np.testing.assert_array_equal(F.relu(X), np.maximum(X, 0))


@pytest.mark.parametrize("f", [F.relu, F.sigmoid, F.silu, F.gelu, lambda x: F.gelu(x, "tanh"), F.softmax])
def test_nan_is_passed_on(f):
    x = Tensor([math.nan], requires_grad=True)
    assert np.isnan(f(np.array([math.nan])))[0] and np.isnan(f(x).numpy())[0]


@pytest.mark.parametrize("f", [F.relu, F.sigmoid, F.silu, F.gelu, lambda x: F.gelu(x, "tanh")])
def test_gradients_of_activations_are_finite_everywhere(f):
    (g,) = pullback(f, [X], np.ones(X.shape))
    assert np.isfinite(g).all()


@pytest.mark.parametrize(
    ("f", "derivative"), [(F.relu, 0.0), (F.sigmoid, 0.25), (F.silu, 0.5), (F.gelu, 0.5)]
)
def test_derivative_at_zero(f, derivative):
    for zero in (0.0, -0.0):
        assert pullback(f, [np.array(zero)], 1.0)[0].item() == derivative


def test_gelu_refuses_an_unknown_approximation():
    with pytest.raises(ValueError, match="'none' .* or 'tanh'"):
        F.gelu(X, "erf")


# Softmax


@given(seed=SEEDS, n=SIZES, m=SIZES, shift=st.sampled_from([0.0, 1e-3, 1000.0, -1000.0]))
def test_softmax_rows_sum_to_one_and_forget_a_shift(seed, n, m, shift):
    _, (x,) = drawn(seed, [(n, m)])
    np.testing.assert_allclose(F.softmax(x).sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(F.softmax(x + shift), F.softmax(x), rtol=1e-12)
    np.testing.assert_allclose(np.log(F.softmax(x)), F.log_softmax(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(F.logsumexp(x + shift), np.log(np.exp(x).sum(-1)) + shift, rtol=1e-13, atol=1e-13)


@given(seed=SEEDS, n=SIZES, m=SIZES)
def test_softmax_gradient_is_orthogonal_to_shifts(seed, n, m):
    """softmax(x + c) = softmax(x), so its gradient sums to zero along the axis, whatever arrives from above."""
    rng, (x,) = drawn(seed, [(n, m)])
    (g,) = pullback(F.softmax, [x], rng.normal(size=x.shape))
    np.testing.assert_allclose(g.sum(-1), 0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_a_thousand_neither_overflow_nor_lose_the_gradient(dtype):
    logits = Tensor([[1000.0, -1000.0, 999.0], [-1000.0, -1000.0, -1000.0]], requires_grad=True, dtype=dtype)
    loss = F.cross_entropy(logits, [1, 2])
    loss.backward()
    e = 1 / (1 + math.exp(-1))
    assert loss.item() == pytest.approx((2000 + math.log(1 + math.exp(-1)) + math.log(3)) / 2, rel=1e-6)
    expected = np.array([[e, -1, 1 - e], [1 / 3, 1 / 3, -2 / 3]]) / 2
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-6)


def test_row_of_minus_infinity_is_zeros_with_zero_gradient():
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
    (g,) = pullback(F.softmax, [x], np.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(F.softmax(x), [[0, 0], [0, 1]])
    np.testing.assert_array_equal(g, np.zeros((2, 2)))
    np.testing.assert_array_equal(F.logsumexp(x), [-np.inf, 1])
    (g,) = pullback(F.logsumexp, [x], np.ones(2))
    np.testing.assert_array_equal(g, [[0, 0], [0, 1]])
    assert F.logsumexp(np.array([np.inf, 0.0])) == np.inf


def test_a_logit_of_plus_infinity_has_a_gradient_of_nan_not_of_zero():
    """Its log-sum-exp is inf: a gradient of 0 would say that all is well."""
    (g,) = pullback(F.logsumexp, [np.array([np.inf, 0.0])], 1.0)
    assert np.isnan(g[0])


# Norms


@given(seed=SEEDS, n=SIZES, m=st.integers(2, 5))
def test_layer_norm_has_mean_zero_and_biased_variance_one(seed, n, m):
    _, (x,) = drawn(seed, [(n, m)])
    y = F.layer_norm(x, eps=0.0)
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose((y * y).mean(-1), 1, rtol=1e-12)
    np.testing.assert_allclose((F.rms_norm(x, eps=0.0) ** 2).mean(-1), 1, rtol=1e-12)


def test_norms_keep_eps_inside_the_root_and_survive_a_constant_row():
    x = np.array([[3.0, 3.0], [0.0, 2.0]])
    np.testing.assert_allclose(F.layer_norm(x, eps=3.0), [[0, 0], [-0.5, 0.5]])
    np.testing.assert_allclose(F.rms_norm(x, eps=7.0), [[0.75, 0.75], [0, 2 / 3]])
    (g,) = pullback(F.layer_norm, [x], np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert np.isfinite(g).all()


def test_norms_refuse_a_weight_of_another_width():
    with pytest.raises(ShapeError, match=r"weight has shape \(2,\)"):
        F.layer_norm(np.ones((2, 3)), np.ones(2))
    with pytest.raises(ShapeError, match=r"weight has shape \(1, 3\)"):
        F.rms_norm(np.ones((2, 3)), np.ones((1, 3)))


# Dropout


@given(seed=SEEDS, p=st.sampled_from([0.1, 0.5, 0.9]))
def test_dropout_keeps_scaled_elements_and_repeats_from_its_generator(seed, p):
    x = np.ones((50, 20), np.float32)
    y = F.dropout(x, p, np.random.default_rng(seed))
    assert y.dtype == np.float32 and np.isin(y, [0, np.float32(1 / (1 - p))]).all()
    assert abs((y == 0).mean() - p) < 0.1
    np.testing.assert_array_equal(y, F.dropout(x, p, np.random.default_rng(seed)))
    (g,) = pullback(lambda t: F.dropout(t, p, np.random.default_rng(seed)), [x], np.float32(1))
    np.testing.assert_array_equal(g, y)


def test_dropout_does_nothing_outside_training_and_refuses_nonsense():
    x = np.ones(3)
    assert F.dropout(x, 0.5, training=False) is x and F.dropout(x, 0.0) is x
    with pytest.raises(TypeError, match="default_rng"):
        F.dropout(x, 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        F.dropout(x, 1.0, np.random.default_rng(0))


# Embedding


def test_gradient_of_a_repeated_token_is_the_sum_over_its_positions():
    cotangent = np.arange(12.0).reshape(2, 2, 3)
    (g,) = pullback(lambda w: F.embedding(w, [[1, 3], [1, 1]]), [np.ones((4, 3))], cotangent)
    expected = np.zeros((4, 3))
    expected[1], expected[3] = cotangent[0, 0] + cotangent[1, 0] + cotangent[1, 1], cotangent[0, 1]
    np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([[0, 1], [4, -1]], r"id 4 at position \(1, 0\)"),
        ([0, -1], "id -1 at position 1"),
        (9, r"id 9 is outside \[0, 4\)"),
    ],
)
def test_ids_out_of_range_are_named(ids, words):
    with pytest.raises(IndexError, match=words):
        F.embedding(np.ones((4, 3)), ids)


@pytest.mark.parametrize("ids", [[0.0, 1.0], [True, False], ["a"]])
def test_ids_that_are_no_integers_are_refused(ids):
    with pytest.raises(DtypeError, match="integers"):
        F.embedding(np.ones((4, 3)), ids)


# Losses


@given(seed=SEEDS, n=SIZES, m=SIZES, a=st.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy_is_the_mean_of_q_log_p_over_targets_that_count(seed, n, m, a):
    rng, (logits,) = drawn(seed, [(n, 3, m)])
    targets = rng.integers(0, m, (n, 3))
    targets[0, :2] = -100
    counted = targets != -100
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    q = (1 - a) * np.eye(m)[np.where(counted, targets, 0)] + a / m
    expected = -(q * np.log(p)).sum(-1)[counted].mean()
    assert F.cross_entropy(logits, targets, ignore=-100, label_smoothing=a) == pytest.approx(expected, rel=1e-12)
    (g,) = pullback(lambda z: F.cross_entropy(z, targets, -100, a), [logits], 1.0)
    np.testing.assert_allclose(g, np.where(counted[..., None], p - q, 0) / counted.sum(), atol=1e-14)


def test_ignored_logits_leak_nothing_not_even_nan():
    logits = np.array([[1.0, 2.0], [np.nan, np.nan]])
    (g,) = pullback(lambda z: F.cross_entropy(z, [0, -1], ignore=-1), [logits], 1.0)
    assert np.isfinite(F.cross_entropy(logits, [0, -1], ignore=-1)) and np.isfinite(g).all()


def test_cross_entropy_refuses_what_it_cannot_score():
    logits = np.zeros((2, 3))
    with pytest.raises(IndexError, match=r"target 3 at position 1 is outside \[0, 3\)"):
        F.cross_entropy(logits, [0, 3])
    with pytest.raises(IndexError, match="target -1 at position 0"):
        F.cross_entropy(logits, [-1, 0], ignore=-100)
    with pytest.raises(ValueError, match="all 2 are ignore=0"):
        F.cross_entropy(logits, [0, 0], ignore=0)
    with pytest.raises(ValueError, match="no target"):
        F.cross_entropy(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(DtypeError, match="float64"):
        F.cross_entropy(logits, [0.0, 1.0])
    with pytest.raises(ShapeError, match=r"\(2,\).*not \(2, 1\)"):
        F.cross_entropy(logits, [[0], [1]])
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(logits, [0, 1], label_smoothing=1.5)


def test_mse_refuses_to_broadcast():
    assert F.mse(np.array([1.0, 3.0]), np.array([0.0, 1.0])) == 2.5
    with pytest.raises(ShapeError, match="does not broadcast"):
        F.mse(np.ones(3), np.ones((3, 1)))


# Attention


@given(seed=SEEDS, n=SIZES, m=SIZES, k=SIZES)
def test_attention_is_a_weighted_mean_over_what_each_query_may_see(seed, n, m, k):
    rng, (q, key, v) = drawn(seed, [(n, k), (m, k), (m, 2)])
    mask = rng.random((n, m)) < 0.5
    y, weights = F.attention(q, key, v, mask, return_weights=True)
    for i in range(n):
        e = [math.exp(q[i] @ key[j] / math.sqrt(k)) * mask[i, j] for j in range(m)]
        expected = np.array(e) / (sum(e) or 1)
        np.testing.assert_allclose(weights[i], expected, rtol=1e-12)
        np.testing.assert_allclose(y[i], expected @ v, rtol=1e-12, atol=1e-14)


def test_query_that_may_see_nothing_gives_zeros_forward_and_in_every_gradient():
    _, xs = drawn(0, [(2, 3, 4), (2, 5, 4), (2, 5, 4)])
    mask = np.ones((2, 3, 5), bool)
    mask[0, 1] = False
    y = F.attention(*xs, mask)
    assert (y[0, 1] == 0).all() and (y[0, 0] != 0).all()
    cotangent = np.zeros(y.shape)
    cotangent[0, 1] = 1.0
    assert all((g == 0).all() for g in pullback(lambda *t: F.attention(*t, mask), xs, cotangent))


def test_attention_refuses_masks_that_are_not_boolean_or_do_not_fit():
    q = np.ones((2, 3, 4))
    with pytest.raises(DtypeError, match="boolean"):
        F.attention(q, q, q, np.ones((3, 3)))
    for shape in ((2, 3), (5, 2, 3, 3), (2, 3, 4)):
        with pytest.raises(ShapeError, match="does not broadcast"):
            F.attention(q, q, q, np.ones(shape, bool))
