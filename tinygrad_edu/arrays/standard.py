"""The Python array API standard: its names for NumPy's functions, and NumPy's promotion, which it leaves to the caller.

Source: Python array API standard 2024.12, data-apis.org/array-api.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.arrays.library import Indirect
from tinygrad_edu.errors import UnsupportedError

__all__ = ["Standard"]

# Where the standard has another name than NumPy's oldest.
RENAMED = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctan2": "atan2", "arctanh": "atanh", "power": "pow", "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift",
}  # fmt: skip
SAME = (
    "add subtract multiply divide negative positive reciprocal square remainder sqrt exp expm1 log log2 log10 log1p "
    "logaddexp sin cos tan sinh cosh tanh hypot maximum minimum copysign floor ceil trunc sign signbit isnan isinf "
    "isfinite equal not_equal less less_equal greater greater_equal logical_and logical_or logical_not logical_xor "
    "bitwise_and bitwise_or bitwise_xor floor_divide nextafter"
).split()
FLOATING = frozenset(
    "divide reciprocal sqrt exp expm1 log log2 log10 log1p logaddexp sin cos tan sinh cosh tanh hypot copysign acos "
    "acosh asin asinh atan atan2 atanh".split()
)


class Standard(Indirect):
    """A namespace that follows the standard, and only that."""

    def __init__(self, namespace: ModuleType, kind: Any, name: str) -> None:
        super().__init__(name, namespace, kind)
        xp = namespace
        for ours in (*SAME, *RENAMED):
            run = getattr(xp, RENAMED.get(ours, ours), None)
            if run is not None:
                self.own[getattr(np, ours)] = self.promoted(run, ours)
        self.own.update({
            np.where: self.where, np.reshape: self.reshape, np.concatenate: self.concatenate,
            np.transpose: lambda a, axes=None: xp.permute_dims(a, axes or tuple(range(a.ndim))[::-1]),
            np.broadcast_to: lambda array, shape: xp.broadcast_to(array, shape),
            np.sort: lambda a, axis=-1, kind=None, order=None, *, stable=None: self.along(xp.sort, a, axis),
            np.argsort: lambda a, axis=-1, kind=None, order=None, *, stable=None: self.along(xp.argsort, a, axis),
            np.cumsum: lambda a, axis=None, dtype=None: self.along(xp.cumulative_sum, a, axis),
            np.cumprod: lambda a, axis=None, dtype=None: self.along(xp.cumulative_prod, a, axis),
            np.round: lambda a, decimals=0: xp.round(a), np.matmul: self.promoted(xp.matmul, "matmul"),
            np.argmax: lambda a, axis=None, keepdims=False: xp.argmax(a, axis=axis, keepdims=keepdims),
            np.argmin: lambda a, axis=None, keepdims=False: xp.argmin(a, axis=axis, keepdims=keepdims),
            np.all: lambda a, axis=None, keepdims=False: xp.all(a, axis=axis, keepdims=keepdims),
            np.any: lambda a, axis=None, keepdims=False: xp.any(a, axis=axis, keepdims=keepdims),
            np.count_nonzero: lambda a, axis=None, keepdims=False: xp.count_nonzero(a, axis=axis, keepdims=keepdims),
            np.searchsorted: lambda a, v, side="left": xp.searchsorted(a, v, side=side),
        })  # fmt: skip
        for fold in ("sum", "prod", "max", "min", "mean"):
            self.own[getattr(np, fold)] = self.folding(getattr(xp, fold))
        part = getattr(xp, "linalg", None)
        for ours in "inv det slogdet cholesky solve qr svd svdvals pinv matrix_rank".split():
            if hasattr(part, ours):
                self.own[getattr(np.linalg, ours)] = getattr(part, ours)
        for ours in ("eigh", "eigvalsh"):
            if hasattr(part, ours):
                self.own[getattr(np.linalg, ours)] = self.of_one_triangle(getattr(part, ours))

    def by_name(self, function: Callable[..., Any], module: str) -> None:
        return None  # a name may mean something else there

    # Dtypes

    def dtype_of(self, array: Any) -> np.dtype[Any]:
        return np_dtype(array.dtype)

    def dtype(self, dtype: Any) -> Any:
        """The standard's object for a dtype of NumPy's."""
        found = getattr(self.namespace, np.dtype(dtype).name, None)
        if found is None:
            raise UnsupportedError(f"{self.name} has no dtype {np.dtype(dtype)}")
        return found

    def cast(self, x: Foreign, dtype: np.dtype[Any]) -> Foreign:
        return Foreign(self.namespace.astype(x.array, self.dtype(dtype)), self)

    def copy(self, x: Foreign) -> Foreign:
        return Foreign(self.namespace.asarray(x.array, copy=True), self)

    def filled(self, shape: tuple[int, ...], value: float, dtype: np.dtype[Any]) -> Foreign:
        value = bool(value) if dtype.kind == "b" else int(value) if dtype.kind in "iu" else value
        return Foreign(self.namespace.full(shape, value, dtype=self.dtype(dtype)), self)

    def promoted(self, run: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, on operands brought to one dtype as NumPy would."""
        logical, floating = name.startswith("logical"), name in FLOATING or RENAMED.get(name) in FLOATING

        def call(*args: Any) -> Any:
            arrays = [each for each in args if isinstance(each, self.kind)]
            if logical:
                return run(*[self.truth(each) for each in args])
            kinds = [np_dtype(each.dtype) if isinstance(each, self.kind) else each for each in args]
            dtype = np.result_type(*kinds)
            if dtype.kind in "iub" and floating:
                dtype = np.dtype(np.float64)
            wanted = self.dtype(dtype)
            if len(arrays) == len(args) and all(each.dtype == wanted for each in arrays):
                return run(*args)
            return run(*[self.of_dtype(each, wanted) for each in args])

        return call

    def of_dtype(self, value: Any, wanted: Any) -> Any:
        if isinstance(value, self.kind):
            return value if value.dtype == wanted else self.namespace.astype(value, wanted)
        return self.namespace.asarray(value, dtype=wanted)

    def truth(self, value: Any) -> Any:
        if not isinstance(value, self.kind):
            return self.namespace.asarray(bool(value))
        return value if value.dtype == self.namespace.bool else value != 0

    def common(self, *values: Any) -> list[Any]:
        """The values as arrays of the dtype that they promote to."""
        kinds = [np_dtype(each.dtype) if isinstance(each, self.kind) else each for each in values]
        wanted = self.dtype(np.result_type(*kinds))
        return [self.of_dtype(each, wanted) for each in values]

    # Functions whose arguments differ

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        return self.namespace.where(self.truth(condition), *self.common(x, y))

    def reshape(self, a: Any, shape: Any, order: str = "C", copy: Any = None) -> Any:
        shape = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
        if order == "F":
            reversed_axes = self.namespace.permute_dims(a, tuple(range(a.ndim))[::-1])
            a = self.namespace.reshape(reversed_axes, shape[::-1])
            return self.namespace.permute_dims(a, tuple(range(len(shape)))[::-1])
        return self.namespace.reshape(a, shape)

    def concatenate(self, arrays: Any, axis: int | None = 0, dtype: Any = None, casting: Any = None) -> Any:
        arrays = self.common(*arrays)
        arrays = arrays if dtype is None else [self.of_dtype(each, self.dtype(dtype)) for each in arrays]
        return self.namespace.concat(arrays, axis=axis)

    def along(self, run: Callable[..., Any], a: Any, axis: int | None) -> Any:
        if axis is None:
            a, axis = self.namespace.reshape(a, (-1,)), 0
        if a.dtype == self.namespace.bool:
            a = self.namespace.astype(a, self.namespace.int64)
        return run(a, axis=axis)

    def folding(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def fold(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
            if a.dtype == self.namespace.bool:
                a = self.namespace.astype(a, self.namespace.int64)
            a = a if dtype is None else self.of_dtype(a, self.dtype(dtype))
            return run(a, axis=axis, keepdims=keepdims)

        return fold

    def of_one_triangle(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """NumPy reads the lower or the upper triangle; the standard leaves open which."""

        def symmetric(a: Any, UPLO: str = "L") -> Any:
            xp = self.namespace
            half, rest = (xp.tril(a), xp.tril(a, k=-1)) if UPLO.upper() == "L" else (xp.triu(a), xp.triu(a, k=1))
            return run(half + xp.matrix_transpose(rest))

        return symmetric


@functools.cache
def np_dtype(dtype: Any) -> np.dtype[Any]:
    """NumPy's dtype for one of the standard's, by its name."""
    return dtype if isinstance(dtype, np.dtype) else np.dtype(str(dtype).rpartition(".")[2])
