"""What a picture says about a node, in words; and how text from outside is made harmless."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.render.plain import Scope, Statistics, ViewNode

__all__ = [
    "NOTHING",
    "contents",
    "counted",
    "gradient_text",
    "has_several",
    "keyword_text",
    "number_text",
    "printable",
    "shape_text",
    "tooltip",
    "value_of",
    "value_text",
]

NOTHING = Scope()


def printable(text: str, limit: int = 60) -> str:
    r"""One line of visible characters. Control, direction and unassigned ones, and separators of lines, are shown by
    number, as \x00 or \u202e: in a terminal they are commands, in a picture they turn the reading order round, and XML
    forbids some."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[: limit + 1]
    )
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def has_several(node: ViewNode) -> bool:
    """Is it an operation with several outputs?"""
    return any(isinstance(part, tuple) for part in node.shape)


def shape_text(shape: tuple[Any, ...]) -> str:
    """(8, 64); nothing for a scalar; of several outputs (2, 3) (3,), or 3 × (8, 64)."""
    if any(isinstance(part, tuple) for part in shape):
        parts = [shape_text(part) or "()" for part in shape]
        return f"{len(parts)} × {parts[0]}" if len(parts) > 1 and len(set(parts)) == 1 else " ".join(parts)
    return str(shape) if shape else ""


def gradient_text(gradient: Statistics, size: int) -> str:
    """∇ 0.532 for a number, ‖∇‖ 1.2 for an array; what is not finite comes first."""
    if gradient.nonfinite:
        return f"∇ has {gradient.nonfinite:,} of {size:,} not finite"
    return f"{'∇' if size == 1 else '‖∇‖'} {gradient.norm:.3g}"


def keyword_text(node: ViewNode) -> str:
    """axis=-1 keepdims; [0] for an index."""
    words = []
    for name, value in node.keywords:
        if name == "index":
            words.append(f"[{value.removeprefix('(').removesuffix(')')}]" if value.startswith("(") else f"[{value}]")
        elif value == "True":
            words.append(name)
        elif value != "False":
            words.append(value if name == "axes" else f"{name}={value}")
    return " ".join(words)


def contents(node: ViewNode, about: Scope = NOTHING) -> list[str]:
    """23 operations, 4 leaves; 16,384 parameters: what a folded node stands for, or each of those it stands for."""
    plural = {"operation": "operations", "leaf": "leaves", "constant": "constants"}
    lines = [", ".join(f"{n:,} {kind if n == 1 else plural[kind]}" for kind, n in node.folded if kind != "constant")]
    return lines + ([counted(node.parameters, about)] if node.parameters else [])


def counted(parameters: int, about: Scope = NOTHING) -> str:
    each = " each" if about.alike else ""
    return f"{parameters:,} {'parameter' if parameters == 1 else 'parameters'}{each}"


def value_of(node: ViewNode) -> str:
    """= 0.25, or the mean and the spread of many; what is not finite comes first."""
    if node.value is not None:
        return f"= {node.value}"
    known = node.statistics
    if known is None:
        return ""
    if known.nonfinite:
        return f"{known.nonfinite:,} of {node.size:,} not finite"
    return f"{known.mean:.2g} ± {known.std:.2g}" if known.low < known.high else f"all {known.low:.4g}"


def tooltip(node: ViewNode) -> str:
    """All that does not fit into the box, in one line."""
    facts = [f"{node.name or node.label}", f"{node.dtype} {shape_text(node.shape) or 'scalar'}"]
    if node.statistics is not None and node.value is None:
        facts.append(f"values {node.statistics.low:.3g} to {node.statistics.high:.3g}")
    if node.saved_bytes:
        facts.append(f"keeps {node.saved_bytes:,} bytes for backward")
    if node.seconds is not None:
        facts.append(f"took {node.seconds * 1e6:,.0f} µs")
    if node.where:
        facts.append(f"made at {node.where}")
    if node.gradient is not None:
        facts.append(f"largest gradient {node.gradient.largest:.3g}")
    return ", ".join(facts)


def value_text(value: Any) -> str:
    """-1, (2, 0, 1), :5, ...; an array is only hinted at."""
    if isinstance(value, slice):
        ends = ["" if end is None else value_text(end) for end in (value.start, value.stop)]
        return ":".join(ends if value.step is None else [*ends, value_text(value.step)])
    if isinstance(value, tuple | list):
        inner = ", ".join(value_text(each) for each in value)
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if value is Ellipsis:
        return "..."
    if isinstance(value, bool | int | str) or value is None:
        return str(value)
    if isinstance(value, float | np.generic):
        return number_text(value)
    return type(value).__name__ if not isinstance(value, np.ndarray) else f"array{value.shape}"


def number_text(value: Any) -> str:
    """0.25, 3, 1e-05, nan: four digits are enough to recognise a number."""
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
