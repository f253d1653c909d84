"""Kernels are held to their definitions: values, first and second derivatives, at every edge, whole or in pieces."""

import math

import numpy as np
import pytest
from calls import Draw
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, checkpoint, definitions, gradients
from tinygrad_edu import functional as F
from tinygrad_edu.render.view import view_of
from tinygrad_edu.rules import fused_attention, pieces
from tinygrad_edu.rules.elementwise import erf
from tinygrad_edu.rules.fused import sigmoid, silu
from tinygrad_edu.rules.fused_rows import softmax


def targets_of(z):
    return np.arange(z.size // z.shape[-1]).reshape(z.shape[:-1]) % z.shape[-1]


def attention(x):
    """Of x with itself, under a mask that leaves the first query nothing. Were keys a multiple of the queries, nobody
    would see them exchanged: the scores would be symmetric.
    """
    return F.attention(x, np.tanh(x), x, np.tri(x.shape[-2], k=-1, dtype=bool))


def self_attention(heads, what, masked=True):
    """Of every sequence of x with itself, under such a mask; `what` chooses of the joined heads and the weights."""

    def f(x):
        T, width = x.shape[-2:]
        qkv = np.concatenate([x, np.tanh(x), x + 1.0], axis=-1).reshape(-1, T, 3 * width)
        made = F.self_attention(qkv, heads or width, np.tri(T, k=-1, dtype=bool) if masked else None)
        return np.concatenate([made[k].reshape(-1) for k in what])

    return f


# name → (function of float arrays, of x's shape the shapes of the others, x's least number of axes)
KERNELS = {
    "relu": (F.relu, lambda s: [], 0),
    "sigmoid": (F.sigmoid, lambda s: [], 0),
    "silu": (F.silu, lambda s: [], 0),
    "gelu": (F.gelu, lambda s: [], 0),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"), lambda s: [], 0),
    "softmax": (F.softmax, lambda s: [], 1),
    "log_softmax": (F.log_softmax, lambda s: [], 1),
    "logsumexp": (F.logsumexp, lambda s: [], 1),
    "logsumexp_kept": (lambda x: F.logsumexp(x, keepdims=True), lambda s: [], 1),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, w, b, 0.1), lambda s: [s[-1:], s[-1:]], 1),
    "layer_norm_bare": (lambda x: F.layer_norm(x, eps=0.1), lambda s: [], 1),
    "layer_norm_weight": (lambda x, w: F.layer_norm(x, w, eps=0.1), lambda s: [s[-1:]], 1),
    "layer_norm_bias": (lambda x, b: F.layer_norm(x, bias=b, eps=0.1), lambda s: [s[-1:]], 1),
    "rms_norm": (lambda x, w: F.rms_norm(x, w, 0.1), lambda s: [s[-1:]], 1),
    "rms_norm_bare": (lambda x: F.rms_norm(x, eps=0.1), lambda s: [], 1),
    "linear": (F.linear, lambda s: [(s[-1], 3), (3,)], 1),
    "linear_bare": (F.linear, lambda s: [(s[-1], s[-1])], 1),
    "cross_entropy": (lambda z: F.cross_entropy(z, targets_of(z)), lambda s: [], 2),
    "cross_entropy_smooth": (lambda z: F.cross_entropy(z, targets_of(z), label_smoothing=0.2), lambda s: [], 2),
    "cross_entropy_ignoring": (lambda z: F.cross_entropy(z, targets_of(z), ignore=1), lambda s: [], 2),
    "attention": (attention, lambda s: [], 2),
    "self_attention": (self_attention(0, [0]), lambda s: [], 2),
    "self_attention_weights": (self_attention(1, [1]), lambda s: [], 2),
    "self_attention_both": (self_attention(1, [0, 1], masked=False), lambda s: [], 2),
}
ONE_INPUT = [name for name, (_, others, _) in KERNELS.items() if not others((2, 3)) and "cross" not in name]
each_kernel = pytest.mark.parametrize("name", KERNELS)
SEEDS = st.integers(0, 2**32 - 1)


def all_of(f, xs, seed, order=2):
    """[value, first derivatives, second derivatives by the arguments and by the cotangent], as arrays."""
    rng = np.random.default_rng(seed)
    xs = [Tensor(x, requires_grad=True) for x in xs]
    y = f(*xs)
    c = Tensor(rng.standard_normal(y.shape), dtype=y.dtype, requires_grad=True)
    first = gradients(np.sum(y * c), xs, create_graph=order > 1)
    found = [y, *first]
    if order > 1:
        weights = [rng.standard_normal(g.shape).astype(g.dtype) for g in first]
        again = sum(np.sum(g * w) for g, w in zip(first, weights, strict=True))
        second = gradients(again, [*xs, c], allow_unused=True)
        found += [np.zeros(x.shape, x.dtype) if g is None else g for g, x in zip(second, [*xs, c], strict=True)]
    return [g.numpy() if isinstance(g, Tensor) else g for g in found]


def kernel_and_definition(f, xs, seed, order=2):
    found = all_of(f, xs, seed, order)
    with definitions():
        return zip(found, all_of(f, xs, seed, order), strict=True)


def assert_near(ours, theirs, digits):
    """Within so much of the largest value; NaN and inf at the same places."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    size = np.max(np.abs(theirs), initial=1.0, where=np.isfinite(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=digits, atol=digits * size)


def arguments(name, data, smallest=1):
    d = Draw(data.draw)
    _, others, least = KERNELS[name]
    shape = d.shape(least, smallest=max(smallest, 2 if "cross" in name else 1))
    return [d.array(shape), *[d.array(other) for other in others(shape)]]


@each_kernel
@settings(max_examples=12)
@given(data=st.data(), seed=SEEDS)
def test_kernel_and_definition_agree_to_the_second_derivative(name, data, seed):
    for ours, theirs in kernel_and_definition(KERNELS[name][0], arguments(name, data), seed):
        assert_near(ours, theirs, 1e-12)


@each_kernel
@settings(max_examples=6)
@given(data=st.data(), seed=SEEDS, rows=st.integers(1, 3))
def test_pieces_make_the_same_whole(name, data, seed, rows):
    f, xs = KERNELS[name][0], arguments(name, data)
    whole = all_of(f, xs, seed)
    before = pieces.PIECE
    pieces.PIECE = rows * 8 * xs[0].shape[-1] if xs[0].ndim else 8
    try:
        for ours, theirs in zip(all_of(f, xs, seed), whole, strict=True):
            assert_near(ours, theirs, 1e-13)
    finally:
        pieces.PIECE = before


def test_large_arrays_are_worked_out_in_pieces_that_fit_the_cache(monkeypatch):
    sizes = []
    watched = pieces.by_pieces(lambda x, y, table: sizes.append((x.nbytes, y.nbytes, table.size)) or x * y)
    x = np.ones((3, 5, 1000, 40))
    np.testing.assert_array_equal(watched(x, 2.0 * x[:, :1], np.ones(7)), 2.0 * x)
    assert len(sizes) > 15 and max(sizes)[0] <= 2 * pieces.PIECE and {size[2] for size in sizes} == {7}


@each_kernel
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_kernel_and_definition_agree_in_every_dtype(name, dtype):
    f, others, _ = KERNELS[name]
    rng = np.random.default_rng(0)
    xs = [rng.standard_normal(shape).astype(dtype) for shape in ((3, 5), *others((3, 5)))]
    digits = 16 * max(float(np.finfo(dtype).eps), np.finfo(np.float64).eps)  # constants such as √½ are float64's
    for ours, theirs in kernel_and_definition(f, xs, 1, order=1):
        assert_near(ours, theirs, digits)


EDGES = {
    "large": [[1000.0, -1000.0, 999.0], [-1000.0, -1000.0, -1000.0], [88.0, -104.0, 0.0]],
    "masked": [[-np.inf, -np.inf, -np.inf], [-np.inf, 1.0, 2.0], [0.0, -0.0, 0.0]],
    "one nan": [[np.nan, 1.0, 2.0], [0.0, 1.0, 2.0], [3.0, 2.0, 1.0]],
    "infinite": [[np.inf, 1.0, 2.0], [np.inf, -np.inf, 0.0], [3.0, np.inf, np.inf]],
    "empty": np.zeros((0, 3)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", [name for name in ONE_INPUT if "attention" not in name and name != "relu"])
def test_kernel_and_definition_agree_at_the_edges(name, edge):
    x = np.array(EDGES[edge])
    for ours, theirs in kernel_and_definition(KERNELS[name][0], [x], 2, order=1):
        assert_near(ours, theirs, 1e-12)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("edge", ["large", "masked", "one nan"])
def test_cross_entropy_agrees_with_its_definition_at_the_edges(edge, smoothing):
    def loss(z):
        return F.cross_entropy(z, [0, 1, 2], label_smoothing=smoothing)

    for ours, theirs in kernel_and_definition(loss, [np.array(EDGES[edge])], 2, order=1):
        assert_near(ours, theirs, 1e-12)


def test_a_row_that_may_see_nothing_is_zeros_in_value_and_gradient_whatever_the_logits():
    mask = np.array([[True, False, True], [False, False, False]])
    for x in ([[1.0, np.nan, 2.0], [np.nan, np.inf, 3.0]], [[0.5, 1000.0, 2.0], [1.0, 2.0, 3.0]]):
        x = Tensor(x, requires_grad=True)
        z = softmax(x, mask)
        z.backward(np.ones((2, 3)))
        assert not z.numpy()[~mask].any() and not x.grad.numpy()[~mask].any()
        np.testing.assert_allclose(z.numpy().sum(-1), [1.0, 0.0])


@pytest.mark.parametrize("x", [-800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0])
def test_slopes_of_the_logistic_keep_their_digits_on_both_sides(x):
    """e^−|x| is the small one of σ and 1 − σ; at 0 the third derivative −1/8 is not lost to |x|' = 0."""
    t = Tensor(x, requires_grad=True)
    first = gradients(sigmoid(t), t, create_graph=True)
    second = gradients(first, t, create_graph=True)
    e = np.exp(-abs(x))
    assert first.item() == pytest.approx(e / (1 + e) ** 2, rel=1e-15)
    assert second.item() == pytest.approx(-np.sign(x) * e * (1 - e) / (1 + e) ** 3, rel=1e-9)
    if not x:
        assert gradients(second, t).item() == pytest.approx(-1 / 8)
        first = gradients(silu(t), t, create_graph=True)
        second = gradients(first, t, create_graph=True)
        assert (first.item(), second.item(), gradients(second, t).item()) == (0.5, 0.5, 0.0)


@given(seed=SEEDS)
def test_erf_in_float32_is_that_of_float64_to_its_digits_and_never_above_one(seed):
    x = np.random.default_rng(seed).normal(0.0, 2.0, 300).astype(np.float32)
    x[:4] = 0.0, 30.0, -30.0, 4.0
    exact = np.array([math.erf(each) for each in x])
    np.testing.assert_allclose(erf(x), exact, rtol=4e-7)
    assert erf(x).dtype == np.float32 and np.abs(erf(x)).max() == 1.0
    np.testing.assert_allclose(erf(x.astype(np.float64)), exact, rtol=4e-16)
    assert erf(np.float16(0.5)).dtype == np.float16 and np.isnan(erf(np.float32(np.nan)))


def causal_attention(qkv, g, mask):
    """The joined heads, the weights and the gradient, of pieces of 20 queries at most."""
    before, pieces.PIECE = pieces.PIECE, 4 * qkv.shape[1] * 10
    try:
        x = Tensor(qkv, requires_grad=True)
        y, weights = F.self_attention(x, 2, mask)
        (np.sum(y * g) + np.sum(weights[..., 3] * g[:, None, :, 0])).backward()
        return y.numpy(), weights.numpy(), x.grad.numpy()
    finally:
        pieces.PIECE = before


@settings(max_examples=10)
@given(seed=SEEDS, T=st.integers(21, 90), padded=st.booleans())
def test_keys_that_a_whole_piece_may_not_look_at_are_left_out(seed, T, padded):
    rng = np.random.default_rng(seed)
    qkv, g = rng.standard_normal((2, T, 24)).astype(np.float32), rng.standard_normal((2, T, 8)).astype(np.float32)
    mask = np.tri(T, dtype=bool)
    if padded:
        mask = mask & (np.arange(T) < np.array([T, T // 2])[:, None])[:, None, None]
    keys, shares = [], fused_attention.weights_of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_attention, "weights_of", lambda x, *m, **k: keys.append(x.shape[-1]) or shares(x, *m, **k))
        found = causal_attention(qkv, g, mask)
    assert keys == [*range(20, T, 20), T] * 2
    with definitions():
        for ours, theirs in zip(found, causal_attention(qkv, g, mask), strict=True):
            assert_near(ours, theirs, 4e-6)


@settings(max_examples=10)
@given(seed=SEEDS, T=st.integers(21, 90), known=st.integers(1, 20))
def test_what_a_query_may_not_look_at_changes_no_bit_of_its_attention(seed, T, known):
    """Neither the tokens that come later, nor another sequence, nor how much of that is padding."""
    rng = np.random.default_rng(seed)
    qkv, g = rng.standard_normal((2, T, 24)).astype(np.float32), rng.standard_normal((2, T, 8)).astype(np.float32)
    g[:, known:] = 0  # of the later tokens nothing is asked
    causal = np.tri(T, dtype=bool)
    lengths = np.array([T, T // 2])
    mask = causal & (np.arange(T) < lengths[:, None])[:, None, None]
    changed = qkv.copy()
    changed[0, known:], changed[1] = 50 * rng.standard_normal((T - known, 24)), rng.standard_normal((T, 24))
    for ours, theirs in zip(
        causal_attention(qkv, g, mask), causal_attention(changed, g, np.broadcast_to(causal, (2, 1, T, T))), strict=True
    ):
        at = (0, slice(None), slice(known)) if ours.ndim == 4 else (0, slice(known))
        np.testing.assert_array_equal(ours[at], theirs[at])


# The switch


def labels(f, *shape):
    x = Tensor(np.ones(shape), requires_grad=True)
    found, stack = set(), [f(x)._node]
    while stack:
        node = stack.pop()
        found.add(node.label)
        stack += node.sources
    return found - {"leaf"}


@pytest.mark.parametrize("name", [name for name in ONE_INPUT if name != "relu"])
def test_definitions_are_recorded_in_place_of_the_kernel(name):
    f = KERNELS[name][0]
    kernel = labels(f, 3, 3)
    with definitions():
        defined = labels(f, 3, 3)
    assert len(kernel) < len(defined) and not defined & {"softmax", "layer_norm", "rms_norm", "gelu", "sigmoid"}
    assert labels(f, 3, 3) == kernel


def test_the_picture_shows_the_definition_on_demand():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    assert [node.label for node in view_of(F.softmax(x)).nodes if node.label == "softmax"]
    with definitions():
        assert {"exp", "sum", "divide"} <= {node.label for node in view_of(F.softmax(x)).nodes}


def test_a_checkpoint_runs_again_what_it_ran_first():
    x = Tensor(np.linspace(-1.0, 1.0, 12).reshape(3, 4), requires_grad=True)
    with definitions():
        y = checkpoint(lambda x: F.layer_norm(F.gelu(F.softmax(x))))(x)
    y.backward(np.ones(y.shape))
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("lead", [2.0, 20.0, 39.0, 250.0, 400.0])
def test_the_loss_of_a_sure_answer_keeps_its_digits(lead):
    """log(1 + e⁻ˡ) to the last digits, not l − l: whatever its size, and however the logits are shifted."""
    expected = np.log1p(np.exp(-lead))
    for shift in (0.0, -lead, 17.0):
        logits = np.array([[lead + shift, shift]])
        np.testing.assert_allclose(F.cross_entropy(logits, [0]), expected, rtol=1e-12, atol=2e-16)
        np.testing.assert_allclose(F.log_softmax(logits)[0, 0], -expected, rtol=1e-12, atol=2e-16)
    assert F.log_softmax(np.array([-0.599]))[0] == 0
