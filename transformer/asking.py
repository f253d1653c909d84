"""Questions one after the other: at a prompt, or from a file, one a line, to JSON a line each."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from transformer.generate import ask
from transformer.model import Transformer
from transformer.tasks import Task
from transformer.tokens import PAD, InputError

__all__ = ["answered", "as_lines", "lines_of", "prompt", "prompts"]

WORDS = "an empty line or Ctrl-D ends; arrow keys bring back what was asked"


def answered(model: Transformer, task: Task, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """For each line that is not empty its number, question, answer and the answer's probability; of a task that knows
    the right answer that too, and whether it is the same. A line that cannot be read has an error instead.
    """
    for number, line in enumerate(lines, 1):
        question = line.strip()
        if not question:
            continue
        try:
            right = task.answer(question)
            reply = ask(model, question, task)
        except InputError as error:
            yield {"line": number, "question": question, "error": str(error).splitlines()[0]}
            continue
        likeliest = [float(np.delete(chances, PAD).max()) for chances in reply.probabilities]
        found = {"line": number, "question": question, "answer": reply.text, "probability": math.prod(likeliest)}
        yield found | ({"right": right, "correct": reply.text == right} if task.exact else {})


def lines_of(name: str) -> Iterator[str]:
    """The lines of a file, or of stdin for "-"; bytes that are no UTF-8 stay in their line, as \\xff."""
    if name == "-":
        yield from sys.stdin
        return
    with open(name, encoding="utf-8", errors="backslashreplace") as file:
        yield from file


def prompts(name: str, task: Task) -> list[str]:
    """The prompts of a file, one a line. Raises ValueError that says which line cannot be read, and why."""
    found = []
    for number, line in enumerate(lines_of(name), 1):
        if line.strip():
            found.append(line.rstrip("\n"))
            try:
                task.check(found[-1])
            except InputError as error:
                raise ValueError(f"{name}, line {number}: {error}") from None
    return found


def prompt(answer: Callable[[str], None], hint: str) -> None:
    """Ask for questions until there are no more; a wrong one gets its reason, and the prompt comes back."""
    with suppress(ImportError):
        import readline  # noqa: F401  # input() has history and editing then
    print(f"{hint}; {WORDS}")
    while True:
        try:
            question = input("> ")
        except EOFError:
            print()
            return
        if not question.strip():
            return
        try:
            answer(question)
        except InputError as error:
            print(error, file=sys.stderr)


def as_lines(found: Iterable[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """JSON of each, and whether it is an answer."""
    for one in found:
        yield json.dumps(one, ensure_ascii=False), "error" not in one
