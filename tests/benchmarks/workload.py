"""What a file in workloads/ declares: a title, the cases, and for each peer a function that builds a case.

A new workload is a new file that defines WORKLOAD; nothing lists it. Peers are imported inside their own builders,
because each runs in a process of its own and any of them may be absent.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OURS = "tinygrad_edu"


class Skipped(Exception):
    """Raised by a builder: this peer does not take part in this case, and why."""


@dataclass(frozen=True)
class Run:
    """One case, built for one peer.

    phases      in order, by name; each receives what the one before returned (the first: None). A phase that
                returns None lets the graph go, and the time for that counts as its own
    check       numbers that every peer must agree on, computed before anything is timed
    operations  by which times are divided
    reset       run after each iteration, off the clock: gradients to None
    extras      further columns, asked when all rounds are done
    clock       CPU seconds spent so far
    """

    phases: Mapping[str, Callable[[Any], Any]]
    check: Callable[[], Sequence[float]]
    operations: int = 1
    reset: Callable[[], None] = lambda: None
    extras: Callable[[], dict[str, str]] = dict
    clock: Callable[[], float] = time.process_time


@dataclass(frozen=True)
class Workload:
    """title, about: the section's heading and its first paragraph. unit: one of UNITS, of all times.

    cases       in the order of the table; `quick` those of a quick run, if not all
    peers       name → builder; ours first. A builder takes the case's name
    agree       largest relative difference from our numbers that `check` forgives
    matrix      a table of cases by peers, for many small cases; otherwise a row for each pair, with its phases
    rivals      the peers that the matrix compares ours with: the best of them
    long        too slow to be repeated often: a third of the rounds, and one iteration each
    work        floating-point operations in matrix products, to be compared with the rate of one alone
    """

    title: str
    about: str
    cases: Sequence[str]
    peers: Mapping[str, Callable[[str], Run]]
    unit: str = "µs"
    quick: Sequence[str] | None = None
    agree: float = 1e-9
    matrix: bool = False
    rivals: Sequence[str] = field(default_factory=tuple)
    long: bool = False
    work: float = 0.0

    def in_turn(self, quick: bool) -> Sequence[str]:
        """The cases of a run."""
        return self.cases if self.quick is None or not quick else self.quick


UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6}
