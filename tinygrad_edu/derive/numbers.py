"""Numbers as a person writes them: 1/3 and not 0.333, 1/√d and not 0.3015, √(2/π) and not 0.7979."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

__all__ = ["Letters", "quotient"]


class Letters:
    """The letters that stand for sizes: {"N": 11, "D": 13}. Sizes that differ, so that a size tells its letter.

    scalars: numbers that were given a name, {"eps": 1e-5}.
    """

    def __init__(self, sizes: Mapping[str, int] | None = None, scalars: Mapping[str, float] | None = None) -> None:
        self.sizes = dict(sizes or {})
        self.scalars = dict(scalars or {})
        self.products: dict[int, tuple[str, ...]] = {}
        for count in (1, 2, 3):
            for chosen in itertools.combinations(self.sizes, count):
                self.products.setdefault(math.prod(self.sizes[c] for c in chosen), chosen)

    def of(self, size: int) -> tuple[str, ...] | None:
        """The letters whose product is this size."""
        return self.products.get(size)

    def dimension(self, size: int) -> str:
        found = self.of(size)
        return str(size) if found is None else "".join(found)


def quotient(value: float, letters: Letters) -> tuple[str, str]:
    """A positive number as (numerator, denominator), "" for a denominator of 1; roots as "√(...)"."""
    for name, given in letters.scalars.items():
        known = {
            (name, ""): given, ("1", name): _inverse(given), (f"(1 − {name})", ""): 1 - given,
            ("1", f"(1 − {name})"): _inverse(1 - given),
        }  # fmt: skip
        for text, number in known.items():
            if number is not None and close(value, number):
                return text
    for size, chosen in letters.products.items():
        word = " ".join(chosen)
        for text, number in {
            ("1", word): 1 / size,
            (word, ""): float(size),
            ("1", f"√({word})"): size**-0.5,
            (f"√({word})", ""): size**0.5,
        }.items():
            if close(value, number):
                return text
    if math.isinf(value):
        return "∞", ""
    plain = rational(value)
    if plain is not None:
        return plain
    for symbol, factor in (("", 1.0), ("π", math.pi)):
        under = rational(value * value / factor, 64)
        if under is not None:
            return rooted(under[0], symbol, under[1], "")
        under = rational(value * value * factor, 64)
        if under is not None and symbol:
            return rooted(under[0], "", under[1], symbol)
    return f"{value:.6g}", ""


def _inverse(value: float) -> float | None:
    return 1 / value if value else None


def close(x: float, y: float) -> bool:
    return abs(x - y) <= 4e-16 * max(abs(x), abs(y))


def rational(value: float, limit: int = 1000) -> tuple[str, str] | None:
    """Whole numbers, fractions, and decimals that are short as they are; None for a number that is none of these."""
    if value.is_integer() and value < 1e15:
        return str(int(value)), ""
    near = Fraction(value).limit_denominator(limit)
    if near and abs(float(near) - value) <= 4e-15 * value and (near.numerator == 1 or near.denominator <= 64):
        short = len(repr(value)) <= 4 and near.numerator != 1
        return (repr(value), "") if short else (str(near.numerator), str(near.denominator))
    text = f"{value:.7g}"
    return (text, "") if float(text) == value else None


def rooted(top: str, above: str, bottom: str, below: str) -> tuple[str, str]:
    """√(top·above / bottom·below), with a 1 on top outside of the root."""
    over, under = joined(top, above), joined(bottom, below)
    if not under:
        return (perfect(over), "")
    if over == "1":
        return "1", perfect(under)
    if perfect(over) != f"√({over})":
        return perfect(over), perfect(under)
    return f"√({over}/{under})", ""


def joined(number: str, symbol: str) -> str:
    parts = [part for part in (number if number != "1" or not symbol else "", symbol) if part]
    return " ".join(parts)


def perfect(text: str) -> str:
    if text.isdigit() and math.isqrt(int(text)) ** 2 == int(text):
        return str(math.isqrt(int(text)))
    return f"√({text})"
