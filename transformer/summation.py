"""A sum whose rounding does not depend on who adds what: the same bits on any number of processes.

The terms are numbered 0, 1, 2, ... and are the leaves of a binary tree. Two neighbours are added when both are there,
then their sums, and so on upwards; which number is added to which is settled by their places alone. A process that
has some of the terms adds up what of the tree lies wholly within its share, and sends no more than that. Rounding
grows with the tree's height, log₂ M, where a running sum's grows with M.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.communicator import Communicator

__all__ = ["Tree", "summed"]

Array = NDArray[Any]

BUCKET = 1 << 18  # elements


class Tree:
    """Terms that come in the order of their numbers, from any number on; nodes (first, width, sum), as few as can be.

    A binary counter: a new term is added to a neighbour of its own width, their sum to the one before, and so on.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[int, int, Any]] = []

    def add(self, first: int, width: int, value: Any) -> None:
        while self.nodes and self.nodes[-1][1] == width and self.nodes[-1][0] % (2 * width) == 0:
            first, _, left = self.nodes.pop()
            width, value = 2 * width, left + value
        self.nodes.append((first, width, value))

    def total(self) -> Any:
        """The sum of all. Where their number is no power of two, the short end is added up first."""
        *rest, (_, _, value) = self.nodes
        for _, _, left in reversed(rest):
            value = left + value
        return value


def summed(tree: Tree, shares: Sequence[range], total: Array, comm: Communicator) -> None:
    """Fill `total` (n,), on every rank, with the sum of all ranks' terms; rank r has those with the numbers shares[r].

    In buckets, each of which is cut into a slice for every rank. A rank gets its slice of all nodes, adds them up and
    gives the sum to all. All buckets are on their way at once: while one is added up the others travel. A rank sends
    (1 + its nodes) · n · (size − 1)/size numbers, as many as a ring does where it has one node.
    """
    kinds = [kinds_of(share) for share in shares]
    own = [value for _, _, value in tree.nodes]
    sent = []
    for start in range(0, total.size, BUCKET):
        bucket = total[start : start + BUCKET]
        parts = [slice(part.start, part.stop) for part in (comm.share(bucket.size, r) for r in range(comm.size))]
        here = [value[start : start + BUCKET] for value in own]
        outgoing = [np.array([value[part] for value in here], total.dtype).reshape(-1) for part in parts]
        mine = parts[comm.rank].stop - parts[comm.rank].start
        incoming = [np.empty((len(kind), mine), total.dtype) for kind in kinds]
        slices = [bucket[part] for part in parts]
        sent.append((slices, incoming, comm.begin(outgoing, [each.reshape(-1) for each in incoming])))
    given = []
    for slices, incoming, arrived in sent:
        arrived()
        joined = Tree()
        for kind, rows in zip(kinds, incoming, strict=True):
            for (first, width), row in zip(kind, rows, strict=True):
                joined.add(first, width, row)
        given.append(comm.begin([joined.total()] * comm.size, slices))
    for arrived in given:
        arrived()


def kinds_of(share: range) -> list[tuple[int, int]]:
    """(first, width) of the nodes that these terms become."""
    tree = Tree()
    for number in share:
        tree.add(number, 1, 0)
    return [(first, width) for first, width, _ in tree.nodes]
