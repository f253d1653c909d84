"""What a run depends on, all of it settled before it starts; and whether this machine has the memory for it."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu import errors
from transformer.config import TransformerConfig
from transformer.tasks import DigitTask, Task, make_task
from transformer.tokens import PAD, VOCABULARY

__all__ = ["TrainConfig", "refuse_if_too_large"]

LEAST = {
    "epochs": 1, "examples": 1, "batch_size": 1, "seed": 0, "warmup": 0, "accumulate": 1, "patience": 0,
    "deterministic": 0,
}  # fmt: skip
CHOICES: dict[str, tuple[str | None, ...]] = {
    "loss": (None, "answer", "all"),
    "optimizer": ("adam", "adamw", "sgd", "nesterov", "lion"),
    "schedule": ("cosine", "step", "plateau", "constant"),
}
LARGEST = 10**18  # of what is counted
AT_ONCE = 500  # questions that are answered together, as in generate.answers


@dataclass(frozen=True)
class TrainConfig:
    """All that a run depends on; the defaults train the encoder of the lessons.

    examples  drawn for each epoch        clip    largest norm of the gradient
    lr        the highest rate            warmup  steps up to it; the schedule begins then
    loss      on the "answer", or on "all" tokens; None: as the task has answers or not
    optimizer        "adam", "adamw", "sgd" and "nesterov" (momentum 0.9), "lion"
    schedule         "cosine" down to 0, "step": a tenth after each third, "plateau": half where the validation loss
                     has not fallen for two epochs, or "constant"
    accumulate       parts into which each batch is cut: the same gradient, in less memory
    deterministic    pieces that are cut first, with the same bits on any number of processes; 0: it is not asked for
    average          decay of the moving average of the weights, which is what is then measured and saved; 0: none
    patience         epochs without a better validation loss after which one more ends the run; 0: none
    curriculum       share of the run during which the longer questions are still held back
    capture          record a step and replay it: the same bits in less time. Not with dropout, which draws for each
                     step from a generator of its own
    """

    model: TransformerConfig = field(default_factory=lambda: TransformerConfig(vocab_size=len(VOCABULARY)))
    task: Task = field(default_factory=DigitTask)
    seed: int = 0
    epochs: int = 5
    examples: int = 8000
    batch_size: int = 32
    lr: float = 2e-3
    warmup: int = 100
    clip: float = 1.0
    loss: str | None = None
    optimizer: str = "adam"
    schedule: str = "cosine"
    weight_decay: float = 0.0
    accumulate: int = 1
    average: float = 0.0
    patience: int = 0
    label_smoothing: float = 0.0
    curriculum: float = 0.0
    deterministic: int = 0
    capture: bool = False

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}: it must be a whole number, {least} or more")
            if value > LARGEST and name != "seed":
                raise ValueError(f"{name} = {value}: it must be 10^18 at most")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} = {getattr(self, name)!r}: choose one of {', '.join(map(str, choices))}")
        for name in ("average", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: it must lie in [0, 1)")
        if not 0 <= self.curriculum <= 1:
            raise ValueError(f"curriculum = {self.curriculum}: it is a share of the run, in [0, 1]")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay = {self.weight_decay}: it must be a finite number, 0 or more")
        for name in ("lr", "clip"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} = {getattr(self, name)}: it must be a number above 0")
        if self.capture and self.model.dropout:
            raise ValueError("capture = True: a step with dropout draws anew and cannot be replayed; leave one out")
        if self.lr > 1e30:
            raise ValueError(f"lr = {self.lr}: no weight can hold such steps; 0.002 is a good one")
        tokens = len(self.task.vocabulary)
        if self.model.vocab_size < tokens or self.model.pad_id != PAD:
            raise ValueError(f"the model needs {tokens} tokens, {PAD} among them for padding")
        if self.decoder and not self.model.causal:
            raise ValueError("pooling = None wants causal = True: a decoder that sees its answer learns to copy it")
        needed = self.task.longest + (self.task.longest_answer if self.decoder else 0)
        if needed > self.model.max_seq_len:
            raise ValueError(f"max_seq_len = {self.model.max_seq_len}: questions of this task need {needed} positions")
        if not self.decoder and self.task.longest_answer != 1:
            raise ValueError(
                f"{self.about()}: an encoder answers with one token, as with one digit; train a decoder"
            )

    @property
    def decoder(self) -> bool:
        """Logits at every position: the answer is generated token by token."""
        return self.model.pooling is None

    @property
    def counted(self) -> str:
        """The tokens that the loss is on: of the "answer", or "all", as text has no answer."""
        return self.loss or ("answer" if self.task.exact else "all")

    def about(self) -> str:
        """The task in words."""
        options = self.task.to_dict()
        return ", ".join(f"{name} = {value}" for name, value in options.items() if name != "name")

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.examples // self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        plain = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return plain | {"model": self.model.to_dict(), "task": self.task.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], vocabulary: Sequence[str] | None = None) -> TrainConfig:
        """The inverse of to_dict; vocabulary: the tokens of the model. Raises TypeError or ValueError."""
        own = dict(values)
        options = dict(own.pop("task"))
        model, task = TransformerConfig.from_dict(own.pop("model")), make_task(options.pop("name", "digits"), options)
        if vocabulary is not None:
            task.adopt(vocabulary)
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
    B = min(config.batch_size, config.examples)
    step = L * B * length * (8 * D + F + H * length) * size  # what the backward pass needs is kept
    together = min(AT_ONCE, task.size // 10)
    answering = 2 * together * H * length * length * size  # nothing is kept: scores and weights of one block
    return {
        # each weight with its gradient and Adam's two averages
        f"embed_dim = {D}, ffn_dim = {F}, num_layers = {L}": 4 * weights * size,
        config.about(): 16 * task.size * length + 8 * T * D + max(answering - step, 0),
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
