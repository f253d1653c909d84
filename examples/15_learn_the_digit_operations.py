"""Fifteen: the whole task. Inputs are split before they are drawn, so no question that is tested was ever learnt.

    python examples/15_learn_the_digit_operations.py            # a few seconds; --quick for less

`make train` does the same with a folder around it: checkpoints, curves, a progress bar.
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: on small matrices a second thread costs time

from transformer import Transformer  # noqa: E402
from transformer.evaluate import evaluate  # noqa: E402
from transformer.generate import answers, ask  # noqa: E402
from transformer.tasks import make_splits  # noqa: E402
from transformer.train import TrainConfig, fit  # noqa: E402

config = TrainConfig(epochs=1, examples=2000 if "--quick" in sys.argv[1:] else 8000)
splits = make_splits(config.task, config.seed)
print({name: len(split) for name, split in splits.items()})  # -> {'train': 4000, 'validation': 500, 'test': 500}

model = Transformer(config.model, config.seed)
for epoch in fit(model, splits, config):
    print(f"loss {epoch.train_loss:.3f}, validation {epoch.validation_accuracy:.1%}")

test = splits["test"].examples
found = evaluate(test, answers(model, [example.question for example in test]))
print(f"unseen questions answered: {found.accuracy:.1%}")
for operation, share in found.operations.items():
    print(f"  {operation:<8}{share:.1%}")

reply = ask(model, "Max(1,6,2)")
print(f"Max(1,6,2) = {reply.text}, with probability {reply.probabilities[0].max():.2f}")
