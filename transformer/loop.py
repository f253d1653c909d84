"""The training loop, which can stop after any step and go on as if it never had.

One seed settles the weights, the splits, the order of the examples and what dropout draws. All else that the next step
depends on is the loop's state: parameters, the optimiser's averages, the place in the epoch. `state` takes it out,
`restore` puts it back, and the steps that follow are the same bit for bit.

Several ranks can make the steps together. Each has the whole model and the whole state, draws the same batches and
computes a part of every gradient and of every measurement; the sums are the same on all, and so is what comes of them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import detect_anomaly, errors, optim
from transformer import moments
from transformer.communicator import LOCAL, Communicator, fingerprint
from transformer.examining import examined, mean_loss
from transformer.gradients import BatchGradient
from transformer.metrics import Epoch
from transformer.model import Transformer
from transformer.optimisation import make_optimizer, make_schedule
from transformer.plan import TrainConfig
from transformer.tasks import Batch, Split

LAYERS = ("gradient_norms", "update_ratios")  # what an epoch's last step measures of each layer

__all__ = ["Epoch", "Loop", "TrainingError", "fit"]

Array = NDArray[Any]


class TrainingError(RuntimeError):
    """Training cannot go on; what was saved before is kept."""


class Loop:
    """A model in training, between two steps.

    losses, norms  of the steps of this epoch so far; their number is the place in the epoch
    right          how many examples of this epoch were answered rightly
    layers         gradient_norms and update_ratios, measured in the epoch's last step
    moments        the embedding table (V, D) after some epochs, from 0: the start
    whole          False while a step is being made: what is there then is nothing to save
    """

    def __init__(
        self, model: Transformer, splits: Mapping[str, Split], config: TrainConfig, comm: Communicator = LOCAL
    ) -> None:
        self.model, self.splits, self.config, self.comm = model, splits, config, comm
        self.parameters = model.named_parameters()
        self.gradient = BatchGradient(model, self.parameters, config, comm)
        self.optimizer = make_optimizer(config, self.parameters)
        self.average = optim.MovingAverage(self.parameters, config.average) if config.average else None
        self.epochs: list[Epoch] = []
        self.layers: dict[str, dict[str, float]] = {}
        self.moments = {0: model.embedding.weight.numpy()}
        self.whole = True
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.right, self.seconds = 0, 0.0
        self.optimizer.schedule = make_schedule(self.config, [epoch.validation_loss for epoch in self.epochs])

    @property
    def over(self) -> bool:
        """All epochs are done, or `patience` of them and one more have brought nothing better."""
        watch = optim.EarlyStopping(self.config.patience)
        late = [watch.report(epoch.validation_loss) for epoch in self.epochs]
        return len(self.epochs) >= self.config.epochs or bool(self.config.patience and any(late))

    def taught(self) -> Split:
        """What this epoch's examples are drawn from: all for training, or the shorter of them."""
        train = self.splits["train"]
        if not self.config.curriculum:
            return train
        share = (len(self.epochs) + 1) / (self.config.curriculum * self.config.epochs)
        return train if share >= 1 else train.easiest(share)

    def weights(self) -> AbstractContextManager[None]:
        """Within it the model has the weights that are measured and saved: their moving average, if there is one."""
        return nullcontext() if self.average is None else self.average.applied()

    def run(self, on_step: Callable[[float], None] | None = None) -> Iterator[Epoch]:
        """Train to the end, one epoch for each item taken. on_step is called with the loss after every whole step.

        Raises TrainingError when a loss, a gradient or a weight is not finite.
        """
        while not self.over:
            started = time.perf_counter() - self.seconds
            train = self.taught()
            draw = np.random.default_rng([self.config.seed, len(self.epochs) + 1])
            batches = train.batches(self.config.batch_size, train.sample(self.config.examples, draw))
            for batch in itertools.islice(batches, len(self.losses), None):
                self.step(batch)
                self.seconds = time.perf_counter() - started
                if on_step is not None:
                    on_step(self.losses[-1])
            with self.weights():
                measured = self.measured(started)
                if moments.is_a_moment(measured.epoch) or measured.epoch == self.config.epochs:
                    self.moments[measured.epoch] = self.model.embedding.weight.numpy()
            self.epochs.append(measured)
            self.begin_epoch()
            yield self.epochs[-1]

    def step(self, batch: Batch) -> None:
        """One step down the gradient of one batch."""
        self.model.train()
        self.whole = False
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # looked for below
                value, right = self.gradient.read(batch, self.optimizer.steps)
                last = len(self.losses) + 1 == self.config.steps_per_epoch
                norms = moments.gradient_norms(self.parameters) if last else {}
                norm = optim.clip_grad_norm(self.parameters, self.config.clip)
        except FloatingPointError as error:  # on all ranks: the sums are the same
            self.diverged(f"{self.place}: {error}", lambda: self.gradient.own(batch, self.optimizer.steps))
        before = self.model.state_dict() if last else {}
        with np.errstate(over="ignore", invalid="ignore"):  # looked for below
            self.optimizer.step()
        for name, parameter in self.parameters:
            if not np.isfinite(parameter.numpy()).all():
                self.diverged(f"{self.place}: it leaves NaN or infinity in {name}")
        self.optimizer.zero_grad()
        if last:
            ratios = moments.update_ratios(before, self.model.state_dict())
            self.layers = dict(zip(LAYERS, (norms, ratios), strict=True))
        if self.average is not None:
            self.average.update()
        self.refuse_if_apart()
        self.right += right
        self.losses.append(value)
        self.norms.append(norm)
        self.whole = True

    @property
    def place(self) -> str:
        return f"epoch {len(self.epochs) + 1}, step {len(self.losses) + 1}"

    def diverged(self, what: str, again: Callable[[], Any] = lambda: None) -> NoReturn:
        """Raise TrainingError, with the operation that made the first NaN or inf from finite numbers in `again`."""
        found = ""
        try:
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"), detect_anomaly():
                again()
        except errors.NonFiniteError as error:
            found = f". It began with {error}"
        found = next(filter(None, self.comm.gather_words(found)), "")
        raise TrainingError(f"{what}; try a smaller lr than {self.config.lr}{found}") from None

    def refuse_if_apart(self) -> None:
        """Raise TrainingError, on all ranks, unless all have the same weights to the last bit."""
        if self.comm.size == 1:
            return
        odd = self.comm.odd_ones(fingerprint(parameter.numpy() for _, parameter in self.parameters))
        if odd:
            raise TrainingError(
                f"{self.place}: the weights of rank {', '.join(map(str, odd))} are no longer those of the other ranks. "
                "What was saved is from before that: --resume goes on from there. If it comes again, the machines, or "
                "their NumPy and BLAS, round differently, or one has bad memory: leave it out"
            )

    def refuse_if_dealt_differently(self) -> None:
        """Raise TrainingError, on all ranks, unless all have the same examples and start with the same weights."""
        arrays = [parameter.numpy() for _, parameter in self.parameters]
        arrays += [array for split in self.splits.values() for array in (split.tokens, split.targets)]
        odd = self.comm.odd_ones(fingerprint(arrays))
        if odd:
            raise TrainingError(
                f"rank {', '.join(map(str, odd))} has other examples, or other weights to start with, than the other "
                "ranks. A task must draw from its rng alone: sets of strings have another order in every process"
            )

    def measured(self, started: float) -> Epoch:
        """What the epoch that has just ended was like; perf_counter() said `started` at its beginning."""
        held, number = self.splits["validation"], len(self.epochs) + 1
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # looked for here
            loss = mean_loss(self.model, held, comm=self.comm)
        if not math.isfinite(loss):
            where = f"epoch {number}, after its last step"
            self.diverged(f"{where}: the validation loss is {loss}", lambda: mean_loss(self.model, held))
        found = examined(self.model, held, self.config.task, self.comm)
        entropy = moments.attention_entropy(self.model, held)
        return Epoch(
            epoch=number,
            train_loss=math.fsum(self.losses) / len(self.losses),
            train_accuracy=self.right / self.config.examples,
            validation_loss=loss,
            validation_accuracy=found.accuracy,
            operations=found.operations,
            lr=self.optimizer.schedule(self.optimizer.steps - 1),
            gradient_norm=math.fsum(self.norms) / len(self.norms),
            attention_entropy={
                f"block {block}, head {head}": float(value) for (block, head), value in np.ndenumerate(entropy)
            },
            **self.layers,
            seconds=time.perf_counter() - started,
        )

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Everything that the next step depends on: arrays by name, and facts that JSON can hold exactly."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in self.optimizer.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        tensors |= {f"embedding.{epoch}": table for epoch, table in self.moments.items()}
        tensors |= {"losses": np.array(self.losses), "norms": np.array(self.norms)}
        return tensors, {
            "training": self.config.to_dict(),
            "vocabulary": list(self.config.task.vocabulary.tokens),
            "epochs": [dataclasses.asdict(epoch) for epoch in self.epochs],
            "layers": self.layers,
            "right": self.right,
            "seconds": self.seconds,
        }

    def restore(self, tensors: Mapping[str, Array], about: Mapping[str, Any]) -> None:
        """Be as the loop was that state() was taken of. Raises KeyError, TypeError or ValueError if it does not fit."""

        def part(name: str) -> dict[str, Array]:
            return {key.removeprefix(name): value for key, value in tensors.items() if key.startswith(name)}

        epochs = [Epoch.from_dict(epoch) for epoch in about["epochs"]]
        losses, norms = tensors["losses"].tolist(), tensors["norms"].tolist()
        right, seconds = int(about["right"]), float(about["seconds"])
        if not len(losses) == len(norms) <= self.config.steps_per_epoch:
            raise ValueError(f"{len(losses)} losses and {len(norms)} norms for {self.config.steps_per_epoch} steps")
        if tensors["losses"].ndim != 1 or tensors["norms"].ndim != 1 or not set(about["layers"]) <= set(LAYERS):
            raise ValueError("losses, norms and layers are not those of an epoch")
        self.model.load_state_dict(part("model."))
        self.optimizer.load_state_dict(part("optimizer."))
        if self.average is not None:
            self.average.load_state_dict(part("average."))
        self.layers = about["layers"]
        self.moments = {int(epoch): table for epoch, table in part("embedding.").items()}
        self.epochs = epochs
        self.begin_epoch()
        self.losses, self.norms, self.right, self.seconds = losses, norms, right, seconds


def fit(
    model: Transformer, splits: Mapping[str, Split], config: TrainConfig, on_step: Callable[[float], None] | None = None
) -> Iterator[Epoch]:
    """Train in place, in memory alone; see Loop.run."""
    return Loop(model, splits, config).run(on_step)


def range_test(
    config: TrainConfig, splits: Mapping[str, Split], highest: float = 1.0, steps: int = 100
) -> optim.RateRange:
    """A model of this configuration, trained for a moment with rates that grow up to `highest`."""
    loop = Loop(Transformer(config.model, seed=config.seed), splits, config)
    train = splits["train"]
    drawn = train.sample(steps * config.batch_size, np.random.default_rng(config.seed))
    batches = train.batches(config.batch_size, drawn)

    def step(lr: float) -> float:
        loop.optimizer.lr = lr
        try:
            loop.step(next(batches))
        except TrainingError:
            return math.nan
        return loop.losses[-1]

    return optim.rate_range(step, highest * 1e-5, highest, steps)
