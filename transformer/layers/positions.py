"""Where a token stands: added to its embedding (sinusoidal, learned), or turned into its queries and keys
(rotary)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor, nn
from transformer.config import TransformerConfig

__all__ = ["LearnedPositions", "Rotary", "SinusoidalPositions", "make_positions"]


def angles(length: int, dim: int) -> NDArray[np.float64]:
    """position / 10000^(2i/dim), (length, ⌈dim/2⌉): from one turn in 6 positions to one in 60,000."""
    return np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2) / dim)


class SinusoidalPositions(nn.Module):
    """Adds PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same)."""

    def __init__(self, config: TransformerConfig) -> None:
        turns = angles(config.max_seq_len, config.embed_dim)
        interleaved = np.stack([np.sin(turns), np.cos(turns)], axis=-1).reshape(config.max_seq_len, -1)
        self.table = interleaved[:, : config.embed_dim].astype(config.dtype)

    def forward(self, x: Tensor) -> Tensor:             # (B, T, D)
        x = x + self.table[: x.shape[1]]
        return x


class LearnedPositions(nn.Module):
    """Adds weight[pos]; weight (max_seq_len, D)."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator, std: float) -> None:
        self.weight = nn.Parameter(rng.normal(0.0, std, (config.max_seq_len, config.embed_dim)), config.dtype)

    def forward(self, x: Tensor) -> Tensor:             # (B, T, D)
        x = x + self.weight[: x.shape[1]]
        return x


class Rotary(nn.Module):
    """Turns the pair (x₂ᵢ, x₂ᵢ₊₁) at position t by t / 10000^(2i/d): q·k then depends on t_q − t_k only."""

    def __init__(self, config: TransformerConfig) -> None:
        turns = np.repeat(angles(config.max_seq_len, config.head_dim), 2, axis=1)           # (T, d)
        self.cos, self.sin = np.cos(turns).astype(config.dtype), np.sin(turns).astype(config.dtype)
        pair = np.array([[0.0, 1.0], [-1.0, 0.0]])                                          # (a, b) → (−b, a)
        self.quarter_turn = np.kron(np.eye(config.head_dim // 2), pair).astype(config.dtype)

    def forward(self, x: Tensor) -> Tensor:             # (B, H, T, d)
        T = x.shape[-2]
        x = x * self.cos[:T] + (x @ self.quarter_turn) * self.sin[:T]
        return x


def make_positions(config: TransformerConfig, rng: np.random.Generator, std: float) -> nn.Module | None:
    """What the model adds to its embeddings; None for rotary, which acts inside attention."""
    if config.positions == "learned":
        return LearnedPositions(config, rng, std)
    return SinusoidalPositions(config) if config.positions == "sinusoidal" else None
