"""Beam search: the likeliest whole answer, where the likeliest first token leads astray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional
from transformer.generate import LONGEST_ANSWER, is_decoder, scores
from transformer.layers import Cache
from transformer.model import Transformer
from transformer.tokens import EOS

__all__ = ["Hypothesis", "beam_search", "beam_searches"]


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
    return beam_searches(model, [prompt], width, limit, length_penalty, stop)[0]


def beam_searches(
    model: Transformer, prompts: Sequence[Sequence[int]], width: int = 4, limit: int = LONGEST_ANSWER,
    length_penalty: float = 0.0, stop: int | None = EOS,
) -> list[list[Hypothesis]]:  # fmt: skip
    """What beam_search finds for each of the prompts, which may differ in length, all of them in one batch.

    All rows are read up to the same position, as in generate.stream: one prompt's answers may have begun while a longer
    prompt is still being read.
    """
    if not is_decoder(model):
        raise ValueError("beam_search: it wants a decoder, with causal = True and pooling = None")
    limits = [min(limit, model.config.max_seq_len + 1 - len(prompt)) for prompt in prompts]
    for prompt, most in zip(prompts, limits, strict=True):
        if width < 1 or most < 1:
            room = model.config.max_seq_len + 1 - len(prompt)
            raise ValueError(
                f"beam_search: width = {width} and limit = {limit} of {room} free positions must be 1 or more"
            )
    cache, finished = Cache(), [list[Hypothesis]() for _ in prompts]
    rows = [(k, Hypothesis((), 0.0)) for k in range(len(prompts))]  # of one prompt next to each other, best first
    while rows:
        whole = [[*prompts[k], *one.tokens] for k, one in rows]
        end = min(map(len, whole))
        logits = scores(model, np.array([row[cache.length : end] for row in whole]), cache)  # (R, V)
        totals = functional.log_softmax(logits.astype(np.float64))
        totals += np.array([[one.log_probability] for _, one in rows])  # (R, V)
        going: list[tuple[int, tuple[int, Hypothesis]]] = []  # the row that it continues, and the new row
        of_prompt = [k for k, _ in rows]
        for k in dict.fromkeys(of_prompt):
            places = [place for place, other in enumerate(of_prompt) if other == k]
            if len(whole[places[0]]) > end:  # this prompt is still being read
                going += [(place, rows[place]) for place in places]
                continue
            grown = best_of([rows[place][1] for place in places], totals[places], width)
            over = len(grown[0][1].tokens) == limits[k]
            done = [one for _, one in grown if over or one.tokens[-1] == stop]
            finished[k] = sorted(finished[k] + done, key=lambda one: -one.score(length_penalty))[:width]
            alive = [(places[parent], (k, one)) for parent, one in grown if not (over or one.tokens[-1] == stop)]
            # A longer answer is never likelier; with a penalty it might yet be ranked higher.
            settled = len(finished[k]) == width and not length_penalty
            if alive and not (settled and alive[0][1][1].log_probability <= finished[k][-1].log_probability):
                going += alive
        cache.keep([place for place, _ in going])
        rows = [row for _, row in going]
    return finished


def best_of(alive: Sequence[Hypothesis], totals: NDArray[np.float64], width: int) -> list[tuple[int, Hypothesis]]:
    """The `width` likeliest continuations by one token, best first, each with the number of what it continues."""
    best = np.argsort(-totals, axis=None, kind="stable")[:width]
    best = best[np.isfinite(totals.flat[best])]
    parents, words = np.unravel_index(best, totals.shape)
    return [
        (int(parent), Hypothesis((*alive[parent].tokens, int(word)), float(totals[parent, word])))
        for parent, word in zip(parents, words, strict=True)
    ]
