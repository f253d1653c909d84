"""From a model to an equal `torch.nn.Module`, and back. torch is imported when `to_torch` is called."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.config import TransformerConfig
from transformer.interop.encoder import Encoder, encoder_layout, from_encoder_layout
from transformer.interop.layout import from_torch_layout, torch_layout
from transformer.model import Transformer

__all__ = ["from_torch", "to_torch"]


def to_torch(model: Transformer | Encoder) -> Any:
    """A `torch.nn.Module` with the same weights: the same logits, and from backward() the same gradients.

    Every switch of the configuration has its counterpart. Its parameters have our names; those of linear layers are
    PyTorch's (out, in). Of an `Encoder` it is a `torch.nn.TransformerEncoder`, batch first, with the names of that.
    It is in the mode, training or evaluation, that the model is in; what dropout draws differs.
    Raises ModuleNotFoundError without torch, ValueError for an `Encoder` without a counterpart.
    """
    import torch

    if isinstance(model, Encoder):
        from transformer.interop.torch_encoder import torch_encoder

        layout = encoder_layout(model)
        module = torch_encoder(model.config, model.norm is not None).to(getattr(torch, model.config.dtype))
    else:
        from transformer.interop.torch_model import TorchTransformer

        layout, module = torch_layout(model), TorchTransformer(model.config)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in layout.items()})
    return module.train(model.training)


def from_torch(module: Any, config: TransformerConfig | None = None) -> Any:
    """A model with the weights of what `to_torch` made, bit for bit, perhaps after training in PyTorch.

    module: any whose state_dict() has these names, if a configuration is given; its dtype becomes the model's. A
    `torch.nn.TransformerEncoder`, or one of its layers, becomes an `Encoder`, and needs none.
    Raises TypeError for a module without a configuration, ValueError for weights that do not fit.
    """
    from transformer.interop.torch_encoder import configured, is_encoder

    training = bool(module.training)
    if config is None and is_encoder(module):
        state, dtype = state_of(module)
        return from_encoder_layout(configured(module, dtype), state).train(training)
    config = getattr(module, "config", None) if config is None else config
    if not isinstance(config, TransformerConfig):
        raise TypeError(f"from_torch: a {type(module).__name__} has no TransformerConfig; pass config=")
    state, dtype = state_of(module)
    return from_torch_layout(dataclasses.replace(config, dtype=dtype), state).train(training)


def state_of(module: Any) -> tuple[dict[str, NDArray[Any]], str]:
    """The weights as arrays, and their dtype."""
    state = {name: np.array(tensor.numpy(force=True)) for name, tensor in module.state_dict().items()}
    kinds = {array.dtype.name for array in state.values()}
    if len(kinds) != 1:
        raise ValueError(f"from_torch: the weights are {', '.join(sorted(kinds))}; make them one dtype first")
    return state, kinds.pop()
