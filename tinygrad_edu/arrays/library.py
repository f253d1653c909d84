"""One library of arrays: which of its functions stands for one of NumPy's, and which arrays may meet in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.arrays import gaps
from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.errors import MixedError, UnsupportedError
from tinygrad_edu.state import STATE, carrying

__all__ = ["Library"]

Run = Callable[..., Any]
ufunc, FLOAT = np.ufunc, np.dtype(float)
BARE = frozenset((int, float, bool, str, type(None), type, np.dtype))


class Library:
    """A namespace with NumPy's names, or with others that `own` translates.

    name         what a user calls it
    namespace    where its functions are; `kind` the class of its arrays
    own          NumPy function → this library's, on bare arrays, where the same name does not find it
    lazy         its arrays are worked out only when asked for: no branch may depend on a value
    """

    lazy = False

    def __init__(self, name: str, namespace: ModuleType, kind: Any, own: Mapping[Any, Run] | None = None) -> None:
        self.name, self.namespace, self.kind = name, namespace, kind
        self.own = dict(own or {})
        self.known: dict[Any, tuple[Run, bool]] = {}  # how each function asked for so far is run: bare, or as it is

    # Calls

    def call(self, function: Run, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """The library's answer to a NumPy function, or one put together from others."""
        if function in gaps.FOLDS and "where" not in options and "initial" not in options:
            return self.plainly(function, args, options)
        run, is_bare = self.known.get(function) or self.find(function)
        if is_bare:
            bare = self.operand if type(function) is ufunc else self.bare
            if options:
                return self.wrapped(run(*map(bare, args), **{k: self.bare(v) for k, v in options.items()}))
            return self.wrapped(run(*map(bare, args)))
        if STATE.get().carries:
            return run(*args, **options)
        self.refuse_ndarrays(args)
        with carrying():
            return run(*args, **options)

    def find(self, function: Run) -> tuple[Run, bool]:
        """(how to run it, on bare arrays?). UnsupportedError where nobody wrote how."""
        found: tuple[Run, bool] | None = None
        module = getattr(function, "__module__", None) or "numpy"
        if function in gaps.ALWAYS:
            found = gaps.ALWAYS[function], False
        elif function in self.own:
            found = self.own[function], True
        elif not module.startswith("numpy"):  # an operation that somebody declared: plain NumPy inside
            found = getattr(function, "__wrapped__", function), False
        elif (run := self.by_name(function, module)) is not None:
            found = run, True
        elif function in gaps.FILLED:
            found = gaps.FILLED[function], False
        if found is None:
            raise UnsupportedError(f"{self.name} has no {module.removeprefix('numpy.')}.{function.__name__}")
        self.known[function] = found
        return found

    def plainly(self, function: Run, args: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        """The library's own function, though gaps.py stands before it."""
        run: Any = self.own.get(function) or self.by_name(function, "numpy")
        return self.wrapped(run(*map(self.bare, args), **{k: self.bare(v) for k, v in options.items()}))

    def by_name(self, function: Run, module: str) -> Run | None:
        part = getattr(self.namespace, "linalg", None) if module == "numpy.linalg" else self.namespace
        return getattr(part, function.__name__, None)

    def bare(self, value: Any) -> Any:
        """What the library's own function takes: its arrays, without the adapter."""
        kind = type(value)
        if kind is Foreign:
            return value.array if value.library is self else self.ours(value)
        if kind in BARE:
            return value
        if kind is np.ndarray:
            if value.ndim and value.dtype.kind == "f" and not STATE.get().carries:
                self.refuse(value)
            return self.carried(value)
        if kind is tuple or kind is list:
            return kind(self.bare(each) for each in value)
        return value

    def operand(self, value: Any) -> Any:
        """What the library's own function takes in the place of a number: no ndarray but a rule's own."""
        kind = type(value)
        if kind is Foreign and value.library is self:
            return value.array
        if kind is np.ndarray and value.ndim and value.dtype.kind != "b" and not STATE.get().carries:
            self.refuse(value)
        return self.bare(value)

    def wrapped(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return Foreign(value, self)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.wrapped, value))
        return type(value)(map(self.wrapped, value)) if isinstance(value, tuple | list) else value

    # Meetings

    def ours(self, value: Foreign) -> Foreign:
        if value.library is not self:
            raise MixedError(
                f"an array of {value.library.name} meets one of {self.name}: they lie in different places. Bring one "
                "to the other first"
            )
        return value

    def refuse(self, value: np.ndarray) -> None:
        raise MixedError(
            f"an ndarray, {value.dtype}{list(value.shape)}, meets an array of {self.name}: they lie in different "
            "places, and nothing is moved without a word. Bring the one over, np.asarray(array, like=tensor), or the "
            "other home, x.numpy()"
        )

    def refuse_ndarrays(self, values: Any) -> None:
        for value in values:
            if type(value) is np.ndarray and value.ndim and value.dtype.kind == "f":
                self.refuse(value)
            elif isinstance(value, list | tuple):
                self.refuse_ndarrays(value)

    def run_whole(self, formula: Run, operands: tuple[Any, ...]) -> Any:
        """A formula of a few steps, on whole arrays; a library may know how to do it in one."""
        return formula(*operands)

    # What every library does in its own way

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        return array.dtype  # type: ignore[no-any-return]

    def carried(self, array: Any) -> Any:
        """A bare array of this library with an ndarray's values."""
        return self.namespace.asarray(array)

    def filled(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Foreign:
        return Foreign(self.namespace.full(shape, value, dtype=dtype), self)

    def home(self, x: Foreign) -> np.ndarray:
        """The values as an ndarray of its own."""
        return np.array(x.array)

    def value_of(self, x: Foreign, what: str) -> Any:
        """The one value, for what cannot go on without it."""
        return self.home(x)[()]

    def cast(self, x: Foreign, dtype: np.dtype[Any]) -> Foreign:
        return Foreign(x.array.astype(dtype), self)

    def copy(self, x: Foreign) -> Foreign:
        return Foreign(x.array.copy(), self)

    # Places

    def pick(self, x: Foreign, index: Any) -> Foreign:
        return Foreign(x.array[self.places(index)], self)

    def put(self, x: Foreign, index: Any, value: Any) -> None:
        x.array[self.places(index)] = self.bare(value)

    def add_at(self, ufunc: Any, x: Foreign, index: Any, values: Any) -> None:
        if ufunc is not np.add:
            raise UnsupportedError(f"{self.name}: np.{ufunc.__name__}.at; np.add.at adds up at places")
        self.namespace.add.at(x.array, self.places(index), self.bare(values))

    def places(self, index: Any) -> Any:
        """An index, whose arrays may come from NumPy: they are no operands, and are carried over."""
        if isinstance(index, tuple):
            return tuple(map(self.places, index))
        if isinstance(index, list):
            index = np.asarray(index)
        if isinstance(index, np.ndarray):
            return self.carried(index)
        return self.ours(index).array if isinstance(index, Foreign) else index


class Indirect(Library):
    """A library that picks along one axis only, and adds up nowhere.

    An index of NumPy's is numbered through the whole array first, which takes memory for as many numbers as the array
    has elements; adding up is a product with a one-hot matrix.
    """

    def pick(self, x: Foreign, index: Any) -> Foreign:
        if isinstance(index, list):
            index = np.asarray(index)
        if gaps.is_basic(index):
            index = index if isinstance(index, tuple) else (index,)
            return Foreign(x.array[index if Ellipsis in index else (*index, Ellipsis)], self)
        if isinstance(index, Foreign):
            if index.dtype.kind == "b":
                raise UnsupportedError(f"{self.name}: how many elements a mask picks is not known without its values")
            taken = self.taken(x, self.call(np.reshape, (index, -1), {}))
            return self.call(np.reshape, (taken, (*index.shape, *x.shape[1:])), {})  # type: ignore[no-any-return]
        if is_rows(index):
            taken = self.taken(x, index.reshape(-1))
            return self.call(np.reshape, (taken, (*index.shape, *x.shape[1:])), {})  # type: ignore[no-any-return]
        places = self.numbered(x.shape, index)
        flat: Any = x.reshape(-1)
        taken = self.taken(flat, places.reshape(-1))
        return self.call(np.reshape, (taken, places.shape), {})  # type: ignore[no-any-return]

    def taken(self, x: Any, places: Any) -> Foreign:
        """The rows at these places, (n,) counted from the front."""
        if isinstance(places, np.ndarray):
            places = Foreign(self.carried(np.where(places < 0, places + x.shape[0], places)), self)
        return Foreign(self.namespace.take(x.array, places.array, axis=0), self)

    def numbered(self, shape: tuple[int, ...], index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if not any(isinstance(part, Foreign) for part in parts):
            return np.arange(math.prod(shape)).reshape(shape)[index]
        if len(parts) != len(shape) or not all(getattr(part, "dtype", FLOAT).kind in "iu" for part in parts):
            raise UnsupportedError(f"{self.name}: which places these are is not known without their values")
        where: Any = 0
        for part, size in zip(parts, shape, strict=True):
            where = where * size + np.where(part < 0, part + size, part)
        return where

    def put(self, x: Foreign, index: Any, value: Any) -> None:
        """Every element from where it was, or from the new ones, which are numbered on from the old."""
        places = self.numbered(x.shape, index)
        if not places.size:
            return
        numbers = np.arange(x.size).reshape(x.shape)
        numbers[index] = x.size + np.arange(places.size).reshape(places.shape)
        with carrying():
            value = value if isinstance(value, Foreign) else Foreign(self.carried(np.asarray(value, x.dtype)), self)
            new = np.reshape(np.broadcast_to(value, places.shape), -1)
            joined = np.concatenate([np.reshape(x, -1), new.astype(x.dtype)])
            x.become(np.reshape(self.taken(joined, numbers.reshape(-1)), x.shape))

    def add_at(self, ufunc: Any, x: Foreign, index: Any, values: Any) -> None:
        index = np.asarray(index) if isinstance(index, list) else index
        if is_rows(index) or isinstance(index, Foreign):
            rows, size, width = index.reshape(-1), x.shape[0], math.prod(x.shape[1:])
            rows = np.where(rows < 0, rows + size, rows)
        else:
            places, size, width = self.numbered(x.shape, index), x.size, 1
            rows, values = places.reshape(-1), np.broadcast_to(values, places.shape)
        with carrying():
            one_hot = np.equal(np.arange(size)[:, None], rows)
            one_hot = one_hot if isinstance(one_hot, Foreign) else Foreign(self.carried(one_hot), self)
            added = one_hot.astype(x.dtype) @ np.reshape(values, (rows.size, width))
        x.become(x + np.reshape(added, x.shape))


def is_rows(index: Any) -> bool:
    return isinstance(index, np.ndarray) and index.dtype.kind in "iu"

