"""BERT from a Hugging Face folder: config.json and the weights become the `Bert` of this package.

Their linear layers are stored as (out, in), and queries, keys and values apart; here they are (in, out), side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from transformer.config import TransformerConfig
from transformer.headers import CheckpointError
from transformer.interop.bert_model import Bert
from transformer.interop.folders import (
    Names,
    activation_of,
    gathered,
    read_settings,
    read_weights,
    refuse_others,
    without_prefix,
)

__all__ = ["is_bert", "load_bert"]

Array = NDArray[Any]

# What the model of this package has no counterpart of: only these values are taken.
PLAIN = {"is_decoder": False, "add_cross_attention": False, "position_embedding_type": "absolute"}
# The heads that a class of theirs has; a file may hold more, of the training that came before.
HEADS: dict[str, tuple[str, ...]] = {
    "BertModel": (), "BertForMaskedLM": ("words",), "BertForPreTraining": ("pooler", "words", "relation"),
    "BertForNextSentencePrediction": ("pooler", "relation"), "BertForSequenceClassification": ("pooler", "classifier"),
}  # fmt: skip
WHERE = {
    "pooler": "pooler.dense", "words": "cls.predictions.transform.dense", "relation": "cls.seq_relationship",
    "classifier": "classifier",
}  # fmt: skip
BLOCK = {
    "attention.self.query": "attention.qkv", "attention.self.key": "attention.qkv",
    "attention.self.value": "attention.qkv", "attention.output.dense": "attention.output",
    "attention.output.LayerNorm": "norm1", "intermediate.dense": "feed_forward.up",
    "output.dense": "feed_forward.down", "output.LayerNorm": "norm2",
}  # fmt: skip
TABLES = ("embedding.weight", "positions.weight", "types.weight")
OLDER = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
# A table of 0, 1, 2, …, and tied weights once more.
COPIES = (
    "embeddings.position_ids", "cls.predictions.bias", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias",
)  # fmt: skip


def load_bert(folder: str | Path, dtype: str = "float32") -> Bert:
    """The model of a folder, in evaluation mode, whose vectors, logits and gradients are those of `transformers`.

    It has the heads that the folder has: pooler, words (the masked language model), relation (the next sentence) and
    classifier (of whole sequences). Weights in half precision become numbers of the dtype, which holds each of them.
    Raises CheckpointError, in one line, for a folder that is no BERT, is damaged, or contradicts itself.
    """
    folder = Path(folder)
    settings = read_settings(folder / "config.json")
    config = config_of(folder / "config.json", settings, dtype)
    heads = heads_named(folder / "config.json", settings)
    path, tensors = read_weights(folder)
    tensors = without_prefix(path, with_todays_names(path, tensors), "bert.")
    if config.num_layers > len(tensors):
        raise CheckpointError(f"{path}: {len(tensors)} tensors are too few for {config.num_layers} layers")
    heads |= {head for head, where in WHERE.items() if f"{where}.weight" in tensors}
    if heads & {"relation", "classifier"}:  # they read what it pools
        heads.add("pooler")
    labels = labels_of(path, settings, tensors) if "classifier" in heads else 0
    names = names_of(config, settings.get("type_vocab_size", 2), heads, labels)
    linear = [theirs for theirs, (ours, shape) in names.items() if len(shape) == 2 and ours not in TABLES]
    state = gathered(path, tensors, names, turned=linear)
    left = sorted(set(tensors) - set(COPIES))
    if left:
        raise CheckpointError(f"{path}: tensor {left[0]!r:.80} is none of BERT's")
    model = Bert(
        config, len(state["types.weight"]), pooler="pooler" in heads, words="words" in heads,
        relation="relation" in heads, labels=labels,
    )  # fmt: skip
    model.load_state_dict(state)
    return model.eval()


def is_bert(folder: str | Path) -> bool:
    """By its settings alone."""
    return read_settings(Path(folder) / "config.json").get("model_type") == "bert"


def config_of(path: Path, settings: Mapping[str, Any], dtype: str) -> TransformerConfig:
    """The configuration that says the same; what is left out has BERT's default."""
    refuse_others(path, settings, "bert", PLAIN)
    activation = activation_of(path, settings, "hidden_act", "gelu")
    try:
        return TransformerConfig(
            settings.get("vocab_size", 30522), settings.get("hidden_size", 768),
            settings.get("num_attention_heads", 12), settings.get("num_hidden_layers", 12),
            settings.get("intermediate_size", 3072), settings.get("max_position_embeddings", 512),
            norm="post", activation=activation, positions="learned", pooling=None, attention_bias=True,
            tie_embeddings=settings.get("tie_word_embeddings", True), norm_eps=settings.get("layer_norm_eps", 1e-12),
            pad_id=settings.get("pad_token_id", 0), dtype=dtype,
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {str(error):.200}") from None


def heads_named(path: Path, settings: Mapping[str, Any]) -> set[str]:
    """The heads of the class that the weights were saved from, if the settings name it."""
    classes = settings.get("architectures") or ["BertModel"]
    if not isinstance(classes, list) or not all(isinstance(each, str) and each in HEADS for each in classes):
        raise CheckpointError(f"{path}: architectures = {str(classes):.60}; this package has {', '.join(HEADS)}")
    return {head for each in classes for head in HEADS[each]}


def with_todays_names(path: Path, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The norms' weights were called gamma and beta once."""
    found = {}
    for name, tensor in tensors.items():
        for old, new in OLDER.items():
            name = name.removesuffix(old) + new if name.endswith(old) else name
        if name in found:
            raise CheckpointError(f"{path}: tensor {name!r:.80} is there twice, under its old name and its new")
        found[name] = tensor
    return found


def labels_of(path: Path, settings: Mapping[str, Any], tensors: Mapping[str, Array]) -> int:
    """How many classes the classifier has. Its tensor says so, and the settings' names for them may not deny it."""
    weight = tensors.get("classifier.weight")
    labels = len(weight) if weight is not None and weight.ndim else 1
    named = settings.get("id2label")
    if isinstance(named, dict) and len(named) != labels:
        raise CheckpointError(f"{path}: the classifier has {labels} classes, and id2label names {len(named)}")
    return labels


def names_of(config: TransformerConfig, types: int, heads: Collection[str], labels: int) -> Names:
    """BERT's name of each weight → ours, and the shape in which it is stored; query, key and value are one of ours."""
    V, T, D, F = config.vocab_size, config.max_seq_len, config.embed_dim, config.ffn_dim
    names: Names = {
        "embeddings.word_embeddings.weight": ("embedding.weight", (V, D)),
        "embeddings.position_embeddings.weight": ("positions.weight", (T, D)),
        "embeddings.token_type_embeddings.weight": ("types.weight", (types, D)),
    }

    def add(theirs: str, ours: str, width: int, reads: int | None = D) -> None:
        """A linear layer, or a norm, which reads nothing."""
        names[f"{theirs}.weight"] = f"{ours}.weight", (width,) if reads is None else (width, reads)
        names[f"{theirs}.bias"] = f"{ours}.bias", (width,)

    add("embeddings.LayerNorm", "norm", D, None)
    for i in range(config.num_layers):
        for theirs, ours in BLOCK.items():
            reads = None if theirs.endswith("LayerNorm") else F if theirs == "output.dense" else D
            add(f"encoder.layer.{i}.{theirs}", f"blocks.{i}.{ours}", F if theirs == "intermediate.dense" else D, reads)
    if "pooler" in heads:
        add(WHERE["pooler"], "pooler.dense", D)
    if "words" in heads:
        add(WHERE["words"], "words.dense", D)
        add("cls.predictions.transform.LayerNorm", "words.norm", D, None)
        if config.tie_embeddings:
            names["cls.predictions.bias"] = "words.output.bias", (V,)
        else:
            add("cls.predictions.decoder", "words.output", V)
    if "relation" in heads:
        add(WHERE["relation"], "relation", 2)
    if "classifier" in heads:
        add(WHERE["classifier"], "classifier", labels)
    return names
