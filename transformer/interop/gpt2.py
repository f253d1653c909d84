"""GPT-2 from a Hugging Face folder: config.json and model.safetensors become a decoder of this package.

Their linear layers are stored for x @ W, as ours are, and their queries, keys and values lie side by side: only the
names differ. Weights are never unpickled, and nothing is built before the tensors bear the configuration out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from transformer.config import TransformerConfig
from transformer.headers import CheckpointError, read_plain, without_duplicates
from transformer.model import Transformer

__all__ = ["load_gpt2", "read_settings"]

Array = NDArray[Any]

LONGEST_SETTINGS = 1 << 20  # bytes
ACTIVATIONS = {
    "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu", "silu": "silu",
    "swish": "silu",
}  # fmt: skip
# What the model of this package has no counterpart of: only these values are taken.
PLAIN = {
    "model_type": "gpt2", "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False, "add_cross_attention": False,
}  # fmt: skip
BLOCK = {
    "ln_1": "norm1", "attn.c_attn": "attention.qkv", "attn.c_proj": "attention.output", "ln_2": "norm2",
    "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.down",
}  # fmt: skip
MASKS = (".attn.bias", ".attn.masked_bias")  # tables of the causal mask, which older files hold beside the weights


def load_gpt2(folder: str | Path) -> Transformer:
    """The model of a folder, in evaluation mode and float32, whose logits and gradients are those of `transformers`.

    Without dropout: whoever trains it further sets `dropout` by dataclasses.replace(model.config, ...).
    Raises CheckpointError, in one line, for a folder that is no GPT-2, is damaged, or contradicts itself.
    """
    folder = Path(folder)
    settings = read_settings(folder / "config.json")
    path = folder / "model.safetensors"
    if not path.is_file():
        others = sorted(file.name for file in folder.glob("*.bin")) + sorted(
            file.name for file in folder.glob("*.index.json")
        )
        hint = f" (there is {others[0]:.60}: save the model again, whole, as safetensors)" if others else ""
        raise CheckpointError(f"{folder}: there is no model.safetensors{hint}")
    config = config_of(folder / "config.json", settings)
    tensors, _ = read_plain(path)
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    if config.num_layers > len(tensors):
        raise CheckpointError(f"{path}: {len(tensors)} tensors are too few for {config.num_layers} layers")
    state = {}
    for theirs, (ours, shape) in names_of(config).items():
        tensor = tensors.pop(theirs, None)
        if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
            found = "is missing" if tensor is None else f"is {tensor.dtype} {tensor.shape}"
            raise CheckpointError(f"{path}: tensor {theirs!r} {found}; the configuration wants floats {shape}")
        state[ours] = tensor.T if theirs == "lm_head.weight" else tensor
    if config.tie_embeddings:
        tensors.pop("lm_head.weight", None)  # the embedding once more
    left = [name for name in sorted(tensors) if not name.endswith(MASKS)]
    if left:
        raise CheckpointError(f"{path}: tensor {left[0]!r:.80} is none of GPT-2's")
    model = Transformer(config)
    model.load_state_dict(state)
    return model.eval()


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object from a file of reasonable size."""
    try:
        if path.stat().st_size > LONGEST_SETTINGS:
            raise CheckpointError(f"{path}: {path.stat().st_size} bytes are too many for settings")
        found = json.loads(path.read_bytes().decode(), object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no JSON: {str(error):.80}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: a {type(found).__name__}, where settings by name are due")
    return found


def config_of(path: Path, settings: Mapping[str, Any]) -> TransformerConfig:
    """The configuration that says the same; what is left out has GPT-2's default."""
    for name, value in PLAIN.items():
        if settings.get(name, None if name == "model_type" else value) != value:
            raise CheckpointError(f"{path}: {name} = {settings.get(name)!r:.40}; this package has only {value!r}")
    activation = settings.get("activation_function", "gelu_new")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise CheckpointError(f"{path}: activation_function = {activation!r:.40}; this package has {known}")
    width, inner = settings.get("n_embd", 768), settings.get("n_inner")
    try:
        return TransformerConfig(
            settings.get("vocab_size", 50257), width, settings.get("n_head", 12), settings.get("n_layer", 12),
            4 * width if inner is None else inner, settings.get("n_positions", 1024),
            causal=True, norm="pre", activation=ACTIVATIONS[activation], positions="learned", pooling=None,
            attention_bias=True, tie_embeddings=settings.get("tie_word_embeddings", True), output_bias=False,
            norm_eps=settings.get("layer_norm_epsilon", 1e-5), pad_id=None,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {str(error):.200}") from None


def names_of(config: TransformerConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """GPT-2's name of each weight → ours, and the shape in which it is stored."""
    V, T, D, F = config.vocab_size, config.max_seq_len, config.embed_dim, config.ffn_dim
    widths = {"ln_1": D, "attn.c_attn": 3 * D, "attn.c_proj": D, "ln_2": D, "mlp.c_fc": F, "mlp.c_proj": D}
    names: dict[str, tuple[str, tuple[int, ...]]] = {
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
