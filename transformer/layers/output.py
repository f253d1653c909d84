"""The output projection: a score for every token of the vocabulary."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_edu import Tensor, nn
from transformer.config import TransformerConfig

__all__ = ["Output"]


class Output(nn.Module):
    """x weight + bias. Tied, it owns at most the bias; the embedding's transpose takes the weight's place."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        D, V = config.embed_dim, config.vocab_size
        limit = math.sqrt(6 / (D + V))
        weight = None if config.tie_embeddings else rng.uniform(-limit, limit, (D, V))
        self.weight = None if weight is None else nn.Parameter(weight, config.dtype)
        self.bias = nn.Parameter(np.zeros(V), config.dtype) if config.output_bias else None

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:              # (..., D), (V, D)
        weight = embedding.T if self.weight is None else self.weight        # (D, V)
        logits: Tensor = x @ weight                                         # (..., V)
        return logits if self.bias is None else logits + self.bias
