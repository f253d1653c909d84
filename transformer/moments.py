"""What changes while a model learns, measured in passing: gradients and updates of each layer, where its heads look.

A layer is what the names of parameters say: embedding, blocks.0, blocks.1, ..., output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor
from transformer.generate import inference
from transformer.model import Transformer
from transformer.tasks import Split
from transformer.tokens import PAD

__all__ = ["attention_entropy", "gradient_norms", "is_a_moment", "update_ratios"]

Array = NDArray[Any]


def is_a_moment(epoch: int) -> bool:
    """0, 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: dense where much changes, and few however long a training lasts."""
    return bool(re.fullmatch("0|11?0*", f"{epoch:b}"))


def gradient_norms(parameters: Iterable[tuple[str, Tensor]]) -> dict[str, float]:
    """The norm of each layer's gradient."""
    found = {name: p.grad.numpy() for name, p in parameters if p.grad is not None}
    return by_layer(found)


def update_ratios(before: Mapping[str, Array], after: Mapping[str, Array]) -> dict[str, float]:
    """How far a step moved each layer, as a share of the length of its weights; about 1e-3 is usual."""
    moved = by_layer({name: after[name] - before[name] for name in before})
    lengths = by_layer(before)
    return {layer: moved[layer] / (lengths[layer] or 1.0) for layer in moved}


def by_layer(arrays: Mapping[str, Array]) -> dict[str, float]:
    """The norm of all the arrays of one layer together."""
    squares: dict[str, float] = {}
    for name, array in arrays.items():
        layer = layer_of(name)
        squares[layer] = squares.get(layer, 0.0) + float(np.square(array, dtype=np.float64).sum())
    return {layer: float(np.sqrt(square)) for layer, square in squares.items()}


def layer_of(name: str) -> str:
    """blocks.0.attention.qkv.weight stands in blocks.0, embedding.weight in embedding."""
    parts = name.split(".")
    return ".".join(parts[:2] if parts[0] == "blocks" else parts[:1])


def attention_entropy(model: Transformer, split: Split, count: int = 64) -> Array:
    """Mean entropy of the attention rows of each block and head, (L, H), in nats; log T if all look everywhere."""
    tokens, _ = next(iter(split.batches(count)))
    with inference(model):
        _, attention = model(tokens, return_attention=True)
    rows = np.array(tokens != PAD)[:, None, :]  # (B, 1, T): queries that are there
    found = []
    for each in attention:
        weights = each.numpy()
        entropy = -(weights * np.log(np.where(weights > 0, weights, 1))).sum(axis=-1)  # (B, H, T)
        found.append((entropy * rows).sum(axis=(0, 2)) / rows.sum())
    return np.array(found)
