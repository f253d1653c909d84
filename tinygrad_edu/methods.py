"""What a tensor can do: NumPy's operators and methods, each one line to the registry."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tinygrad_edu.errors import ItemAssignmentError
from tinygrad_edu.graph import user_location
from tinygrad_edu.protocols import call
from tinygrad_edu.record import Variable, apply, binary, unary
from tinygrad_edu.rules import operation_of
from tinygrad_edu.rules.fused import relu
from tinygrad_edu.rules.indexing import getitem
from tinygrad_edu.rules.shapes import astype

__all__ = ["ArrayMethods"]

Axis = int | tuple[int, ...] | None

ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, MATMUL, NEGATIVE, ABSOLUTE, EXP, LOG, TANH, SQRT, GETITEM, RELU = (
    operation_of(function)
    for function in (
        np.add, np.subtract, np.multiply, np.divide, np.power, np.matmul, np.negative, np.absolute,
        np.exp, np.log, np.tanh, np.sqrt, getitem, relu,
    )
)  # fmt: skip


class ArrayMethods(Variable):
    """Operators, indexing and methods of an array; what they return is a tensor."""

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

    # Arithmetic

    def __add__(self, other: Any) -> Any:
        return binary(self._kind, ADD, self, other)

    def __radd__(self, other: Any) -> Any:
        return binary(self._kind, ADD, other, self)

    def __sub__(self, other: Any) -> Any:
        return binary(self._kind, SUBTRACT, self, other)

    def __rsub__(self, other: Any) -> Any:
        return binary(self._kind, SUBTRACT, other, self)

    def __mul__(self, other: Any) -> Any:
        return binary(self._kind, MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> Any:
        return binary(self._kind, MULTIPLY, other, self)

    def __truediv__(self, other: Any) -> Any:
        return binary(self._kind, DIVIDE, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return binary(self._kind, DIVIDE, other, self)

    def __pow__(self, other: Any) -> Any:
        return binary(self._kind, POWER, self, other)

    def __rpow__(self, other: Any) -> Any:
        return binary(self._kind, POWER, other, self)

    def __matmul__(self, other: Any) -> Any:
        return binary(self._kind, MATMUL, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return binary(self._kind, MATMUL, other, self)

    def __neg__(self) -> Any:
        return unary(self._kind, NEGATIVE, self)

    def __abs__(self) -> Any:
        return unary(self._kind, ABSOLUTE, self)

    def __pos__(self) -> Any:
        return self._call(np.positive)

    def __mod__(self, other: Any) -> Any:
        return self._call(np.remainder, other)

    def __rmod__(self, other: Any) -> Any:
        return call(self._kind, np.remainder, (other, self), {})

    def __floordiv__(self, other: Any) -> Any:
        return self._call(np.floor_divide, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return call(self._kind, np.floor_divide, (other, self), {})

    # Comparisons give booleans, which carry no gradient

    def __lt__(self, other: Any) -> Any:
        return self._call(np.less, other)

    def __le__(self, other: Any) -> Any:
        return self._call(np.less_equal, other)

    def __gt__(self, other: Any) -> Any:
        return self._call(np.greater, other)

    def __ge__(self, other: Any) -> Any:
        return self._call(np.greater_equal, other)

    def __eq__(self, other: object) -> Any:
        return self._call(np.equal, other)

    def __ne__(self, other: object) -> Any:
        return self._call(np.not_equal, other)

    def __and__(self, other: Any) -> Any:
        return self._call(np.logical_and, other)

    def __or__(self, other: Any) -> Any:
        return self._call(np.logical_or, other)

    def __invert__(self) -> Any:
        return self._call(np.logical_not)

    __hash__ = Variable.__hash__

    # Indexing

    def __getitem__(self, index: Any) -> Any:
        return apply(self._kind, GETITEM, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise ItemAssignmentError(
            "a Tensor is a value and has no item assignment, because a recorded operation may need what stood there. "
            "Write np.where(mask, new, x), np.concatenate([...]), or build the ndarray first. "
            f"Called {user_location()}"
        )

    # Methods

    def _call(self, function: Any, *others: Any, **keywords: Any) -> Any:
        return call(self._kind, function, (self, *others), keywords)

    @property
    def T(self) -> Any:
        return self._call(np.transpose)

    @property
    def mT(self) -> Any:
        return self._call(np.matrix_transpose)

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

    def sum(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.sum, axis=axis, **keywords)

    def mean(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.mean, axis=axis, **keywords)

    def prod(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.prod, axis=axis, **keywords)

    def max(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.max, axis=axis, **keywords)

    def min(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.min, axis=axis, **keywords)

    def var(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.var, axis=axis, **keywords)

    def std(self, axis: Axis = None, **keywords: Any) -> Any:
        return self._call(np.std, axis=axis, **keywords)

    def cumsum(self, axis: int | None = None) -> Any:
        return self._call(np.cumsum, axis=axis)

    def cumprod(self, axis: int | None = None) -> Any:
        return self._call(np.cumprod, axis=axis)

    def argmax(self, axis: int | None = None) -> Any:
        return self._call(np.argmax, axis=axis)

    def argmin(self, axis: int | None = None) -> Any:
        return self._call(np.argmin, axis=axis)

    def squeeze(self, axis: Axis = None) -> Any:
        return self._call(np.squeeze, axis=axis)

    def all(self, axis: Axis = None) -> Any:
        return self._call(np.all, axis=axis)

    def any(self, axis: Axis = None) -> Any:
        return self._call(np.any, axis=axis)

    def argsort(self, axis: int | None = -1) -> Any:
        return self._call(np.argsort, axis=axis)

    def sort(self, axis: int = -1) -> Any:
        """A sorted copy; unlike ndarray.sort it changes nothing in place."""
        return self._call(np.sort, axis=axis)

    def reshape(self, *shape: Any) -> Any:
        return self._call(np.reshape, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return self._call(np.transpose, order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return self._call(np.swapaxes, axis1, axis2)

    def astype(self, dtype: Any) -> Any:
        return call(self._kind, astype, (self, dtype), {})

    def copy(self) -> Any:
        return self._call(np.copy)

    def flatten(self) -> Any:
        return self._call(np.ravel)

    def ravel(self) -> Any:
        return self._call(np.ravel)

    def clip(self, min: Any = None, max: Any = None) -> Any:
        return self._call(np.clip, min, max)

    def round(self, decimals: int = 0) -> Any:
        return self._call(np.round, decimals)

    def take(self, indices: Any, axis: int | None = None) -> Any:
        return self._call(np.take, indices, axis=axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        return self._call(np.repeat, repeats, axis=axis)

    def dot(self, other: Any) -> Any:
        return self._call(np.dot, other)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return self._call(np.trace, offset, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return self._call(np.diagonal, offset, axis1, axis2)
