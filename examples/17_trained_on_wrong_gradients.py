"""Seventeen: the same network trained with each of the three mistakes: nothing crashes, and how little it shows.

From the same seed, on the same examples, in the same order. The loss falls, the accuracy rises; a test that only asks
for that passes with every one of them.

    python examples/17_trained_on_wrong_gradients.py            # about a minute; --quick for a few seconds
"""

import importlib
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: on small matrices a second thread costs time

from transformer import Transformer  # noqa: E402
from transformer.tasks import make_splits  # noqa: E402
from transformer.train import TrainConfig, fit  # noqa: E402

MISTAKES = importlib.import_module("16_three_wrong_gradients").MISTAKES

quick = "--quick" in sys.argv[1:]
config = TrainConfig(epochs=2, examples=800) if quick else TrainConfig()
splits = make_splits(config.task, config.seed)

trained = {}
for mistake, planted in MISTAKES.items():
    with planted():
        trained[mistake] = list(fit(Transformer(config.model, config.seed), splits, config))

print(f"{'accuracy on unseen inputs':<28}" + "".join(f"{mistake:>16}" for mistake in trained))
for epochs in zip(*trained.values(), strict=True):
    shares = "".join(f"{100 * epoch.validation_accuracy:>14.1f} %" for epoch in epochs)
    print(f"{f'  after epoch {epochs[0].epoch}':<28}{shares}")
for words, of in (("cross-entropy, first epoch", 0), ("cross-entropy, last epoch", -1)):
    print(f"{words:<28}" + "".join(f"{epochs[of].train_loss:>16.4f}" for epochs in trained.values()))
