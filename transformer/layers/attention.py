"""Multi-head attention: every position looks at the others, in several ways at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import Tensor, functional, nn
from tinygrad_edu.functional import join_heads, split_heads
from transformer.config import TransformerConfig
from transformer.layers.cache import Memory
from transformer.layers.positions import Rotary

__all__ = ["Attention"]


class Attention(nn.Module):
    """softmax(Q Kᵀ / √(D/H) + bias) V in H heads; qkv.weight (D, 3D) is [Q | K | V], each of H slices, D/H wide.

    With a memory the tokens of x come after those that it holds, and look at these too.
    """

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        D, bias = config.embed_dim, config.attention_bias
        self.num_heads = config.num_heads
        self.rotary = Rotary(config) if config.places == "rotary" else None
        self.qkv = nn.Linear(D, 3 * D, bias, rng=rng, dtype=config.dtype)
        self.output = nn.Linear(D, D, bias, rng=rng, dtype=config.dtype)

    def extra_repr(self) -> str:
        return f"{self.num_heads} heads"

    def forward(
        self, x: Tensor, mask: Any, bias: Any = None, memory: Memory | None = None
    ) -> tuple[Tensor, Tensor]:                                             # (B, T, D), (B, H, T, S) or less, twice
        qkv = self.qkv(x)                                                   # (B, T, 3D)
        if self.rotary is None and memory is None:
            joined, weights = functional.self_attention(qkv, self.num_heads, mask, bias)
            return self.output(joined), weights                             # (B, T, D), (B, H, T, T)
        start = 0 if memory is None else memory.start
        q, k, v = split_heads(qkv, self.num_heads)                          # each (B, H, T, D/H)
        if self.rotary is not None:
            q, k = self.rotary(q, start), self.rotary(k, start)
        if memory is not None:
            k, v = memory.extend(k, v)                                      # each (B, H, S, D/H)
        heads, weights = functional.attention(q, k, v, mask, return_weights=True, bias=bias)
        return self.output(join_heads(heads)), weights                      # (B, T, D), (B, H, T, S)
