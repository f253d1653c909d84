"""Lesson 7's three mistakes: right forward passes with a wrong rule, planted from outside.

    with planted("dQ = dK = dV"):
        ...                          # the model now trains with it

Each is what a hand-written backward pass of this very network once did.
"""

from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np

from tinygrad_edu import Tensor, functional, gradients, primitive
from transformer import Transformer
from transformer.tasks import make_splits
from transformer.train import TrainConfig, fit

softmax, right_cross_entropy = functional.softmax, functional.cross_entropy  # on plain arrays they are plain NumPy


def weights_of(q, k):
    return softmax(q @ k.mT / np.sqrt(q.shape[-1]).astype(q.dtype))


def as_for_v(g, q, k):
    """dV = Aᵀ dO. Right for V alone."""
    return weights_of(q, k).mT @ g


@primitive(as_for_v, as_for_v, as_for_v)
def one_gradient_for_all(q, k, v):  # each (B, H, T, d)
    return weights_of(q, k) @ v


def one_hot(logits, targets):
    return np.eye(logits.shape[-1], dtype=logits.dtype)[targets]


def jacobian_again(g, logits, targets):
    """p − y is the gradient by the logits already; here it goes through the softmax once more."""
    p = softmax(logits)                                                     # (N, V)
    h = (p - one_hot(logits, targets)) / len(p)
    return g * p * (h - (h * p).sum(axis=-1, keepdims=True))


@primitive(jacobian_again, None)
def softmax_twice(logits, targets):  # (N, V), (N,)
    return right_cross_entropy(logits, targets)


def logits_for_probabilities(g, logits, targets):
    """(p − y)/N, with the logits where the probabilities belong."""
    return g * (logits - one_hot(logits, targets)) / len(logits)


@primitive(logits_for_probabilities, None)
def no_softmax(logits, targets):
    return right_cross_entropy(logits, targets)


def self_attention(qkv, heads, mask=None, bias=None):
    """What the model calls. All questions here are equally long: nothing is masked."""
    assert mask is None and bias is None
    q, k, v = functional.split_heads(qkv, heads)
    joined = functional.join_heads(one_gradient_for_all(q, k, v))
    return joined, Tensor(weights_of(q.numpy(), k.numpy()))


MISTAKES = {
    "derived": {},
    "dQ = dK = dV": {"self_attention": self_attention},
    "softmax twice": {"cross_entropy": lambda logits, targets, *_, **__: softmax_twice(logits, targets)},
    "no softmax": {"cross_entropy": lambda logits, targets, *_, **__: no_softmax(logits, targets)},
}


@contextmanager
def planted(mistake):
    """For a while, the model finds some functions of `functional` replaced."""
    with ExitStack() as stack:
        for name, replaced in MISTAKES[mistake].items():
            stack.enter_context(mock.patch.object(functional, name, replaced))
        yield


def first_gradients(mistake, batch_size=32):
    """The gradient of each parameter for the first batch of the lessons' training, before any step."""
    config = TrainConfig()
    examples = make_splits(config.task, config.seed)["train"]
    order = examples.sample(batch_size, np.random.default_rng(config.seed))
    batch = next(examples.batches(batch_size, order))
    model = Transformer(config.model, config.seed)
    with planted(mistake):
        loss = functional.cross_entropy(model(batch.tokens), batch.targets)
        names, parameters = zip(*model.named_parameters(), strict=True)
        return {name: g.numpy() for name, g in zip(names, gradients(loss, list(parameters)), strict=True)}


def distance(wrong, right):
    """Relative error, and the cosine of the angle between both."""
    norm = np.linalg.norm
    return float(norm(wrong - right) / norm(right)), float(np.vdot(wrong, right) / (norm(wrong) * norm(right)))


def trainings(epochs=3, examples=1600):
    """Mistake → what `fit` told after each epoch: same seed, same examples, same order."""
    config = TrainConfig(epochs=epochs, examples=examples)
    splits = make_splits(config.task, config.seed)
    told = {}
    for mistake in MISTAKES:
        with planted(mistake):
            told[mistake] = list(fit(Transformer(config.model, config.seed), splits, config))
    return told
