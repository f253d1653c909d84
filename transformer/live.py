"""Answers while they are made: on a terminal token by token, elsewhere a line when an answer is whole."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TextIO

from transformer.beam import beam_searches
from transformer.generate import LONGEST_ANSWER, Said, answers, is_decoder, stream
from transformer.model import Transformer
from transformer.report import percent
from transformer.sampling import Sampling
from transformer.tasks import Task

__all__ = ["say", "search", "text_after"]

CLEAR = "\r\x1b[K"  # back to the start of the line, which is emptied
LONGEST_TEXT = 200  # tokens
MOST_BEAMS = 500  # that are searched together


def say(
    model: Transformer, task: Task, questions: Sequence[str], sampling: Sampling, limit: int | None, out: TextIO,
    live: bool,
) -> None:  # fmt: skip
    """Write each question with its answer; a text goes on where the prompt ends."""
    if task.exact and not live and limit is None:
        for question, answer in zip(questions, answers(model, questions, task, sampling=sampling), strict=True):
            out.write(f"{''.join(question.split())} = {answer}\n")
        return
    for question in questions:
        ids = task.encode(question, model.config.max_seq_len if task.exact else None)
        if task.exact:
            most = limit or max(LONGEST_ANSWER, task.longest_answer + 1)
            said = (step[0] for step in stream(model, [ids], most, sampling))
            one_line(task, "".join(question.split()) + " = ", said, out, live)
        else:
            out.write(question)
            for one in text_after(model, ids, limit or LONGEST_TEXT, sampling):
                out.write(task.vocabulary.decode([one.token]))
                if live:
                    out.flush()
            out.write("\n")


def one_line(task: Task, line: str, said: Iterator[Said], out: TextIO, live: bool) -> None:
    """The line grows by a token at a time; behind it stands how sure the model was of the newest."""
    if live:
        out.write(line)
        out.flush()
    for one in said:
        line += task.vocabulary.decode([one.token])
        if live:
            out.write(f"{CLEAR}{line}  ({task.vocabulary.tokens[one.token]} {percent(one.probability)})")
            out.flush()
    out.write(f"{CLEAR if live else ''}{line}\n")


def text_after(model: Transformer, prompt: Sequence[int], limit: int, sampling: Sampling) -> Iterator[Said]:
    """`limit` tokens that follow the prompt. Where the model's positions end, it reads the newest half of them anew."""
    row, room = list(prompt), model.config.max_seq_len
    end = len(row) + limit
    while len(row) < end:
        window = row if len(row) <= room else row[-max(1, room // 2) :]
        for step in stream(model, [window], end - len(row), sampling, stop=None):
            row.append(step[0].token)
            yield step[0]
        sampling = dataclasses.replace(sampling, seed=sampling.seed + 1)  # not the same draws again


def search(
    model: Transformer, task: Task, questions: Sequence[str], beams: int, limit: int | None, out: TextIO
) -> None:
    """The likeliest answer to each question, and below it the others that were found, with their probabilities."""
    if not 1 <= beams <= MOST_BEAMS:
        raise ValueError(f"beams = {beams}: it must be 1 to {MOST_BEAMS:,}")
    if not is_decoder(model):
        raise ValueError("an encoder answers with one token, so there is nothing to search; beams are for decoders")
    most = limit or (max(LONGEST_ANSWER, task.longest_answer + 1) if task.exact else LONGEST_TEXT)
    together = max(1, MOST_BEAMS // beams)
    for start in range(0, len(questions), together):
        part = questions[start : start + together]
        prompts = [task.encode(question, model.config.max_seq_len) for question in part]
        for question, found in zip(part, beam_searches(model, prompts, beams, most), strict=True):
            begin = f"{''.join(question.split())} = " if task.exact else question
            for rank, one in enumerate(found):
                text, chance = task.vocabulary.decode(one.tokens), percent(math.exp(one.log_probability))
                out.write(f"{begin if rank == 0 else ' ' * len(begin)}{text}  ({chance})\n")
