"""The bare tensor, and what may stand beside one as an operand: arrays, numbers, and lists of them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_edu.arrays import Foreign, adopted
from tinygrad_edu.complaints import describe
from tinygrad_edu.errors import DtypeError, ShapeError
from tinygrad_edu.graph import STATE, Cut, Fixed, Node, user_location

__all__ = [
    "PLAIN",
    "SCALARS",
    "Variable",
    "copied",
    "fixed",
    "holds_gradient",
    "make",
    "operand",
    "recognisable",
    "strip",
]

ndarray = np.ndarray
SCALARS = frozenset((int, float, bool, np.float64, np.float32))
PLAIN = SCALARS | {ndarray, str, slice, type(None)}  # arguments in which no tensor can hide


class Variable:
    """The bare tensor: a value and the node that made it. `Tensor` gives it its manners."""

    __slots__ = ("__weakref__", "_cut", "_name", "_node", "_owner", "_value")
    _kind: ClassVar[Any]
    _cut: Cut  # why it is untracked although it came from something tracked
    _value: Any
    _node: Node | None
    _owner: Node | None  # set when untracked yet a view of a tracked tensor's memory
    _name: str | None


def make(kind: type[Variable], value: Any, node: Node | None) -> Any:
    """A tensor: its value (ndarray, or NumPy scalar when 0-d) and its node (None: untracked)."""
    out = object.__new__(kind)
    out._value = value
    out._node = node
    return out


def operand(value: Any) -> Any:
    """An operand that is neither a tensor nor a plain scalar, as a real ndarray or NumPy scalar."""
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError(f"a masked array would lose its mask; fill it first (a.filled(0.0)). Called {user_location()}")
    if isinstance(value, np.matrix):
        raise DtypeError(
            f"np.matrix multiplies by other rules (its * is @); pass np.asarray(m), and write @ for the product. "
            f"Called {user_location()}"
        )
    array: Any
    if type(value) is ndarray or isinstance(value, np.generic):
        array = value
    elif isinstance(value, ndarray):
        array = value.view(ndarray)  # a subclass may multiply by other rules, and seals.py looks at plain arrays
    elif (foreign := adopted(value)) is not None:
        array = foreign
    else:
        try:
            array = np.from_dlpack(value) if hasattr(value, "__dlpack__") else np.asarray(value)
        except ValueError as error:
            where = f"Called {user_location()}"
            raise ShapeError(f"no array can be made of this {type(value).__name__}: {error} {where}") from None
        except (BufferError, RuntimeError) as error:  # bfloat16, another device, a gradient that would be lost
            kind = f"{type(value).__module__}.{type(value).__name__}"
            why = str(error).rstrip(".")
            raise DtypeError(f"NumPy cannot read this {kind}: {why}. Called {user_location()}") from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(
            f"{describe(array)} has no gradient here: operands are real numbers (float, integer, boolean)"
            f"{'; split it into .real and .imag' if array.dtype.kind == 'c' else ''}. Called {user_location()}"
        )
    return array


def copied(data: Any, dtype: Any = None) -> Any:
    """An array of one's own, where `data` is, in another dtype if one is given; of a number that alone."""
    array = operand(data)
    if type(array) is Foreign:
        return array.copy() if dtype is None else array.astype(dtype, copy=True)
    array = np.array(array, dtype=dtype)
    return array if array.ndim else array[()]


def fixed(value: Any, source: Any) -> Any:
    """What a node remembers of an input without gradient: a scalar itself; of an array its shape, name, and why."""
    if type(value) is not ndarray and isinstance(value, (list, tuple)):  # noqa: UP038
        value = np.asarray(value)
    if isinstance(value, (ndarray, Foreign)) or isinstance(source, Variable):  # noqa: UP038
        return Fixed(value.shape, value.dtype, getattr(source, "_name", None), getattr(source, "_cut", None))
    return value


def holds_gradient(argument: Any) -> bool:
    if isinstance(argument, Variable):
        return argument._node is not None and STATE.get().recording
    if isinstance(argument, (list, tuple)):  # noqa: UP038, half the time of list | tuple
        for element in argument:
            if type(element) not in PLAIN and holds_gradient(element):
                return True
    return False


def strip(argument: Any) -> Any:
    """Plain arrays in place of tensors, also inside lists, tuples (index expressions) and slices."""
    if isinstance(argument, Variable):
        return argument._value
    if isinstance(argument, (list, tuple)):  # noqa: UP038
        stripped = [each if type(each) in PLAIN else strip(each) for each in argument]
        return stripped if isinstance(argument, list) else tuple(stripped)
    if isinstance(argument, ndarray):
        return argument if type(argument) is ndarray else operand(argument)
    foreign = None if type(argument) in PLAIN else adopted(argument)
    return argument if foreign is None else foreign


def recognisable(value: Any) -> Any:
    """A truth value as an array: there are but two objects of its type, which nobody could tell apart."""
    return np.array(value) if type(value) is np.bool else value
