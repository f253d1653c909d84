"""How hard to look: fast while one writes, ci where every push is judged, thorough over night."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["PROFILES", "Profile"]


class Profile(NamedTuple):
    """examples: drawn inputs of a battery. points: cotangents for each call of the fixture. order: of derivatives."""

    examples: int
    points: int
    order: Literal[1, 2]


PROFILES = {
    "fast": Profile(examples=10, points=1, order=1),
    "ci": Profile(examples=50, points=3, order=2),
    "thorough": Profile(examples=1000, points=10, order=2),
}
