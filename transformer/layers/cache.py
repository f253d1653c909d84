"""What a decoder has read already: a token looks back on keys and values, and those of the past stay what they were."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor

__all__ = ["Cache", "Memory"]

Array = NDArray[Any]


class Cache:
    """The keys and values of every block for a batch of sequences, which all stand at the same position.

    Pass it to a model call after call with the tokens that come next; it fills itself. length: tokens read so far.
    """

    def __init__(self) -> None:
        self.length = 0
        self.valid = np.ones((0, 0), bool)      # (B, length): what is not padding
        self.blocks: dict[int, Array] = {}      # of each block, (2, B, H, room, d): keys, values

    def joined(self, valid: NDArray[np.bool]) -> NDArray[np.bool]:
        """(B, length + T): which keys the next T tokens may look at, themselves included."""
        if self.length and len(valid) != len(self.valid):
            raise ValueError(f"cache: it holds {len(self.valid)} sequences, and tokens of {len(valid)} were given")
        return np.concatenate([self.valid, valid], axis=1) if self.length else valid

    def advance(self, valid: NDArray[np.bool]) -> None:
        """The tokens are read: from now on they are past. Until then a call that failed has changed nothing."""
        self.valid, self.length = valid, valid.shape[1]

    def keep(self, rows: Any) -> None:
        """Go on with these sequences only, in this order; one may come twice."""
        self.valid = self.valid[rows]
        self.blocks = {block: held[:, rows] for block, held in self.blocks.items()}


class Memory:
    """One block's part of a cache."""

    def __init__(self, cache: Cache, block: int) -> None:
        self.cache, self.block, self.start = cache, block, cache.length

    def extend(self, k: Tensor, v: Tensor) -> tuple[Array, Array]:      # each (B, H, T, d)
        """All keys and all values, the new ones last."""
        B, H, T, d = k.shape
        end = self.start + T
        held = self.cache.blocks.get(self.block)
        if held is None or held.shape[3] < end:
            grown = np.empty((2, B, H, 2 * end, d), k.dtype)            # twice the room: copied seldom
            if held is not None:
                grown[..., : self.start, :] = held[..., : self.start, :]
            self.cache.blocks[self.block] = held = grown
        held[0, :, :, self.start : end] = k.data
        held[1, :, :, self.start : end] = v.data
        return held[0, :, :, :end], held[1, :, :, :end]                 # each (B, H, S, d)
