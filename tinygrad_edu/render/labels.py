"""What a picture says about a node, in words; and how text from outside is made harmless."""

from __future__ import annotations

import unicodedata
from typing import Any

from tinygrad_edu.render.view import Gradient, ViewNode

__all__ = ["contents", "gradient_text", "keyword_text", "printable", "shape_text", "tooltip"]


def printable(text: str, limit: int = 60) -> str:
    r"""One line of visible characters. Control, direction and unassigned ones are shown by number, as \x00 or \u202e:
    in a terminal they are commands, in a picture they turn the reading order round, and XML forbids some."""
    shown = "".join(
        each.encode("unicode_escape").decode() if unicodedata.category(each)[0] == "C" else each
        for each in text[: limit + 1]
    )
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def shape_text(shape: tuple[Any, ...]) -> str:
    """(8, 64); nothing for a scalar; (2, 3) (3,) for several outputs."""
    if any(isinstance(part, tuple) for part in shape):
        return " ".join(shape_text(part) or "()" for part in shape)
    return str(shape) if shape else ""


def gradient_text(gradient: Gradient, size: int) -> str:
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


def contents(node: ViewNode) -> str:
    """23 operations, 4 leaves: what a folded node stands for."""
    plural = {"operation": "operations", "leaf": "leaves", "constant": "constants"}
    return ", ".join(f"{n:,} {kind if n == 1 else plural[kind]}" for kind, n in node.folded if kind != "constant")


def tooltip(node: ViewNode) -> str:
    """All that does not fit into the box, in one line."""
    facts = [f"{node.name or node.label}", f"{node.dtype} {shape_text(node.shape) or 'scalar'}"]
    if node.saved_bytes:
        facts.append(f"keeps {node.saved_bytes:,} bytes for backward")
    if node.where:
        facts.append(f"made at {node.where}")
    if node.gradient is not None:
        facts.append(f"largest gradient {node.gradient.largest:.3g}")
    return ", ".join(facts)
