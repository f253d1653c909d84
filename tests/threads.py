"""Ranks as threads of this process: the seam of transformer/communicator.py without MPI, for tests of what is on it."""

import queue
import threading

from transformer.communicator import Communicator

SECONDS = 20  # a rank that waits for longer has been forgotten


class Ended(Exception):
    """Another rank has ended all."""


class Board:
    """What all ranks share: a queue from each to each, how many numbers each sent, and who ended them all."""

    def __init__(self, size):
        self.size, self.ended = size, None
        self.queues = {(a, b): queue.Queue() for a in range(size) for b in range(size)}
        self.sent = [0] * size

    def end(self, rank):
        self.ended = rank if self.ended is None else self.ended
        for waiting in self.queues.values():
            waiting.put(None)


class ThreadCommunicator(Communicator):
    def __init__(self, board, rank):
        super().__init__()
        self.board, self.rank, self.size = board, rank, board.size

    def begin(self, outgoing, incoming):
        for other, array in enumerate(outgoing):
            if array.size:
                self.board.queues[self.rank, other].put(array.copy())
                self.board.sent[self.rank] += array.size * (other != self.rank)

        def wait():
            for other, array in enumerate(incoming):
                if array.size:
                    found = self.board.queues[other, self.rank].get(timeout=SECONDS)
                    if found is None or self.board.ended is not None:
                        raise Ended(f"by rank {self.board.ended}")
                    assert found.dtype == array.dtype and found.shape == array.shape, "sizes are known beforehand"
                    array[...] = found

        return wait

    def abort(self, code):
        self.board.end(self.rank)
        raise Ended(f"by rank {self.rank}, code {code}")


def on_ranks(size, work):
    """What work(comm) gives or raises on each of `size` ranks, in their order; a rank that raises does not end others.

    Rank 0 is the thread that calls, so that signals reach it.
    """
    board, found = Board(size), [None] * size
    on_ranks.sent = board.sent

    def run(rank):
        try:
            found[rank] = work(ThreadCommunicator(board, rank))
        except BaseException as error:
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(1, size)]
    for each in threads:
        each.start()
    run(0)
    for each in threads:
        each.join()
    return found
