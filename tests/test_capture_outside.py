"""capture(): what a function reads from outside is watched, wherever it stands; or there is no program."""

import collections
import contextvars
import dataclasses
import functools
import itertools
import os
import time
import types

import numpy as np
import pytest
from test_capture import bits

from tinygrad_edu import CaptureWarning, Tensor, capture, nn

SCALE = 1.0


class Thing:
    """Something of the user's, with a number in it, and ways to read it."""

    base = 1.0

    def __init__(self, s=1.0):
        self.s = s

    def read(self):
        return self.s

    def __call__(self, x):
        return x * self.read()

    def __getitem__(self, name):
        return self.s

    @property
    def hidden(self):
        return self.s


class Kind(Thing):
    pass


class Layer(nn.Module):
    def forward(self, x):
        return x * SCALE


@dataclasses.dataclass(slots=True)
class Slots:
    s: float = 1.0


def set_global(value):
    globals()["SCALE"] = value


def read_global():
    return SCALE


def decorated(times):
    def decorator(f):
        @functools.wraps(f)
        def wrapper(x):
            return f(x) * times[0]

        return wrapper

    return decorator


def written(thing, place):
    return lambda value: thing.__setitem__(place, value)


def spelled(thing, name="s"):
    return lambda value: setattr(thing, name, value)


def filled(thing):
    """A set, a deque, a dict: emptied, and given one number."""
    return lambda value: (thing.clear(), thing.update({value: 0}) if hasattr(thing, "update") else thing.append(value))


def places():
    """(name, the function, how to change what it reads)"""
    thing, slots, table, rows = Thing(), Slots(), {"s": 1.0}, [[1.0]]
    layer = Layer()
    array, wide, objects = np.ones(3), np.ones((20, 200)), np.array([[1.0]], dtype=object)
    raw, some, many, names = bytearray([1]), {1.0}, collections.deque([1.0]), types.SimpleNamespace(s=1.0)
    thousand = [Thing() for _ in range(1000)]
    return {
        "global": (lambda x: x * SCALE, set_global),
        "global of a function that is called": (lambda x: x * read_global(), set_global),
        "partial": (functools.partial(lambda rows, x: x * rows[0][0], rows), written(rows[0], 0)),
        "decorator": (decorated(rows[0])(lambda x: x), written(rows[0], 0)),
        "list in a list": (lambda x: x * rows[0][0], written(rows[0], 0)),
        "dict": (lambda x: x * table["s"], written(table, "s")),
        "length": (lambda x: x * len(rows[0]), lambda value: rows[0].__init__([1.0] * int(value))),
        "dict, a new key": (lambda x: x * max(table.values()), lambda value: written(table, value)(value)),
        "read-only dict": (lambda x, d=types.MappingProxyType(table): x * d["s"], written(table, "s")),
        "chained dict": (lambda x, d=collections.ChainMap({}, table): x * d["s"], written(table, "s")),
        "set": (lambda x: x * max(some), filled(some)),
        "deque": (lambda x: x * many[0], filled(many)),
        "attribute": (lambda x: x * thing.s, spelled(thing)),
        "attribute by its name": (lambda x: x * getattr(thing, "s"), spelled(thing)),  # noqa: B009
        "attribute that comes": (lambda x: x * getattr(thing, "t", 1.0), spelled(thing, "t")),  # noqa: B009
        "attribute in a tuple": (lambda x, all=(thing,): x * all[0].s, spelled(thing)),
        "attribute of a namespace": (lambda x: x * names.s, spelled(names)),
        "attribute behind a method": (lambda x: x * thing.read(), spelled(thing)),
        "attribute behind a property": (lambda x: x * thing.hidden, spelled(thing)),
        "attribute behind an item": (lambda x: x * thing[0], spelled(thing)),
        "attribute behind a call": (lambda x: thing(x), spelled(thing)),
        "an object that is called": (thing, spelled(thing)),
        "attribute of the last of a thousand": (lambda x: x * sum(t.s for t in thousand), spelled(thousand[-1])),
        "global behind a module's forward": (lambda x: x * layer(x), set_global),
        "slot": (lambda x: x * slots.s, spelled(slots)),
        "attribute of a base class": (lambda x: x * Kind.base, spelled(Thing, "base")),
        "default": ((g := lambda x, s=1.0: x * s), lambda value: setattr(g, "__defaults__", (value,))),
        "array": (lambda x: x * (array * 2), written(array, 1)),
        "array, in pieces": (lambda x: x * wide[::2, ::2].sum(), written(wide, (2, 2))),
        "array of objects": (lambda x: x * objects[0][0], written(objects, (0, 0))),
        "bytes": (lambda x, b=raw: x * b[0], lambda value: written(raw, 0)(int(value))),
    }


@pytest.mark.parametrize("place", places())
def test_what_changes_outside_changes_what_a_captured_function_gives(place):
    f, change = places()[place]
    captured = capture(f)
    change(1.0)
    for k in range(8):
        if k in (3, 5):
            change(float(k))
        x = np.array([1.0, 2.0]) if place != "array" else np.array([1.0, 2.0, 3.0])
        assert bits(captured(x + k)) == bits(f(Tensor(x + k))), k
    assert captured.programs
    change(1.0)


def refused():
    rows = contextvars.ContextVar("rows", default=1.0)
    large, count, source = np.ones((400, 400)), itertools.count(), (k for k in range(100))
    return {
        "time": lambda x: x * (1.0 if time.perf_counter() > 0 else 2.0),
        r"os\._Environ": lambda x: x * float(os.environ.get("RATE", "1")),
        "globals": lambda x: x * globals()["SCALE"],
        r"os\.": lambda x: x * float(os.getenv("RATE", "1")),
        "open": lambda x: x if x.ndim else open("nowhere"),  # noqa: SIM115
        "ContextVar": lambda x: x * rows.get(),
        "bytes of arrays": lambda x: x * large.sum(),
        "count": lambda x: x * (1.0 if next(count) >= 0 else 2.0),
        "generator": lambda x: x * (1.0 if next(source) >= 0 else 2.0),
    }


@pytest.mark.parametrize("what", refused())
def test_what_cannot_be_watched_is_not_replayed(what):
    f = refused()[what]
    captured = capture(f)
    with pytest.warns(CaptureWarning, match=what):
        for k in range(4):
            assert bits(captured(np.full(2, float(k)))) == bits(f(Tensor(np.full(2, float(k)))))
    assert not captured.programs
