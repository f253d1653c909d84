"""What an ndarray has and a tensor has not, and why. hasattr() is False, and reading the name says what to use."""

from __future__ import annotations

from typing import Any, NoReturn

from tinygrad_edu.errors import AbsentError
from tinygrad_edu.graph import user_location

__all__ = ["Absences"]


class Absent:
    """The place of a name that is left out on purpose."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tensor: Any, owner: type | None = None) -> Absent | NoReturn:
        if tensor is None:
            return self
        raise AbsentError(f"a Tensor has no {self.name}: {self.reason}. Called {user_location()}")


WRITES = "it writes into the array, and a Tensor is a value; use "
MEMORY = "it is about memory, not about values; ask x.data for it"
BYTES = "bytes of a float have no derivative; use "
FILES = "a pickle runs whatever stands in it; use np.save(file, x.numpy()), or safetensors"


class Absences:
    """Members of ndarray that would change a tensor, look at its memory, or write a file."""

    __slots__ = ()

    fill = Absent(WRITES + "np.full_like(x, value)")
    put = Absent(WRITES + "np.where(mask, new, x)")
    resize = Absent(WRITES + "x.reshape(shape), np.pad or np.tile")
    setfield = Absent(WRITES + "np.where(mask, new, x)")
    setflags = Absent(MEMORY)
    flags = Absent(MEMORY)
    strides = Absent(MEMORY)
    base = Absent(MEMORY)
    ctypes = Absent(MEMORY)
    byteswap = Absent(BYTES + "x.numpy().byteswap()")
    getfield = Absent(BYTES + "x.numpy().getfield(dtype, offset)")
    view = Absent("use x.reshape(shape) for another shape, x.astype(dtype) for another dtype, x.detach() for itself")
    tofile = Absent("use x.numpy().tofile(file)")
    dump = Absent(FILES)
    dumps = Absent(FILES)
