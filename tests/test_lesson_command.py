"""The learner's path on the command line: stubs are copied once, answers are judged, what passed is remembered."""

import json
import shutil
from pathlib import Path

import pytest

from transformer import lessons
from transformer.cli import main

COURSE = Path(__file__).resolve().parents[1] / "docs" / "lessons"
FIRST = "one_hot"
NAMES = (FIRST, "wavelength_factors", "embedding_gradient", "sinusoidal", "shift", "rotary")


@pytest.fixture
def learner(tmp_path, monkeypatch, capsys):
    """A call of `lesson` in a folder of one's own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["lesson", *words])
        return (code, *capsys.readouterr())

    return call


def test_list_names_every_lesson_and_exercise(learner):
    code, out, err = learner("list")
    assert (code, err) == (0, "") and learner() == (0, out, "")
    for lesson in lessons.lessons_of(COURSE):
        assert f"{lesson.number}  {lesson.title}\n" in out and ", ".join(lesson.exercises) in out


def test_open_copies_the_stubs_and_never_overwrites_work(learner):
    code, out, _ = learner("open", "1")
    mine = Path("lessons/lesson_01.py")
    assert code == 0 and str(mine) in out and "01_embeddings" in out
    assert mine.read_text() == (COURSE / "exercises" / "lesson_01.py").read_text()
    mine.write_text("# my work\n")
    code, out, _ = learner("1", "open")
    assert code == 0 and "left as they are" in out and mine.read_text() == "# my work\n"


def test_check_judges_each_exercise_and_progress_remembers_it(learner):
    learner("open", "1")
    mine = Path("lessons/lesson_01.py")
    code, out, _ = learner("check", "1")
    assert code == 1 and out.count("to do") == 6 and "0 of 6 passed" in out and f"next: {FIRST}" in out
    shutil.copyfile(COURSE / "solutions" / "lesson_01.py", mine)
    assert learner("1", "check")[:2] == (0, "".join(f"  {name:<18}  ok\n" for name in NAMES) + "6 of 6 passed\n")
    assert "1  ######  6 of 6 " in learner("progress")[1]
    mine.write_text(mine.read_text().replace("(np.asarray(ids)[:, None] == np.arange(V)).astype(float)", "np.eye(V)"))
    code, out, _ = learner("check", "1", FIRST)
    assert code == 1 and f"{FIRST}: the shape" in out and "hint: " in out
    assert "1  .#####  5 of 6 " in learner("progress")[1]
    assert sorted(path.name for path in Path("lessons").iterdir()) == ["lesson_01.py", "progress.json"]


@pytest.mark.parametrize(
    "answer, told",
    [
        ("def one_hot(ids, V):\n    return 1 / 0\n", "ZeroDivisionError in line 2: division by zero"),
        ("def one_hot(ids, V):\n    ids[0] = 0\n    return ids\n", "one_hot changed its argument 1"),
        ("def one_hot(ids, V):\n    pass\n", "one_hot returned None: is a `return` missing?"),
        ("import numpy as np\ndef one_hot(ids, V):\n    return np.full((8, 20), None)\n", "numbers are wanted"),
        ("def one_hot(ids, V):\n    assert V < 0\n", "an assertion in your code failed"),
        ("def one_hot(ids, V):\n    exit(3)\n", "SystemExit in line 2: 3"),
        ("x = 1\n", "lesson_01.py has no one_hot"),
    ],
)
def test_whatever_an_answer_does_is_told_in_one_line(learner, answer, told):
    learner("open", "1")
    Path("lessons/lesson_01.py").write_text(answer)
    code, out, err = learner("check", "1", FIRST)
    assert (code, err) == (1, "") and told in out and "Traceback" not in out


@pytest.mark.parametrize(
    "words, told",
    [
        (("open", "77"), "lesson 77: there are 1"),
        (("check", "1"), "python -m transformer lesson open 1"),
        (("dance",), "write list, open 1, check 1"),
        (("open",), "write list, open 1, check 1"),
        (("open", "1", "2"), "write list, open 1, check 1"),
        (("check", "1", "list"), "write list, open 1, check 1"),
    ],
)
def test_impossible_wishes_get_a_reason(learner, words, told):
    code, out, err = learner(*words)
    assert (code, out) == (2, "") and told in err and "Traceback" not in err


def test_an_unknown_exercise_and_a_file_that_does_not_run_get_a_reason(learner):
    learner("open", "1")
    assert "there are one_hot, " in learner("check", "1", "two_hot")[2]
    Path("lessons/lesson_01.py").write_text("x = 1\ndef one_hot(:\n")
    assert "SyntaxError in line 2" in learner("check", "1")[2]
    Path("lessons/lesson_01.py").write_text("x = 1\nprint(y)\n")
    assert "NameError in line 2: name 'y'" in learner("check", "1")[2]


def test_a_call_from_the_folder_of_the_answers_says_where_to_go(learner, monkeypatch):
    learner("open", "1")
    monkeypatch.chdir("lessons")
    told = learner("check", "1")[2]
    assert "lesson_01.py in this folder: go up one, or add --folder ." in told
    assert learner("check", "1", "--folder", ".")[1].count("to do") == 6


def test_a_damaged_progress_file_is_no_trouble(learner):
    learner("open", "1")
    for text in ("{", "[]", '{"1": 5}', json.dumps({"1": ["gone"]})):
        Path("lessons/progress.json").write_text(text)
        assert "0 of 6" in learner("progress")[1]


def test_a_course_that_is_not_there_is_told_to_be_cloned(tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "__file__", str(tmp_path / "site-packages" / "transformer" / "lessons.py"))
    with pytest.raises(FileNotFoundError, match="clone the repository"):
        lessons.find_course(tmp_path)
    assert lessons.find_course(COURSE / "checks") == COURSE
