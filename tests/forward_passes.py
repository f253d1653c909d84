"""The forward passes that stand beside the formulas derived by hand: forward code, and nothing else.

FORWARD[name] takes the arrays and constants that `by_hand.cases.CASES[name]` draws.
"""

import numpy as np
from by_hand.embedding import onehot

from tinygrad_edu import Tensor
from tinygrad_edu import functional as F


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
    turn = FORWARD["rotary"] if rotary else lambda x: x
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


FORWARD = {
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
