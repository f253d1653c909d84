"""What the engine derives from forward code equals what was derived by hand, formula by formula.

forward_passes holds nothing but forward passes; by_hand holds both directions. Nine digits in float64.
"""

import numpy as np
import pytest
from by_hand import activations, attention, loss
from by_hand.cases import CASES
from by_hand.embedding import onehot
from by_hand.judge import assert_close
from forward_passes import FORWARD
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, gradients
from tinygrad_edu import functional as F

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)


def compare(name, forward, by_hand, inputs, rng):
    """Value and gradients, with one drawn cotangent."""
    value, pullback = by_hand
    tensors = [Tensor(x, requires_grad=True) for x in inputs]
    z = forward(*tensors)
    assert_close(z.numpy(), value, name=f"{name}, value")
    g = rng.normal(size=np.shape(value))
    z.backward(Tensor(g))
    for k, (tensor, expected) in enumerate(zip(tensors, pullback(g), strict=True)):
        assert tensor.grad.dtype == np.float64
        assert_close(tensor.grad.numpy(), expected, name=f"{name}, argument {k}")


def test_every_case_has_its_forward_pass():
    assert list(FORWARD) != [] and set(FORWARD) == set(CASES)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=12)
@given(seed=SEEDS, B=SIZES, T=SIZES, D=SIZES)
def test_derived_gradient_is_the_one_by_hand(name, seed, B, T, D):
    draw, run = CASES[name]
    rng = np.random.default_rng(seed)
    inputs, constants = draw(rng, B, T, D)
    compare(name, lambda *x: FORWARD[name](*x, **constants), run(*inputs, **constants), inputs, rng)


# Where a formula is most likely to break: kinks met exactly, logits of hundreds, everything masked.

KINKS = {
    "relu": (F.relu, activations.relu_backward),
    "leaky_relu": (FORWARD["leaky_relu"], activations.leaky_relu_backward),
}


@pytest.mark.parametrize("name", KINKS)
@settings(max_examples=25)
@given(seed=SEEDS, n=st.integers(1, 6))
def test_derived_slope_at_a_kink_is_the_one_by_hand(name, seed, n):
    rng = np.random.default_rng(seed)
    x, g = rng.integers(-1, 2, size=n).astype(float), rng.normal(size=n)
    forward, backward = KINKS[name]
    constants = {"slope": 0.3} if name == "leaky_relu" else {}
    t = Tensor(x, requires_grad=True)
    (found,) = gradients(forward(t, **constants), [t], Tensor(g))
    assert np.array_equal(found.numpy(), backward(g, x, **constants))


@settings(max_examples=25)
@given(seed=SEEDS, n=SIZES, V=SIZES, size=st.sampled_from([30.0, 1000.0, 1e6]))
def test_derived_gradient_of_large_logits_is_the_one_by_hand(seed, n, V, size):
    rng = np.random.default_rng(seed)
    z, y = size * rng.normal(size=(n, V)), rng.integers(V, size=n)
    q = onehot(y, V)
    value = loss.softmax_cross_entropy_forward(z, q)
    by_hand = value, lambda g: (loss.softmax_cross_entropy_backward(z, q, g=g),)
    compare("cross-entropy", lambda z: F.cross_entropy(z, y), by_hand, [z], rng)
    p = loss.softmax_forward(z)
    compare("softmax", F.softmax, (p, lambda g: (loss.softmax_backward(g, p),)), [z], rng)
    value = loss.log_softmax_forward(z)
    compare("log-softmax", F.log_softmax, (value, lambda g: (loss.log_softmax_backward(g, p),)), [z], rng)


@settings(max_examples=25)
@given(seed=SEEDS, T=SIZES, S=SIZES, d=SIZES)
def test_nothing_flows_through_a_masked_entry(seed, T, S, d):
    """Not little: the weight, and both cotangents that would pass it, are exactly 0."""
    rng = np.random.default_rng(seed)
    Q, K, V, g = (rng.normal(size=(n, d)) for n in (T, S, S, T))
    mask = rng.random((T, S)) < 0.5
    q, k, v = (Tensor(x, requires_grad=True) for x in (Q, K, V))
    out, weights = F.attention(q, k, v, mask, return_weights=True)
    out.backward(Tensor(g))
    A = attention.attention_forward(Q, K, V, mask)[1]
    assert_close(weights.numpy(), A)
    assert (weights.numpy()[~mask] == 0).all()
    unseen, blind = ~mask.any(axis=0), ~mask.any(axis=1)
    assert not k.grad.numpy()[unseen].any() and not v.grad.numpy()[unseen].any()
    assert not out.numpy()[blind].any() and not q.grad.numpy()[blind].any()
