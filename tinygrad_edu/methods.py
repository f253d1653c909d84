"""The methods of an ndarray, on tensors: the same names, the same arguments at the same places."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.absent import Absences
from tinygrad_edu.errors import DtypeError
from tinygrad_edu.graph import not_on_tape, user_location
from tinygrad_edu.operators import Operators
from tinygrad_edu.protocols import call
from tinygrad_edu.record import unary
from tinygrad_edu.rules import operation_of
from tinygrad_edu.rules.fused import relu
from tinygrad_edu.rules.shapes import astype

__all__ = ["ArrayMethods"]

Axis = int | tuple[int, ...] | None
UNSET: Any = np._NoValue
EXP, LOG, TANH, SQRT, RELU = (operation_of(function) for function in (np.exp, np.log, np.tanh, np.sqrt, relu))


def given(**options: Any) -> dict[str, Any]:
    """The options that were set. Those left alone would only be saved, and looked at, for nothing."""
    return {name: value for name, value in options.items() if not (value is None or value is False or value is UNSET)}


class ArrayMethods(Operators, Absences):
    """Attributes and methods of an array; what they return is a tensor. Those that NumPy works in place return a copy.

    An option that no derivative knows of, out= among them, raises UnsupportedError.
    """

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return self._value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self._value.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._value.dtype  # type: ignore[no-any-return]

    @property
    def nbytes(self) -> int:
        return self._value.nbytes  # type: ignore[no-any-return]

    @property
    def itemsize(self) -> int:
        return self._value.itemsize  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        return getattr(self._value, "device", "cpu")

    def to_device(self, device: str) -> Any:
        """Itself: NumPy knows one device, "cpu"."""
        if device != "cpu":
            raise ValueError(f"to_device({device!r}): arrays of NumPy lie on 'cpu' alone. Called {user_location()}")
        return self

    @property
    def T(self) -> Any:
        return self._call(np.transpose)

    @property
    def mT(self) -> Any:
        return self._call(np.matrix_transpose)

    @property
    def flat(self) -> Any:
        """All elements in a row; unlike ndarray.flat they cannot be assigned to."""
        return self._call(np.ravel)

    # Every tensor is real

    @property
    def real(self) -> Any:
        return self._call(np.real)

    @property
    def imag(self) -> Any:
        return self._call(np.zeros_like)

    def conj(self) -> Any:
        return self._call(np.real)

    def conjugate(self) -> Any:
        return self._call(np.real)

    # Functions that users of other libraries look for among the methods

    def exp(self) -> Any:
        return unary(self._kind, EXP, self)

    def log(self) -> Any:
        return unary(self._kind, LOG, self)

    def tanh(self) -> Any:
        return unary(self._kind, TANH, self)

    def sqrt(self) -> Any:
        return unary(self._kind, SQRT, self)

    def sin(self) -> Any:
        return self._call(np.sin)

    def cos(self) -> Any:
        return self._call(np.cos)

    def relu(self) -> Any:
        return unary(self._kind, RELU, self)

    # Reductions

    def sum(
        self, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
        initial: Any = UNSET, where: Any = UNSET,
    ) -> Any:  # fmt: skip
        options = given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, initial=initial, where=where)
        return self._call(np.sum, **options)

    def prod(
        self, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False,
        initial: Any = UNSET, where: Any = UNSET,
    ) -> Any:  # fmt: skip
        options = given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, initial=initial, where=where)
        return self._call(np.prod, **options)

    def mean(
        self, axis: Axis = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = UNSET
    ) -> Any:
        return self._call(np.mean, **given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where))

    def max(
        self, axis: Axis = None, out: Any = None, keepdims: bool = False, initial: Any = UNSET, where: Any = UNSET
    ) -> Any:
        return self._call(np.max, **given(axis=axis, out=out, keepdims=keepdims, initial=initial, where=where))

    def min(
        self, axis: Axis = None, out: Any = None, keepdims: bool = False, initial: Any = UNSET, where: Any = UNSET
    ) -> Any:
        return self._call(np.min, **given(axis=axis, out=out, keepdims=keepdims, initial=initial, where=where))

    def var(
        self, axis: Axis = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = UNSET, mean: Any = UNSET,
    ) -> Any:  # fmt: skip
        options = given(dtype=dtype, out=out, ddof=ddof, keepdims=keepdims, where=where, mean=mean)
        return self._call(np.var, axis=axis, **options)

    def std(
        self, axis: Axis = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: bool = False, *,
        where: Any = UNSET, mean: Any = UNSET,
    ) -> Any:  # fmt: skip
        options = given(dtype=dtype, out=out, ddof=ddof, keepdims=keepdims, where=where, mean=mean)
        return self._call(np.std, axis=axis, **options)

    def all(self, axis: Axis = None, out: Any = None, keepdims: bool = False, *, where: Any = UNSET) -> Any:
        return self._call(np.all, axis=axis, **given(out=out, keepdims=keepdims, where=where))

    def any(self, axis: Axis = None, out: Any = None, keepdims: bool = False, *, where: Any = UNSET) -> Any:
        return self._call(np.any, axis=axis, **given(out=out, keepdims=keepdims, where=where))

    def cumsum(self, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        return self._call(np.cumsum, axis=axis, **given(dtype=dtype, out=out))

    def cumprod(self, axis: int | None = None, dtype: Any = None, out: Any = None) -> Any:
        return self._call(np.cumprod, axis=axis, **given(dtype=dtype, out=out))

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
        return self._call(np.trace, offset, axis1, axis2, **given(dtype=dtype, out=out))

    # Places of elements: integers, which carry no gradient

    def argmax(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return self._call(np.argmax, axis=axis, **given(out=out, keepdims=keepdims))

    def argmin(self, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return self._call(np.argmin, axis=axis, **given(out=out, keepdims=keepdims))

    def argsort(self, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
        return self._call(np.argsort, axis=axis, **given(kind=kind, order=order, stable=stable))

    def argpartition(self, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: Any = None) -> Any:
        return self._call(np.argpartition, kth, axis=axis, kind=kind, **given(order=order))

    def searchsorted(self, v: Any, side: Any = "left", sorter: Any = None) -> Any:
        return self._call(np.searchsorted, v, side=side, **given(sorter=sorter))

    def nonzero(self) -> Any:
        return self._call(np.nonzero)

    # The same elements, elsewhere

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
        options = {} if order == "C" and copy is None else {"order": order, "copy": copy}
        return self._call(np.reshape, shape[0] if len(shape) == 1 else shape, **options)

    def transpose(self, *axes: Any) -> Any:
        """The axes as arguments or as one sequence; in reverse order if there are none."""
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int | np.integer) else axes or None
        return self._call(np.transpose, order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return self._call(np.swapaxes, axis1, axis2)

    def squeeze(self, axis: Axis = None) -> Any:
        return self._call(np.squeeze, axis=axis)

    def ravel(self, order: Any = "C") -> Any:
        return self._call(np.ravel) if order == "C" else self._call(np.ravel, order=order)

    def flatten(self, order: Any = "C") -> Any:
        return self.ravel(order)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return self._call(np.diagonal, offset, axis1, axis2)

    def sort(self, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
        """A sorted copy; unlike ndarray.sort it changes nothing in place."""
        return self._call(np.sort, axis=axis, **given(kind=kind, order=order, stable=stable))

    def partition(self, kth: Any, axis: int = -1, kind: Any = "introselect", order: Any = None) -> Any:
        """A partitioned copy; unlike ndarray.partition it changes nothing in place."""
        kind = None if kind == "introselect" else kind
        return self._call(np.partition, kth, axis=axis, **given(kind=kind, order=order))

    def take(self, indices: Any, axis: int | None = None, out: Any = None, mode: Any = "raise") -> Any:
        return self._call(np.take, indices, axis=axis, **given(out=out, mode=None if mode == "raise" else mode))

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        return self._call(np.repeat, repeats, axis=axis)

    def compress(self, condition: Any, axis: int | None = None, out: Any = None) -> Any:
        return call(self._kind, np.compress, (condition, self), {"axis": axis, **given(out=out)})

    def choose(self, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
        return self._call(np.choose, choices, **given(out=out, mode=None if mode == "raise" else mode))

    # Other values

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """In another dtype; an integer result carries no gradient. order and subok mean nothing to a value."""
        if casting != "unsafe" and not np.can_cast(self.dtype, dtype, casting):
            raise DtypeError(f"astype: {self.dtype} to {np.dtype(dtype)} is not {casting!r}. Called {user_location()}")
        if not copy and self.dtype == dtype:
            return self
        return call(self._kind, astype, (self, dtype), {})

    def copy(self, order: Any = "C") -> Any:
        return self._call(np.copy, order=order)

    def clip(self, min: Any = None, max: Any = None, out: Any = None, **options: Any) -> Any:
        return self._call(np.clip, min, max, **given(out=out), **options)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        return self._call(np.round, decimals, **given(out=out))

    def dot(self, other: Any, out: Any = None) -> Any:
        return self._call(np.dot, other, **given(out=out))

    def tobytes(self, order: Any = "C") -> bytes:
        not_on_tape("tobytes()")
        return self._value.tobytes(order)  # type: ignore[no-any-return]
