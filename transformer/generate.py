"""From a question to an answer: the most likely token (encoder), or one token after the other (decoder)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional, no_grad
from transformer.model import Transformer
from transformer.tasks import padded
from transformer.tokens import EOS, PAD, decode, encode

__all__ = ["Reply", "answers", "ask", "generate", "inference"]

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


def answers(model: Transformer, questions: Sequence[str], batch_size: int = 500) -> list[str]:
    """The model's whole answers as text. Raises InputError for a question that cannot be read or is too long."""
    prompts = [encode(question, model.config.max_seq_len) for question in questions]
    found: list[str] = []
    for start in range(0, len(prompts), batch_size):
        found += map(decode, generate(model, prompts[start : start + batch_size]))
    return found


def generate(model: Transformer, prompts: Sequence[Sequence[int]], limit: int = LONGEST_ANSWER) -> list[list[int]]:
    """Greedily, the tokens that follow each prompt, up to [EOS], `limit`, or the model's last position.

    An encoder gives its one token. Prompts may differ in length; the answers are those each would get alone.
    """
    rows = [list(prompt) for prompt in prompts]
    running = list(range(len(rows)))
    with inference(model):
        for _ in range(limit if is_decoder(model) else 1):
            running = [k for k in running if len(rows[k]) <= model.config.max_seq_len]
            if not running:
                break
            for k, token in zip(running, next_scores(model, [rows[k] for k in running]).argmax(-1), strict=True):
                rows[k].append(int(token))
            running = [k for k in running if rows[k][-1] != EOS]
    return [row[len(prompt) :] for row, prompt in zip(rows, prompts, strict=True)]


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


def next_scores(model: Transformer, rows: Sequence[Sequence[int]]) -> Array:
    """The logits (B, V) for what follows each row; [PAD] never follows."""
    logits: Array = model(padded(rows)).numpy()  # (B, V), or (B, T, V)
    if logits.ndim == 3:
        logits = logits[np.arange(len(rows)), [len(row) - 1 for row in rows]]
    logits[:, PAD] = -np.inf
    return logits


def is_decoder(model: Transformer) -> bool:
    return model.config.pooling is None
