"""Text from any file, token by token: characters, or pieces that byte-pair encoding joins from them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transformer.tasks.task import Example, Task, register, whole
from transformer.tokens import InputError
from transformer.vocabulary import Pieces, Vocabulary, characters, joined_pairs

__all__ = ["TextTask"]


@register
@dataclass(frozen=True)
class TextTask(Task):
    """The next token of the text in `file` (UTF-8), cut into windows of `length` tokens and one more.

    merges   pairs that byte-pair encoding joins; 0: characters alone
    digest   SHA-256 of the file, filled in when it is read first; a file that has changed since is refused
    A window's question is its first half, its answer the rest; of windows that are equal one is kept.
    """

    name, exact = "text", False
    file: str
    length: int = 64
    merges: int = 0
    digest: str = ""

    def __post_init__(self) -> None:
        whole("length", self.length, 2, 1 << 16)
        whole("merges", self.merges, 0, 1 << 16)

    @functools.cached_property
    def text(self) -> str:
        if Path(self.file).exists() and not Path(self.file).is_file():
            raise ValueError(f"{self.file} is a folder or a device, no text")
        data = Path(self.file).read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if self.digest not in ("", found):
            raise ValueError(f"{self.file} has changed since the run was started")
        object.__setattr__(self, "digest", found)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.file}: byte {error.start} is no UTF-8 text") from None
        if len(text) < 20 * self.length:
            raise ValueError(f"{self.file}: {len(text)} characters are too few, {20 * self.length} are needed")
        return text

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return Pieces(joined_pairs(self.text, self.merges) if self.merges else characters(self.text))

    def adopt(self, tokens: Sequence[str]) -> None:
        """The model's own tokens: it can go on with a prompt where the file is gone."""
        vars(self)["vocabulary"] = Pieces(tokens)

    @property
    def longest(self) -> int:
        return self.length

    @property
    def longest_answer(self) -> int:
        return 0

    def examples(self, rng: np.random.Generator) -> list[Example]:
        ids = self.vocabulary.spell(self.text)
        half = (self.length + 1) // 2
        found = {}
        for start in range(0, len(ids) - self.length, self.length):
            window = ids[start : start + self.length + 1]
            question, answer = self.vocabulary.decode(window[:half]), self.vocabulary.decode(window[half:])
            found[question + answer] = Example(question, answer, "text")
        return list(found.values())

    def check(self, question: str) -> None:
        if not question:
            raise InputError("the prompt is empty", question, 0, "write the beginning of a text")
        self.vocabulary.spell(question)

    def answer(self, question: str) -> str:
        """A text has no right end: nothing."""
        self.check(question)
        return ""
