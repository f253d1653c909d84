"""Ten: what a wrong gradient does, and how little it shows.

The network of the lessons is trained from the same seed, on the same examples, in the same order:

    derived          the gradients that follow from the forward code
    dQ = dK = dV     attention passes V's gradient on to Q and K too; the paths through softmax and Q Kᵀ are missing
    softmax twice    the loss sends p − y through the softmax's Jacobian, which p − y already contains;
                     what then goes down is no cross-entropy but the Brier score, ½ Σ (p − y)²

Nothing crashes, the loss falls, the accuracy rises. The mistakes are planted here, outside the engine and the model,
with @primitive: the forward pass is the right one, only the rule is wrong.

    python examples/10_three_wrong_gradients.py            # about a minute; --quick for a few seconds
"""

import os
import sys
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: on small matrices a second thread costs time

import numpy as np  # noqa: E402

import transformer.layers.attention  # noqa: E402
import transformer.loop  # noqa: E402
from tinygrad_edu import Tensor, functional, grad, gradients, primitive  # noqa: E402
from transformer import Transformer  # noqa: E402
from transformer.tasks import make_splits  # noqa: E402
from transformer.train import TrainConfig, fit  # noqa: E402

softmax = functional.softmax  # on plain arrays it is plain NumPy


def weights_of(q, k):
    return softmax(q @ k.mT / np.sqrt(q.shape[-1]).astype(q.dtype))


# The mistakes -----------------------------------------------------------------------------------


def as_for_v(g, q, k):
    """dV = Aᵀ dO. Right for V alone."""
    return weights_of(q, k).mT @ g


@primitive(as_for_v, as_for_v, as_for_v)
def mistaken_attention(q, k, v):  # each (B, H, T, d)
    return weights_of(q, k) @ v


def twice(g, logits, targets):
    """p − y is the gradient with respect to the logits already; here it goes through the softmax once more."""
    p = softmax(logits)                                                     # (N, V)
    y = np.eye(p.shape[-1], dtype=p.dtype)[targets]
    h = (p - y) / len(p)
    return g * p * (h - (h * p).sum(axis=-1, keepdims=True))


@primitive(twice, None)
def mistaken_cross_entropy(logits, targets):  # (N, V), (N,)
    return functional.cross_entropy(logits, targets)


def attention(q, k, v, mask=None, return_weights=False, bias=None):
    """What the model calls. All questions here are equally long: nothing is masked."""
    assert mask is None and bias is None and return_weights
    return mistaken_attention(q, k, v), Tensor(weights_of(q.numpy(), k.numpy()))


def cross_entropy(logits, targets, ignore=None, label_smoothing=0.0):
    return mistaken_cross_entropy(logits, targets)


MISTAKES = {
    "derived": {},
    "dQ = dK = dV": {transformer.layers.attention: {"attention": attention}},
    "softmax twice": {transformer.loop: {"cross_entropy": cross_entropy}},
}


@contextmanager
def planted(mistake):
    """For a while, a module finds some functions of `functional` replaced."""
    with ExitStack() as stack:
        for module, replaced in MISTAKES[mistake].items():
            stack.callback(setattr, module, "functional", module.functional)
            module.functional = SimpleNamespace(**{**vars(functional), **replaced})
        yield


# What they do -----------------------------------------------------------------------------------


def first_gradients(config, splits, mistake):
    """The gradient of every parameter for the first batch, before any step."""
    model = Transformer(config.model, config.seed)
    order = splits["train"].sample(config.examples, np.random.default_rng([config.seed, 1]))
    batch = next(splits["train"].batches(config.batch_size, order))
    with planted(mistake):
        loss = transformer.loop.functional.cross_entropy(model(batch.tokens), batch.targets)
        names, parameters = zip(*model.named_parameters(), strict=True)
        return {name: g.numpy() for name, g in zip(names, gradients(loss, list(parameters)), strict=True)}


def distance(wrong, right):
    """Relative error and cosine."""
    norm = np.linalg.norm
    return norm(wrong - right) / norm(right), float(np.vdot(wrong, right) / (norm(wrong) * norm(right)))


def is_the_brier_score():
    """The softmax's Jacobian times p − y: the gradient of another loss, and a right one of that."""
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(8, 20)), rng.integers(0, 20, 8)
    brier = grad(lambda z: np.sum((softmax(z) - np.eye(20)[targets]) ** 2) / 2 / len(targets))
    error, _ = distance(twice(1.0, logits, targets), brier(logits))
    print(f"softmax twice, against the derived gradient of the Brier score: relative error {error:.0e}\n")


def compare_gradients(config, splits):
    found = {mistake: first_gradients(config, splits, mistake) for mistake in MISTAKES}
    right, *wrong = MISTAKES
    print(f"{'gradient of the first batch':<36}" + "".join(f"{mistake:^26}" for mistake in wrong))
    print(f"{'':<36}" + "".join(f"{'rel. error':>14}{'cosine':>9}   " for _ in wrong))
    bad = dict.fromkeys(wrong, 0)
    for name in found[right]:
        cells = ""
        for mistake in wrong:
            error, cosine = distance(found[mistake][name], found[right][name])
            bad[mistake] += error > 1e-4
            cells += f"{error:>14.4f}{cosine:>9.4f}   " if error > 1e-4 else f"{'right':>14}{'':12}"
        print(f"{name:<36}{cells}".rstrip())
    counts = "".join(f"{f'{count} of {len(found[right])}':>23}   " for count in bad.values())
    print(f"{'wrong':<36}{counts}".rstrip() + "\n")


def compare_training(config, splits):
    trained = {}
    for mistake in MISTAKES:
        with planted(mistake):
            trained[mistake] = list(fit(Transformer(config.model, config.seed), splits, config))
    print(f"{'accuracy on unseen inputs':<28}" + "".join(f"{mistake:>16}" for mistake in MISTAKES))
    for epochs in zip(*trained.values(), strict=True):
        shares = "".join(f"{100 * epoch.validation_accuracy:>14.1f} %" for epoch in epochs)
        print(f"{f'  after epoch {epochs[0].epoch}':<28}{shares}")
    losses = "".join(f"{epochs[-1].validation_loss:>16.4f}" for epochs in trained.values())
    print(f"{'cross-entropy at the end':<28}{losses}")


def main(quick):
    config = TrainConfig(epochs=2, examples=1600) if quick else TrainConfig()
    splits = make_splits(config.task, config.seed)
    compare_gradients(config, splits)
    is_the_brier_score()
    compare_training(config, splits)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
