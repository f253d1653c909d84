"""What is asked of a model: a question, heads to switch off, changes to its numbers; read from JSON and checked.

    {"question": "Max(1,6,2)", "off": [[0, 3]], "edits": [{"kind": "scale", "token": 15, "factor": 0}]}

The kinds of edits and their fields: weight (name, index, value), scale (token, factor), swap (tokens).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from transformer.config import TransformerConfig
from transformer.headers import without_duplicates

__all__ = ["Edit", "Impossible", "Malformed", "Scale", "State", "Swap", "Weight", "Wish", "parsed", "wish_of"]

State = Mapping[str, NDArray[Any]]  # the path of each parameter → its array

LONGEST = 2_000  # characters of a question
MOST = 100  # edits
SHOWN = 60  # characters of a foreign name in a message
EMBEDDING = "embedding.weight"


class Malformed(ValueError):
    """No page sends this: it is not JSON, or not of the form above."""


class Impossible(ValueError):
    """A person may well ask for it, but this model cannot do it: what is wrong, and what would be allowed."""


@dataclass(frozen=True)
class Weight:
    """One number of a parameter takes a value."""

    name: str
    index: tuple[int, ...]
    value: float

    def apply(self, state: State) -> None:
        if self.name not in state:
            raise Impossible(f"there is no parameter {self.name[:SHOWN]!r}")
        array = state[self.name]
        if len(self.index) != array.ndim:
            raise Impossible(f"{self.name} has {array.ndim} axes, of sizes {array.shape}: give as many indices")
        for place, size in zip(self.index, array.shape, strict=True):
            within(f"index of {self.name}", place, size)
        array[self.index] = finite(self.value, array)


@dataclass(frozen=True)
class Scale:
    """The embedding of a token is multiplied; by 0 the model no longer sees which token it is."""

    token: int
    factor: float

    def apply(self, state: State) -> None:
        table = state[EMBEDDING]
        within("token", self.token, len(table))
        largest = float(np.abs(table[self.token]).max())
        finite(abs(self.factor) * max(1.0, largest), table)
        table[self.token] *= self.factor


@dataclass(frozen=True)
class Swap:
    """Two tokens change their embeddings: each is read as the other."""

    tokens: tuple[int, int]

    def apply(self, state: State) -> None:
        table = state[EMBEDDING]
        for token in self.tokens:
            within("token", token, len(table))
        table[list(self.tokens)] = table[list(self.tokens[::-1])]


Edit = Weight | Scale | Swap


@dataclass(frozen=True)
class Wish:
    """off: (block, head), both from 0. The edits are made in their order, and heads are switched off last."""

    question: str
    off: tuple[tuple[int, int], ...] = ()
    edits: tuple[Edit, ...] = ()

    def apply(self, state: State, config: TransformerConfig) -> None:
        """Change the arrays in place. Raises Impossible, and then some may be changed: give copies.

        A head is off when what it found is multiplied by zeros: by its rows of attention.output.weight.
        """
        for edit in self.edits:
            edit.apply(state)
        width = config.embed_dim // config.num_heads
        for block, head in self.off:
            within("block", block, config.num_layers)
            within("head", head, config.num_heads)
            if "attention" in config.without:
                raise Impossible("this model was built without attention: it has no heads to switch off")
            state[f"blocks.{block}.attention.output.weight"][head * width : (head + 1) * width] = 0


def within(what: str, place: int, size: int) -> None:
    if not 0 <= place < size:
        found = str(place) if abs(place) < 10**12 else "such a large number"
        raise Impossible(f"{what} = {found}: it must be from 0 to {size - 1}")


def finite(value: float, array: NDArray[Any]) -> float:
    """The value, if the array can hold it."""
    most = float(np.finfo(array.dtype).max)
    if not abs(value) <= most:  # NaN is not either
        raise Impossible(f"the value is too large for {array.dtype}: it must be from {-most:.1e} to {most:.1e}")
    return value


# From JSON ----------------------------------------------------------------------------------------


def parsed(text: str | bytes) -> Any:
    """What the JSON says. Raises Malformed, also for NaN, infinity, a name that is there twice, and deep nesting."""
    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError):
        raise Malformed("this is no JSON that can be read here") from None


def wish_of(data: Any) -> Wish:
    """Raises Malformed for another form, Impossible for what is too long."""
    found = table(data, "question", "off", "edits")
    question = found.get("question", "")
    if not isinstance(question, str):
        raise Malformed("question: it must be text")
    if len(question) > LONGEST:
        raise Impossible(f"the question has {len(question)} characters; at most {LONGEST} are allowed here")
    off = [pair(one, "off") for one in listed(found.get("off", []), "off")]
    edits = listed(found.get("edits", []), "edits")
    if max(len(edits), len(off)) > MOST:
        raise Impossible(f"at most {MOST} changes at once: undo some")
    return Wish(question, tuple(dict.fromkeys(off)), tuple(edit_of(one) for one in edits))


def edit_of(data: Any) -> Edit:
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind == "weight":
        found = table(data, "kind", "name", "index", "value")
        name, index = found.get("name"), listed(found.get("index"), "index")
        if not isinstance(name, str):
            raise Malformed("name: it must be text")
        return Weight(name, tuple(whole(one, "index") for one in index), real(found.get("value"), "value"))
    if kind == "scale":
        found = table(data, "kind", "token", "factor")
        return Scale(whole(found.get("token"), "token"), real(found.get("factor"), "factor"))
    if kind == "swap":
        return Swap(pair(table(data, "kind", "tokens").get("tokens"), "tokens"))
    raise Malformed("kind: it must be weight, scale or swap")


def table(data: Any, *names: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not set(data) <= set(names):
        raise Malformed(f"it must be an object of {', '.join(names)}")
    return data


def listed(data: Any, what: str) -> list[Any]:
    if not isinstance(data, list):
        raise Malformed(f"{what}: it must be a list")
    return data


def pair(data: Any, what: str) -> tuple[int, int]:
    if len(listed(data, what)) != 2:
        raise Malformed(f"{what}: it must be two numbers")
    return whole(data[0], what), whole(data[1], what)


def whole(data: Any, what: str) -> int:
    if isinstance(data, bool) or not isinstance(data, int):
        raise Malformed(f"{what}: it must be a whole number")
    return data


def real(data: Any, what: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise Malformed(f"{what}: it must be a number")
    try:
        return float(data)
    except OverflowError:
        return float("inf")


def refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
