"""Numbers as a person writes them: 1/3 and not 0.333, 1/√d and not 0.3015, √(2/π) and not 0.7979."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from fractions import Fraction

__all__ = ["Letters", "length", "quotient"]


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

    def words(self) -> list[tuple[int, str]]:
        """Sizes and products of sizes, with their letters; 1 too."""
        return [(1, ""), *((size, " ".join(chosen)) for size, chosen in self.products.items())]

    def scales(self) -> list[tuple[float, tuple[str, str]]]:
        """1, and what is often made of a number with a name, as (numerator, denominator): a, 1/a, 1 − a, 1/(1 − a)."""
        found: list[tuple[float, tuple[str, str]]] = [(1.0, ("", ""))]
        for name, a in self.scalars.items():
            for number, text in ((a, name), (1 - a, f"(1 − {name})")):
                if number not in (0.0, 1.0):
                    found += [(number, (text, "")), (1 / number, ("", text))]
        return found

    def dimension(self, size: int) -> str:
        found = self.of(size)
        return str(size) if found is None else "".join(found)


def quotient(value: float, letters: Letters) -> tuple[str, str]:
    """A positive number as (numerator, denominator), "" for a denominator of 1; roots as "√(...)"."""
    if math.isinf(value):
        return "∞", ""
    plain = rational(value)
    if plain is not None and (len(plain[0]) + len(plain[1]) < 3 or not letters.products):
        return plain
    for scale, (over, under) in letters.scales():
        for size, word in letters.words():
            for exponent, written in ((1, word), (0.5, f"√({word})" if word else "")):
                if close(value, scale * size**exponent):
                    return times(over, written), under
                if close(value, scale / size**exponent):
                    return times(over, ""), times(under, written) if under or written else ""
    if plain is not None:
        return plain
    for symbol, factor in (("", 1.0), ("π", math.pi)):
        root = rational(value * value / factor, 64)
        if root is not None:
            return rooted(root[0], symbol, root[1], "")
        root = rational(value * value * factor, 64)
        if root is not None and symbol:
            return rooted(root[0], "", root[1], symbol)
    return f"{value:.6g}", ""


def length(value: float, letters: Letters) -> int:
    """How much there is to write; digits that are cut off count."""
    top, bottom = quotient(value, letters)
    exact = bottom or not re.fullmatch(r"[\d.e+-]+", top) or float(top) == value
    return len(top) + 2 * len(bottom) + (0 if exact else 10)


def times(left: str, right: str) -> str:
    return " ".join(part for part in (left, right) if part) or "1"


def close(x: float, y: float) -> bool:
    return abs(x - y) <= 1e-15 * max(abs(x), abs(y))


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
