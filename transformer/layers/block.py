"""One block: attention and feed-forward, each with a residual sum and a norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import Tensor, nn
from transformer.config import TransformerConfig
from transformer.layers.attention import Attention
from transformer.layers.feed_forward import FeedForward

__all__ = ["Block"]


class Block(nn.Module):
    """post-norm: x = norm(x + sublayer(x)); pre-norm: x = x + sublayer(norm(x))."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator, dropout: nn.Dropout) -> None:
        self.pre_norm = config.norm == "pre"
        self.attention = Attention(config, rng)
        self.norm1 = nn.LayerNorm(config.embed_dim, config.norm_eps, dtype=config.dtype)
        self.feed_forward = FeedForward(config, rng)
        self.norm2 = nn.LayerNorm(config.embed_dim, config.norm_eps, dtype=config.dtype)
        self.dropout = dropout

    def forward(self, x: Tensor, mask: Any) -> tuple[Tensor, Tensor]:       # (B, T, D), (B, H, T, T) or less
        if self.pre_norm:
            mixed, weights = self.attention(self.norm1(x), mask)
            x = x + self.dropout(mixed)
            x = x + self.dropout(self.feed_forward(self.norm2(x)))
        else:
            mixed, weights = self.attention(x, mask)
            x = self.norm1(x + self.dropout(mixed))
            x = self.norm2(x + self.dropout(self.feed_forward(x)))
        return x, weights                                                   # (B, T, D), (B, H, T, T)
