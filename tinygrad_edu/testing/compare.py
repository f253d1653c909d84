"""A backward pass written by hand beside the derived one: value by value, in the order in which it was written.

The forward pass is written once, with NumPy functions; this engine derives its gradients. The hand-written backward
pass gives its own, under the same names, intermediate ones too. The first that differs is where the mistake is: all
that follow were computed from it.
"""

from __future__ import annotations

import ast
import html
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.errors import NotTrackedError, ShapeError
from tinygrad_edu.numerics import Estimate, directional_derivative
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.transforms import gradients

__all__ = ["Comparison", "Part", "compare_by_hand"]

CLOSE = 1e-8  # of the largest element: what two orders of summation may differ by


@dataclass(frozen=True)
class Part:
    """One gradient, by hand and derived. index: where they differ most. numeric: a third opinion, for inputs."""

    name: str
    formula: str
    hand: np.ndarray | None
    derived: np.ndarray
    index: tuple[int, ...]
    difference: float
    agrees: bool
    numeric: Estimate | None = None
    note: str = ""

    def __str__(self) -> str:
        head = f"{'agrees ' if self.agrees else 'DIFFERS'} {self.name} {self.derived.shape}"
        formula = f"  = {self.formula}" if self.formula else ""
        if self.hand is None or self.hand.shape != self.derived.shape:
            return f"{head}{formula}\n    {self.note}"
        place = f"at {list(self.index)}: " if self.index else ""
        values = f"by hand {self.hand[self.index]:.12g}, derived {self.derived[self.index]:.12g}"
        third = "" if self.numeric is None else f", numeric {self.numeric.value:.12g} ± {self.numeric.error:.1e}"
        note = f"\n    {self.note}" if self.note else ""
        return f"{head}{formula}\n    {place}{values}{third}, difference {self.difference:.1e}{note}"


@dataclass(frozen=True)
class Comparison:
    """All parts, in the order of the hand-written pass."""

    function: str
    parts: tuple[Part, ...]

    @property
    def agrees(self) -> bool:
        return all(part.agrees for part in self.parts)

    @property
    def first(self) -> Part | None:
        """The first part that differs: the ones after it may be wrong only because it is."""
        return next((part for part in self.parts if not part.agrees), None)

    def __str__(self) -> str:
        first = self.first
        count = sum(part.agrees for part in self.parts)
        end = f"all {count} agree"
        if first is not None:
            end = f"{count} of {len(self.parts)} agree; they part at {first.name}"
        return "\n".join([f"{self.function} by hand and derived: {end}", *[f"  {part}" for part in self.parts]])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(part.name)}</td><td><code>{html.escape(part.formula)}</code></td>"
            f"<td>{number(part.hand, part.index)}</td><td>{number(part.derived, part.index)}</td>"
            f"<td>{part.difference:.1e}</td><td>{'agrees' if part.agrees else '<b>differs</b>'}</td></tr>"
            for part in self.parts
        )
        titles = ("gradient", "formula by hand", "by hand", "derived", "difference", "")
        heads = "".join(f"<th>{title}</th>" for title in titles)
        return f"<table><caption>{html.escape(self.function)}</caption><tr>{heads}</tr>{rows}</table>"


def compare_by_hand(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *inputs: Any,
    cotangent: Any = None,
    seed: int = 0,
) -> Comparison:
    """Compare backward(cotangent, *inputs) with the gradients that are derived from forward(*inputs).

    forward: returns its output, or (output, {name: intermediate value}) to have those compared too. inputs: arrays.
    backward: returns one gradient for each input, in a tuple, or a dict of them by name, in the order in which they
    are computed: the names of forward's arguments and intermediates, also as dW or grad_W. cotangent: of the output's
    shape; drawn from `seed` if None. Raises ShapeError for a wrong count, NotTrackedError for an unknown name.

        print(compare_by_hand(lambda x, W: np.tanh(x @ W), tanh_backward, x, W))
    """
    names = argument_names(forward, len(inputs))
    leaves = [Tensor(np.array(x, np.float64), requires_grad=True) for x in inputs]
    output, inner = split(forward(*leaves))
    weights = np.random.default_rng(seed).standard_normal(output.shape) if cotangent is None else cotangent
    weights = np.asarray(weights, np.float64)
    known = {**dict(zip(names, leaves, strict=True)), **inner}
    found = gradients(output, list(known.values()), np.asarray(weights, output.dtype), allow_unused=True)
    derived = {
        name: np.zeros(tensor.shape) if g is None else g.numpy()
        for (name, tensor), g in zip(known.items(), found, strict=True)
    }
    hand = by_name(backward(np.array(weights), *[np.array(x, np.float64) for x in inputs]), names, derived)
    formulas = formulas_of(backward)
    parts = []
    for given, name, value in hand:
        numeric = None
        part = compared(given, formulas.get(given, ""), value, derived[name])
        if name in names and part.hand is not None and not part.agrees and part.hand.shape == part.derived.shape:
            numeric = third_opinion(forward, leaves, names.index(name), part.index, weights)
        parts.append(Part(**{**part.__dict__, "numeric": numeric}))
    return Comparison(getattr(forward, "__name__", "forward"), tuple(parts))


def argument_names(forward: Callable[..., Any], count: int) -> list[str]:
    try:
        names = list(inspect.signature(forward).parameters)[:count]
    except (TypeError, ValueError):  # a function written in C hides its signature
        names = []
    return names if len(names) == count else [f"inputs[{k}]" for k in range(count)]


def split(returned: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """The output, and the intermediate values that were named."""
    output, inner = returned if isinstance(returned, tuple) else (returned, {})
    if not isinstance(output, Tensor) or not output.requires_grad:
        raise NotTrackedError(
            "compare_by_hand: forward returned nothing that depends on its inputs by functions the engine knows; "
            "write it with NumPy functions and Tensor methods"
        )
    return output, dict(inner)


def by_name(returned: Any, names: list[str], derived: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """(name as given, name as known, gradient), in the order of the hand-written pass."""
    if not isinstance(returned, Mapping):
        values = returned if isinstance(returned, tuple | list) else (returned,)
        if len(values) != len(names):
            raise ShapeError(
                f"compare_by_hand: backward returned {len(values)} gradients for {len(names)} inputs "
                f"({', '.join(names)}); return one for each, or a dict by name"
            )
        return [(name, name, value) for name, value in zip(names, values, strict=True)]
    found = []
    for given, value in returned.items():
        bare = given if given in derived else given.removeprefix("grad_").removeprefix("d")
        if bare not in derived:
            raise NotTrackedError(
                f"compare_by_hand: backward names {given!r}, but forward knows {', '.join(derived)}; return it from "
                "forward as (output, {name: value}) to have it compared"
            )
        found.append((given, bare, value))
    return found


def compared(name: str, formula: str, hand: Any, derived: np.ndarray) -> Part:
    if hand is None:
        return Part(name, formula, None, derived, (), float("inf"), False, note="by hand there is none")
    hand = np.asarray(hand, np.float64)
    if hand.shape != derived.shape:
        note = f"by hand it has the shape {hand.shape}, the value {derived.shape}"
        return Part(name, formula, hand, derived, (), float("inf"), False, note=note)
    off = np.abs(hand - derived)
    worst = int(np.argmax(np.nan_to_num(off, nan=np.inf))) if off.size else 0
    index = tuple(int(k) for k in np.unravel_index(worst, off.shape)) if off.size else ()
    difference = float(off[index]) if off.size else 0.0
    agrees = difference <= CLOSE * max(float(np.max(np.abs(derived), initial=0.0)), 1e-300)
    return Part(name, formula, hand, derived, index, difference, bool(agrees))


def third_opinion(
    forward: Callable[..., Any], leaves: list[Tensor], number: int, index: tuple[int, ...], weights: np.ndarray
) -> Estimate:
    """The derivative by that element, by differences: it tells which of the two is wrong."""

    def values(*arrays: np.ndarray) -> np.ndarray:
        return split(forward(*[Tensor(array, requires_grad=True) for array in arrays]))[0].numpy()

    xs = [leaf.numpy() for leaf in leaves]
    direction = [np.zeros(x.shape) for x in xs]
    direction[number][index] = 1.0
    return directional_derivative(values, xs, direction, weights)


def formulas_of(backward: Callable[..., Any]) -> dict[str, str]:
    """The right-hand sides of the hand-written pass, by the names they are returned or assigned under."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(backward)))
    except (OSError, TypeError, SyntaxError):  # typed at a prompt, or a lambda in the middle of a call
        return {}
    found = dict(assignments(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    text = ast.unparse(value)
                    found[key.value] = found.get(text, text)
    return found


def assignments(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, ast.unparse(node.value)


def number(array: np.ndarray | None, index: tuple[int, ...]) -> str:
    if array is None:
        return "none"
    return f"{array[index]:.9g}" if array.ndim == len(index) else f"shape {array.shape}"
