"""A training that was stopped, at any moment and in any way, ends as if it never had been: bit for bit."""

import dataclasses
import io
import json
import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transformer.checkpoint
import transformer.gradients
import transformer.train
from transformer import Transformer, TransformerConfig
from transformer.checkpoint import CheckpointError, load_tensors
from transformer.cli import main
from transformer.loop import Loop
from transformer.runs import KEPT, locked, states
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, TrainingError, resume, train

MODEL = TransformerConfig(vocab_size=20, embed_dim=16, num_heads=2, num_layers=1, ffn_dim=16, dropout=0.2)
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=2, examples=100, warmup=2)  # 4 steps an epoch
STEPS = CONFIG.epochs * CONFIG.steps_per_epoch


def without_seconds(line):
    return {key: value for key, value in line.items() if key != "seconds"}


def all_of(folder):
    """What a run left, bit for bit, but for the seconds that it took."""
    tensors, about = load_tensors(states(folder)[-1])
    about["epochs"] = [without_seconds(epoch) for epoch in about["epochs"]]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    about["metrics"] = [without_seconds(json.loads(line)) for line in lines]
    models = {name: (folder / f"{name}.safetensors").read_bytes() for name in ("best", "last", "history")}
    arrays = {name: (array.dtype, array.shape, array.tobytes()) for name, array in tensors.items()}
    facts = {key: value for key, value in about.items() if key not in ("seconds", "checksums")}
    return models, arrays, facts, (folder / "config.json").read_bytes()


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return train(CONFIG, folder), all_of(folder)


def holds(folder, undisturbed):
    outcome, kept = undisturbed
    again = resume(folder)
    assert again.test == outcome.test and again.signal is None
    assert all_of(folder) == kept
    assert not list(folder.glob(".*"))


def at_step(number, act):
    """An on_step for Loop.run that acts after so many steps."""
    count = iter(range(1, 10**6))
    return lambda *args: act() if next(count) == number else None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_signal_after_any_step_loses_nothing(tmp_path, monkeypatch, undisturbed, step, number):
    monkeypatch.setattr(transformer.gradients, "all_right", counting(step, lambda: os.kill(os.getpid(), number)))
    stopped = train(CONFIG, tmp_path)
    assert stopped.test is None and stopped.signal == number
    assert load_tensors(states(tmp_path)[-1])[0]["optimizer.steps"] == step
    monkeypatch.undo()
    holds(tmp_path, undisturbed)


def counting(step, act):
    """all_right, which the loop calls once a step, acting in step number `step`."""
    honest, act = transformer.gradients.all_right, at_step(step, act)
    return lambda *args: (act(), honest(*args))[1]


def in_a_child(work):
    """Run work() in a process of its own; returns its exit code, minus the signal that ended it."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


class Halved(io.FileIO):
    """A file of which half is written before act() has its turn."""

    def __init__(self, act, *args):
        super().__init__(*args)
        self.act = act

    def write(self, data):
        half = super().write(data[: len(data) // 2])
        self.act()
        return half + super().write(data[half:])


@settings(max_examples=12)
@given(data=st.data())
def test_a_kill_at_any_call_that_touches_a_file_loses_nothing(tmp_path_factory, undisturbed, data):
    """Every write, at half of it too, renaming and removal is a place to die, in every save of a training that saves
    after each step; the process dies there up to three times in a row.
    """
    folder = tmp_path_factory.mktemp("killed")

    def go_on():
        return resume(folder) if (folder / "config.json").exists() else train(CONFIG, folder)

    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(["fsync", "replace", "unlink", "open", "write"]))
        act = at_step(data.draw(st.integers(1, 40)), kill_self)

        def die(name=name, act=act):
            if name == "write":
                transformer.checkpoint.open = lambda *args: Halved(act, *args)
            else:
                honest = getattr(os, name)
                setattr(os, name, lambda *args, **kwargs: (act(), honest(*args, **kwargs))[1])
            transformer.train.SAVE_EVERY = 0.0
            go_on()

        assert in_a_child(die) in (0, -signal.SIGKILL)
    go_on()
    holds(folder, undisturbed)


@pytest.mark.parametrize("write", [6, 9, 12, 14])
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch, undisturbed, write):
    def full():
        raise OSError(28, "No space left on device")

    honest, act = os.fsync, at_step(write, full)
    monkeypatch.setattr(os, "fsync", lambda handle: (act(), honest(handle))[1])
    monkeypatch.setattr(transformer.train, "SAVE_EVERY", 0.0)
    with pytest.raises(OSError, match="No space left"):
        train(CONFIG, tmp_path)
    monkeypatch.undo()
    holds(tmp_path, undisturbed)


def interrupted(folder, step=6):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer.gradients, "all_right", counting(step, lambda: os.kill(os.getpid(), signal.SIGINT)))
        patch.setattr(transformer.train, "SAVE_EVERY", 0.0)
        train(CONFIG, folder)


def test_a_few_states_are_kept_and_a_damaged_one_gives_way_to_the_one_before(tmp_path, undisturbed):
    interrupted(tmp_path)
    kept = states(tmp_path)
    assert [path.name for path in kept] == [f"state-0000000{step}.safetensors" for step in (4, 5, 6)]
    assert len(kept) == KEPT
    for path in kept[1:]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    told = []
    outcome = resume(tmp_path, tell=told.append)
    assert outcome.test == undisturbed[0].test and all_of(tmp_path) == undisturbed[1]
    assert len(told) == 2 and all("damaged" in line and "put aside as damaged-state-0000000" in line for line in told)
    assert len(list(tmp_path.glob("damaged-*"))) == 2


def test_a_run_without_a_whole_state_is_refused(tmp_path):
    interrupted(tmp_path)
    for path in states(tmp_path):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="all of its 3 states are damaged"):
        resume(tmp_path)


def test_a_run_that_was_killed_before_its_first_state_starts_anew(tmp_path, undisturbed):
    interrupted(tmp_path)
    for path in (*states(tmp_path), tmp_path / "last.safetensors", tmp_path / "metrics.jsonl"):
        path.unlink()
    holds(tmp_path, undisturbed)


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="fits no training of this program"):
        resume(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(FileNotFoundError):
        resume(tmp_path)


def test_a_state_of_another_kind_is_refused(tmp_path):
    interrupted(tmp_path)
    os.replace(tmp_path / "last.safetensors", tmp_path / "state-99999999.safetensors")
    with pytest.raises(CheckpointError, match="fits no training of this program"):
        resume(tmp_path)


def test_a_finished_run_is_tested_again_and_nothing_else(tmp_path, undisturbed, monkeypatch):
    train(CONFIG, tmp_path)
    monkeypatch.setattr(Loop, "step", None)  # calling it would raise
    holds(tmp_path, undisturbed)


def test_two_trainers_do_not_share_a_folder(tmp_path):
    interrupted(tmp_path)
    before = sorted(os.listdir(tmp_path))
    with locked(tmp_path):
        for start in (lambda: resume(tmp_path), lambda: train(CONFIG, tmp_path)):
            with pytest.raises(BlockingIOError, match="another process is training there"):
                start()
    assert sorted(os.listdir(tmp_path)) == before


def test_a_loss_that_is_not_finite_names_the_operation_that_began_it_and_keeps_what_was_good(
    tmp_path, monkeypatch, undisturbed
):
    honest = Transformer.forward

    def poisoned(model, tokens, **options):
        logits = honest(model, tokens, **options)
        return np.exp(logits * 0.0 + 1e3) if model.training else logits

    def spoil(epoch):
        monkeypatch.setattr(Transformer, "forward", poisoned)

    with pytest.raises(TrainingError, match=r"epoch 2, step 1: the loss is nan; .* It began with exp.*test_resume.py"):
        train(CONFIG, tmp_path, on_epoch=spoil)
    monkeypatch.undo()
    holds(tmp_path, undisturbed)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("decay", "message"),
    [
        (0.0, r"1, after its last step: the validation loss is nan; .* It began with linear made .*attention\.qkv"),
        (1e20, r"1, step 1: it leaves NaN or infinity in [\w.]+; try a smaller lr"),
    ],
)
def test_weights_that_overflow_in_the_last_step_of_an_epoch_are_not_saved(tmp_path, decay, message):
    one_step = dataclasses.replace(
        CONFIG, optimizer="adamw", lr=1e25, weight_decay=decay, warmup=0, examples=25, batch_size=25
    )
    with pytest.raises(TrainingError, match=f"epoch {message}"):
        train(one_step, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# On the command line


def call(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, *capsys.readouterr()


def test_the_command_says_how_to_go_on_and_does(tmp_path, capsys):
    interrupted(tmp_path / "mine")
    code, out, err = call(capsys, "train", "--resume", "--runs", tmp_path)
    assert code == 0 and err == "" and "2 epochs" in out and out.startswith("epoch 2/2")
    assert (tmp_path / "mine/curves.svg").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_exit_code_tells_the_signal(tmp_path, capsys, monkeypatch, number):
    monkeypatch.setattr(transformer.gradients, "all_right", counting(2, lambda: os.kill(os.getpid(), number)))
    code, out, _ = call(capsys, "train", "--runs", tmp_path, "--upper", 4, "--arguments", 2, "--examples", 100)
    assert code == 128 + number and f"train --resume --run encoder-1 --runs {tmp_path}" in out


@pytest.mark.parametrize("option", [["--epochs", "3"], ["--lr", "0.1"], ["--norm", "pre"], ["--decoder"]])
def test_a_resumed_run_keeps_what_it_was_started_with(tmp_path, capsys, option):
    interrupted(tmp_path / "mine")
    code, out, err = call(capsys, "train", "--resume", "--runs", tmp_path, *option)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and f"leave out {option[0]}" in err


def test_where_there_is_nothing_to_resume_the_command_says_so(tmp_path, capsys):
    code, out, err = call(capsys, "train", "--resume", "--runs", tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "train one first" in err


def test_the_configuration_of_a_resumed_run_is_the_one_it_was_started_with(tmp_path):
    interrupted(tmp_path)
    (tmp_path / "config.json").unlink()
    resume(tmp_path)
    assert TrainConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == CONFIG
