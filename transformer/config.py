"""TransformerConfig: every choice in one frozen record that refuses what cannot be built."""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TransformerConfig"]

CHOICES: dict[str, tuple[str | None, ...]] = {
    "norm": ("post", "pre"),
    "activation": ("relu", "gelu", "silu", "gelu_tanh"),
    "positions": ("sinusoidal", "learned", "rotary", "alibi"),
    "pooling": ("first", "last", "mean", "max", None),
    "dtype": ("float32", "float64"),
    "norm_kind": ("layer", "rms"),
}
SIZES = ("vocab_size", "embed_dim", "num_heads", "num_layers", "ffn_dim", "max_seq_len")
PARTS = ("attention", "feed_forward", "norm", "residual", "positions")  # what a model can be built without
SWITCHES = ("causal", "attention_bias", "tie_embeddings", "gated", "output_bias")


@dataclass(frozen=True)
class TransformerConfig:
    """The shape of a Transformer.

    norm             after each residual sum ("post"), or before each sublayer and at the end ("pre")
    pooling          how the positions become one vector: "first", "last" (the last one that is not padding),
                     "mean" or "max" over those that are not padding; None: logits at every position
    positions        added to the embeddings ("sinusoidal", "learned"), turned into queries and keys ("rotary"), or
                     taken from the scores, by distance ("alibi")
    activation       "gelu" is exact, by erf; "gelu_tanh" is its older approximation, which GPT-2 has
    tie_embeddings   the output projection is the embedding's transpose, plus a bias of its own
    output_bias      the output projection has a bias
    pad_id           the token that nobody attends to; None: no token is padding
    dropout          the share zeroed after the positions are added and after each sublayer, in training mode
    norm_kind        layer norm, or the root mean square's: no mean taken away, no bias
    gated            activation(x gate) ⊙ (x up) in place of activation(x up): with "silu" SwiGLU, with "gelu" GEGLU

    without          parts that are left out, to see what they are for: "attention", "feed_forward", "norm", "residual",
                     "positions"

    Raises TypeError or ValueError, saying what to change.
    """

    vocab_size: int
    embed_dim: int = 64
    num_heads: int = 4
    num_layers: int = 2
    ffn_dim: int = 256
    max_seq_len: int = 50
    causal: bool = False
    norm: str = "post"
    activation: str = "relu"
    positions: str = "sinusoidal"
    pooling: str | None = "first"
    attention_bias: bool = False
    tie_embeddings: bool = False
    dropout: float = 0.0
    norm_eps: float = 1e-5
    pad_id: int | None = 0
    dtype: str = "float32"
    norm_kind: str = "layer"
    gated: bool = False
    output_bias: bool = True
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in SIZES:
            self._settle(name, whole(name, getattr(self, name)))
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it must be 1 or more")
        for name in SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} = {getattr(self, name)!r}: it is True or False")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} = {getattr(self, name)!r}: choose {one_of(choices)}")
        if isinstance(self.without, str) or not set(self.without) <= set(PARTS):
            raise ValueError(f"without = {self.without!r}: choose any of {', '.join(map(repr, PARTS))}, in a tuple")
        self._settle("without", tuple(part for part in PARTS if part in self.without))
        for name in ("dropout", "norm_eps"):
            self._settle(name, number(name, getattr(self, name)))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout}: the share that is zeroed must lie in [0, 1)")
        if not (self.norm_eps > 0 and math.isfinite(self.norm_eps)):
            raise ValueError(f"norm_eps = {self.norm_eps}: it keeps 1/√var finite; choose a number above 0")
        if self.pad_id is not None:
            self._settle("pad_id", whole("pad_id", self.pad_id))
            if not 0 <= self.pad_id < self.vocab_size:
                raise ValueError(
                    f"pad_id = {self.pad_id} is no token of a vocabulary of {self.vocab_size}: choose one in "
                    f"[0, {self.vocab_size}), or None if nothing is padding"
                )
        if self.embed_dim % self.num_heads:
            most = min(self.embed_dim, 4096)  # nobody wants more, and all divisors of a large number take long
            fitting = [heads for heads in range(1, most + 1) if self.embed_dim % heads == 0]
            raise ValueError(
                f"embed_dim = {self.embed_dim} does not split into num_heads = {self.num_heads} equal heads: "
                f"choose num_heads from {fitting}"
            )
        if {"attention", "feed_forward"} <= set(self.without):
            raise ValueError("without attention and feed_forward nothing is left of a block: leave out one of them")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(
                f"positions = 'rotary' turns pairs of numbers, but embed_dim / num_heads = {self.head_dim} "
                "is odd: choose sizes that make it even"
            )
        if self.causal and self.pooling == "first":
            raise ValueError(
                "causal = True with pooling = 'first': the first position sees only itself, the rest would "
                "be ignored; choose pooling = 'last', or None for logits at every position"
            )

    def _settle(self, name: str, value: Any) -> None:
        """NumPy's numbers become Python's, so that the record can be written as JSON."""
        object.__setattr__(self, name, value)

    @property
    def places(self) -> str | None:
        """The kind of positions; None for a model without."""
        return None if "positions" in self.without else self.positions

    @property
    def head_dim(self) -> int:
        return self.embed_dim // self.num_heads

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransformerConfig:
        """The inverse of to_dict; a field left out has its default. Raises ValueError for unknown ones."""
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            close = difflib.get_close_matches(str(unknown[0]), known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}"
            raise ValueError(f"TransformerConfig has no {', '.join(map(repr, unknown))}{hint}")
        if "vocab_size" not in values:
            raise ValueError("TransformerConfig: vocab_size is missing; it has no default")
        return cls(**values)


def whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} = {value!r}: it must be a whole number") from None


def number(name: str, value: Any) -> float:
    try:
        if isinstance(value, bool | str):
            raise TypeError
        return float(value)
    except TypeError:
        raise TypeError(f"{name} = {value!r}: it must be a number") from None


def one_of(choices: tuple[str | None, ...]) -> str:
    return f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
