"""What a program is made of: values, the steps that make them, and what a step runs where NumPy has no name for it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.graph import STATE, location, user_origin

__all__ = ["Deposit", "Step", "Value", "added", "asked", "as_scalar", "refuse_nan", "uniform", "values_in"]


class Value:
    """An array of a program.

    kind   "argument": held is its place; "tensor": held is the Tensor, read anew each time; "constant": held is the
           array; "made": by a step, "settled": by a step from constants alone, and held is the array
    leaf   the node of a Tensor from outside that wants a gradient
    lives  a constant in memory that somebody outside holds, too, and may write into
    """

    __slots__ = ("dtype", "held", "kind", "leaf", "lives", "number", "shape")

    def __init__(self, number: int, kind: str, held: Any, array: Any) -> None:
        self.number, self.kind, self.held = number, kind, held
        self.leaf: Any = None
        self.lives = False
        self.shape, self.dtype = array.shape, array.dtype


class Step:
    """made = run(*args, **keywords), in whose arguments a Value is what it holds then.

    phase      "forward", "backward", "sum" of two cotangents, "draw" of random numbers, or "check": that run gives
               `expected`, else the function would have gone another way
    made       one Value, a tuple of them, or None
    exact      the shape may depend on what is in the arrays: check it
    operation  what the engine knows of it, or of the operation whose rule, for the argument of that place, it is
    """

    __slots__ = (
        "args", "argument", "exact", "expected", "keywords", "made", "name", "operation", "origin", "phase", "run",
        "scope",
    )  # fmt: skip

    def __init__(
        self, phase: str, name: str, run: Callable[..., Any], args: Any, keywords: Any = None, expected: Any = None
    ) -> None:
        self.phase, self.name, self.run, self.args, self.keywords = phase, name, run, args, keywords or {}
        self.expected, self.exact, self.scope = expected, False, STATE.get().scope
        self.made: Any = None
        self.operation: Any = None
        self.argument = 0
        self.origin = user_origin(2)

    def but(self, args: Any, made: Any) -> Step:
        """The same, done to other values."""
        step = copy.copy(self)
        step.args, step.made = args, made
        return step

    @property
    def line(self) -> str:
        return location(self.origin)


class Deposit:
    """A gradient that a backward pass left with a leaf: g is added to what is there. mark: of what it was."""

    __slots__ = ("g", "leaf", "mark")

    def __init__(self, leaf: Value, g: Value, mark: Any) -> None:
        self.leaf, self.g, self.mark = leaf, g, mark


def values_in(tree: Any) -> Iterator[Value]:
    """The Values in a step's arguments."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from values_in(part)
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from values_in(part)


def number(value: Any) -> Any:
    """A result without axes as a NumPy scalar, as the engine keeps it."""
    return value[()] if isinstance(value, np.ndarray) else np.asarray(value)[()]


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    return rng.random(shape, dtype=np.float32)


def refuse_nan(share: Any) -> Any:
    """The engine looks at what a rule of the user's makes, and says more about it than can be said here."""
    if not np.isfinite(np.sum(share)):
        raise FloatingPointError("a rule made a NaN or an infinity")
    return share


def added(held: Any, share: Any) -> Any:
    return held + share


class as_scalar:  # noqa: N801, a function with a name
    """The function, whose result without axes is a NumPy scalar."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.run, self.__name__ = run, getattr(run, "__name__", "run")

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return number(self.run(*args, **keywords))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.run is self.run

    __hash__ = None  # type: ignore[assignment]


class asked(as_scalar):  # noqa: N801
    """What Python makes of a number."""

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.run(args[0].item())
