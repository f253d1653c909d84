"""What each epoch measured: a line of metrics.jsonl, written by the loop and read by everything that looks back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformer.checkpoint import CheckpointError

__all__ = ["Epoch", "flat", "read_metrics"]


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured. Accuracies are shares in 0..1."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    operations: dict[str, float]  # validation accuracy of each
    lr: float  # of the last step
    gradient_norm: float  # before clipping, mean over the steps
    seconds: float  # the one number that the seed does not settle
    gradient_norms: dict[str, float] = field(default_factory=dict)  # of each layer, in the last step, before clipping
    update_ratios: dict[str, float] = field(default_factory=dict)  # of each layer, in the last step
    attention_entropy: dict[str, float] = field(default_factory=dict)  # of each head, on held-out examples, in nats

    @property
    def rank(self) -> tuple[float, float]:
        """What makes an epoch the best."""
        return self.validation_accuracy, -self.validation_loss

    @classmethod
    def from_dict(cls, values: Any) -> Epoch:
        """What dataclasses.asdict took apart. Raises ValueError for anything that no epoch measures."""
        fields = {one.name: one for one in dataclasses.fields(cls)}
        needed = {name for name, one in fields.items() if one.default_factory is dataclasses.MISSING}
        if not isinstance(values, Mapping) or not needed <= set(values) <= set(fields):
            raise ValueError(f"it must have {', '.join(sorted(needed))}")
        for name, value in values.items():
            parts: Mapping[str, Any] = {name: value}
            if name not in needed or name == "operations":
                parts = value if isinstance(value, Mapping) else {name: None}
            for part, number in parts.items():
                if type(number) not in (int, float) or not math.isfinite(number):
                    raise ValueError(f"{part} must be a finite number")
        if type(values["epoch"]) is not int:
            raise ValueError("epoch must be a whole number")
        return cls(**values)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The epochs of a metrics.jsonl, a table each. A last line that a crash cut off is left out.

    Raises CheckpointError naming the line that is no epoch.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            values = error
        try:
            epoch = Epoch.from_dict(values)
            if epoch.epoch != number:
                raise ValueError(f"epoch {epoch.epoch} stands where {number} was due")
        except ValueError as error:
            raise CheckpointError(
                f"{path}, line {number}: no epoch of a training: {error}; train --resume writes the file anew"
            ) from None
        found.append(values)
    return found


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """{"model": {"norm": "pre"}} as {"model.norm": "pre"}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {before + name: value}
    return found
