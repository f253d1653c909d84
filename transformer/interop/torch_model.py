"""The same transformer as a `torch.nn.Module`: PyTorch's own layers, the same names. Importing this needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from transformer.config import TransformerConfig
from transformer.layers import Alibi, Rotary, SinusoidalPositions

__all__ = ["TorchTransformer"]

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "relu": F.relu, "gelu": F.gelu, "silu": F.silu, "gelu_tanh": nn.GELU(approximate="tanh"),
}  # fmt: skip


class Attention(nn.Module):
    """In H heads; a query that may attend to nothing gets zeros."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        D = config.embed_dim
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(D, 3 * D, config.attention_bias)
        self.output = nn.Linear(D, D, config.attention_bias)
        rotary = Rotary(config) if config.places == "rotary" else None
        for name in ("cos", "sin", "quarter_turn"):
            constant(self, name, None if rotary is None else getattr(rotary, name))

    def forward(self, x: Any, allowed: Any, bias: Any) -> Any:                  # (B, T, D), (B, 1 or H, T, T)
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, self.num_heads, -1).unbind(2)    # each (B, T, H, D/H)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))                  # each (B, H, T, D/H)
        if self.cos is not None:
            q, k = (y * self.cos[:T] + (y @ self.quarter_turn) * self.sin[:T] for y in (q, k))
        scores = (q / math.sqrt(D // self.num_heads)) @ k.mT                    # (B, H, T, T)
        if bias is not None:
            scores = scores + bias
        weights = torch.softmax(scores.masked_fill(~allowed, torch.finfo(x.dtype).min), dim=-1)
        weights = weights.masked_fill(~allowed, 0.0)                            # no NaN where nothing is allowed
        return self.output((weights @ v).transpose(1, 2).reshape(B, T, D))


class FeedForward(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        D, F_ = config.embed_dim, config.ffn_dim
        self.activation = ACTIVATIONS[config.activation]
        self.up = nn.Linear(D, F_)
        self.gate = nn.Linear(D, F_) if config.gated else None
        self.down = nn.Linear(F_, D)

    def forward(self, x: Any) -> Any:                                           # (B, T, D)
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        attends, feeds = "attention" not in config.without, "feed_forward" not in config.without
        self.pre_norm, self.residual = config.norm == "pre", "residual" not in config.without
        self.attention = Attention(config) if attends else None
        self.norm1 = make_norm(config) if attends else None
        self.feed_forward = FeedForward(config) if feeds else None
        self.norm2 = make_norm(config) if feeds else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Any, allowed: Any, bias: Any) -> Any:                  # (B, T, D)
        if self.attention is not None:
            x = self.after(self.norm1, x, self.attention(self.before(self.norm1, x), allowed, bias))
        if self.feed_forward is not None:
            x = self.after(self.norm2, x, self.feed_forward(self.before(self.norm2, x)))
        return x

    def before(self, norm: Any, x: Any) -> Any:
        return norm(x) if self.pre_norm and norm is not None else x

    def after(self, norm: Any, x: Any, change: Any) -> Any:
        x = x + self.dropout(change) if self.residual else self.dropout(change)
        return x if self.pre_norm or norm is None else norm(x)


class Positions(nn.Module):
    """A learned table under the name `weight`."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.max_seq_len, config.embed_dim))

    def forward(self, x: Any) -> Any:                                           # (B, T, D)
        return x + self.weight[: x.shape[1]]


class Output(nn.Module):
    """As a linear layer, whose weight may be the embedding's."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        V, D = config.vocab_size, config.embed_dim
        self.weight = None if config.tie_embeddings else nn.Parameter(torch.empty(V, D))
        self.bias = nn.Parameter(torch.empty(V)) if config.output_bias else None

    def forward(self, x: Any, embedding: Any) -> Any:                           # (..., D), (V, D)
        return F.linear(x, embedding if self.weight is None else self.weight, self.bias)


class TorchTransformer(nn.Module):
    """What `to_torch` makes. config: the TransformerConfig it was built from.

    model(tokens, mask=None) → logits, as `Transformer` gives them: tokens (B, T) int, mask boolean, True = may attend.
    The weights are there, uninitialised, under the names of `torch_layout`.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        V, D = config.vocab_size, config.embed_dim
        self.embedding = nn.Embedding(V, D)
        self.positions = Positions(config) if config.places == "learned" else None
        constant(self, "table", SinusoidalPositions(config).table if config.places == "sinusoidal" else None)
        constant(self, "bias", Alibi(config)(config.max_seq_len) if config.places == "alibi" else None)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = make_norm(config) if config.norm == "pre" else None
        self.output = Output(config)
        self.to(getattr(torch, config.dtype))

    def forward(self, tokens: Any, mask: Any = None) -> Any:                    # (B, T)
        config, T = self.config, tokens.shape[1]
        valid = torch.ones_like(tokens, dtype=torch.bool) if config.pad_id is None else tokens != config.pad_id
        allowed = valid[:, None, None, :].expand(-1, 1, T, -1)                  # (B, 1, T, T)
        if config.causal:
            allowed = allowed & torch.ones(T, T, dtype=torch.bool, device=tokens.device).tril()
        if mask is not None:
            allowed = allowed & mask
        x = self.embedding(tokens)                                              # (B, T, D)
        if self.positions is not None:
            x = self.positions(x)
        elif self.table is not None:
            x = x + self.table[:T]
        x = self.dropout(x)
        bias = None if self.bias is None else self.bias[:, :T, :T]              # (H, T, T)
        for block in self.blocks:
            x = block(x, allowed, bias)
        if self.norm is not None:
            x = self.norm(x)
        return self.output(pooled(x, valid, config.pooling), self.embedding.weight)


def make_norm(config: TransformerConfig) -> Any:
    if "norm" in config.without:
        return None
    kind = nn.RMSNorm if config.norm_kind == "rms" else nn.LayerNorm
    return kind(config.embed_dim, eps=config.norm_eps)


def pooled(x: Any, valid: Any, how: str | None) -> Any:
    """x (B, T, D), valid (B, T); (B, D), or x itself for None. Zeros for a sequence that is nothing but padding."""
    if how is None:
        return x
    if how == "first":
        return x[:, 0]
    count = valid.sum(1, keepdim=True)                                          # (B, 1)
    if how == "mean":
        return (x * valid[:, :, None]).sum(1) / count.clamp(min=1)
    if how == "max":
        found = x.masked_fill(~valid[:, :, None], -math.inf).amax(1)
    else:
        places = torch.arange(x.shape[1], device=x.device)
        found = x[torch.arange(len(x), device=x.device), (valid * places).amax(1)]
    return found.masked_fill(count == 0, 0.0)


def constant(module: Any, name: str, array: Any) -> None:
    """A table that moves with the module to a device, and is no part of its state."""
    module.register_buffer(name, None if array is None else torch.from_numpy(np.array(array)), persistent=False)
