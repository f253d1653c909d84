"""What a layer leaves unchanged, its gradient must know: relations between two runs, with no formula and no oracle.

If f(x + c) = f(x), the gradient is orthogonal to c; if f(πx) = πf(x), the gradients are permuted likewise. Each test
holds the values to the relation and the gradients too, for drawn cotangents. The model's are in test_metamorphic_model.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, gradients
from tinygrad_edu import functional as F

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)
drawn = given(seed=SEEDS, n=SIZES, m=st.integers(2, 5))


def pulled(f, *xs, g=None, rng=None):
    """f's value, the gradients by every x, and the cotangent, which is drawn unless given."""
    leaves = [Tensor(x, requires_grad=True) for x in xs]
    y = f(*leaves)
    g = rng.standard_normal(y.shape) if g is None else g
    found = gradients(y, leaves, Tensor(g), allow_unused=True)
    return y.numpy(), [np.zeros(x.shape) if d is None else d.numpy() for d, x in zip(found, xs, strict=True)], g


def near(a, b, size=1.0):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * size)


def normal(rng, *shapes):
    return [rng.standard_normal(shape) for shape in shapes]


# Shifts


@pytest.mark.parametrize("f", [F.softmax, F.log_softmax], ids=["softmax", "log_softmax"])
@drawn
def test_softmax_forgets_a_shift_and_its_gradient_sums_to_zero(f, seed, n, m):
    rng = np.random.default_rng(seed)
    x, c = normal(rng, (n, m), (n, 1))
    y, (dx,), g = pulled(f, x, rng=rng)
    shifted, (d_shifted,), _ = pulled(f, x + 10 * c, g=g)
    near(shifted, y)
    near(d_shifted, dx)
    near(dx.sum(-1), 0.0)


@drawn
def test_logsumexp_rises_with_a_shift_so_its_gradient_sums_to_the_cotangent(seed, n, m):
    rng = np.random.default_rng(seed)
    x, c = normal(rng, (n, m), (n, 1))
    y, (dx,), g = pulled(F.logsumexp, x, rng=rng)
    near(pulled(F.logsumexp, x + c, g=g)[0], y + c[:, 0])
    near(dx.sum(-1), g)


@drawn
def test_layer_norm_forgets_a_shift_and_its_gradient_sums_to_zero(seed, n, m):
    rng = np.random.default_rng(seed)
    x, w, b, c = normal(rng, (n, m), (m,), (m,), (n, 1))
    y, (dx, dw, db), g = pulled(F.layer_norm, x, w, b, rng=rng)
    shifted, found, _ = pulled(F.layer_norm, x + c, w, b, g=g)
    near(shifted, y, 1e3)
    for a, expected in zip(found, (dx, dw, db), strict=True):
        near(a, expected, 1e4 * max(1.0, np.abs(dx).max()))
    near(dx.sum(-1), 0.0, max(1.0, np.abs(dx).max()))


# Scales


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm], ids=["layer_norm", "rms_norm"])
@given(seed=SEEDS, n=SIZES, m=st.integers(3, 5), power=st.integers(-3, 3))
def test_norm_without_eps_forgets_a_scale_and_its_gradient_is_orthogonal_to_x(f, seed, n, m, power):
    rng = np.random.default_rng(seed)
    (x,), a = normal(rng, (n, m)), 2.0**power
    y, (dx,), g = pulled(lambda x: f(x, eps=0.0), x, rng=rng)
    scaled, (d_scaled,), _ = pulled(lambda x: f(x, eps=0.0), a * x, g=g)
    near(scaled, y)
    near(a * d_scaled, dx, np.abs(dx).max())
    near((dx * x).sum(-1), 0.0, 10 * np.abs(dx).max())


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm], ids=["layer_norm", "rms_norm"])
@drawn
def test_norm_scaled_with_its_eps_stays_as_it_is(f, seed, n, m):
    """eps is inside the root, and counts in the units of x²."""
    rng = np.random.default_rng(seed)
    (x,) = normal(rng, (n, m))
    y, (dx,), g = pulled(lambda x: f(x, eps=0.1), x, rng=rng)
    scaled, (d_scaled,), _ = pulled(lambda x: f(x, eps=0.4), 2.0 * x, g=g)
    near(scaled, y)
    near(2.0 * d_scaled, dx)


@given(seed=SEEDS, n=SIZES, power=st.integers(-3, 3))
def test_relu_is_homogeneous_so_its_gradient_forgets_a_scale_and_gives_it_back(seed, n, power):
    """relu(ax) = a relu(x) for a > 0; by Euler, x · gradient = cotangent · relu(x)."""
    rng = np.random.default_rng(seed)
    (x,), a = normal(rng, (n, 3)), 2.0**power
    y, (dx,), g = pulled(F.relu, x, rng=rng)
    scaled, (d_scaled,), _ = pulled(F.relu, a * x, g=g)
    np.testing.assert_array_equal(scaled, a * y)
    np.testing.assert_array_equal(d_scaled, dx)
    near(np.sum(x * dx), np.sum(g * y))


@pytest.mark.parametrize("f", [F.relu, F.gelu, lambda x: F.gelu(x, "tanh"), F.silu], ids="relu gelu tanh silu".split())
@drawn
def test_gate_minus_its_mirror_image_is_x_itself(f, seed, n, m):
    rng = np.random.default_rng(seed)
    (x,) = normal(rng, (n, m))
    y, (dx,), g = pulled(lambda x: f(x) - f(-x), x, rng=rng)
    near(y, x)
    near(dx, g)


@drawn
def test_sigmoid_and_its_mirror_image_are_one(seed, n, m):
    rng = np.random.default_rng(seed)
    (x,) = normal(rng, (n, m))
    y, (dx,), _ = pulled(lambda x: F.sigmoid(20 * x) + F.sigmoid(-20 * x), x, rng=rng)
    near(y, 1.0)
    near(dx, 0.0)


# Attention


def attended(seed, T, S, d):
    rng = np.random.default_rng(seed)
    mask = rng.random((T, S)) < 0.7
    return rng, mask, normal(rng, (T, d), (S, d), (S, d))


three_sizes = given(seed=SEEDS, T=SIZES, S=st.integers(2, 5), d=SIZES)


@three_sizes
def test_attention_does_not_mind_the_order_of_keys_and_values(seed, T, S, d):
    rng, mask, (q, k, v) = attended(seed, T, S, d)
    p = rng.permutation(S)
    y, (dq, dk, dv), g = pulled(lambda *x: F.attention(*x, mask), q, k, v, rng=rng)
    again, found, _ = pulled(lambda *x: F.attention(*x, mask[:, p]), q, k[p], v[p], g=g)
    near(again, y)
    for a, expected in zip(found, (dq, dk[p], dv[p]), strict=True):
        near(a, expected)


@three_sizes
def test_attention_follows_the_order_of_its_queries(seed, T, S, d):
    rng, mask, (q, k, v) = attended(seed, T, S, d)
    p = rng.permutation(T)
    y, (dq, dk, dv), g = pulled(lambda *x: F.attention(*x, mask), q, k, v, rng=rng)
    again, found, _ = pulled(lambda *x: F.attention(*x, mask[p]), q[p], k, v, g=g[p])
    near(again, y[p])
    for a, expected in zip(found, (dq[p], dk, dv), strict=True):
        near(a, expected)


@three_sizes
def test_what_is_added_to_every_key_changes_nothing_so_their_gradients_sum_to_zero(seed, T, S, d):
    rng, mask, (q, k, v) = attended(seed, T, S, d)
    y, (dq, dk, dv), g = pulled(lambda *x: F.attention(*x, mask), q, k, v, rng=rng)
    again, (dq_again, *_), _ = pulled(lambda *x: F.attention(*x, mask), q, k + rng.standard_normal(d), v, g=g)
    near(again, y)
    near(dq_again, dq)
    near(dk.sum(0), 0.0)


@three_sizes
def test_attention_is_linear_in_the_values(seed, T, S, d):
    rng, mask, (q, k, v) = attended(seed, T, S, d)
    (u,) = normal(rng, v.shape)
    y, (_, _, dv), g = pulled(lambda *x: F.attention(*x, mask), q, k, v, rng=rng)
    of_u, (_, _, du), _ = pulled(lambda *x: F.attention(*x, mask), q, k, u, g=g)
    near(pulled(lambda *x: F.attention(*x, mask), q, k, 2 * v - 3 * u, g=g)[0], 2 * y - 3 * of_u)
    near(du, dv)
    near(np.sum(v * dv), np.sum(g * y))


@given(seed=SEEDS, T=st.integers(2, 5), d=SIZES, data=st.data())
def test_no_gradient_goes_from_a_position_to_a_later_one_when_causal(seed, T, d, data):
    """Exactly 0, by query, key and value; and whatever stands there changes no bit of the output."""
    rng, t = np.random.default_rng(seed), data.draw(st.integers(0, T - 2))
    q, k, v = normal(rng, (T, d), (T, d), (T, d))
    f = lambda *x: F.attention(*x, np.tri(T, dtype=bool))[t]  # noqa: E731
    y, found, g = pulled(f, q, k, v, rng=rng)
    for each in found:
        assert not each[t + 1 :].any()
    later = np.arange(T)[:, None] > t
    again, repeated, _ = pulled(f, *[np.where(later, 1e3 * rng.standard_normal((T, d)), x) for x in (q, k, v)], g=g)
    np.testing.assert_array_equal(again, y)
    for a, expected in zip(repeated, found, strict=True):
        np.testing.assert_array_equal(a, expected)


# Losses


def scored(seed, n, V):
    rng = np.random.default_rng(seed)
    return rng, 3 * rng.standard_normal((n, V)), rng.integers(V, size=n)


@drawn
def test_cross_entropy_forgets_a_shift_of_a_rows_logits(seed, n, m):
    rng, z, t = scored(seed, n, m)
    y, (dz,), g = pulled(lambda z: F.cross_entropy(z, t), z, rng=rng)
    shifted, (d_shifted,), _ = pulled(lambda z: F.cross_entropy(z, t), z + 10 * rng.standard_normal((n, 1)), g=g)
    near(shifted, y)
    near(d_shifted, dz)
    near(dz.sum(-1), 0.0)


@drawn
def test_cross_entropy_does_not_mind_the_names_of_classes_nor_the_order_of_rows(seed, n, m):
    rng, z, t = scored(seed, n, m)
    classes, order = rng.permutation(m), rng.permutation(n)
    y, (dz,), g = pulled(lambda z: F.cross_entropy(z, t), z, rng=rng)
    renamed = np.argsort(classes)[t][order]
    again, (d_again,), _ = pulled(lambda z: F.cross_entropy(z, renamed), z[order][:, classes], g=g)
    near(again, y)
    near(d_again, dz[order][:, classes])


@drawn
def test_cross_entropy_is_a_mean_so_a_batch_twice_over_halves_each_gradient(seed, n, m):
    rng, z, t = scored(seed, n, m)
    y, (dz,), g = pulled(lambda z: F.cross_entropy(z, t), z, rng=rng)
    twice, (d_twice,), _ = pulled(lambda z: F.cross_entropy(z, np.tile(t, 2)), np.tile(z, (2, 1)), g=g)
    near(twice, y)
    near(d_twice, np.tile(dz, (2, 1)) / 2)


@drawn
def test_ignored_tokens_get_exactly_nothing_and_the_others_what_they_get_alone(seed, n, m):
    rng, z, t = scored(seed, n + 1, m)
    kept = np.arange(n + 1) < n
    order = rng.permutation(n + 1)
    y, (dz,), g = pulled(lambda z: F.cross_entropy(z, t[:n]), z[:n], rng=rng)
    with_ignored = np.where(kept, t, -1)[order]
    again, (d_again,), _ = pulled(lambda z: F.cross_entropy(z, with_ignored, ignore=-1), z[order], g=g)
    near(again, y)
    near(d_again[np.argsort(order)][:n], dz)
    assert not d_again[~kept[order]].any()


@drawn
def test_cross_entropy_is_affine_in_the_smoothing(seed, n, m):
    rng, z, t = scored(seed, n, m)
    g = np.array(rng.standard_normal())
    losses = [pulled(lambda z, a=a: F.cross_entropy(z, t, label_smoothing=a), z, g=g) for a in (0.0, 0.2, 0.4)]
    near(losses[2][0], 2 * losses[1][0] - losses[0][0])
    near(losses[2][1][0], 2 * losses[1][1][0] - losses[0][1][0])


@drawn
def test_mse_is_symmetric_and_knows_differences_alone(seed, n, m):
    rng = np.random.default_rng(seed)
    a, b, c = normal(rng, (n, m), (n, m), (n, m))
    y, (da, db), g = pulled(F.mse, a, b, rng=rng)
    near(pulled(F.mse, b + c, a + c, g=g)[0], y)
    near(da, -db)


# Embedding and dropout


@drawn
def test_gradient_of_a_repeated_token_is_the_sum_over_its_positions(seed, n, m):
    rng = np.random.default_rng(seed)
    ids, (table,) = rng.integers(m, size=(n, 6)), normal(rng, (m, 3))
    _, (d,), g = pulled(lambda w: F.embedding(w, ids), table, rng=rng)
    one_by_one = [pulled(lambda w, k=k: F.embedding(w, ids.ravel()[k]), table, g=g.reshape(-1, 3)[k])[1][0]
                  for k in range(ids.size)]  # fmt: skip
    near(d, sum(one_by_one))
    assert not d[np.setdiff1d(np.arange(m), ids)].any()


@drawn
def test_embedding_is_linear_in_its_table_and_sums_the_cotangent_up(seed, n, m):
    rng = np.random.default_rng(seed)
    ids, (a, b) = rng.integers(m, size=n), normal(rng, (m, 3), (m, 3))
    f = lambda w: F.embedding(w, ids)  # noqa: E731
    near(f(2 * a - 3 * b), 2 * f(a) - 3 * f(b))
    _, (d,), g = pulled(f, a, rng=rng)
    near(np.sum(a * d), np.sum(g * f(a)))
    near(d.sum(0), g.sum(0))


@drawn
def test_dropout_of_nothing_is_the_identity_and_of_some_the_same_mask_both_ways(seed, n, m):
    rng = np.random.default_rng(seed)
    (x,) = normal(rng, (n, m))
    y, (dx,), g = pulled(lambda x: F.dropout(x, 0.0), x, rng=rng)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(dx, g)
    y, (dx,), g = pulled(lambda x: F.dropout(x, 0.4, np.random.default_rng(seed)), x, rng=rng)
    near(dx, g * (y / x))


@settings(max_examples=10)
@given(seed=SEEDS, p=st.sampled_from([0.1, 0.5, 0.9]))
def test_dropout_keeps_the_mean_and_so_does_its_gradient(seed, p):
    """40,000 draws: within six standard errors."""
    x, g = np.ones(40_000), np.ones(40_000)
    y, (dx,), _ = pulled(lambda x: F.dropout(x, p, np.random.default_rng(seed)), x, g=g)
    error = 6 * np.sqrt(p / (1 - p) / x.size)
    assert abs(y.mean() - 1) < error and abs(dx.mean() - 1) < error
