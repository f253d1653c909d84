"""The adapter: an array of another library that answers NumPy's functions, operators and methods."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError

__all__ = ["Foreign"]

Axis = int | tuple[int, ...] | None
NUMPYS = (np.ndarray, np.generic)
# The methods of a ufunc are folds that have names of their own.
FOLDS: dict[Any, Any] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min, np.logical_and: np.all,
    np.logical_or: np.any,
}  # fmt: skip


class Foreign:
    """array: of another library; library: which functions of that stand for NumPy's.

    In-place operators and out= put a new array into this place: libraries whose arrays never change can do that too.
    What follows from it: a slice is a copy, and changes nothing of what it was taken from.
    """

    __slots__ = ("array", "library")
    base = None  # no view of NumPy's memory

    def __init__(self, array: Any, library: Any) -> None:
        self.array, self.library = array, library

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        for each in inputs:
            if is_stranger(each):
                return NotImplemented
        if method == "at":
            return self.library.add_at(ufunc, *inputs)
        if method == "reduce" and ufunc in FOLDS:
            array, *places = inputs
            result = self.library.call(FOLDS[ufunc], (array, *(places or [options.pop("axis", 0)])), options)
        elif method == "__call__":
            result = self.library.call(ufunc, inputs, options)
        else:
            return NotImplemented
        if out is None:
            return result
        if not isinstance(out[0], Foreign):
            return NotImplemented
        return out[0].become(result)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(kind, Foreign) or kind in NUMPYS for kind in types):
            return NotImplemented
        return self.library.call(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise UnsupportedError(
            f"np.asarray() of an array of {self.library.name} would bring it home without a word; x.numpy() does so"
        )

    def become(self, other: Any) -> Foreign:
        """Hold another array from now on, in the dtype of before."""
        self.array = other.astype(self.dtype).array
        return self

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self.array.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self.array.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.library.dtype_of(self.array)  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def device(self) -> str:
        return f"{self.library.name} {getattr(self.array, 'device', '')}".strip()

    def __repr__(self) -> str:
        return repr(self.array)

    def is_alone(self) -> bool:
        """Does nobody else hold the array, and is it no view of another's memory?"""
        return getattr(self.array, "base", None) is None and sys.getrefcount(self.array) == 2

    # Values, which a library that works when asked only is not asked for unless by name

    def item(self, *place: Any) -> Any:
        return self.library.home(self).item(*place)

    def tolist(self) -> Any:
        return self.library.home(self).tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return self.library.home(self).tobytes(order)  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return bool(self.library.value_of(self, "a branch"))

    def __int__(self) -> int:
        return int(self.library.value_of(self, "int()"))

    def __float__(self) -> float:
        return float(self.library.value_of(self, "float()"))

    def __index__(self) -> int:
        return int(self.library.value_of(self, "an index").__index__())

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Foreign]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        return self.library.pick(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.library.put(self, index, value)

    # Methods

    def astype(self, dtype: Any, copy: bool = False, **_: Any) -> Foreign:
        if self.dtype == np.dtype(dtype):
            return self.copy() if copy else self
        return self.library.cast(self, np.dtype(dtype))  # type: ignore[no-any-return]

    def run_whole(self, formula: Callable[..., Any], *others: Any) -> Any:
        """formula(self, *others), in one step where the library knows how."""
        return self.library.run_whole(formula, (self, *others))

    def copy(self, order: Any = "C") -> Foreign:
        return self.library.copy(self)  # type: ignore[no-any-return]

    def reshape(self, *shape: Any) -> Any:
        return self.library.call(np.reshape, (self, shape[0] if len(shape) == 1 else shape), {})

    def transpose(self, *axes: Any) -> Any:
        return self.library.call(np.transpose, (self, axes[0] if len(axes) == 1 else axes or None), {})

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return self.library.call(np.swapaxes, (self, -1, -2), {})

    def any(self, axis: Axis = None) -> Any:
        return self.library.call(np.any, (self,), {"axis": axis})

    def all(self, axis: Axis = None) -> Any:
        return self.library.call(np.all, (self,), {"axis": axis})


def is_stranger(value: Any) -> bool:
    """Has it answers of its own, such as a Tensor, which knows what to do with this?"""
    if type(value) in FAMILIAR:
        return False
    return not isinstance(value, (Foreign, *NUMPYS)) and hasattr(type(value), "__array_ufunc__")


FAMILIAR = frozenset((Foreign, float, int, bool, np.ndarray, np.float64, np.float32))


def operator(ufunc: Any) -> tuple[Any, Any, Any]:
    """x ∘ y, y ∘ x, and x ∘= y."""

    def forwards(self: Foreign, other: Any) -> Any:
        return NotImplemented if is_stranger(other) else self.library.call(ufunc, (self, other), {})

    def backwards(self: Foreign, other: Any) -> Any:
        return NotImplemented if is_stranger(other) else self.library.call(ufunc, (other, self), {})

    def in_place(self: Foreign, other: Any) -> Any:
        return NotImplemented if is_stranger(other) else self.become(self.library.call(ufunc, (self, other), {}))

    return forwards, backwards, in_place


for name, ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power, "matmul": np.matmul,
    "mod": np.remainder, "floordiv": np.floor_divide, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
}.items():  # fmt: skip
    for prefix, method in zip(("", "r", "i"), operator(ufunc), strict=True):
        setattr(Foreign, f"__{prefix}{name}__", method)
for name, ufunc in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
}.items():  # fmt: skip
    setattr(Foreign, f"__{name}__", operator(ufunc)[0])
for name, ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(Foreign, f"__{name}__", lambda self, ufunc=ufunc: self.library.call(ufunc, (self,), {}))
Foreign.__hash__ = object.__hash__  # type: ignore[method-assign]
