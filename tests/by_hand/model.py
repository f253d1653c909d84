"""The whole transformer, forward and backward, on a dict of arrays by the names of their parameters.

Which parameters there are says what is built: positions.weight makes positions learned, attention.qkv.bias
gives attention biases, no output.weight means that it is tied to the embedding's transpose.
"""

import numpy as np

from .blocks import above, below, block_backward, block_forward, norm_backward, norm_forward
from .embedding import (
    embedding_backward,
    embedding_forward,
    fixed_positions_backward,
    fixed_positions_forward,
    learned_positions_backward,
    learned_positions_forward,
    sinusoidal,
    tied_output_backward,
    tied_output_forward,
)
from .linear import linear_backward, linear_forward
from .pooling import pool_backward, pool_forward


def transformer_forward(
    p, tokens, *, num_heads, norm="post", causal=False, pooling=None,
    activation="relu", rotary=False, pad_id=0, eps=1e-5, mask=None,
):  # fmt: skip
    """Token ids (B, T) to logits: (B, V) when pooled, (B, T, V) otherwise. Returns logits, saved.

    Nobody attends to padding, nor, when causal, to the future; `mask` (True = may attend) forbids more.
    """
    B, T = tokens.shape
    E = p["embedding.weight"]
    valid = np.ones((B, T), bool) if pad_id is None else tokens != pad_id
    may = np.broadcast_to(valid[:, None, None, :], (B, num_heads, T, T))    # (batch, head, query, key)
    if causal:
        may = may & (np.arange(T)[:, None] >= np.arange(T))
    if mask is not None:
        may = may & mask

    x = embedding_forward(E, tokens)
    if "positions.weight" in p:
        x = learned_positions_forward(x, p["positions.weight"])
    elif not rotary:
        x = fixed_positions_forward(x, sinusoidal(T, E.shape[1]))
    of_blocks = []
    while block := below(p, f"blocks.{len(of_blocks)}"):
        x, of_block = block_forward(x, block, num_heads, may, norm, activation, rotary, eps)
        of_blocks.append(of_block)
    of_norm = None
    if norm == "pre":
        x, of_norm = norm_forward(x, below(p, "norm"), eps)
    h = x if pooling is None else pool_forward(x, valid, pooling)
    if "output.weight" in p:
        z = linear_forward(h, p["output.weight"], p["output.bias"])
    else:
        z = tied_output_forward(h, E, p["output.bias"])
    return z, (tokens, valid, of_blocks, of_norm, x, h, pooling)


def transformer_backward(dz, p, saved):
    """The forward pass read from its end. dz like the logits; returns the gradient of each parameter, a dict like p.

    When tied, E is used at both ends, and its two gradients are added.
    """
    tokens, valid, of_blocks, of_norm, x, h, pooling = saved
    E = p["embedding.weight"]
    grads = {}
    if "output.weight" in p:
        dh, grads["output.weight"], grads["output.bias"] = linear_backward(dz, h, p["output.weight"])
        dE_output = 0.0
    else:
        dh, dE_output, grads["output.bias"] = tied_output_backward(dz, h, E)
    dx = dh if pooling is None else pool_backward(dh, x, valid, pooling)
    if of_norm is not None:
        dx, d_norm = norm_backward(dx, below(p, "norm"), of_norm)
        grads |= above(d_norm, "norm")
    for i in reversed(range(len(of_blocks))):
        dx, d_block = block_backward(dx, below(p, f"blocks.{i}"), of_blocks[i])
        grads |= above(d_block, f"blocks.{i}")
    if "positions.weight" in p:
        dx, grads["positions.weight"] = learned_positions_backward(dx, p["positions.weight"])
    else:
        dx = fixed_positions_backward(dx)
    grads["embedding.weight"] = embedding_backward(dx, E, tokens) + dE_output
    return {name: grads[name] for name in p}
