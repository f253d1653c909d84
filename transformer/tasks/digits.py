"""The lessons' task: First, Second, Last, Max and Min of numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from transformer.tasks import task
from transformer.tasks.task import Example, Task, register, whole
from transformer.tokens import LONGEST_NUMBER, OPERATIONS, InputError, Question, parse

__all__ = ["DigitTask"]

Ints = NDArray[np.int64]

ANSWERS = {
    "First": lambda rows: rows[:, 0],
    "Second": lambda rows: rows[:, 1],
    "Last": lambda rows: rows[:, -1],
    "Max": lambda rows: rows.max(axis=1),
    "Min": lambda rows: rows.min(axis=1),
}


@register
@dataclass(frozen=True)
class DigitTask(Task):
    """First, Second, Last, Max and Min of `arguments` numbers in 0..upper; with `fewest`, of so many or more."""

    name = "digits"
    upper: int = 9
    arguments: int = 3
    fewest: int = 0

    def __post_init__(self) -> None:
        whole("upper", self.upper, 1)
        whole("arguments", self.arguments, 2)
        whole("fewest", self.fewest, 2 if self.fewest else 0, self.arguments)
        if self.upper >= 10**LONGEST_NUMBER:
            raise ValueError(f"upper = {self.upper}: numbers have at most {LONGEST_NUMBER} digits")

    @property
    def longest(self) -> int:
        return 3 + self.arguments * (len(str(self.upper)) + 1) - 1

    @property
    def longest_answer(self) -> int:
        return len(str(self.upper))

    @property
    def size(self) -> int:
        possible: int = (self.upper + 1) ** min(self.arguments, 14)
        return len(OPERATIONS) * min(task.POOL, possible)

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Up to POOL distinct inputs of each operation; which ones is drawn where there are more."""
        widths = range(self.fewest or self.arguments, self.arguments + 1)
        found = []
        for operation in OPERATIONS:
            for width in widths:
                rows = self.inputs(rng, width, task.POOL // len(widths))
                questions = [str(Question(operation, tuple(row))) for row in rows.tolist()]
                answers = ANSWERS[operation](rows).tolist()
                found += [Example(q, str(a), operation) for q, a in zip(questions, answers, strict=True)]
        return found

    def inputs(self, rng: np.random.Generator, width: int, most: int) -> Ints:
        """Distinct rows of arguments, (n, width), n at most `most`."""
        base = self.upper + 1
        if width * math.log(base) < math.log(most) + 1e-9:
            return np.arange(base**width)[:, None] // base ** np.arange(width)[::-1] % base
        rows = np.unique(rng.integers(0, base, (2 * most, width)), axis=0)
        return rng.permutation(rows)[:most]

    def read(self, question: str) -> Question:
        if not self.fewest:
            return parse(question, self.arguments, self.upper)
        found = parse(question, None, self.upper)
        if not self.fewest <= len(found.arguments) <= self.arguments:
            allowed = f"from {self.fewest} to {self.arguments} are allowed here"
            raise InputError(f"{len(found.arguments)} arguments", question, question.rindex(")"), allowed)
        return found

    def answer(self, question: str) -> str:
        operation, numbers = self.read(question)
        return str(ANSWERS[operation](np.array([numbers]))[0])
