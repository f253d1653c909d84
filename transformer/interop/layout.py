"""PyTorch's layout of a model's weights: the same names, and the weight of every linear layer as (out, in).

NumPy alone: whoever reads the file with PyTorch needs PyTorch, whoever writes it here does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.checkpoint import model_of, write_atomically
from transformer.config import TransformerConfig
from transformer.headers import CheckpointError, read_plain
from transformer.model import Transformer

__all__ = ["from_torch_layout", "load_torch_layout", "save_torch_layout", "torch_layout"]

Array = NDArray[Any]

TABLES = ("embedding.weight", "positions.weight")  # a row for each token or place, in either layout


def turned(name: str, array: Array) -> Array:
    """From one layout into the other: a linear layer's weight is a matrix that is no table."""
    turn = array.ndim == 2 and name not in TABLES
    return np.ascontiguousarray(array.T) if turn else array


def torch_layout(model: Transformer) -> dict[str, Array]:
    """The weights by their names, copied, as `to_torch(model).state_dict()` has them: linear weights are (out, in)."""
    return {name: turned(name, array) for name, array in model.state_dict().items()}


def from_torch_layout(config: TransformerConfig, tensors: Mapping[str, Any]) -> Transformer:
    """A model with these weights, bit for bit where the dtypes are equal. tensors: arrays, in PyTorch's layout.

    Raises ValueError, listing all names and shapes that do not fit.
    """
    model = Transformer(config)
    model.load_state_dict({name: turned(name, np.asarray(tensor)) for name, tensor in tensors.items()})
    return model


def save_torch_layout(path: Path, model: Transformer) -> None:
    """Write a safetensors file for `safetensors.torch.load_file`; the configuration stands in its metadata."""
    from safetensors.numpy import save

    metadata = {"config": json.dumps(model.config.to_dict())}
    write_atomically(Path(path), save(torch_layout(model), metadata=metadata))


def load_torch_layout(path: Path, config: TransformerConfig | None = None) -> Transformer:
    """The model of such a file; its configuration from the metadata, if none is given.

    The format has no checksums, so damage to the numbers themselves goes unseen: `transformer.checkpoint` has them.
    Raises CheckpointError for what does not fit together, FileNotFoundError.
    """
    tensors, metadata = read_plain(path)
    if config is None:
        try:
            config = TransformerConfig.from_dict(json.loads(metadata["config"]))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{path}: its metadata holds no configuration ({error}); pass config=") from None
    return model_of(path, config, {name: turned(name, tensor) for name, tensor in tensors.items()})
