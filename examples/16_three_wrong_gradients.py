"""Sixteen: three gradients that are wrong, and how far off each parameter's then is.

    dQ = dK = dV     attention passes V's gradient on to Q and K too; the paths through softmax and Q Kᵀ are missing
    softmax twice    the loss sends p − y through the softmax's Jacobian, which p − y already contains;
                     what then goes down is no cross-entropy but the Brier score, ½ Σ (p − y)²
    raw logits       the loss takes logits z for probabilities: z − y goes back, and the squared error goes down

Each is planted outside the engine and the model. The forward pass stays right, for s − stop_gradient(s) is 0, and has
the gradient of s. Step seventeen trains with them.
"""

from contextlib import nullcontext
from unittest.mock import patch

import numpy as np

from tinygrad_edu import functional, grad, gradients, stop_gradient
from transformer import Transformer
from transformer.tasks import make_splits
from transformer.train import TrainConfig

right_attention, right_loss = functional.self_attention, functional.cross_entropy


def with_gradient_of(value, s):
    return stop_gradient(value) + (s - stop_gradient(s))


def self_attention(qkv, heads, *rest):
    out, weights = right_attention(qkv, heads, *rest)
    q, k, v = functional.split_heads(qkv, heads)
    sent = stop_gradient(weights) @ (q + k + v)  # dV = Aᵀ dO: right for V alone
    return with_gradient_of(out, functional.join_heads(sent)), weights


def loss_that_sends(sent):
    def cross_entropy(logits, targets, *rest, **options):
        onehot = np.eye(logits.shape[-1], dtype=logits.dtype)[targets]  # (N, V)
        return with_gradient_of(right_loss(logits, targets, *rest, **options), sent(logits, onehot) / len(logits))

    return cross_entropy


softmax = functional.softmax
softmax_twice = loss_that_sends(lambda z, y: np.sum(softmax(z) * stop_gradient(softmax(z) - y)))
raw_logits = loss_that_sends(lambda z, y: np.sum(z * stop_gradient(z - y)))

MISTAKES = {
    "derived": nullcontext,
    "dQ = dK = dV": lambda: patch.object(functional, "self_attention", self_attention),
    "softmax twice": lambda: patch.object(functional, "cross_entropy", softmax_twice),
    "raw logits": lambda: patch.object(functional, "cross_entropy", raw_logits),
}


def first_gradients(planted):
    """The gradient of every parameter for the first batch, before any step."""
    config = TrainConfig()
    model, train = Transformer(config.model, config.seed), make_splits(config.task, config.seed)["train"]
    batch = next(train.batches(config.batch_size, train.sample(config.examples, np.random.default_rng([0, 1]))))
    with planted():
        loss = functional.cross_entropy(model(batch.tokens), batch.targets)
        names, parameters = zip(*model.named_parameters(), strict=True)
        return {name: g.numpy() for name, g in zip(names, gradients(loss, list(parameters)), strict=True)}


def distance(wrong, right):
    """Relative error and cosine."""
    norm = np.linalg.norm
    return norm(wrong - right) / norm(right), float(np.vdot(wrong, right) / (norm(wrong) * norm(right)))


def main():
    right, *found = (first_gradients(planted) for planted in MISTAKES.values())
    print(f"{'rel. error, cosine':<36}" + "".join(f"{mistake:>20}" for mistake in list(MISTAKES)[1:]))
    bad = [0] * len(found)
    for name in right:
        pairs = [distance(wrong[name], right[name]) for wrong in found]
        bad = [count + (error > 1e-4) for count, (error, _) in zip(bad, pairs, strict=True)]
        cells = [f"{error:.4f} {cosine:7.4f}" if error > 1e-4 else "right" for error, cosine in pairs]
        print(f"{name:<36}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"{'wrong':<36}" + "".join(f"{f'{count} of {len(right)}':>20}" for count in bad))

    z, targets = np.random.default_rng(0).normal(size=(8, 20)), np.arange(8)
    brier = grad(lambda z: np.sum((softmax(z) - np.eye(20)[targets]) ** 2) / 2 / len(z))
    error, _ = distance(grad(softmax_twice)(z, targets), brier(z))
    print(f"softmax twice, against the derived gradient of the Brier score: relative error {error:.0e}")


if __name__ == "__main__":
    main()
