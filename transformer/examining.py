"""How a model does on a split, measured by all ranks together: each takes every size-th block of the examples.

A block is computed alone, so what is measured does not depend on how many ranks there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tinygrad_edu import functional
from transformer.communicator import LOCAL, Communicator
from transformer.evaluate import Evaluation, evaluate
from transformer.generate import answers, inference
from transformer.model import Transformer
from transformer.tasks import Split, Task
from transformer.tokens import PAD

__all__ = ["examined", "mean_loss"]

Item = TypeVar("Item")
BLOCK = 100  # examples


def examined(model: Transformer, split: Split, task: Task, comm: Communicator = LOCAL) -> Evaluation:
    """Whole answers, generated; of text, which has no right end, the tokens that the model expected after all others.
    """
    if task.exact:
        questions = [example.question for example in split.examples]
        blocks = [questions[start : start + BLOCK] for start in range(0, len(questions), BLOCK)]
        given = collected([answers(model, block, task) for block in dealt(blocks, comm)], comm)
        return evaluate(split.examples, list(itertools.chain.from_iterable(given)))
    counts = []
    with inference(model):
        for tokens, targets in dealt(split.batches(BLOCK), comm):
            hits = (model(tokens).numpy().argmax(-1) == targets) & (targets != PAD)
            counts.append([int(hits.sum()), int((targets != PAD).sum())])
    right, count = map(sum, zip(*collected(counts, comm), strict=True))
    return Evaluation(count, right / count, {"text": right / count}, {}, [])


def mean_loss(
    model: Transformer, split: Split, batch_size: int | None = None, comm: Communicator = LOCAL
) -> float:
    """Mean cross-entropy over all targets of a split; a batch_size other than a block's rounds otherwise."""
    losses = []
    with inference(model):
        for tokens, targets in dealt(split.batches(batch_size or BLOCK), comm):
            asked = int((targets != PAD).sum())
            losses.append([functional.cross_entropy(model(tokens), targets, ignore=PAD).item() * asked, asked])
    total, count = map(sum, zip(*collected(losses, comm), strict=True))
    return float(total / count)


def dealt(items: Iterable[Item], comm: Communicator) -> Iterator[Item]:
    """This rank's of the items."""
    return itertools.islice(items, comm.rank, None, comm.size)


def collected(own: Sequence[Any], comm: Communicator) -> list[Any]:
    """What came of the items of all ranks, in the order in which they were dealt."""
    found = comm.gather_words(own)
    return [found[k % comm.size][k // comm.size] for k in range(sum(map(len, found)))]
