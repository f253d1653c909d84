"""A run can be repeated bit for bit, survives Ctrl-C and NaN, and says what happened."""

import dataclasses
import json
import os
import signal
import sys

import numpy as np
import pytest

import transformer.examining
import transformer.loop
import transformer.train
from tinygrad_edu import functional, gradients
from transformer import Transformer, TransformerConfig
from transformer.checkpoint import load_model
from transformer.evaluate import evaluate
from transformer.tasks import DigitTask, make_splits
from transformer.train import TrainConfig, TrainingError, find_run, fit, new_run, train

SMALL = TransformerConfig(vocab_size=20, embed_dim=32, num_heads=4, num_layers=1, ffn_dim=32)
CONFIG = TrainConfig(SMALL, DigitTask(4, 2), epochs=2, examples=100, warmup=2)
DECODER = dataclasses.replace(
    CONFIG, model=dataclasses.replace(SMALL, causal=True, pooling=None), task=DigitTask(11, 2)
)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("config", [CONFIG, DECODER], ids=["encoder", "decoder"])
def test_the_same_seed_gives_the_same_run_bit_for_bit(tmp_path, config):
    runs = [train(config, tmp_path / name) for name in ("one", "two")]
    for name in ("best.safetensors", "last.safetensors", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    first, second = ([{**line, "seconds": 0} for line in lines_of(run.folder)] for run in runs)
    assert first == second and runs[0].test == runs[1].test
    other = train(dataclasses.replace(config, seed=1), tmp_path / "three")
    assert [epoch.train_loss for epoch in other.epochs] != [epoch.train_loss for epoch in runs[0].epochs]


def test_a_run_holds_its_configuration_its_metrics_two_models_and_its_states(tmp_path):
    outcome = train(CONFIG, tmp_path)
    states = [f"state-{step:08}.safetensors" for step in (4, 8)]
    assert sorted(os.listdir(tmp_path)) == [
        "best.safetensors", "config.json", "history.safetensors", "last.safetensors", "metrics.jsonl", *states
    ]  # fmt: skip
    assert TrainConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == CONFIG
    assert lines_of(tmp_path) == [dataclasses.asdict(epoch) for epoch in outcome.epochs]
    for line in lines_of(tmp_path):
        assert line["operations"].keys() == {"First", "Second", "Last", "Max", "Min"}
        for key in ("train_loss", "validation_loss", "lr", "gradient_norm", "seconds"):
            assert np.isfinite(line[key])
    model, about = load_model(tmp_path / "last.safetensors")
    assert TrainConfig.from_dict(about["training"]) == CONFIG and about["epoch"] == 2
    assert model.config == CONFIG.model


def test_the_best_checkpoint_is_that_of_the_best_epoch(tmp_path):
    outcome = train(dataclasses.replace(CONFIG, epochs=6, lr=0.03), tmp_path)
    best = max(outcome.epochs, key=lambda epoch: epoch.rank)
    assert load_model(tmp_path / "best.safetensors")[1]["epoch"] == best.epoch


def test_a_small_model_learns_what_it_has_not_seen(tmp_path):
    outcome = train(TrainConfig(SMALL, DigitTask(9, 2), epochs=2, examples=4000, lr=5e-3), tmp_path)
    assert outcome.test.count == 50 and outcome.test.accuracy >= 0.9
    assert outcome.epochs[1].train_loss < 0.2 * np.log(20)


def test_each_step_is_adam_on_the_clipped_gradient_of_its_batch_alone():
    """The loop once more, with Adam's formula and without `.grad`: nothing is carried over from step to step."""
    config = dataclasses.replace(CONFIG, epochs=1, model=dataclasses.replace(SMALL, dtype="float64"), clip=0.5)
    splits = make_splits(config.task, config.seed)
    trained, model = (Transformer(config.model, config.seed) for _ in range(2))
    (epoch,) = fit(trained, splits, config)
    m, v, losses, norms = 0.0, 0.0, [], []
    order = splits["train"].sample(config.examples, np.random.default_rng([config.seed, 1]))
    for step, (tokens, targets) in enumerate(splits["train"].batches(config.batch_size, order)):
        loss = functional.cross_entropy(model(tokens), targets)
        g = np.concatenate([one.numpy().ravel() for one in gradients(loss, model.parameters())])
        losses.append(loss.item())
        norms.append(np.linalg.norm(g))
        g = g * min(1, config.clip / (norms[-1] + 1e-6))
        lr = config.lr * ((step + 1) / 2 if step < 2 else (1 + np.cos(np.pi * (step - 2) / 2)) / 2)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        change = lr * m / (1 - 0.9 ** (step + 1)) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
        for parameter in model.parameters():
            parameter.data = parameter.numpy() - change[: parameter.size].reshape(parameter.shape)
            change = change[parameter.size :]
    assert step == 3 and min(norms) > config.clip
    for name, parameter in trained.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), model.state_dict()[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert epoch.train_loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert epoch.gradient_norm == pytest.approx(np.mean(norms), rel=1e-9) and epoch.lr == pytest.approx(lr)


def test_ctrl_c_ends_the_step_saves_and_comes_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    outcome = train(CONFIG, tmp_path, on_epoch=lambda epoch: os.kill(os.getpid(), signal.SIGINT))
    assert outcome.test is None and len(outcome.epochs) == len(lines_of(tmp_path)) == 1
    assert load_model(tmp_path / "last.safetensors")[1]["epoch"] == 1
    assert (tmp_path / f"state-{CONFIG.steps_per_epoch:08}.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(tmp_path):
    def impatient(epoch):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("should not come here")

    assert train(CONFIG, tmp_path, on_epoch=impatient).test is None


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, poison):
    good = {}

    def break_the_model(epoch):
        good["last"] = (tmp_path / "last.safetensors").read_bytes()
        forward = Transformer.forward
        monkeypatch.setattr(Transformer, "forward", lambda *args, **kwargs: forward(*args, **kwargs) * poison)

    with pytest.raises(TrainingError, match="epoch 2, step 1: the loss is nan; try a smaller lr"):
        train(CONFIG, tmp_path, on_epoch=break_the_model)
    assert (tmp_path / "last.safetensors").read_bytes() == good["last"]


def test_ctrl_c_in_the_last_validation_is_not_swallowed(tmp_path, monkeypatch):
    def validated(*args, **options):
        calls.append(1)
        if len(calls) == CONFIG.epochs:
            os.kill(os.getpid(), signal.SIGINT)
        return 1.0

    calls = []
    monkeypatch.setattr(transformer.loop, "mean_loss", validated)
    outcome = train(CONFIG, tmp_path)
    assert outcome.test is None and len(outcome.epochs) == len(lines_of(tmp_path)) == CONFIG.epochs
    assert load_model(tmp_path / "last.safetensors")[1]["epoch"] == CONFIG.epochs


def test_ctrl_c_in_the_test_keeps_what_was_trained(tmp_path, monkeypatch):
    def measured(examples, given):
        if len(lines_of(tmp_path)) == CONFIG.epochs:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(examples, given)

    monkeypatch.setattr(transformer.examining, "evaluate", measured)
    outcome = train(CONFIG, tmp_path)
    assert outcome.test is None and len(outcome.epochs) == CONFIG.epochs


def refuse_the_model(*args, **kwargs):
    raise MemoryError


def refuse_to_save(*args, **facts):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("changes", "broken", "error"),
    [
        ({}, {"Transformer": refuse_the_model}, MemoryError),
        ({}, {"save_model": refuse_to_save}, OSError),
        ({"lr": 1e30}, {}, TrainingError),
        ({"examples": 10**15}, {}, MemoryError),
    ],
    ids=["no model", "full disk", "explodes", "too large"],
)
def test_a_run_that_saved_nothing_leaves_its_name_free(tmp_path, monkeypatch, changes, broken, error):
    for name, replaced in broken.items():
        monkeypatch.setattr(transformer.train, name, replaced)
    with pytest.raises(error):
        train(dataclasses.replace(CONFIG, **changes), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_of_two_trainers_that_want_one_new_folder_one_gets_it(tmp_path, monkeypatch):
    def slowly_made(*args, **kwargs):
        (tmp_path / "mine").mkdir()  # the other was faster
        return Transformer(*args, **kwargs)

    monkeypatch.setattr(transformer.train, "Transformer", slowly_made)
    with pytest.raises(FileExistsError, match="mine is there already; choose another name"):
        train(CONFIG, tmp_path / "mine")
    assert not os.listdir(tmp_path / "mine")


def test_weights_that_explode_are_an_error_not_a_result(tmp_path):
    with pytest.raises(TrainingError, match="try a smaller lr"):
        train(dataclasses.replace(CONFIG, lr=1e30), tmp_path)


def test_what_a_crash_left_is_removed(tmp_path):
    (tmp_path / ".last.safetensors.tmp").write_bytes(b"half")
    train(CONFIG, tmp_path)
    assert not list(tmp_path.glob(".*"))


def test_no_bar_is_shown_where_there_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # importing it would raise
    train(CONFIG, tmp_path)
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_shown_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    train(CONFIG, tmp_path)
    assert "/8 [" in capsys.readouterr().err
    train(CONFIG, tmp_path, progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"batch_size": 1.5}, "batch_size = 1.5"),
        ({"seed": -1}, "seed = -1"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"lr": 1e308}, "lr = 1e.308"),
        ({"epochs": 10**400}, "10.18 at most"),
        ({"clip": 0.0}, "clip = 0.0"),
        ({"task": DigitTask(99, 2)}, "train a decoder"),
        ({"task": DigitTask(9, 30)}, "need 62 positions"),
        ({"model": TransformerConfig(vocab_size=19)}, "20 tokens"),
        ({"model": TransformerConfig(vocab_size=20, pad_id=None)}, "for padding"),
        ({"model": TransformerConfig(vocab_size=20, pooling=None)}, "causal = True"),
    ],
)
def test_impossible_runs_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(CONFIG, **changes)


# Folders


def saved(runs, name, time):
    (runs / name).mkdir()
    (runs / name / "last.safetensors").touch()
    os.utime(runs / name / "last.safetensors", ns=(time, time))


def test_the_newest_run_is_found_or_the_one_that_is_named(tmp_path):
    for name, time in (("b", 1), ("c", 3), ("a", 2)):
        saved(tmp_path, name, time)
    (tmp_path / "empty").mkdir()
    assert find_run(tmp_path) == tmp_path / "c"
    assert find_run(tmp_path, "a") == tmp_path / "a"
    with pytest.raises(FileNotFoundError, match="no run 'empty' in .*; there are b, a, c"):
        find_run(tmp_path, "empty")


def test_no_run_at_all_says_how_to_get_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="train one first"):
        find_run(tmp_path / "nothing")


def test_a_new_run_takes_the_next_number_and_never_a_folder_that_is_there(tmp_path):
    assert new_run(tmp_path, None, "encoder").name == "encoder-1"
    for name in ("encoder-2", "encoder-10", "encoder-x", "decoder-20"):
        (tmp_path / name).mkdir()
    assert new_run(tmp_path, None, "encoder").name == "encoder-11"
    assert new_run(tmp_path, "mine", "encoder") == tmp_path / "mine"
    with pytest.raises(FileExistsError, match="choose another name"):
        new_run(tmp_path, "encoder-2", "encoder")


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "-x", "a b"])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    for find in (lambda: new_run(tmp_path, name, "encoder"), lambda: find_run(tmp_path, name)):
        with pytest.raises(ValueError, match="run name"):
            find()
