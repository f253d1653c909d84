"""Rows that nobody reads: a program that needs one row of many works out one.

A classifier reads one position of its last block, out[:, 0]; all others were worked out for nothing, and on the way
back their cotangents are zeros. Where an operation works along the last axis, each row for itself, rows may as well be
picked before it as after it. So the index moves up, from the result to the arguments, until an operation is reached
that mixes rows; on the way back, a cotangent that is zero outside the index is worked out inside it alone.

What mixes no rows is known from the operations' facts: `elementwise`, and `rows`, the arguments that all rows share.
What the user does with a cotangent that has come back is no rule, and has to see all of its zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_edu.backward import fitted_as, of_selected
from tinygrad_edu.operation import needs_of
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.indexing import getitem
from tinygrad_edu.tape.steps import Step, Value, refuse_nan, values_in

__all__ = ["without_unread_rows"]

Shape = tuple[int, ...]
GETITEM = registry()[getitem]


def elementwise(step: Step) -> bool:
    """Is each element made of the elements beside it alone?"""
    known = getattr(step.operation, "elementwise", None)
    return bool(known) or (known is None and isinstance(step.run, np.ufunc) and step.run.signature is None)


def without_unread_rows(steps: list[Step], results: list[Any]) -> list[Step]:
    """Steps that give the same results, up to rounding: each index that picks half of the rows or less is moved up."""
    done: list[tuple[Any, Shape]] = []
    while True:
        for step in steps:
            if picks_few(step) and place_of(step) not in done:
                break
        else:
            return steps
        done.append(place_of(step))
        steps = Picking(step).applied(steps, results)


def picks_few(step: Step) -> bool:
    """Is it x[index] for at most half of the rows of x, each of them whole, and one axis of them at least?"""
    if step.phase != "forward" or step.operation is not GETITEM or not isinstance(step.args[0], Value):
        return False
    x, index = step.args
    parts = index if isinstance(index, tuple) else (index,)
    if not all(type(part) is int or is_plain(part) for part in parts):
        return False
    if any(part != slice(None) for part in parts[len(x.shape) - 1 :]):
        return False
    picked = step.made.shape[:-1]
    return bool(picked) and 0 < 2 * math.prod(picked) <= math.prod(x.shape[:-1])


def is_plain(part: Any) -> bool:
    """Is it a slice of numbers that do not come from an array?"""
    return type(part) is slice and all(type(end) in (int, type(None)) for end in (part.start, part.stop, part.step))


def place_of(step: Step) -> tuple[Any, Shape]:
    """The index, and the shape of what it picks from but for the last axis."""
    return step.args[1], step.args[0].shape[:-1]


class Picking:
    """The index of one step, moved up through all of them.

    few     by value, another that holds its picked rows alone. A cotangent that has one is zero everywhere else
    given   those among them that are a cotangent's from the beginning
    """

    def __init__(self, step: Step) -> None:
        self.step, self.picked = step, step.made.shape[:-1]
        self.index, self.lead = place_of(step)
        self.few: dict[Value, Value] = {}
        self.given: set[Value] = set()
        self.spread: Any = None  # the step on the way back that puts picked rows among zeros

    def applied(self, steps: list[Step], results: list[Any]) -> list[Step]:
        return self.forward(list(self.backward(steps)), results)

    # Values

    def whole(self, value: Any) -> bool:
        """Has it the rows that the index picks from?"""
        return isinstance(value, Value) and value.shape[:-1] == self.lead

    def some(self, shape: Shape) -> Shape:
        return (*self.picked, *shape[len(self.lead) :])

    def rows_of(self, value: Value) -> Value:
        """What holds its picked rows."""
        found = self.few.get(value)
        if found is None:
            like = SimpleNamespace(shape=self.some(value.shape), dtype=value.dtype)
            found = self.few[value] = Value(value.number, "made", None, like)
        return found

    # The way back, in its order: cotangents that are zero but for the picked rows

    def backward(self, steps: list[Step]) -> Iterator[Step]:
        sparse: set[Value] = set()
        for step in steps:
            g: Any = step.args[0] if step.args else None
            if self.is_like(step):
                first = self.few.setdefault(g, step.made)
                if first is not step.made:  # they are picked already
                    yield step.but((first, ...), step.made)
                    continue
            elif self.scatters(step):
                self.few[step.made], self.spread = g, step
                sparse.add(step.made)
                self.given.add(step.made)
            elif step.phase in ("backward", "sum") and isinstance(g, Value) and g in sparse:
                found = self.inside(step, sparse)
                if found is not None:
                    yield from found
                    continue
            yield step

    def is_like(self, step: Step) -> bool:
        """Does it pick the same rows, maybe of another array?"""
        return picks_few(step) and place_of(step) == (self.index, self.lead)

    def scatters(self, step: Step) -> bool:
        """Does it put a cotangent of the picked rows among zeros?"""
        if step.phase != "backward" or step.operation is not GETITEM:
            return False
        _, shape, index = step.args
        return bool(shape[:-1] == self.lead and index == self.index and step.args[0].shape == self.some(shape))

    def inside(self, step: Step, sparse: set[Value]) -> list[Step] | None:
        """A step on the way back, of a cotangent that is zero elsewhere, for the picked rows; None if it cannot be."""
        if step.phase == "sum" or step.run in (of_selected, refuse_nan):
            args = tuple(self.few[each] for each in step.args) if sparse.issuperset(step.args) else None
        elif step.run is fitted_as:
            args = self.fitting(step.args)
        else:
            args = self.arguments(step)
        if args is None:
            return None
        if not (self.whole(step.made) and (step.argument == 0 or elementwise(step))):
            return [step.but(args, step.made)]  # a sum over the rows
        few = self.rows_of(step.made)
        sparse.add(step.made)
        return [step.but(args, few), self.spread.but((few, step.made.shape, self.index), step.made)]

    def fitting(self, args: Any) -> Any:
        g, shape, dtype, over, broadcasts = args
        if len(shape) > 1 and shape[:-1] != self.lead:
            return None
        over = over if over is None else self.some(over)
        return self.few[g], self.some(shape) if len(shape) > 1 else shape, dtype, over, broadcasts

    def arguments(self, step: Step) -> Any:
        """Those of an operation, or of a rule, for the picked rows alone; None if it mixes rows."""
        return self.elementwise_args(step) if elementwise(step) else self.row_args(step)

    def elementwise_args(self, step: Step) -> Any:
        """Where every array has all rows, or one row for all."""
        args: list[Any] = []
        for arg in step.args:
            if self.whole(arg):
                args.append(self.rows_of(arg))
            elif isinstance(arg, tuple) and arg[:-1] == self.lead:
                args.append(self.some(arg))  # a shape
            elif all(len(value.shape) <= 1 for value in values_in(arg)):
                args.append(arg)
            else:
                return None
        return tuple(args)

    def row_args(self, step: Step) -> Any:
        """Where it works along the last axis."""
        operation = step.operation
        if getattr(operation, "rows", None) is None:
            return None
        x, tables = operation.parameters[0], operation.rows
        names = operation.parameters if step.phase == "forward" else ("g", *needs_of(step.run))
        args: list[Any] = []
        for name, arg in zip(names, step.args, strict=False):
            table = name.removesuffix("_shape")
            if name in ("g", "z", "aside", x):
                if not self.whole(arg):
                    return None
                arg = self.rows_of(arg)
            elif name == f"{x}_shape":
                if arg[:-1] != self.lead:
                    return None
                arg = self.some(arg)
            elif table in tables:
                if arg is not None and len(getattr(arg, "shape", arg)) != tables[table]:
                    return None
            elif isinstance(arg, Value):
                return None
            args.append(arg)
        return tuple(args)

    # The way there, from its end: values of which nobody reads more than the picked rows

    def forward(self, steps: list[Step], results: list[Any]) -> list[Step]:
        steps = [step for step in steps if not (self.is_like(step) and step.made is self.few[step.args[0]])]
        there = {value for step in steps for value in values_in(step.made)}
        read = set(values_in(results))

        def lacks(value: Value) -> bool:
            """Are its picked rows read, and made by nothing yet?"""
            few = self.few.get(value)
            if few is None or few.kind != "made" or value in self.given:
                return False
            return few in read and few not in there

        kept: list[Step] = []
        for step in reversed(steps):
            made = list(values_in(step.made))
            wanted = list(filter(lacks, made))
            dense = not read.isdisjoint(made)
            if not (dense or wanted or step.phase in ("check", "draw")):
                continue
            inner = self.upward(step) if wanted and not dense else None
            if inner is None:
                kept += map(self.pick, wanted)
                inner = step
            there.update(self.few[value] for value in wanted)
            kept.append(inner)
            read.update(values_in((inner.args, inner.keywords)))
        kept += [self.pick(value) for value in self.few if lacks(value)]  # of what was there before the first step
        return kept[::-1]

    def upward(self, step: Step) -> Step | None:
        """The step for the picked rows of its arguments, which makes those of its result; None if it mixes rows."""
        made = list(values_in(step.made))
        if step.phase != "forward" or step.keywords or not all(map(self.whole, made)):
            return None
        args = self.arguments(step)
        if args is None:
            return None
        return step.but(args, self.rows_of(made[0]) if isinstance(step.made, Value) else tuple(map(self.rows_of, made)))

    def pick(self, value: Value) -> Step:
        return self.step.but((value, self.index), self.few[value])
