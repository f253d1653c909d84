"""Beam search: the likeliest whole answer, where the likeliest first token leads astray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_edu import functional
from transformer.generate import LONGEST_ANSWER, scores
from transformer.layers import Cache
from transformer.model import Transformer
from transformer.tokens import EOS

__all__ = ["Hypothesis", "beam_search"]


@dataclass(frozen=True)
class Hypothesis:
    """An answer and the logarithm of its probability after the prompt."""

    tokens: tuple[int, ...]
    log_probability: float

    def score(self, length_penalty: float) -> float:
        return self.log_probability / math.pow(len(self.tokens), length_penalty)


def beam_search(
    model: Transformer, prompt: Sequence[int], width: int = 4, limit: int = LONGEST_ANSWER,
    length_penalty: float = 0.0, stop: int | None = EOS,
) -> list[Hypothesis]:  # fmt: skip
    """Up to `width` answers to one prompt, best first; each ends with `stop`, `limit` or the model's last position.

    Of all one-token continuations of the answers kept so far the `width` best are kept; width = 1 is greedy. They are
    ranked by log-probability / length ** length_penalty: 0 prefers short answers as probability does, 1 ranks by the
    mean of a token. Raises ValueError for a model or a prompt that cannot be continued.
    """
    room = model.config.max_seq_len + 1 - len(prompt)
    limit = min(limit, room)
    if width < 1 or limit < 1:
        raise ValueError(f"beam_search: width = {width} and limit = {limit} of {room} free positions must be 1 or more")
    cache, tokens = Cache(), np.array([prompt])
    alive, finished = [Hypothesis((), 0.0)], list[Hypothesis]()
    for step in range(limit):
        logits = scores(model, tokens, cache)  # (W, V)
        totals = functional.log_softmax(logits.astype(np.float64))
        totals += np.array([[one.log_probability] for one in alive])  # (W, V)
        best = np.argsort(-totals, axis=None, kind="stable")[:width]
        best = best[np.isfinite(totals.flat[best])]
        parents, words = np.unravel_index(best, totals.shape)
        grown = [
            Hypothesis((*alive[parent].tokens, int(word)), float(totals[parent, word]))
            for parent, word in zip(parents, words, strict=True)
        ]
        going = [k for k, one in enumerate(grown) if one.tokens[-1] != stop and step + 1 < limit]
        finished += [one for k, one in enumerate(grown) if k not in going]
        finished = sorted(finished, key=lambda one: -one.score(length_penalty))[:width]
        alive = [grown[k] for k in going]
        # A longer answer is never likelier; with a penalty it might yet be ranked higher.
        if not alive or (
            len(finished) == width and not length_penalty and alive[0].log_probability <= finished[-1].log_probability
        ):
            break
        cache.keep(parents[going])
        tokens = words[going][:, None]
    return finished
