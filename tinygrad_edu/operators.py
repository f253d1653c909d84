"""Operators and indexing of a tensor, each one line to the registry."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tinygrad_edu.errors import DtypeError, ItemAssignmentError
from tinygrad_edu.graph import STATE, record, user_location
from tinygrad_edu.protocols import call
from tinygrad_edu.record import MANY, apply, binary, own_as_view, unary
from tinygrad_edu.rules import operation_of
from tinygrad_edu.rules.indexing import getitem
from tinygrad_edu.seals import guard
from tinygrad_edu.variable import PLAIN, Variable, make

__all__ = ["Operators"]

ADD, SUBTRACT, MULTIPLY, DIVIDE, POWER, MATMUL, NEGATIVE, ABSOLUTE, GETITEM = (
    operation_of(function)
    for function in (
        np.add, np.subtract, np.multiply, np.divide, np.power, np.matmul, np.negative, np.absolute, getitem,
    )
)  # fmt: skip


class Operators(Variable):
    """What Python's operators mean on a tensor: what they mean on an ndarray.

    `x += y` makes a new tensor and gives it the name x: a recorded operation keeps the old one.
    """

    __slots__ = ()

    def _call(self, function: Any, *others: Any, **keywords: Any) -> Any:
        return call(self._kind, function, (self, *others), keywords)

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

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __round__(self, decimals: int | None = None) -> Any:
        """A tensor of its own dtype, as np.round gives it; carries no gradient."""
        return self._call(np.round, decimals or 0)

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

    __hash__ = Variable.__hash__

    # Bits of integers and truth values: they carry no gradient either

    def __and__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return bits(self._kind, np.bitwise_xor, other, self)

    def __lshift__(self, other: Any) -> Any:
        return bits(self._kind, np.left_shift, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return bits(self._kind, np.left_shift, other, self)

    def __rshift__(self, other: Any) -> Any:
        return bits(self._kind, np.right_shift, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return bits(self._kind, np.right_shift, other, self)

    def __invert__(self) -> Any:
        return bits(self._kind, np.invert, self)

    # Indexing

    def __getitem__(self, index: Any) -> Any:
        return indexed(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise ItemAssignmentError(
            "a Tensor is a value and has no item assignment, because a recorded operation may need what stood there. "
            "Write np.where(mask, new, x), np.concatenate([...]), or build the ndarray first. "
            f"Called {user_location()}"
        )

    def __delitem__(self, index: Any) -> NoReturn:
        raise ItemAssignmentError(
            "a Tensor is a value, nothing of it can be deleted; np.delete(x, places) is one without them. "
            f"Called {user_location()}"
        )


def indexed(x: Variable, index: Any) -> Any:
    """x[index]. By the long way where somebody watches, nothing is recorded, or apply() has to look closer."""
    state, value, source = STATE.get(), x._value, x._node
    plain, pairs = type(index) in PLAIN, value.size
    if type(index) is tuple:
        plain, shape = PLAIN.issuperset(map(type, index)), ()
        for part in index:
            if type(part) is np.ndarray and part.shape != shape:
                pairs, shape = pairs * part.size, part.shape
    far = type(index) is np.ndarray or pairs > MANY  # the result may be larger than x
    if source is None or not (plain and state.recording) or far or state.heard:
        return apply(x._kind, GETITEM, (x, index), {})
    try:
        z = value[index]
    except Exception:
        return apply(x._kind, GETITEM, (x, index), {})  # which says what is wrong
    node = record(INDEXED, source, (), (value.shape, index), z.shape, z.dtype, state.scope)  # as INDEXED.names has it
    guard(node)
    out = make(x._kind, z, node)
    if z.base is not None:
        own_as_view(out, z, (x,))
    return out


INDEXED = GETITEM.plan(1)


def bits(kind: type[Variable], function: Any, *operands: Any) -> Any:
    """A bitwise operation; on floats NumPy's refusal, with what was probably meant."""
    try:
        return call(kind, function, operands, {})
    except DtypeError as error:
        raise DtypeError(
            f"only integers and booleans have bits; compare floats first, as in (x > 0) & (x < 1). {error}"
        ) from None
