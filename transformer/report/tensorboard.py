"""A run's numbers as TensorBoard events, for those who keep their curves there. Needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformer.metrics import flat

__all__ = ["write_events"]


def write_events(metrics: Sequence[Mapping[str, Any]], folder: Path) -> int:
    """Write every number of every epoch as a scalar, tags like operations/Max; returns how many were written.

    Raises ModuleNotFoundError where tensorboardX is not installed.
    """
    from tensorboardX import SummaryWriter

    count = 0
    with SummaryWriter(str(folder)) as writer:
        for line in metrics:
            for name, value in flat(line).items():
                if name != "epoch":
                    tag = name.replace(".", "/", 1).replace(", ", "/").replace(" ", "_")
                    writer.add_scalar(tag, value, line["epoch"])
                    count += 1
    return count
