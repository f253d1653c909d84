"""What the functions of `functional` take: numbers in floating point, ids in range, shapes that fit.

Each check says which function refuses what, with the shapes or values, and what to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arrays import adopted, beside
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import DtypeError, RangeError, ShapeError
from tinygrad_edu.graph import STATE
from tinygrad_edu.tensor import Tensor

__all__ = [
    "array",
    "attention_mask",
    "broadcasts_to",
    "check_range",
    "drawn",
    "floating",
    "has_kernel",
    "integers",
    "near",
    "optional",
    "plain",
    "refuse_misfits",
    "same_width",
]

LISTS = (list, tuple, int, float)
ARRAYS = (np.ndarray, np.generic)


def array(x: Any) -> Any:
    """A list or a number as an ndarray, everything else as it is: it may be a Tensor, or None."""
    return np.asarray(x) if isinstance(x, LISTS) else x


def near(x: Any, constant: Any) -> Any:
    """A constant where x is: of another library, if x is a tensor over one."""
    return beside(constant, x._value if isinstance(x, Tensor) else x)


def floating(x: Any) -> Any:
    """x in floating point: unsigned integers would wrap around in −x and in x − max(x)."""
    if isinstance(x, Tensor) and x._value.dtype.kind == "f":
        return x  # nearly always
    x = array(x)
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    if kind in ("b", "i", "u"):
        return x.astype(np.float64)
    if kind not in ("f", "O"):
        reject(DtypeError, f"functional takes real numbers: a Tensor, an ndarray or a list, not {x!r:.40}")
    return x


def optional(x: Any) -> Any:
    return None if x is None else floating(x)


def plain(x: object) -> NDArray[Any]:
    """An array, of whose checks nobody need know; but a tape holds them too."""
    if isinstance(x, Tensor):
        return x if STATE.get().tape is not None else x._value  # type: ignore[return-value]
    foreign = adopted(x)
    return np.asarray(x) if foreign is None else foreign  # type: ignore[return-value]


def integers(function: str, what: str, ids: object) -> NDArray[np.integer]:
    found = plain(ids)
    if not found.size:
        return found.astype(np.intp)  # an empty list has no dtype of its own
    if found.dtype.kind not in "iu":
        reject(DtypeError, f"{function}: {what} are {found.dtype}; they must be integers")
    return found


def drawn(rng: Any, shape: tuple[int, ...]) -> Any:
    """Uniform in [0, 1), float32; where a tape runs it is drawn anew each time."""
    tape = STATE.get().tape
    return rng.random(shape, dtype=np.float32) if tape is None else tape.drawn(rng, shape)


def check_range(function: str, what: str, ids: NDArray[Any], size: int, counted: Any = True) -> None:
    wrong = (ids < 0) | (ids >= size)
    if counted is not True:
        wrong &= counted
    if np.count_nonzero(wrong):
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        at = f" at position {place[0] if len(place) == 1 else place}" if place else ""
        reject(RangeError, f"{function}: {what} {int(ids[place])}{at} is outside [0, {size})")


def same_width(function: str, x: Any, **tables: Any) -> None:
    if not x.ndim or not x.shape[-1]:
        reject(ShapeError, f"{function}: x has shape {x.shape}; there is no last axis to take a mean over")
    for name, table in tables.items():
        if table is not None and table.shape != x.shape[-1:]:
            reject(ShapeError, f"{function}: {name} has shape {table.shape}, x {x.shape} wants {x.shape[-1:]}")


def has_kernel(*operands: Any) -> bool:
    """Is there a kernel for these, which are floating()? For Tensors and ndarrays, but not under definitions()."""
    if STATE.get().defined:
        return False
    for x in operands:
        if not (x is None or isinstance(x, Tensor) or (isinstance(x, ARRAYS) and x.dtype.kind == "f")):
            return False
    return True


def refuse_misfits(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> None:
    wrong = ""
    if not q or len(k) < 2 or len(v) < 2:
        wrong = "k and v need two axes, (..., S, d) and (..., S, e)"
    elif q[-1] != k[-1] or not q[-1]:
        wrong = "the last axes of q and k must be equal, and not 0: they are multiplied"
    elif k[-2] != v[-2]:
        wrong = f"{k[-2]} keys cannot weigh {v[-2]} values; the last axes but one must be equal"
    elif not q[:-2] == k[:-2] == v[:-2]:
        try:
            np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
        except ValueError:
            wrong = "the leading axes do not broadcast; make them equal or 1"
    if wrong:
        reject(ShapeError, f"attention: q {q}, k {k}, v {v}: {wrong}")


def attention_mask(mask: object, shape: tuple[int, ...]) -> NDArray[np.bool]:
    allowed = plain(mask)
    if allowed.dtype != bool:
        reject(DtypeError, f"attention: the mask is {allowed.dtype}; it must be boolean, True = may attend")
    broadcasts_to("mask", allowed.shape, shape)
    return allowed


def broadcasts_to(what: str, given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """attention's mask and bias may not make its scores larger."""
    fits = [m in (1, n) for m, n in zip(given[::-1], shape[::-1], strict=False)]
    if len(given) > len(shape) or not all(fits):
        reject(ShapeError, f"attention: a {what} {given} does not broadcast to the scores {shape}")
