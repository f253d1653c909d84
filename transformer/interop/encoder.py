"""Blocks alone, vectors in and vectors out: what `torch.nn.TransformerEncoder` is, under its names and under ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import nn
from transformer.config import TransformerConfig
from transformer.layers import Alibi, Block, make_norm

__all__ = ["Encoder", "encoder_layout", "from_encoder_layout"]

Array = NDArray[Any]

# PyTorch's names within a layer → ours within a block. Its weights are (out, in), ours (in, out).
LAYER = {
    "self_attn.in_proj_": "attention.qkv.", "self_attn.out_proj.": "attention.output.",
    "linear1.": "feed_forward.up.", "linear2.": "feed_forward.down.", "norm1.": "norm1.", "norm2.": "norm2.",
}  # fmt: skip
# What its layers have no counterpart of.
FIXED = {"norm_kind": "layer", "gated": False, "attention_bias": True}


class Encoder(nn.Module):
    """config.num_layers blocks, and with final_norm a norm after them. Nothing is embedded, placed or pooled.

        encoder = Encoder(TransformerConfig(vocab_size=1, embed_dim=16, num_heads=2, attention_bias=True))
        y = encoder(x)                                                      # (B, T, D), as x
    """

    def __init__(self, config: TransformerConfig, final_norm: bool = False, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.config = config
        self.rng = rng
        self.alibi = Alibi(config) if config.places == "alibi" else None
        dropout = nn.Dropout(config.dropout, rng=rng)
        self.blocks = nn.ModuleList(Block(config, rng, dropout) for _ in range(config.num_layers))
        self.norm = make_norm(config) if final_norm else None

    def forward(self, x: Any, mask: NDArray[np.bool] | None = None) -> Any:     # (B, T, D)
        """mask boolean, True = may attend, which PyTorch's says the other way round; broadcasts to (B, H, T, T)."""
        bias = None if self.alibi is None else self.alibi(x.shape[1])           # (H, T, T)
        for block in self.blocks:
            x, _ = block(x, mask, bias)                                         # (B, T, D)
        return x if self.norm is None else self.norm(x)


def encoder_layout(encoder: Encoder) -> dict[str, Array]:
    """The weights, copied, by the names and in the layout of `torch.nn.TransformerEncoder`'s state dict.

    Raises ValueError for a configuration that it has no counterpart of.
    """
    refuse_without_counterpart(encoder.config)
    state, names = encoder.state_dict(), names_of(encoder.config, encoder.norm is not None)
    return {theirs: np.ascontiguousarray(state[ours].T) for theirs, ours in names.items()}


def from_encoder_layout(config: TransformerConfig, tensors: Mapping[str, Any]) -> Encoder:
    """The encoder with these weights, of a `torch.nn.TransformerEncoder` or of one of its layers alone.

    tensors: arrays by PyTorch's names. Raises ValueError, listing all names and shapes that do not fit.
    """
    refuse_without_counterpart(config)
    if config.num_layers == 1 and not any(name.startswith("layers.") for name in tensors):
        tensors = {f"layers.0.{name}": tensor for name, tensor in tensors.items()}
    encoder = Encoder(config, final_norm="norm.weight" in tensors)
    names = names_of(config, encoder.norm is not None)
    encoder.load_state_dict({names.get(theirs, theirs): np.asarray(tensor).T for theirs, tensor in tensors.items()})
    return encoder


def refuse_without_counterpart(config: TransformerConfig) -> None:
    chosen = {name: getattr(config, name) for name, value in FIXED.items() if getattr(config, name) != value}
    if config.places in ("rotary", "alibi"):
        chosen["positions"] = config.positions
    parts = [part for part in config.without if part != "positions"]
    if parts:
        chosen["without"] = tuple(parts)
    for name, value in chosen.items():
        raise ValueError(f"Encoder: {name} = {value!r} has no counterpart in torch.nn.TransformerEncoder")


def names_of(config: TransformerConfig, final_norm: bool) -> dict[str, str]:
    """PyTorch's name of each weight → ours."""
    names = {
        f"layers.{i}.{theirs}{kind}": f"blocks.{i}.{ours}{kind}"
        for i in range(config.num_layers) for theirs, ours in LAYER.items() for kind in ("weight", "bias")
    }  # fmt: skip
    return names | ({"norm.weight": "norm.weight", "norm.bias": "norm.bias"} if final_norm else {})
