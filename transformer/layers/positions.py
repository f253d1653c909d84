"""Where a token stands: added to its embedding (sinusoidal, learned), turned into its queries and keys (rotary), or
taken from the score of a key, more for one that is further away (ALiBi). `start` is the position of the first token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor, nn
from transformer.config import TransformerConfig

__all__ = ["Alibi", "LearnedPositions", "Rotary", "SinusoidalPositions", "make_positions"]


def angles(length: int, dim: int) -> NDArray[np.float64]:
    """position / 10000^(2i/dim), (length, ⌈dim/2⌉): from one turn in 6 positions to one in 60,000."""
    return np.arange(length)[:, None] / 10000.0 ** (np.arange(0, dim, 2) / dim)


class SinusoidalPositions(nn.Module):
    """Adds PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(the same)."""

    def __init__(self, config: TransformerConfig) -> None:
        turns = angles(config.max_seq_len, config.embed_dim)
        interleaved = np.stack([np.sin(turns), np.cos(turns)], axis=-1).reshape(config.max_seq_len, -1)
        self.table = interleaved[:, : config.embed_dim].astype(config.dtype)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:             # (B, T, D)
        x = x + self.table[start : start + x.shape[1]]
        return x


class LearnedPositions(nn.Module):
    """Adds weight[pos]; weight (max_seq_len, D)."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator, std: float) -> None:
        self.weight = nn.Parameter(rng.normal(0.0, std, (config.max_seq_len, config.embed_dim)), config.dtype)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:             # (B, T, D)
        x = x + self.weight[start : start + x.shape[1]]
        return x


class Rotary(nn.Module):
    """Turns the pair (x₂ᵢ, x₂ᵢ₊₁) at position t by t / 10000^(2i/d): q·k then depends on t_q − t_k only."""

    def __init__(self, config: TransformerConfig) -> None:
        turns = np.repeat(angles(config.max_seq_len, config.head_dim), 2, axis=1)           # (T, d)
        self.cos, self.sin = np.cos(turns).astype(config.dtype), np.sin(turns).astype(config.dtype)
        pair = np.array([[0.0, 1.0], [-1.0, 0.0]])                                          # (a, b) → (−b, a)
        self.quarter_turn = np.kron(np.eye(config.head_dim // 2), pair).astype(config.dtype)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:             # (B, H, T, d)
        at = slice(start, start + x.shape[-2])
        x = x * self.cos[at] + (x @ self.quarter_turn) * self.sin[at]
        return x


class Alibi(nn.Module):
    """−slope · |t − s| for query t and key s: nothing to learn, and sequences may be longer than any in training.

    The slopes of H heads run from 2^(−8/H) down to 2^(−8), each 2^(−8/H) of the one before, so that some heads look
    near and some far. Source: Press and others, Train short, test long (2022), who mix the slopes of two powers of two
    where H is none; here one formula holds for every H.
    """

    def __init__(self, config: TransformerConfig) -> None:
        H = config.num_heads
        self.slopes = (2.0 ** (-8 * np.arange(1, H + 1) / H)).astype(config.dtype)

    def forward(self, T: int, start: int = 0) -> NDArray[np.floating]:
        S = start + T
        distance = np.abs(np.arange(start, S)[:, None] - np.arange(S))                     # (T, S)
        distance = np.asarray(distance.astype(self.slopes.dtype), like=self.slopes)
        bias: NDArray[np.floating] = -self.slopes[:, None, None] * distance
        return bias                                                                         # (H, T, S)


def make_positions(config: TransformerConfig, rng: np.random.Generator, std: float) -> nn.Module | None:
    """What the model adds to its embeddings; None for what acts inside attention."""
    if config.places == "learned":
        return LearnedPositions(config, rng, std)
    return SinusoidalPositions(config) if config.places == "sinusoidal" else None
