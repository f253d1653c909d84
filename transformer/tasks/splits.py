"""Examples, split so that none is both learnt and tested, and dealt in batches.

Of the digit operations over 0-9 with three arguments only 5,000 inputs exist. Sampling first and splitting after
would put most test inputs into the training set too; so the inputs are split, and each split is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transformer.tasks.task import Example, Task
from transformer.tokens import EOS, PAD
from transformer.tokens import spell as spell_lessons

__all__ = ["Batch", "Split", "make_splits", "padded"]

Ints = NDArray[np.int64]
Spell = Callable[[str], list[int]]

HELD_OUT = 0.1  # of the inputs of an operation, for validation, and as much again for the test


class Batch(NamedTuple):
    """tokens (B, T), filled up with PAD; targets (B,) for an encoder, (B, T) for a decoder, PAD = not asked."""

    tokens: Ints
    targets: Ints

    def parts(self, count: int) -> Iterator[Batch]:
        """Itself in up to `count` parts, as equal as can be."""
        for rows in np.array_split(np.arange(len(self.tokens)), min(count, len(self.tokens))):
            yield self if count == 1 else Batch(self.tokens[rows], self.targets[rows])


class Split:
    """Examples as arrays, and ways to go through them; the arguments are those of `arrays`."""

    def __init__(
        self, examples: Sequence[Example], decoder: bool, spell: Spell = spell_lessons, loss: str = "answer",
        ends: bool = True,
    ) -> None:  # fmt: skip
        if not examples:
            raise ValueError("a split needs at least one example")
        self.examples = list(examples)
        self._spelling = decoder, spell, loss, ends
        self.tokens, self.targets = arrays(self.examples, *self._spelling)
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

    def easiest(self, share: float) -> Split:
        """The shortest `share` of the examples of each operation, one at least."""
        order = np.argsort((self.tokens != PAD).sum(axis=1), kind="stable")
        rank: dict[str, int] = {}
        total: dict[str, int] = {}
        for example in self.examples:
            total[example.operation] = total.get(example.operation, 0) + 1
        kept = []
        for k in order:
            operation = self.examples[k].operation
            rank[operation] = rank.get(operation, 0) + 1
            if rank[operation] <= max(1, share * total[operation]):
                kept.append(int(k))
        return Split([self.examples[k] for k in sorted(kept)], *self._spelling)

    def batches(self, size: int, indices: Ints | None = None) -> Iterator[Batch]:
        """Batches of `size`, the last one perhaps smaller, cut to their longest row; all in order by default."""
        indices = np.arange(len(self)) if indices is None else indices
        for start in range(0, len(indices), size):
            rows = indices[start : start + size]
            tokens, targets = self.tokens[rows], self.targets[rows]
            longest = int((tokens != PAD).sum(axis=1).max())
            yield Batch(tokens[:, :longest], targets[:, :longest] if targets.ndim == 2 else targets)


def make_splits(task: Task, seed: int, decoder: bool = False, loss: str = "answer") -> dict[str, Split]:
    """train, validation and test: disjoint, settled by the seed, with the same share of every operation.

    Of each answer of an operation one input is for training, as long as there are no more answers than training has
    inputs: 0 is the maximum of (0,0,0) alone, and who was never told that Max can be 0 cannot be asked.

    Raises ValueError where an operation has too few inputs to hold some out, or answers are longer than an encoder's.
    """
    rng = np.random.default_rng(seed)
    spell = task.vocabulary.spell
    own = task.parts(rng)
    if own is not None:
        return {name: Split(examples, decoder, spell, loss, task.exact) for name, examples in own.items()}
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
    return {name: Split(examples, decoder, spell, loss, task.exact) for name, examples in parts.items()}


def arrays(
    examples: Sequence[Example], decoder: bool, spell: Spell = spell_lessons, loss: str = "answer", ends: bool = True
) -> tuple[Ints, Ints]:
    """Tokens and targets.

    encoder  the question → the one token of its answer
    decoder  question, answer, each token but the last → the next token, PAD while the question lasts:
             Max(1,6,2)6 → · · · · · · · 6 [EOS]
             with loss = "all" the question's tokens too; without `ends` nothing after the answer's last token
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
    rows = [q + a for q, a in zip(questions, answers, strict=True)]
    following = [row[1:] + ([EOS] if ends else []) for row in rows]
    if loss == "answer":
        for question, row in zip(questions, following, strict=True):
            row[: len(question) - 1] = [PAD] * (len(question) - 1)
    return padded(rows if ends else [row[:-1] for row in rows]), padded(following)


def padded(rows: Sequence[Sequence[int]]) -> Ints:
    """Rows of any length as one array, filled up with PAD on the right."""
    filled = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for row, ids in zip(filled, rows, strict=True):
        row[: len(ids)] = ids
    return filled
