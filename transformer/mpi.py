"""Ranks as the processes that mpirun starts. mpi4py is imported when there are several, and not before.

Arrays go as plain messages from rank to rank, so no collective of the library decides on an order of summation. What
MPI itself does not notice, a rank that is stopped or a machine that is gone, a heartbeat does: every rank tells the
next that it lives, and listens to the one before.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.communicator import LOCAL, Communicator, RanksError

__all__ = ["Heartbeat", "MpiCommunicator", "launched", "world"]

Array = NDArray[Any]

INTERVAL = 0.25  # seconds from beat to beat
SILENCE = 10.0  # seconds without one, after which a rank counts as lost
URGENT = 1.5  # the same where mpirun has asked to end: a second later it ends everybody by force
EAGER = 200e-6  # seconds of waiting with open eyes; then in naps, as another rank may want the core,
NAP = 0.05  # each of this share of what was waited for so far, so that it adds no more than that


def launched() -> tuple[int, int]:
    """(rank, size) as mpirun has told this process, Open MPI's or MPICH's; (0, 1) where none started it."""
    for size, rank in (("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK")):
        if os.environ.get(size, "").isdigit():
            return int(os.environ.get(rank, "0")), int(os.environ[size])
    return 0, 1


def world() -> Communicator:
    """All ranks that were started together. Raises RanksError where they cannot hear each other."""
    _, size = launched()
    if size == 1:
        return LOCAL
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # the latter where it finds no MPI library
        raise RanksError(
            f"mpirun started {size} processes, which need mpi4py to work together ({error}): "
            "pip install 'tinygrad_edu[mpi]', or start one process without mpirun"
        ) from None
    if MPI.COMM_WORLD.size != size:
        raise RanksError(
            f"mpirun started {size} processes, but mpi4py sees {MPI.COMM_WORLD.size}: they are of two MPIs; "
            "put the mpirun first on PATH that belongs to the MPI library of `python -m mpi4py --mpi-lib-version`"
        )
    return MpiCommunicator(MPI)


class MpiCommunicator(Communicator):
    """The ranks of MPI.COMM_WORLD; MPI is mpi4py's module."""

    def __init__(self, MPI: Any) -> None:
        super().__init__()
        self.MPI, self.comm = MPI, MPI.COMM_WORLD.Dup()
        self.rank, self.size = self.comm.rank, self.comm.size
        self.pulse = MPI.COMM_WORLD.Dup()
        self.beats: list[Any] = []
        self.heartbeat = Heartbeat(self.beat, self.heard, self.lost)
        if MPI.Query_thread() == MPI.THREAD_MULTIPLE:
            self.heartbeat.start()

    def begin(self, outgoing: Sequence[Array], incoming: Sequence[Array]) -> Callable[[], None]:
        others = [(self.rank + step) % self.size for step in range(1, self.size)]
        requests = [self.comm.Irecv([incoming[r], self.MPI.BYTE], r) for r in others if incoming[r].size]
        requests += [self.comm.Isend([outgoing[r], self.MPI.BYTE], r) for r in others if outgoing[r].size]
        incoming[self.rank][...] = outgoing[self.rank]

        def wait() -> None:
            started = time.perf_counter()
            while not self.MPI.Request.Testall(requests):
                waited = time.perf_counter() - started
                time.sleep(0.0 if waited < EAGER else NAP * waited)

        return wait

    def abort(self, code: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.MPI.COMM_WORLD.Abort(code)

    def close(self, code: int) -> None:
        super().close(code)
        self.gather(np.zeros(1))  # nobody's heart stops before all have come here
        self.heartbeat.stop()
        self.gather(np.zeros(1))
        self.heard()

    def beat(self) -> None:
        self.beats = [each for each in self.beats if not each.Test()]
        self.beats.append(self.pulse.Isend([b"\0", self.MPI.BYTE], (self.rank + 1) % self.size))

    def heard(self) -> bool:
        found = False
        while self.pulse.Iprobe((self.rank - 1) % self.size):
            self.pulse.Recv([bytearray(1), self.MPI.BYTE], (self.rank - 1) % self.size)
            found = True
        return found

    def lost(self, silent: float) -> bool:
        """Has the rank before been silent for too long? Then everything ends here."""
        if silent < (URGENT if self.warned else SILENCE):
            return False
        print(
            f"rank {(self.rank - 1) % self.size} of {self.size} has been silent for {silent:.1f} s: it was killed or "
            "stopped, or its machine is gone. All ranks end; what was saved is whole. To go on, on any number of "
            "processes: python -m transformer train --resume",
            file=sys.stderr,
        )
        self.abort(1)
        return True


class Heartbeat:
    """A thread that calls `beat` at every interval, and `lost` with the seconds since `heard` last said yes.

    It ends when lost() is true.
    """

    def __init__(
        self, beat: Callable[[], None], heard: Callable[[], bool], lost: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.beat, self.heard, self.lost, self.clock = beat, heard, lost, clock
        self.last = clock()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self.last = self.clock()
        self.thread.start()

    def run(self) -> None:
        while not self.ended.wait(INTERVAL) and not self.look():
            pass

    def look(self) -> bool:
        """One beat, and one look at the other's; is it lost?"""
        self.beat()
        if self.heard():
            self.last = self.clock()
        return self.lost(self.clock() - self.last)

    def stop(self) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
