"""Each option of training does what it says, and a run with all of them goes on bit for bit where it was stopped."""

import dataclasses
import json
import math

import numpy as np
import pytest

from tinygrad_edu import functional, gradients, optim
from transformer import Transformer, TransformerConfig
from transformer.checkpoint import load_model
from transformer.examining import mean_loss
from transformer.loop import Loop, fit, range_test
from transformer.optimisation import make_optimizer, make_schedule
from transformer.tasks import DigitTask, NestedTask, make_splits, task
from transformer.train import TrainConfig, resume, train

SMALL = TransformerConfig(vocab_size=20, embed_dim=16, num_heads=2, num_layers=1, ffn_dim=16)
CONFIG = TrainConfig(SMALL, DigitTask(4, 2), epochs=3, examples=64, warmup=2, lr=5e-3)
DECODER = dataclasses.replace(SMALL, causal=True, pooling=None, dtype="float64")


def splits_of(config):
    return make_splits(config.task, config.seed, config.decoder, config.counted)


def trained(**changes):
    config = dataclasses.replace(CONFIG, **changes)
    model = Transformer(config.model, config.seed)
    return model, list(fit(model, splits_of(config), config))


@pytest.mark.parametrize("parts", [2, 5, 100])
def test_gradients_accumulated_over_parts_are_those_of_the_whole_batch(parts):
    """Rows ask for different numbers of tokens, so a mean of means would be another gradient."""
    config = dataclasses.replace(CONFIG, model=DECODER, task=DigitTask(12, 2), label_smoothing=0.1)
    splits = splits_of(config)
    (batch,) = splits["test"].batches(11, np.arange(11))
    assert len(set(np.count_nonzero(batch.targets, axis=1))) > 1
    found = []
    for accumulate in (1, parts):
        loop = Loop(Transformer(DECODER, 0), splits, dataclasses.replace(config, accumulate=accumulate))
        value, right = loop.gradient.read(batch, 0)
        found.append((value, right, [p.grad.numpy() for p in loop.model.parameters()]))
    (whole, right, expected), (value, same, ours) = found
    assert value == pytest.approx(whole, rel=1e-12) and same == right
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    model = Transformer(DECODER, 0)
    loss = functional.cross_entropy(model(batch.tokens), batch.targets, ignore=0, label_smoothing=0.1)
    for one, other in zip(ours, gradients(loss, model.parameters()), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "weight_decay": 0.1}, {"optimizer": "sgd", "lr": 0.1},
        {"optimizer": "nesterov", "lr": 0.1}, {"optimizer": "lion", "lr": 4e-3},
        {"schedule": "step"}, {"schedule": "plateau"}, {"schedule": "constant"},
        {"label_smoothing": 0.1}, {"average": 0.8}, {"accumulate": 3}, {"curriculum": 0.5},
    ],
    ids=lambda changes: ",".join(f"{k}={v}" for k, v in changes.items()),
)  # fmt: skip
def test_with_each_option_the_loss_goes_down(changes):
    _, epochs = trained(epochs=5, examples=200, **changes)
    plain = [epoch.validation_loss for epoch in epochs]
    assert min(plain) < math.log(20) * 0.7 < plain[0] * 1.6


def test_optimisers_are_those_of_the_engine_with_the_settings_given():
    parameters = Transformer(SMALL).named_parameters()
    kinds = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD, "nesterov": optim.SGD, "lion": optim.Lion}
    for name, kind in kinds.items():
        made = make_optimizer(dataclasses.replace(CONFIG, optimizer=name, weight_decay=0.25), parameters)
        assert type(made) is kind and made.weight_decay == 0.25
        assert getattr(made, "nesterov", False) == (name == "nesterov")


def test_schedules_pass_through_their_landmarks():
    def rates(schedule, losses=(), **changes):
        config = dataclasses.replace(CONFIG, schedule=schedule, lr=1.0, warmup=2, epochs=10, **changes)  # 20 steps
        return np.array([make_schedule(config, losses)(step) for step in (0, 1, 2, 8, 14, 19)])

    np.testing.assert_allclose(rates("constant"), [0.5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(rates("step"), [0.5, 1, 1, 0.1, 0.01, 0.01])
    np.testing.assert_allclose(rates("cosine"), [0.5, 1, 1, 0.75, 0.25, 0.0076], atol=1e-3)
    np.testing.assert_allclose(rates("plateau"), [0.5, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(rates("plateau", [3.0, 2.0, 2.5, 2.5]), [0.25, 0.5, 0.5, 0.5, 0.5, 0.5])


def test_early_stopping_ends_the_run_when_nothing_gets_better():
    _, epochs = trained(lr=1e-12, epochs=50, patience=2, schedule="constant")
    assert len(epochs) == 1 + 2 + 1  # the best, two of patience, one more
    assert len(trained(lr=1e-12, epochs=5, schedule="constant")[1]) == 5


def test_the_averaged_weights_are_what_is_measured_and_saved(tmp_path):
    config = dataclasses.replace(CONFIG, average=0.9)
    splits = splits_of(config)
    loop = Loop(Transformer(config.model, 0), splits, config)
    by_hand, steps = loop.model.state_dict(), []

    def follow(loss):
        for name, value in loop.model.state_dict().items():
            by_hand[name] = 0.9 * by_hand[name] + 0.1 * value
        steps.append(loss)

    *_, last = loop.run(follow)
    raw = loop.model.state_dict()
    outcome = train(config, tmp_path / "run", progress=False)
    model, _ = load_model(tmp_path / "run" / "last.safetensors")
    assert mean_loss(model, splits["validation"]) == pytest.approx(last.validation_loss, rel=1e-6)
    assert mean_loss(loop.model, splits["validation"]) != pytest.approx(last.validation_loss, rel=1e-6)
    saved = model.state_dict()
    for name, value in saved.items():
        np.testing.assert_allclose(value, by_hand[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert any((raw[name] != saved[name]).any() for name in raw) and len(steps) == 6
    assert dataclasses.replace(outcome.epochs[-1], seconds=0) == dataclasses.replace(last, seconds=0)


def test_a_curriculum_holds_the_long_questions_back_until_its_share_is_over(monkeypatch):
    monkeypatch.setattr(task, "POOL", 300)
    config = TrainConfig(DECODER, NestedTask(9, 2, 2), epochs=4, examples=1, curriculum=0.5)
    loop = Loop(Transformer(config.model, 0), {"train": splits_of(config)["train"]}, config)
    every = loop.splits["train"]
    first = loop.taught()
    assert 0.45 * len(every) < len(first) < 0.55 * len(every)
    assert first.tokens.shape[1] < every.tokens.shape[1]
    loop.epochs = [None]
    assert loop.taught() is every


def test_a_run_with_every_option_goes_on_bit_for_bit_from_the_middle(tmp_path):
    config = dataclasses.replace(
        CONFIG, model=dataclasses.replace(DECODER, dropout=0.1), optimizer="adamw", weight_decay=0.01, average=0.9,
        schedule="plateau", accumulate=3, label_smoothing=0.1, curriculum=0.6, patience=5, loss="all",
    )  # fmt: skip
    whole = train(config, tmp_path / "whole", progress=False)

    def stop(epoch):
        raise KeyboardInterrupt

    train(config, tmp_path / "half", on_epoch=stop, progress=False)
    rest = resume(tmp_path / "half", progress=False)
    assert rest.test == whole.test and len(rest.epochs) == 3
    for name in ("best.safetensors", "last.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "half" / name).read_bytes()
    assert TrainConfig.from_dict(json.loads((tmp_path / "half" / "config.json").read_text())) == config


def test_the_range_test_proposes_a_rate_between_standstill_and_explosion():
    found = range_test(dataclasses.replace(CONFIG, optimizer="sgd"), splits_of(CONFIG), highest=100.0, steps=60)
    assert 1e-3 < found.steepest < 10
    assert found.rates[0] == pytest.approx(1e-3) and all(map(math.isfinite, found.losses))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "rmsprop"}, "optimizer = 'rmsprop': choose one of adam"), ({"schedule": "linear"}, "schedule"),
        ({"loss": "question"}, "loss = 'question'"), ({"accumulate": 0}, "accumulate = 0"),
        ({"average": 1.0}, "average = 1"), ({"label_smoothing": -0.1}, "label_smoothing = -0.1"),
        ({"curriculum": 2.0}, "curriculum = 2"), ({"patience": -1}, "patience = -1"),
        ({"weight_decay": math.inf}, "weight_decay = inf"), ({"task": NestedTask(99)}, "train a decoder"),
    ],
)  # fmt: skip
def test_impossible_options_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(CONFIG, **changes)
