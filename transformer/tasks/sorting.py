"""Sorting: Sort(3,1,2) is 1,2,3."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transformer.tasks import task
from transformer.tasks.expressions import read
from transformer.tasks.task import Example, Task, register, whole

__all__ = ["SortTask"]


@register
@dataclass(frozen=True)
class SortTask(Task):
    """2 to `arguments` numbers in 0..upper, in ascending order."""

    name, further = "sort", ("Sort",)
    upper: int = 9
    arguments: int = 5

    def __post_init__(self) -> None:
        whole("upper", self.upper, 1, 10**6)
        whole("arguments", self.arguments, 2, 20)

    @property
    def longest(self) -> int:
        return 3 + self.longest_answer

    @property
    def longest_answer(self) -> int:
        return self.arguments * (len(str(self.upper)) + 1) - 1

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Up to POOL of each length, which is what they are counted under."""
        found = {}
        for length in range(2, self.arguments + 1):
            rows = np.unique(rng.integers(0, self.upper + 1, (2 * task.POOL, length)), axis=0)
            for row in rng.permutation(rows)[: task.POOL].tolist():
                question = f"Sort({','.join(map(str, row))})"
                found[question] = Example(question, ",".join(map(str, sorted(row))), f"{length} numbers")
        return list(found.values())

    def answer(self, question: str) -> str:
        call = read(question, self.further, self.arguments, self.upper, depth=1)
        return ",".join(map(str, sorted(number for number in call.arguments if isinstance(number, int))))
