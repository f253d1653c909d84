"""A run that is captured makes the same weights as one that is not, bit for bit."""

import dataclasses

import numpy as np
import pytest

from tinygrad_edu import CaptureWarning
from transformer import Transformer, TransformerConfig
from transformer.loop import Loop
from transformer.plan import TrainConfig
from transformer.tasks import DigitTask, make_splits

MODEL = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=16)
DECODER = dataclasses.replace(MODEL, causal=True, pooling=None)
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=1, examples=100, batch_size=20, warmup=2)
WAYS = {
    "encoder": {}, "in parts": {"accumulate": 2}, "in pieces": {"deterministic": 2},
    "smoothed": {"label_smoothing": 0.1}, "decoder": {"model": DECODER}, "text": {"model": DECODER, "loss": "all"},
}  # fmt: skip


def trained(config):
    splits = make_splits(config.task, config.seed, config.decoder, config.counted)
    loop = Loop(Transformer(config.model, seed=0), splits, config)
    for _ in loop.run():
        pass
    return loop


@pytest.mark.parametrize("way", WAYS)
def test_a_captured_run_is_the_run(way):
    config = dataclasses.replace(CONFIG, **WAYS[way])
    plain, captured = trained(config), trained(dataclasses.replace(config, capture=True))
    for name, array in plain.model.state_dict().items():
        np.testing.assert_array_equal(array, captured.model.state_dict()[name], err_msg=name)
    assert plain.epochs[0].train_loss == captured.epochs[0].train_loss
    assert captured.gradient.both.programs


def test_rows_of_many_lengths_run_as_they_are_where_there_are_too_many_ways():
    """A loss on as many places as the answers have: each number of them is a way of its own."""
    config = dataclasses.replace(CONFIG, model=DECODER, task=DigitTask(300, 2), examples=300)
    splits = make_splits(config.task, config.seed, config.decoder, config.counted)
    plain, captured = (
        Loop(Transformer(config.model, seed=0), splits, dataclasses.replace(config, capture=capture))
        for capture in (False, True)
    )
    order = splits["train"].sample(300, np.random.default_rng(0))
    with pytest.warns(CaptureWarning, match="more than 8 ways through it"):
        for batch in splits["train"].batches(20, order):  # to answer as well would take ten times as long
            plain.step(batch)
            captured.step(batch)
    assert plain.losses == captured.losses
    for name, array in plain.model.state_dict().items():
        np.testing.assert_array_equal(array, captured.model.state_dict()[name], err_msg=name)


def test_dropout_cannot_be_captured_and_says_so():
    with pytest.raises(ValueError, match="dropout draws anew"):
        dataclasses.replace(CONFIG, model=dataclasses.replace(MODEL, dropout=0.1), capture=True)
