"""Indexing in ONNX: x[index] gathers, and its way back adds up; both by the places of elements, laid in a row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.onnx.builder import Builder, Name

__all__ = ["getitem", "scatter"]

FIRST = np.iinfo(np.int64).min


def as_tuple(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def slices_of(index: Any, shape: tuple[int, ...]) -> list[slice] | None:
    """One slice for each axis, if there are none but slices, numbers, None and Ellipsis; an axis that a number takes
    away is kept, with size 1."""
    parts = [part for part in as_tuple(index) if part is not None]
    if any(not (part is Ellipsis or isinstance(part, slice | int | np.integer)) for part in parts):
        return None
    if any(isinstance(part, bool) for part in parts):
        return None
    if Ellipsis in parts:
        k = parts.index(Ellipsis)
        parts[k : k + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    found = []
    for part, size in zip(parts, shape, strict=True):
        if not isinstance(part, slice):
            part = slice(int(part) % size, int(part) % size + 1)
        found.append(slice(*part.indices(size)))
    return found


def getitem(o: Builder, z: Any, a: Any, index: Any) -> Name:
    slices = slices_of(index, a.shape)
    if slices is not None and z.size:
        axes = [k for k, (part, size) in enumerate(zip(slices, a.shape, strict=True)) if part != slice(0, size, 1)]
        name = o.name_of(a)
        if axes:
            ends = [FIRST if slices[k].step < 0 and slices[k].stop < 0 else slices[k].stop for k in axes]
            given = [slices[k].start for k in axes], ends, axes, [slices[k].step for k in axes]
            name = o("Slice", name, *[np.asarray(each, np.int64) for each in given])
        return o.shaped(name, z.shape)
    if not o.comes_from_input(index):
        return o.gathered(a, np.arange(a.size).reshape(a.shape)[index].reshape(-1), z.shape)
    lead, arrays = split(o, index)
    if len(arrays) == 1:
        return o("Gather", a, o.cast(arrays[0], np.int64), axis=lead)
    return o.gathered(a, o.shaped(places(o, lead, arrays, a.shape, z.shape), (-1,)), z.shape)


def scatter(o: Builder, z: Any, g: Any, index: Any, shape: Any) -> Name:
    slices = slices_of(index, z.shape)
    if slices is not None and g.size and all(part.step == 1 for part in slices):
        sizes = [part.stop - part.start for part in slices]
        before = [part.start for part in slices]
        after = [n - part.stop for n, part in zip(z.shape, slices, strict=True)]
        return o("Pad", o.shaped(g, sizes), np.array(before + after, np.int64), g.dtype.type(0), mode="constant")
    if o.comes_from_input(index):
        lead, arrays = split(o, index)
        where: Any = o.shaped(places(o, lead, arrays, z.shape, g.shape), (-1,))
    else:
        where = np.arange(z.size).reshape(z.shape)[index]
        if where.shape != g.shape:
            g = o.expanded(g, where.shape)
        where = where.reshape(-1)
    zeros = np.zeros(z.size, z.dtype)
    added = o("ScatterElements", zeros, where, o.shaped(g, (-1,)), axis=0, reduction="add")
    return o.shaped(added, z.shape)


def split(o: Builder, index: Any) -> tuple[int, list[Any]]:
    """How many whole axes come first, and the integer arrays after them."""
    parts = list(as_tuple(index))
    lead = 0
    while lead < len(parts) and isinstance(parts[lead], slice) and parts[lead] == slice(None):
        lead += 1
    arrays = parts[lead:]
    if not arrays or any(getattr(np.asarray(each), "dtype", None) is None or
                         np.asarray(each).dtype.kind not in "iu" for each in arrays):
        raise UnsupportedError(
            f"{o.about}: an index that depends on an input must be integers, after whole axes alone; a mask of them "
            "picks a number of elements that no shape can name: np.where keeps it"
        )
    return lead, arrays


def places(o: Builder, lead: int, arrays: list[Any], shape: tuple[int, ...], out: tuple[int, ...]) -> Name:
    """Which element, laid in a row, x[:, ..., *arrays] picks at each place of its result of shape `out`."""
    strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
    rest = shape[lead + len(arrays) :]
    middle = len(out) - lead - len(rest)
    grid = np.zeros(out, np.int64)
    for axis, n in enumerate(shape):
        if axis < lead or axis >= lead + len(arrays):
            at = axis if axis < lead else lead + middle + axis - lead - len(arrays)
            grid = grid + (np.arange(n) * strides[axis]).reshape([n if k == at else 1 for k in range(len(out))])
    found: Any = grid
    for axis, array in enumerate(arrays, lead):
        each = o.cast(array, np.int64)
        each = o("Where", o("Less", each, np.int64(0)), o("Add", each, np.int64(shape[axis])), each)
        each = o("Mul", each, np.int64(strides[axis]))
        spread = (*np.shape(array), *(1,) * len(rest))
        found = o("Add", found, o.shaped(each, spread) if rest else each)
    return Name(found)
