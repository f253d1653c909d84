"""Commands on every kind of task: a user's own file, a text, answers said token by token."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from transformer.cli import main
from transformer.tasks import TASKS

SIZES = "--embed-dim 16 --num-heads 2 --num-layers 1 --ffn-dim 16 --examples 100 --epochs 1 --lr 0.01 --decoder".split()
PAGE = Path(__file__).resolve().parents[1] / "docs" / "tasks.md"


def call(capsys, command, *arguments, runs):
    """Exit code, stdout, stderr."""
    code = main([command, "--runs", str(runs), *arguments])
    return (code, *capsys.readouterr())


pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, undrawn):
    """A decoder over 0-12, and one of a text."""
    folder = tmp_path_factory.mktemp("runs")
    words = np.random.default_rng(0).choice("the fox and the dog, a cat or\n(two) 2".split(" "), 2000)
    (folder / "text.txt").write_text(" ".join(words))
    digits = "--run digits --upper 12 --arguments 2 --epochs 3 --examples 600".split()
    assert main(["train", "--runs", str(folder), *SIZES, *digits]) == 0
    text = ["--task", "text", "--option", f"file={folder / 'text.txt'}", "--option", "length=12"]
    assert main(["train", "--runs", str(folder), *SIZES, "--run", "text", *text, "--option", "merges=8"]) == 0
    return folder


@pytest.fixture
def own(tmp_path):
    """The task of docs/tasks.md, as a user saves it; forgotten afterwards."""
    source = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]
    (tmp_path / "reverse.py").write_text(source)
    yield str(tmp_path / "reverse.py")
    TASKS.pop("reverse", None)


def test_a_task_in_one_file_of_the_user_is_trained_asked_and_measured(tmp_path, capsys, own):
    code, out, err = call(capsys, "train", *SIZES, "--task", own, "--option", "arguments=2", runs=tmp_path)
    assert (code, err) == (0, "") and "(Reverse " in out and "unseen inputs right" in out
    code, out, err = call(capsys, "generate", "--task", own, "Reverse(1, 2)", runs=tmp_path)
    assert (code, err) == (0, "") and out.startswith("Reverse(1,2) = ")
    code, out, err = call(capsys, "ask", "--task", own, "Reverse(1,2,3)", runs=tmp_path)
    assert code == 2 and "expected ')'" in err
    TASKS.pop("reverse")
    code, out, err = call(capsys, "evaluate", runs=tmp_path)  # a checkpoint cannot make a file run
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "no task 'reverse'" in err and "give its file" in err


@pytest.mark.parametrize("task", ["nested", "arithmetic", "sort"])
def test_every_kind_of_task_is_trained_and_asked(tmp_path, capsys, monkeypatch, task):
    from transformer.tasks import task as tasks

    monkeypatch.setattr(tasks, "POOL", 200)
    question = {"nested": "Max(First(2,8),5)", "arithmetic": "Add(3,Max(4,9))", "sort": "Sort(3,1,2)"}[task]
    assert call(capsys, "train", *SIZES, "--task", task, runs=tmp_path)[0] == 0
    code, out, err = call(capsys, "ask", question, runs=tmp_path)
    assert (code, err) == (0, "") and out.startswith(f"{question} = ")
    assert "which is wrong: it is " in out.splitlines()[0] or out.splitlines()[0] in (
        "Max(First(2,8),5) = 5", "Add(3,Max(4,9)) = 12", "Sort(3,1,2) = 1,2,3",
    )  # fmt: skip
    code, out, err = call(capsys, "evaluate", runs=tmp_path)
    assert code == 0 and "unseen inputs right" in out


def test_a_text_goes_on_where_the_prompt_ends_also_beyond_the_models_positions(runs, capsys, monkeypatch):
    code, out, err = call(capsys, "generate", "--run", "text", "--limit", "90", "the fox", runs=runs)
    assert (code, err) == (0, "") and out.startswith("the fox") and len(out) > 90
    drawn = [
        call(capsys, "generate", "--run", "text", "--temperature", "1", "--seed", seed, "the", runs=runs)[1]
        for seed in ("1", "1", "2")
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    code, out, err = call(capsys, "evaluate", "--run", "text", runs=runs)
    assert code == 0 and "unseen next tokens right" in out and "loss " in out
    code, out, err = call(capsys, "ask", "the", "--run", "text", runs=runs)
    assert code == 0 and "wrong" not in out and "head 1" in out
    code, out, err = call(capsys, "generate", "--run", "text", "€", runs=runs)
    assert (code, out) == (2, "") and "never seen it" in err and err.splitlines()[-1].endswith("^")


# Token by token


def test_on_a_terminal_the_answer_grows_token_by_token_and_ends_as_the_plain_line(runs, capsys, monkeypatch):
    plain = call(capsys, "generate", "--run", "digits", "Max(5,12)", "Min(3,4)", runs=runs)[1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = call(capsys, "generate", "--run", "digits", "Max(5,12)", "Min(3,4)", runs=runs)
    assert (code, err) == (0, "")
    seen = [re.split(r"\r\x1b\[K", line) for line in out.rstrip("\n").split("\n")]  # \r ends no line here
    assert [stages[-1] for stages in seen] == plain.splitlines()
    for stages in seen:
        assert stages[0].endswith(" = ") and len(stages) >= 3
        said = [re.fullmatch(r"(.* = .*)  \((\S+) (\d+\.\d\d) %\)", stage) for stage in stages[1:-1]]
        assert all(said) and all(0 <= float(stage[3]) <= 100 for stage in said)
        answers = [stage[1] for stage in said]
        assert all(later.startswith(earlier) for earlier, later in zip(answers, answers[1:], strict=False))
    assert call(capsys, "generate", "--run", "digits", "--plain", "Max(5,12)", "Min(3,4)", runs=runs)[1] == plain


def test_beams_show_answers_in_the_order_of_their_probability(runs, capsys):
    code, out, err = call(capsys, "generate", "--run", "digits", "--beams", "3", "Max(5,12)", runs=runs)
    lines = [re.fullmatch(r"(Max\(5,12\) = | +)(\S*)  \((\d+\.\d\d) %\)", line) for line in out.splitlines()]
    assert (code, err) == (0, "") and len(lines) == 3 and all(lines)
    chances = [float(line[3]) for line in lines]
    assert chances == sorted(chances, reverse=True) and sum(chances) <= 100
    assert len({line[2] for line in lines}) == 3


def test_a_file_of_prompts_is_answered_in_its_order_by_every_way_to_generate(runs, tmp_path, capsys):
    prompts = ["Max(5,12)", "", "Min(3,4)", "First(10, 2)"]
    (tmp_path / "q.txt").write_text("\n".join(prompts))
    asked = [prompt for prompt in prompts if prompt]
    for way in ([], ["--beams", "2"], ["--temperature", "1", "--seed", "4"], ["--limit", "2"]):
        expected = call(capsys, "generate", "--run", "digits", *way, *asked, runs=runs)
        found = call(capsys, "generate", "--run", "digits", *way, "--batch", str(tmp_path / "q.txt"), runs=runs)
        assert found == expected and found[0] == 0 and found[1].count(" = ") == 3
    (tmp_path / "t.txt").write_text("the fox\nthe dog\n")
    arguments = ["--batch", str(tmp_path / "t.txt"), "--limit", "5"]
    code, out, _ = call(capsys, "generate", "--run", "text", *arguments, runs=runs)
    assert code == 0 and out.startswith("the fox") and "\nthe dog" in out


def test_a_prompt_of_a_file_that_cannot_be_read_is_named_by_its_line(runs, tmp_path, capsys):
    (tmp_path / "q.txt").write_text("Max(5,12)\n\nMux(3,4)\n")
    code, out, err = call(capsys, "generate", "--run", "digits", "--batch", str(tmp_path / "q.txt"), runs=runs)
    assert (code, out) == (2, "") and err.startswith(f"{tmp_path / 'q.txt'}, line 3: unexpected 'Mux' at character 1; ")


def test_draw_finds_a_question_of_the_run_s_own_task(runs, tmp_path, capsys):
    arguments = ["--format", "text", "--output", str(tmp_path / "graph")]
    for run in ("digits", "text"):
        code, out, err = call(capsys, "draw", "--run", run, *arguments, runs=runs)
        assert (code, err) == (0, "") and "graph.txt: attention of " in out


WRONG = {
    "both": (["generate", "--beams", "2", "--temperature", "1", "Max(1,2)"], "choose one"),
    "no beam": (["generate", "--beams", "0", "Max(1,2)"], "beams = 0"),
    "cold top-k": (["generate", "--top-k", "2", "Max(1,2)"], "give a temperature"),
    "limit": (["generate", "--limit", "0", "Max(1,2)"], "limit = 0"),
    "task": (["train", "--task", "chess"], "no task 'chess'"),
    "file": (["train", "--task", "gone.py"], "gone.py: there is no such file"),
    "option": (["train", "--task", "sort", "--option", "depth"], "write NAME=VALUE"),
    "option of another": (["train", "--task", "sort", "--option", "depth=2"], "no option 'depth'"),
    "text without file": (["train", "--task", "text"], "--option file="),
    "text that is not there": (["train", "--decoder", "--task", "text", "--option", "file=/gone"], "No such file"),
    "resume another task": (["train", "--resume", "--task", "sort"], "leave out --task"),
    "resume otherwise": (["train", "--resume", "--option", "upper=3"], "leave out --option"),
    "report of a text": (["report", "--run", "text"], "answers that are right or wrong"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_gets_a_reason_and_exit_code_2(runs, capsys, case):
    arguments, words = WRONG[case]
    run = [] if "--run" in arguments or arguments[0] == "train" else ["--run", "digits"]
    code, out, err = call(capsys, *arguments, *run, runs=runs)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and words in err


@pytest.mark.parametrize(
    ("source", "words"), [("x = 1", "registers no task"), ("def f(:", "line 1"), ("", "registers no task")]
)
def test_a_file_without_a_task_is_refused(tmp_path, capsys, source, words):
    (tmp_path / "mine.py").write_text(source)
    code, out, err = call(capsys, "train", "--task", str(tmp_path / "mine.py"), runs=tmp_path)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and words in err


def test_the_range_test_prints_rates_and_a_proposal_and_saves_nothing(tmp_path, capsys):
    code, out, err = call(capsys, "train", *SIZES, "--range-test", "--upper", "4", "--arguments", "2", runs=tmp_path)
    *table, last = out.splitlines()
    assert (code, err) == (0, "") and re.fullmatch(r"the loss falls fastest at --lr \S+", last)
    rates = [float(line.split()[1]) for line in table]
    assert rates == sorted(rates) and len(rates) > 5 and list(tmp_path.iterdir()) == []


def test_options_of_optimisation_reach_the_configuration(tmp_path, capsys):
    import json

    options = "--optimizer lion --schedule step --average 0.5 --accumulate 2 --label-smoothing 0.1 --loss all --gated"
    options += " --norm-kind rms --tie-embeddings --positions alibi --curriculum 0.5 --weight-decay 0.1 --patience 3"
    small = "--upper 4 --arguments 2 --lr 0.001 --run r".split()
    assert call(capsys, "train", *SIZES, *small, *options.split(), runs=tmp_path)[0] == 0
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    chosen = {name: config[name] for name in ("optimizer", "schedule", "average", "accumulate", "loss", "patience")}
    assert chosen == {
        "optimizer": "lion", "schedule": "step", "average": 0.5, "accumulate": 2, "loss": "all", "patience": 3,
    }  # fmt: skip
    assert (config["label_smoothing"], config["curriculum"], config["weight_decay"]) == (0.1, 0.5, 0.1)
    model = config["model"]
    assert (model["gated"], model["norm_kind"], model["tie_embeddings"], model["positions"]) == (
        True,
        "rms",
        True,
        "alibi",
    )
