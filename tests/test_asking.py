"""Questions one after the other: at a prompt that survives wrong ones, and in a file that becomes JSON lines."""

import io
import json
import math

import pytest

from transformer import TransformerConfig
from transformer.checkpoint import load_model
from transformer.cli import main
from transformer.generate import answers, ask, generate
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, train

TASK = DigitTask(4, 2)


@pytest.fixture(scope="module", params=["encoder", "decoder"])
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    kind = {"causal": True, "pooling": None} if request.param == "decoder" else {}
    model = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, **kind)
    train(TrainConfig(model, TASK, epochs=1, examples=100), folder / "run")
    return folder


def call(capsys, *arguments):
    code = main([*map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_file_of_questions_becomes_a_line_of_json_each(runs, tmp_path, capsys):
    questions = ["Max(1,3)", "", "First(4,2)", " Min(0, 1) "]
    (tmp_path / "q.txt").write_text("\n".join(questions))
    code, out, err = call(capsys, "ask", "--batch", tmp_path / "q.txt", "--runs", runs)
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    model, _ = load_model(runs / "run/best.safetensors")
    assert [line["line"] for line in lines] == [1, 3, 4]
    assert [line["answer"] for line in lines] == answers(model, [line["question"] for line in lines], TASK)
    assert [line["right"] for line in lines] == ["3", "4", "0"]
    assert all(line["correct"] == (line["answer"] == line["right"]) for line in lines)


def test_the_probability_is_that_of_every_token_of_the_answer(runs, tmp_path, capsys):
    (tmp_path / "q.txt").write_text("Max(1,3)")
    _, out, _ = call(capsys, "ask", "--batch", tmp_path / "q.txt", "--runs", runs)
    line = json.loads(out)
    model, _ = load_model(runs / "run/best.safetensors")
    reply = ask(model, "Max(1,3)", TASK)
    (said,) = generate(model, [TASK.encode("Max(1,3)")])
    expected = math.prod(chances[token] for chances, token in zip(reply.probabilities, said, strict=True))
    assert line["probability"] == pytest.approx(expected) and 0 < expected <= 1


def test_a_line_that_cannot_be_read_says_so_and_the_others_are_answered(runs, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("Max(1,3)\nMax(1,9)\nnonsense\nMin(2,1)\n"))
    code, out, err = call(capsys, "ask", "--batch", "-", "--runs", runs)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (2, "")
    assert ["error" in line for line in lines] == [False, True, True, False]
    assert all("answer" not in line and "\n" not in line["error"] for line in lines[1:3])


def test_a_prompt_answers_until_it_is_left_and_survives_what_is_wrong(runs, capsys, monkeypatch):
    typed = iter(["Max(1,3)", "Max(1;3)", "Min(2,1)", ""])
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    code, out, err = call(capsys, "ask", "--runs", runs)
    assert code == 0 and out.count("layer 1") == 2
    caret = err.splitlines()[-1]
    assert caret.strip() == "^" and err.splitlines()[-2][caret.index("^")] == ";"


def test_the_end_of_input_ends_a_prompt(runs, capsys, monkeypatch):
    def end(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", end)
    assert call(capsys, "ask", "--runs", runs)[0] == 0


def test_a_file_that_is_not_there_is_a_line_and_exit_code_2(runs, capsys):
    code, out, err = call(capsys, "ask", "--batch", "/nowhere/q", "--runs", runs)
    assert (code, out, len(err.splitlines())) == (2, "", 1) and "/nowhere/q" in err
