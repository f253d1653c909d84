"""A sweep trains every combination once, and says how much of a difference is chance; parts can be left out."""

import dataclasses
import json
import os
import statistics

import numpy as np
import pytest

import transformer.sweep
from tinygrad_edu import functional
from transformer import Transformer, TransformerConfig
from transformer.cli import main
from transformer.config import PARTS
from transformer.sweep import Row, comparison, sweep, table, variations, varied
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, train

MODEL = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8)
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=1, examples=40, warmup=1)
SMALL = ["--upper", "4", "--arguments", "2", "--examples", "40", "--epochs", "1", "--embed-dim", "8", "--ffn-dim", "8"]


def test_every_combination_is_a_run_and_a_row_is_its_mean_over_the_seeds(tmp_path):
    told = []
    rows = sweep(CONFIG, {"num_layers": [1, 2], "seed": [0, 1]}, tmp_path, lambda *each: told.append(each))
    assert [name for name, _ in told] == [f"num_layers={n},seed={seed}" for n in (1, 2) for seed in (0, 1)]
    assert [(row.settings, row.runs) for row in rows] == [({"num_layers": 1}, 2), ({"num_layers": 2}, 2)]
    for row, pair in zip(rows, (told[:2], told[2:]), strict=True):
        shares = [outcome.test.accuracy for _, outcome in pair]
        assert row.right == (pytest.approx(statistics.mean(shares)), pytest.approx(statistics.stdev(shares)))
    assert rows[0].parameters < rows[1].parameters
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert [row["settings"] for row in written] == [{"num_layers": 1}, {"num_layers": 2}]


def test_a_run_of_a_sweep_is_what_the_same_training_gives_alone(tmp_path):
    sweep(CONFIG, {"seed": [3]}, tmp_path / "sweep")
    train(dataclasses.replace(CONFIG, seed=3), tmp_path / "alone")
    for name in ("best.safetensors", "config.json"):
        assert (tmp_path / "sweep/seed=3" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_sweep_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    whole = sweep(CONFIG, {"seed": [0, 1]}, tmp_path / "whole")
    asked = []

    def second_is_stopped(config, *rest, **options):
        asked.append(config.seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return train(config, *rest, **options)

    monkeypatch.setattr(transformer.sweep, "train", second_is_stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep(CONFIG, {"seed": [0, 1]}, tmp_path / "stopped")
    monkeypatch.setattr(transformer.sweep, "train", lambda config, *rest, **options: (
        asked.append(config.seed), train(config, *rest, **options))[1])  # fmt: skip
    (again,) = sweep(CONFIG, {"seed": [0, 1]}, tmp_path / "stopped")
    assert asked == [0, 1, 1]
    assert (again.right, again.loss) == (whole[0].right, whole[0].loss)


def test_a_combination_that_cannot_be_built_is_refused_before_the_first_is_trained(tmp_path):
    with pytest.raises(ValueError, match="choose num_heads"):
        sweep(CONFIG, {"num_heads": [2, 3]}, tmp_path)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("wish", "values"),
    [
        ("lr=0.1,1e-3", [0.1, 1e-3]),
        ("num-layers=1,2", [1, 2]),
        ("gated=True,False", [True, False]),
        ("norm=pre,post", ["pre", "post"]),
        ("vocab_size=20", [20]),
    ],
)
def test_values_have_the_type_of_their_setting(wish, values):
    ((name, found),) = variations([wish]).items()
    assert name == wish.partition("=")[0].replace("-", "_") and found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("lr", "write NAME=VALUE,VALUE"),
        ("lr=", "write NAME=VALUE,VALUE"),
        ("speed=1", "speed is no setting"),
        ("model=1", "model is no setting"),
        ("epochs=1.5", "'1.5' is no int"),
        ("gated=yes", "write True or False"),
    ],
)
def test_what_cannot_be_varied_is_refused_in_words(wish, words):
    with pytest.raises(ValueError, match=words):
        variations([wish])


def test_settings_of_model_and_run_reach_their_place():
    changed = varied(CONFIG, {"norm": "pre", "lr": 0.5})
    assert changed == dataclasses.replace(CONFIG, lr=0.5, model=dataclasses.replace(MODEL, norm="pre"))


# Without


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("part", PARTS)
def test_a_model_without_a_part_has_no_weights_of_it_and_trains_all_that_it_has(part, norm):
    config = dataclasses.replace(MODEL, norm=norm, num_layers=2, without=(part,), positions="learned", dtype="float64")
    model = Transformer(config, seed=1)
    names = [name for name, _ in model.named_parameters()]
    hidden = {"attention": "attention", "feed_forward": "feed_forward", "norm": "norm", "positions": "positions"}
    assert not any(hidden.get(part, "nothing") in name for name in names)
    tokens = np.random.default_rng(0).integers(1, 20, (4, 6))
    logits, attention = model(tokens, return_attention=True)
    functional.cross_entropy(logits, [2, 3, 4, 5]).backward()
    assert all(np.isfinite(p.grad.numpy()).all() and p.grad.numpy().any() for name, p in model.named_parameters()
               if "qkv.bias" not in name)  # fmt: skip
    for weights in attention:
        assert weights.shape == (4, 2, 6, 6)
        np.testing.assert_allclose(weights.numpy().sum(axis=-1), 0 if part == "attention" else 1)


def test_without_attention_a_position_knows_nothing_of_the_others():
    config = dataclasses.replace(MODEL, without=("attention",), pooling="first", dtype="float64")
    model = Transformer(config, seed=1)
    np.testing.assert_array_equal(model([[3, 4, 5]]).numpy(), model([[3, 7, 8]]).numpy())


def test_without_positions_an_order_makes_no_difference():
    config = dataclasses.replace(MODEL, without=("positions",), pooling="mean", dtype="float64")
    model = Transformer(config, seed=1)
    np.testing.assert_allclose(model([[3, 4, 5]]).numpy(), model([[5, 3, 4]]).numpy(), rtol=1e-12)


def test_without_residual_sums_a_block_forgets_its_input():
    """Attention whose output weights are 0 leaves nothing of a token, unless a sum carries it past."""
    for without, differs in (((), True), (("residual",), False)):
        model = Transformer(dataclasses.replace(MODEL, without=without, dtype="float64"), seed=1)
        model.blocks[0].attention.output.weight.data = np.zeros((8, 8))
        assert (model([[3, 4]]).numpy() != model([[5, 4]]).numpy()).any() == differs


@pytest.mark.parametrize(
    ("without", "words"),
    [(("attention", "feed_forward"), "nothing is left"), (("heads",), "choose any of"), ("norm", "in a tuple")],
)
def test_what_cannot_be_left_out_is_refused(without, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(MODEL, without=without)


def test_a_list_as_json_gives_it_back_is_the_same_configuration():
    config = dataclasses.replace(MODEL, without=("norm", "attention"))
    assert TransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.without == ("attention", "norm")


def test_a_table_tells_a_spread_only_of_several_runs():
    once = Row({"lr": 0.1}, 1, (0.5, 0.0), (1.0, 0.0), 10, 2.0)
    thrice = dataclasses.replace(once, settings={"lr": 0.2}, runs=3, right=(0.75, 0.125), loss=(0.5, 0.25))
    _, first, second = table([thrice, once]).splitlines()
    assert "50.00 %" in first and "1.0000" in first and "±" not in first
    assert "75.00 % ± 12.50" in second and "0.5000 ± 0.2500" in second


# Commands


def call(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, *capsys.readouterr()


def test_ablations_are_tabulated_with_the_whole_model_among_them(tmp_path, capsys):
    code, out, err = call(capsys, "sweep", "--ablate", *SMALL, "--runs", tmp_path, "--run", "s")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("setting"))
    assert {line.split()[0] for line in lines[head + 1 : -1]} == {f"without={part}" for part in ("nothing", *PARTS)}
    assert call(capsys, "evaluate", "--runs", tmp_path / "s", "--run", "without=norm")[0] == 0


def test_runs_are_compared_by_what_differs(tmp_path, capsys):
    train(CONFIG, tmp_path / "a")
    train(dataclasses.replace(CONFIG, lr=0.5), tmp_path / "b")
    code, out, _ = call(capsys, "compare", "a", "b", "--runs", tmp_path)
    rows = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines()}
    assert code == 0 and out.rstrip("\n") == comparison([tmp_path / "a", tmp_path / "b"])
    assert rows["lr"] == ["0.002", "0.5"] and "epochs done" in rows and not any("embed_dim" in name for name in rows)


@pytest.mark.parametrize("arguments", [["sweep"], ["sweep", "--vary", "x=1"], ["sweep", "--ablate", "--resume"],
                                       ["compare", "nothing"], ["ask", "Max(1,2,3)", "--batch", "x"]])  # fmt: skip
def test_wrong_commands_get_a_reason_and_exit_code_2(tmp_path, capsys, arguments):
    train(CONFIG, tmp_path / "a")
    code, out, err = call(capsys, *arguments, "--runs", tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
