"""What `derive` is given: arrays, or their shapes in letters, of which it draws examples."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_edu.formulas.numbers import Letters
from tinygrad_edu.tensor import Tensor

__all__ = ["Inputs", "draw_inputs", "is_shape"]

# Sizes that no formula has in it as a number, of which no product is another, and which are not all the same.
FIRST, SECOND = (11, 13, 17, 19, 23, 29, 31, 37, 41, 43), (19, 11, 23, 13, 31, 17, 37, 29, 47, 41)
KINDS = ("bool", "<", ">")


class Inputs:
    """arrays: the examples by name, floats and others. scalars: numbers with a name. rest: what is passed as it is."""

    def __init__(self, letters: Letters) -> None:
        self.letters = letters
        self.arrays: dict[str, np.ndarray] = {}
        self.rest: dict[str, Any] = {}

    @property
    def floats(self) -> list[str]:
        return [name for name, value in self.arrays.items() if value.dtype.kind == "f"]


def tokens(spec: str) -> tuple[list[str], str, str]:
    """"B T < V" is (["B", "T"], "<", "V")."""
    words = spec.split()
    at = next((k for k, word in enumerate(words) if word in KINDS), len(words))
    rest = words[at:] + ["", ""]
    return words[:at], rest[0], rest[1]


def is_shape(value: Any) -> bool:
    """A shape in letters, and no other string."""
    return isinstance(value, str) and all(re.fullmatch(r"[A-Za-z](_\w+|\d+)?|\d+", word) for word in tokens(value)[0])


def letters_in(given: Mapping[str, Any]) -> list[str]:
    """The letters of all shapes, in the order in which they first occur."""
    found: dict[str, None] = {}
    for spec in given.values():
        if is_shape(spec):
            shape, kind, bound = tokens(spec)
            found.update(dict.fromkeys(word for word in [*shape, bound if kind == "<" else ""] if word.isidentifier()))
    return list(found)


def draw_inputs(given: Mapping[str, Any], sizes: Mapping[str, int], numbers: tuple[int, ...], seed: int) -> Inputs:
    """Examples for everything that is given by its shape. sizes: of some letters; the others take `numbers`' turn."""
    names = letters_in(given)
    rest = iter(numbers)
    known = {name: int(sizes[name]) if name in sizes else next(rest) for name in names}
    known |= {name: int(size) for name, size in sizes.items()}
    scalars = {name: float(value) for name, value in given.items() if isinstance(value, float)}
    made = Inputs(Letters(known, scalars))
    rng = np.random.default_rng(seed)
    for name, value in given.items():
        if is_shape(value):
            made.arrays[name] = example(value, known, rng)
        elif isinstance(value, tuple) and all(isinstance(n, int) for n in value):
            made.arrays[name] = rng.normal(size=value)
        elif isinstance(value, Tensor):
            made.arrays[name] = value.numpy()
        elif isinstance(value, np.ndarray | list):
            made.arrays[name] = np.array(value)
        else:
            made.rest[name] = value
    return made


def example(spec: str, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    words, kind, bound = tokens(spec)
    shape = tuple(sizes[word] if word.isidentifier() else int(word) for word in words)
    if kind == "bool":
        truth = rng.random(shape) < 0.6
        truth[..., 0] = True  # in every row one at least
        return truth
    if kind == "<":
        return rng.integers(sizes[bound] if bound in sizes else int(bound), size=shape)
    drawn = rng.normal(size=shape)
    return np.asarray(np.abs(drawn) + 0.1 if kind == ">" else drawn)
