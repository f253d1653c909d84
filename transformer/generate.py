"""From a question to an answer: one token (encoder), or one after the other until the end (decoder)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional, no_grad
from transformer.layers import Cache
from transformer.model import Transformer
from transformer.sampling import GREEDY, Sampling
from transformer.tasks import Task, padded
from transformer.tokens import EOS, decode, encode

__all__ = [
    "LONGEST_ANSWER",
    "Reply",
    "Said",
    "answers",
    "ask",
    "generate",
    "inference",
    "is_decoder",
    "scores",
    "stream",
]

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


class Said(NamedTuple):
    """A token that a row of a batch was given, and how likely the model held it."""

    row: int
    token: int
    probability: float


@dataclass(frozen=True)
class Reply:
    """One answer, and how it came about. T counts the tokens that were read in the last step."""

    text: str
    tokens: list[int]  # read in the last step: the question, and for a decoder the answer so far
    logits: list[Array]  # (V,) for each token of the answer
    probabilities: list[Array]  # their softmax
    attention: list[Array]  # (H, T, T) for each block


def answers(
    model: Transformer, questions: Sequence[str], task: Task | None = None, batch_size: int = 500,
    sampling: Sampling = GREEDY,
) -> list[str]:  # fmt: skip
    """The model's whole answers as text; without a task, to the lessons' operations on any numbers.

    Raises InputError for a question that cannot be read or is too long.
    """
    read, write = (encode, decode) if task is None else (task.encode, task.vocabulary.decode)
    limit = LONGEST_ANSWER if task is None else max(LONGEST_ANSWER, task.longest_answer + 1)
    prompts = [read(question, model.config.max_seq_len) for question in questions]
    order = sorted(range(len(prompts)), key=lambda k: len(prompts[k]))  # of like length: they end together
    found = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        for k, answer in zip(rows, generate(model, [prompts[k] for k in rows], limit, sampling), strict=True):
            found[k] = write(answer)
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
        for one in step:
            found[one.row].append(one.token)
    return found


def stream(
    model: Transformer, prompts: Sequence[Sequence[int]], limit: int = LONGEST_ANSWER,
    sampling: Sampling = GREEDY, stop: int | None = EOS, cached: bool = True,
) -> Iterator[list[Said]]:  # fmt: skip
    """Like generate, while it happens: after each step the tokens of those rows that have got one.

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
            yield said(logits, running, sampling, generators)
        return
    cache = Cache() if cached else None
    while running:
        start, end = 0 if cache is None else cache.length, min(len(rows[k]) for k in running)
        logits = scores(model, np.array([rows[k][start:end] for k in running]), cache)
        due = [place for place, k in enumerate(running) if len(rows[k]) == end]
        given = said(logits[due], [running[place] for place in due], sampling, generators)
        for one in given:
            rows[one.row].append(one.token)
        over = {one.row for one in given if one.token == stop or len(rows[one.row]) == ends[one.row]}
        staying = [
            place for place, k in enumerate(running) if k not in over and len(rows[k]) <= model.config.max_seq_len
        ]
        if cache is not None and len(staying) < len(running):
            cache.keep(staying)
        running = [running[place] for place in staying]
        yield given


def ask(model: Transformer, question: str, task: Task | None = None) -> Reply:
    """The answer to one question with its probabilities and the attention behind it. Raises like answers."""
    read, write = (encode, decode) if task is None else (task.encode, task.vocabulary.decode)
    limit = LONGEST_ANSWER if task is None else max(LONGEST_ANSWER, task.longest_answer + 1)
    tokens = read(question, model.config.max_seq_len)
    answer = generate(model, [tokens], limit)[0]
    seen = tokens + answer[:-1]
    with inference(model):
        found, attention = model([seen], return_attention=True)
    logits = found.numpy()[0]  # (V,), or (T, V)
    logits = logits[None] if logits.ndim == 1 else logits[len(tokens) - 1 :]
    chances: Array = functional.softmax(logits)
    return Reply(write(answer), seen, list(logits), list(chances), [weights.numpy()[0] for weights in attention])


def said(
    logits: Array, rows: Sequence[int], sampling: Sampling, generators: Sequence[np.random.Generator]
) -> list[Said]:
    """A token for each of the rows."""
    tokens = sampling.choose(logits, [generators[k] for k in rows])
    chances = functional.softmax(logits)[np.arange(len(rows)), tokens]
    return [Said(*one) for one in zip(rows, tokens, chances.tolist(), strict=True)]


def scores(model: Transformer, tokens: Array, cache: Cache | None = None) -> Array:
    """The logits (B, V) for what comes next; padding never does."""
    with inference(model):
        logits: Array = model(tokens, cache=cache).numpy()  # (B, V), or (B, T, V)
    logits = logits if logits.ndim == 2 else logits[:, -1]
    if model.config.pad_id is not None:
        logits[:, model.config.pad_id] = -np.inf
    return logits


def is_decoder(model: Transformer) -> bool:
    return model.config.pooling is None
