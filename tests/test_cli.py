"""Commands train, measure, answer and draw; wrong input gets a reason and exit code 2, never a traceback."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest

import transformer.cli
import transformer.drawing
from tinygrad_edu import errors
from tinygrad_edu.render.layout import can_lay_out
from transformer import report
from transformer.cli import main
from transformer.metrics import read_metrics
from transformer.report.figures import curves
from transformer.tokens import VOCABULARY

SIZES = "--embed-dim 16 --num-heads 2 --num-layers 1 --ffn-dim 16 --examples 150 --epochs 2 --lr 0.01".split()


EPOCH = {"epoch": 1, "train_loss": 2.5, "train_accuracy": 0.5, "validation_loss": 2.25, "validation_accuracy": 0.5,
         "operations": {"Max": 0.5}, "lr": 0.001, "gradient_norm": 1.5, "seconds": 2.0}  # fmt: skip


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, undrawn):
    """A small encoder and, newer, a small decoder over 0-12."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", "--runs", str(folder), *SIZES]) == 0
    assert main(["train", "--runs", str(folder), *SIZES, "--decoder", "--upper", "12", "--arguments", "2"]) == 0
    later = (folder / "encoder-1" / "last.safetensors").stat().st_mtime_ns + 1
    os.utime(folder / "decoder-1" / "last.safetensors", ns=(later, later))
    return folder


def call(capsys, command, *arguments, runs=None):
    """Exit code, stdout, stderr."""
    code = main([command, *(["--runs", str(runs)] if runs else []), *arguments])
    return (code, *capsys.readouterr())


def test_training_ends_with_the_one_line_that_matters(tmp_path, capsys):
    code, out, err = call(capsys, "train", *SIZES, "--run", "mine", runs=tmp_path)
    *epochs, last = out.splitlines()
    assert (code, err, len(epochs)) == (0, "", 2)
    for words in ("of 500 unseen inputs right", "parameters, 2 epochs", "backward code written: 0 lines", "mine"):
        assert words in last
    assert sorted(os.listdir(tmp_path / "mine")) == [
        "best.safetensors", "config.json", "curves.svg", "history.safetensors", "last.safetensors", "metrics.jsonl",
        "state-00000005.safetensors", "state-00000010.safetensors",
    ]  # fmt: skip


def test_without_options_the_lessons_encoder_is_trained(tmp_path, capsys, monkeypatch):
    def started(config, folder, show, comm):
        assert folder == tmp_path / "encoder-1"
        assert (config.seed, config.epochs, config.examples, config.batch_size) == (0, 5, 8000, 32)
        model = transformer.cli.Transformer(config.model)
        assert model.num_parameters() == 102_036
        assert (config.model.norm, config.model.activation, config.model.pooling) == ("post", "relu", "first")
        raise KeyboardInterrupt

    monkeypatch.setattr(transformer.cli, "train", started)
    assert call(capsys, "train", runs=tmp_path) == (130, "", "")


def test_options_reach_the_configuration(tmp_path, capsys):
    options = "--norm pre --activation gelu --positions rotary --pooling mean --dropout 0.1 --upper 4 --arguments 2"
    code, _, _ = call(capsys, "train", *SIZES, *options.split(), "--seed", "3", "--batch-size", "50", runs=tmp_path)
    config = json.loads((tmp_path / "encoder-1" / "config.json").read_text())
    assert code == 0 and config["task"] == {"name": "digits", "upper": 4, "arguments": 2, "fewest": 0}
    assert (config["seed"], config["batch_size"], config["lr"]) == (3, 50, 0.01)
    chosen = ("norm", "activation", "positions", "pooling", "dropout", "embed_dim")
    assert [config["model"][name] for name in chosen] == ["pre", "gelu", "rotary", "mean", 0.1, 16]


def test_evaluate_measures_the_newest_run_or_the_one_that_is_named(runs, capsys):
    code, out, _ = call(capsys, "evaluate", runs=runs)
    assert code == 0 and out.startswith(f"{runs / 'decoder-1' / 'best.safetensors'}: ")
    code, out, _ = call(capsys, "evaluate", "--run", "encoder-1", "--checkpoint", "last", runs=runs)
    assert code == 0 and out.startswith(f"{runs / 'encoder-1' / 'last.safetensors'}: ")
    assert "of 500 unseen inputs" in out and all(name in out for name in ("First", "Second", "Last", "Max", "Min"))
    table = [line.split() for line in out.split("(column):\n")[1].splitlines() if line[:1] == " "][1:]
    assert sum(int(count) for row in table for count in row[1:] if count != ".") == 500


def test_ask_shows_the_answer_five_probabilities_and_every_head(runs, capsys):
    code, out, err = call(capsys, "ask", "Max(5, 3,9)", "--run", "encoder-1", runs=runs)
    first, empty, *rest = out.splitlines()
    assert (code, err, empty) == (0, "", "") and first.startswith("Max(5,3,9) = ")
    chances = [line.split() for line in rest[:5]]
    assert first.startswith(f"Max(5,3,9) = {chances[0][0]}") and all(word[0] in VOCABULARY for word in chances)
    values = [float(word[1]) for word in chances]
    assert values == sorted(values, reverse=True) and rest[5] == ""
    assert "head 1" in out and "head 2" in out and "layer 1" in out


def test_ask_shows_the_probabilities_of_every_token_that_a_decoder_says(runs, capsys):
    code, out, _ = call(capsys, "ask", "Max(5,12)", runs=runs)
    assert code == 0 and out.startswith("Max(5,12) = ")
    assert out.count(" %  ") + out.count(" %\n") >= 5


def test_a_terminal_without_blocks_gets_letters(runs, capsys, monkeypatch):
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert call(capsys, "ask", "Max(5,3,9)", "--run", "encoder-1", runs=runs) == (0, "", "")
        shown = terminal.buffer.getvalue()
    assert b"head 1" in shown and shown.isascii() and b"\\u" not in shown


def test_generate_answers_each_question_on_a_line(runs, capsys, monkeypatch):
    questions = ["Max(1, 12)", "Min(3,4)", "First(10,2)"]
    code, out, _ = call(capsys, "generate", *questions, runs=runs)
    assert code == 0
    assert [line.split(" = ")[0] for line in out.splitlines()] == ["Max(1,12)", "Min(3,4)", "First(10,2)"]
    monkeypatch.setattr(sys.stdin, "read", lambda: "\n".join([*questions, "", ""]))
    assert call(capsys, "generate", runs=runs) == (0, out, "")


@pytest.mark.parametrize("part", ["attention", "feed_forward", "norm", "block", "model", "loss"])
@pytest.mark.parametrize("run", ["encoder-1", "decoder-1"])
def test_draw_writes_the_graph_of_a_part(runs, capsys, monkeypatch, tmp_path, part, run):
    asked = []

    def draw(target, *inputs, path, **wishes):
        asked.append(path.name)
        made = target(*inputs)
        assert (made[0] if isinstance(made, tuple) else made).requires_grad
        assert wishes["heat"] == "bytes" and wishes["depth"] == 1

    monkeypatch.setattr(transformer.drawing, "draw", draw)
    question = "Max(1,6,2)" if run == "encoder-1" else "Max(1,6)"
    arguments = [part, "--run", run, "--question", question, "--output", str(tmp_path / "v1.2")]
    arguments += ["--heat", "bytes", "--depth", "1"]
    code, out, _ = call(capsys, "draw", *arguments, runs=runs)
    assert code == 0 and part in out and question in out
    assert asked == ["v1.2.dot", "v1.2.svg"]


def test_draw_really_draws(runs, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = ["dot", "json", "text", *(["html", "svg", "png", "pdf"] if can_lay_out() else [])]
    arguments = ["loss", "--run", "encoder-1", "--heat", "gradient", "--format", *kinds]
    code, out, _ = call(capsys, "draw", *arguments, runs=runs)
    assert code == 0 and out.count("graph.") == len(kinds)
    starts = {"dot": b"digraph", "json": b"{", "txt": b"embedding", "html": b"<!DOCTYPE html>", "svg": b"<?xml",
              "png": b"\x89PNG", "pdf": b"%PDF"}  # fmt: skip
    for file in tmp_path.iterdir():
        assert file.read_bytes().startswith(starts[file.suffix[1:]])


def test_draw_makes_a_page_of_the_backward_pass(runs, capsys, tmp_path):
    arguments = ["loss", "--replay", "--run", "encoder-1", "--output", str(tmp_path / "pass")]
    code, out, _ = call(capsys, "draw", *arguments, runs=runs)
    assert code == 0 and "pass.html: the backward pass of " in out
    page = (tmp_path / "pass.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "cross_entropy" in page and "embedding.weight" in page


def test_without_graphviz_draw_prints_text_and_says_why(runs, capsys, tmp_path, monkeypatch):
    def draw(target, *inputs, path=None, format=None, **wishes):
        if path is not None and path.suffix == ".svg":
            raise errors.AutodiffError("svg needs Graphviz")
        return "the graph as text"

    monkeypatch.setattr(transformer.drawing, "draw", draw)
    code, out, err = call(capsys, "draw", "--run", "encoder-1", "--output", str(tmp_path / "g"), runs=runs)
    assert (code, out) == (0, "the graph as text\n") and "needs Graphviz" in err and len(err.splitlines()) == 1


WRONG = {
    "unknown operation": (["ask", "Sum(1,2,3)"], "expected First, Second, Last, Max or Min"),
    "too large": (["ask", "Max(1,2,13)"], "13 is too large"),
    "too few arguments": (["ask", "Max(1,2)"], "3 arguments are allowed here"),
    "empty": (["ask", ""], "the question is empty"),
    "one of several": (["generate", "Max(1,2,3)", "Max(1,2"], "it ends early"),
    "unknown run": (["evaluate", "--run", "gone"], "no run 'gone'"),
    "name outside": (["evaluate", "--run", "../x"], "run name '../x'"),
    "layer": (["draw", "--layer", "7"], "this model has layers 0 to 0"),
    "run that is there": (["train", "--run", "encoder-1"], "choose another name"),
    "heads": (["train", "--num-heads", "3"], "embed_dim = 64 does not split"),
    "encoder above 9": (["train", "--upper", "99"], "train a decoder"),
    "epochs": (["train", "--epochs", "0"], "epochs = 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_a_reason_and_exit_code_2(runs, capsys, case):
    arguments, words = WRONG[case]
    run = [] if {"--run"} & set(arguments) or arguments[0] == "train" else ["--run", "encoder-1"]
    code, out, err = call(capsys, *arguments, *run, runs=runs)
    assert (code, out) == (2, "") and words in err.splitlines()[0]
    assert len(err.splitlines()) == (3 if "^" in err else 1)


@pytest.mark.parametrize("arguments", [[], ["dance"], ["train", "--epochs", "many"], ["compare"], ["draw", "brain"]])
def test_a_wrong_command_line_gets_exit_code_2(capsys, arguments):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("python -m transformer") and line.endswith("--help explains")


@pytest.mark.parametrize("arguments", [["ask", "Max", "1", "2"], ["draw", "loss", "--question", "Max", "1", "2"]])
def test_a_question_in_several_words_is_wanted_in_quotes(capsys, arguments):
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'unrecognized arguments: 1 2; put the question in quotes, "Max 1 2", and name a run by --run' in line


@pytest.mark.parametrize("arguments", [["evaluate"], ["ask", "Max(1,2,3)"], ["generate", "Max(1,2,3)"], ["draw"]])
def test_without_a_run_every_command_says_how_to_get_one(tmp_path, capsys, arguments):
    code, out, err = call(capsys, *arguments, runs=tmp_path)
    assert (code, out) == (2, "") and "python -m transformer train" in err and len(err.splitlines()) == 1


def test_a_damaged_checkpoint_is_refused_by_the_name_of_the_tensor(runs, capsys):
    path = runs / "decoder-1" / "last.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, out, err = call(capsys, "evaluate", "--run", "decoder-1", "--checkpoint", "last", runs=runs)
    path.write_bytes(whole)
    assert (code, out) == (2, "") and "last.safetensors: tensor 'output.weight' is damaged" in err


@pytest.mark.parametrize("command", ["train", "evaluate", "ask", "generate", "draw", "play"])
def test_every_command_has_help_with_an_example_that_parses(capsys, command):
    assert main([command, "--help"]) == 0
    example = capsys.readouterr().out.split("example: python -m transformer ")[1]
    import shlex

    transformer.cli.parser().parse_args(shlex.split(example))


def test_ctrl_c_while_training_saves_and_gives_exit_code_130(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "transformer", "train", *SIZES, "--epochs", "10000"]
    running = subprocess.Popen(
        [*command, "--runs", tmp_path, "--run", "r"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout.readline().startswith("epoch 1/")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130 and err == ""
    assert "interrupted after" in out and "last.safetensors" in out
    assert {"last.safetensors", "metrics.jsonl"} < set(os.listdir(tmp_path / "r"))
    assert "cross-entropy" in (tmp_path / "r" / "curves.svg").read_text()


@pytest.mark.parametrize(("chosen", "threads"), [({}, 1), ({"OMP_NUM_THREADS": "2"}, 2)])
def test_blas_uses_one_thread_unless_the_user_has_chosen(chosen, threads):
    program = (
        "import ctypes, pathlib, sys, numpy, transformer.cli\n"
        "transformer.cli.main(['--help'])\n"
        "for path in pathlib.Path(numpy.__file__).parent.with_name('numpy.libs').glob('*openblas*'):\n"
        "    print(ctypes.CDLL(str(path)).scipy_openblas_get_num_threads64_(), file=sys.stderr)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment | chosen)
    if not done.stderr:
        pytest.skip("this NumPy brings no OpenBLAS of its own")
    assert done.returncode == 0 and int(done.stderr) == min(threads, os.cpu_count())


# What is printed


def test_only_all_is_100_percent():
    assert [report.percent(share) for share in (1.0, 0.99999, 0.998, 0.57, 0.0)] == [
        "100.00 %", "99.99 %", "99.80 %", "57.00 %", "0.00 %",
    ]  # fmt: skip


def test_the_same_metrics_give_the_same_picture(runs, tmp_path):
    metrics = read_metrics(runs / "encoder-1" / "metrics.jsonl")
    for name in ("one", "two"):
        curves(metrics, tmp_path / name)
    picture = (tmp_path / "one").read_bytes()
    assert picture == (tmp_path / "two").read_bytes()
    assert all(word in picture for word in (b"validation", b"Max", b"epoch", b"<svg")) and b"<dc:date>" not in picture


def test_a_picture_of_no_epoch_is_empty_but_there(tmp_path):
    curves([], tmp_path / "none.svg")
    assert (tmp_path / "none.svg").stat().st_size


def test_a_line_of_metrics_that_a_crash_cut_off_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps(EPOCH) + '\n{"epo')
    assert read_metrics(tmp_path / "metrics.jsonl") == [EPOCH]
