"""Dask: arrays in chunks, which are worked out when somebody asks, and then all at once."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.arrays.library import Indirect
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.state import user_location

__all__ = ["Lazy"]

# The functions of matrices, by the sizes that go in and come out; NumPy's own runs on each chunk of a stack of them.
MATRICES: dict[Any, str] = {
    np.linalg.inv: "(n,n)->(n,n)", np.linalg.det: "(n,n)->()", np.linalg.cholesky: "(n,n)->(n,n)",
    np.linalg.eigvalsh: "(n,n)->(n)", np.linalg.eigh: "(n,n)->(n),(n,n)", np.linalg.slogdet: "(n,n)->(),()",
    np.linalg.pinv: "(m,n)->(n,m)", np.linalg.qr: "(m,n)->(m,k),(k,n)", np.linalg.svd: "(m,n)->(m,k),(k),(k,n)",
    np.linalg.svdvals: "(m,n)->(k)",
}  # fmt: skip


class Lazy(Indirect):
    """namespace: dask.array. What it lacks runs as NumPy's own on whole rows or matrices of its chunks."""

    lazy = True

    def __init__(self, namespace: ModuleType, kind: Any) -> None:
        super().__init__("dask", namespace, kind)
        for function in (np.sort, np.argsort):
            self.own[function] = self.along(function)
        for function, sizes in MATRICES.items():
            self.own[function] = self.of_matrices(function, sizes)
        self.own[np.linalg.solve] = self.solve
        self.own[np.concatenate] = self.concatenate
        self.own[np.reshape] = self.reshape
        self.own[np.matmul] = self.matmul

    def by_name(self, function: Callable[..., Any], module: str) -> Any:
        if isinstance(function, np.ufunc) and function.signature is None:
            return function  # every ufunc works on a chunk as it does on the whole
        return getattr(self.namespace, function.__name__, None) if function in SAME else None

    def wrapped(self, value: Any) -> Any:
        if isinstance(value, self.kind) and any(size != size for size in value.shape):
            raise UnsupportedError("dask: how many results there are is not known without the values")
        return super().wrapped(value)

    def carried(self, array: Any) -> Any:
        return self.namespace.from_array(array, chunks=-1)

    def home(self, x: Foreign) -> np.ndarray:
        return np.array(x.array.compute())

    def value_of(self, x: Foreign, what: str) -> Any:
        raise UnsupportedError(
            f"dask: {what} needs a value, and its arrays are worked out only when asked by name: x.item(), x.numpy(). "
            f"Called {user_location()}"
        )

    def taken(self, x: Any, places: Any) -> Foreign:
        """Known places stay NumPy's. Of one lazy place, 0, Dask says that all rows of x come: it is given two."""
        if isinstance(places, np.ndarray):
            known = np.where(places < 0, places + x.shape[0], places)
            return Foreign(self.namespace.take(x.array, known, axis=0), self)
        if places.size != 1:
            return super().taken(x, places)
        twice = self.namespace.concatenate([places.array, places.array])
        return Foreign(self.namespace.take(x.array, twice, axis=0)[:1], self)

    # Functions whose arguments differ

    def along(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(a: Any, axis: int | None = -1, **_: Any) -> Any:
            if axis is None:
                a, axis = a.ravel(), 0
            a = a.rechunk({range(a.ndim)[axis]: -1})
            return a.map_blocks(function, axis=axis, dtype=a.dtype if function is np.sort else np.intp)

        return run

    def of_matrices(self, function: Callable[..., Any], sizes: str) -> Callable[..., Any]:
        several = sizes.count("(") > 2

        def run(a: Any, *args: Any, **options: Any) -> Any:
            one = function(np.eye(*a.shape[-2:], dtype=a.dtype), *args, **options)  # says what is wrong, if anything
            if not a.size:
                return self.carried_all(function(np.zeros(a.shape, a.dtype), *args, **options))
            if function is np.linalg.svd and options.get("full_matrices", not args or args[0]):
                out = "(m,n)->(m,m),(k),(n,n)"
            else:
                out = sizes
            found = self.namespace.apply_gufunc(
                lambda m: function(m, *args, **options), out, a.rechunk({a.ndim - 2: -1, a.ndim - 1: -1}),
                output_dtypes=(a.dtype,) * len(one) if several else a.dtype, allow_rechunk=True,
                output_sizes={"k": min(a.shape[-2:])} if "k" in out else None,
            )  # fmt: skip
            return type(one)(*found) if several else found

        return run

    def carried_all(self, values: Any) -> Any:
        return type(values)(*map(self.carried, values)) if isinstance(values, tuple) else self.carried(values)

    def solve(self, a: Any, b: Any) -> Any:
        sizes = "(n,n),(n)->(n)" if b.ndim == 1 else "(n,n),(n,k)->(n,k)"
        dtype = np.result_type(a.dtype, b.dtype)
        return self.namespace.apply_gufunc(np.linalg.solve, sizes, a, b, output_dtypes=dtype, allow_rechunk=True)

    def concatenate(self, arrays: Any, axis: int | None = 0, dtype: Any = None, casting: Any = None) -> Any:
        if axis is None:
            arrays, axis = [each.ravel() for each in arrays], 0
        arrays = arrays if dtype is None else [each.astype(dtype) for each in arrays]
        return self.namespace.concatenate(arrays, axis=axis)

    def matmul(self, x: Any, y: Any) -> Any:
        return self.namespace.matmul(x, y)

    def reshape(self, a: Any, shape: Any, order: str = "C", copy: Any = None) -> Any:
        shape = (shape,) if isinstance(shape, int) else tuple(map(int, shape))
        if order == "F":
            return self.namespace.reshape(a.T, shape[::-1]).T
        return self.namespace.reshape(a, shape)


SAME = frozenset((
    np.sum, np.prod, np.max, np.min, np.mean, np.all, np.any, np.where, np.transpose, np.broadcast_to,
    np.cumsum, np.cumprod, np.round, np.count_nonzero, np.argmax, np.argmin, np.einsum, np.tensordot,
))  # fmt: skip
