"""The Transformer: encoder or decoder, by its configuration. Forward code only; its gradients are derived."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor, is_recording, nn
from tinygrad_edu.errors import DtypeError, ShapeError
from transformer.config import TransformerConfig
from transformer.layers import Alibi, Block, Cache, Memory, Output, make_norm, make_positions, pool

__all__ = ["Transformer", "checked_tokens"]


class Transformer(nn.Module):
    """Token ids to logits: embedding, positions, blocks, pooling, output projection.

        model = Transformer(TransformerConfig(vocab_size=20), seed=0)
        logits = model([[15, 17, 3, 19, 8, 19, 4, 18]])                     # (1, 20)

    The seed settles the weights, and what dropout draws; `rng` is the generator of the latter.
    """

    def __init__(self, config: TransformerConfig, seed: int = 0) -> None:
        if not isinstance(config, TransformerConfig):
            raise TypeError(f"Transformer wants a TransformerConfig, not a {type(config).__name__}")
        rng = np.random.default_rng(seed)
        # Of the size of the positions that are added; tied, also as weights of an output of unit variance.
        std = config.embed_dim**-0.5 if config.tie_embeddings else 1.0
        self.config = config
        self.rng = rng
        V, D, dtype = config.vocab_size, config.embed_dim, config.dtype
        self.embedding = nn.Embedding(V, D, rng=rng, std=std, dtype=dtype)
        self.positions = make_positions(config, rng, std)
        self.alibi = Alibi(config) if config.places == "alibi" else None
        self.dropout = nn.Dropout(config.dropout, rng=rng)
        self.blocks = nn.ModuleList(Block(config, rng, self.dropout) for _ in range(config.num_layers))
        self.norm = make_norm(config) if config.norm == "pre" else None
        self.output = Output(config, rng)

    def forward(
        self, tokens: Any, mask: Any = None, return_attention: bool = False, cache: Cache | None = None
    ) -> Any:
        """Logits (B, V) when pooled, (B, T, V) otherwise; with return_attention also every block's weights.

        tokens (B, T) int. mask boolean, True = may attend, broadcasts to (B, H, T, S); padding, and if causal
        the future, are masked besides. cache: the tokens come after those of earlier calls with it, S in all; for
        decoders, under no_grad(). Raises for tokens of the wrong shape, kind or length, or unknown ones.
        """
        start = self.usable(cache)
        tokens = checked_tokens(self.config, tokens, start)                 # (B, T)
        pad_id = self.config.pad_id
        valid = np.ones(tokens.shape, bool) if pad_id is None else tokens != pad_id
        valid = valid if cache is None else cache.joined(np.asarray(valid))     # (B, S)
        logits, attention = self.from_embeddings(self.embedding(tokens), valid, mask, cache)
        return (logits, attention) if return_attention else logits

    def from_embeddings(
        self, x: Any, valid: NDArray[np.bool], mask: Any = None, cache: Cache | None = None
    ) -> tuple[Any, list[Any]]:
        """Logits, and every block's attention, from embedded tokens x (B, T, D); valid (B, S): is it no padding?

        What else would be fed in a token's place goes in here: vectors of one's own, or a leaf to ask for its gradient.
        """
        T, start = x.shape[1], valid.shape[1] - x.shape[1]
        mask = self.joint_mask(valid, T, mask)                              # (B, H, T, S) or less, or None
        bias = None if self.alibi is None else self.alibi(T, start)         # (H, T, S)
        x = self.dropout(x if self.positions is None else self.positions(x, start))
        attention = []
        for number, block in enumerate(self.blocks):
            memory = None if cache is None else Memory(cache, number)
            x, weights = block(x, mask, bias, memory)                       # (B, T, D), (B, H, T, S)
            attention.append(weights)
        if cache is not None:
            cache.advance(valid)
        x = x if self.norm is None else self.norm(x)
        x = pool(x, valid, self.config.pooling)                             # (B, D), or (B, T, D)
        return self.output(x, self.embedding.weight), attention             # (B, V), or (B, T, V)

    def usable(self, cache: Cache | None) -> int:
        """How many tokens the cache holds. Raises ValueError where a cache would give wrong numbers."""
        if cache is None:
            return 0
        if not (self.config.causal and self.config.pooling is None):
            raise ValueError("cache: it wants causal = True and pooling = None; else the past depends on what follows")
        if is_recording():
            raise ValueError("cache: it holds plain numbers, through which no gradient passes; call under no_grad()")
        return cache.length

    def joint_mask(self, valid: NDArray[np.bool], T: int, mask: Any) -> NDArray[np.bool] | None:
        """May a query (…, T, 1), of the last T, attend to a key (…, 1, S)? None if all may attend to all."""
        B, S = valid.shape
        joint = None if valid.all() else valid[:, None, None, :]            # (B, 1, 1, S)
        if self.config.causal and T > 1:
            past = np.tri(T, S, S - T, dtype=bool)                          # (T, S)
            joint = past if joint is None else joint & past
        if mask is None:
            return joint
        own: NDArray[Any] = np.asarray(mask)
        if own.dtype != bool:
            raise DtypeError(f"mask: {own.dtype} given; it must be boolean, True = may attend")
        full = (B, self.config.num_heads, T, S)
        try:
            fits = np.broadcast_shapes(own.shape, full) == full
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"mask: {own.shape} does not broadcast to (batch, heads, time, time) = {full}")
        return own if joint is None else joint & own


def checked_tokens(config: TransformerConfig, tokens: Any, start: int = 0) -> Any:
    """Tokens as integers (B, T), a Tensor as it is, the first at `start`; the embedding refuses unknown ids."""
    try:
        array = tokens if isinstance(tokens, Tensor) else np.asarray(tokens)
    except ValueError:
        raise ShapeError("tokens: the rows differ in length; fill them up with pad_id") from None
    if array.ndim != 2:
        hint = "; one sequence is tokens[None]" if array.ndim == 1 else ""
        raise ShapeError(f"tokens: shape {array.shape} given; it must be (batch, time){hint}")
    if not array.size:
        raise ShapeError(f"tokens: shape {array.shape} is empty; give at least one sequence of one token")
    if array.dtype.kind not in "iu":
        raise DtypeError(f"tokens: {array.dtype} given; they must be integer ids")
    if start + array.shape[1] > config.max_seq_len:
        raise ShapeError(
            f"tokens: {start + array.shape[1]} positions, but max_seq_len = {config.max_seq_len}; "
            "cut them, or build a model for more"
        )
    return array
