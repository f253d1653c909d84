"""Values and functions as Python source that makes them again, bit for bit."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["index_of", "literal", "name_of", "needed_import"]

PLAIN = (np.dtype(np.float64), np.dtype(np.int64), np.dtype(bool))  # what np.array makes of floats, ints and bools


def literal(value: Any) -> str:
    """A value as an expression over np."""
    if isinstance(value, np.ndarray):
        kind = "" if value.dtype in PLAIN and value.size else f", np.{value.dtype.name}"
        if value.size == 0 and value.ndim > 1:
            return f"np.zeros({value.shape}{kind})"
        return f"np.array({unquoted(repr(value.tolist()))}{kind})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({unquoted(repr(value.item()))})"
    if isinstance(value, float):
        return unquoted(repr(value))
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, slice):
        return f"slice({', '.join(repr(part) for part in (value.start, value.stop, value.step))})"
    return name_of(value) if callable(value) else repr(value)


def unquoted(text: str) -> str:
    """inf and nan are no words of Python."""
    return text.replace("inf", "np.inf").replace("nan", "np.nan")


def index_of(index: Any) -> str:
    """An index as one writes it between brackets: 1:, ::-1, [0, -1]."""
    parts = index if isinstance(index, tuple) and index else (index,)
    return ", ".join(map(index_part, parts)) + ("," if isinstance(index, tuple) and len(index) == 1 else "")


def index_part(part: Any) -> str:
    if part is Ellipsis:
        return "..."
    if not isinstance(part, slice):
        return literal(part)
    start, stop, step = ("" if end is None else repr(end) for end in (part.start, part.stop, part.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def name_of(function: Callable[..., Any]) -> str:
    """np.add, np.linalg.inv, operator.getitem, or the bare name of anybody's own."""
    name = str(getattr(function, "__name__", type(function).__name__))
    for prefix, module in (("np.", np), ("np.linalg.", np.linalg), ("np.fft.", np.fft)):
        if getattr(module, name, None) is function:
            return prefix + name
    return f"operator.{name}" if getattr(function, "__module__", None) == "_operator" else name


def needed_import(function: Callable[..., Any]) -> str:
    """The line that makes name_of(function) known; "" where there is none, or none is needed besides np."""
    name = name_of(function)
    if name.startswith("np."):
        return ""
    if name.startswith("operator."):
        return "import operator"
    module = getattr(function, "__module__", None) or "__main__"
    if module == "__main__" or getattr(importlib.import_module(module), name, None) is not function:
        return ""
    return f"from {module} import {name}"
