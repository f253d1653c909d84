"""The norm that the configuration chooses."""

from __future__ import annotations

from tinygrad_edu import nn
from transformer.config import TransformerConfig

__all__ = ["make_norm"]


def make_norm(config: TransformerConfig) -> nn.LayerNorm | nn.RMSNorm | None:
    """None for a model without."""
    if "norm" in config.without:
        return None
    kind = nn.RMSNorm if config.norm_kind == "rms" else nn.LayerNorm
    return kind(config.embed_dim, config.norm_eps, dtype=config.dtype)
