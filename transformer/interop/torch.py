"""From a model to an equal `torch.nn.Module`, and back. torch is imported when `to_torch` is called."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from transformer.config import TransformerConfig
from transformer.interop.layout import from_torch_layout, torch_layout
from transformer.model import Transformer

__all__ = ["from_torch", "to_torch"]


def to_torch(model: Transformer) -> Any:
    """A `torch.nn.Module` with the same weights: the same logits, and from backward() the same gradients.

    Every switch of the configuration has its counterpart. Its parameters have our names; those of linear layers are
    PyTorch's (out, in). It is in the mode, training or evaluation, that the model is in; what dropout draws differs.
    Raises ModuleNotFoundError without torch.
    """
    import torch

    from transformer.interop.torch_model import TorchTransformer

    module = TorchTransformer(model.config)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in torch_layout(model).items()})
    return module.train(model.training)


def from_torch(module: Any, config: TransformerConfig | None = None) -> Transformer:
    """A model with the weights of what `to_torch` made, bit for bit, perhaps after training in PyTorch.

    module: any whose state_dict() has these names, if a configuration is given; its dtype becomes the model's.
    Raises TypeError for a module without a configuration, ValueError for weights that do not fit.
    """
    config = getattr(module, "config", None) if config is None else config
    if not isinstance(config, TransformerConfig):
        raise TypeError(f"from_torch: a {type(module).__name__} has no TransformerConfig; pass config=")
    state = {name: np.array(tensor.numpy(force=True)) for name, tensor in module.state_dict().items()}
    kinds = {array.dtype.name for array in state.values()}
    if len(kinds) != 1:
        raise ValueError(f"from_torch: the weights are {', '.join(sorted(kinds))}; make them one dtype first")
    model = from_torch_layout(dataclasses.replace(config, dtype=kinds.pop()), state)
    return model.train(bool(module.training))
