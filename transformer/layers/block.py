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
    """post-norm: x = norm(x + sublayer(x)); pre-norm: x = x + sublayer(norm(x)). A part that is left out is None.

    Without attention each token is alone, and its weights are zeros.
    """

    def __init__(self, config: TransformerConfig, rng: np.random.Generator, dropout: nn.Dropout) -> None:
        self.pre_norm = config.norm == "pre"
        self.residual = "residual" not in config.without
        self.num_heads = config.num_heads
        self.attention = None if "attention" in config.without else Attention(config, rng)
        self.norm1 = None if self.attention is None else make_norm(config)
        self.feed_forward = None if "feed_forward" in config.without else FeedForward(config, rng)
        self.norm2 = None if self.feed_forward is None else make_norm(config)
        self.dropout = dropout

    def forward(
        self, x: Tensor, mask: Any, bias: Any = None, memory: Memory | None = None
    ) -> tuple[Tensor, Tensor]:                                             # (B, T, D), (B, H, T, S) or less, twice
        weights: Any = None
        if self.attention is not None:
            mixed, weights = self.attention(self.before(self.norm1, x), mask, bias, memory)
            x = self.after(self.norm1, x, mixed)                            # (B, T, D)
        if self.feed_forward is not None:
            x = self.after(self.norm2, x, self.feed_forward(self.before(self.norm2, x)))
        if weights is None:
            B, T, _ = x.shape
            weights = Tensor(np.zeros((B, self.num_heads, T, T if memory is None else memory.start + T), x.dtype))
        return x, weights                                                   # (B, T, D), (B, H, T, S)

    def before(self, norm: Any, x: Tensor) -> Tensor:
        """What a sublayer reads."""
        normed: Tensor = norm(x) if self.pre_norm and norm is not None else x
        return normed

    def after(self, norm: Any, x: Tensor, change: Any) -> Tensor:
        """What follows from it."""
        change = self.dropout(change)
        x = x + change if self.residual else change
        return x if self.pre_norm or norm is None else norm(x)
