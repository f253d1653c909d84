"""The lesson's worked numbers, as a reader finds them with pencil and paper, and conventions at the edges."""

import math

import numpy as np
import pytest
from by_hand import activations, attention, embedding, linear, loss, optimisers, pooling, regularization


def test_column_of_the_output_projection_that_the_answer_chooses():
    """One row of logits' cotangent, −.3075 for the token '6': its column of dW is h times that."""
    h = np.array([[0.234, -0.567, 0.891, -0.123, 0.456]])
    g = np.zeros((1, 20))
    g[0, 8] = -0.3075
    _, dW, db = linear.linear_backward(g, h, np.zeros((5, 20)))
    assert dW[:, 8] == pytest.approx([-0.0720, 0.1744, -0.2740, 0.0378, -0.1402], abs=5e-5)
    assert db[8] == -0.3075
    assert np.count_nonzero(dW) == 5


def test_relu_passes_where_it_was_positive():
    z = np.array([-2.3, 1.5, -0.7, 3.2, 0.8])
    assert activations.relu_forward(z).tolist() == [0, 1.5, 0, 3.2, 0.8]
    assert activations.relu_backward(np.array([0.1, -0.2, 0.3, -0.4, 0.5]), z).tolist() == [0, -0.2, 0, -0.4, 0.5]


def test_exercise_network():
    x, W1, b1 = np.array([[2.0, 1.0]]), np.array([[0.5, -0.3], [0.2, 0.4]]), np.array([0.1, -0.1])
    W2, b2, target = np.array([[0.6], [0.3]]), np.array([0.2]), 1.5
    out, (_, h, a) = linear.feed_forward_forward(x, W1, b1, W2, b2)
    assert h == pytest.approx(np.array([[1.3, -0.3]]))
    assert a == pytest.approx(np.array([[1.3, 0.0]]))
    assert out.item() == pytest.approx(0.98)
    assert loss.half_squared_error_forward(out, target) == pytest.approx(0.1352)
    d_out = loss.half_squared_error_backward(out, target)
    assert d_out.item() == pytest.approx(-0.52)
    _, dW1, db1, dW2, db2 = linear.feed_forward_backward(d_out, W1, W2, (x, h, a))
    assert dW2 == pytest.approx(np.array([[-0.676], [0.0]]))
    assert dW1 == pytest.approx(np.array([[-0.624, 0.0], [-0.312, 0.0]]))
    assert db1 == pytest.approx(np.array([-0.312, 0.0]))
    assert db2 == pytest.approx(np.array([-0.52]))


GRADIENTS = [-0.1, -0.08, -0.12, -0.09, -0.11]


def test_sgd_over_five_gradients():
    w = 0.5
    for g in GRADIENTS:
        w = optimisers.sgd(w, g, lr=0.01)
    assert w == pytest.approx(0.5050, abs=1e-12)


def test_momentum_over_five_gradients():
    w, v = 0.5, 0.0
    for g in GRADIENTS:
        w, v = optimisers.momentum(w, v, g, lr=0.01)
    assert w == pytest.approx(0.51291, abs=5e-6)


@pytest.mark.parametrize("adam", [optimisers.adam, lambda *a, **k: optimisers.adamw(*a, **k, decay=0.0)])
def test_adam_over_five_gradients(adam):
    w, m, v = 0.5, 0.0, 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        w, m, v = adam(w, m, v, g, t, lr=0.01)
    assert w == pytest.approx(0.54969, abs=5e-6)


@pytest.mark.parametrize("g", [3.0, -1e-3, 250.0])
def test_first_step_of_adam_is_the_rate_whatever_the_gradient(g):
    w, _, _ = optimisers.adam(0.0, 0.0, 0.0, g, t=1, lr=0.01)
    assert w == pytest.approx(-0.01 * np.sign(g), rel=1e-4)


def test_decay_of_adamw_is_a_share_of_the_weights_and_not_of_the_step():
    w, m, v = optimisers.adamw(2.0, 0.0, 0.0, 0.0, t=1, lr=0.1, decay=0.5)
    assert (w, m, v) == (2.0 - 0.1 * 0.5 * 2.0, 0.0, 0.0)


@pytest.mark.parametrize("lr, end", [(0.1, 1.954), (0.5, 2.997), (1.0, 3.0), (2.1, -4.78)])
def test_sgd_on_a_quadratic_crawls_arrives_or_diverges(lr, end):
    """L = ½(W − 3)² has the gradient W − 3, so each step multiplies the distance by 1 − lr."""
    W = 0.0
    for _ in range(10):
        W = optimisers.sgd(W, W - 3, lr)
    assert W == pytest.approx(end, abs=5e-3 if lr > 2 else 5e-4)
    assert W - 3 == pytest.approx(-3 * (1 - lr) ** 10)


def test_clipping_shortens_all_gradients_by_one_factor():
    gradients = {"a": np.array([1.5, 0.0]), "b": np.array([[2.0]])}
    assert regularization.global_norm(gradients) == 2.5
    clipped = regularization.clip(gradients, 1.0)
    assert clipped["a"] == pytest.approx(np.array([0.6, 0.0]), rel=1e-6)
    assert clipped["b"] == pytest.approx(np.array([[0.8]]), rel=1e-6)
    assert regularization.global_norm(clipped) <= 1.0


def test_clipping_leaves_short_gradients_alone():
    clipped = regularization.clip({"a": np.array([0.3])}, 1.0)
    assert clipped["a"].tolist() == [0.3]


def test_softmax_of_the_lessons_logits():
    assert loss.softmax_forward(np.array([1, 1.5, 2, 2.5])) == pytest.approx([0.102, 0.167, 0.276, 0.455], abs=5e-4)
    assert loss.softmax_forward(np.array([1, 2, 3]) / 0.5) == pytest.approx([0.016, 0.117, 0.867], abs=5e-4)


def test_softmax_and_its_loss_survive_logits_of_a_thousand():
    z = np.array([[1000.0, 0.0, -1000.0]])
    assert loss.softmax_forward(z).tolist() == [[1, 0, 0]]
    assert loss.softmax_cross_entropy_forward(z, embedding.onehot([1], 3)) == 1000
    assert loss.softmax_cross_entropy_backward(z, embedding.onehot([1], 3)).tolist() == [[1, -1, 0]]


def test_loss_of_a_network_that_knows_nothing_is_log_of_the_vocabulary():
    z = np.zeros((4, 20))
    assert loss.softmax_cross_entropy_forward(z, embedding.onehot([8, 2, 3, 4], 20)) == pytest.approx(2.996, abs=5e-4)


def test_the_two_ways_to_the_gradient_of_cross_entropy_are_one():
    """Formula 1 and then formula 2 is formula 3; formula 2 once more is the mistake, and another gradient."""
    z, targets = np.random.default_rng(0).normal(size=(5, 7)), np.array([0, 3, 3, 6, 1])
    p = loss.softmax_forward(z)
    slow = loss.softmax_backward(loss.cross_entropy_backward(p, targets), p)
    fast = loss.softmax_cross_entropy_backward(z, embedding.onehot(targets, 7))
    assert slow == pytest.approx(fast, abs=1e-15)
    assert np.abs(loss.softmax_backward(fast, p) - fast).max() > 0.5 * np.abs(fast).max()


def test_padding_leaves_loss_and_gradient_of_the_other_targets_alone():
    z, w = np.random.default_rng(0).normal(size=(5, 7)), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    y = embedding.onehot([0, 3, 3, 6, 1], 7)
    rest = z[w == 1], y[w == 1]
    assert loss.softmax_cross_entropy_forward(z, y, w) == pytest.approx(loss.softmax_cross_entropy_forward(*rest))
    dz = loss.softmax_cross_entropy_backward(z, y, w)
    assert dz[w == 1] == pytest.approx(loss.softmax_cross_entropy_backward(*rest), abs=1e-15)
    assert not dz[w == 0].any()


def test_smoothed_targets_sum_to_one():
    assert loss.smoothed(np.array([2]), 4, 0.2) == pytest.approx(np.array([[0.05, 0.05, 0.85, 0.05]]))


def test_masked_weights_are_exactly_zero_and_nothing_flows_through_them():
    rng = np.random.default_rng(0)
    Q, K, V, g = rng.normal(size=(4, 3, 2))
    mask = np.array([[True, False, True], [False, False, True], [False, False, False]])
    O, A = attention.attention_forward(Q, K, V, mask)
    assert (A[~mask] == 0).all()
    assert A.sum(axis=1) == pytest.approx([1, 1, 0])
    assert O[2].tolist() == [0, 0]
    dQ, dK, dV = attention.attention_backward(g, Q, K, V, A)
    assert dQ[2].tolist() == [0, 0]
    assert dK[1].tolist() == dV[1].tolist() == [0, 0]


def test_comma_collects_the_cotangents_of_both_its_positions():
    ids = np.array([[15, 17, 3, 19, 8, 19, 4, 18]])
    g = np.random.default_rng(0).normal(size=(1, 8, 4))
    dE = embedding.embedding_backward(g, np.zeros((20, 4)), ids)
    assert dE[19].tolist() == (g[0, 3] + g[0, 5]).tolist()
    assert set(np.flatnonzero(dE.any(axis=1))) == set(ids[0].tolist())
    flat = g.reshape(8, 4)
    assert dE == pytest.approx(embedding.onehot(ids, 20).reshape(8, 20).T @ flat, abs=1e-15)


def test_sinusoidal_positions_of_the_lessons():
    table = embedding.sinusoidal(50, 64)
    assert table[0].tolist() == [0, 1] * 32
    assert table[1, 2:4] == pytest.approx([0.682, 0.732], abs=5e-4)
    assert table[4, 2:4] == pytest.approx([0.142, -0.990], abs=5e-4)


def test_one_fused_projection_is_three_separate_ones():
    """dX = dQ W_qᵀ + dK W_kᵀ + dV W_vᵀ."""
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 2, 3, 4))
    Wq, Wk, Wv, Wo = rng.normal(size=(4, 4, 4))
    p = {"qkv.weight": np.concatenate([Wq, Wk, Wv], axis=1), "output.weight": Wo}
    _, saved = attention.multi_head_forward(x, p, H=2)
    dx, grads = attention.multi_head_backward(g, p, saved)
    Q, K, V = (attention.split_heads(x @ W, 2) for W in (Wq, Wk, Wv))
    O, A = attention.attention_forward(Q, K, V)
    dO = attention.split_heads(g @ Wo.T, 2)
    dQ, dK, dV = (attention.join_heads(d) for d in attention.attention_backward(dO, Q, K, V, A))
    assert dx == pytest.approx(dQ @ Wq.T + dK @ Wk.T + dV @ Wv.T, rel=1e-12)
    for k, d in enumerate((dQ, dK, dV)):
        separate = linear.linear_backward(d, x, np.eye(4))[1]
        assert grads["qkv.weight"][:, 4 * k : 4 * k + 4] == pytest.approx(separate, rel=1e-12)
    assert grads["output.weight"] == pytest.approx(linear.flat(attention.join_heads(O)).T @ linear.flat(g), rel=1e-12)


@pytest.mark.parametrize("shift", [1, 5])
def test_turned_queries_and_keys_know_only_their_distance(shift):
    rng = np.random.default_rng(0)
    q, k = (np.broadcast_to(rng.normal(size=6), (1, 1, 9, 6)) for _ in range(2))
    scores = attention.rotary_forward(q)[0, 0] @ attention.rotary_forward(k)[0, 0].T
    assert np.diagonal(scores, shift) == pytest.approx(scores[0, shift], rel=1e-12)


def test_pooling_of_nothing_but_padding_is_zero_with_zero_gradient():
    x, nobody = np.ones((1, 3, 2)), np.zeros((1, 3), bool)
    for how in ("last", "mean", "max"):
        assert not pooling.pool_forward(x, nobody, how).any()
        assert not pooling.pool_backward(np.ones((1, 2)), x, nobody, how).any()


def test_tie_of_a_maximum_is_shared_equally():
    x, all_three = np.array([[[1.0], [2.0], [2.0]]]), np.ones((1, 3), bool)
    assert pooling.pool_backward(np.array([[1.0]]), x, all_three, "max").tolist() == [[[0], [0.5], [0.5]]]


def test_dropout_keeps_the_mean():
    keep = np.random.default_rng(0).random(100_000) >= 0.3
    assert regularization.dropout_forward(np.ones(100_000), keep, 0.3).mean() == pytest.approx(1, abs=0.01)


def test_slopes_at_zero():
    zero, one = np.zeros(1), np.ones(1)
    slopes = {
        "relu": (activations.relu_backward, 0), "leaky_relu": (activations.leaky_relu_backward, 0.01),
        "sigmoid": (activations.sigmoid_backward, 0.25), "silu": (activations.silu_backward, 0.5),
        "gelu_erf": (activations.gelu_erf_backward, 0.5), "gelu_tanh": (activations.gelu_tanh_backward, 0.5),
    }  # fmt: skip
    for name, (backward, slope) in slopes.items():
        assert backward(one, zero).tolist() == [slope], name


def test_gelu_is_what_the_normal_law_says():
    """P(X ≤ 1) = .8413, so gelu(1) = .8413; the tanh formula is right to three digits."""
    assert activations.gelu_erf_forward(np.array([1.0]))[0] == pytest.approx(0.841345, abs=1e-6)
    x = np.linspace(-4, 4, 81)
    assert np.abs(activations.gelu_erf_forward(x) - activations.gelu_tanh_forward(x)).max() < 1e-3
    assert math.isclose(activations.normal_cdf(np.array([0.0]))[0], 0.5)
