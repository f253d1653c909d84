"""Compiled kernels say what NumPy's say, to the last digits of float32; unasked, and in float64, nothing changes."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, compile_kernels, gradients, optim
from tinygrad_edu import compiled as module
from tinygrad_edu import functional as F
from tinygrad_edu.rules import fused, fused_rows, loops
from transformer import Transformer, TransformerConfig

EPS = float(np.finfo(np.float32).eps)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def numba():
    return pytest.importorskip("numba")


def compiled(f):
    """What f() returns while the compiled kernels are in place."""
    compile_kernels()
    try:
        return f()
    finally:
        compile_kernels(False)


def near(ours, exact, digits):
    """Within so many float32 units of the largest value; NaN and inf at the same places."""
    size = np.max(np.abs(exact), initial=1.0, where=np.isfinite(exact))
    np.testing.assert_allclose(ours, exact, rtol=digits * EPS, atol=digits * EPS * size)


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def masked(shape):
    return np.random.default_rng(shape[-1]).random(shape) < 0.6


# name → (function of Tensors, the shapes of its arguments, made of two sizes)
KERNELS = {
    "relu": (F.relu, lambda n, d: [(n, d)]),
    "gelu": (F.gelu, lambda n, d: [(n, d)]),
    "softmax": (F.softmax, lambda n, d: [(n, d)]),
    "softmax of five axes": (F.softmax, lambda n, d: [(2, 1, n, 2, d)]),
    "masked softmax": (lambda x: fused_rows.softmax(x, masked((2, 1, x.shape[-1]))), lambda n, d: [(2, n, d)]),
    "one mask for all keys": (lambda x: fused_rows.softmax(x, masked((x.shape[-2], 1))), lambda n, d: [(2, n, d)]),
    "layer norm": (F.layer_norm, lambda n, d: [(n, d), (d,), (d,)]),
    "layer norm without tables": (F.layer_norm, lambda n, d: [(2, n, d)]),
    "rms norm": (F.rms_norm, lambda n, d: [(n, d), (d,)]),
    "attention": (lambda x: F.self_attention(x, 2)[0], lambda n, d: [(2, n, 6 * d)]),
    "causal attention": (
        lambda x: F.self_attention(x, 1, np.tri(x.shape[1], k=-1, dtype=bool))[0], lambda n, d: [(2, n, 3 * d)],
    ),
    "padded attention": (
        lambda x: F.self_attention(x, 1, masked((2, 1, 1, x.shape[1])))[0], lambda n, d: [(2, n, 3 * d)],
    ),
}  # fmt: skip


def value_and_gradients(f, arrays, seed):
    xs = [Tensor(x, requires_grad=True) for x in arrays]
    y = f(*xs)
    c = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
    return [t.numpy() for t in (y, *gradients(np.sum(y * c), xs))]


@pytest.mark.parametrize("name", KERNELS)
@settings(max_examples=15)
@given(seed=SEEDS, n=st.integers(1, 9), d=st.integers(2, 40), transposed=st.booleans())
def test_compiled_kernels_are_as_near_to_the_exact_result_as_numpys(numba, name, seed, n, d, transposed):
    f, shapes = KERNELS[name]
    arrays = drawn(seed, *shapes(n, d))
    if transposed:
        arrays[0] = np.asfortranarray(arrays[0])
    exact = value_and_gradients(f, [x.astype(np.float64) for x in arrays], seed)
    usual = value_and_gradients(f, arrays, seed)
    for ours, theirs, right in zip(compiled(lambda: value_and_gradients(f, arrays, seed)), usual, exact, strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        near(ours, right, 48)
        near(theirs, right, 48)


EDGES = [
    [1000.0, -1000.0, 999.0], [-1000.0, -1000.0, -1000.0], [88.0, -104.0, 0.0], [-np.inf, -np.inf, -np.inf],
    [-np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0], [np.inf, 1.0, -np.inf], [np.inf, np.inf, 0.0], [0.0, -0.0, 0.0],
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("f", [F.relu, F.gelu, F.softmax], ids=["relu", "gelu", "softmax"])
@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_compiled_kernels_meet_large_numbers_nan_and_infinity_as_numpys_do(numba, f, edge):
    x = [np.array([edge], np.float32)]
    usual = value_and_gradients(f, x, 0)
    for ours, theirs in zip(compiled(lambda: value_and_gradients(f, x, 0)), usual, strict=True):
        near(ours, theirs, 4)


def test_a_row_of_a_compiled_kernel_looks_at_no_other_and_at_nothing_behind_its_mask(numba):
    x, other = drawn(3, (2, 3, 5, 33), (2, 3, 5, 33))
    mask = masked((2, 1, 5, 33)).astype(np.float32)
    changed = np.where(mask == 0, np.nan, x)
    changed[1] = other[1]
    a, b = compiled(lambda: [fused_rows.weights_of(each, mask) for each in (x, changed)])
    np.testing.assert_array_equal(a[0], b[0])
    a, b = compiled(lambda: [fused_rows.norm_value(each, None, None, 1e-5, True) for each in (x, changed[::-1])])
    assert not np.array_equal(a, b)
    x[1], changed = np.nan, x.copy()
    np.testing.assert_array_equal(
        *compiled(lambda: [fused_rows.norm_value(each, None, None, 1e-5, True)[0] for each in (x, changed)])
    )


def test_other_dtypes_and_second_derivatives_go_through_numpy(numba):
    x = np.random.default_rng(0).standard_normal((3, 4))
    usual = [fused_rows.norm_value(x, None, None, 1e-5, True), fused.gelu(x), fused.gelu(x.astype(np.float16))]
    again = compiled(lambda: [
        fused_rows.norm_value(x, None, None, 1e-5, True), fused.gelu(x), fused.gelu(x.astype(np.float16))
    ])  # fmt: skip
    for ours, theirs in zip(again, usual, strict=True):
        np.testing.assert_array_equal(ours, theirs)

    def curvature():
        t = Tensor(x.astype(np.float32), requires_grad=True)
        first = gradients(np.sum(F.gelu(F.layer_norm(t))), t, create_graph=True)
        return gradients(np.sum(first * first), t).numpy()

    near(compiled(curvature), curvature(), 64)


def test_a_model_learns_the_same_compiled(numba):
    config = TransformerConfig(vocab_size=11, embed_dim=16, num_heads=2, ffn_dim=24, causal=True, pooling=None,
                               norm="pre", activation="gelu", pad_id=None)  # fmt: skip
    tokens = np.random.default_rng(1).integers(0, 11, (3, 9))

    def gradients_of_all():
        model = Transformer(config, seed=0)
        loss = F.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        return [loss.numpy(), *[g.numpy() for g in gradients(loss, model.parameters())]]

    usual = gradients_of_all()
    found = compiled(gradients_of_all)
    assert any(not np.array_equal(a, b) for a, b in zip(found, usual, strict=True))  # the kernels did run
    for ours, theirs in zip(found, usual, strict=True):
        near(ours, theirs, 32)


@settings(max_examples=10)
@given(seed=SEEDS, steps=st.integers(1, 4), decay=st.sampled_from([0.0, 0.1]), decoupled=st.booleans())
def test_compiled_adam_takes_the_same_steps(numba, seed, steps, decay, decoupled):
    def walk():
        weights = [Tensor(x, requires_grad=True) for x in drawn(seed, (3, 5), (7,))]
        kind = optim.AdamW if decoupled else optim.Adam
        optimizer = kind(weights, lr=0.1, weight_decay=decay)
        for k in range(steps):
            for each, g in zip(weights, drawn(seed + k + 1, (3, 5), (7,)), strict=True):
                each.grad = Tensor(g * 10.0 ** (k - 2))
            optimizer.step()
        memories = [array for name, array in optimizer.state_dict().items() if name[:2] in ("m.", "v.")]
        return [each.numpy() for each in weights] + memories

    for ours, theirs in zip(compiled(walk), walk(), strict=True):
        near(ours, theirs, 8)


# Without a compiler


def test_without_numba_nothing_is_compiled_and_the_error_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(module, "translated", module.translated.__wrapped__)
    with pytest.raises(ImportError, match=r"numba is not installed; pip install tinygrad_edu\[fast\]"):
        compile_kernels()
    assert not loops.COMPILED


def test_an_exponential_of_what_is_not_positive_is_right_to_a_unit_in_the_last_place():
    x = np.concatenate([np.linspace(-87.0, 0.0, 3001, dtype=np.float32), -np.float32(2.0) ** np.arange(-30, 0)])
    found = np.array([loops.exponential(np.float32(each)) for each in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=EPS)
    assert [loops.exponential(np.float32(each)) for each in (0.0, -0.0, -87.5, -np.inf)] == [1, 1, 0, 0]
    assert found.dtype == np.float32


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@given(seed=SEEDS, n=st.integers(1, 3), d=st.integers(1, 4), centre=st.booleans())
@settings(max_examples=15)
def test_each_loop_is_its_kernel_also_as_plain_python(seed, n, d, centre):
    x, g, weight, bias = drawn(seed, (n, d), (n, d), (d,), (d,))
    eps = np.float32(0.1)

    def run(loop, *args, shape=(n, d)):
        out = np.zeros(shape, np.float32)
        loop(*args, out)
        return out

    flat = [each.reshape(-1) for each in (g, x)]
    near(run(loops.relu_value, flat[1], shape=n * d), fused.relu_value(flat[1]), 0)
    near(run(loops.where_positive, *flat, shape=n * d), fused.where_positive(*flat), 0)
    near(run(loops.gelu_value, flat[1], shape=n * d), fused.gelu_value(flat[1]), 8)
    of_gelu = flat[0], fused.gelu(flat[1]), flat[1]
    near(run(loops.gelu_slope, *of_gelu, shape=n * d), fused.gelu_slope(*of_gelu), 16)
    find, kept = np.zeros((n, 2), np.float32), np.zeros((n, 2), np.float32)
    near(
        run(loops.norm_value, x, weight, bias, eps, centre, find),
        fused_rows.norm_value(x, weight, bias, eps, centre, kept), 16,
    )  # fmt: skip
    near(find, kept, 8)
    for found in (find, find[:0]):
        slope, of_weight = run(loops.norm_slope, g, x, weight, eps, centre, found), (x, eps, centre)
        near(slope, fused_rows.norm_slope(g, x, weight, eps, centre), 32)
        near(run(loops.norm_weight, g, *of_weight, found, shape=d), fused_rows.norm_weight(g, *of_weight), 16)
    shares, mask = x.reshape(1, 1, n, d).copy(), masked((1, 1, n, d)).astype(np.float32)
    loops.weights_of(shares, mask)
    near(shares, fused_rows.weights_of(x.reshape(1, 1, n, d), mask), 8)
