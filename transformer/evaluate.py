"""How good are answers: as a whole, for each operation, and which answer is taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from transformer.tasks import Example

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """Shares are in 0..1; only an answer that is right to its last digit counts."""

    count: int
    accuracy: float
    operations: dict[str, float]
    confusion: dict[tuple[str, str], int]  # (right answer, given answer) → how often
    mistakes: list[tuple[str, str, str]]  # question, right answer, given answer


def evaluate(examples: Sequence[Example], given: Sequence[str]) -> Evaluation:
    """Compare the answers given with the right ones. Raises ValueError where there is nothing to compare."""
    if len(examples) != len(given) or not examples:
        raise ValueError(f"{len(given)} answers for {len(examples)} examples")
    asked: Counter[str] = Counter()
    right: Counter[str] = Counter()
    confusion: Counter[tuple[str, str]] = Counter()
    mistakes = []
    for example, answer in zip(examples, given, strict=True):
        asked[example.operation] += 1
        right[example.operation] += answer == example.answer
        confusion[example.answer, answer] += 1
        if answer != example.answer:
            mistakes.append((example.question, example.answer, answer))
    return Evaluation(
        count=len(examples),
        accuracy=right.total() / len(examples),
        operations={operation: right[operation] / count for operation, count in asked.items()},
        confusion=dict(confusion),
        mistakes=mistakes,
    )
