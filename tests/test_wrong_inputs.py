"""What a careless user and an attacker type: each gets one line that says why, exit code 2, and nothing is written."""

import io
import os

import pytest
from spoiling import small_run

from transformer import TransformerConfig
from transformer.cli import main
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, train

BIG = str(10**17)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small_run(folder / "encoder")
    decoder = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, causal=True, pooling=None)
    train(TrainConfig(decoder, DigitTask(12, 2), epochs=1, examples=60), folder / "decoder", progress=False)
    (folder / "a file").write_text("Max(1,2)\n")
    return folder


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def refused(capsys, monkeypatch, runs, arguments):
    """The lines that say why."""
    monkeypatch.chdir(runs)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = everything(runs)
    where = [] if "--runs" in arguments or arguments[:1] in ([], ["dance"]) else ["--runs", str(runs)]
    assert main([*arguments, *where]) == 2
    out, err = capsys.readouterr()
    assert out == "" and everything(runs) == before and max(map(len, err.splitlines())) < 1000
    return err.splitlines()


ASK, DECODER = ["ask", "Max(1,3)"], ["generate", "Max(1,3)", "--run", "decoder"]
TEXT = ["train", "--decoder", "--task", "text", "--option"]
WRONG = {
    "a name that leads out": ([*ASK, "--run", "../x"], "run name '../x'"),
    "a name from the root": (["evaluate", "--run", "/etc"], "run name '/etc'"),
    "an empty name": ([*ASK, "--run", ""], "run name ''"),
    "a name of two lines": ([*ASK, "--run", "a\nb"], r"run name 'a\nb'"),
    "a hidden name": (["report", "--run", ".ssh"], "run name '.ssh'"),
    "a name of 300 letters": (["draw", "--run", "x" * 300], "no run 'xxx"),
    "a new name that leads out": (["train", "--run", "../../x"], "run name '../../x'"),
    "a sweep that leads out": (["sweep", "--vary", "seed=1", "--run", "../x"], "run name '../x'"),
    "a comparison that leads out": (["compare", "encoder", "../x"], "run name '../x'"),
    "a resumption that leads out": (["train", "--resume", "--run", "../x"], "run name '../x'"),
    "runs in a file": ([*ASK, "--runs", "a file"], "no trained model in a file/"),
    "runs into a file": (["train", "--runs", "a file"], "Not a directory"),
    "a run that is a file": (["evaluate", "--run", "file"], "no run 'file'"),
    "a number of 5,000 digits": (["train", "--epochs", "9" * 5000], "invalid int value"),
    "half a number": (["train", "--epochs", "1.5"], "invalid int value: '1.5'"),
    "epochs below 0": (["train", "--epochs", "-1"], "epochs = -1"),
    "no rate": (["train", "--lr", "nan"], "lr = nan"),
    "an endless rate": (["train", "--lr", "inf"], "lr = inf"),
    "everything dropped": (["train", "--dropout", "1"], "dropout = 1"),
    "a seed below 0": (["train", "--seed", "-1"], "seed = -1"),
    "an endless batch": (["train", "--batch-size", "0"], "batch_size = 0"),
    "10^17 layers": (["train", "--num-layers", BIG], "too large"),
    "an option without value": (["train", "--option", "upper"], "write NAME=VALUE"),
    "an option without name": (["train", "--option", "=3"], "no option ''"),
    "an option of letters": (["train", "--option", "upper=x"], "upper = 'x'"),
    "a task without name": (["train", "--task", ""], "no task ''"),
    "a text that is a device": ([*TEXT, "file=/dev/zero"], "/dev/zero is a folder or a device"),
    "a text that is a folder": ([*TEXT, "file=."], ". is a folder or a device"),
    "a text too short": ([*TEXT, "file=a file"], "9 characters are too few"),
    "a command that is none": (["dance"], "invalid choice: 'dance'"),
    "no command": ([], "required: COMMAND"),
    "an option that is none": (["train", "--fast"], "unrecognized arguments: --fast"),
    "two questions at once": (["ask", "Max(1,3)", "Max(1,2)"], "unrecognized arguments"),
    "a state as checkpoint": (["evaluate", "--checkpoint", "state-1"], "invalid choice: 'state-1'"),
    "a batch in a folder": (["ask", "--batch", "encoder"], "encoder: Is a directory"),
    "a batch and a question": ([*ASK, "--batch", "a file"], "leave out the one"),
    "a batch and prompts": ([*DECODER, "--batch", "a file"], "leave out those"),
    "a batch that is not there": (["generate", "--batch", "gone"], "gone: No such file"),
    "beams of an encoder": (["generate", "Max(1,3)", "--beams", "2", "--run", "encoder"], "beams are for decoders"),
    "10^17 beams": ([*DECODER, "--beams", BIG], f"beams = {BIG}"),
    "no token at all": ([*DECODER, "--limit", "-1"], "limit = -1"),
    "more than all": ([*DECODER, "--temperature", "1", "--top-p", "2"], "top_p = 2"),
    "below frozen": ([*DECODER, "--temperature", "-1"], "temperature = -1"),
    "a draw below 0": ([*DECODER, "--seed", "-2"], "seed = -2"),
    "a layer below 0": (["draw", "--layer", "-1", "--question", "Max(1,3)", "--run", "encoder"], "layers 0 to 0"),
    "a picture in no folder": (
        ["draw", "--output", "/nowhere/x", "--question", "Max(1,3)", "--run", "encoder"], "/nowhere/x.dot: No such file"
    ),
    "events into a file": (["report", "--tensorboard", "a file", "--run", "encoder"], "events want a folder"),
    "nothing to vary": (["sweep"], "nothing to vary"),
    "a variation without name": (["sweep", "--vary", "=1"], "is no setting"),
    "a variation without values": (["sweep", "--vary", "lr=,"], "'' is no float"),
    "a variation by a path": (["sweep", "--vary", "norm=../x"], "norm = '../x'"),
    "a variation of 5,000 digits": (["sweep", "--vary", "seed=" + "9" * 5000], "is no int"),
    "a resumption of nothing": (["train", "--resume", "--run", "gone"], "no run 'gone'"),
    "a resumption with another rate": (["train", "--resume", "--run", "encoder", "--lr", "1"], "leave out --lr"),
    "nothing to compare": (["compare"], "required: RUN"),
    "a comparison with nothing": (["compare", "encoder", "gone"], "no run 'gone'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_one_line(capsys, monkeypatch, runs, case):
    arguments, words = WRONG[case]
    (line,) = refused(capsys, monkeypatch, runs, arguments)
    assert words in line


QUESTIONS = {  # the question, where the caret stands, and what is said; a wide letter takes two columns
    "Max(1,２)": (6, "unexpected '２'"), "Max(1,2": (7, "it ends early"), "Max (1,2))": (9, "over here"),
    "max(1,2)": (0, "did you mean Max?"), "Max(01,2)": (4, "starts with a zero"), "Max(1,-2)": (6, "unexpected '-'"),
    "Max(1.5,2)": (5, "unexpected '.'"), f"Max(1,{'9' * 30})": (6, "30 digits"), "Max(" * 999: (4, "whole number"),
    "  ": (0, "empty"), "": (0, "empty"), "Max(1,5)": (6, "too large"), "Max(1,2,3)": (7, "2 arguments"),
    "Max(1 ２,2)": (6, "unexpected"), "Max(1,\t;2)": (7, "unexpected ';'"), "\udce9": (0, "unexpected"),
    "最大(1,2)": (0, "expected First"), "Max(1,2)最大": (8, "over here"), "Max(1,2) 最 大": (9, "over here"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["ask", "generate", "draw --format text --question", "report"])
@pytest.mark.parametrize("question", QUESTIONS, ids=ascii)
def test_a_caret_stands_under_what_is_wrong(capsys, monkeypatch, runs, command, question):
    if command == "ask" and not question:
        command = "generate"
    column, words = QUESTIONS[question]
    what, shown, caret = refused(capsys, monkeypatch, runs, [*command.split(), question, "--run", "encoder"])
    assert words in what and caret == " " * (4 + column) + "^"


def test_a_line_of_a_batch_that_is_no_text_spoils_no_other(capsys, monkeypatch, runs, tmp_path):
    (tmp_path / "q").write_bytes(b"Max(1,3)\n\xff\xfe\nMin(1,2)\n")
    code = main(["ask", "--batch", str(tmp_path / "q"), "--runs", str(runs), "--run", "encoder"])
    lines, err = capsys.readouterr()
    assert (code, err) == (2, "") and ["error" in line for line in lines.splitlines()] == [False, True, False]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(capsys, monkeypatch, runs, tmp_path):
    tmp_path.chmod(0o500)
    (line,) = refused(capsys, monkeypatch, runs, ["train", "--runs", str(tmp_path)])
    assert line == f"{tmp_path / 'encoder-1'}: Permission denied"
