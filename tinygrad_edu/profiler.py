"""`profile`: where the time, the memory and the arithmetic of a function go, operation by operation, both ways.

The engine tells of every operation that has run and of every share of a backward pass; the time of each is the time
since the one before. So the Python in between is part of it, and the parts add up to the whole.
"""

from __future__ import annotations

import gc
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

import numpy as np

from tinygrad_edu.graph import STATE, Node, Pick, location, next_number, user_origin
from tinygrad_edu.seals import root_of

__all__ = ["Event", "Profile", "profile"]

By = Literal["operation", "scope", "line"]
PRODUCTS = frozenset(("einsum", "linear", "matmul", "outer", "vecdot"))
COLUMNS = ("calls", "forward", "backward", "bytes", "flops")
INNERMOST = 1 << 30
MOVING = ("shapes", "indexing")  # families of rules


@dataclass(frozen=True)
class Event:
    """One operation, or one share of a backward pass.

    start, seconds   from the beginning of the function, and what it took, with the Python before it
    bytes            of the new array it made; 0 for a view
    flops            additions and multiplications: 2 for each pair that a product takes, else 1 for each element
    """

    name: str
    phase: Literal["forward", "backward"]
    scope: str
    line: str
    start: float
    seconds: float
    bytes: int
    flops: int


@dataclass(frozen=True)
class Profile:
    """What a function did, and what it returned. Printed, it is a table by operation."""

    events: tuple[Event, ...]
    seconds: float
    value: Any

    def __str__(self) -> str:
        return self.table()

    def rows(self, by: By = "operation") -> dict[str, dict[str, float]]:
        """Sums over the events of one operation, scope or line of code; the most expensive first.

        Each has calls, forward and backward (seconds), bytes and flops.
        """
        if by not in ("operation", "scope", "line"):
            raise ValueError(f'profile: by={by!r}; choose "operation", "scope" or "line"')
        found: dict[str, dict[str, float]] = {}
        for event in self.events:
            key = event.name if by == "operation" else getattr(event, by)
            row = found.setdefault(key, dict.fromkeys(COLUMNS, 0))
            row["calls"] += event.phase == "forward"
            row[event.phase] += event.seconds
            row["bytes"] += event.bytes
            row["flops"] += event.flops
        return dict(sorted(found.items(), key=lambda item: -(item[1]["forward"] + item[1]["backward"])))

    def table(self, by: By = "operation", limit: int = 20) -> str:
        """The `limit` most expensive rows, and the sum of all."""
        rows = self.rows(by)
        total = {key: sum(row[key] for row in rows.values()) for key in COLUMNS}
        shown = [(name or "(no scope)", row) for name, row in list(rows.items())[:limit]]
        lines: list[tuple[str, ...]] = [(by, "calls", "forward ms", "backward ms", "share", "MB", "MFLOP", "GFLOP/s")]
        lines += [cells(name, row, total) for name, row in (*shown, ("all", total))]
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        texts = []
        for line in lines:
            rest = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
            texts.append("  ".join([line[0].ljust(widths[0]), *rest]))
        if len(rows) > limit:
            texts.insert(-1, f"... {len(rows) - limit} more")
        return "\n".join(text.rstrip() for text in texts)

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events, inside the scopes they ran in, as JSON that Perfetto and chrome://tracing open."""
        slices = [*self._scopes(), *((INNERMOST, slice_of(event)) for event in self.events)]
        slices.sort(key=lambda each: (each[1]["ts"], -each[1]["dur"], each[0]))
        events = [event for _, event in slices]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"displayTimeUnit": "ms", "traceEvents": events}, file)

    def _scopes(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Depth and slice of each unbroken stay in a scope, so that a viewer stacks operations on it."""
        open_: list[tuple[str, float, str]] = []  # name, start, phase
        end = 0.0
        for event in (*self.events, None):
            path = [] if event is None else [event.phase, *filter(None, event.scope.split("."))]
            same = 0
            while same < min(len(path), len(open_)) and path[same] == open_[same][0]:
                same += 1
            while len(open_) > same:
                name, start, phase = open_.pop()
                yield len(open_), {"name": name, "cat": phase, "ph": "X", "ts": 1e6 * start,
                                   "dur": 1e6 * (end - start), "pid": 1, "tid": 1}  # fmt: skip
            if event is not None:
                open_ += [(name, event.start, event.phase) for name in path[same:]]
                end = event.start + event.seconds


def slice_of(event: Event) -> dict[str, Any]:
    about = {"line": event.line, "scope": event.scope, "bytes": event.bytes, "flops": event.flops}
    return {"name": event.name, "cat": event.phase, "ph": "X", "ts": 1e6 * event.start, "dur": 1e6 * event.seconds,
            "pid": 1, "tid": 1, "args": about}  # fmt: skip


def cells(name: str, row: Mapping[str, float], total: Mapping[str, float]) -> tuple[str, ...]:
    seconds, whole = row["forward"] + row["backward"], total["forward"] + total["backward"]
    return (
        name, f"{row['calls']:.0f}", f"{1e3 * row['forward']:.3f}", f"{1e3 * row['backward']:.3f}",
        f"{100 * seconds / whole if whole else 0:.1f} %", f"{row['bytes'] / 1e6:.3f}", f"{row['flops'] / 1e6:.3f}",
        f"{row['flops'] / seconds / 1e9 if seconds else 0:.2f}",
    )  # fmt: skip


def profile(f: Callable[..., Any], *args: Any, warmup: int = 1) -> Profile:
    """Run f(*args) and say where its time went.

        print(profile(lambda: model_loss().backward()))
        profile(step, batch).save_trace("step.json")

    f is called `warmup` times before, unobserved: the first call of everything is slower. The cyclic garbage collector
    is off meanwhile, for it would charge whoever happens to run. Seconds are wall-clock time; the time that noting an
    event takes is left out. A backward pass with create_graph=True consists of operations, and those count as forward.
    Raises what f raises, TypeError for an f that cannot be called.
    """
    if not callable(f):
        raise TypeError(f"profile: {type(f).__name__} given; pass a function, as in profile(lambda: f(x).backward())")
    for _ in range(warmup):
        f(*args)
    notes: list[tuple[Any, ...]] = []
    products: dict[int, int] = {}  # number of the node recorded next, if one is → pairs that it multiplied
    collecting = gc.isenabled()
    clock = 0.0

    def watch(operation: Any, inputs: Any, keywords: Any, value: Any) -> None:
        nonlocal clock
        now = perf_counter()
        size, new = measured(value, inputs)
        pairs = products[next_number() + 1] = pairs_of(operation, inputs, size)
        flops = 2 * pairs or elements_of(operation, (*inputs, value))
        notes.append((operation.name, "forward", STATE.get().scope, user_origin(2), clock, now, new, flops))
        clock = perf_counter()

    def tell(node: Node, place: int, g: Any, made: Any, share: Any, held: Any) -> None:
        nonlocal clock
        now = perf_counter()
        if not isinstance(node.operation, Pick):
            _, new = measured(share, (g, *(node.saved or ())))
            # A product's share is a product of as many pairs; but a bias, its third argument, gets a sum.
            pairs = products.get(node.number, 0) if place < 2 else 0
            if node.label == "self_attention":
                pairs *= 2  # the one share of three cotangents: twice the products of the way there
            flops = 2 * pairs or elements_of(node.operation, (g, share))
            notes.append((node.label, "backward", node.scope, node.origin, clock, now, new, flops))
        clock = perf_counter()

    gc.disable()
    token = STATE.set(STATE.get().but(watch=watch, tell=tell))
    try:
        clock = perf_counter()
        value = f(*args)
    finally:
        STATE.reset(token)
        if collecting:
            gc.enable()
    events = []
    spent = 0.0  # so that the events follow each other, and noting them is nowhere
    for name, phase, scope, origin, before, after, new, flops in notes:
        events.append(Event(name, phase, scope, location(origin), spent, after - before, new, flops))
        spent += after - before
    return Profile(tuple(events), spent, value)


def measured(value: Any, inputs: Sequence[Any]) -> tuple[int, int]:
    """How many elements a result has, and how many bytes that are in no input: a view has none."""
    if isinstance(value, tuple):
        parts = [measured(part, inputs) for part in value]
        return sum(size for size, _ in parts), sum(new for _, new in parts)
    if not isinstance(value, np.ndarray):
        return 1, 0
    root = root_of(value)
    old = any(root is root_of(given) for given in inputs if isinstance(given, np.ndarray))
    return value.size, 0 if old else value.nbytes


def pairs_of(operation: Any, inputs: tuple[Any, ...], size: int) -> int:
    """How many pairs of numbers a product of `size` elements multiplies and adds; 0 if it is no product."""
    if operation.name == "einsum":
        return pairs_of_einsum(inputs)
    if operation.name == "self_attention":  # q kᵀ, and its softmax by v; what a mask hides is counted too
        B, T, width = inputs[0].shape
        return int(2 * B * T * T * (width // 3))
    if operation.name.rpartition(".")[2] not in PRODUCTS:
        return 0
    shape = np.shape(inputs[0])
    return size * (shape[-1] if shape and operation.name != "outer" else 1)


def pairs_of_einsum(inputs: tuple[Any, ...]) -> int:
    """The product of the sizes of all letters."""
    arrays = inputs[1] if isinstance(inputs[1], list) else inputs[1:]
    sizes: dict[str, int] = {}
    rest = 1
    for term, array in zip(inputs[0].replace(" ", "").partition("->")[0].split(","), arrays, strict=True):
        named, shape = term.replace("...", ""), np.shape(array)
        spare = len(shape) - len(named)
        rest = max(rest, math.prod(shape[:spare]))
        sizes |= zip(named, shape[spare:], strict=True)
    return rest * math.prod(sizes.values())


def elements_of(operation: Any, arrays: Any) -> int:
    """Elements of the largest of the arrays; 0 for an operation that only moves them, or is no arithmetic."""
    rule = next((rule for rule in getattr(operation, "rules", ()) if rule is not None), None)
    if rule is None or rule.__module__.rpartition(".")[2] in MOVING:
        return 0
    return max([np.size(each) for each in arrays if isinstance(each, np.ndarray | np.floating)], default=1)
