"""Arrays in few words: all the numbers of a small one, what is worth knowing of a large one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.render.labels import number_text, printable, shape_text, value_text

__all__ = ["amount", "amount_data", "facts_of", "norm_of"]

SMALL = 12  # elements that a line of text lists
TABLE = 96  # elements that a page shows as a table


def amount(value: Any) -> str:
    """0.25; [0.5, -1]; of what is larger shape, norm, range: (32, 64), norm 1.2, from -0.3 to 0.4, 12 zeros."""
    if isinstance(value, tuple | list) and any(isinstance(part, np.ndarray) for part in value):
        return "; ".join(f"[{k}] {amount(part)}" for k, part in enumerate(value))
    if not isinstance(value, np.ndarray | np.generic):
        return printable(value_text(value), 200)
    array = np.asarray(value)
    if array.size <= SMALL and array.ndim <= 2 and array.size:
        return listed(array)
    return ", ".join([shape_text(array.shape) or "scalar", *facts_of(array)])


def listed(array: np.ndarray) -> str:
    if array.ndim:
        return f"[{', '.join(listed(part) for part in array)}]"
    return number_text(array[()])


def facts_of(array: np.ndarray) -> list[str]:
    """What one would ask of many numbers; what is not finite comes first."""
    if not array.size:
        return ["no elements"]
    if array.dtype == bool:
        return [f"{int(array.sum()):,} of {array.size:,} true"]
    finite = np.isfinite(array)
    told = [] if finite.all() else [f"{array.size - int(finite.sum()):,} of {array.size:,} not finite"]
    known = array[finite].astype(np.float64)
    if known.size:
        low, high = number_text(known.min()), number_text(known.max())
        told += [f"norm {number_text(norm_of(known))}", f"all {low}" if low == high else f"from {low} to {high}"]
        zeros = int((known == 0).sum())
        told += [f"{zeros:,} zeros"] if 0 < zeros < known.size else []
    return told


def norm_of(array: Any) -> float:
    """The length of all numbers together; scaled, or the squares of 1e200 would overflow. nan or inf if one is."""
    values = np.abs(np.asarray(array, np.float64))
    largest = float(values.max(initial=0.0))
    return largest * float(np.sqrt(np.square(values / largest).sum())) if largest and np.isfinite(largest) else largest


def amount_data(value: Any) -> dict[str, Any]:
    """The same for a page, ready for JSON: {"rows": [[0.5, -1.0]], ...} of a small array, {"facts": [...]} of others.

    Numbers are the shortest that stand for the same float; nan and inf are words.
    """
    if isinstance(value, tuple | list) and any(isinstance(part, np.ndarray) for part in value):
        return {"parts": [amount_data(part) for part in value]}
    if not isinstance(value, np.ndarray | np.generic):
        return {"text": printable(value_text(value), 200)}
    array = np.asarray(value)
    about: dict[str, Any] = {"shape": shape_text(array.shape), "dtype": str(array.dtype)}
    if not 0 < array.size <= TABLE:
        return about | {"facts": facts_of(array)}
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)  # further axes are stacked
    return about | {"rows": [[exact(each) for each in row] for row in rows]}


def exact(number: Any) -> float | int | str:
    if number.dtype.kind in "biu":
        return int(number)
    return float(str(number)) if np.isfinite(number) else str(number)
