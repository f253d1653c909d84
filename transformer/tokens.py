"""Text to token ids and back: the vocabulary of the lessons, and questions such as `Max(1,6,2)`.

A number is spelt digit by digit, so the same 20 tokens write numbers of any size.

    >>> encode("Max(1,6,2)")
    [15, 17, 3, 19, 8, 19, 4, 18]
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

__all__ = ["EOS", "OPERATIONS", "PAD", "VOCABULARY", "InputError", "Question", "decode", "encode", "parse", "spell"]

# Fixed: trained models know these by number. Further tokens come after.
VOCABULARY = ("[PAD]", "[EOS]", *"0123456789", "First", "Second", "Last", "Max", "Min", "(", ")", ",")
OPERATIONS = ("First", "Second", "Last", "Max", "Min")
PAD, EOS = 0, 1

IDS = {token: number for number, token in enumerate(VOCABULARY)}
WORD = re.compile(r"[0-9]+|[^\W\d_]+|\S")
PIECE = re.compile(r"[0-9]|[A-Za-z]+|[(),]")
LONGEST_NUMBER = 18  # digits
WINDOW = 60  # characters of the text that a message shows


class InputError(ValueError):
    """A question that cannot be read: what is wrong, a caret under the place, and what would be allowed."""

    def __init__(self, problem: str, text: str, position: int, allowed: str) -> None:
        start = max(0, position - WINDOW // 2)
        shown = "".join(c if c.isprintable() else " " for c in text[start : start + WINDOW])
        super().__init__(f"{problem}; {allowed}\n    {shown}\n    {' ' * columns(shown[: position - start])}^")
        self.position = position


def columns(text: str) -> int:
    """How many a terminal takes: two for a wide letter, none for an accent by itself."""
    wide = sum(unicodedata.east_asian_width(letter) in ("W", "F") for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


class Question(NamedTuple):
    """One operation on numbers; str() writes it as the model reads it."""

    operation: str
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.operation}({','.join(map(str, self.arguments))})"


class Reader:
    """Walks over the words of a text and says what it expected where."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [(found.group(), found.start()) for found in WORD.finditer(text)]
        self.words.append(("", len(text.rstrip())))
        self.place = 0

    @property
    def word(self) -> str:
        return self.words[self.place][0]

    def refuse(self, problem: str, allowed: str) -> InputError:
        return InputError(problem, self.text, self.words[self.place][1], allowed)

    def unexpected(self, allowed: str) -> InputError:
        found = f"unexpected {self.word!r} at character {self.words[self.place][1] + 1}"
        return self.refuse(found if self.word else "it ends early", allowed)

    def take(self, choices: Sequence[str], reason: str = "") -> str:
        """The next word, if it is one of the choices."""
        word = self.word
        if word not in choices or not word:
            close = [c for c in choices if c.lower() == word.lower()] or difflib.get_close_matches(word, choices, n=1)
            hint = f" (did you mean {close[0]}?)" if close and word else ""
            raise self.unexpected(f"expected {one_of(choices)}{reason}{hint}")
        self.place += 1
        return word

    def number(self, upper: int | None) -> int:
        """The next word, as a number in 0..upper."""
        word = self.word
        if not re.fullmatch("[0-9]+", word):
            raise self.unexpected("expected a whole number" + ("" if upper is None else f" from 0 to {upper}"))
        if len(word) > 1 and word[0] == "0":
            raise self.refuse(f"{word} starts with a zero", f"write {word.lstrip('0') or '0'}")
        if len(word) > LONGEST_NUMBER:
            raise self.refuse(f"a number of {len(word)} digits", f"numbers have at most {LONGEST_NUMBER}")
        if upper is not None and int(word) > upper:
            raise self.refuse(f"{word} is too large", f"numbers from 0 to {upper} are allowed here")
        self.place += 1
        return int(word)


def parse(text: str, arguments: int | None = None, upper: int | None = None) -> Question:
    """Read a question; blanks between words do not matter. Raises InputError.

    arguments: how many there must be (None: two or more). upper: the largest number allowed (None: any).
    """
    if not isinstance(text, str):
        raise TypeError(f"a question is text such as 'Max(1,6,2)', not {type(text).__name__}")
    reader = Reader(text)
    if len(reader.words) == 1:
        raise reader.refuse("the question is empty", "write one such as Max(1,6,2)")
    operation = reader.take(OPERATIONS)
    reader.take("(")
    numbers = [reader.number(upper)]
    while True:
        enough = len(numbers) >= (arguments or 2)
        if arguments is not None:
            mark = reader.take(")" if enough else ",", f": {arguments} arguments are allowed here")
        else:
            mark = reader.take((",", ")") if enough else ",", "" if enough else f": {operation} needs 2 arguments")
        if mark == ")":
            break
        numbers.append(reader.number(upper))
    if reader.word:
        raise reader.unexpected("the question is over here")
    return Question(operation, tuple(numbers))


def encode(text: str, longest: int | None = None) -> list[int]:
    """The token ids of a question. Raises InputError if it cannot be read, or has more than `longest` tokens."""
    ids = spell(str(parse(text)))
    if longest is not None and len(ids) > longest:
        found = list(PIECE.finditer(text))[longest]
        problem = f"the question has {len(ids)} tokens"
        raise InputError(problem, text, found.start(), f"at most {longest} are allowed here")
    return ids


def spell(text: str) -> list[int]:
    """The ids of the tokens in a text known to be well formed: an answer, or a question that a task wrote."""
    return [IDS[piece] for piece in PIECE.findall(text)]


def decode(ids: Iterable[Any]) -> str:
    """The text of token ids; [PAD] and [EOS] write nothing. Raises ValueError for an id that is no token."""
    words = []
    for given in ids:
        number = int(given)
        if not 0 <= number < len(VOCABULARY):
            raise ValueError(f"id {number} is no token: the vocabulary has ids 0 to {len(VOCABULARY) - 1}")
        words.append("" if number in (PAD, EOS) else VOCABULARY[number])
    return "".join(words)


def one_of(choices: Sequence[str]) -> str:
    quoted = [repr(choice) if len(choice) == 1 else choice for choice in choices]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))
