"""A Hugging Face folder: its settings, and its weights from one safetensors file or from several and their index.

Weights are never unpickled, and nothing in a folder is believed before something else bears it out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.headers import CheckpointError, read_header, read_plain, without_duplicates

__all__ = [
    "ACTIVATIONS", "Names", "activation_of", "gathered", "read_settings", "read_weights",
    "refuse_others", "without_prefix",
]

Array = NDArray[Any]
Names = dict[str, tuple[str, tuple[int, ...]]]  # their name of a weight → ours, and the shape in which it is stored

LONGEST_SETTINGS = 1 << 20  # bytes
LONGEST_INDEX = 1 << 24
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ACTIVATIONS = {
    "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu", "relu": "relu", "silu": "silu",
    "swish": "silu",
}  # fmt: skip


# Settings -----------------------------------------------------------------------------------------


def read_settings(path: Path, longest: int = LONGEST_SETTINGS) -> dict[str, Any]:
    """A JSON object from a file of reasonable size."""
    try:
        if path.stat().st_size > longest:
            raise CheckpointError(f"{path}: {path.stat().st_size} bytes are too many for settings")
        found = json.loads(path.read_bytes().decode(), object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no JSON: {str(error):.80}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: a {type(found).__name__}, where settings by name are due")
    return found


def refuse_others(path: Path, settings: Mapping[str, Any], kind: str, plain: Mapping[str, Any]) -> None:
    """Settings of another kind of model, or with a switch that ours lacks; one left out has its `plain` value."""
    for name, value in {"model_type": kind, **plain}.items():
        if settings.get(name, None if name == "model_type" else value) != value:
            raise CheckpointError(f"{path}: {name} = {settings.get(name)!r:.40}; this package has only {value!r}")


def activation_of(path: Path, settings: Mapping[str, Any], name: str, default: str) -> str:
    """Our name of the activation."""
    activation = settings.get(name, default)
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(f"{path}: {name} = {activation!r:.40}; this package has {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[activation]


# Weights ------------------------------------------------------------------------------------------


def read_weights(folder: Path) -> tuple[Path, dict[str, Array]]:
    """The tensors by their names, and the file to name in a complaint: the weights', or the index of several."""
    whole, index = folder / WHOLE, folder / INDEX
    if whole.is_file():
        return whole, read_plain(whole)[0]
    if index.is_file():
        return index, read_shards(index)
    others = sorted(file.name for file in folder.glob("*.bin"))
    hint = f" (there is {others[0]:.60}: save the model again, as safetensors)" if others else ""
    raise CheckpointError(f"{folder}: there is no {WHOLE}{hint}")


def read_shards(index: Path) -> dict[str, Array]:
    """The tensors of all files that an index names: each of them in the file that it names, and nothing besides."""
    settings = read_settings(index, LONGEST_INDEX)
    places, facts = settings.get("weight_map"), settings.get("metadata", {})
    if not (isinstance(places, dict) and places and all(isinstance(file, str) for file in places.values())):
        raise CheckpointError(f"{index}: its weight_map must name a file for each tensor")
    tensors: dict[str, Array] = {}
    size = 0
    for file in sorted(set(places.values())):
        if Path(file).name != file or "\\" in file or "\0" in file or not file.endswith(".safetensors"):
            raise CheckpointError(f"{index}: {file!r:.80} is no name of a safetensors file in the folder")
        path = index.with_name(file)
        if not path.is_file():
            raise CheckpointError(f"{index}: the file {file!r:.80} is missing")
        held, _ = read_plain(path)
        for name in held:
            if places.get(name) != file:
                where = f"in {places[name]!r:.80}" if name in places else "nowhere"
                raise CheckpointError(f"{path}: tensor {name!r:.80} is here, and by the index {where}")
        with open(path, "rb") as stored:
            size += read_header(path, stored)[1]
        tensors |= held
    missing = [name for name in places if name not in tensors]
    if missing:
        raise CheckpointError(f"{index}: tensor {missing[0]!r:.80} is not in {places[missing[0]]!r:.80}")
    total = facts.get("total_size") if isinstance(facts, dict) else None
    if total is not None and total != size:
        raise CheckpointError(f"{index}: total_size = {total!r:.40}, and the tensors have {size} bytes together")
    return tensors


def without_prefix(path: Path, tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Some files name the whole model's part before each tensor, and some do not."""
    found = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    if len(found) != len(tensors):
        twice = next(name for name in tensors if prefix + name in tensors)
        raise CheckpointError(f"{path}: tensor {twice!r:.80} is there twice, with {prefix!r} before it and without")
    return found


def gathered(
    path: Path, tensors: dict[str, Array], names: Names, turned: Collection[str] = ()
) -> dict[str, Array]:
    """Our name → array, taken out of `tensors`. Those of `turned` are stored as (out, in), and come as (in, out).

    Where several of their names are one of ours, they come side by side, in this order.
    """
    found: dict[str, list[Array]] = {}
    for theirs, (ours, shape) in names.items():
        tensor = tensors.pop(theirs, None)
        if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
            what = "is missing" if tensor is None else f"is {tensor.dtype} {tensor.shape}"
            raise CheckpointError(f"{path}: tensor {theirs!r} {what}; the configuration wants floats {shape}")
        found.setdefault(ours, []).append(tensor.T if theirs in turned else tensor)
    return {ours: np.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0] for ours, parts in found.items()}
