"""How the ranks that mpirun starts begin, work and end together."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from transformer.communicator import Communicator, RanksError
from transformer.loop import TrainingError
from transformer.mpi import launched, world
from transformer.plan import TrainConfig
from transformer.train import Interrupted, signals_between_steps, started

__all__ = ["follow", "on_all_ranks"]


def on_all_ranks(command: Callable[[Communicator], int], prepare: Callable[[], object] = lambda: None) -> int:
    """Run the command on rank 0, which alone reads and writes, while the others follow it; returns its exit code.

    What ends one rank alone ends all of them. One process that no mpirun started just runs the command.
    """
    try:
        comm = world()
    except RanksError as error:
        if launched()[0] == 0:  # it is the same everywhere, and said once
            print(error, file=sys.stderr)
            return 2
        return 0
    if comm.size == 1:
        return command(comm)
    try:
        code = command(comm) if comm.rank == 0 else follow(comm, prepare)
    except BaseException as error:
        traceback.print_exc()
        print(f"rank {comm.rank} of {comm.size} ends, and with it all others: {error!r}", file=sys.stderr)
        comm.abort(1)
        raise
    comm.close(code)
    return code


def follow(comm: Communicator, prepare: Callable[[], object] = lambda: None) -> int:
    """What every rank but the first does: make the steps of each training that rank 0 starts, until it says the end.

    prepare: called before each, to make its task known. Returns the exit code that rank 0 ended with.
    """
    while "end" not in (told := comm.words_of_first()):
        comm.together = True
        prepare()
        loop = started(TrainConfig.from_dict(told["training"]), comm)
        loop.restore(comm.arrays_of_first(), comm.words_of_first())
        try:
            loop.refuse_if_dealt_differently()
            with signals_between_steps(comm) as check:
                for _ in loop.run(lambda loss: check()):
                    check()
        except TrainingError:  # on all ranks; the first tells of it
            pass
        except Interrupted as stop:
            if not stop.agreed:
                raise
        comm.together = False
    return int(told["end"])
