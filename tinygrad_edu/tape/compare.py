"""Two tapes of one function: do they say the same? What differs has come in on a way that no tape shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.seals import root_of
from tinygrad_edu.tape.recording import Tape
from tinygrad_edu.tape.steps import Step, Value, values_in

__all__ = ["difference"]


def difference(earlier: Tape, later: Tape) -> str | None:
    """Why two tapes are not one program; "" if they are; None if a check tells them apart."""
    for one, other in zip(earlier.steps, later.steps, strict=False):
        found = unlike(one, other)
        if not found and one.exact and any(
            a.shape != b.shape for a, b in zip(values_in(one.made), values_in(other.made), strict=True)
        ):
            return None
        if found:
            return f"{found} in {other.name} at {other.line}, which is another each time,"
        if one.phase == "check" and one.expected != other.expected:
            return None
    if len(earlier.steps) != len(later.steps):
        step = max(earlier.steps, later.steps, key=len)[min(len(earlier.steps), len(later.steps))]
        return f"{step.name} at {step.line}, which does not always run,"
    note_what_lives(earlier, later)
    ends = ([*tape.outputs, *[each.g for each in tape.deposited], *[each.leaf for each in tape.deposited]]
            for tape in (earlier, later))  # fmt: skip
    return "" if alike(*ends) else "what it returns, which is another each time,"


def unlike(one: Step, other: Step) -> str:
    """What of two steps is not the same; "" if all is."""
    if one.phase != other.phase or one.name != other.name or (one.run is not other.run and one.run != other.run):
        return "what runs"
    same = alike((one.args, one.keywords), (other.args, other.keywords))
    return "" if same else "an argument that is no Tensor"


def alike(one: Any, other: Any) -> bool:
    """Are two arguments the same, Values by number, constants by what they hold?"""
    if type(one) is not type(other):
        return False
    if isinstance(one, Value):
        if one.number != other.number or one.kind != other.kind or one.shape != other.shape or one.dtype != other.dtype:
            return False
        if one.kind == "tensor":
            return one.held is other.held
        if one.kind == "constant":
            return same_memory(one.held, other.held) or bytes_of(one.held) == bytes_of(other.held)
        return one.kind != "argument" or bool(one.held == other.held)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return alike(list(one.items()), list(other.items()))
    if isinstance(one, slice):
        return alike((one.start, one.stop, one.step), (other.start, other.stop, other.step))
    if isinstance(one, float):
        return one.hex() == float(other).hex()
    return one is other or bool(one == other)


def note_what_lives(earlier: Tape, later: Tape) -> None:
    """An array that both recordings read, not two equal ones, is from outside: what is written into it will be seen."""
    for one, other in zip(earlier.values, later.values, strict=False):
        if other.kind == "constant":
            other.lives = same_memory(one.held, other.held)


def same_memory(one: Any, other: Any) -> bool:
    """Are these one array, or the same view of one?"""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return False
    places = [(each.ctypes.data, each.strides) for each in (one, other)]
    return root_of(one) is root_of(other) and places[0] == places[1]


def bytes_of(array: Any) -> tuple[Any, bytes]:
    return getattr(array, "strides", ()), np.asarray(array).tobytes()
