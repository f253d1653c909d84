"""The feed-forward sublayer: each position by itself, through a wider space and back."""

from __future__ import annotations

import numpy as np

from tinygrad_edu import Tensor, functional, nn
from transformer.config import TransformerConfig

__all__ = ["FeedForward"]

ACTIVATIONS = {"relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu}


class FeedForward(nn.Module):
    """activation(x up) down, both with a bias."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        self.activation = ACTIVATIONS[config.activation]
        self.up = nn.Linear(config.embed_dim, config.ffn_dim, rng=rng, dtype=config.dtype)
        self.down = nn.Linear(config.ffn_dim, config.embed_dim, rng=rng, dtype=config.dtype)

    def forward(self, x: Tensor) -> Tensor:                 # (B, T, D)
        x = self.activation(self.up(x))                     # (B, T, F)
        x = self.down(x)                                    # (B, T, D)
        return x
