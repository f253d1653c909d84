"""A pretrained model with its tokenizer: text in, text out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from transformer.generate import stream
from transformer.headers import CheckpointError
from transformer.interop.folders import read_settings
from transformer.interop.gpt2 import load_gpt2
from transformer.model import Transformer
from transformer.sampling import GREEDY, Sampling
from transformer.tokens import InputError

__all__ = ["Pretrained", "encoded", "read_tokenizer"]

LONGEST_TOKENIZER = 1 << 28  # bytes
UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # what the decoder writes for a letter of which a byte is still to come


def read_tokenizer(path: Path, room: int) -> Any:
    """The tokenizer of a file, for a model that has embeddings for `room` tokens."""
    from tokenizers import Tokenizer

    if path.stat().st_size > LONGEST_TOKENIZER:
        raise CheckpointError(f"{path}: {path.stat().st_size} bytes are too many for a tokenizer")
    try:
        tokenizer = Tokenizer.from_str(path.read_bytes().decode())
    except Exception as error:  # it has no exceptions of its own
        raise CheckpointError(f"{path}: no tokenizer: {' '.join(str(error).split()):.120}") from None
    tokens = tokenizer.get_vocab_size(with_added_tokens=True)
    if tokens > room:
        raise CheckpointError(f"{path}: it has {tokens} tokens, and the model {room}")
    return tokenizer


def encoded(tokenizer: Any, text: str, most: int) -> Any:
    """A text as the tokenizer reads it; no more tokens than the model has positions."""
    found = tokenizer.encode(text)
    if len(found.ids) > most:
        raise InputError(f"the text has {len(found.ids)} tokens", text, len(text), f"this model reads {most} at most")
    return found


class Pretrained:
    """What `load` finds in a Hugging Face folder: the model, the tokenizer, and the token that ends a text, if any.

        gpt2 = Pretrained.load("gpt2")
        print("".join(gpt2.text_after("The cat", limit=20)))
    """

    def __init__(self, model: Transformer, tokenizer: Any, stop: int | None) -> None:
        self.model, self.tokenizer, self.stop = model, tokenizer, stop

    @classmethod
    def load(cls, folder: str | Path) -> Pretrained:
        """Read config.json, model.safetensors and tokenizer.json. Wants the package `tokenizers`.

        Raises CheckpointError, in one line, for what cannot be read or does not fit together.
        """
        model = load_gpt2(folder)
        room = model.config.vocab_size
        tokenizer = read_tokenizer(Path(folder) / "tokenizer.json", room)
        stop = read_settings(Path(folder) / "config.json").get("eos_token_id")
        return cls(model, tokenizer, stop if isinstance(stop, int) and 0 <= stop < room else None)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises InputError for one that is empty or longer than the model's positions."""
        ids: list[int] = encoded(self.tokenizer, text, self.model.config.max_seq_len).ids
        if not ids:
            raise InputError("the text is empty", text, 0, "give it a beginning")
        return ids

    def text_after(self, prompt: str, limit: int = 200, sampling: Sampling = GREEDY) -> Iterator[str]:
        """The text that follows, piece by piece: up to the token that ends it, the limit, or the last position."""
        ids: list[int] = []
        told = 0
        for step in stream(self.model, [self.encode(prompt)], limit, sampling, self.stop):
            ids.append(step[0].token)
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            if not text.endswith(UNFINISHED):
                yield text[told:]
                told = len(text)
        rest = self.tokenizer.decode(ids, skip_special_tokens=True)[told:]
        if rest:
            yield rest

    def say(self, prompts: Sequence[str], limit: int, sampling: Sampling, out: TextIO) -> None:
        """Write each prompt and what follows it, as it is made."""
        for prompt in prompts:
            pieces = self.text_after(prompt, limit, sampling)
            first = next(pieces, "")  # before anything is written: the prompt may be refused
            out.write(prompt + first)
            for piece in pieces:
                out.write(piece)
                out.flush()
            out.write("\n")
