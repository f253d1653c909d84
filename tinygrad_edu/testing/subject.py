"""What is under test: a function of nests, seen as a function of flat float64 arrays, with its pullback."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import DtypeError, NotTrackedError, ShapeError
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.pullbacks import Vjp
from tinygrad_edu.testing.trace import run_traced
from tinygrad_edu.transforms import vjp as own_vjp
from tinygrad_edu.tree import flatten, paths_of

__all__ = ["Arrays", "Subject", "copies", "is_float", "plain"]

Arrays = list[np.ndarray]


class Subject:
    """f at its inputs. Float leaves (arrays, Tensors, Python floats) are what it is differentiated by.

    arrays: those leaves, copied, in float64.  paths: their names, inputs[0]['w'].  wanted: which of them are asked for.
    vjp None: tinygrad_edu's own, and f runs on Tensors, which also tells the smooth piece it ran through.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: Sequence[Any],
        wrt: int | Sequence[int] | None = None,
        vjp: Vjp | None = None,
        dtype: Any = np.float64,
    ) -> None:
        self.f, self.vjp = f, vjp
        inner = getattr(f, "function", f)  # of a Call, or a partial
        self.name: str = getattr(f, "__name__", "") or getattr(inner, "__name__", type(f).__name__)
        self.leaves, self.rebuild = flatten(list(inputs))
        self.nested = any(isinstance(each, dict | list | tuple) for each in inputs)
        self.given = [plain(leaf) for leaf in self.leaves]
        every = list(paths_of(list(inputs), "inputs"))
        self.places = [k for k, leaf in enumerate(self.leaves) if is_float(leaf)]
        self.paths = [every[k] for k in self.places]
        if not self.places:
            kinds = ", ".join(type(leaf).__name__ for leaf in self.leaves) or "none"
            raise DtypeError(f"gradcheck of {self.name}: no input is a float array (inputs: {kinds}); pass floats")
        self.arrays = [np.array(plain(self.leaves[k]), dtype) for k in self.places]
        self.wanted = wanted_places(every, self.places, wrt, len(inputs), self.name)

    @property
    def where(self) -> str:
        """`, lesson.py:41`, where f is defined; "" for what Python did not compile."""
        code = getattr(getattr(self.f, "function", self.f), "__code__", None)
        return "" if code is None else f", {os.path.basename(code.co_filename)}:{code.co_firstlineno}"

    def arguments(self, arrays: Sequence[Any]) -> list[Any]:
        """The inputs as f takes them, with `arrays` in the places of the float leaves."""
        leaves = list(self.given)
        for k, array in zip(self.places, arrays, strict=True):
            leaves[k] = array
        return list(self.rebuild(leaves)) if self.nested else leaves

    def evaluate(self, *arrays: Any) -> tuple[list[Any], Any]:
        """The outputs as arrays, and the signature of the smooth piece, None where nothing can tell."""
        if self.vjp is None:
            value, piece = run_traced(lambda *xs: self.f(*self.arguments(xs)), arrays)
            return [np.asarray(plain(y)) for y in flatten(value)[0]], piece
        forward = getattr(self.vjp, "forward", None)
        arguments = self.arguments(copies(arrays))
        value = self.f(*arguments) if forward is None else forward(self.f, *arguments)
        return copies([plain(y) for y in flatten(value)[0]]), None  # the next call may write into the same memory

    def pull(self, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]) -> list[Any]:
        """The gradients of ⟨cotangents, f⟩ at the arrays, as they came: anything the pullback returns."""
        if self.vjp is None:
            value, pullback = own_vjp(lambda *xs: self.f(*self.arguments(xs)), *arrays)
            leaves, rebuild = flatten(value)
            return list(pullback(rebuild(fitted(cotangents, leaves))))
        value, pullback = self.vjp(self.f, *self.arguments(arrays))
        leaves, rebuild = flatten(value)
        found = flatten(list(pullback(rebuild(fitted(cotangents, leaves)))))[0]
        if len(found) == len(self.leaves):
            return [found[k] for k in self.places]
        if len(found) == len(self.places):
            return found
        raise ShapeError(
            f"{self.name}: the pullback returned {len(found)} gradients for {len(self.leaves)} inputs, "
            f"{len(self.places)} of them float: it must return one for each, in their order"
        )

    def gradients(self, arrays: Sequence[np.ndarray], cotangents: Sequence[np.ndarray]) -> Arrays:
        """The gradients as float64 arrays in the shapes of the inputs; None counts as zero.

        Of copies, and copied: what a backward pass writes into stays its own. Raises ShapeError for another shape.
        """
        found = []
        for path, x, g in zip(self.paths, arrays, self.pull(copies(arrays), copies(cotangents)), strict=True):
            g = np.zeros(x.shape) if g is None else np.array(plain(g), np.float64)
            if g.shape != x.shape:
                raise ShapeError(f"{self.name}: the gradient of {path} has shape {g.shape}, the input {x.shape}")
            found.append(g)
        return found

    def cotangents(self, given: Any, rng: np.random.Generator) -> Arrays:
        """One weight for each output: as given, or drawn; zero for outputs that are no floats."""
        outputs = [np.asarray(y) for y in self.evaluate(*self.arrays)[0]]
        for y in outputs:
            if y.dtype.kind not in "fciub":
                raise NotTrackedError(
                    f"gradcheck of {self.name}{self.where}: it returned {type(y[()]).__name__}, which is no number; "
                    "return an array, a Tensor, or a nest of them"
                )
        if given is None:
            return [rng.standard_normal(y.shape) * (y.dtype.kind == "f") for y in outputs]
        weights = [np.asarray(plain(w), np.float64) for w in flatten(given)[0]]
        if [w.shape for w in weights] != [y.shape for y in outputs]:
            raise ShapeError(
                f"gradcheck of {self.name}: cotangent of shapes {[w.shape for w in weights]} for outputs of shapes "
                f"{[y.shape for y in outputs]}; they must be the same"
            )
        return weights


def copies(arrays: Sequence[Any]) -> Arrays:
    return [np.array(array) for array in arrays]


def fitted(cotangents: Sequence[np.ndarray], outputs: Sequence[Any]) -> list[Any]:
    """The cotangents in the outputs' dtypes."""
    dtypes = [getattr(y, "dtype", None) for y in outputs]
    kinds = [d if isinstance(d, np.dtype) and d.kind == "f" else np.dtype(np.float64) for d in dtypes]
    return [np.asarray(w, kind) for w, kind in zip(cotangents, kinds, strict=True)]


def is_float(leaf: Any) -> bool:
    if isinstance(leaf, Tensor):
        return leaf.dtype.kind == "f"
    return isinstance(leaf, float) or (isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind == "f")


def plain(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor) else leaf


def wanted_places(
    every: Sequence[str], places: Sequence[int], wrt: int | Sequence[int] | None, count: int, name: str
) -> list[int]:
    """Which of the float leaves belong to the inputs numbered in `wrt`."""
    if wrt is None:
        return list(range(len(places)))
    numbers = [wrt] if isinstance(wrt, int | np.integer) else list(wrt)
    if any(not isinstance(number, int | np.integer) or not -count <= number < count for number in numbers):
        raise NotTrackedError(f"gradcheck of {name}: wrt={wrt!r}, but there are {count} inputs, numbered from 0")
    starts = tuple(f"inputs[{number % count}]" for number in numbers)
    wanted = [k for k, place in enumerate(places) if every[place].startswith(starts)]
    if not wanted:
        raise DtypeError(f"gradcheck of {name}: wrt={wrt!r} names no float array")
    return wanted
