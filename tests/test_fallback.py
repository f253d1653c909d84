"""What is whole in a run's folder is used where something beside it is damaged, and a note says so."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from spoiling import COMMANDS, broken, call, content, folder, forged, models, small_run, text

from transformer.report import document
from transformer.runs import load_moments, states

CASES = [*((command, 1) for command in COMMANDS), *((command, k) for command in ("ask", "draw") for k in (2, 3))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def run(trained, tmp_path):
    """A copy to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "run"))


@pytest.fixture
def quick_report(monkeypatch):
    """Nothing is measured and drawn; what is read and written stays."""
    monkeypatch.setattr(document, "measure", lambda *given: SimpleNamespace(metrics=given[3]))
    for name in ("document", "as_json"):
        monkeypatch.setattr(document, name, lambda report: "new")


@pytest.mark.parametrize(("command", "damaged"), CASES)
def test_a_damaged_checkpoint_gives_way_to_the_next_that_is_whole_with_a_note(
    run, capsys, quick_report, command, damaged
):
    chain = [*models(run), *states(run)[::-1]]
    _, expected, _ = call(capsys, run, command)
    for path in chain[:damaged]:
        broken(path)
    code, out, err = call(capsys, run, command)
    assert code == 0 and len(err.splitlines()) == 1 and len(chain) == 4
    assert "best.safetensors: tensor 'output.weight' is damaged" in err
    assert err.rstrip().endswith(f"this is {chain[damaged].name}")
    if damaged < 3 and command in ("ask", "generate"):
        assert out == expected  # the second epoch is the best, the last, and the newest state


def test_the_states_model_is_the_averaged_one_where_weights_are_averaged(tmp_path, capsys):
    run = tmp_path / "runs" / "run"
    small_run(run, average=0.9)
    whole = call(capsys, run, "ask")
    for path in models(run):
        broken(path)
    code, out, err = call(capsys, run, "ask")
    assert (code, out) == whole[:2] and "this is state-00000004.safetensors" in err


def test_a_finished_run_whose_best_model_is_damaged_is_tested_on_its_last(run, capsys):
    broken(run / "best.safetensors")
    code, out, err = call(capsys, run, "train --resume")
    assert code == 0 and "unseen inputs right" in out and err.rstrip().endswith("this is last.safetensors")


def test_settings_that_cannot_be_read_are_those_of_a_checkpoint(run, capsys):
    whole = call(capsys, run, "compare run")
    for change in (text("config.json", "{"), text("config.json", "[]"), folder("config.json")):
        change(run)
        code, out, err = call(capsys, run, "compare run")
        assert (code, out, len(err.splitlines())) == (*whole[:2], 1) and "this is from best.safetensors" in err


@pytest.mark.parametrize(
    "change", [broken, content(b""), forged({"0": np.zeros((3, 3))}), forged({"-1": np.ones((20, 8))}), Path.unlink]
)
def test_a_report_does_without_a_history_that_cannot_be_read(run, change):
    told = []
    assert [epoch for epoch, _ in load_moments(run, (20, 8), told.append)] == [0, 1, 2] and not told
    change(run / "history.safetensors")
    assert load_moments(run, (20, 8), told.append) == [] and "history.safetensors" in told[0]


def test_a_folder_named_like_a_state_is_left_alone(run, capsys):
    (run / "state-99999999.safetensors").mkdir()
    code, out, err = call(capsys, run, "train --resume")
    assert (code, err) == (0, "") and (run / "state-99999999.safetensors").is_dir()


def test_nothing_is_written_through_a_link_that_lies_in_the_folder(run, capsys, quick_report):
    outside = run.parent.parent / "outside"
    outside.write_text("mine")
    for name in ("report.html", "best.safetensors", "config.json", "metrics.jsonl", "curves.svg"):
        (run / f".{name}.tmp").symlink_to(outside)
    for name in ("report.html", "metrics.csv"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(outside)
    assert call(capsys, run, "report")[0] == 0 == call(capsys, run, "train --resume")[0]
    assert outside.read_text() == "mine" and not (run / "report.html").is_symlink()
