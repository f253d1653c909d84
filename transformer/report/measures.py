"""What can be measured on a trained model: where it looks, what it relies on, how sure it is and should be.

Questions go in as texts, numbers come out as arrays; nothing is drawn here. For a decoder everything is measured at the
place where the first token of the answer is asked for.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import functional, gradients, nn, optim
from transformer.generate import inference
from transformer.model import Transformer
from transformer.tasks import Example, Split, Task
from transformer.tokens import PAD, VOCABULARY, encode, spell

__all__ = [
    "Calibration",
    "Cost",
    "Reading",
    "calibration",
    "cosines",
    "costs",
    "hardest",
    "principal_axes",
    "read",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Reading:
    """How one question was read. T tokens, H heads; each of the last three says how much every token matters.

    attention   (H, T, T) for each block: the real weights, rows sum to 1
    occlusion   (T,) drop of log p(answer) when nobody may attend to the token
    rollout     (T,) what reaches the answering position when attention and residual are multiplied through the blocks
    gradient    (T,) gradient of log p(answer) times the embedded token, summed over its dimensions
    """

    question: str
    answer: str
    probability: float  # of the right answer's first token
    tokens: list[int]
    labels: list[str]  # the tokens as text
    attention: list[Array]
    occlusion: Array
    rollout: Array
    gradient: Array


def read(model: Transformer, example: Example, task: Task | None = None) -> Reading:
    """Look at how the model reads one question whose answer is known; without a task, one of the lessons."""
    words, encoded, spelt = (VOCABULARY, encode, spell) if task is None else (
        task.vocabulary.tokens, task.encode, task.vocabulary.spell
    )  # fmt: skip
    tokens = encoded(example.question, model.config.max_seq_len)
    wanted = spelt(example.answer)[0]
    with inference(model):
        logits, attention = model([tokens], return_attention=True)
        weights = [each.numpy()[0] for each in attention]
        sure = log_chances(logits)[0, wanted]
        hidden = np.ones((len(tokens), 1, 1, len(tokens)), bool)  # one question for each hidden token
        hidden[range(len(tokens)), 0, 0, range(len(tokens))] = False
        occluded = log_chances(model([tokens] * len(tokens), mask=hidden))[:, wanted]
    return Reading(
        example.question, example.answer, float(np.exp(sure)), tokens, [words[token] for token in tokens], weights,
        sure - occluded, rollout(model, weights), gradient_times_input(model, tokens, wanted),
    )  # fmt: skip


def log_chances(logits: Any) -> Array:
    """log p of every token as the answer's first, (B, V)."""
    found: Array = functional.log_softmax(asked_for(logits)).numpy()
    return found


def asked_for(logits: Any) -> Any:
    """The logits (B, V) of the answer's first token."""
    return logits if logits.ndim == 2 else logits[:, -1]


def rollout(model: Transformer, attention: Sequence[Array]) -> Array:
    """Attention roll-out (Abnar and Zuidema, 2020): heads averaged, half of each position kept by the residual."""
    size = attention[0].shape[-1]
    flow = np.eye(size)
    for weights in attention:
        flow = (weights.mean(axis=0) + np.eye(size)) / 2 @ flow
    pooling = model.config.pooling
    found: Array = flow.mean(axis=0) if pooling in ("mean", "max") else flow[0 if pooling == "first" else -1]
    return found


def gradient_times_input(model: Transformer, tokens: Sequence[int], wanted: int) -> Array:
    """∂ log p / ∂x · x for the embedded token x at every position, (T,); the engine derives it."""
    table = model.embedding.weight
    training = model.training
    model.eval()
    try:
        # Each position gets a row of its own, so that a repeated token's shares are told apart.
        rows = table.numpy()[list(tokens)]
        x = nn.Parameter(rows)
        logits, _ = model.from_embeddings(x[None], np.array([tokens]) != PAD)
        chance = functional.log_softmax(asked_for(logits))
        (slope,) = gradients(chance[0, wanted], [x])
    finally:
        model.train(training)
    found: Array = (slope.numpy() * rows).sum(axis=-1)
    return found


@dataclass(frozen=True)
class Calibration:
    """Is an answer that is given with 90 % right in 9 of 10 cases? By bins of confidence; empty ones are left out.

    error: the expected calibration error, the mean distance of accuracy and confidence, weighted by the bins' counts.
    """

    confidence: Array
    accuracy: Array
    counts: Array
    error: float


def calibration(model: Transformer, split: Split, bins: int = 10) -> Calibration:
    """Compare the probability of the likeliest token with how often it is the right one, over all that is asked for."""
    sure, right = [], []
    with inference(model):
        for tokens, targets in split.batches(500):
            chances = functional.softmax(model(tokens)).numpy()
            asked = targets != PAD
            sure.append(chances.max(axis=-1)[asked])
            right.append((chances.argmax(axis=-1) == targets)[asked])
    confidence, correct = np.concatenate(sure), np.concatenate(right)
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    there = counts > 0
    means = [np.bincount(which, values, bins)[there] / counts[there] for values in (confidence, correct)]
    error = float((counts[there] * np.abs(means[0] - means[1])).sum() / counts.sum())
    return Calibration(means[0], means[1], counts[there], error)


def hardest(model: Transformer, split: Split, count: int = 10) -> list[tuple[float, Example]]:
    """The examples with the largest loss, largest first; of a decoder, the sum over the answer's tokens."""
    losses: list[float] = []
    with inference(model):
        for tokens, targets in split.batches(500):
            logs = functional.log_softmax(model(tokens)).numpy()
            each = -np.take_along_axis(logs, targets[..., None], axis=-1)[..., 0] * (targets != PAD)
            losses += (each if each.ndim == 1 else each.sum(axis=1)).tolist()
    order = np.argsort(-np.array(losses), kind="stable")[:count]
    return [(losses[k], split.examples[k]) for k in order]


def cosines(vectors: Array) -> Array:
    """Cosines between all rows, (n, n); a row of zeros is at right angles to all."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    found: Array = unit @ unit.T
    return found


def principal_axes(vectors: Array, count: int = 2) -> tuple[Array, Array, Array]:
    """The mean (D,), the directions (count, D) in which rows differ most, and their shares of the variance.

    A direction's sign is settled: its largest component is positive.
    """
    mean = vectors.mean(axis=0)
    _, sizes, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    axes = axes[:count]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    total = float((sizes**2).sum())
    return mean, axes, sizes[:count] ** 2 / (total or 1.0)


@dataclass(frozen=True)
class Cost:
    """What one part takes in a training step: parameters, seconds forward and backward (medians), and the bytes that it
    holds at most, above what is there before.
    """

    part: str
    parameters: int
    forward: float
    backward: float
    peak: int


def costs(model: Transformer, split: Split, batch_size: int, repeats: int = 7) -> tuple[list[Cost], Cost]:
    """The parts of a model one by one on their real inputs, and a whole step: loss, backward pass, Adam."""
    tokens, targets = next(iter(split.batches(batch_size)))
    x = nn.Parameter(np.zeros((*tokens.shape, model.config.embed_dim), model.config.dtype))
    x.data = model.embedding(tokens).detach()
    block, pooled = model.blocks[0], x if model.config.pooling is None else nn.Parameter(x.numpy()[:, 0])
    parts: list[tuple[str, Any, Callable[[], Any]]] = [
        ("embedding", model.embedding, lambda: model.embedding(tokens)),
        ("attention", block.attention, lambda: block.attention(x, None)[0]),
        ("feed-forward", block.feed_forward, lambda: block.feed_forward(x)),
        ("norm", block.norm1, lambda: block.norm1(x)),
        ("output", model.output, lambda: model.output(pooled, model.embedding.weight)),
    ]
    found = []
    for name, module, run in parts:
        if module is None:  # the model was built without
            continue
        both = run, lambda y: y.backward(np.ones(y.shape, y.dtype))
        found.append(Cost(name, module.num_parameters(), *timed(*both, repeats), held(*both)))
    copy = Transformer(model.config)
    copy.load_state_dict(model.state_dict())
    optimizer = optim.Adam(copy.named_parameters(), 1e-6)

    def back(loss: Any) -> None:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step = lambda: functional.cross_entropy(copy(tokens), targets, ignore=PAD), back  # noqa: E731
    whole = Cost("a whole step", model.num_parameters(), *timed(*step, repeats), held(*step))
    model.zero_grad()
    return found, whole


def held(forward: Callable[[], Any], backward: Callable[[Any], None]) -> int:
    """The most bytes of arrays and Python's objects that both hold at one time."""
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        backward(forward())
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()


def timed(forward: Callable[[], Any], backward: Callable[[Any], None], repeats: int) -> tuple[float, float]:
    """Median CPU seconds of both, after one run that does not count: by the clock, other programs would be in them."""
    there, back = [], []
    for _ in range(repeats + 1):
        start = time.process_time()
        made = forward()
        middle = time.process_time()
        backward(made)
        there.append(middle - start)
        back.append(time.process_time() - middle)
    return statistics.median(there[1:]), statistics.median(back[1:])
