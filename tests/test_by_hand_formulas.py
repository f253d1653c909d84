"""What the engine derives from forward code equals what was derived by hand, formula by formula.

ENGINE holds nothing but forward passes; by_hand holds both directions. Nine digits in float64.
"""

import numpy as np
import pytest
from by_hand import activations, attention, loss
from by_hand.cases import CASES
from by_hand.embedding import onehot
from by_hand.judge import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, gradients
from tinygrad_edu import functional as F

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 4)


def weighted_cross_entropy(z, targets, w):
    """The composite has no weights but 0 and 1; forward code has."""
    return -np.sum(np.sum(F.log_softmax(z) * onehot(targets, z.shape[-1]), axis=-1) * (w / w.sum()))


def heads(x, H):
    return x.reshape(*x.shape[:2], H, -1).swapaxes(1, 2)


def joined(x):
    return x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1)


def rotary(x):
    """Pairs as two real numbers: (a cos − b sin, a sin + b cos)."""
    T, d = x.shape[-2:]
    angle = np.arange(T)[:, None] / 10000 ** (np.arange(0, d, 2) / d)
    a, b = x[..., 0::2], x[..., 1::2]
    pair = [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)]
    return np.stack(pair, axis=-1).reshape(*x.shape)


def multi_head(x, *arrays, names, H, mask=None, rotary=False):
    p = dict(zip(names, arrays, strict=True))
    turn = ENGINE["rotary"] if rotary else lambda x: x
    q, k, v = np.split(x @ p["qkv.weight"] + p.get("qkv.bias", 0.0), 3, axis=-1)
    O = F.attention(turn(heads(q, H)), turn(heads(k, H)), heads(v, H), mask)
    return joined(O) @ p["output.weight"] + p.get("output.bias", 0.0)


def feed_forward(x, W1, b1, W2, b2, activation):
    return {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[activation](x @ W1 + b1) @ W2 + b2


def block(x, *arrays, names, H, norm, activation, eps):
    p = dict(zip(names, arrays, strict=True))

    def attend(x):
        own = ("qkv.weight", "output.weight")
        return multi_head(x, *(p[f"attention.{name}"] for name in own), names=own, H=H)

    def feed(x):
        own = ("up.weight", "up.bias", "down.weight", "down.bias")
        return feed_forward(x, *(p[f"feed_forward.{name}"] for name in own), activation)

    def normed(x, name):
        return F.layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], eps)

    if norm == "pre":
        x = x + attend(normed(x, "norm1"))
        return x + feed(normed(x, "norm2"))
    x = normed(x + attend(x), "norm1")
    return normed(x + feed(x), "norm2")


def pool(x, valid, how):
    if how == "first":
        return x[:, 0]
    some = valid.any(axis=1, keepdims=True)
    if how == "last":
        last = np.where(valid, np.arange(valid.shape[1]), 0).max(axis=1)
        return np.where(some, x[np.arange(len(valid)), last], 0.0)
    if how == "mean":
        return np.sum(x * valid[..., None], axis=1) / np.maximum(valid.sum(axis=1, keepdims=True), 1)
    return np.where(some, np.max(np.where(valid[..., None], x, -np.inf), axis=1), 0.0)


class Drawn:
    """A generator whose draw is known: dropout keeps where `keep` says so."""

    def __init__(self, keep):
        self.keep = keep

    def random(self, shape, dtype):
        return self.keep.astype(dtype)


ENGINE = {
    "cross_entropy_on_probabilities": lambda p, targets: -np.mean(np.log(p[np.arange(p.shape[0]), targets])),
    "softmax": F.softmax,
    "log_softmax": F.log_softmax,
    "max_shift": lambda z: z - np.max(z, axis=-1, keepdims=True),
    "softmax_cross_entropy": F.cross_entropy,
    "softmax_cross_entropy_padded": lambda z, targets, w: F.cross_entropy(z, np.where(w, targets, -1), ignore=-1),
    "softmax_cross_entropy_weighted": weighted_cross_entropy,
    "temperature": lambda z, targets, tau: F.cross_entropy(z / tau, targets),
    "label_smoothing": lambda z, targets, a: F.cross_entropy(z, targets, label_smoothing=a),
    "half_squared_error": lambda y, target: F.mse(y, Tensor(target)) * (target.size / 2),
    "linear_map": lambda x, W, b: x @ W + b,
    "relu": F.relu,
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "sigmoid": F.sigmoid,
    "silu": F.silu,
    "gelu_erf": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, "tanh"),
    "residual": lambda x, W, b: x + F.silu(x @ W + b),
    "feed_forward": feed_forward,
    "feed_forward_relu": feed_forward,
    "layer_norm": F.layer_norm,
    "rms_norm": F.rms_norm,
    "scaled_attention": F.attention,
    "masked_attention": F.attention,
    "split_heads": heads,
    "join_heads": joined,
    "rotary": rotary,
    "multi_head": multi_head,
    "embedding_lookup": F.embedding,
    "fixed_positions": lambda x, table: x + table[: x.shape[1]],
    "learned_positions": lambda x, P: x + P[: x.shape[1]],
    "weight_tying": lambda E, b, ids: F.silu(F.embedding(E, ids)) @ E.T + b,
    "pool_first": pool,
    "pool_last": pool,
    "pool_mean": pool,
    "pool_max": pool,
    "block_post_norm": block,
    "block_pre_norm": block,
    "dropout": lambda x, keep, p: F.dropout(x, p, Drawn(keep)),
}


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
    assert list(ENGINE) != [] and set(ENGINE) == set(CASES)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25)
@given(seed=SEEDS, B=SIZES, T=SIZES, D=SIZES)
def test_derived_gradient_is_the_one_by_hand(name, seed, B, T, D):
    draw, run = CASES[name]
    rng = np.random.default_rng(seed)
    inputs, constants = draw(rng, B, T, D)
    compare(name, lambda *x: ENGINE[name](*x, **constants), run(*inputs, **constants), inputs, rng)


# Where a formula is most likely to break: kinks met exactly, logits of hundreds, everything masked.

KINKS = {
    "relu": (F.relu, activations.relu_backward),
    "leaky_relu": (ENGINE["leaky_relu"], activations.leaky_relu_backward),
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
