"""What written calls are drawn with: decisions, shapes, axes, values, masks.

Shapes lean towards squares, cubes and size 1: a wrong transpose, axis or broadcast hides in any other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_edu.operation import REAL, Domain
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import DrawFn, Shape, codes, laid_out, spaced, values

__all__ = ["Draw", "Function", "Write"]

SIZES = (1, 2, 2, 3, 3, 4)
LAYOUTS = ("C", "F", "strided", "reversed")
SEED, AT_ONCE = 4, 8  # bytes


class Draw:
    """Draws what a call is made of. Everything shrinks: decisions to the first option, values to ones.

    rng: a generator for what has no order to shrink in: masks, places, permutations of many.
    """

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        self.rest: Iterator[int] = iter(())

    @functools.cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(list(self.draw(codes(SEED))))

    # Three decisions; all others are made of them

    def number(self, count: int) -> int:
        """From 0 to count - 1; count is 256 at most. A byte decides, of several that are drawn at once."""
        if count < 2:
            return 0
        byte = next(self.rest, None)
        if byte is None:
            self.rest = iter(self.draw(codes(AT_ONCE)))
            byte = next(self.rest)
        return byte * count >> 8

    def values(self, shape: Shape, domain: Domain = REAL) -> np.ndarray:
        """Inside the domain, away from its ends, of moderate size, none of them 0."""
        return values(self.draw, shape, domain)

    def apart(self, shape: Shape) -> np.ndarray:
        """No two values, and no two absolute values, nearer than an eighth: no ties, and none near."""
        return spaced(self.draw, shape, REAL)

    # Choices

    def pick(self, *options: Any) -> Any:
        return options[self.number(len(options))]

    def flag(self) -> bool:
        return self.number(2) == 1

    def options(self, **choices: Sequence[Any]) -> dict[str, Any]:
        """Some of these keywords, each with one of its values; a keyword is as often left out."""
        return {key: self.pick(*values) for key, values in choices.items() if self.flag()}

    # Shapes and axes

    def shape(self, least: int = 0, most: int = 3, smallest: int = 1) -> Shape:
        sizes = [size for size in SIZES if size >= smallest]
        ndim = least + self.number(most - least + 1)
        if self.flag():
            return (self.pick(*sizes),) * ndim
        return tuple(self.pick(*sizes) for _ in range(ndim))

    def broadcasting(self, count: int) -> list[Shape]:
        """Shapes that broadcast together: axes left off in front, others shrunk to 1; every second time none is."""
        whole = self.shape()
        if self.flag():
            return [whole] * count
        shapes = []
        for _ in range(count):
            kept = whole[self.number(len(whole) + 1) :] if self.flag() else whole
            shapes.append(tuple(1 if self.pick(False, False, True) else size for size in kept))
        return shapes

    def order(self, ndim: int) -> list[int]:
        left = list(range(ndim))
        return [left.pop(self.number(len(left))) for _ in range(ndim)]

    def axis(self, ndim: int) -> int:
        return self.pick(*range(ndim), *range(-ndim, 0)) if ndim else 0

    def axes(self, ndim: int) -> Any:
        """None, one axis, or several, counted from either end."""
        if not ndim:
            return self.pick(None, ())
        kind = self.pick("all", "one", "several")
        if kind == "all":
            return None
        if kind == "one":
            return self.axis(ndim)
        several = self.order(ndim)[: 1 + self.number(ndim)]
        return tuple(k - ndim if self.flag() else k for k in several)

    # Arrays

    def array(self, shape: Shape, domain: Domain = REAL) -> np.ndarray:
        return self.laid_out(self.values(shape, domain))

    def laid_out(self, x: Any) -> np.ndarray:
        """The same values in some memory order: C, Fortran, reversed, or every second element of something bigger."""
        x = np.array(x, np.float64)
        return laid_out(x, self.pick(*LAYOUTS)) if x.ndim else x

    def places(self, size: int, *shape: int) -> np.ndarray:
        """Indices from either end, repeated ones among them."""
        return self.rng.integers(-size, size, shape or (self.pick(1, 3, 5),))

    def mask(self, shape: Shape | int, share: float = 0.5) -> np.ndarray:
        return np.asarray(self.rng.random(shape) < share)


Function: TypeAlias = Callable[..., Any]
Write: TypeAlias = Callable[[Draw], Call]
