"""The training loop, which can stop after any step and go on as if it never had.

One seed settles the weights, the splits, the order of the examples and what dropout draws. All else that the next step
depends on is the loop's state: parameters, the optimiser's averages, the place in the epoch. `state` takes it out,
`restore` puts it back, and the steps that follow are the same bit for bit.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import detect_anomaly, errors, functional, optim
from transformer.evaluate import evaluate
from transformer.generate import answers, inference
from transformer.model import Transformer
from transformer.plan import TrainConfig
from transformer.tasks import Batch, Split
from transformer.tokens import PAD

__all__ = ["Epoch", "Loop", "TrainingError", "fit"]

Array = NDArray[Any]


class TrainingError(RuntimeError):
    """Training cannot go on; what was saved before is kept."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured; a line of metrics.jsonl. Accuracies are shares in 0..1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    operations: dict[str, float]  # validation accuracy of each
    lr: float  # of the last step
    gradient_norm: float  # before clipping, mean over the steps
    seconds: float  # the one number that the seed does not settle

    @property
    def rank(self) -> tuple[float, float]:
        """What makes an epoch the best."""
        return self.validation_accuracy, -self.validation_loss


class Loop:
    """A model in training, between two steps.

    losses, norms  of the steps of this epoch so far; their number is the place in the epoch
    right          how many examples of this epoch were answered rightly
    whole          False while a step is being made: what is there then is nothing to save
    """

    def __init__(self, model: Transformer, splits: Mapping[str, Split], config: TrainConfig) -> None:
        self.model, self.splits, self.config = model, splits, config
        self.parameters = model.named_parameters()
        steps = config.epochs * config.steps_per_epoch
        self.optimizer = optim.Adam(
            self.parameters, optim.warmup_cosine(config.lr, min(config.warmup, steps), steps)
        )
        self.epochs: list[Epoch] = []
        self.whole = True
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.right, self.seconds = 0, 0.0

    def run(self, on_step: Callable[[float], None] | None = None) -> Iterator[Epoch]:
        """Train to the end, one epoch for each item taken. on_step is called with the loss after every whole step.

        Raises TrainingError when the loss or a gradient is not finite.
        """
        while len(self.epochs) < self.config.epochs:
            started = time.perf_counter() - self.seconds
            train = self.splits["train"]
            draw = np.random.default_rng([self.config.seed, len(self.epochs) + 1])
            batches = train.batches(self.config.batch_size, train.sample(self.config.examples, draw))
            for batch in itertools.islice(batches, len(self.losses), None):
                self.step(batch)
                self.seconds = time.perf_counter() - started
                if on_step is not None:
                    on_step(self.losses[-1])
            self.epochs.append(self.measured(started))
            self.begin_epoch()
            yield self.epochs[-1]

    def step(self, batch: Batch) -> None:
        """One step down the gradient of one batch."""
        dropout = self.model.rng.bit_generator.state
        self.model.train()
        self.whole = False
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # looked for below
                logits = self.model(batch.tokens)
                loss = functional.cross_entropy(logits, batch.targets, ignore=PAD)
                value = finite(loss.item())
                loss.backward()
                norm = optim.clip_grad_norm(self.parameters, self.config.clip)
        except FloatingPointError as error:
            self.model.rng.bit_generator.state = dropout
            raise TrainingError(
                f"epoch {len(self.epochs) + 1}, step {len(self.losses) + 1}: {error}; try a smaller lr than "
                f"{self.config.lr}{self.first_bad_operation(batch)}"
            ) from None
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.right += int(all_right(logits.numpy(), batch.targets).sum())
        self.losses.append(value)
        self.norms.append(norm)
        self.whole = True

    def first_bad_operation(self, batch: Batch) -> str:
        """The step once more, looking at every operation; empty where none made the NaN or inf from finite numbers."""
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"), detect_anomaly():
                functional.cross_entropy(self.model(batch.tokens), batch.targets, ignore=PAD).backward()
        except errors.NonFiniteError as error:
            return f". It began with {error}"
        return ""

    def measured(self, started: float) -> Epoch:
        """What the epoch that has just ended was like; perf_counter() said `started` at its beginning."""
        held = self.splits["validation"]
        found = evaluate(held.examples, answers(self.model, [example.question for example in held.examples]))
        return Epoch(
            epoch=len(self.epochs) + 1,
            train_loss=math.fsum(self.losses) / len(self.losses),
            train_accuracy=self.right / self.config.examples,
            validation_loss=mean_loss(self.model, held),
            validation_accuracy=found.accuracy,
            operations=found.operations,
            lr=self.optimizer.schedule(self.optimizer.steps - 1),
            gradient_norm=math.fsum(self.norms) / len(self.norms),
            seconds=time.perf_counter() - started,
        )

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything that the next step depends on: arrays by name, and facts that JSON can hold exactly."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state_dict().items()}
        tensors |= {"losses": np.array(self.losses), "norms": np.array(self.norms)}
        return tensors, {
            "training": self.config.to_dict(),
            "epochs": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "right": self.right,
            "seconds": self.seconds,
            "dropout": self.model.rng.bit_generator.state,
        }

    def restore(self, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
        """Be as the loop was that state() was taken of. Raises KeyError, TypeError or ValueError if it does not fit."""

        def part(name: str) -> dict[str, Array]:
            return {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}

        epochs = [Epoch(**epoch) for epoch in about["epochs"]]
        losses, norms = tensors["losses"].tolist(), tensors["norms"].tolist()
        right, seconds, dropout = int(about["right"]), float(about["seconds"]), about["dropout"]
        if not len(losses) == len(norms) <= self.config.steps_per_epoch:
            raise ValueError(f"{len(losses)} losses and {len(norms)} norms for {self.config.steps_per_epoch} steps")
        self.model.load_state_dict(part("model."))
        self.optimizer.load_state_dict(part("optimizer."))
        self.model.rng.bit_generator.state = dropout
        self.epochs, self.losses, self.norms, self.right, self.seconds = epochs, losses, norms, right, seconds


def fit(
    model: Transformer, splits: Mapping[str, Split], config: TrainConfig, on_step: Callable[[float], None] | None = None
) -> Iterator[Epoch]:
    """Train in place, in memory alone; see Loop.run."""
    return Loop(model, splits, config).run(on_step)


def finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")
    return loss


def all_right(logits: Array, targets: Array) -> NDArray[np.bool]:
    """Is the most likely token the right one, for a decoder at every place that is asked for? (B,)"""
    hits: NDArray[np.bool] = logits.argmax(-1) == targets
    return hits if hits.ndim == 1 else np.all(hits | (targets == PAD), axis=1)


def mean_loss(model: Transformer, split: Split, batch_size: int = 500) -> float:
    """Mean cross-entropy over all targets of a split."""
    total, count = 0.0, 0
    with inference(model):
        for tokens, targets in split.batches(batch_size):
            asked = int((targets != PAD).sum())
            total += functional.cross_entropy(model(tokens), targets, ignore=PAD).item() * asked
            count += asked
    return total / count
