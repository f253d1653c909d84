"""The header of a safetensors file: names, dtypes, shapes and offsets, checked before anything is allocated by them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["DTYPES", "CheckpointError", "Entry", "entries_of", "read_header", "read_plain", "without_duplicates"]

Array = NDArray[Any]
Entry = tuple[str, tuple[int, ...], int, int]  # dtype code, shape, begin, end

LONGEST_HEADER = 1 << 24  # bytes
MOST_DIMENSIONS = 64  # as in NumPy
DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BOOL": "bool",
    "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8",
}  # fmt: skip
STORED = {**DTYPES, "BF16": "uint16"}  # the upper half of a float32, which NumPy has no name for


class CheckpointError(RuntimeError):
    """A file that is no checkpoint, is damaged, or fits no model; the message names the file and the tensor."""


def read_header(path: Path, file: BinaryIO) -> tuple[bytes, int]:
    """The JSON of the header, and how many bytes of tensors follow it."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, LONGEST_HEADER):
        raise CheckpointError(
            f"{path}: no checkpoint, or cut off: the file has {size} bytes, its header wants {length}"
        )
    return file.read(length), size - 8 - length


def entries_of(
    path: Path, header: Mapping[str, Any], size: int, dtypes: Mapping[str, str] = DTYPES
) -> dict[str, Entry]:
    """Where each tensor lies, all of the `size` bytes once and none twice."""
    entries = {name: checked(path, name, entry, size, dtypes) for name, entry in header.items()}
    place = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != place:
            raise CheckpointError(f"{path}: tensor {name!r} begins at byte {begin}, where {place} was due")
        place = end
    if place != size:
        raise CheckpointError(f"{path}: cut off or too long: {size} bytes of tensors, {place} were due")
    return entries


def checked(path: Path, name: str, entry: Any, size: int, dtypes: Mapping[str, str]) -> Entry:
    """An entry of the header whose dtype, shape and offsets agree, and lie within `size` bytes."""
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
        fits = len(shape) <= MOST_DIMENSIONS and end <= size
        fits = fits and end - begin == math.prod(shape) * np.dtype(dtypes[code]).itemsize
        if whole and fits and len(entry) == 3:
            return code, tuple(shape), begin, end
    except (KeyError, TypeError, ValueError):
        pass
    raise CheckpointError(f"{path}: tensor {name!r} is damaged: its dtype, shape and offsets do not agree")


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads, which else takes the last of two entries of one name."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def read_plain(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The tensors of a safetensors file that some other program wrote, by their names, and its metadata.

    Half precision, F16 and BF16, comes as float32, which has every number of either. The format has no checksums: what
    can be checked is checked, and no more. Raises CheckpointError, FileNotFoundError.
    """
    with open(path, "rb") as file:
        text, size = read_header(path, file)
        try:
            header = json.loads(text.decode(), object_pairs_hook=without_duplicates)
            metadata = dict(header.pop("__metadata__", None) or {})
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise CheckpointError(f"{path}: its header is no JSON object, or is damaged") from None
        for name, entry in header.items():
            code = entry.get("dtype") if isinstance(entry, dict) else None
            if isinstance(code, str) and code not in STORED:
                raise CheckpointError(f"{path}: tensor {name!r} is {code:.20}, which NumPy lacks; save it as F32")
        entries = entries_of(path, header, size, STORED)
        body = file.read()
    tensors = {
        name: widened(code, np.frombuffer(body[begin:end], STORED[code])).reshape(shape)
        for name, (code, shape, begin, end) in entries.items()
    }
    return tensors, metadata


def widened(code: str, stored: Array) -> Array:
    if code == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(np.float32) if code == "F16" else stored
