"""Operations inside operations, with and without sums: Max(First(2,8),Second(5,1)), Add(3,Max(4,9))."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from transformer.tasks import task
from transformer.tasks.task import Example, Task, register, whole
from transformer.tokens import LONGEST_NUMBER, OPERATIONS, Reader

__all__ = ["ArithmeticTask", "Call", "NestedTask", "read", "value"]

MEANING: dict[str, Callable[[list[int]], int]] = {
    "First": lambda numbers: numbers[0],
    "Second": lambda numbers: numbers[1],
    "Last": lambda numbers: numbers[-1],
    "Max": max,
    "Min": min,
    "Add": sum,
}
DEEPEST = 10


class Call(NamedTuple):
    """An operation on numbers and other calls; str() writes it as the model reads it."""

    operation: str
    arguments: tuple[Call | int, ...]

    def __str__(self) -> str:
        return f"{self.operation}({','.join(map(str, self.arguments))})"


def value(node: Call | int) -> int:
    if isinstance(node, int):
        return node
    return MEANING[node.operation]([value(argument) for argument in node.arguments])


def read(text: str, operations: tuple[str, ...], arguments: int, upper: int, depth: int) -> Call:
    """A call of 2 to `arguments` arguments, each a number in 0..upper or, `depth` deep, a call. Raises InputError."""
    reader = Reader(text)

    def call(left: int) -> Call:
        operation = reader.take(operations)
        reader.take("(")
        found: list[Call | int] = []
        while True:
            if reader.word.isalpha() and left == 1:
                raise reader.refuse("operations too deep inside each other", f"{depth} are allowed here")
            found.append(call(left - 1) if reader.word.isalpha() else reader.number(upper))
            marks = [mark for mark, fits in ((",", len(found) < arguments), (")", len(found) >= 2)) if fits]
            if reader.take(marks) == ")":
                return Call(operation, tuple(found))

    result = call(depth)
    if reader.word:
        raise reader.unexpected("the question is over here")
    return result


@dataclass(frozen=True)
class ExpressionTask(Task):
    """Calls of 2 to `arguments` arguments in 0..upper, up to `depth` inside each other, counted by the outermost."""

    operations: ClassVar[tuple[str, ...]]
    upper: int = 9
    arguments: int = 2
    depth: int = 2

    def __post_init__(self) -> None:
        whole("upper", self.upper, 1)
        whole("arguments", self.arguments, 2, 10)
        whole("depth", self.depth, 1, DEEPEST)
        if self.longest_answer > LONGEST_NUMBER:
            raise ValueError(f"upper = {self.upper}: answers would have more than {LONGEST_NUMBER} digits")

    @property
    def longest(self) -> int:
        length = len(str(self.upper))
        for _ in range(self.depth):
            length = 3 + self.arguments * (length + 1) - 1
        return length

    @property
    def longest_answer(self) -> int:
        most = self.upper * (self.arguments**self.depth if "Add" in self.operations else 1)
        return len(str(most))

    @property
    def size(self) -> int:
        return len(self.operations) * task.POOL

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Up to POOL distinct calls of each operation. An argument is a call as often as a number, where it may be."""
        draw = random.Random(int(rng.integers(2**62)))
        found = []
        for operation in self.operations:
            drawn = (self.drawn(draw, operation, self.depth) for _ in range(2 * task.POOL))
            calls = list({str(call): call for call in drawn}.items())[: task.POOL]
            found += [Example(text, str(value(call)), operation) for text, call in calls]
        return found

    def drawn(self, draw: random.Random, operation: str, left: int) -> Call:
        arguments: list[Call | int] = []
        for _ in range(draw.randint(2, self.arguments)):
            inside = left > 1 and draw.random() < 0.5
            arguments.append(
                self.drawn(draw, draw.choice(self.operations), left - 1) if inside else draw.randint(0, self.upper)
            )
        return Call(operation, tuple(arguments))

    def answer(self, question: str) -> str:
        return str(value(read(question, self.operations, self.arguments, self.upper, self.depth)))


@register
@dataclass(frozen=True)
class NestedTask(ExpressionTask):
    """The lessons' operations inside each other: Max(First(2,8),Second(5,1)) is 2."""

    name = "nested"
    operations = OPERATIONS


@register
@dataclass(frozen=True)
class ArithmeticTask(ExpressionTask):
    """Sums too: Add(3,Max(4,9)) is 12."""

    name, further = "arithmetic", ("Add",)
    operations = ("Add", *OPERATIONS)
