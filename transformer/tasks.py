"""What a model learns: questions with answers, split so that none is both learnt and tested, and dealt in batches.

Of the digit operations over 0-9 with three arguments only 5,000 inputs exist. Sampling first and splitting after
would put most test inputs into the training set too; so the inputs are split, and each split is sampled.

A further task is a class with a name and `examples`; splitting, balancing and batching work on its texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from transformer.tokens import EOS, OPERATIONS, PAD, Question, parse, spell

__all__ = ["Batch", "DigitTask", "Example", "Split", "Task", "make_splits"]

Ints = NDArray[np.int64]

POOL = 10_000  # inputs of one operation, at most; where more exist, that many distinct ones are drawn
HELD_OUT = 0.1  # of the inputs of an operation, for validation, and as much again for the test
ANSWERS = {
    "First": lambda rows: rows[:, 0],
    "Second": lambda rows: rows[:, 1],
    "Last": lambda rows: rows[:, -1],
    "Max": lambda rows: rows.max(axis=1),
    "Min": lambda rows: rows.min(axis=1),
}


class Example(NamedTuple):
    """A question, its answer, and the operation it is counted under."""

    question: str
    answer: str
    operation: str


class Task(Protocol):
    """What splits and training ask of a task."""

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Distinct questions: all there are, or a drawn sample of them."""

    def check(self, question: str) -> None:
        """Raises InputError for a question that does not belong to the task."""

    def answer(self, question: str) -> str:
        """The right answer. Raises InputError like check."""


@dataclass(frozen=True)
class DigitTask:
    """First, Second, Last, Max and Min of `arguments` numbers in 0..upper."""

    upper: int = 9
    arguments: int = 3

    def __post_init__(self) -> None:
        for name, least in (("upper", 1), ("arguments", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: it must be a whole number, {least} or more")
        if self.upper >= 10**18:
            raise ValueError(f"upper = {self.upper}: numbers have at most 18 digits")

    @property
    def longest(self) -> int:
        """Tokens of the longest question."""
        return 3 + self.arguments * (len(str(self.upper)) + 1) - 1

    @property
    def longest_answer(self) -> int:
        return len(str(self.upper))

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Up to POOL distinct inputs of each operation; which ones is drawn where there are more."""
        found = []
        for operation in OPERATIONS:
            rows = self.inputs(rng)
            questions = [str(Question(operation, tuple(row))) for row in rows.tolist()]
            answers = ANSWERS[operation](rows).tolist()
            found += [Example(q, str(a), operation) for q, a in zip(questions, answers, strict=True)]
        return found

    def inputs(self, rng: np.random.Generator) -> Ints:
        """Distinct rows of arguments, (n, arguments)."""
        base, width = self.upper + 1, self.arguments
        if width * math.log(base) < math.log(POOL) + 1e-9:
            return np.arange(base**width)[:, None] // base ** np.arange(width)[::-1] % base
        rows = np.unique(rng.integers(0, base, (2 * POOL, width)), axis=0)
        return rng.permutation(rows)[:POOL]

    def check(self, question: str) -> None:
        parse(question, self.arguments, self.upper)

    def answer(self, question: str) -> str:
        operation, numbers = parse(question, self.arguments, self.upper)
        return str(ANSWERS[operation](np.array([numbers]))[0])


class Batch(NamedTuple):
    """tokens (B, T), filled up with PAD; targets (B,) for an encoder, (B, T) for a decoder, PAD = not asked."""

    tokens: Ints
    targets: Ints


class Split:
    """Examples as arrays, and ways to go through them."""

    def __init__(self, examples: Sequence[Example], decoder: bool) -> None:
        if not examples:
            raise ValueError("a split needs at least one example")
        self.examples = list(examples)
        self.tokens, self.targets = arrays(self.examples, decoder)
        # Cells: the examples of one operation and one answer, next to each other in `_order`; cells of one operation
        # next to each other too. `_edges` runs up to k + 1 within operation k, in steps as large as a cell is likely.
        names = {name: number for number, name in enumerate(dict.fromkeys(e.operation for e in examples))}
        keys = [(names[e.operation], e.answer) for e in examples]
        number = {cell: k for k, cell in enumerate(sorted(set(keys)))}
        cell_of = np.array([number[key] for key in keys])
        self._order = np.argsort(cell_of, kind="stable")
        self._size = np.bincount(cell_of)
        self._start = np.cumsum(self._size) - self._size
        self._cells = np.bincount([operation for operation, _ in number])  # of each operation
        steps = (np.sqrt(part) for part in np.split(self._size, np.cumsum(self._cells)[:-1]))
        self._edges = np.concatenate([k + np.cumsum(step) / step.sum() for k, step in enumerate(steps)])

    def __len__(self) -> int:
        return len(self.examples)

    def sample(self, count: int, rng: np.random.Generator) -> Ints:
        """Indices drawn with replacement, equally many for each operation (±1), shuffled.

        Within an operation an answer is as likely as the square root of the number of its inputs, and they are equally
        likely. Of 1,000 inputs of Max, 271 have the answer 9 and one has 0: drawn evenly, Max would hardly ever be 0;
        with answers drawn evenly, (0,0,0) would come 160 times an epoch, be learnt by heart and taken for (0,0,1).
        """
        operation = np.arange(count) % len(self._cells)
        cell = np.searchsorted(self._edges, operation + rng.random(count), side="right")
        cell = np.minimum(cell, np.cumsum(self._cells)[operation] - 1)  # where the edges' rounding leaves a gap
        drawn: Ints = self._order[self._start[cell] + rng.integers(0, self._size[cell])]
        return rng.permutation(drawn)

    def batches(self, size: int, indices: Ints | None = None) -> Iterator[Batch]:
        """Batches of `size`, the last one perhaps smaller, cut to their longest row; all in order by default."""
        indices = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(indices), size):
            rows = indices[start : start + size]
            tokens, targets = self.tokens[rows], self.targets[rows]
            longest = int((tokens != PAD).sum(axis=1).max())
            yield Batch(tokens[:, :longest], targets[:, :longest] if targets.ndim == 2 else targets)


def make_splits(task: Task, seed: int, decoder: bool = False) -> dict[str, Split]:
    """train, validation and test: disjoint, settled by the seed, with the same share of every operation.

    Of each answer of an operation one input is for training, as long as there are no more answers than training has
    inputs: 0 is the maximum of (0,0,0) alone, and who was never told that Max can be 0 cannot be asked.

    Raises ValueError where an operation has too few inputs to hold some out, or answers are longer than an encoder's.
    """
    rng = np.random.default_rng(seed)
    groups: dict[str, list[Example]] = {}
    for example in task.examples(rng):
        groups.setdefault(example.operation, []).append(example)
    parts: dict[str, list[Example]] = {"train": [], "validation": [], "test": []}
    for group in groups.values():
        held = max(1, round(HELD_OUT * len(group)))
        ends = {"validation": held, "test": 2 * held, "train": len(group)}
        if len(group) <= 2 * held:
            raise ValueError(f"{len(group)} inputs of {group[0].operation} are too few to hold some out")
        shuffled = [group[k] for k in rng.permutation(len(group))]
        firsts = {example.answer: example for example in shuffled}
        shuffled.sort(key=lambda example: firsts[example.answer] is example)  # stable: these go to the end
        start = 0
        for name, end in ends.items():
            parts[name] += shuffled[start:end]
            start = end
    return {name: Split(examples, decoder) for name, examples in parts.items()}


def arrays(examples: Sequence[Example], decoder: bool) -> tuple[Ints, Ints]:
    """Tokens and targets.

    encoder  the question → the one token of its answer
    decoder  question, answer, each token but the last → the next token, PAD while the question lasts:
             Max(1,6,2)6 → · · · · · · · 6 [EOS]
    """
    questions = [spell(example.question) for example in examples]
    answers = [spell(example.answer) for example in examples]
    if not decoder:
        for example, answer in zip(examples, answers, strict=True):
            if len(answer) != 1:
                raise ValueError(
                    f"{example.question} = {example.answer} has {len(answer)} digits, but an encoder answers with one "
                    "token: train a decoder, or keep numbers to 0-9"
                )
        return padded(questions), np.array([answer[0] for answer in answers], np.int64)
    asked = [[PAD] * (len(q) - 1) + a + [EOS] for q, a in zip(questions, answers, strict=True)]
    return padded([q + a for q, a in zip(questions, answers, strict=True)]), padded(asked)


def padded(rows: Sequence[Sequence[int]]) -> Ints:
    """Rows of any length as one array, filled up with PAD on the right."""
    filled = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for row, ids in zip(filled, rows, strict=True):
        row[: len(ids)] = ids
    return filled
