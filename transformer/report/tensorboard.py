"""A run's numbers as TensorBoard events, for those who keep their curves there. Needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_events"]


def write_events(metrics: Sequence[Mapping[str, Any]], folder: Path) -> int:
    """Write every number of every epoch as a scalar, tags like operations/Max; returns how many were written.

    Raises ModuleNotFoundError where tensorboardX is not installed.
    """
    from tensorboardX import SummaryWriter

    count = 0
    with SummaryWriter(str(folder)) as writer:
        for line in metrics:
            for tag, value in scalars(line):
                writer.add_scalar(tag, value, line["epoch"])
                count += 1
    return count


def scalars(line: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of one epoch; what is a table itself gets a tag for each entry."""
    for name, value in line.items():
        if isinstance(value, Mapping):
            for part, number in value.items():
                yield f"{name}/{part.replace(', ', '/').replace(' ', '_')}", number
        elif name != "epoch":
            yield name, value
