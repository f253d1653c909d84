"""Forms of a call: so many arguments by place, and these keywords. What follows from that is worked out once.

A call has to know which of its arguments are operands, which options no rule knows of, and where each thing stands that
the rules named. All of that depends on the form alone, so it is found at the first call and kept with the operation:
over NumPy's own time a sum took 8 µs, and takes 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import Plan, Primitive, SequencePlan
from tinygrad_edu.state import user_location

__all__ = ["Form", "elements", "form_of"]

Pick = Callable[[tuple[Any, ...], dict[str, Any], Any], Any]  # (arguments, keywords, output) → what a rule named
UNSET: Any = np._NoValue  # NumPy's functions mean by it: not given


class Form:
    """One way to call an operation.

    moved     keywords that are arrays, and go by place: np.sum(a=x) is np.sum(x)
    words     the other keywords
    operands  how many of the first arguments are operands; place: where a sequence of them begins
    closed    (name, place) of the arguments that have no rule
    inner     how many of them stand among the operands
    doubtful  (name, place, or -1 for a keyword) of the options that no rule knows: they may only be left at None
    """

    __slots__ = ("closed", "count", "doubtful", "inner", "moved", "operands", "operation", "picks", "place", "words")

    def __init__(self, operation: Primitive, count: int, words: tuple[str, ...]) -> None:
        parameters, ruled, sequence = operation.parameters, len(operation.rules), operation.sequence
        self.operation = operation
        moved = []
        for name in parameters[count:ruled]:
            if name not in words:
                break
            moved.append(name)
        self.moved, self.words = tuple(moved), tuple(name for name in words if name not in moved)
        self.count = count = count + len(moved)
        self.operands = min(count, ruled)
        self.place = 0 if sequence is None else parameters.index(sequence)
        places = [(parameters[min(place, len(parameters) - 1)], place) for place in range(count)]
        self.closed = tuple(
            (name, place) for name, place in places
            if name != sequence and (place >= ruled or operation.rules[place] is None)
        )  # fmt: skip
        self.inner = sum(place < self.operands for _, place in self.closed)
        given = [(name, -1) for name in self.words]
        if sequence is None and not operation.foreign:
            given += [(name, place) for name, place in places[:len(parameters)] if place >= ruled]
        self.doubtful = tuple((name, place) for name, place in given if name not in operation.understood)
        self.picks: dict[tuple[str, ...], tuple[Pick, ...]] = {}

    def picks_for(self, plan: Plan | SequencePlan) -> tuple[Pick, ...]:
        """For each name of a plan, the function that finds what it means."""
        found = self.picks.get(plan.names)
        if found is None:
            found = self.picks[plan.names] = tuple([self.pick(name) for name in plan.names])
        return found

    def pick(self, name: str) -> Pick:
        """What a rule means by a name: an argument or keyword, else the output, a shape, or the rule's default."""
        otherwise = self.otherwise(name)
        if name in self.words:
            return lambda args, words, z: otherwise(args, words, z) if words[name] is UNSET else words[name]
        place = self.place_of(name)
        if place is None:
            return otherwise
        if name == self.operation.sequence:
            return lambda args, words, z: elements(args, place)
        return lambda args, words, z: otherwise(args, words, z) if args[place] is UNSET else args[place]

    def otherwise(self, name: str) -> Pick:
        """What a name means that is no argument of this call."""
        operation = self.operation
        if name == "z":
            return lambda args, words, z: z
        if name == "aside":
            return lambda args, words, z: words.get(name)
        argument = name.removesuffix("_shape")
        place = None if argument == name else self.place_of(argument)
        if place is not None:
            if argument == operation.sequence:
                return lambda args, words, z: tuple([shape_of(element) for element in elements(args, place)])
            return lambda args, words, z: shape_of(args[place])
        if argument != name and argument in self.words:
            return lambda args, words, z: shape_of(words[argument])
        if name in operation.defaults:
            default = operation.defaults[name]
            return lambda args, words, z: default

        def missing(args: Any, words: Any, z: Any) -> Any:
            raise UnsupportedError(
                f"{operation.name}: {name} is needed for the derivative; pass it. Called {user_location()}"
            )

        return missing

    def with_elements(self, args: tuple[Any, ...], arrays: list[Any]) -> tuple[Any, ...]:
        """The arguments, with plain arrays for the sequence: f([x, y]) and f(x, y) stay what they were."""
        before = args[: self.place]
        return (*before, arrays, *args[self.place + 1 :]) if is_list(args, self.place) else (*before, *arrays)

    def place_of(self, name: str) -> int | None:
        """The place of an argument of this call; None if it was not given by place."""
        parameters = self.operation.parameters[: self.count]
        return parameters.index(name) if name in parameters else None


def shape_of(value: Any) -> tuple[int, ...]:
    return value.shape if type(value) is np.ndarray else np.shape(value)


def elements(args: tuple[Any, ...], place: int) -> Any:
    """The arrays of an operation on a sequence: f([x, y]), or f(x, y)."""
    return args[place] if is_list(args, place) else args[place:]


def is_list(args: tuple[Any, ...], place: int) -> bool:
    return len(args) > place and isinstance(args[place], (list, tuple))


def form_of(operation: Primitive, count: int, words: tuple[str, ...]) -> Form:
    """The form of a call, made at the first call of its kind."""
    form = operation.forms[count, *words] = Form(operation, count, words)
    return form
