"""Formula 15: a block, after the original paper ("post") or with the norms first ("pre").

Parameters are dicts by name: attention.qkv.weight, norm1.weight, feed_forward.up.weight, ...
"""

from .attention import multi_head_backward, multi_head_forward
from .linear import feed_forward_backward, feed_forward_forward, residual_backward, residual_forward
from .normalization import layer_norm_backward, layer_norm_forward


def below(p, prefix):
    """The part of a dict under `prefix.`, by its shorter names."""
    return {name.removeprefix(prefix + "."): value for name, value in p.items() if name.startswith(prefix + ".")}


def above(p, prefix):
    """The same dict by its longer names."""
    return {f"{prefix}.{name}": value for name, value in p.items()}


def block_forward(x, p, H, mask=None, norm="post", activation="relu", rotary=False, eps=1e-5):
    """post: h₁ = LN₁(x + MHA(x)), h₂ = LN₂(h₁ + FFN(h₁)). pre: h₁ = x + MHA(LN₁(x)), h₂ = h₁ + FFN(LN₂(h₁)).

    Returns h₂, saved.
    """
    if norm == "post":
        mixed, of_attention = multi_head_forward(x, below(p, "attention"), H, mask, rotary)
        h1, of_norm1 = norm_forward(residual_forward(x, mixed), below(p, "norm1"), eps)
        fed, of_ffn = ffn_forward(h1, below(p, "feed_forward"), activation)
        h2, of_norm2 = norm_forward(residual_forward(h1, fed), below(p, "norm2"), eps)
    else:
        n1, of_norm1 = norm_forward(x, below(p, "norm1"), eps)
        mixed, of_attention = multi_head_forward(n1, below(p, "attention"), H, mask, rotary)
        h1 = residual_forward(x, mixed)
        n2, of_norm2 = norm_forward(h1, below(p, "norm2"), eps)
        fed, of_ffn = ffn_forward(n2, below(p, "feed_forward"), activation)
        h2 = residual_forward(h1, fed)
    return h2, (of_attention, of_norm1, of_ffn, of_norm2, norm, activation)


def block_backward(g, p, saved):
    """Both sums by formula 8, last one first; what a sublayer pulls back is the second summand.

    post: g passes LN₂, then the sum (dh₁ = g' + FFN's pullback of g'), then LN₁, then the other sum.
    pre:  g reaches h₁ directly and through FFN and LN₂; that reaches x directly and through MHA and LN₁.
    Returns dx and a dict like p.
    """
    of_attention, of_norm1, of_ffn, of_norm2, norm, activation = saved
    grads = {}

    def through(name, pullback):
        """A sublayer's pullback, that files the gradients of its parameters under the sublayer's name."""

        def pull(g):
            dx, d_own = pullback(g)
            grads.update(above(d_own, name))
            return dx

        return pull

    attend = through("attention", lambda g: multi_head_backward(g, below(p, "attention"), of_attention))
    norm1 = through("norm1", lambda g: norm_backward(g, below(p, "norm1"), of_norm1))
    feed = through("feed_forward", lambda g: ffn_backward(g, below(p, "feed_forward"), of_ffn, activation))
    norm2 = through("norm2", lambda g: norm_backward(g, below(p, "norm2"), of_norm2))
    if norm == "post":
        dh1 = residual_backward(norm2(g), feed)
        dx = residual_backward(norm1(dh1), attend)
    else:
        dh1 = residual_backward(g, lambda g: norm2(feed(g)))
        dx = residual_backward(dh1, lambda g: norm1(attend(g)))
    return dx, {name: grads[name] for name in p}


def norm_forward(x, p, eps):
    return layer_norm_forward(x, p["weight"], p["bias"], eps)


def norm_backward(g, p, saved):
    dx, d_gamma, d_beta = layer_norm_backward(g, p["weight"], saved)
    return dx, {"weight": d_gamma, "bias": d_beta}


def ffn_forward(x, p, activation):
    return feed_forward_forward(x, p["up.weight"], p["up.bias"], p["down.weight"], p["down.bias"], activation)


def ffn_backward(g, p, saved, activation):
    dx, dW1, db1, dW2, db2 = feed_forward_backward(g, p["up.weight"], p["down.weight"], saved, activation)
    return dx, {"up.weight": dW1, "up.bias": db1, "down.weight": dW2, "down.bias": db2}
