"""Whatever goes wrong around a command is said in one line with an exit code, and nothing that was saved is lost."""

import contextlib
import os
import subprocess
import sys

import pytest

import transformer.cli
import transformer.gradients
import transformer.train
from transformer import report
from transformer.cli import main
from transformer.report.figures import curves

SIZES = "--embed-dim 8 --num-heads 2 --num-layers 1 --ffn-dim 8 --examples 60 --epochs 1 --arguments 2".split()
QUESTION = "Max(5,3)"


def call(capsys, command, *arguments, runs):
    """Exit code, stdout, stderr."""
    code = main([command, "--runs", str(runs), *arguments])
    return (code, *capsys.readouterr())


def shell(command, *, runs, **environment):
    """In a process of its own, with `t` for the program: exit code, stdout, stderr."""
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = f't() {{ "{sys.executable}" -W error -m transformer "$@" --runs "{runs}"; }}; {command}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=buffered | environment
    )
    return done.returncode, done.stdout, done.stderr


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, undrawn):
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "--runs", str(folder), *SIZES, "--run", "one"]) == 0
    return folder


# Too large


@pytest.mark.parametrize("option", ["--examples", "--arguments", "--embed-dim", "--ffn-dim", "--num-layers"])
@pytest.mark.parametrize("size", [10**9, 10**17])
def test_what_cannot_fit_is_refused_in_a_line_that_names_the_option(tmp_path, capsys, option, size):
    code, out, err = call(capsys, "train", option, str(size), "--run", "mine", runs=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert f"{option[2:].replace('-', '_')} = {size}" in err.split(":")[0] and "too large" in err
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("words", ["", "Unable to allocate 9 GiB"])
def test_memory_that_runs_out_all_the_same_is_one_line(tmp_path, capsys, monkeypatch, words):
    def out_of_memory(*args, **kwargs):
        raise MemoryError(*([words] if words else []))

    monkeypatch.setattr(transformer.train, "make_splits", out_of_memory)
    code, out, err = call(capsys, "train", *SIZES, runs=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "not enough memory" in err and words in err
    assert not os.listdir(tmp_path)


def test_heads_are_proposed_for_the_largest_width_too(tmp_path, capsys):
    code, _, err = call(capsys, "train", "--embed-dim", str(3 * 10**15), "--num-heads", "7", runs=tmp_path)
    assert code == 2 and "choose num_heads from [1, 2, 3, 4, 5, 6, 8, " in err


# Interrupted runs


@pytest.fixture
def interrupted(tmp_path, capsys, monkeypatch):
    """Ctrl-C before the first epoch has ended."""

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transformer.gradients, "all_right", stop)
        assert main(["train", *SIZES, "--runs", str(tmp_path), "--run", "short"]) == 130
    assert "interrupted after 0 epochs" in capsys.readouterr().out
    return tmp_path


@pytest.mark.parametrize("command", [["ask", QUESTION], ["evaluate"], ["generate", QUESTION]])
def test_a_run_without_a_best_checkpoint_answers_with_its_last_and_says_so(interrupted, capsys, command):
    code, out, err = call(capsys, *command, runs=interrupted)
    assert code == 0 and out and len(err.splitlines()) == 1
    assert "no best.safetensors" in err and "this is last.safetensors" in err
    assert call(capsys, *command, "--checkpoint", "last", runs=interrupted) == (0, out, "")


def test_a_best_checkpoint_that_is_asked_for_and_not_there_is_refused(interrupted, capsys):
    code, out, err = call(capsys, "ask", QUESTION, "--checkpoint", "best", runs=interrupted)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "try --checkpoint last" in err


def test_ctrl_c_while_the_curves_are_drawn_does_not_hide_the_result(tmp_path, capsys, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "curves", stop)
    code, out, err = call(capsys, "train", *SIZES, runs=tmp_path)
    assert (code, err) == (130, "") and "unseen inputs right" in out.splitlines()[-1]


def test_a_number_taken_meanwhile_is_not_an_error_but_a_name_is(tmp_path, capsys, monkeypatch):
    def slowly(config, folder, show, comm):
        if folder.name in ("encoder-1", "mine"):
            folder.mkdir()  # another run, while this one was being prepared
        return train(config, folder, show) if folder.name == "encoder-2" else refuse(folder)

    def refuse(folder):
        raise FileExistsError(f"{folder} is there already; choose another name")

    train = transformer.cli.train
    monkeypatch.setattr(transformer.cli, "train", slowly)
    assert call(capsys, "train", *SIZES, runs=tmp_path)[0] == 0
    assert (tmp_path / "encoder-2" / "curves.svg").exists() and not os.listdir(tmp_path / "encoder-1")
    code, _, err = call(capsys, "train", *SIZES, "--run", "mine", runs=tmp_path)
    assert code == 2 and "choose another name" in err


# Where the output goes


@contextlib.contextmanager
def full():
    """A device that is full. What could not be written to it is tried once more when it is closed, if still there."""
    with open("/dev/full", "w") as stream:
        yield stream


@contextlib.contextmanager
def unread():
    """A pipe whose reader has gone."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as stream:
        yield stream


COMMANDS = [["ask", QUESTION], ["evaluate"], ["ask", "--help"], ["generate", QUESTION]]


@pytest.mark.parametrize(("output", "code", "words"), [(full, 2, "No space left on device\n"), (unread, 0, "")])
@pytest.mark.parametrize("command", COMMANDS)
def test_output_that_cannot_be_written_is_one_line_and_a_reader_who_has_gone_none(
    runs, capsys, monkeypatch, command, output, code, words
):
    with output() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert call(capsys, *command, runs=runs) == (code, "", words)


@pytest.mark.parametrize(("output", "code", "words"), [(full, 2, "No space left"), (unread, 141, "nobody reads the")])
def test_a_training_whose_output_goes_nowhere_ends_and_keeps_its_model(
    tmp_path, capsys, monkeypatch, output, code, words
):
    with output() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        found, _, err = call(capsys, "train", *SIZES, "--run", "mine", runs=tmp_path)
    assert (found, len(err.splitlines())) == (code, 1) and words in err
    assert (tmp_path / "mine" / "last.safetensors").exists()


@pytest.mark.parametrize("command", [["ask", QUESTION], ["evaluate"], ["generate", QUESTION], ["generate"]])
def test_streams_may_be_closed(runs, capsys, monkeypatch, command):
    for name in ("stdin", "stdout"):
        monkeypatch.setattr(sys, name, None)
    assert call(capsys, *command, runs=runs) == (0, "", "")


def test_a_training_goes_its_way_with_every_stream_closed(tmp_path, capsys, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert call(capsys, "train", *SIZES, "--run", "mine", runs=tmp_path) == (0, "", "")
    assert (tmp_path / "mine" / "curves.svg").exists()


ENDS = {
    f"ask '{QUESTION}' > /dev/full": (2, "", "No space left on device\n"),
    "evaluate | true": (0, "", ""),
    "evaluate >&-": (0, "", ""),
    "generate <&-": (0, "", ""),
}


@pytest.mark.parametrize("command", ENDS)
def test_nor_does_python_complain_of_such_streams_when_it_ends(runs, command):
    assert shell(f"t {command}", runs=runs) == ENDS[command]


def test_a_full_disk_is_named_with_the_file_and_leaves_nothing(tmp_path):
    code, out, err = shell(f"ulimit -f 8; t train {' '.join(SIZES)} --embed-dim 64 --run mine", runs=tmp_path)
    assert (code, out, err) == (2, "", f"{tmp_path / 'mine' / 'best.safetensors'}: File too large\n")
    assert not os.listdir(tmp_path)


def test_a_folder_name_that_the_terminal_cannot_show_is_no_error(tmp_path):
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    code, out, err = shell(f"t train {' '.join(SIZES)} --run é", runs=tmp_path, **ascii_only)
    assert (code, err) == (0, "") and r"\xe9" in out
    code, out, err = shell("t evaluate --run é", runs=tmp_path, **ascii_only)
    assert (code, err) == (0, "") and r"\xe9" in out


@pytest.mark.parametrize("output", ["", ".", "/"])
def test_a_graph_needs_a_file_name(runs, capsys, output):
    code, out, err = call(capsys, "draw", "--question", QUESTION, "--output", output, runs=runs)
    assert (code, out) == (2, "") and "it must name a file" in err and len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_named(runs, capsys):
    code, out, err = call(capsys, "draw", "--question", QUESTION, "--output", "/dev/null/graph", runs=runs)
    assert (code, out, err) == (2, "", "/dev/null/graph.dot: Not a directory\n")


# What is printed


def test_one_is_not_plural(tmp_path, capsys):
    last = call(capsys, "train", *SIZES, runs=tmp_path)[1].splitlines()[-1]
    assert " 1 epoch, " in last
    assert [report.counted(n, "epoch") for n in (0, 1, 2, 1000)] == ["0 epochs", "1 epoch", "2 epochs", "1,000 epochs"]


def test_the_legend_explains_every_shade_the_blank_one_too(runs, capsys):
    assert report.legend(False) == "blank below 0.05  .. from 0.05  :: from 0.2  ** from 0.4  ## from 0.7"
    out = call(capsys, "ask", QUESTION, runs=runs)[1]
    assert out.splitlines()[-1].startswith("blank below")
    assert "    M ( 5 , 3 )" in out  # a letter for a token, and a gap before the next


def test_a_picture_of_one_epoch_shows_every_operation_and_plain_numbers(tmp_path):
    operations = {"First": 0.1, "Second": 0.2, "Last": 0.3, "Max": 0.4, "Min": 0.5}
    epoch = {"epoch": 1, "train_loss": 3.4, "validation_loss": 3.1, "operations": operations}
    curves([{**epoch, "train_accuracy": 0.6, "validation_accuracy": 0.3}], tmp_path / "curves.svg")
    picture = (tmp_path / "curves.svg").read_text()
    assert picture.count("<use") - picture.count("xtick") - picture.count("ytick") >= 2 * 9  # in plot and legend
    assert ">3.2<" in picture and "×" not in picture


def test_what_a_run_needs_in_the_end_is_missed_before_it_starts(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it raises
    code, out, err = call(capsys, "train", *SIZES, runs=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "pip install" in err
    assert not os.listdir(tmp_path)
