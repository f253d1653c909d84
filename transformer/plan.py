"""What a run depends on, all of it settled before it starts; and whether this machine has the memory for it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu import errors
from transformer.config import TransformerConfig
from transformer.tasks import POOL, DigitTask
from transformer.tokens import OPERATIONS, PAD, VOCABULARY

__all__ = ["TrainConfig", "refuse_if_too_large"]

LARGEST = 10**18  # of what is counted
AT_ONCE = 500  # questions that are answered together, as in generate.answers


@dataclass(frozen=True)
class TrainConfig:
    """All that a run depends on; the defaults train the encoder of the lessons.

    examples  drawn for each epoch        clip    largest norm of the gradient
    lr        the highest rate of Adam    warmup  steps up to it; half a cosine then leads down to 0
    """

    model: TransformerConfig = field(default_factory=lambda: TransformerConfig(vocab_size=len(VOCABULARY)))
    task: DigitTask = field(default_factory=DigitTask)
    seed: int = 0
    epochs: int = 5
    examples: int = 8000
    batch_size: int = 32
    lr: float = 2e-3
    warmup: int = 100
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("examples", 1), ("batch_size", 1), ("seed", 0), ("warmup", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: it must be a whole number, {least} or more")
            if value > LARGEST and name != "seed":
                raise ValueError(f"{name} = {value}: it must be 10^18 at most")
        for name in ("lr", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} = {getattr(self, name)}: it must be a number above 0")
        if self.lr > 1e30:
            raise ValueError(f"lr = {self.lr}: no weight can hold such steps; 0.002 is a good one")
        if self.model.vocab_size < len(VOCABULARY) or self.model.pad_id != PAD:
            raise ValueError(f"the model needs {len(VOCABULARY)} tokens, {PAD} among them for padding")
        if self.decoder and not self.model.causal:
            raise ValueError("pooling = None wants causal = True: a decoder that sees its answer learns to copy it")
        needed = self.task.longest + (self.task.longest_answer if self.decoder else 0)
        if needed > self.model.max_seq_len:
            raise ValueError(f"max_seq_len = {self.model.max_seq_len}: questions of this task need {needed} positions")
        if not self.decoder and self.task.upper > 9:
            raise ValueError(f"upper = {self.task.upper}: an encoder answers with one digit; train a decoder")

    @property
    def decoder(self) -> bool:
        """Logits at every position: the answer is generated token by token."""
        return self.model.pooling is None

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """The inverse of to_dict. Raises TypeError or ValueError for what it does not know."""
        own = dict(values)
        model, task = TransformerConfig.from_dict(own.pop("model")), DigitTask(**own.pop("task"))
        return cls(model=model, task=task, **own)


# Memory -------------------------------------------------------------------------------------------


def refuse_if_too_large(config: TrainConfig) -> None:
    """Raise TooLargeError, before anything is allocated, for a run that wants more memory than is free."""
    parts = memory(config)
    wanted, free = sum(parts.values()), free_bytes()
    if wanted > free:
        most = max(parts, key=lambda part: parts[part])
        raise errors.TooLargeError(
            f"{most}: too large, training wants {gib(wanted)} GiB of memory or more, {gib(parts[most])} of them for "
            f"this, and {gib(free)} are free"
        )


def memory(config: TrainConfig) -> dict[str, int]:
    """Bytes that a run keeps at the same time, by the options they grow with; counted low, so no run is wronged."""
    model, task = config.model, config.task
    size = np.dtype(model.dtype).itemsize
    V, D, F, H, L, T = (getattr(model, name) for name in (
        "vocab_size", "embed_dim", "ffn_dim", "num_heads", "num_layers", "max_seq_len"
    ))  # fmt: skip
    weights = 2 * V * D + L * (4 * D * D + 2 * D * F)
    length = task.longest + (task.longest_answer if config.decoder else 0)
    inputs = min(POOL, (task.upper + 1) ** min(task.arguments, 14))
    B = min(config.batch_size, config.examples)
    step = L * B * length * (8 * D + F + H * length) * size  # what the backward pass needs is kept
    together = min(AT_ONCE, len(OPERATIONS) * inputs // 10)
    answering = 2 * together * H * length * length * size  # nothing is kept: scores and weights of one block
    return {
        # each weight with its gradient and Adam's two averages
        f"embed_dim = {D}, ffn_dim = {F}, num_layers = {L}": 4 * weights * size,
        f"arguments = {task.arguments}": 16 * len(OPERATIONS) * inputs * length + 8 * T * D + max(answering - step, 0),
        f"examples = {config.examples}": 32 * config.examples,
        f"batch_size = {config.batch_size}, num_layers = {L}": step,
    }


def gib(size: int) -> str:
    return f"{min(size, 1 << 90) / 2**30:.3g}"


def free_bytes() -> int:
    """Memory that the system could still hand out; all there is where it does not say, a petabyte if not even that."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 1 << 50
