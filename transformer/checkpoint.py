"""Checkpoints: safetensors files that notice damage, and are either written whole or not at all.

The format itself has no checksum: nearly every flipped bit loads silently as another number. So each tensor's SHA-256
goes into the metadata, with one of the metadata itself. They find accidents, not forgery; nothing is ever unpickled,
and lengths, offsets, shapes and names are checked before anything is allocated by them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from transformer.config import TransformerConfig
from transformer.headers import DTYPES, CheckpointError, Entry, entries_of, read_header, without_duplicates
from transformer.model import Transformer
from transformer.tokens import VOCABULARY

__all__ = [
    "CheckpointError",
    "load_model",
    "load_tensors",
    "model_of",
    "remove_stale",
    "save_model",
    "save_tensors",
    "write_atomically",
]

Array = NDArray[Any]

VERSION = 1
KEY = "tinygrad_edu"  # one key only: safetensors writes several in random order
LONGEST_SEQUENCE = 1 << 16  # positions of a model; no tensor vouches for this number

# Models -------------------------------------------------------------------------------------------


def save_model(path: Path, model: Transformer, **facts: Any) -> None:
    """Write the parameters, the configuration, the vocabulary and `facts`, which JSON must be able to hold."""
    about = {"config": model.config.to_dict(), "vocabulary": list(VOCABULARY), **facts}
    save_tensors(path, model.state_dict(), about)


def load_model(path: Path) -> tuple[Transformer, dict[str, Any]]:
    """The model, with bit for bit the parameters that were saved, and all that was written beside them.

    Of a training's state, the model that was in training, with its averaged weights if there are any.
    """
    tensors, about = load_tensors(path)
    try:
        if "config" not in about:
            tensors, about["config"] = weights_of_a_state(tensors), about["training"]["model"]
        config = TransformerConfig.from_dict(about["config"])
        written = tuple(about["vocabulary"])
        if not all(isinstance(token, str) for token in written):
            raise TypeError("tokens are text")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration cannot be read: {error}") from None
    if written[: len(VOCABULARY)] != VOCABULARY[: len(written)]:  # a task's own tokens come after
        raise CheckpointError(f"{path}: it was written for another vocabulary, {' '.join(map(str, written))}")
    return model_of(path, config, tensors), about


def model_of(path: Path, config: TransformerConfig, tensors: Mapping[str, Array]) -> Transformer:
    """A model of this configuration with the parameters that `path` held; CheckpointError where they do not fit."""
    check_sizes(path, config, tensors)
    model = Transformer(config)
    try:
        model.load_state_dict(tensors)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return model


def weights_of_a_state(tensors: Mapping[str, Array]) -> dict[str, Array]:
    part = "average." if any(name.startswith("average.") for name in tensors) else "model."
    return {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}


def check_sizes(path: Path, config: TransformerConfig, tensors: Mapping[str, Array]) -> None:
    """The tensors bear the configuration out, before a model of that size is built."""
    last = config.num_layers - 1
    inner, width = "feed_forward.up.weight", config.ffn_dim
    if "feed_forward" in config.without:
        inner, width = "attention.qkv.weight", 3 * config.embed_dim
    wanted = {
        "embedding.weight": (config.vocab_size, config.embed_dim),
        f"blocks.{last}.{inner}": (config.embed_dim, width),
    }
    for name, shape in wanted.items():
        if name not in tensors or tensors[name].shape != shape:
            found = f"has shape {tensors[name].shape}" if name in tensors else "is missing"
            raise CheckpointError(f"{path}: tensor {name!r} {found}; the configuration wants {shape}")
    if config.max_seq_len > LONGEST_SEQUENCE:
        raise CheckpointError(f"{path}: max_seq_len = {config.max_seq_len} is over {LONGEST_SEQUENCE}")
    for name, tensor in tensors.items():
        if tensor.dtype != config.dtype:
            raise CheckpointError(f"{path}: tensor {name!r} is {tensor.dtype}; the configuration says {config.dtype}")
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path}: tensor {name!r} holds NaN or infinity, which no training saves")


# Tensors ------------------------------------------------------------------------------------------


def save_tensors(path: Path, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
    """Write named arrays and what is known about them; the same input gives the same bytes."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    codes = {name: code for code, name in DTYPES.items()}
    for name, array in arrays.items():
        if array.dtype.name not in codes:
            raise TypeError(f"tensor {name!r}: {array.dtype} cannot be saved, only {', '.join(codes)}")
    checksums = {name: checksum(name, a.dtype.name, a.shape, a.tobytes()) for name, a in sorted(arrays.items())}
    content = json.dumps({"version": VERSION, "checksums": checksums, **about}, ensure_ascii=True, allow_nan=False)
    sealed = json.dumps({"checksum": hashlib.sha256(content.encode()).hexdigest(), "content": content})
    write_atomically(path, save(arrays, metadata={KEY: sealed}))


def load_tensors(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and what was written about them. Raises CheckpointError, FileNotFoundError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise CheckpointError(f"{path}: no checkpoint, but a folder or a device")
    with open(path, "rb") as file:
        head, entries, about = read_sealed(path, file)
        body = file.read()
    for name, (code, shape, start, end) in entries.items():
        if checksum(name, DTYPES[code], shape, body[start:end]) != about["checksums"][name]:
            raise CheckpointError(
                f"{path}: tensor {name!r} is damaged: its checksum is not the one that was written; "
                "take another checkpoint"
            )
    try:
        return load(head + body), about
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_sealed(path: Path, file: BinaryIO) -> tuple[bytes, dict[str, Entry], dict[str, Any]]:
    """The raw header, where each tensor lies, and the metadata, whose checksum is right."""
    text, size = read_header(path, file)
    try:
        header = json.loads(text.decode(), object_pairs_hook=without_duplicates)
        sealed = json.loads(header.pop("__metadata__")[KEY])
        seal, content = sealed["checksum"], sealed["content"]
        whole = seal == hashlib.sha256(content.encode()).hexdigest()
        about = json.loads(content)
        version, checksums = about["version"], dict(about["checksums"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(f"{path}: no checkpoint of this program, or its header is damaged") from None
    if not whole:
        raise CheckpointError(f"{path}: its metadata is damaged: the checksum is not the one that was written")
    if version != VERSION:
        raise CheckpointError(f"{path}: written as version {version} of the format; this program reads {VERSION}")
    for name in header:
        if name not in checksums:
            raise CheckpointError(f"{path}: tensor {name!r} is unexpected: its name was not written so")
    for name in checksums:
        if name not in header:
            raise CheckpointError(f"{path}: tensor {name!r} is missing")
    return len(text).to_bytes(8, "little") + text, entries_of(path, header, size), about


def checksum(name: str, dtype: str, shape: tuple[int, ...], data: bytes) -> str:
    """Of the numbers, and of what says how to read them."""
    return hashlib.sha256(f"{name}\0{dtype}\0{list(shape)}\0".encode() + data).hexdigest()


# Files --------------------------------------------------------------------------------------------


def write_atomically(path: Path, data: bytes) -> None:
    """Whoever reads `path`, at any moment and after any crash, finds the old content or the new, whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:  # never through a link that somebody has put there
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a full disk does not say which file it was
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    if os.name == "posix":  # the folder's entry is data too; elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_stale(folder: Path) -> None:
    """Remove what a crash left of unfinished writes."""
    for temporary in folder.glob(".*.tmp"):
        temporary.unlink(missing_ok=True)
