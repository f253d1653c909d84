"""What an index means in a formula: to pick rows of a table is a product with a one-hot matrix; so is the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.expressions import Expr
from tinygrad_edu.formulas.joining import put_into
from tinygrad_edu.formulas.meanings import means
from tinygrad_edu.formulas.symbols import Symbol
from tinygrad_edu.rules.indexing import getitem, scatter

__all__ = ["pick", "put"]

Reader = Any  # reading.Reader, which imports this module

FULL = slice(None)


def parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def only_reshapes(index: Any) -> bool:
    return all(part is None or part is Ellipsis or is_full(part) for part in parts(index))


def is_full(part: Any) -> bool:
    return isinstance(part, slice) and part == FULL


def whole_rows(index: Any) -> Any:
    """The integer array that picks rows of a table; None for another index."""
    (first, *rest) = parts(index)
    return first if is_ids(first) and all(map(is_full, rest)) else None


def is_ids(part: Any) -> bool:
    return isinstance(part, np.ndarray | Symbol) and part.dtype.kind in "iu" and part.ndim > 0


def one_of_each_row(index: Any) -> Any:
    """The integer array t of x[arange(n), t]; None for another index."""
    if isinstance(index, tuple) and len(index) == 2 and all(map(is_ids, index)):
        rows, ids = index
        if ids.ndim == 1 and np.array_equal(rows.value if isinstance(rows, Symbol) else rows, np.arange(len(rows))):
            return ids
    return None


def one_hot(reader: Reader, ids: Any, size: int) -> Expr:
    return Expr("onehot", (reader.found(ids),), int(size), (*ids.shape, int(size)))


@means(getitem)
def pick(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    a, index = reader.found(bound["a"]), bound["index"]
    if only_reshapes(index):
        return al.reshape(a, one.shape)
    rows = whole_rows(index)
    if rows is not None and a.ndim == 2:
        return al.matmul(one_hot(reader, rows, a.shape[0]), a)  # exactly: every other product is 0
    ids = one_of_each_row(index)
    if ids is not None and a.ndim == 2 and len(ids) == a.shape[0]:
        return al.reshape(al.total(al.mul(one_hot(reader, ids, a.shape[1]), a), (1,)), one.shape)
    return None


@means(scatter)
def put(reader: Reader, one: Symbol, bound: dict[str, Any]) -> Expr | None:
    g, index, shape = reader.found(bound["g"]), bound["index"], bound["shape"]
    if only_reshapes(index):
        return al.reshape(g, shape)
    rows = whole_rows(index)
    if rows is not None and len(shape) == 2:
        chosen = al.reshape(one_hot(reader, rows, shape[0]), (rows.size, shape[0]))
        return al.matmul(al.transpose(chosen, (1, 0)), al.reshape(g, (rows.size, shape[1])))
    ids = one_of_each_row(index)
    if ids is not None and len(shape) == 2 and len(ids) == shape[0]:
        return al.mul(one_hot(reader, ids, shape[1]), al.reshape(g, (shape[0], 1)))
    stretch = one_slice(index, shape)
    return None if stretch is None else put_into(g, *stretch, shape)


def one_slice(index: Any, shape: tuple[int, ...]) -> tuple[int, slice] | None:
    """(axis, slice) of an index that takes a stretch along one axis; None for another."""
    places = list(parts(index))
    if any(part is not Ellipsis and not isinstance(part, slice) for part in places):
        return None
    if Ellipsis in places:
        at = places.index(Ellipsis)
        places[at : at + 1] = [FULL] * (len(shape) - len(places) + 1)
    chosen = [(k, part) for k, part in enumerate(places) if not is_full(part)]
    return chosen[0] if len(chosen) == 1 and chosen[0][1].step in (None, 1) else None
