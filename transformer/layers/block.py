"""One block: attention and feed-forward, each with a residual sum and a norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import Tensor, nn
from transformer.config import TransformerConfig
from transformer.layers.attention import Attention
from transformer.layers.cache import Memory
from transformer.layers.feed_forward import FeedForward
from transformer.layers.norm import make_norm

__all__ = ["Block"]


class Block(nn.Module):
    """post-norm: x = norm(x + sublayer(x)); pre-norm: x = x + sublayer(norm(x))."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator, dropout: nn.Dropout) -> None:
        self.pre_norm = config.norm == "pre"
        self.attention = Attention(config, rng)
        self.norm1 = make_norm(config)
        self.feed_forward = FeedForward(config, rng)
        self.norm2 = make_norm(config)
        self.dropout = dropout

    def forward(
        self, x: Tensor, mask: Any, bias: Any = None, memory: Memory | None = None
    ) -> tuple[Tensor, Tensor]:                                             # (B, T, D), (B, H, T, S) or less, twice
        if self.pre_norm:
            mixed, weights = self.attention(self.norm1(x), mask, bias, memory)
            x = x + self.dropout(mixed)
            x = x + self.dropout(self.feed_forward(self.norm2(x)))
        else:
            mixed, weights = self.attention(x, mask, bias, memory)
            x = self.norm1(x + self.dropout(mixed))
            x = self.norm2(x + self.dropout(self.feed_forward(x)))
        return x, weights                                                   # (B, T, D), (B, H, T, S)
