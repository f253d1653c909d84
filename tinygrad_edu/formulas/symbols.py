"""Symbols: an array-like that computes nothing new, but remembers how it came about.

A derivative rule is a plain NumPy function. Handed symbols instead of arrays, it does what it always does, and each
NumPy function it calls comes here through `__array_ufunc__` and `__array_function__`: the history of the result is the
formula. A symbol carries example values along, so that a rule that looks at shapes, or branches, runs as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import qualified_name
from tinygrad_edu.rules.indexing import getitem

__all__ = ["PART", "Symbol", "step"]

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_and: np.all, np.logical_or: np.any,
}  # fmt: skip


class Symbol(np.lib.mixins.NDArrayOperatorsMixin):
    """value: an example. name: of one that is given; else function, args and keywords tell how it was computed."""

    __slots__ = ("args", "function", "keywords", "name", "value")
    __array_priority__ = 1000.0

    def __init__(
        self, value: Any, name: str | None = None, function: Any = None, args: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.value = np.asarray(value)[()]
        self.name, self.function, self.args, self.keywords = name, function, args, keywords or {}

    def __repr__(self) -> str:
        return f"<symbol {self.name or qualified_name(self.function)} {self.shape}>"

    # What a rule may ask of an array

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)
    T = property(lambda self: np.transpose(self))
    mT = property(lambda self: np.swapaxes(self, -1, -2))

    def reshape(self, *shape: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def astype(self, dtype: Any) -> Any:
        return self if dtype == self.dtype else step(np.astype, (self, dtype), {})

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return np.sum(self, axis=axis, keepdims=keepdims)

    def __iadd__(self, other: Any) -> Any:
        return self + other  # a new symbol: a rule may write into its own temporary, which is this one

    def __isub__(self, other: Any) -> Any:
        return self - other

    def __imul__(self, other: Any) -> Any:
        return self * other

    def __itruediv__(self, other: Any) -> Any:
        return self / other

    def __getitem__(self, index: Any) -> Any:
        return step(getitem, (self, index), {})

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return int(self.value.__index__())

    def __len__(self) -> int:
        return len(self.value)

    def __hash__(self) -> int:
        return id(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise UnsupportedError(
            f"a rule asked for the numbers of {self!r}, one by one. Leave that operation out of the function, or "
            "derive up to its argument."
        )

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        function: Any = ufunc if method == "__call__" else REDUCTIONS.get(ufunc) if method == "reduce" else None
        if any(each is inputs[0] for each in keywords.get("out", ())):
            del keywords["out"]  # t *= y: a symbol is a value, and the name t stands for another one from here on
        if function is None or "out" in keywords:
            raise UnsupportedError(f"np.{ufunc.__name__}.{method}, or out=, has no symbolic form")
        if method == "reduce":
            keywords = {"axis": 0, **keywords}
        return step(function, inputs, keywords)

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        return step(function, args, keywords)


def step(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Compute the example, and remember; what tells about an array and is none (a shape, a dtype) comes back bare."""
    keywords = {name: value for name, value in keywords.items() if value is not np._NoValue}
    if function is np.argsort:
        raise UnsupportedError(f"a rule asked for the order of {args[0]!r}, which is a matter of its numbers")
    with np.errstate(all="ignore"):
        value = function(*bare(args), **{name: bare(each) for name, each in keywords.items()})
    if isinstance(value, np.ndarray | np.generic | bool) and np.asarray(value).dtype.kind in "fiub":
        return Symbol(value, None, function, args, keywords)
    if isinstance(value, list | tuple) and any(isinstance(part, np.ndarray) for part in value):
        whole = Symbol(0.0, None, function, args, keywords)
        parts: list[Any] = [Symbol(part, None, PART, (whole, k)) for k, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def PART(values: Any, k: int) -> Any:
    """One of several results."""
    return values[k]


def bare(value: Any) -> Any:
    """Example values in the place of symbols, also inside lists and tuples."""
    if isinstance(value, Symbol):
        return value.value
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return type(value)(bare(each) for each in value)
    return value
