"""Vocabularies: the twenty tokens of the lessons come first in each, so that their ids never change.

`Words` adds further words, as names of operations; `Pieces` adds the characters of a text and, joined from those, the
pairs that come most often in it: byte-pair encoding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from transformer.tokens import EOS, PAD, PIECE, VOCABULARY, InputError

__all__ = ["Pieces", "Vocabulary", "Words", "characters", "joined_pairs"]

WORD = re.compile(r"[0-9]|[A-Za-z]+|\S")
CHUNK = re.compile(r"\s?\S+|\s")  # a word with the blank before it: no pair is joined across its ends


class Vocabulary:
    """Tokens by their ids, and text as ids."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)
        self.ids = {token: number for number, token in enumerate(self.tokens)}
        if self.tokens[: len(VOCABULARY)] != VOCABULARY or len(self.ids) < len(self.tokens):
            raise ValueError(f"a vocabulary begins with the {len(VOCABULARY)} tokens of the lessons, and has each once")

    def __len__(self) -> int:
        return len(self.tokens)

    def spell(self, text: str) -> list[int]:
        """The ids of a text. Raises InputError at the first character that no token writes."""
        raise NotImplementedError

    def decode(self, ids: Iterable[Any]) -> str:
        """The text of token ids; [PAD] and [EOS] write nothing. Raises ValueError for an id that is no token."""
        words = []
        for given in ids:
            number = int(given)
            if not 0 <= number < len(self):
                raise ValueError(f"id {number} is no token: the vocabulary has ids 0 to {len(self) - 1}")
            words.append("" if number in (PAD, EOS) else self.tokens[number])
        return "".join(words)


class Words(Vocabulary):
    """The lessons' tokens and further words: digits are spelt one by one, letters make words, blanks do not matter."""

    def __init__(self, further: Sequence[str] = ()) -> None:
        for word in further:
            if not (PIECE.fullmatch(word) and word.isalpha()):
                raise ValueError(f"further token {word!r}: it must be a word of the letters A-Z and a-z")
        super().__init__((*VOCABULARY, *further))

    def spell(self, text: str) -> list[int]:
        try:
            return [self.ids[word] for word in WORD.findall(text)]
        except KeyError:
            strange = next(found for found in WORD.finditer(text) if found[0] not in self.ids)
            there = f"there are {' '.join(self.tokens[2:])}"
            raise InputError(f"{strange[0]!r} is no token", text, strange.start(), there) from None


class Pieces(Vocabulary):
    """Single characters, and pieces joined from them: two neighbours are joined first that became a token first."""

    def __init__(self, tokens: Sequence[str]) -> None:
        super().__init__(tokens)
        self.spelt: dict[str, list[int]] = {}
        words = {number for number, token in enumerate(VOCABULARY) if len(token) > 1}
        self.ids = {token: number for token, number in self.ids.items() if number not in words}

    def spell(self, text: str) -> list[int]:
        ids: list[int] = []
        for found in CHUNK.finditer(text):
            for place, character in enumerate(found[0]):
                if character not in self.ids:
                    problem = f"the character {character!r} is in no token"
                    raise InputError(problem, text, found.start() + place, "the model has never seen it")
            ids += self.spelt.setdefault(found[0], self.joined(found[0]))
        return ids

    def joined(self, chunk: str) -> list[int]:
        pieces = list(chunk)
        while len(pieces) > 1:
            ranks = [self.ids.get(a + b, len(self)) for a, b in zip(pieces, pieces[1:], strict=False)]
            first = min(ranks)
            if first == len(self):
                break
            pieces = merged(pieces, self.tokens[first])
        return [self.ids[piece] for piece in pieces]


def characters(text: str) -> tuple[str, ...]:
    """The lessons' tokens, and every other character of the text."""
    return (*VOCABULARY, *sorted(set(text) - set(VOCABULARY)))


def joined_pairs(text: str, merges: int) -> tuple[str, ...]:
    """The characters, and then `merges` times the pair of neighbours that is most frequent, joined (ties: the first).

    Fewer where no pair comes twice. Source: Sennrich and others, Neural machine translation of rare words (2016).
    """
    chunks = {tuple(chunk): count for chunk, count in Counter(CHUNK.findall(text)).items()}
    tokens = list(characters(text))
    for _ in range(merges):
        pairs: Counter[tuple[str, str]] = Counter()
        for pieces, count in chunks.items():
            for pair in zip(pieces, pieces[1:], strict=False):
                pairs[pair] += count
        (best, count), *_ = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:1] or [(("", ""), 0)]
        if count < 2:
            break
        token = "".join(best)
        if token not in tokens:
            tokens.append(token)
        regrouped: Counter[tuple[str, ...]] = Counter()
        for pieces, count in chunks.items():
            regrouped[tuple(merged(list(pieces), token))] += count
        chunks = dict(regrouped)
    return tuple(tokens)


def merged(pieces: list[str], token: str) -> list[str]:
    """Two neighbours that make the token become it, from the left."""
    found: list[str] = []
    k = 0
    while k < len(pieces):
        if k + 1 < len(pieces) and pieces[k] + pieces[k + 1] == token:
            found.append(token)
            k += 2
        else:
            found.append(pieces[k])
            k += 1
    return found
