"""BERT: an encoder whose every vector has seen both sides, and the heads that read it. Forward code over our layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor, nn
from tinygrad_edu.errors import DtypeError, ShapeError
from transformer.config import TransformerConfig
from transformer.layers import Block, LearnedPositions, Output, make_norm
from transformer.layers.feed_forward import ACTIVATIONS
from transformer.model import checked_tokens

__all__ = ["Bert"]

# Whatever else a configuration can choose is free.
FIXED = {"norm": "post", "places": "learned", "pooling": None, "causal": False}


class Bert(nn.Module):
    """Token ids to vectors: the embeddings of token, place and sentence, their norm, and blocks.

        hidden = bert(tokens)                       # (B, T, D)
        logits = bert.fill(hidden)                  # (B, T, V): what stands in place of a [MASK]
        pooled = bert.pooler(hidden)                # (B, D)
        scores = bert.classifier(pooled)            # (B, labels)

    types: how many kinds of sentences there are. Heads that are left out are None; `relation` tells from the pooled
    vector whether the second sentence follows the first (0) or not (1). The configuration of the original:
    TransformerConfig(30522, 768, 12, 12, 3072, 512, positions="learned", activation="gelu", pooling=None,
    attention_bias=True, tie_embeddings=True, norm_eps=1e-12). Raises ValueError for one that is no encoder like it.
    """

    def __init__(
        self, config: TransformerConfig, types: int = 2, *, pooler: bool = True, words: bool = True,
        relation: bool = False, labels: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        for name, value in FIXED.items():
            if getattr(config, name) != value:
                raise ValueError(f"Bert: {name} = {getattr(config, name)!r}; it has {value!r}")
        rng = np.random.default_rng(seed)
        D, dtype, std = config.embed_dim, config.dtype, 0.02
        self.config = config
        self.rng = rng
        self.embedding = nn.Embedding(config.vocab_size, D, rng=rng, std=std, dtype=dtype)
        self.positions = LearnedPositions(config, rng, std)
        self.types = nn.Embedding(types, D, rng=rng, std=std, dtype=dtype)
        self.norm = make_norm(config)
        self.dropout = nn.Dropout(config.dropout, rng=rng)
        self.blocks = nn.ModuleList(Block(config, rng, self.dropout) for _ in range(config.num_layers))
        self.pooler = Pooler(config, rng) if pooler else None
        self.words = Words(config, rng) if words else None
        self.relation = nn.Linear(D, 2, rng=rng, dtype=dtype) if relation else None
        self.classifier = nn.Linear(D, labels, rng=rng, dtype=dtype) if labels else None

    def forward(self, tokens: Any, types: Any = None, valid: Any = None) -> Tensor:
        """The vectors after the last block, (B, T, D); arguments as for `states`."""
        return self.states(tokens, types, valid)[0][-1]

    def states(self, tokens: Any, types: Any = None, valid: Any = None) -> tuple[list[Tensor], list[Tensor]]:
        """The vectors before the first block and after each, (B, T, D), and each block's attention, (B, H, T, T).

        tokens (B, T) int. types (B, T) int: the kind of sentence that each belongs to; all 0, if not given. valid
        (B, T) bool, or 0 and 1 as tokenizers write it: is it no padding? If not given, what is not `config.pad_id`.
        Nobody attends to padding.
        """
        tokens = checked_tokens(self.config, tokens)                            # (B, T)
        valid = self.checked_mask(tokens, valid)                                # (B, T)
        types = np.zeros(tokens.shape, np.int64) if types is None else types
        if np.shape(types) != tokens.shape:
            raise ShapeError(f"types: {np.shape(types)} given; as many as the tokens, {tokens.shape}, are due")
        x = self.positions(self.embedding(tokens) + self.types(types))
        x = self.dropout(x if self.norm is None else self.norm(x))              # (B, T, D)
        mask = None if valid.all() else valid[:, None, None, :]                 # (B, 1, 1, T)
        states, attention = [x], []
        for block in self.blocks:
            x, weights = block(x, mask)                                         # (B, T, D), (B, H, T, T)
            states.append(x)
            attention.append(weights)
        return states, attention

    def fill(self, hidden: Tensor) -> Tensor:                                   # (B, T, D)
        """Logits of every token at every place. Raises TypeError without the head `words`."""
        if self.words is None:
            raise TypeError("this Bert has no head for words: it was saved, or made, without")
        logits: Tensor = self.words(hidden, self.embedding.weight)
        return logits                                                           # (B, T, V)

    def checked_mask(self, tokens: Any, valid: Any) -> NDArray[np.bool]:
        if valid is None:
            pad_id = self.config.pad_id
            return np.ones(tokens.shape, bool) if pad_id is None else np.asarray(tokens != pad_id)
        given: NDArray[Any] = np.asarray(valid)
        if given.shape != tokens.shape:
            raise ShapeError(f"valid: {given.shape} given; as many as the tokens, {tokens.shape}, are due")
        if given.dtype != bool and not (given.dtype.kind in "iu" and np.isin(given, (0, 1)).all()):
            raise DtypeError(f"valid: {given.dtype} given; it is boolean, or 0 and 1: which tokens are no padding")
        return given.astype(bool)


class Pooler(nn.Module):
    """tanh(x W + b) of the first position's vector."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        self.dense = nn.Linear(config.embed_dim, config.embed_dim, rng=rng, dtype=config.dtype)

    def forward(self, hidden: Tensor) -> Tensor:                                # (B, T, D)
        pooled: Tensor = np.tanh(self.dense(hidden[:, 0]))
        return pooled                                                           # (B, D)


class Words(nn.Module):
    """norm(activation(x W + b)), and from there the output projection, as a rule the embedding's transpose."""

    def __init__(self, config: TransformerConfig, rng: np.random.Generator) -> None:
        self.activation = ACTIVATIONS[config.activation]
        self.dense = nn.Linear(config.embed_dim, config.embed_dim, rng=rng, dtype=config.dtype)
        self.norm = nn.LayerNorm(config.embed_dim, config.norm_eps, dtype=config.dtype)
        self.output = Output(config, rng)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:             # (B, T, D), (V, D)
        x = self.norm(self.activation(self.dense(hidden)))                      # (B, T, D)
        logits: Tensor = self.output(x, embedding)
        return logits                                                           # (B, T, V)
