"""How hard to look: fast while one writes, ci where every push is judged, thorough over night."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["PROFILES", "Profile", "choose", "current"]


class Profile(NamedTuple):
    """examples: drawn calls of a battery. points: cotangents for each call of the fixture. order: of derivatives."""

    examples: int
    points: int
    order: Literal[1, 2]


PROFILES = {
    "fast": Profile(examples=15, points=1, order=1),
    "ci": Profile(examples=50, points=3, order=2),
    "thorough": Profile(examples=1000, points=10, order=2),
}
chosen = ["fast"]


def choose(name: str) -> None:
    """Look that hard from now on; the pytest plugin calls it with what --gradcheck says."""
    chosen[0] = name


def current() -> Profile:
    return PROFILES[chosen[0]]
