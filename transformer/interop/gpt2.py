"""GPT-2 from a Hugging Face folder: config.json and the weights become a decoder of this package.

Their linear layers are stored for x @ W, as ours are, and their queries, keys and values lie side by side: only the
names differ. Nothing is built before the tensors bear the configuration out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformer.config import TransformerConfig
from transformer.headers import CheckpointError
from transformer.interop.folders import (
    Names,
    activation_of,
    gathered,
    read_settings,
    read_weights,
    refuse_others,
    without_prefix,
)
from transformer.model import Transformer

__all__ = ["load_gpt2"]

# What the model of this package has no counterpart of: only these values are taken.
PLAIN = {
    "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
}  # fmt: skip
BLOCK = {
    "ln_1": "norm1", "attn.c_attn": "attention.qkv", "attn.c_proj": "attention.output", "ln_2": "norm2",
    "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down",
}  # fmt: skip
MASKS = (".attn.bias", ".attn.masked_bias")  # tables of the causal mask, which older files hold beside the weights


def load_gpt2(folder: str | Path, dtype: str = "float32") -> Transformer:
    """The model of a folder, in evaluation mode, whose logits and gradients are those of `transformers`.

    Weights in half precision become numbers of the dtype, which holds each of them. Without dropout: whoever trains it
    further sets `dropout` by dataclasses.replace(model.config, ...).
    Raises CheckpointError, in one line, for a folder that is no GPT-2, is damaged, or contradicts itself.
    """
    folder = Path(folder)
    config = config_of(folder / "config.json", read_settings(folder / "config.json"), dtype)
    path, tensors = read_weights(folder)
    tensors = without_prefix(path, tensors, "transformer.")
    if config.num_layers > len(tensors):
        raise CheckpointError(f"{path}: {len(tensors)} tensors are too few for {config.num_layers} layers")
    state = gathered(path, tensors, names_of(config), turned=["lm_head.weight"])
    if config.tie_embeddings:
        tensors.pop("lm_head.weight", None)  # the embedding once more
    left = [name for name in sorted(tensors) if not name.endswith(MASKS)]
    if left:
        raise CheckpointError(f"{path}: tensor {left[0]!r:.80} is none of GPT-2's")
    model = Transformer(config)
    model.load_state_dict(state)
    return model.eval()


def config_of(path: Path, settings: Mapping[str, Any], dtype: str) -> TransformerConfig:
    """The configuration that says the same; what is left out has GPT-2's default."""
    refuse_others(path, settings, "gpt2", PLAIN)
    width, inner = settings.get("n_embd", 768), settings.get("n_inner")
    activation = activation_of(path, settings, "activation_function", "gelu_new")
    try:
        return TransformerConfig(
            settings.get("vocab_size", 50257), width, settings.get("n_head", 12), settings.get("n_layer", 12),
            4 * width if inner is None else inner, settings.get("n_positions", 1024),
            causal=True, norm="pre", activation=activation, positions="learned", pooling=None,
            attention_bias=True, tie_embeddings=settings.get("tie_word_embeddings", True), output_bias=False,
            norm_eps=settings.get("layer_norm_epsilon", 1e-5), pad_id=None, dtype=dtype,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {str(error):.200}") from None


def names_of(config: TransformerConfig) -> Names:
    """GPT-2's name of each weight → ours, and the shape in which it is stored."""
    V, T, D, F = config.vocab_size, config.max_seq_len, config.embed_dim, config.ffn_dim
    widths = {"ln_1": D, "attn.c_attn": 3 * D, "attn.c_proj": D, "ln_2": D, "mlp.c_fc": F, "mlp.c_proj": D}
    names: Names = {
        "wte.weight": ("embedding.weight", (V, D)),
        "wpe.weight": ("positions.weight", (T, D)),
    }
    for i in range(config.num_layers):
        for theirs, ours in BLOCK.items():
            width, reads = widths[theirs], F if theirs == "mlp.c_proj" else D
            shape = (width,) if theirs.startswith("ln") else (reads, width)
            names[f"h.{i}.{theirs}.weight"] = f"blocks.{i}.{ours}.weight", shape
            names[f"h.{i}.{theirs}.bias"] = f"blocks.{i}.{ours}.bias", (width,)
    names |= {"ln_f.weight": ("norm.weight", (D,)), "ln_f.bias": ("norm.bias", (D,))}
    if not config.tie_embeddings:
        names["lm_head.weight"] = "output.weight", (V, D)
    return names
