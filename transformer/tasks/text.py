"""Text from any file, token by token: characters, or pieces that byte-pair encoding joins from them."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transformer.tasks.task import Example, Task, register, whole
from transformer.tokens import InputError
from transformer.vocabulary import Pieces, Vocabulary, characters, joined_pairs

__all__ = ["TextTask"]

Ints = NDArray[np.int64]
PIECES = 10
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2⁶⁴


@register
@dataclass(frozen=True)
class TextTask(Task):
    """The next token of the text in `file` (UTF-8), cut into windows of `length` tokens and one more.

    merges   pairs that byte-pair encoding joins; 0: characters alone
    digest   SHA-256 of the file, filled in when it is read first; a file that has changed since is refused
    A window's question is its first half, its answer the rest; of windows that are equal one is kept. A passage that
    comes again is held out only where it is not learnt: a window of validation or test that stands anywhere in the
    training's text, at whatever shift, is left out, and so is one of the test that stands in the validation's.
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
        return [example for part in self.parts(rng).values() for example in part]

    def parts(self, rng: np.random.Generator) -> dict[str, list[Example]]:
        """The text is cut into ten pieces before it is cut into windows: one is for validation, one for the test."""
        ids = np.array(self.vocabulary.spell(self.text))
        pieces = np.array_split(ids, PIECES)
        if len(pieces[-1]) <= self.length:
            raise ValueError(
                f"{self.file}: {len(ids)} tokens are too few for windows of {self.length}: "
                f"{PIECES * (self.length + 1)} are needed"
            )
        validation, test = rng.permutation(PIECES)[:2]
        rest = [piece for k, piece in enumerate(pieces) if k not in (validation, test)]
        seen = np.concatenate([self.hashes(piece) for piece in rest])
        found = {"train": [window for piece in rest for window in self.windows(piece)]}
        for name, k in (("validation", validation), ("test", test)):
            hashes = self.hashes(pieces[k])
            fresh = ~np.isin(hashes[:: self.length], seen)
            found[name] = [window for window, new in zip(self.windows(pieces[k]), fresh, strict=True) if new]
            if not found[name]:
                raise ValueError(f"{self.file} repeats itself: every window of the {name} part is in the rest, too")
            seen = np.concatenate([seen, hashes])
        return {name: [self.example(window) for window in dict.fromkeys(part)] for name, part in found.items()}

    def windows(self, piece: Ints) -> list[tuple[int, ...]]:
        """`length` tokens and the one that follows, one window after the other."""
        starts = range(0, len(piece) - self.length, self.length)
        return [tuple(piece[start : start + self.length + 1].tolist()) for start in starts]

    def hashes(self, piece: Ints) -> NDArray[np.uint64]:
        """A number for the window at every place of a piece; of equal windows it is equal (Rabin and Karp, modulo 2⁶⁴).
        """
        powers = np.cumprod(np.full(len(piece), BASE, np.uint64))
        back = np.cumprod(np.full(len(piece), pow(int(BASE), -1, 1 << 64), np.uint64))
        sums = np.concatenate([[np.uint64(0)], np.cumsum((piece.astype(np.uint64) + np.uint64(1)) * powers)])
        width = self.length + 1
        found: NDArray[np.uint64] = (sums[width:] - sums[:-width]) * back[: len(piece) - self.length]
        return found

    def example(self, window: tuple[int, ...]) -> Example:
        half = (self.length + 1) // 2
        return Example(self.vocabulary.decode(window[:half]), self.vocabulary.decode(window[half:]), "text")

    def check(self, question: str) -> None:
        if not question:
            raise InputError("the prompt is empty", question, 0, "write the beginning of a text")
        self.vocabulary.spell(question)

    def answer(self, question: str) -> str:
        """A text has no right end: nothing."""
        self.check(question)
        return ""
