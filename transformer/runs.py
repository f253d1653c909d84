"""A run's folder runs/NAME/: who may write into it, and what a training that was stopped goes on from.

    config.json          what the run depends on
    metrics.jsonl        a line for each epoch             history.safetensors  embeddings after some of them
    best.safetensors     the model of the best epoch     last.safetensors  of the last
    state-N.safetensors  all that step N + 1 depends on; the newest few are kept, should one be damaged
    curves.svg           drawn at the end

Every file is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from transformer.checkpoint import Array, CheckpointError, load_model, load_tensors, save_tensors
from transformer.loop import Loop
from transformer.model import Transformer
from transformer.plan import TrainConfig, refuse_if_too_large

__all__ = [
    "find_run",
    "folder_of_a_run",
    "load_moments",
    "load_run",
    "load_state",
    "locked",
    "new_run",
    "save_state",
    "settings_of",
    "states",
]

Tell = Callable[[str], None]
KEPT = 3  # states
PATTERN = r"state-([0-9]+)\.safetensors"
MODELS = "*st.safetensors"  # best and last


def new_run(runs: Path, name: str | None, kind: str) -> Path:
    """runs/NAME, which must not be there yet; without a name KIND-1, KIND-2, …"""
    if name is not None:
        folder = runs / checked(name)
        if folder.exists():
            raise FileExistsError(f"{folder} is there already; choose another name, or go on with it by --resume")
        return folder
    taken = [re.fullmatch(rf"{kind}-(\d+)", path.name) for path in runs.glob(f"{kind}-*")]
    return runs / f"{kind}-{1 + max((int(match[1]) for match in taken if match), default=0)}"


def find_run(runs: Path, name: str | None = None, file: str = MODELS) -> Path:
    """runs/NAME, or the run that was saved to last; it holds a `file`, which may be a pattern.

    Raises FileNotFoundError that says what there is.
    """
    files = (path for path in runs.glob(f"*/{file}") if path.exists())  # a link may lead nowhere
    there = sorted((path.stat().st_mtime_ns, path.parent.name) for path in files)
    names = list(dict.fromkeys(found for _, found in there))
    if name is None and there:
        return runs / names[-1]
    if name is not None and checked(name) in names:
        return runs / name
    if not there:
        raise FileNotFoundError(f"no trained model in {runs}/; train one first: python -m transformer train")
    raise FileNotFoundError(f"no run {name!r} in {runs}/; there are {', '.join(names)}")


def checked(name: str) -> str:
    if not re.fullmatch(r"\w[\w.,=+-]*", name):
        raise ValueError(f"run name {name!r}: use letters, digits and . , = _ + -")
    return name


@contextmanager
def folder_of_a_run(folder: Path, there: bool) -> Iterator[None]:
    """Make the folder, unless it was there before; a run that ends before it has saved a model leaves no trace."""
    try:
        folder.mkdir(parents=True, exist_ok=there)
    except FileExistsError:
        raise FileExistsError(f"{folder} is there already; choose another name") from None
    try:
        with locked(folder):
            yield
    except BaseException:
        if not there and not (folder / "last.safetensors").exists():
            for name in ("config.json", "metrics.jsonl", "history.safetensors", "best.safetensors"):
                (folder / name).unlink(missing_ok=True)
            for state in states(folder):
                state.unlink()
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One trainer to a folder. The system lets the lock go when the process ends, however it ends.

    Raises BlockingIOError while another process, or another call in this one, holds it. Without fcntl (on Windows), and
    on file systems that know no locks, nobody is kept out.
    """
    try:
        import fcntl
    except ModuleNotFoundError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"{folder}: another process is training there; wait for it, or stop it") from None
        except OSError:  # no locks here
            pass
        yield
    finally:
        os.close(handle)


def states(folder: Path) -> list[Path]:
    """The states of a run, oldest first."""
    named = [(match, path) for path in folder.iterdir() if (match := re.fullmatch(PATTERN, path.name))]
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if path.is_file())]


def save_state(folder: Path, loop: Loop) -> None:
    """Write the state of a loop between two steps, then let the oldest go."""
    tensors, about = loop.state()
    save_tensors(folder / f"state-{loop.optimizer.steps:08}.safetensors", tensors, about)
    for old in states(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def load_state(folder: Path, tell: Tell) -> tuple[dict[str, Array], dict[str, Any]] | None:
    """The newest state that is whole; None where none was saved yet.

    One that is damaged is put aside as damaged-state-N, and `tell` told why. Raises CheckpointError if all are.
    """
    found = states(folder)
    for path in reversed(found):
        try:
            return load_tensors(path)
        except CheckpointError as error:
            aside = path.with_name(f"damaged-{path.name}")
            os.replace(path, aside)
            tell(f"{error}; put aside as {aside.name}")
    if found:
        raise CheckpointError(f"{folder}: all of its {len(found)} states are damaged; train under another name")
    return None


# Looking back -------------------------------------------------------------------------------------


def load_run(folder: Path, wanted: str | None, tell: Tell) -> tuple[Transformer, TrainConfig, Path]:
    """The model of a checkpoint, "best" or "last", what it was trained with, and the file.

    Without a wish it is the best; where that is missing or damaged the last, or else the newest state that is whole,
    and `tell` hears why. Raises CheckpointError, FileNotFoundError, TooLargeError, ValueError for an unknown task.
    """
    if wanted is not None:
        path = folder / f"{wanted}.safetensors"
        if not path.exists():
            raise FileNotFoundError(f"{without(path)}; try --checkpoint last")
        return *opened(path), path
    troubles = []
    for path in (folder / "best.safetensors", folder / "last.safetensors", *reversed(states(folder))):
        if not path.exists():
            troubles.append(without(path))
            continue
        try:
            model, config = opened(path)
        except CheckpointError as error:
            troubles.append(str(error))
            continue
        if troubles:
            tell(f"{troubles[0]}; this is {path.name}")
        return model, config, path
    raise CheckpointError(f"{troubles[0]}; nor is there another checkpoint of the run that is whole")


def without(path: Path) -> str:
    return f"{path.parent} has no {path.name}, as after Ctrl-C in the first epoch"


def opened(path: Path) -> tuple[Transformer, TrainConfig]:
    model, about = load_model(path)
    try:
        config = TrainConfig.from_dict(about["training"], about["vocabulary"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: it was not written by a training run: {error}") from None
    except ValueError as error:  # not damage: another checkpoint of the run would say the same
        raise ValueError(f"{path}: {error}") from None
    if config.model != model.config:
        raise CheckpointError(f"{path}: its model is not the one that its training is of")
    refuse_if_too_large(config)
    return model, config


def load_moments(folder: Path, shape: tuple[int, ...], tell: Tell) -> list[tuple[int, Array]]:
    """The embedding tables after some epochs, oldest first; none, and `tell` hears why, where they cannot be read."""
    path = folder / "history.safetensors"
    try:
        tables = load_tensors(path)[0]
        if not all(re.fullmatch("[0-9]{1,18}", name) and table.shape == shape for name, table in tables.items()):
            raise CheckpointError(f"{path}: its tables are not those of the model")
    except (CheckpointError, FileNotFoundError) as error:
        tell(f"{error}; without it nothing shows how the embeddings moved")
        return []
    return sorted((int(epoch), table) for epoch, table in tables.items())


def settings_of(folder: Path, tell: Tell) -> dict[str, Any]:
    """What a run was started with, as TrainConfig.to_dict gives it: from config.json, or else from a checkpoint."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it is no table")
    except (OSError, ValueError, RecursionError) as error:
        _, config, instead = load_run(folder, None, tell)
        tell(f"{path}: it cannot be read: {error}; this is from {instead.name}")
        return config.to_dict()
    return found
