"""Sweeps: the same training with some settings varied, side by side; and two runs compared.

Each combination is a run of its own in runs/SWEEP/, so that a sweep that was stopped goes on where it was.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformer.checkpoint import write_atomically
from transformer.config import PARTS, TransformerConfig
from transformer.metrics import flat, read_metrics
from transformer.plan import TrainConfig
from transformer.report import percent
from transformer.runs import settings_of
from transformer.train import Outcome, resume, train

__all__ = ["Row", "comparison", "sweep", "table", "varied", "variations"]

Settings = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """One combination of settings but for the seed. right, loss: mean and standard deviation over the seeds."""

    settings: Settings
    runs: int
    right: tuple[float, float]
    loss: tuple[float, float]
    parameters: int
    seconds: float  # mean


def variations(wishes: Sequence[str], ablate: bool = False) -> dict[str, list[Any]]:
    """What --vary NAME=VALUE,VALUE asks for, by name, with values of the setting's own type.

    ablate: also without each part in turn. Raises ValueError for a name that is no setting or a value of another type.
    """
    fields = {field.name: field for field in (*dataclasses.fields(TransformerConfig), *dataclasses.fields(TrainConfig))}
    found: dict[str, list[Any]] = {}
    for wish in wishes:
        name, equals, values = wish.partition("=")
        name = name.replace("-", "_")
        if not equals or not values:
            raise ValueError(f"--vary {wish}: write NAME=VALUE,VALUE, as in --vary num_layers=1,2,4")
        if name not in fields or name in ("model", "task", "without"):
            raise ValueError(f"--vary {wish}: {name} is no setting of a model or a run")
        default = fields[name].default
        found[name] = [typed(name, value, default) for value in values.split(",")]
    return found | ({"without": [(), *((part,) for part in PARTS)]} if ablate else {})


def typed(name: str, value: str, default: Any) -> Any:
    """The value as the setting has it."""
    if isinstance(default, bool):
        if value not in ("True", "False"):
            raise ValueError(f"--vary {name}={value}: write True or False")
        return value == "True"
    kind = type(default) if isinstance(default, int | float) else int if default is dataclasses.MISSING else str
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"--vary {name}={value}: {value!r} is no {kind.__name__}") from None


def varied(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The configuration with some settings of the model and the run replaced."""
    model = {name: value for name, value in settings.items() if hasattr(config.model, name)}
    run = {name: value for name, value in settings.items() if name not in model}
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **model), **run)


def sweep(
    config: TrainConfig, vary: Mapping[str, Sequence[Any]], folder: Path,
    tell: Callable[[str, Outcome], None] = lambda name, outcome: None,
) -> list[Row]:  # fmt: skip
    """Train every combination into a folder of its own; those that are there already are finished or only read.

    All combinations are checked before the first is trained. Writes sweep.json with all rows. A run that was
    interrupted ends the sweep: KeyboardInterrupt.
    """
    combinations = [dict(zip(vary, values, strict=True)) for values in itertools.product(*vary.values())]
    plans = [(name_of(settings), settings, varied(config, settings)) for settings in combinations]
    groups: dict[str, list[tuple[Settings, Outcome]]] = {}
    for name, settings, plan in plans:
        place = folder / name
        begun = (place / "config.json").exists()
        outcome = resume(place, progress=False) if begun else train(plan, place, progress=False)
        if outcome.test is None:
            raise KeyboardInterrupt
        tell(name, outcome)
        apart = {key: value for key, value in settings.items() if key != "seed"}
        groups.setdefault(name_of(apart), []).append((apart, outcome))
    rows = [row_of(members) for members in groups.values()]
    content = json.dumps([dataclasses.asdict(row) for row in rows], indent=1) + "\n"
    write_atomically(folder / "sweep.json", content.encode())
    return rows


def name_of(settings: Mapping[str, Any]) -> str:
    """A folder's name: num_layers=2,seed=0."""
    return ",".join(f"{name}={text_of(value)}" for name, value in settings.items()) or "run"


def text_of(value: Any) -> str:
    return ("+".join(value) or "nothing") if isinstance(value, tuple | list) else str(value)


def row_of(members: Sequence[tuple[Settings, Outcome]]) -> Row:
    outcomes = [outcome for _, outcome in members]
    return Row(
        settings=members[0][0],
        runs=len(members),
        right=spread([outcome.test.accuracy for outcome in outcomes if outcome.test is not None]),
        loss=spread([outcome.epochs[-1].validation_loss for outcome in outcomes]),
        parameters=outcomes[0].parameters,
        seconds=statistics.mean(outcome.seconds for outcome in outcomes),
    )


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; of a single value 0."""
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def table(rows: Sequence[Row]) -> str:
    """A line for each row, the best last."""
    lines = [("setting", "runs", "right", "validation loss", "parameters", "seconds")]
    for row in sorted(rows, key=lambda row: (row.right[0], -row.loss[0])):
        right, loss = percent(row.right[0]), f"{row.loss[0]:.4f}"
        if row.runs > 1:  # one run tells nothing of the spread
            right, loss = f"{right} ± {100 * row.right[1]:.2f}", f"{loss} ± {row.loss[1]:.4f}"
        lines.append(
            (name_of(row.settings), str(row.runs), right, loss, f"{row.parameters:,}", f"{row.seconds:.1f}")
        )  # fmt: skip
    return aligned(lines)


def comparison(folders: Sequence[Path], tell: Callable[[str], None] = lambda line: None) -> str:
    """Runs side by side: the settings that differ, and what their last epochs measured.

    `tell` hears of a configuration that could not be read, and was taken from a checkpoint.
    """
    configs = [flat(settings_of(folder, tell)) for folder in folders]
    names = dict.fromkeys(name for config in configs for name in config)
    lines = [("", *(folder.name for folder in folders))]
    for name in names:
        values = [config.get(name, "-") for config in configs]
        if any(value != values[0] for value in values):
            lines.append((name, *map(str, values)))
    epochs = [read_metrics(folder / "metrics.jsonl") for folder in folders]
    lines.append(("epochs done", *(str(len(each)) for each in epochs)))
    measured: dict[str, Callable[[dict[str, Any]], str]] = {
        "train loss": lambda line: f"{line['train_loss']:.4f}",
        "validation loss": lambda line: f"{line['validation_loss']:.4f}",
        "validation accuracy": lambda line: percent(line["validation_accuracy"]),
    }
    for name, write in measured.items():
        lines.append((name, *(write(each[-1]) if each else "-" for each in epochs)))
    lines.append(("seconds", *(f"{sum(line['seconds'] for line in each):.1f}" for each in epochs)))
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    texts = []
    for first, *rest in lines:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        texts.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(texts)
