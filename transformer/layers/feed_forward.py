"""The feed-forward sublayer: each position by itself, through a wider space and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, functional, nn
from transformer.config import TransformerConfig

__all__ = ["FeedForward"]

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu,
    "gelu_tanh": functools.partial(functional.gelu, approximate="tanh"),
}  # fmt: skip


class FeedForward(nn.Module):
    """activation(x up) down; gated: (activation(x gate) ⊙ (x up)) down. Each with a bias."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        self.activation = ACTIVATIONS[config.activation]
        D, F, dtype = config.embed_dim, config.ffn_dim, config.dtype
        self.up = nn.Linear(D, F, rng=rng, dtype=dtype)
        self.gate = nn.Linear(D, F, rng=rng, dtype=dtype) if config.gated else None
        self.down = nn.Linear(F, D, rng=rng, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:                 # (B, T, D)
        if self.gate is None:
            x = self.activation(self.up(x))                 # (B, T, F)
        else:
            x = self.activation(self.gate(x)) * self.up(x)  # (B, T, F)
        x = self.down(x)                                    # (B, T, D)
        return x
