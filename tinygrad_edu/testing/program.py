"""A program as data: inputs, steps that refer to earlier values by number, and what it returns."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.testing.literals import index_of, literal, name_of, needed_import

__all__ = ["Program", "Ref", "Step", "pruned"]

Value = Callable[[Any], str]  # how a value inside a step is written


@dataclass(frozen=True, slots=True)
class Ref:
    """An earlier value: inputs are numbered first, then the steps."""

    number: int

    def __repr__(self) -> str:
        return f"Ref({self.number})"


class Step:
    """One operation: function(*args, **kwargs), in whose arguments a Ref, also inside a list, is an earlier value."""

    __slots__ = ("args", "function", "kwargs", "places", "refs")

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.refs = tuple(ref.number for ref in refs_in(args))
        self.places = [k for k, arg in enumerate(args) if type(arg) is Ref or holds_refs(arg)]

    def __call__(self, values: Sequence[Any]) -> Any:
        """The value, given all earlier ones."""
        args = list(self.args)
        for k in self.places:
            args[k] = plugged(args[k], values)
        return self.function(*args, **self.kwargs)

    def __repr__(self) -> str:
        return f"Step({', '.join([name_of(self.function), *self.written(literal)])})"

    def written(self, write: Value) -> list[str]:
        """The arguments as source, one by one."""
        return [*map(write, self.args), *[f"{key}={write(value)}" for key, value in self.kwargs.items()]]

    def source(self) -> str:
        """The operation as a line of Python would have it."""
        if self.function is operator.getitem:
            return f"{named(self.args[0])}[{index_of(self.args[1])}]"
        return f"{name_of(self.function)}({', '.join(self.written(named))})"


def refs_in(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from refs_in(part)


def plugged(value: Any, values: Sequence[Any]) -> Any:
    if type(value) is Ref:
        return values[value.number]
    if holds_refs(value):
        return type(value)(plugged(part, values) for part in value)
    return value


def holds_refs(value: Any) -> bool:
    return type(value) in (list, tuple) and any(type(part) is Ref or holds_refs(part) for part in value)


def named(value: Any) -> str:
    """As in source(): x0, x1, ..."""
    if type(value) is Ref:
        return f"x{value.number}"
    if holds_refs(value):
        inside = ", ".join(map(named, value))
        return f"[{inside}]" if type(value) is list else f"({inside},)"
    return literal(value)


class Program:
    """A differentiable function of arrays, made of steps; it runs on ndarrays and Tensors alike.

    inputs: arrays at which it is smooth, well-conditioned and of moderate size; it takes others of their shapes. It
    returns what no step uses: one value, or a tuple of them. len(program) is the number of steps.

        program(*program.inputs)                              # its value
        gradcheck(program, *program.inputs)
        program(*[Tensor(x, requires_grad=True) for x in program.inputs]).backward(cotangent)
        print(program.source())                               # as Python that runs by itself
    """

    def __init__(self, inputs: Sequence[np.ndarray], steps: Sequence[Step]) -> None:
        self.inputs, self.steps = list(inputs), list(steps)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def ends(self) -> list[int]:
        """The numbers of the values that are returned: those of the steps that no step uses."""
        used = {number for step in self.steps for number in step.refs}
        first = len(self.inputs)
        return [number for number in range(first, first + len(self.steps)) if number not in used]

    def values(self, *arrays: Any) -> list[Any]:
        """All values, by number: the inputs, then what each step made."""
        if len(arrays) != len(self.inputs):
            raise ShapeError(f"Program takes {len(self.inputs)} arrays, got {len(arrays)}: program(*program.inputs)")
        found = list(arrays)
        for step in self.steps:
            found.append(step(found))
        return found

    def __call__(self, *arrays: Any) -> Any:
        found = self.values(*arrays)
        ends = [found[end] for end in self.ends]
        return ends[0] if len(ends) == 1 else tuple(ends)

    def source(self) -> str:
        """Python that defines `program` and `inputs`. Operations without a module to import them from go by name."""
        called = [step.function for step in self.steps if step.function is not operator.getitem]
        imports = [line for line in dict.fromkeys(["import numpy as np", *map(needed_import, called)]) if line]
        count = len(self.inputs)
        head = ", ".join(f"x{k}" for k in range(count))
        body = [f"    x{count + k} = {step.source()}" for k, step in enumerate(self.steps)]
        given = ", ".join(map(literal, self.inputs))
        body.append(f"    return {', '.join(f'x{end}' for end in self.ends)}")
        return "\n".join([*imports, "", "", f"def program({head}):", *body, "", "", f"inputs = [{given}]"])

    def __repr__(self) -> str:
        """An expression over np, operator, Program, Step and Ref that makes it again."""
        inputs, steps = ", ".join(map(literal, self.inputs)), [repr(step) for step in self.steps]
        line = f"Program([{inputs}], [{', '.join(steps)}])"
        if len(line) <= 100:
            return line
        rows = [f"        {step}," for step in steps]
        return "\n".join(["Program(", f"    [{inputs}],", "    [", *rows, "    ],", ")"])


def pruned(inputs: Sequence[np.ndarray], steps: Sequence[Step], ends: Sequence[int]) -> tuple[list[Any], list[Step]]:
    """The inputs and steps that `ends` depend on, numbered anew."""
    count = len(inputs)
    live: set[int] = set()
    waiting = list(ends)
    while waiting:
        number = waiting.pop()
        if number not in live:
            live.add(number)
            waiting += steps[number - count].refs if number >= count else ()
    kept = sorted(live)
    place = {number: k for k, number in enumerate(kept)}

    def moved(value: Any) -> Any:
        if type(value) is Ref:
            return Ref(place[value.number])
        return type(value)(moved(part) for part in value) if holds_refs(value) else value

    chosen = [steps[number - count] for number in kept if number >= count]
    renumbered = [Step(step.function, *[moved(arg) for arg in step.args], **step.kwargs) for step in chosen]
    return [inputs[number] for number in kept if number < count], renumbered
