"""A model as ONNX: tokens in, logits out; or tokens and weights in, the loss and every gradient out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, functional, gradients
from tinygrad_edu.onnx import to_onnx
from transformer.model import Transformer

__all__ = ["export_onnx"]


def export_onnx(
    model: Transformer, path: str | os.PathLike[str] | None = None, batch: int = 1, time: int | None = None,
    gradient: bool = False,
) -> Any:  # fmt: skip
    """The model in evaluation mode as an onnx.ModelProto, for token arrays (batch, time), int64; written to `path`.

    Without gradient: tokens → logits, the weights as constants under their names. With it: tokens, targets and the
    weights → loss and, as "gradient of NAME", the gradient of each. The loss is the mean cross-entropy over the targets
    that are not padding; targets (batch,) int64, or (batch, time) without pooling. time: the model's positions, if not
    given. Wants the package `onnx`.
    """
    config = model.config
    tokens = example(config.vocab_size, config.pad_id, (batch, time or config.max_seq_len))
    training = model.training
    model.eval()
    try:
        if not gradient:
            return to_onnx(model, tokens, path=path, names=["tokens"], outputs=["logits"])
        targets = example(config.vocab_size, None, (batch,) if config.pooling else tokens.shape)

        def loss_and_gradients(parameters: Mapping[str, Tensor], tokens: Tensor, targets: Tensor) -> dict[str, Any]:
            loss = mean_loss(model(tokens), targets, config.pad_id)
            found = gradients(loss, parameters, create_graph=True, allow_unused=True)
            zeros = {name: np.zeros(p.shape, p.dtype) for name, p in parameters.items()}
            return {"loss": loss} | {f"gradient of {n}": zeros[n] if g is None else g for n, g in found.items()}

        inputs = dict(model.named_parameters()), tokens, targets
        return to_onnx(loss_and_gradients, *inputs, path=path, names=["parameters", "tokens", "targets"])
    finally:
        model.train(training)


def example(words: int, pad_id: int | None, shape: tuple[int, ...]) -> np.ndarray:
    """Tokens for the run that is written down; with padding, so that the masks are part of it, the last row whole."""
    tokens = np.random.default_rng(0).integers(0, words, shape)
    if pad_id is not None:
        tokens[tokens == pad_id] = (pad_id + 1) % words
        tokens[-1] = pad_id
    return tokens


def mean_loss(logits: Tensor, targets: Tensor, pad_id: int | None) -> Tensor:
    """functional.cross_entropy over the targets that count, without asking which those are: they come later."""
    logs: Any = functional.log_softmax(logits)                                          # (..., V)
    picked = np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]              # (...)
    counted: Any = np.ones_like(targets) if pad_id is None else targets != pad_id
    counted = counted.astype(logits.dtype)
    loss: Tensor = -np.sum(picked * counted) / np.sum(counted)
    return loss
