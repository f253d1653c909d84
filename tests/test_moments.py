"""What is measured in passing is what the arrays say, and costs the training nothing of its numbers."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import functional
from transformer import Transformer, TransformerConfig, moments
from transformer.checkpoint import load_tensors
from transformer.tasks import DigitTask, make_splits
from transformer.tokens import PAD
from transformer.train import TrainConfig, train

MODEL = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=8, norm="pre", dtype="float64")
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=3, examples=70, batch_size=32, warmup=1)
LAYERS = ["embedding", "blocks.0", "blocks.1", "norm", "output"]


def test_norms_of_layers_are_those_of_all_their_parameters():
    model = Transformer(MODEL, seed=1)
    tokens, targets = next(iter(make_splits(DigitTask(4, 2), 0)["train"].batches(16)))
    functional.cross_entropy(model(tokens), targets, ignore=PAD).backward()
    norms = moments.gradient_norms(model.named_parameters())
    assert list(norms) == LAYERS
    for layer, norm in norms.items():
        flat = [p.grad.numpy().ravel() for name, p in model.named_parameters() if name.startswith(layer + ".")]
        assert norm == pytest.approx(np.linalg.norm(np.concatenate(flat)), rel=1e-12)


@given(factor=st.floats(1e-6, 10))
def test_an_update_by_a_share_of_the_weights_is_that_share(factor):
    before = Transformer(MODEL, seed=1).state_dict()
    ratios = moments.update_ratios(before, {name: value * (1 + factor) for name, value in before.items()})
    assert list(ratios) == LAYERS
    np.testing.assert_allclose(list(ratios.values()), factor, rtol=1e-6)


def test_a_layer_without_weights_has_no_ratio_that_is_not_finite():
    zero = {"output.bias": np.zeros(3)}
    assert moments.update_ratios(zero, {"output.bias": np.ones(3)}) == {"output": pytest.approx(np.sqrt(3))}


def test_moments_are_dense_at_first_and_few_later():
    assert [epoch for epoch in range(50) if moments.is_a_moment(epoch)] == [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48]


def test_a_run_tells_of_every_layer_head_and_moment(tmp_path):
    train(CONFIG, tmp_path)
    for line in map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines()):
        assert list(line["gradient_norms"]) == list(line["update_ratios"]) == LAYERS
        assert all(value > 0 for value in line["gradient_norms"].values())
        heads = [f"block {block}, head {head}" for block in range(2) for head in range(2)]
        assert list(line["attention_entropy"]) == heads
        assert all(0 < value <= np.log(6) + 1e-9 for value in line["attention_entropy"].values())
    history, _ = load_tensors(tmp_path / "history.safetensors")
    last, _ = load_tensors(tmp_path / "last.safetensors")
    assert sorted(history) == ["0", "1", "2", "3"]
    assert (history["0"] == Transformer(MODEL, CONFIG.seed).embedding.weight.numpy()).all()
    assert (history["3"] == last["embedding.weight"]).all()


def test_the_norms_of_the_last_step_are_those_before_clipping(tmp_path):
    still = dataclasses.replace(CONFIG, epochs=1, lr=1e-30)
    tight, loose = (train(dataclasses.replace(still, clip=clip), tmp_path / str(clip)) for clip in (1e-3, 1e9))
    assert tight.epochs[0].gradient_norms == pytest.approx(loose.epochs[0].gradient_norms, rel=1e-9)
