"""The learner's path: stubs into a folder of one's own, hidden checks on the answers, and what has passed so far.

The course itself lies in docs/lessons of the repository: exercises/ holds the stubs, checks/ the tests. The answers lie
in lessons/ of the folder one works in, with progress.json beside them.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from transformer.checkpoint import write_atomically

__all__ = [
    "Lesson", "Verdict", "check", "find_course", "importable", "judge", "lessons_of", "load", "open_lesson", "progress",
    "question",
]  # fmt: skip

ACTIONS = ("list", "open", "check", "progress")
KEPT = "progress.json"


class Lesson(NamedTuple):
    """page: its Markdown; exercises: their names, in order."""

    number: int
    title: str
    page: Path
    exercises: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"lesson_{self.number:02}.py"


class Verdict(NamedTuple):
    """state: "passed", "wrong", "error" (it raised something) or "to do"; message: why, in words."""

    exercise: str
    state: str
    message: str = ""
    hint: str = ""


# Finding -------------------------------------------------------------------------------------------


def find_course(start: Path | None = None) -> Path:
    """The folder docs/lessons: of the repository that this package runs from, or above the current folder."""
    here = start or Path.cwd()
    for folder in (Path(__file__).resolve().parents[1], here, *here.resolve().parents):
        if (folder / "docs" / "lessons" / "exercises").is_dir():
            return folder / "docs" / "lessons"
    raise FileNotFoundError(
        "the lessons lie in docs/lessons of the repository, not in the installed package: clone the repository, and "
        "call this in its folder"
    )


def lessons_of(course: Path) -> list[Lesson]:
    found = []
    for page in sorted(course.glob("[0-9][0-9]_*.md")):
        number = int(page.name[:2])
        title = re.search(r"^# \d+ (.+)$", page.read_text(encoding="utf-8"), re.M)
        stubs = course / "exercises" / f"lesson_{number:02}.py"
        tree = ast.parse(stubs.read_text(encoding="utf-8"))
        names = tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
        found.append(Lesson(number, title[1] if title else page.stem, page, names))
    return found


def lesson_of(course: Path, number: int) -> Lesson:
    lessons = {lesson.number: lesson for lesson in lessons_of(course)}
    if number not in lessons:
        raise ValueError(f"lesson {number}: there are {', '.join(map(str, lessons))}")
    return lessons[number]


def question(words: Sequence[str]) -> tuple[str, int | None, str | None]:
    """What is asked: (action, lesson, exercise). The number may stand before or after the action.

    Raises ValueError for words that make no sense together.
    """
    numbers = [int(word) for word in words if word.isdecimal()]
    actions = [word for word in words if word in ACTIONS]
    rest = [word for word in words if not word.isdecimal() and word not in ACTIONS]
    action = actions[0] if actions else "open" if numbers else "list"
    exercise = rest[0] if rest and action == "check" else None
    wanted = 1 if action in ("open", "check") else 0
    if len(numbers) != wanted or len(actions) > 1 or len(rest) > (exercise is not None):
        raise ValueError(f"lesson {' '.join(words)}: write list, open 1, check 1, check 1 NAME or progress")
    return action, numbers[0] if numbers else None, exercise


# Opening and checking ------------------------------------------------------------------------------


def open_lesson(course: Path, number: int, folder: Path) -> tuple[Path, bool, Path]:
    """The file for the answers, whether it is new, and the lesson's page: the built one, else its Markdown.

    A file that is there already is left as it is.
    """
    lesson = lesson_of(course, number)
    target = folder / lesson.file
    new = not target.exists()
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(course / "exercises" / lesson.file, target)
    built = course.parent / "_build" / "html" / "lessons" / f"{lesson.page.stem}.html"
    return target, new, built if built.exists() else lesson.page


def check(course: Path, number: int, folder: Path, exercise: str | None = None) -> list[Verdict]:
    """The hidden checks on the answers in the folder; what passed is written down in its progress.json.

    Raises FileNotFoundError where the lesson was not opened, ValueError for an unknown exercise or a file that does not
    run.
    """
    lesson = lesson_of(course, number)
    path = folder / lesson.file
    if not path.exists():
        if Path(lesson.file).exists():
            there = f"{lesson.file} in this folder: go up one, or add --folder ."
            raise FileNotFoundError(f"there is no {path}, but {there}")
        raise FileNotFoundError(f"{path} is not there yet: python -m transformer lesson open {number}")
    if exercise is not None and exercise not in lesson.exercises:
        raise ValueError(f"lesson {number} has no exercise {exercise!r}: there are {', '.join(lesson.exercises)}")
    with importable(course):
        checks = load(course / "checks" / lesson.file)
        try:
            answers = load(path)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{path} does not run: {told(error, path)}") from None
        names = lesson.exercises if exercise is None else (exercise,)
        found = [judge(checks, answers, name, path) for name in names]
    keep(folder, number, found)
    return found


def judge(checks: Any, answers: Any, name: str, path: Path) -> Verdict:
    hints = checks.EXERCISES[name].hints
    if not hasattr(answers, name):
        return Verdict(name, "error", f"{path.name} has no {name}")
    try:
        getattr(checks, f"check_{name}")(answers)
    except NotImplementedError:
        return Verdict(name, "to do", "not written yet")
    except AssertionError as error:
        return Verdict(name, "wrong", str(error) or "an assertion in your code failed", hints[0])
    except (Exception, SystemExit) as error:
        return Verdict(name, "error", told(error, path), hints[0])
    return Verdict(name, "passed")


def told(error: BaseException, path: Path) -> str:
    """The error in one line, with the last line of the learner's file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else lines[-1] if lines else None
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}{f' in line {line}' if line else ''}: {what}".rstrip(": ")


@contextmanager
def importable(course: Path) -> Iterator[None]:
    """Checks import what they share from the course's folder."""
    sys.path.insert(0, str(course))
    try:
        yield
    finally:
        sys.path.remove(str(course))


def load(path: Path) -> ModuleType:
    """A file as a module, run anew, with no __pycache__ left beside it."""
    module = ModuleType(f"{path.parent.name}_{path.stem}")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


# Progress ------------------------------------------------------------------------------------------


def keep(folder: Path, number: int, found: Sequence[Verdict]) -> None:
    """An exercise that once passed and now fails is not passed any more."""
    states = passed(folder)
    now = states.setdefault(str(number), [])
    for verdict in found:
        if verdict.state == "passed" and verdict.exercise not in now:
            now.append(verdict.exercise)
        elif verdict.state != "passed" and verdict.exercise in now:
            now.remove(verdict.exercise)
    write_atomically(folder / KEPT, (json.dumps(states, indent=2) + "\n").encode())


def passed(folder: Path) -> dict[str, list[str]]:
    """Lesson → exercises. A file that is damaged counts as none: the next check writes it anew."""
    try:
        states = json.loads((folder / KEPT).read_text(encoding="utf-8"))
        return {str(number): [str(name) for name in names] for number, names in states.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def progress(course: Path, folder: Path) -> list[tuple[Lesson, tuple[str, ...], bool]]:
    """Each lesson, its exercises that have passed, and whether it was opened."""
    states = passed(folder)
    found = []
    for lesson in lessons_of(course):
        done = tuple(name for name in lesson.exercises if name in states.get(str(lesson.number), []))
        found.append((lesson, done, (folder / lesson.file).exists()))
    return found
