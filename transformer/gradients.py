"""The gradient of a batch, of which every rank computes a part.

Two ways to cut a batch. Left to itself each rank takes its share of the rows, and another number of ranks rounds
otherwise. With `deterministic` = M the batch is cut into M pieces on any number of ranks; each piece is computed alone,
and their gradients are added in the order of a Tree: the same bits, whoever computed what.

What dropout draws is settled by the seed, the step and the part, never by the rank or by what was drawn before.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor, capture, functional, optim
from transformer.communicator import Communicator
from transformer.model import Transformer
from transformer.plan import TrainConfig
from transformer.summation import Tree, summed
from transformer.tasks import Batch
from transformer.tokens import PAD

__all__ = ["BatchGradient", "all_right"]

Array = NDArray[Any]


class Portion(NamedTuple):
    """Some rows of a part of a batch. number: of the part; node: of the term of the gradient's sum it belongs to."""

    node: int
    number: int
    part: Batch
    rows: range


class BatchGradient:
    """Gradients of batches for one model in training; parameters as its named_parameters()."""

    def __init__(
        self, model: Transformer, parameters: Sequence[tuple[str, Tensor]], config: TrainConfig, comm: Communicator
    ) -> None:
        self.model, self.parameters, self.config, self.comm = model, parameters, config, comm
        self.alone = comm.size == 1 and not config.deterministic
        self.both = capture(self.both_ways) if config.capture else self.both_ways

    def read(self, batch: Batch, step: int) -> tuple[float, int]:
        """Leave the gradient of the batch's loss with the parameters; the loss, and how many rows were all right.

        Equal on all ranks. Raises FloatingPointError, on all of them, if the loss is not finite.
        """
        values, right, tree = self.own(batch, step)
        shares = self.shares(batch)
        told = np.zeros(1 + max(map(len, shares)))
        told[0], told[1 : 1 + len(values)] = right, values
        found = self.comm.gather(told)
        value = sum(found[rank, 1 + k] for rank, share in enumerate(shares) for k in range(len(share)))
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}")
        if not self.alone:
            self.join(tree, shares)
        return float(value), int(found[:, 0].sum())

    def own(self, batch: Batch, step: int) -> tuple[list[float], int, Tree]:
        """This rank's part: the loss of each term, how many rows were all right, and the gradients unless it is alone.

        A mean of means would be another gradient, so the mean over a portion counts by its share of the targets.
        """
        asked, values, right, tree = np.count_nonzero(batch.targets), [], 0, Tree()
        for node, portions in itertools.groupby(self.portions(batch), key=lambda portion: portion.node):
            value = 0.0
            for _, number, part, rows in portions:
                here = slice(rows.start, rows.stop)
                tokens, targets = part.tokens[here], part.targets[here]
                share = np.count_nonzero(targets) / asked
                with self.drawing(step, number, rows, len(part.tokens)):
                    loss, logits = self.both(tokens, targets, share)
                value += loss.item()
                right += int(all_right(logits.numpy(), targets).sum())
            values.append(value)
            if not self.alone:
                tree.add(node, 1, optim.flat_gradient(self.parameters))
                for _, parameter in self.parameters:
                    parameter.zero_grad()
        return values, right, tree

    def both_ways(self, tokens: Any, targets: Any, share: Any) -> tuple[Any, Any]:
        """The loss and the logits of some rows, which count by their share; their gradient is left with the weights."""
        logits = self.model(tokens)
        loss = functional.cross_entropy(logits, targets, PAD, self.config.label_smoothing)
        loss = loss if share == 1 else loss * share
        loss.backward()
        return loss, logits

    def portions(self, batch: Batch) -> Iterator[Portion]:
        """What this rank has to compute of the batch."""
        parts = self.config.accumulate
        if self.config.deterministic:
            pieces = list(batch.parts(self.config.deterministic))
            for node in self.comm.share(len(pieces)):
                for k, part in enumerate(pieces[node].parts(parts)):
                    yield Portion(node, node * parts + k, part, range(len(part.tokens)))
        else:
            for number, part in enumerate(batch.parts(parts)):
                if rows := self.comm.share(len(part.tokens)):
                    yield Portion(self.comm.rank, number, part, rows)

    def shares(self, batch: Batch) -> list[range]:
        """The terms of the sum that each rank has: some pieces, or its rows, if there are enough for it to have one."""
        rows, ranks = len(batch.tokens), range(self.comm.size)
        if self.config.deterministic:
            return [self.comm.share(min(self.config.deterministic, rows), rank) for rank in ranks]
        most = -(-rows // min(self.config.accumulate, rows))  # rows of the first part, which has no fewer than others
        return [range(rank, rank + (rank < most)) for rank in ranks]

    def join(self, tree: Tree, shares: Sequence[range]) -> None:
        """The sum of all ranks' gradients becomes that of the parameters."""
        if self.comm.size == 1:
            total = tree.total()
        else:
            count = sum(parameter.size for _, parameter in self.parameters)
            total = np.empty(count, self.parameters[0][1].dtype)
            summed(tree, shares, total, self.comm)
        optim.spread_gradient(self.parameters, total)

    @contextmanager
    def drawing(self, step: int, number: int, rows: range, count: int) -> Iterator[None]:
        """Dropout draws for these rows, out of `count`, of this part of this step."""
        if not self.config.model.dropout:
            yield
            return
        dropout = self.model.dropout
        before = dropout.rng
        drawn = np.random.default_rng([self.config.seed, step, 1 + number])
        dropout.rng = cast(np.random.Generator, Rows(drawn, rows, count))  # dropout asks for random() alone
        try:
            yield
        finally:
            dropout.rng = before


class Rows:
    """A generator that draws for `count` rows and gives some: whoever has a row, it gets the same numbers."""

    def __init__(self, rng: np.random.Generator, rows: range, count: int) -> None:
        self.rng, self.rows, self.count = rng, slice(rows.start, rows.stop), count

    def random(self, shape: tuple[int, ...], dtype: Any) -> Array:
        drawn: Array = self.rng.random((self.count, *shape[1:]), dtype=dtype)
        return drawn[self.rows]


def all_right(logits: Array, targets: Array) -> NDArray[np.bool]:
    """Is the most likely token the right one, for a decoder at every place that is asked for? (B,)"""
    hits: NDArray[np.bool] = logits.argmax(-1) == targets
    return hits if hits.ndim == 1 else np.all(hits | (targets == PAD), axis=1)
