"""The colours of a picture: by theme, and by heat.

Okabe and Ito's colours and tints of them, which every kind of colour vision tells apart. Colour never stands alone:
a leaf has corners and an operation none, the output a thicker line, a folded box two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from tinygrad_edu.render.plain import ViewNode

__all__ = ["HEATS", "STEPS", "THEMES", "Direction", "Heat", "Theme", "Warmth", "heat_of", "mixed"]

Theme = Literal["light", "dark", "colour-blind"]
Heat = Literal["gradient", "value", "bytes", "time"]
Direction = Literal["LR", "TB"]
STEPS = 10  # of heat, few enough to be told apart


class Palette(NamedTuple):
    """fills, frames: by the role of a node. scopes: by turns, so that a box shows inside a box. heat: least, most."""

    paper: str
    ink: str
    pale: str
    line: str
    gradient: str
    frame: str
    scopes: tuple[str, str]
    fills: Mapping[str, str]
    frames: Mapping[str, str]
    heat: tuple[str, str]


THEMES: Mapping[Theme, Palette] = {
    "light": Palette(
        "#ffffff", "#1f2933", "#5f6b76", "#8a949e", "#00664b", "#c9d0d6", ("#f7f8fa", "#eff1f4"),
        {"operation": "#ffffff", "leaf": "#ddedf8", "folded": "#ffffff", "output": "#fdebdd", "wrong": "#f6c1c1"},
        {"operation": "#8a949e", "leaf": "#0072b2", "folded": "#8a949e", "output": "#d55e00", "wrong": "#c00000"},
        ("#fffaf0", "#e69f00"),
    ),
    "dark": Palette(
        "#14181d", "#e4e9ee", "#9aa7b3", "#75828e", "#4fc6a0", "#38424d", ("#191f25", "#1f262d"),
        {"operation": "#20272f", "leaf": "#12344b", "folded": "#20272f", "output": "#4a2a16", "wrong": "#5a1d1d"},
        {"operation": "#75828e", "leaf": "#56b4e9", "folded": "#75828e", "output": "#f08a4b", "wrong": "#ff8a80"},
        ("#20272f", "#9a4d00"),
    ),
    "colour-blind": Palette(
        "#ffffff", "#000000", "#333333", "#333333", "#000000", "#777777", ("#f4f4f4", "#e8e8e8"),
        {"operation": "#ffffff", "leaf": "#56b4e9", "folded": "#ffffff", "output": "#f0e442", "wrong": "#d98ab3"},
        {"operation": "#333333", "leaf": "#000000", "folded": "#333333", "output": "#000000", "wrong": "#000000"},
        ("#ffffff", "#e69f00"),
    ),
}  # fmt: skip


class Warmth(NamedTuple):
    """How hot each node is, 0 to STEPS - 1, by number; and the words that explain it."""

    steps: Mapping[int, int]
    legend: str


# What is measured, in words; and of a node. A gradient or a value counts by its typical element, so that a long array
# is not hotter for its length.
HEATS: Mapping[Heat, tuple[str, Callable[[ViewNode], float | None], str]] = {
    "gradient": ("root mean square of the gradient", lambda n: typical(n.gradient and n.gradient.norm, n), ""),
    "value": ("root mean square of the value", lambda n: typical(n.statistics and n.statistics.norm, n), ""),
    "bytes": ("bytes kept for backward", lambda n: n.saved_bytes, ""),
    "time": ("time, with the Python before it", lambda n: n.seconds and n.seconds * 1e6, " µs"),
}


def typical(norm: float | None, node: ViewNode) -> float | None:
    return None if norm is None else norm / math.sqrt(node.size or 1)


def heat_of(nodes: Sequence[ViewNode], by: Heat) -> Warmth:
    """By powers of ten, from the least to the most that is there; what is zero or not known stays cold."""
    words, measure, unit = HEATS[by]
    found = {node.number: float(measure(node) or 0.0) for node in nodes}
    hot = {number: math.log(value) for number, value in found.items() if value > 0}
    if not hot:
        return Warmth({}, f"Colour would be {words}, of which nothing is known here.")
    low, high = min(hot.values()), max(hot.values())
    span = high - low or 1.0
    steps = {n: 1 + round((STEPS - 2) * (value - low) / span) if high > low else STEPS - 1 for n, value in hot.items()}
    least, most = (f"{math.exp(end):{',.0f' if by == 'bytes' else '.3g'}}{unit}" for end in (low, high))
    return Warmth(steps, f"Colour: {words}, {least} (pale) to {most} (strong).")


def mixed(low: str, high: str, share: float) -> str:
    """The colour `share` of the way from one to the other."""
    pairs = [(int(low[k : k + 2], 16), int(high[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
