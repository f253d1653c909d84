"""Training: the loop, and a run's folder around it.

`fit` is the loop alone, in memory. `train` gives it a folder runs/NAME/: the resolved config.json, metrics.jsonl with
a line for each epoch, best.safetensors and last.safetensors. One seed settles the weights, the splits and the order
of the examples: the same seed gives the same numbers, bit for bit. What a run depends on stands in plan.py.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional, optim
from transformer.checkpoint import load_model, remove_stale, save_model, write_atomically
from transformer.evaluate import Evaluation, evaluate
from transformer.generate import answers, inference
from transformer.model import Transformer
from transformer.plan import TrainConfig, refuse_if_too_large
from transformer.tasks import Split, make_splits
from transformer.tokens import PAD

__all__ = ["Epoch", "Outcome", "TrainConfig", "TrainingError", "find_run", "fit", "new_run", "train"]


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


@dataclass(frozen=True)
class Outcome:
    """A run: its epochs, and unless it was interrupted the best checkpoint's answers to the test questions."""

    folder: Path
    parameters: int
    epochs: list[Epoch]
    test: Evaluation | None

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


# The loop -----------------------------------------------------------------------------------------


def fit(
    model: Transformer, splits: Mapping[str, Split], config: TrainConfig, on_step: Callable[[float], None] | None = None
) -> Iterator[Epoch]:
    """Train in place, one epoch for each item taken. on_step is called with the loss after every whole step.

    Raises TrainingError when the loss or a gradient is not finite.
    """
    parameters = model.named_parameters()
    steps = config.epochs * config.steps_per_epoch
    optimizer = optim.Adam(parameters, optim.warmup_cosine(config.lr, min(config.warmup, steps), steps))
    for number in range(1, config.epochs + 1):
        started = time.perf_counter()
        losses, norms, right = [], [], 0
        order = splits["train"].sample(config.examples, np.random.default_rng([config.seed, number]))
        model.train()
        for step, batch in enumerate(splits["train"].batches(config.batch_size, order), 1):
            rate = optimizer.lr
            try:
                with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # looked for below
                    logits = model(batch.tokens)
                    loss = functional.cross_entropy(logits, batch.targets, ignore=PAD)
                    losses.append(finite(loss.item()))
                    loss.backward()
                    norms.append(optim.clip_grad_norm(parameters, config.clip))
            except FloatingPointError as error:
                raise TrainingError(
                    f"epoch {number}, step {step}: {error}; try a smaller lr than {config.lr}"
                ) from None
            optimizer.step()
            optimizer.zero_grad()
            right += int(all_right(logits.numpy(), batch.targets).sum())
            if on_step is not None:
                on_step(losses[-1])
        validation = splits["validation"]
        found = evaluate(validation.examples, answers(model, [example.question for example in validation.examples]))
        yield Epoch(
            epoch=number,
            train_loss=math.fsum(losses) / len(losses),
            train_accuracy=right / config.examples,
            validation_loss=mean_loss(model, validation),
            validation_accuracy=found.accuracy,
            operations=found.operations,
            lr=rate,
            gradient_norm=math.fsum(norms) / len(norms),
            seconds=time.perf_counter() - started,
        )


def finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")
    return loss


def all_right(logits: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.bool]:
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


# The run ------------------------------------------------------------------------------------------


def train(
    config: TrainConfig, folder: Path, on_epoch: Callable[[Epoch], None] | None = None, progress: bool = True
) -> Outcome:
    """Train a model into a new folder, which is made when all is ready to start, and goes again if nothing was saved.

    Ctrl-C ends the step, saves last.safetensors and returns without a test. progress: a bar on stderr, if that is a
    terminal. Raises TooLargeError, TrainingError, OSError; FileExistsError where another run took the folder meanwhile.
    """
    there = folder.exists()
    refuse_if_too_large(config)
    splits = make_splits(config.task, config.seed, config.decoder)
    model = Transformer(config.model, seed=config.seed)
    best, last = folder / "best.safetensors", folder / "last.safetensors"
    epochs: list[Epoch] = []
    with folder_of_a_run(folder, there):
        write_atomically(folder / "config.json", (json.dumps(config.to_dict(), indent=2) + "\n").encode())
        try:
            with (
                interrupts_between_steps() as check,
                bar(config, progress) as show,
                open(folder / "metrics.jsonl", "w") as log,
            ):

                def on_step(loss: float) -> None:
                    show(len(epochs), loss)
                    check()

                for epoch in fit(model, splits, config, on_step):
                    facts = {"training": config.to_dict(), "epoch": epoch.epoch}
                    if epoch.rank >= max((earlier.rank for earlier in epochs), default=epoch.rank):
                        save_model(best, model, **facts)
                    save_model(last, model, **facts)
                    epochs.append(epoch)
                    log.write(json.dumps(dataclasses.asdict(epoch)) + "\n")
                    log.flush()
                    if on_epoch is not None:
                        on_epoch(epoch)
        except KeyboardInterrupt:
            save_model(last, model, training=config.to_dict(), epoch=len(epochs))
            return Outcome(folder, model.num_parameters(), epochs, None)
    test = splits["test"].examples
    try:
        found = evaluate(test, answers(load_model(best)[0], [example.question for example in test]))
    except KeyboardInterrupt:  # what was trained is saved already
        return Outcome(folder, model.num_parameters(), epochs, None)
    return Outcome(folder, model.num_parameters(), epochs, found)


@contextmanager
def folder_of_a_run(folder: Path, there: bool) -> Iterator[None]:
    """Make the folder, unless it was there before; a run that ends before it has saved a model leaves no trace."""
    try:
        folder.mkdir(parents=True, exist_ok=there)
    except FileExistsError:
        raise FileExistsError(f"{folder} is there already; choose another name") from None
    remove_stale(folder)
    try:
        yield
    except BaseException:
        if not there and not (folder / "last.safetensors").exists():
            for name in ("config.json", "metrics.jsonl", "best.safetensors"):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Ctrl-C takes effect where the caller checks, so that no step is left half done, or at the end; a second at once.
    """
    caught = False

    def note(*_: Any) -> None:
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    def check() -> None:
        if caught:
            raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: Ctrl-C does not arrive here
        yield check
        return
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
    check()  # one that came after the last step


@contextmanager
def bar(config: TrainConfig, wanted: bool) -> Iterator[Callable[[int, float], None]]:
    """A progress bar, as a function of the epochs done and the loss; nothing where stderr is no terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda done, loss: None
        return
    from tqdm import tqdm

    with tqdm(total=config.epochs * config.steps_per_epoch, unit="step", leave=False) as steps:

        def show(done: int, loss: float) -> None:
            steps.set_description(f"epoch {done + 1}/{config.epochs}, loss {loss:.4f}", refresh=False)
            steps.update()

        yield show


# Folders ------------------------------------------------------------------------------------------


def new_run(runs: Path, name: str | None, kind: str) -> Path:
    """runs/NAME, which must not be there yet; without a name KIND-1, KIND-2, …"""
    if name is not None:
        folder = runs / checked(name)
        if folder.exists():
            raise FileExistsError(f"{folder} is there already; choose another name")
        return folder
    taken = [re.fullmatch(rf"{kind}-(\d+)", path.name) for path in runs.glob(f"{kind}-*")]
    return runs / f"{kind}-{1 + max((int(match[1]) for match in taken if match), default=0)}"


def find_run(runs: Path, name: str | None = None) -> Path:
    """runs/NAME, or the run that was saved to last. Raises FileNotFoundError that says what there is."""
    there = sorted((path.stat().st_mtime_ns, path.parent.name) for path in runs.glob("*/last.safetensors"))
    if name is None and there:
        return runs / there[-1][1]
    if name is not None and (runs / checked(name) / "last.safetensors").exists():
        return runs / name
    if not there:
        raise FileNotFoundError(f"no trained model in {runs}/; train one first: python -m transformer train")
    raise FileNotFoundError(f"no run {name!r} in {runs}/; there are {', '.join(found for _, found in there)}")


def checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise ValueError(f"run name {name!r}: use letters, digits and . _ + -")
    return name
