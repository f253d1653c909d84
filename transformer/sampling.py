"""Which token comes next: the likeliest, or one drawn from what temperature, top-k and top-p leave of the distribution.

>>> Sampling().probabilities(np.log([[0.5, 0.3, 0.2]]))
array([[1., 0., 0.]])
>>> Sampling(temperature=1.0, top_k=2).probabilities(np.log([[0.5, 0.3, 0.2]]))
array([[0.625, 0.375, 0.   ]])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional

__all__ = ["GREEDY", "Sampling"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    temperature  logits are divided by it: below 1 the likely becomes likelier; 0: always the likeliest ("greedy")
    top_k        only the k likeliest tokens, ties by the lower id
    top_p        only the likeliest tokens that together have this much probability, one at least; after top_k
    seed         settles the draws, of each row by itself

    Raises ValueError for what draws nothing.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature = {self.temperature}: it must be a finite number, 0 or more")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k = {self.top_k}: it must leave 1 token or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p = {self.top_p}: it must lie in (0, 1]")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: it must be 0 or more")
        if self.temperature == 0 and (self.top_k or self.top_p):
            raise ValueError("temperature = 0 always takes the likeliest token: give a temperature for top_k and top_p")

    def probabilities(self, logits: Array) -> Array:
        """The distribution (B, V), float64, that a token is drawn from; logits (B, V), −inf for what never comes."""
        logits = np.asarray(logits, np.float64)
        if self.temperature == 0:
            likeliest: Array = np.eye(logits.shape[1])[logits.argmax(-1)]
            return likeliest
        top = logits.max(-1, keepdims=True)  # taken away first: 1e-300 divides it too
        p: Array = functional.softmax((logits - top) / self.temperature)  # (B, V)
        if self.top_k is None and self.top_p is None:
            return p
        order = np.argsort(-p, axis=-1, kind="stable")  # likeliest first
        sorted_p = np.take_along_axis(p, order, axis=-1)
        keep = np.arange(p.shape[1]) < (self.top_k or p.shape[1])  # (V,)
        if self.top_p is not None:
            kept = sorted_p * keep
            before = np.cumsum(kept, axis=-1) - kept  # the mass of all likelier ones
            keep = keep & (before < self.top_p * kept.sum(-1, keepdims=True))  # (B, V)
        filtered = np.zeros_like(p)
        np.put_along_axis(filtered, order, sorted_p * keep, axis=-1)
        filtered /= filtered.sum(-1, keepdims=True)
        return filtered

    def generators(self, rows: int) -> list[np.random.Generator]:
        """One for each row, so that what a row draws does not depend on how long the others are."""
        return [np.random.default_rng([self.seed, row]) for row in range(rows)]

    def choose(self, logits: Array, generators: Sequence[np.random.Generator]) -> list[int]:
        """One token id for each row."""
        if self.temperature == 0:
            return [int(token) for token in logits.argmax(-1)]
        cumulative = self.probabilities(logits).cumsum(-1)  # (B, V)
        drawn = [generator.random() * row[-1] for generator, row in zip(generators, cumulative, strict=True)]
        return [int(np.searchsorted(row, u, side="right")) for row, u in zip(cumulative, drawn, strict=True)]


GREEDY = Sampling()
