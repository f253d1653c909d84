"""A run's folder may come from anybody: what is wrong in it is refused in one line, or passed over with a note.

Every case spoils one thing. Nothing of a claimed size is allocated, nothing outside the folder is written.
"""

import json
import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from spoiling import (
    NAME,
    call,
    content,
    entry,
    folder,
    forged,
    header,
    models,
    replaced,
    resealed,
    small_run,
    text,
    twice,
)

from transformer.runs import states

LARGEST = 60 << 20  # bytes that a command may take beside the arrays of a model as small as this


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture
def run(trained, tmp_path):
    """A copy to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "run"))


def refused(capsys, run, command, words):
    """In one line that says so, with nothing allocated that a file claims, and nothing written beside the run."""
    before = written(run.parent.parent)
    tracemalloc.start()
    try:
        code, out, err = call(capsys, run, command)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert any(each in err for each in words.split("|")), err
    assert len(err) < 1000 and peak < LARGEST
    assert written(run.parent.parent) == before


def written(folder):
    """Every file with its content, but for the run's."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "run" not in path.parts}


def spoil(run, change):
    """Change both models, and leave no state to fall back on."""
    for path in states(run):
        path.unlink()
    for path in models(run):
        change(path)


DECODER = {"causal": True, "pooling": None}
DEVICE = {f"{place}__{name}": value for place in ("config", "training__model") for name, value in DECODER.items()}
DEVICE |= {"training__task": {"name": "text", "file": "/dev/zero", "length": 8}}
NO_NUMBER = np.full((8, 20), np.nan, np.float32)
CHECKPOINTS = {
    "empty": ("ask", content(b""), "no checkpoint, or cut off"),
    "eight zeros": ("evaluate", content(bytes(8)), "no checkpoint"),
    "a header of 2^63 bytes": ("generate", content(b"\xff" * 64), "its header wants"),
    "a header longer than the file": ("draw", content((10**6).to_bytes(8, "little") + b"{}"), "its header wants"),
    "a header that is no JSON": ("report", content((4).to_bytes(8, "little") + b"nope"), "header is damaged"),
    "a header 10^5 deep": ("ask", content((10**5).to_bytes(8, "little") + b"[" * 10**5), "header is damaged"),
    "a header of numbers that never end": ("ask", entry(shape=[int("9" * 4000)]), "do not agree"),
    "a pickle": ("evaluate", content(b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system"), "no checkpoint"),
    "a zip archive": ("evaluate", content(b"PK\x03\x04" + bytes(100)), "no checkpoint"),
    "a name twice": ("ask", header(twice), "header is damaged"),
    "a shape of 2^80 numbers": ("generate", entry(shape=[2**40, 2**40]), f"'{NAME}' is damaged"),
    "a shape of 10^5 dimensions": ("ask", entry(shape=[2**60] * 10**5), "do not agree"),
    "a shape of nothing, endlessly wide": ("draw", entry(shape=[0, 2**62]), "do not agree"),
    "a negative shape": ("ask", entry(shape=[-8, -20]), "do not agree"),
    "offsets below 0": ("evaluate", entry(data_offsets=[-640, 0]), "do not agree"),
    "offsets beyond the end": ("evaluate", entry(data_offsets=[2**50, 2**50 + 640]), "do not agree"),
    "offsets that are no numbers": ("ask", entry(data_offsets=[float("nan"), 640]), "do not agree"),
    "overlapping tensors": (
        "report", header(lambda found: found[NAME].update(data_offsets=[0, 640])), "is damaged|begins at byte"
    ),
    "a dtype of other bytes": ("ask", entry(dtype="I32"), f"'{NAME}' is damaged"),
    "a wider dtype": ("ask", entry(dtype="F64"), "do not agree"),
    "a dtype that is a list": ("ask", entry(dtype=["F32"]), "do not agree"),
    "bytes after the end": ("ask", lambda path: path.write_bytes(path.read_bytes() + b"x"), "cut off or too long"),
    "half of it": ("report", lambda path: path.write_bytes(path.read_bytes()[:3000]), "cut off"),
    "a tensor named like a path": ("ask", forged({"../../x": np.zeros(1, np.float32)}), "unexpected: ../../x"),
    "weights that are no numbers": ("evaluate", forged({NAME: NO_NUMBER}), "holds NaN or infinity"),
    "2^40 dimensions": ("ask", forged(config__embed_dim=2**40), "'embedding.weight' has shape"),
    "2^40 layers": ("ask", forged(config__num_layers=2**40), "is missing"),
    "2^40 positions": ("ask", forged(config__max_seq_len=2**40), "max_seq_len"),
    "layers of 4,000 digits": ("ask", forged(config__num_layers=10**4000), "is missing"),
    "tokens that are numbers": ("ask", forged(vocabulary=list(range(20))), "tokens are text"),
    "tokens of another language": ("ask", forged(vocabulary=["a"] * 20), "another vocabulary"),
    "no training": ("evaluate", forged(training=None), "not written by a training"),
    "a training that is text": ("evaluate", forged(training="x"), "not written by a training|dictionary"),
    "a rate below 0": ("evaluate", forged(training__lr=-1), "lr = -1"),
    "a rate that is no number": ("evaluate", header(resealed('"lr": 0.002', '"lr": NaN')), "lr = nan"),
    "questions of 2^40 numbers": ("evaluate", forged(training__task__arguments=2**40), "positions"),
    "a batch of 10^17": ("report", forged(training__batch_size=10**17, training__examples=10**17), "too large"),
    "a task of a device": ("evaluate", forged(**DEVICE), "/dev/zero is a folder or a device"),
    "a training of another model": ("ask", forged(training__model__norm="pre"), "not the one that its training is of"),
    "a task that is a path": ("evaluate", forged(training__task={"name": "../x.py"}), "there is no task"),
    "folders": ("ask", replaced(Path.mkdir), "a folder or a device"),
    "pipes": ("ask", replaced(os.mkfifo), "a folder or a device"),
    "links to a device": ("ask", replaced(lambda path: path.symlink_to("/dev/zero")), "a folder or a device"),
    "links to themselves": ("ask", replaced(lambda path: path.symlink_to(path)), "no run|no trained model"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_a_run_whose_models_are_all_hostile_is_refused_in_one_line(run, capsys, case):
    command, change, words = CHECKPOINTS[case]
    spoil(run, change)
    refused(capsys, run, command, words)


# Beside the models


def epoch(line=0, **changes):
    """One epoch of metrics.jsonl told otherwise."""

    def spoilt(run):
        lines = [json.loads(each) for each in (run / "metrics.jsonl").read_text().splitlines()]
        lines[line].update(changes)
        (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))

    return spoilt


def settings(**changes):
    """config.json told otherwise, and no state that knows better."""

    def spoilt(run):
        found = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(found | changes))
        for path in states(run):
            path.unlink()

    return spoilt


def all_states(**changes):
    def spoilt(run):
        for path in states(run):
            forged(**changes)(path)

    return spoilt


FIRST = {"training__epochs": 3}  # there is something left to train
OTHERS = {
    "metrics of bytes": ("report", text("metrics.jsonl", b"\xff\xfe\n"), "metrics.jsonl, line 1: no epoch"),
    "metrics 10^5 deep": ("compare run", text("metrics.jsonl", "[" * 10**5 + "\n"), "line 1: no epoch"),
    "metrics of lists": ("compare run", text("metrics.jsonl", "[1]\n"), "it must have epoch"),
    "metrics in a folder": ("report", folder("metrics.jsonl"), "metrics.jsonl: Is a directory"),
    "an epoch without its loss": ("compare run", text("metrics.jsonl", '{"epoch": 1}\n'), "it must have"),
    "an epoch of another number": ("report", epoch(1, epoch=7), "epoch 7 stands where 2 was due"),
    "an epoch of half a number": ("report", epoch(0, epoch=1.5), "whole number"),
    "a loss that is no number": ("report", epoch(0, train_loss=float("nan")), "train_loss must be a finite number"),
    "a loss that is text": ("compare run", epoch(1, train_loss="<b>"), "train_loss must be a finite number"),
    "a share that is a list": ("report", epoch(0, operations={"Max": [1]}), "Max must be a finite number"),
    "an epoch that knows more": ("report", epoch(0, pickle=1), "it must have"),
    "settings of another program": ("train --resume", settings(speed=1), "fits no training of this program"),
    "settings of 10^17 epochs of numbers": ("train --resume", settings(examples=10**17), "too large"),
    "settings of a rate that is text": ("train --resume", settings(lr="fast"), "fits no training"),
    "settings of a model that is a list": ("train --resume", settings(model=[]), "fits no training"),
    "a state of 2^40 dimensions": ("train --resume", all_states(training__model__embed_dim=2**40), "too large"),
    "a state whose epochs are text": ("train --resume", all_states(epochs="x", **FIRST), "it must have"),
    "a state whose epochs are half": ("train --resume", all_states(epochs=[{"epoch": 1}], **FIRST), "it must have"),
    "a state with other layers": ("train --resume", all_states(layers={"x": {}}, **FIRST), "not those of an epoch"),
    "a state with losses in a square": (
        "train --resume", lambda run: [forged({"losses": np.ones((2, 2)), "norms": np.ones((2, 2))})(path)
                                       for path in states(run)], "not those of an epoch",
    ),
    "a state of another model": (
        "train --resume", lambda run: [forged({"model.x": np.ones(2)})(path) for path in states(run)], "unexpected: x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_what_stands_beside_the_models_is_refused_in_one_line(run, capsys, case):
    command, change, words = OTHERS[case]
    change(run)
    refused(capsys, run, command, words)
