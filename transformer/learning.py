"""The command `lesson`: what lessons.py finds, in words and small tables."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from transformer import lessons
from transformer.troubles import output

__all__ = ["lesson_command"]

COLOURS = {"passed": "32", "wrong": "31", "error": "31", "to do": "33"}
MARKS = {"passed": "ok", "wrong": "WRONG", "error": "ERROR", "to do": "to do"}


def lesson_command(args: argparse.Namespace) -> int:
    """0 done; 1 where a check found something that does not pass yet."""
    action, number, exercise = lessons.question(args.words)
    course, folder = lessons.find_course(), args.folder
    if action == "list":
        return list_lessons(course)
    if number is None:
        return show_progress(course, folder)
    return open_one(course, number, folder) if action == "open" else check_one(course, number, folder, exercise)


def list_lessons(course: Path) -> int:
    for lesson in lessons.lessons_of(course):
        print(f"{lesson.number}  {lesson.title}")
        print(f"   exercises: {', '.join(lesson.exercises)}")
    print("begin with: python -m transformer lesson open 1")
    return 0


def open_one(course: Path, number: int, folder: Path) -> int:
    path, new, page = lessons.open_lesson(course, number, folder)
    print(f"{path}: {'the exercises, for you to fill in' if new else 'your answers so far, left as they are'}")
    print(f"{page}: the lesson{'' if page.suffix == '.html' else '; `make docs` builds it as a page'}")
    print(f"then: python -m transformer lesson check {number}")
    if page.suffix == ".html" and output().isatty() and has_display():
        webbrowser.open(page.resolve().as_uri())
    return 0


def has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def check_one(course: Path, number: int, folder: Path, exercise: str | None) -> int:
    found = lessons.check(course, number, folder, exercise)
    width = max(len(verdict.exercise) for verdict in found)
    for verdict in found:
        print(f"  {verdict.exercise:<{width}}  {coloured(MARKS[verdict.state], verdict.state)}")
    good = [verdict for verdict in found if verdict.state == "passed"]
    print(f"{len(good)} of {len(found)} passed")
    first = next((verdict for verdict in found if verdict.state in ("wrong", "error")), None)
    if first is not None:
        print(f"\n{first.exercise}: {first.message}")
        if first.hint:
            print(f"hint: {first.hint}")
    elif len(good) < len(found):
        print(f"\nnext: {next(verdict.exercise for verdict in found if verdict.state == 'to do')}")
    return 0 if len(good) == len(found) else 1


def show_progress(course: Path, folder: Path) -> int:
    for lesson, done, opened in lessons.progress(course, folder):
        bar = "".join("#" if name in done else "." for name in lesson.exercises)
        state = f"{len(done)} of {len(lesson.exercises)}" if opened else "not opened"
        print(f"{lesson.number}  {bar:<7} {state:<11} {lesson.title}")
    return 0


def coloured(text: str, state: str) -> str:
    """In colour on a terminal, unless NO_COLOR asks for none."""
    if not output().isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[state]}m{text}\x1b[0m"
