"""Training a model into a run's folder, from the start or from where it was stopped.

The loop itself is in loop.py, the folder in runs.py; what a run depends on stands in plan.py. Of several ranks that
train together rank 0 alone reads and writes; the others follow (ranks.py).
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transformer.checkpoint import CheckpointError, remove_stale, save_model, save_tensors, write_atomically
from transformer.communicator import LOCAL, Communicator
from transformer.evaluate import Evaluation
from transformer.examining import examined
from transformer.loop import Loop, TrainingError, fit
from transformer.metrics import Epoch
from transformer.model import Transformer
from transformer.plan import TrainConfig, refuse_if_too_large
from transformer.runs import find_run, folder_of_a_run, load_run, load_state, locked, new_run, save_state
from transformer.tasks import make_splits

__all__ = [
    "Epoch",
    "Outcome",
    "TrainConfig",
    "TrainingError",
    "find_run",
    "fit",
    "followed",
    "signals_between_steps",
    "started",
    "new_run",
    "resume",
    "train",
]

OnEpoch = Callable[[Epoch], None] | None
SAVE_EVERY = 60.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """A run: its epochs, and unless it was interrupted the best checkpoint's answers to the test questions.

    signal: the number of the signal that interrupted it, SIGINT for Ctrl-C.
    """

    folder: Path
    parameters: int
    epochs: list[Epoch]
    test: Evaluation | None
    signal: int | None = None

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


def train(
    config: TrainConfig, folder: Path, on_epoch: OnEpoch = None, progress: bool = True, comm: Communicator = LOCAL
) -> Outcome:
    """Train a model into a new folder, which is made when all is ready to start, and goes again if nothing was saved.

    Ctrl-C and SIGTERM end the step, save, and return without a test; `resume` goes on. progress: a bar on stderr, if
    that is a terminal. comm: on its rank 0 alone, while all others follow. Raises TooLargeError, TrainingError,
    OSError; FileExistsError where another run took the folder meanwhile, BlockingIOError where another process trains
    in it.
    """
    there = folder.exists()
    refuse_if_too_large(config)
    loop = started(config, comm)
    with folder_of_a_run(folder, there), followed(loop):
        return finished(loop, folder, on_epoch, progress)


def resume(
    folder: Path, on_epoch: OnEpoch = None, progress: bool = True, tell: Callable[[str], None] = lambda line: None,
    comm: Communicator = LOCAL,
) -> Outcome:  # fmt: skip
    """Go on with a run that was stopped, in whatever way: what comes out is bit for bit what it would have been.

    It goes on from the last state that was saved and is whole; `tell` hears of those that are not. Stopped before the
    first, it starts anew by its config.json; trained to its end, it is only tested again. The number of ranks may be
    another one; with `deterministic` that changes nothing either.
    Raises what `train` raises, CheckpointError and FileNotFoundError.
    """
    with locked(folder):
        saved = load_state(folder, tell)
        try:
            about = json.loads((folder / "config.json").read_bytes()) if saved is None else saved[1]["training"]
            config = TrainConfig.from_dict(about)
            refuse_if_too_large(config)
            loop = started(config, comm)
            if saved is not None:
                loop.restore(*saved)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: its state fits no training of this program: {error}") from None
        with followed(loop):
            return finished(loop, folder, on_epoch, progress, tell)


def started(config: TrainConfig, comm: Communicator) -> Loop:
    """Before the first step."""
    splits = make_splits(config.task, config.seed, config.decoder, config.counted)
    return Loop(Transformer(config.model, seed=config.seed), splits, config, comm)


def finished(
    loop: Loop, folder: Path, on_epoch: OnEpoch, progress: bool, tell: Callable[[str], None] = lambda line: None
) -> Outcome:
    """Train on to the end and test; everything that is worth keeping goes into the folder, which is locked."""
    config, model = loop.config, loop.model
    best, last = folder / "best.safetensors", folder / "last.safetensors"
    caught = None
    remove_stale(folder)
    write_atomically(folder / "config.json", (json.dumps(config.to_dict(), indent=2) + "\n").encode())
    write_metrics(folder, loop)  # a crash may have come between the state and the metrics
    try:
        with signals_between_steps(loop.comm) as check, bar(loop, progress) as show:
            saved = time.monotonic()

            def on_step(loss: float) -> None:
                nonlocal saved
                show(len(loop.epochs), loss)
                check()
                if time.monotonic() - saved > SAVE_EVERY:
                    save_state(folder, loop)
                    saved = time.monotonic()

            for epoch in loop.run(on_step):
                facts = about(config, epoch.epoch)
                with loop.weights():
                    if epoch.rank >= max(earlier.rank for earlier in loop.epochs):
                        save_model(best, model, **facts)
                    save_model(last, model, **facts)
                save_state(folder, loop)
                write_metrics(folder, loop)
                if on_epoch is not None:
                    on_epoch(epoch)
                check()
        loop.comm.together = False
    except KeyboardInterrupt as stop:
        caught = getattr(stop, "number", signal.SIGINT)
        loop.comm.together &= not getattr(stop, "agreed", False)
        if loop.whole:
            save_state(folder, loop)
        with loop.weights():
            save_model(last, model, **about(config, len(loop.epochs)))
    found = None
    if caught is None:
        try:
            found = examined(load_run(folder, None, tell)[0], loop.splits["test"], config.task)
        except KeyboardInterrupt:  # what was trained is saved already
            caught = signal.SIGINT
    return Outcome(folder, model.num_parameters(), loop.epochs, found, caught)


def about(config: TrainConfig, epoch: int) -> dict[str, Any]:
    """What a checkpoint says beside the weights."""
    return {"training": config.to_dict(), "epoch": epoch, "vocabulary": list(config.task.vocabulary.tokens)}


def write_metrics(folder: Path, loop: Loop) -> None:
    """What the epochs so far measured: numbers as lines of JSON, and how the embeddings moved."""
    save_tensors(folder / "history.safetensors", {str(epoch): table for epoch, table in loop.moments.items()}, {})
    lines = [json.dumps(dataclasses.asdict(epoch)) + "\n" for epoch in loop.epochs]
    write_atomically(folder / "metrics.jsonl", "".join(lines).encode())


# Ranks --------------------------------------------------------------------------------------------


@contextmanager
def followed(loop: Loop) -> Iterator[None]:
    """All other ranks get what this one starts with, and make the same steps.

    They are no longer together when all ended at the same place: after the last step, or by what raised on all of them.
    """
    comm = loop.comm
    if comm.size > 1:
        comm.together = True
        comm.words_of_first({"training": loop.config.to_dict()})
        tensors, about = loop.state()
        comm.arrays_of_first(tensors)
        comm.words_of_first(about)
    try:
        loop.refuse_if_dealt_differently()
        yield
    except TrainingError:
        comm.together = False
        raise


# Signals and progress -----------------------------------------------------------------------------


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM: the number says which. agreed: by all ranks, at the same place."""

    def __init__(self, number: int, agreed: bool = False) -> None:
        super().__init__(number)
        self.number, self.agreed = number, agreed


@contextmanager
def signals_between_steps(comm: Communicator) -> Iterator[Callable[[], None]]:
    """Ctrl-C and SIGTERM take effect where the caller checks, so that no step is left half done, or at the end; a
    second one at once. What one rank has caught, all have: they check at the same places.
    """
    caught: list[int] = []

    def note(number: int, _: Any) -> None:
        caught.append(number)
        comm.warned = True
        if len(caught) > 1:
            raise Interrupted(number)

    def check() -> None:
        number = int(comm.gather(np.array([caught[0] if caught else 0])).max())
        if number:
            raise Interrupted(number, agreed=True)

    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: signals do not arrive here
        yield check
        check()
        return
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    check()  # one that came after the last step


@contextmanager
def bar(loop: Loop, wanted: bool) -> Iterator[Callable[[int, float], None]]:
    """A progress bar, as a function of the epochs done and the loss; nothing where stderr is no terminal."""
    if not (wanted and sys.stderr is not None and sys.stderr.isatty()):
        yield lambda done, loss: None
        return
    from tqdm import tqdm

    total = loop.config.epochs * loop.config.steps_per_epoch
    with tqdm(total=total, initial=loop.optimizer.steps, unit="step", leave=False) as steps:

        def show(done: int, loss: float) -> None:
            steps.set_description(f"epoch {done + 1}/{loop.config.epochs}, loss {loss:.4f}", refresh=False)
            steps.update()

        yield show
