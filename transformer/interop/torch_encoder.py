"""`torch.nn.TransformerEncoder` from an `Encoder`'s configuration, and back to one. Importing this needs torch."""

from __future__ import annotations

from typing import Any

from torch import nn

from transformer.config import TransformerConfig
from transformer.interop.torch_model import ACTIVATIONS

__all__ = ["configured", "is_encoder", "torch_encoder"]


def torch_encoder(config: TransformerConfig, final_norm: bool) -> Any:
    """A `torch.nn.TransformerEncoder` without its weights, batch first; it drops out what an `Encoder` does."""
    D, eps = config.embed_dim, config.norm_eps
    layer = nn.TransformerEncoderLayer(
        D, config.num_heads, config.ffn_dim, config.dropout, ACTIVATIONS[config.activation], eps, batch_first=True,
        norm_first=config.norm == "pre",
    )  # fmt: skip
    layer.self_attn.dropout = layer.dropout.p = 0.0
    norm = nn.LayerNorm(D, eps) if final_norm else None
    return nn.TransformerEncoder(layer, config.num_layers, norm, enable_nested_tensor=False)


def is_encoder(module: Any) -> bool:
    return isinstance(module, nn.TransformerEncoder | nn.TransformerEncoderLayer)


def configured(module: Any, dtype: str) -> TransformerConfig:
    """The configuration of an encoder or of one layer. Raises ValueError for what an `Encoder` cannot say."""
    layers = list(module.layers) if isinstance(module, nn.TransformerEncoder) else [module]
    found = [choices(layer) for layer in layers]
    if any(each != found[0] for each in found):
        raise ValueError("from_torch: the layers of this encoder differ from each other in more than their weights")
    norm = getattr(module, "norm", None)
    if norm is not None and (not isinstance(norm, nn.LayerNorm) or norm.eps != found[0]["norm_eps"]):
        raise ValueError(f"from_torch: the encoder ends with {norm}; a LayerNorm as in its layers would be known")
    return TransformerConfig(
        vocab_size=1, num_layers=len(layers), attention_bias=True, pooling=None, pad_id=None, without=("positions",),
        dtype=dtype, **found[0],
    )  # fmt: skip


def choices(layer: Any) -> dict[str, Any]:
    """What distinguishes one layer."""
    if layer.linear1.bias is None:
        raise ValueError("from_torch: a TransformerEncoderLayer of bias=False has no counterpart here")
    if layer.norm1.eps != layer.norm2.eps:
        raise ValueError(f"from_torch: the norms of a layer have eps {layer.norm1.eps} and {layer.norm2.eps}")
    return {
        "embed_dim": layer.linear1.in_features, "ffn_dim": layer.linear1.out_features,
        "num_heads": layer.self_attn.num_heads, "norm": "pre" if layer.norm_first else "post",
        "activation": activation_of(layer.activation), "dropout": layer.dropout1.p, "norm_eps": layer.norm1.eps,
    }  # fmt: skip


def activation_of(function: Any) -> str:
    """Our name of a function, or of the module that computes it."""
    if isinstance(function, nn.GELU):
        return "gelu" if function.approximate == "none" else "gelu_tanh"
    modules = {nn.ReLU: "relu", nn.SiLU: "silu"}
    for name, known in ACTIVATIONS.items():
        if function is known or modules.get(type(function)) == name:
            return name
    raise ValueError(f"from_torch: the activation {function!r} is none of {', '.join(ACTIVATIONS)}")
