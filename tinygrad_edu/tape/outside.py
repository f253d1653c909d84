"""What a function reads by name from outside: the program was recorded with it, and holds only while it is the same.

Names are followed through functions that are the user's and written in Python, and attributes through the objects that
these names mean, as far as the code spells them; the items of dicts and lists are looked at, and what small arrays
hold. (Attributes of modules are counted when they change, see state.Revision; Tensors are read anew at every replay.)
"""

from __future__ import annotations

import operator
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.seals import SMALL, fingerprint
from tinygrad_edu.state import INSIDE
from tinygrad_edu.variable import Variable

__all__ = ["Outside"]

MOST = 200  # things that are looked into
NOTHING = object()  # a name without a value
PLAIN = (int, float, str, bytes, type(None), np.generic, np.random.Generator, Variable)


class Outside:
    """What is read by name, and what it is now. `same` asks whether it still is."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.cells: list[tuple[Any, Any]] = []
        self.names: list[tuple[Any, Any, Any]] = []  # something like a dict, a key, its value
        self.lists: list[tuple[list[Any], list[Any]]] = []
        self.arrays: list[tuple[np.ndarray, Any]] = []
        self.seen: dict[int, Any] = {}
        self.words: dict[str, None] = {}  # attributes that the code spells
        waiting: list[Any] = [f]
        while waiting:
            thing = waiting.pop(0)
            if id(thing) not in self.seen and len(self.seen) < MOST and not isinstance(thing, PLAIN):
                self.seen[id(thing)] = thing
                waiting += self.look_into(thing)

    def look_into(self, thing: Any) -> Iterator[Any]:
        """Note what is read there; yield what has to be looked into in turn."""
        thing = getattr(thing, "__wrapped__", thing)
        if isinstance(thing, types.MethodType):
            yield from (thing.__func__, thing.__self__)
        elif isinstance(thing, types.FunctionType):
            if not INSIDE[thing.__code__.co_filename]:
                yield from self.look_into_code(thing)
        elif isinstance(thing, np.ndarray):
            if thing.nbytes <= SMALL and not thing.dtype.hasobject:
                self.arrays.append((thing, fingerprint(thing)))
        elif isinstance(thing, list):
            self.lists.append((thing, list(thing)))
            yield from thing
        elif isinstance(thing, dict):
            yield from self.note(thing, thing)
        elif hasattr(thing, "__dict__"):
            yield from self.note(vars(thing), self.words)
            if not isinstance(thing, type | types.ModuleType):
                yield type(thing)

    def look_into_code(self, f: types.FunctionType) -> Iterator[Any]:
        names = list(names_in(f.__code__))
        self.words.update(dict.fromkeys(names))
        for cell in f.__closure__ or ():
            self.cells.append((cell, contents(cell)))
            yield contents(cell)
        yield from self.note(f.__globals__, names)
        yield from f.__defaults__ or ()
        yield from (f.__kwdefaults__ or {}).values()

    def note(self, held: Any, names: Iterable[Any]) -> Iterator[Any]:
        for name in list(names):
            value = held.get(name, NOTHING)
            if value is not NOTHING and not isinstance(value, property):
                self.names.append((held, name, value))
                yield value

    def same(self) -> bool:
        for held, name, value in self.names:
            if held.get(name, NOTHING) is not value:
                return False
        for cell, value in self.cells:
            if contents(cell) is not value:
                return False
        for array, mark in self.arrays:
            if fingerprint(array) != mark:
                return False
        return all(len(one) == len(was) and all(map(operator.is_, one, was)) for one, was in self.lists)


def names_in(code: types.CodeType) -> Iterator[str]:
    """The globals and attributes that a function spells, and those of the functions written inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from names_in(inner)


def contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet, or no more
        return NOTHING
