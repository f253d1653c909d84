"""The seam between processes: how the ranks of a training that is shared out speak to each other.

A rank is one of `size` processes that run the same program. All that a way of sending must be able to do is `begin`:
give one array to every rank and take one from each. Everything else is made of it, here. The default is LOCAL, one
process alone; mpi.py has the one for many.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOCAL", "Communicator", "RanksError", "fingerprint"]

Array = NDArray[Any]


class RanksError(RuntimeError):
    """The processes cannot work together; the message says why and what to do."""


class Communicator:
    """One process alone, and what every other kind derives from. Every rank has to make the same calls.

    together  the other ranks take part in what this one does now: it cannot end without them
    warned    somebody has asked this process to end
    """

    rank = 0
    size = 1

    def __init__(self) -> None:
        self.together = self.warned = False

    def begin(self, outgoing: Sequence[Array], incoming: Sequence[Array]) -> Callable[[], None]:
        """Send outgoing[r] to rank r and fill incoming[r] from it; the function returned waits until both is done.

        Contiguous arrays, which are left alone until then; every rank knows the sizes of what it gets.
        """
        incoming[0][...] = outgoing[0]
        return lambda: None

    def abort(self, code: int) -> None:
        """End all ranks at once, where they cannot end together."""
        raise SystemExit(code)

    def close(self, code: int) -> None:
        """End here, with this exit code: rank 0 says so to the others, or if they wait for something else, ends them.
        """
        if self.together:
            self.abort(code)
        if self.rank == 0:
            self.words_of_first({"end": code})

    # Made of begin -------------------------------------------------------------------------------

    def exchange(self, outgoing: Sequence[Array], incoming: Sequence[Array]) -> None:
        self.begin(outgoing, incoming)()

    def gather(self, own: Array) -> Array:
        """Every rank's array, (size, *shape); own (n, ...) is of one shape and dtype on all."""
        own = np.ascontiguousarray(own)
        found = np.empty((self.size, *own.shape), own.dtype)
        self.exchange([own] * self.size, list(found))
        return found

    def gather_words(self, own: Any) -> list[Any]:
        """Every rank's value, one that JSON can hold; floats, NaN among them, arrive as they are."""
        text: Array = np.frombuffer(json.dumps(own).encode(), np.uint8)
        lengths = self.gather(np.array([text.size]))[:, 0]
        found = [np.empty(length, np.uint8) for length in lengths]
        self.exchange([text] * self.size, found)
        return [json.loads(each.tobytes()) for each in found]

    def words_of_first(self, own: Any = None) -> Any:
        """Rank 0's value on all of them."""
        return self.gather_words(own if self.rank == 0 else None)[0]

    def arrays_of_first(self, own: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Rank 0's named arrays on all of them."""
        arrays = {name: np.asarray(array, order="C") for name, array in (own or {}).items()}
        facts = self.words_of_first([(name, array.dtype.str, array.shape) for name, array in arrays.items()])
        nothing, found = np.empty(0, np.uint8), {}
        for name, dtype, shape in facts:
            found[name] = np.empty(shape, dtype)
            sent = [arrays[name].reshape(-1) if self.rank == 0 else nothing] * self.size
            self.exchange(sent, [found[name].reshape(-1), *[nothing] * (self.size - 1)])
        return found

    def share(self, count: int, rank: int | None = None) -> range:
        """Which of `count` things, in order, fall to a rank, this one by default; the first ranks have one more."""
        whole, over = divmod(count, self.size)
        rank = self.rank if rank is None else rank
        start = rank * whole + min(rank, over)
        return range(start, start + whole + (rank < over))

    def odd_ones(self, number: int) -> list[int]:
        """The ranks whose number is not the one that most of them have, or rank 0 where none has a majority."""
        found = self.gather(np.array([number], np.uint64))[:, 0].tolist()
        count = Counter(found)
        usual = max(found, key=lambda each: count[each])  # the first of the most frequent
        return [rank for rank, each in enumerate(found) if each != usual]


LOCAL = Communicator()


def fingerprint(arrays: Iterable[Array]) -> int:
    """64 bits of the bytes of all arrays: Σ wₖ (2hₖ + 1) mod 2⁶⁴ over their 64-bit words w.

    An odd factor has an inverse, so a difference in one word always shows; one in many stays hidden with probability
    2⁻⁶³ or less. 6 times as fast as SHA-256, and no defence against somebody who means to deceive.
    """
    parts = [np.ravel(array).view(np.uint8) for array in arrays]
    missing = -sum(part.size for part in parts) % 8
    words = np.concatenate([*parts, np.zeros(missing, np.uint8)]).view(np.uint64)
    return int(words @ factors(words.size))


@functools.lru_cache(maxsize=2)
def factors(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(0).integers(0, 1 << 64, count, np.uint64) | np.uint64(1)
