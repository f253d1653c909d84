"""A pretrained BERT with its tokenizer: a text with masks in, the words that it would put there out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

from tinygrad_edu import functional, no_grad
from transformer.headers import CheckpointError
from transformer.interop.bert import load_bert
from transformer.interop.bert_model import Bert
from transformer.interop.pretrained import encoded, read_tokenizer
from transformer.tokens import InputError

__all__ = ["Filled", "Filler"]

MASK = "[MASK]"


class Filled(NamedTuple):
    """The text with the likeliest tokens in its masks, and for each mask the likeliest with their probabilities."""

    text: str
    choices: list[list[tuple[str, float]]]


class Filler:
    """What `load` finds in a Hugging Face folder: a BERT with a head for words, and its tokenizer.

        bert = Filler.load("bert-base-uncased")
        print(bert.fill("the cat [MASK] on the mat").text)
    """

    def __init__(self, model: Bert, tokenizer: Any, mask: int) -> None:
        self.model, self.tokenizer, self.mask = model, tokenizer, mask

    @classmethod
    def load(cls, folder: str | Path) -> Filler:
        """Read config.json, the weights and tokenizer.json. Wants the package `tokenizers`.

        Raises CheckpointError, in one line, for what cannot be read or does not fit together.
        """
        model = load_bert(folder)
        if model.words is None:
            raise CheckpointError(f"{folder}: this BERT has no head for words, so it fills no {MASK}")
        path = Path(folder) / "tokenizer.json"
        tokenizer = read_tokenizer(path, model.config.vocab_size)
        mask = tokenizer.token_to_id(MASK)
        if mask is None:
            raise CheckpointError(f"{path}: it has no token {MASK}")
        return cls(model, tokenizer, mask)

    def fill(self, text: str, best: int = 5) -> Filled:
        """Each mask by itself, by what stands on both sides. Raises InputError for a text without a mask, or too long.

        best: how many choices are told.
        """
        found = encoded(self.tokenizer, text, self.model.config.max_seq_len)
        ids = np.array(found.ids, np.int64)
        places = np.flatnonzero(ids == self.mask)
        if not len(places):
            raise InputError(f"the text has no {MASK}", text, len(text), f"write {MASK} where a word is wanted")
        with no_grad():
            hidden = self.model(ids[None], [found.type_ids], [found.attention_mask])    # (1, T, D)
            logits = self.model.fill(hidden[:, places])                                 # (1, masks, V)
            likely = functional.softmax(logits).numpy()[0]                              # (masks, V)
        order = np.argsort(-likely, axis=-1, kind="stable")[:, :best]                   # (masks, best)
        ids[places] = order[:, 0]
        choices = [
            [(self.tokenizer.id_to_token(int(token)) or f"#{token}", float(row[token])) for token in tokens]
            for row, tokens in zip(likely, order, strict=True)
        ]
        return Filled(self.tokenizer.decode(ids.tolist(), skip_special_tokens=True), choices)

    def say(self, texts: Sequence[str], out: TextIO) -> None:
        """Write each text filled, and below it the likeliest tokens of each mask."""
        for text in texts:
            filled = self.fill(text)
            out.write(f"{filled.text}\n")
            for number, choices in enumerate(filled.choices, 1):
                each = ", ".join(f"{token} {probability:.1%}" for token, probability in choices)
                out.write(f"  {MASK} {number}: {each}\n")
