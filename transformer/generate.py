"""From a question to an answer: one token (encoder), or one after the other until the end (decoder)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional, no_grad
from transformer.layers import Cache
from transformer.model import Transformer
from transformer.sampling import GREEDY, Sampling
from transformer.tasks import padded
from transformer.tokens import EOS, PAD, decode, encode

__all__ = ["LONGEST_ANSWER", "Reply", "answers", "ask", "generate", "inference", "is_decoder", "scores", "stream"]

Array = NDArray[Any]

LONGEST_ANSWER = 20  # tokens: the 18 digits of the longest number, and the end


@contextmanager
def inference(model: Transformer) -> Iterator[None]:
    """Nothing is recorded and nothing dropped; afterwards the model is in the mode it was in."""
    training = model.training
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        model.train(training)


@dataclass(frozen=True)
class Reply:
    """One answer, and how it came about. T counts the tokens that were read in the last step."""

    text: str
    tokens: list[int]  # read in the last step: the question, and for a decoder the answer so far
    probabilities: list[Array]  # (V,) for each token of the answer
    attention: list[Array]  # (H, T, T) for each block


def answers(
    model: Transformer, questions: Sequence[str], batch_size: int = 500, sampling: Sampling = GREEDY
) -> list[str]:
    """The model's whole answers as text. Raises InputError for a question that cannot be read or is too long."""
    prompts = [encode(question, model.config.max_seq_len) for question in questions]
    order = sorted(range(len(prompts)), key=lambda k: len(prompts[k]))  # of like length: they end together
    found = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for k, answer in zip(rows, generate(model, [prompts[k] for k in rows], sampling=sampling), strict=True):
            found[k] = decode(answer)
    return found


def generate(
    model: Transformer, prompts: Sequence[Sequence[int]], limit: int = LONGEST_ANSWER,
    sampling: Sampling = GREEDY, stop: int | None = EOS, cached: bool = True,
) -> list[list[int]]:  # fmt: skip
    """The tokens that follow each prompt, up to `stop`, `limit`, or the model's last position.

    An encoder gives its one token. Prompts may differ in length; the answers are those each would get alone.
    cached=False reads everything again for each token: the same answers in more time.
    """
    found: list[list[int]] = [[] for _ in prompts]
    for step in stream(model, prompts, limit, sampling, stop, cached):
        for k, token in step:
            found[k].append(token)
    return found


def stream(
    model: Transformer, prompts: Sequence[Sequence[int]], limit: int = LONGEST_ANSWER,
    sampling: Sampling = GREEDY, stop: int | None = EOS, cached: bool = True,
) -> Iterator[list[tuple[int, int]]]:  # fmt: skip
    """Like generate, while it happens: after each step (row, token) for those rows that have got one.

    All rows are read up to the same position, so no row needs padding: while a short prompt is being answered, a longer
    one is still being read.
    """
    rows = [list(prompt) for prompt in prompts]
    ends = [len(row) + (limit if is_decoder(model) else 1) for row in rows]
    generators = sampling.generators(len(rows))
    running = [k for k, row in enumerate(rows) if limit > 0 and len(row) <= model.config.max_seq_len]
    if not is_decoder(model):
        if running:
            logits = scores(model, padded([rows[k] for k in running]))
            chosen = sampling.choose(logits, [generators[k] for k in running])
            yield list(zip(running, chosen, strict=True))
        return
    cache = Cache() if cached else None
    while running:
        start, end = 0 if cache is None else cache.length, min(len(rows[k]) for k in running)
        logits = scores(model, np.array([rows[k][start:end] for k in running]), cache)
        due = [place for place, k in enumerate(running) if len(rows[k]) == end]
        chosen = sampling.choose(logits[due], [generators[running[place]] for place in due])
        given = [(running[place], token) for place, token in zip(due, chosen, strict=True)]
        for k, token in given:
            rows[k].append(token)
        over = {k for k, token in given if token == stop or len(rows[k]) == ends[k]}
        staying = [
            place for place, k in enumerate(running) if k not in over and len(rows[k]) <= model.config.max_seq_len
        ]
        if cache is not None and len(staying) < len(running):
            cache.keep(staying)
        running = [running[place] for place in staying]
        yield given


def ask(model: Transformer, question: str) -> Reply:
    """The answer to one question with its probabilities and the attention behind it."""
    tokens = encode(question, model.config.max_seq_len)
    answer = generate(model, [tokens])[0]
    read = tokens + answer[:-1]
    with inference(model):
        logits, attention = model([read], return_attention=True)
        chances = functional.softmax(logits).numpy()[0]  # (V,), or (T, V)
    steps = chances[None] if chances.ndim == 1 else chances[len(tokens) - 1 :]
    return Reply(decode(answer), read, list(steps), [weights.numpy()[0] for weights in attention])


def scores(model: Transformer, tokens: Array, cache: Cache | None = None) -> Array:
    """The logits (B, V) for what comes next; [PAD] never does."""
    with inference(model):
        logits: Array = model(tokens, cache=cache).numpy()  # (B, V), or (B, T, V)
    logits = logits if logits.ndim == 2 else logits[:, -1]
    logits[:, PAD] = -np.inf
    return logits


def is_decoder(model: Transformer) -> bool:
    return model.config.pooling is None
