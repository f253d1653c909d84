"""The composites at their limits: every kind of input gives its kind of output, nothing wraps, sizes of 0 and 1."""

import warnings

import numpy as np
import pytest
from scipy import special

from tinygrad_edu import Tensor, nn
from tinygrad_edu import functional as F
from tinygrad_edu.errors import DtypeError, LostGradientError, ShapeError

DRAWN = np.random.default_rng(0)
CALLS = {
    "relu": (F.relu, (4,)),
    "sigmoid": (F.sigmoid, (4,)),
    "silu": (F.silu, (4,)),
    "gelu": (F.gelu, (4,)),
    "softmax": (F.softmax, (2, 3)),
    "log_softmax": (F.log_softmax, (2, 3)),
    "logsumexp": (F.logsumexp, (2, 3)),
    "linear": (F.linear, (2, 3), (3, 2), (2,)),
    "layer_norm": (F.layer_norm, (2, 3), (3,), (3,)),
    "rms_norm": (F.rms_norm, (2, 3), (3,)),
    "dropout": (lambda x: F.dropout(x, 0.5, np.random.default_rng(0)), (2, 3)),
    "embedding": (lambda w: F.embedding(w, [[0, 2], [2, 1]]), (3, 2)),
    "cross_entropy": (lambda x: F.cross_entropy(x, [0, 2], label_smoothing=0.1), (2, 3)),
    "mse": (F.mse, (2, 3), (2, 3)),
    "attention": (F.attention, (2, 3), (4, 3), (4, 2)),
    "self_attention": (lambda x: F.self_attention(x, 2)[0], (1, 3, 6)),
    "conv1d": (F.conv1d, (1, 2, 5), (3, 2, 2)),
    "conv2d": (F.conv2d, (1, 2, 4, 4), (3, 2, 2, 2)),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 2), (1, 2, 4)),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), (1, 2, 4, 4)),
    "max_pool1d": (lambda x: F.max_pool1d(x, 2), (1, 2, 4)),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), (1, 2, 4, 4)),
}
LISTED = [name for name in CALLS if "conv" not in name and "pool" not in name]


MOVES = {"join_heads", "split_heads"}  # elements go elsewhere, of any dtype, and nothing is computed


def test_every_function_that_computes_is_tried():
    assert set(CALLS) == set(F.__all__) - MOVES


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CALLS)
def test_arrays_give_arrays_and_tensors_tensors_with_the_same_values(name, dtype):
    f, *shapes = CALLS[name]
    xs = [DRAWN.normal(size=shape).astype(dtype) for shape in shapes]
    plain = f(*xs)
    assert isinstance(plain, np.ndarray | np.generic) and plain.dtype == dtype
    for tracked in (False, True):
        given = f(*[Tensor(x, requires_grad=tracked) for x in xs])
        assert type(given) is Tensor and given.requires_grad == tracked and given.dtype == dtype
        np.testing.assert_allclose(given.numpy(), plain, rtol=1e-6)
    if len(xs) > 1:
        for k in range(len(xs)):
            mixed = f(*[Tensor(x, requires_grad=True) if i == k else x for i, x in enumerate(xs)])
            assert type(mixed) is Tensor and mixed.requires_grad


@pytest.mark.parametrize("name", LISTED)
def test_lists_are_read_as_arrays(name):
    f, *shapes = CALLS[name]
    xs = [DRAWN.normal(size=shape) for shape in shapes]
    found = f(*[x.tolist() for x in xs])
    assert isinstance(found, np.ndarray | np.generic)
    np.testing.assert_array_equal(found, f(*xs))


def test_a_list_of_tracked_tensors_is_refused_and_not_cut_off():
    x = Tensor(1.0, requires_grad=True)
    with pytest.raises(LostGradientError, match=r"np\.stack"):
        F.softmax([x, x])


@pytest.mark.parametrize("x", ["abc", None, 1j * np.ones(2), {"a": 1.0}])
def test_what_is_not_real_is_refused(x):
    for f in (F.sigmoid, F.gelu, F.softmax, F.log_softmax, F.logsumexp, F.layer_norm):
        with pytest.raises(DtypeError, match="takes real numbers"):
            f(x)


# Integers


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, bool])
def test_relu_keeps_the_dtype_that_numpy_gives(dtype):
    x = np.array([0, 1, 5]).astype(dtype)
    for found in (F.relu(x), F.relu(Tensor(x)), Tensor(x).relu()):
        assert found.dtype == np.maximum(x, 0).dtype
        assert found.tolist() == np.maximum(x, 0).tolist()
    assert F.relu(np.array([-3, 2])).tolist() == [0, 2]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
@pytest.mark.parametrize("name", [name for name in LISTED if name not in ("relu", "embedding")])
def test_integers_do_not_wrap_around(name, dtype):
    """uint8: 1 − 3 is 254, and softmax of [1, 3] was wrong without a word."""
    f, *shapes = CALLS[name]
    xs = [DRAWN.integers(0, 6, shape) for shape in shapes]
    expected = f(*[x.astype(float) for x in xs])
    for kind in (np.asarray, Tensor):
        found = f(*[kind(x.astype(dtype)) for x in xs])
        assert found.dtype == np.float64
        np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_nan_to_num_returns_integers_as_they_are(dtype):
    x = np.array([0, 1, 7]).astype(dtype)
    found = np.nan_to_num(Tensor(x))
    assert found.dtype == x.dtype and found.tolist() == x.tolist()


# Sizes of 0 and 1


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0), (2, 0, 3)])
def test_softmax_of_nothing_is_empty_and_its_log_sum_exp_minus_infinity(shape):
    for kind in (np.asarray, lambda x: Tensor(x, requires_grad=True)):
        x = kind(np.zeros(shape))
        for axis in range(len(shape)):
            assert F.softmax(x, axis).shape == F.log_softmax(x, axis).shape == shape
            found = F.logsumexp(x, axis)
            assert found.shape == shape[:axis] + shape[axis + 1 :]
            assert (found == -np.inf).all()
    np.testing.assert_array_equal(F.logsumexp(np.zeros((2, 0))), special.logsumexp(np.zeros((2, 0)), axis=-1))
    (F.softmax(x).sum() + F.log_softmax(x).sum()).backward()
    assert x.grad.shape == shape


def test_softmax_agrees_with_scipy_where_there_is_something():
    x = DRAWN.normal(size=(3, 4)) * 300
    for axis in (0, 1, -1):
        np.testing.assert_allclose(F.softmax(x, axis), special.softmax(x, axis), rtol=1e-12)
        np.testing.assert_allclose(F.log_softmax(x, axis), special.log_softmax(x, axis), rtol=1e-12)
        for keep in (False, True):
            expected = special.logsumexp(x, axis, keepdims=keep)
            np.testing.assert_allclose(F.logsumexp(x, axis, keep), expected, rtol=1e-12)


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm])
def test_a_norm_over_nothing_is_refused_and_over_one_element_defined(f):
    for shape in ((2, 0), ()):
        with pytest.raises(ShapeError, match="no last axis"):
            f(np.zeros(shape))
    assert f(np.zeros((0, 3))).shape == (0, 3)
    one = f(np.array([[3.0]]), eps=0.0 if f is F.rms_norm else 1e-5)
    assert one.tolist() == [[1.0 if f is F.rms_norm else 0.0]]


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm])
@pytest.mark.parametrize("eps", [-1e-5, np.nan, np.inf])
def test_eps_of_a_norm_is_finite_and_not_negative(f, eps):
    with pytest.raises(ValueError, match="norm: eps = .* 0 or more"):
        f(np.ones((2, 3)), eps=eps)


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm])
def test_eps_of_numpys_float64_does_not_promote(f):
    assert f(np.ones((2, 3), np.float32), eps=np.float64(1e-5)).dtype == np.float32


def test_losses_over_nothing_are_refused():
    with pytest.raises(ShapeError, match=r"\(0, 3\) hold no element"):
        F.mse(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(ValueError, match="no target to average over: there are none"):
        F.cross_entropy(np.zeros((0, 3)), [])
    assert F.embedding(np.ones((4, 2)), []).shape == (0, 2)


def test_mse_says_which_shapes_differ_for_lists_too():
    with pytest.raises(ShapeError, match=r"\(2,\) and \(1, 2\) differ"):
        F.mse([1.0, 2.0], [[1.0, 2.0]])


# Cross-entropy, dropout


def test_ignored_targets_may_lie_outside_the_classes_and_others_may_not():
    logits = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    for ignore in (-100, -1, 7):
        assert F.cross_entropy(logits, [ignore, 1], ignore=ignore) == pytest.approx(-np.log(0.75))
        assert F.cross_entropy(logits, [0, 1], ignore=ignore) == F.cross_entropy(logits, [0, 1])
    assert F.cross_entropy(logits, np.array([0, 1], np.uint8), ignore=-100) == F.cross_entropy(logits, [0, 1])
    with pytest.raises(IndexError, match="target -100 at position 0"):
        F.cross_entropy(logits, [-100, 1], ignore=-1)


def test_ignore_is_a_class_id():
    with pytest.raises(TypeError, match=r"ignore = 1\.5 is no class id"):
        F.cross_entropy(np.zeros((2, 3)), [0, 1], ignore=1.5)


def test_a_target_that_cannot_be_costs_infinity():
    logits = np.array([[0.0, -np.inf], [0.0, 0.0]])
    assert F.cross_entropy(logits, [1, 0]) == np.inf


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, np.nan])
def test_dropout_zeroes_a_share_below_one(p):
    for training in (True, False):
        with pytest.raises(ValueError, match=r"p = .* \[0, 1\)"):
            F.dropout(np.ones(3), p, np.random.default_rng(0), training)
    with pytest.raises(ValueError, match=r"p = .* \[0, 1\)"):
        nn.Dropout(p, rng=np.random.default_rng(0))


@pytest.mark.parametrize("rng", [None, 0, np.random.default_rng, np.random.RandomState(0)])
def test_dropout_wants_a_generator_and_no_seed(rng):
    with pytest.raises(TypeError, match=r"pass rng=np\.random\.default_rng\(seed\)"):
        F.dropout(np.ones(3), 0.5, rng)


# Attention


@pytest.mark.parametrize(("shapes", "words"), [
    (((3, 4), (5, 3), (5, 2)), "multiplied"),
    (((3, 4), (5, 4), (6, 2)), "5 keys cannot weigh 6 values"),
    (((2, 3, 4), (3, 5, 4), (2, 5, 2)), "leading axes do not broadcast"),
    (((3, 4), (4,), (5, 2)), "two axes"),
    (((), (5, 4), (5, 2)), "two axes"),
    (((3, 0), (5, 0), (5, 2)), "not 0"),
])  # fmt: skip
def test_attention_names_the_shapes_that_do_not_fit(shapes, words):
    for kind in (np.asarray, Tensor):
        with pytest.raises(ShapeError, match=words) as caught:
            F.attention(*[kind(np.ones(shape)) for shape in shapes])
        assert "q {}, k {}, v {}".format(*shapes) in str(caught.value)


def test_attention_broadcasts_and_gives_zeros_where_there_are_no_keys():
    q, k, v = DRAWN.normal(size=(2, 1, 3, 4)), DRAWN.normal(size=(5, 6, 4)), DRAWN.normal(size=(6, 2))
    y = F.attention(q, k, v)
    assert y.shape == (2, 5, 3, 2)
    np.testing.assert_allclose(y[1, 4], F.attention(q[1, 0], k[4], v))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, weights = F.attention(q, np.zeros((0, 4)), np.zeros((0, 2)), return_weights=True)
    assert y.shape == (2, 1, 3, 2) and (y == 0).all() and weights.shape == (2, 1, 3, 0)


def test_attention_wants_a_boolean_mask_also_as_a_list():
    q = DRAWN.normal(size=(2, 3))
    np.testing.assert_array_equal(F.attention(q, q, q, [[True, False], [True, True]])[0], q[0])
    with pytest.raises(DtypeError, match="boolean"):
        F.attention(q, q, q, [[1, 0], [1, 1]])


def test_attention_adds_its_bias_to_the_scores_and_may_not_grow_by_it():
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(2, 3, 4)) for _ in range(3))
    bias = rng.normal(size=(3, 3))
    weights = F.softmax(q @ k.mT / 2 + bias)
    for given in (bias, bias.tolist(), Tensor(bias)):
        found, seen = F.attention(Tensor(q), k, v, bias=given, return_weights=True)
        np.testing.assert_allclose(seen.numpy(), weights, rtol=1e-12)
        np.testing.assert_allclose(found.numpy(), weights @ v, rtol=1e-12)
    with pytest.raises(ShapeError, match=r"a bias \(4, 3\) does not broadcast to the scores \(2, 3, 3\)"):
        F.attention(q, k, v, bias=np.zeros((4, 3)))
