"""What a function reads by name from outside: the program was recorded with it, and holds only while it is the same.

From the function we walk to all that its code may reach by a name or a word that it spells: globals, cells, defaults,
the functions that it calls, the attributes and the methods of objects, what is in lists, dicts, sets and arrays. Of
each the walk notes what it is now; `same` asks whether it still is. What cannot be watched (an iterator, the clock, a
file) is refused: then there is no program. Attributes of modules are counted when they change, see state.Revision,
Tensors are read anew at every replay, generators of random numbers are compared before and after a recording.
"""

from __future__ import annotations

import builtins
import functools
import operator
import random
import sys
import types
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from itertools import repeat
from typing import Any

import numpy as np

from tinygrad_edu.seals import fingerprint
from tinygrad_edu.state import INSIDE
from tinygrad_edu.variable import Variable

__all__ = ["Outside", "stamp"]

MOST = 2000  # things that are looked into
BYTES = 1 << 20  # of arrays that are compared at each call
NOTHING = object()  # a name without a value
FIXED = (int, float, complex, bool, str, bytes, type(None), np.dtype, np.ufunc, types.CodeType)
# Whose state, or what they ask for, nobody can look at.
HIDDEN = (Iterator, ContextVar, weakref.ref, memoryview, operator.attrgetter, operator.methodcaller)
RANDOM = (np.random.Generator, np.random.RandomState, random.Random)
MOODY = frozenset(  # modules whose functions give what no argument says
    "time _datetime datetime os posix nt io _io sys secrets uuid socket subprocess pathlib threading _thread gc".split()
)
NAMES = frozenset(("open", "input", "eval", "exec", "globals", "id"))  # and such functions without a module


class Outside:
    """What is read by name, and what it is now. refused: why that cannot be watched; generators: those among it."""

    def __init__(self, *roots: Any) -> None:
        self.words: dict[str, None] = {}  # names, attributes and keys that the code spells
        known = -1
        while known < len(self.words):  # a word found late may name an attribute of what was looked at before
            known = len(self.words)
            self.walk(roots)

    def walk(self, roots: Iterable[Any]) -> None:
        self.refused, self.bytes = "", 0
        self.held: dict[int, tuple[Any, dict[Any, Any], set[Any]]] = {}  # names and their values; names without one
        self.slots: list[tuple[Any, str, Any]] = []  # an object, an attribute, its value
        self.parts: list[tuple[Callable[[Any], list[Any]], Any, list[Any]]] = []  # of a container
        self.marks: list[tuple[Callable[[Any], Any], Any, Any]] = []  # of an array
        self.generators: list[Any] = []
        self.seen: dict[int, Any] = {}
        waiting = deque(roots)
        while waiting and not self.refused:
            thing = waiting.popleft()
            if type(thing) in FIXED or isinstance(thing, Variable | np.generic) or id(thing) in self.seen:
                continue
            if len(self.seen) == MOST:
                self.refuse(f"more than {MOST} things")
            self.seen[id(thing)] = thing
            waiting.extend(self.look_into(thing))

    def refuse(self, what: str) -> None:
        self.refused = self.refused or f"{what} that it may read from outside"

    def look_into(self, thing: Any) -> Iterator[Any]:
        """Note what is read there; yield what has to be looked into in turn."""
        if isinstance(thing, types.ModuleType):
            here = vars(thing)
            yield from self.note(here, [word for word in self.words if word in here])
        elif isinstance(thing, type):
            yield from self.look_into_class(thing)
        elif isinstance(thing, types.FunctionType):
            yield from self.look_into_function(thing)
        elif isinstance(thing, np.ndarray) and thing.dtype != object:
            self.mark(thing, thing.nbytes if thing.flags.writeable or thing.base is not None else 0, fingerprint)
            yield attributes_of(thing)
        elif isinstance(thing, bytearray | array):
            self.mark(thing, len(thing), bytes)
        elif isinstance(thing, RANDOM):
            self.generators.append(thing)
        elif isinstance(thing, types.MethodType | types.BuiltinMethodType):
            yield from self.look_into_method(thing)
        elif isinstance(thing, functools.partial):
            yield from (thing.func, thing.args, thing.keywords)
        elif isinstance(thing, property | functools.cached_property):
            yield thing.fget if isinstance(thing, property) else thing.func
        elif isinstance(thing, staticmethod | classmethod):
            yield thing.__func__
        else:
            yield from self.look_into_object(thing)

    def look_into_function(self, f: types.FunctionType) -> Iterator[Any]:
        yield getattr(f, "__wrapped__", None)
        if INSIDE[f.__code__.co_filename]:
            if module_of(f) in MOODY:
                self.refuse(f"{f.__module__}.{f.__qualname__}")
            return
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            self.slots.append((f, name, getattr(f, name)))
        yield from (f.__defaults__, f.__kwdefaults__)
        names = list(names_in(f.__code__))
        self.words.update(dict.fromkeys(names))
        for cell in f.__closure__ or ():
            self.slots.append((cell, "cell_contents", getattr(cell, "cell_contents", NOTHING)))
            yield self.slots[-1][2]
        yield from self.note(f.__globals__, names)
        if vars(f):
            yield from self.note(vars(f), self.words)
        for name in names:
            if name not in f.__globals__:
                if name in NAMES and hasattr(builtins, name):
                    self.refuse(f"{name}()")
                yield sys.modules.get(name)

    def look_into_class(self, kind: type[Any], made: bool = True) -> Iterator[Any]:
        """The methods that the code spells, and those that no code spells; made: those that make an object, too."""
        if module_of(kind) in MOODY:
            self.refuse(f"{kind.__module__}.{kind.__qualname__}")
        if ours(kind):
            yield from self.note(vars(kind), self.words)
            for name, each in vars(kind).items():
                unspelled = name == "forward" or (name.startswith("__") and (made or name not in MAKING))
                if unspelled and isinstance(each, METHODS):
                    yield each
            yield type(kind)
            for base in kind.__bases__:
                yield from self.look_into_class(base, made)

    def look_into_method(self, method: Any) -> Iterator[Any]:
        """Also of what is written in C: list.append has a list for its self, time.time a module."""
        held = method.__self__
        yield getattr(method, "__func__", None)
        if not isinstance(held, types.ModuleType):
            yield held
        elif held.__name__ in MOODY:
            self.refuse(f"{held.__name__}.{method.__name__}()")

    def look_into_object(self, thing: Any) -> Iterator[Any]:
        kind = type(thing)
        yield from self.look_into_class(kind, made=False)
        shown = False
        for container, contents in PARTS.items():
            if isinstance(thing, container):
                shown = True
                parts = contents(thing)
                if container is not tuple:
                    self.parts.append((contents, thing, parts))
                yield from parts
        if attributes_of(thing) is not None:
            shown = True
            yield from self.look_into_attributes(attributes_of(thing), ours(kind))
        for base in [base for base in kind.__mro__ if "__slots__" in vars(base)]:
            for name, member in vars(base).items():
                if type(member) is types.MemberDescriptorType:
                    shown = True
                    self.slots.append((thing, name, getattr(thing, name, NOTHING)))
                    yield self.slots[-1][2]
        foreign = not shown and module_of(kind) not in sys.stdlib_module_names | {"numpy"}
        if isinstance(thing, HIDDEN) or foreign or (hasattr(kind, "__array__") and not isinstance(thing, np.ndarray)):
            self.refuse(f"a {kind.__qualname__}")

    def look_into_attributes(self, held: Any, spelled: bool) -> Iterator[Any]:
        """Those that the code spells, if the code of the object's class is seen; else all there are."""
        if "_sealed" in held:  # a module of neural networks: what it holds is counted
            yield from list(held.values())
        elif "__wrapped__" in held:  # functools.lru_cache, capture: a function stands behind it
            yield held["__wrapped__"]
        elif spelled:
            yield from self.note(held, self.words)
        else:
            self.parts.append((PARTS[dict], held, PARTS[dict](held)))
            yield from list(held.values())

    def note(self, held: Any, names: Iterable[Any]) -> Iterator[Any]:
        """held: something like a dict. A name that is missing there is noted too: it may come."""
        _, there, missing = self.held.setdefault(id(held), (held, {}, set()))
        for name in list(names):
            if name not in there and name in held:
                there[name] = held[name]
                yield held[name]
            elif name not in there:
                missing.add(name)

    def mark(self, thing: Any, size: int, look: Callable[[Any], Any]) -> None:
        self.bytes += size
        if self.bytes > BYTES:
            self.refuse(f"{self.bytes:,} bytes of arrays (pass them as arguments, or as Tensors)")
        elif size:
            self.marks.append((look, thing, look(thing)))

    def same(self) -> bool:
        for held, there, missing in self.held.values():  # C's loops: Python's take twice as long
            if not all(map(operator.is_, map(held.get, there, repeat(NOTHING)), there.values())):
                return False
            if missing and not held.keys().isdisjoint(missing):
                return False
        if self.slots:
            things, names, values = zip(*self.slots, strict=True)
            if not all(map(operator.is_, map(getattr, things, names, repeat(NOTHING)), values)):
                return False
        for contents, thing, was in self.parts:
            now = contents(thing)
            if len(now) != len(was) or not all(map(operator.is_, now, was)):
                return False
        return all(look(thing) == was for look, thing, was in self.marks)


MAKING = ("__init__", "__new__", "__init_subclass__", "__post_init__")
METHODS = (types.FunctionType, property, staticmethod, classmethod, functools.cached_property)
PARTS: dict[type[Any], Callable[[Any], list[Any]]] = {
    list: list.copy,
    tuple: list,
    dict: lambda thing: [*thing, *thing.values()],
    types.MappingProxyType: lambda thing: [*thing, *thing.values()],
    set: list,
    frozenset: list,
    deque: list,
    np.ndarray: lambda thing: list(thing.flat),  # of objects
}


def attributes_of(thing: Any) -> Any:
    """Its __dict__, without asking the object, which may have a __getattr__ of its own."""
    try:
        return object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None


def ours(kind: type[Any]) -> bool:
    """Was a class written by the user, in Python? All its methods are looked into, then."""
    source = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ == "__main__" or (source is not None and source.endswith(".py") and not INSIDE[source])


def module_of(thing: Any) -> str:
    return str(thing.__module__).partition(".")[0]


def names_in(code: types.CodeType) -> Iterator[str]:
    """The globals and attributes that a function spells, also as text, and those of the functions inside it."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from names_in(inner)
        elif isinstance(inner, str) and inner.isidentifier():
            yield inner


def stamp(thing: Any) -> Any:
    """How a generator of random numbers stands, to be compared."""
    if isinstance(thing, np.random.Generator):
        return stamp(thing.bit_generator.state)
    if isinstance(thing, np.random.RandomState):
        return stamp(thing.get_state(legacy=False))
    if isinstance(thing, random.Random):
        return thing.getstate()
    if isinstance(thing, dict):
        return tuple((name, stamp(part)) for name, part in thing.items())
    return thing.tobytes() if isinstance(thing, np.ndarray) else thing
