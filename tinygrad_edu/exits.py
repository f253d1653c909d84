"""Ways off the graph: into Python's numbers and truth values, into ndarrays, and into text.

What would cut a tracked tensor off without a word raises. What says so by its name (item, numpy, tolist) does as asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from tinygrad_edu.arrays import Foreign, home
from tinygrad_edu.errors import DtypeError, LostGradientError, MixedError, ShapeError, UnsupportedError
from tinygrad_edu.graph import is_recording, left, not_on_tape, user_location
from tinygrad_edu.methods import ArrayMethods
from tinygrad_edu.variable import Variable

__all__ = ["Exits"]


class Exits(ArrayMethods):
    """Conversions of a tensor into something that remembers no graph."""

    __slots__ = ()

    def item(self, *place: Any) -> float:
        """The one element, or the one at `place`, as a Python number, off the graph."""
        if self.size != 1 and not place:
            raise LostGradientError(
                f"item() wants one element, this tensor has shape {self.shape}. Called {user_location()}"
            )
        not_on_tape("item()")
        return self._value.item(*place)  # type: ignore[no-any-return]

    def numpy(self) -> np.ndarray:
        """A copy of the data as an ndarray, from wherever it is: yours to change."""
        not_on_tape("numpy()")
        return np.array(home(self._value))

    def tolist(self) -> Any:
        not_on_tape("tolist()")
        return self._value.tolist()

    def _refuse_if_tracked(self, what: str, instead: str) -> None:
        if self._node is not None and is_recording():
            raise LostGradientError(
                f"{what} on a tensor that requires a gradient would cut it off the graph; {instead}. "
                f"Called {user_location()}"
            )

    # To arrays

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._refuse_if_tracked("np.asarray()", "x.numpy() copies the values, np.stack([...]) joins tensors")
        not_on_tape("np.asarray()")
        if type(self._value) is Foreign:
            raise MixedError(
                f"np.asarray() of a tensor over {self._value.library.name} would bring it home without a word; "
                f"x.numpy() does so. Called {user_location()}"
            )
        return np.array(self._value, dtype=dtype, copy=copy)

    # To numbers

    def __float__(self) -> float:
        self._refuse_if_tracked("float()", "x.item() gives the number")
        return float(self.item())

    def __int__(self) -> int:
        self._refuse_if_tracked("int()", "x.item() gives the number")
        if self.size == 1:
            return int(left(self._value, int))
        return int(self.item())

    __trunc__ = __int__

    def __complex__(self) -> complex:
        self._refuse_if_tracked("complex()", "x.item() gives the number")
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.ndim:
            raise DtypeError(f"a tensor of {self.dtype}{list(self.shape)} is no index. Called {user_location()}")
        return int(left(self._value, int))

    # To truth values

    def __bool__(self) -> bool:
        self._refuse_if_tracked("bool()", "compare it, as in x > 0, or use x.item()")
        if self.size != 1:
            raise ShapeError(
                f"a tensor of shape {self.shape} is neither true nor false: ask (x > 0).any() or (x > 0).all(), write "
                f"(0 < x) & (x < 1) for 0 < x < 1, or choose by element with np.where. Called {user_location()}"
            )
        return bool(left(self._value, bool))

    def __contains__(self, value: Any) -> bool:
        not_on_tape("in")
        return bool((self._value == (value._value if isinstance(value, Variable) else value)).any())

    # To its rows

    def __len__(self) -> int:
        if not self.ndim:
            self._refuse_number("has no length")
        return len(self._value)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            self._refuse_number("cannot be iterated")
        return (self[k] for k in range(len(self)))

    def _refuse_number(self, what: str) -> NoReturn:
        raise UnsupportedError(f"a 0-d tensor {what}; np.atleast_1d(x) has one element. Called {user_location()}")

    # To text

    def __format__(self, spec: str) -> str:
        if spec and self.size != 1:
            raise ShapeError(
                f"the format {spec!r} is for one number, this tensor has shape {self.shape}; format its elements, or "
                f"print it whole. Called {user_location()}"
            )
        not_on_tape("text")
        return format(self._value.item(), spec) if spec else repr(self)
