"""Kernels: PyTorch's own, and where it has no second derivative for one, the same spelled out."""

import torch
import torch.nn.functional as F

from tinygrad_edu.rules.fused import gelu, gelu_tanh, linear, sigmoid, silu
from tinygrad_edu.rules.fused_attention import self_attention
from tinygrad_edu.rules.fused_rows import cross_entropy, layer_norm, log_softmax, logsumexp, rms_norm, softmax


def along_the_last(function, theirs, least=1, wide=None):
    """wide: how many vectors of the last axis' size come after x."""

    def case(d):
        shape = d.shape(least, smallest=2)
        return function, theirs, [d.array(shape), *[d.array(shape[-1:]) for _ in range(wide or 0)]]

    return case


def linear_of(d):
    shape, width = d.shape(1), d.pick(1, 2, 3)
    return linear, lambda x, w, b: x @ w + b, [d.array(shape), d.array((shape[-1], width)), d.array((width,))]


def masked_softmax(d):
    shape = d.shape(1)
    mask = d.rng.random(shape) < 0.7
    mask[..., 0] = True
    return (
        lambda x: softmax(x, mask),
        lambda t: torch.softmax(t.masked_fill(~torch.tensor(mask), -torch.inf), dim=-1),
        [d.array(shape)],
    )


def losses(d):
    count, classes, smoothing = d.pick(1, 2, 4), d.pick(2, 3), d.pick(0.0, 0.2)
    targets = d.rng.integers(0, classes, count)
    return (
        lambda z: cross_entropy(z, targets, smoothing),
        lambda z: F.cross_entropy(z, torch.tensor(targets), label_smoothing=smoothing),
        [d.array((count, classes))],
    )


def attention_of(d):
    batch, time, heads, width = d.pick(1, 2), d.pick(1, 2, 3), d.pick(1, 2), d.pick(1, 2)
    mask = d.rng.random((batch, 1, time, time)) < 0.7
    mask[..., 0] = True

    def theirs(qkv):
        q, k, v = qkv.reshape(batch, time, 3, heads, width).permute(2, 0, 3, 1, 4)
        weights = torch.softmax((q @ k.mT / width**0.5).masked_fill(~torch.tensor(mask), -torch.inf), dim=-1)
        return (weights @ v).transpose(1, 2).reshape(batch, time, -1), weights

    return lambda qkv: self_attention(qkv, heads, mask), theirs, [d.array((batch, time, 3 * heads * width))]


CASES = {
    sigmoid: along_the_last(sigmoid, torch.sigmoid, 0),
    silu: along_the_last(silu, F.silu, 0),
    gelu: along_the_last(gelu, F.gelu, 0),
    gelu_tanh: along_the_last(gelu_tanh, lambda t: F.gelu(t, approximate="tanh"), 0),
    softmax: masked_softmax,
    log_softmax: along_the_last(log_softmax, lambda t: torch.log_softmax(t, dim=-1)),
    logsumexp: along_the_last(logsumexp, lambda t: torch.logsumexp(t, dim=-1, keepdim=True)),
    layer_norm: along_the_last(layer_norm, lambda t, w, b: F.layer_norm(t, w.shape, w, b, 1e-5), wide=2),
    rms_norm: along_the_last(rms_norm, lambda t, w: F.rms_norm(t, w.shape, w, 1e-5), wide=1),
    linear: linear_of,
    cross_entropy: losses,
    self_attention: attention_of,
}
WITHOUT = {}
