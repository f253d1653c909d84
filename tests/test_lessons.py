"""The lessons' exercises and pages: stubs hold no answer, solutions pass, typical mistakes do not; nothing is missing.

What the pages compute is tested where they are built: `make docs` runs every cell.
"""

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

LESSONS = Path(__file__).resolve().parents[1] / "docs" / "lessons"
PAGES = sorted(LESSONS.glob("[0-9][0-9]_*.md"))
NUMBERS = [int(page.name[:2]) for page in PAGES]


def load(kind, number):
    path = LESSONS / kind / f"lesson_{number:02}.py"
    spec = importlib.util.spec_from_file_location(f"{kind}_{number:02}", path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(LESSONS))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(LESSONS))
    return module


CHECKS = {number: load("checks", number) for number in NUMBERS}
EXERCISES = [(number, name) for number in NUMBERS for name in CHECKS[number].EXERCISES]
each_exercise = pytest.mark.parametrize("number, name", EXERCISES, ids=lambda value: str(value))
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def definitions(number):
    tree = ast.parse((LESSONS / "exercises" / f"lesson_{number:02}.py").read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


# Exercises -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_every_exercise_has_a_stub_a_check_hints_a_solution_and_a_place_on_the_page(number):
    about, page = CHECKS[number].EXERCISES, PAGES[NUMBERS.index(number)].read_text(encoding="utf-8")
    names = list(about)
    assert 3 <= len(names) <= 6
    assert names == [node.name for node in definitions(number)]
    assert names == re.findall(r"^:{3,}\{exercise\} (\w+)$", page, re.M)
    assert sorted(names) == load("exercises", number).__all__
    levels = [each.level for each in about.values()]
    assert set(levels) <= {1, 2, 3} and len(set(levels)) >= 2
    for name, each in about.items():
        assert callable(getattr(load("solutions", number), name)) and callable(getattr(CHECKS[number], f"check_{name}"))
        assert len(each.hints) >= 2 and len(each.wrong) >= 1


@pytest.mark.parametrize("number", NUMBERS)
def test_no_stub_holds_an_answer(number):
    """A docstring, types, and nothing else."""
    for node in definitions(number):
        methods = [node] if isinstance(node, ast.FunctionDef) else node.body[1:]
        assert len(ast.get_docstring(node) or "") > 40, node.name
        for method in methods:
            assert isinstance(method, ast.FunctionDef) and method.returns is not None, node.name
            given = [each for each in method.args.args if each.arg != "self"]
            assert all(each.annotation is not None for each in given), method.name
            rest = method.body[1:] if ast.get_docstring(method) else method.body
            assert [ast.unparse(line) for line in rest] == ["raise NotImplementedError"], method.name


@each_exercise
def test_a_stub_is_told_to_be_one(number, name):
    with pytest.raises(NotImplementedError):
        getattr(CHECKS[number], f"check_{name}")(load("exercises", number))


@each_exercise
def test_a_solution_passes(number, name):
    getattr(CHECKS[number], f"check_{name}")(load("solutions", number))


@each_exercise
def test_typical_mistakes_are_noticed_and_told_in_words(number, name):
    solutions = vars(load("solutions", number))
    for wrong in CHECKS[number].EXERCISES[name].wrong:
        with pytest.raises(AssertionError) as caught:
            getattr(CHECKS[number], f"check_{name}")(SimpleNamespace(**(solutions | {name: wrong})))
        assert len(str(caught.value).split()) >= 5, f"{wrong.__name__}: {caught.value}"


# Pages ---------------------------------------------------------------------------------------------

PARTS = ("What you will be able to do", "What goes wrong", "Exercises", "Questions", "Further reading")
QUESTION = re.compile(r"^(:{3,})\{question\} ?([^\n]*)\n(.*?)^\1$", re.M | re.S)


@each_page
def test_a_page_has_its_parts_in_order_and_tells_its_time(page):
    text = page.read_text(encoding="utf-8")
    places = [text.index(f"\n## {part}\n") for part in PARTS]
    assert places == sorted(places)
    assert re.match(r"---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# \d ", text)
    assert re.search(r"^\*\*Time needed:\*\* about (\d+ minutes|an hour|two hours)", text, re.M)
    assert "from lesson import" in re.search(r"^```\{code-cell\} python\n(.*?)^```", text, re.M | re.S)[1]
    assert len(re.findall(r"\{source\}`[^`]+`", text)) >= 3


@each_page
def test_code_that_is_to_be_read_fits_the_page(page):
    cells = re.findall(r"^```\{code-cell\} python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    shown = [source for source in cells if not re.match(":tags:.*(hide-input|remove-cell)", source)]
    assert [line for source in shown for line in source.splitlines() if len(line) > 88] == []


@each_page
def test_questions_have_answers(page):
    found = QUESTION.findall(page.read_text(encoding="utf-8"))
    assert 20 <= len(found) <= 35
    assert len({question for _, question, _ in found}) == len(found)
    for _, question, answer in found:
        assert question.strip().endswith(("?", ".", ":")) and len(answer.split()) >= 6, question


@each_page
def test_references_can_be_found(page):
    *_, reading = page.read_text(encoding="utf-8").split("\n## Further reading\n")
    items = re.split(r"^- ", reading, flags=re.M)[1:]
    assert len(items) >= 3
    for item in items:
        assert re.search(r"\*[^*]{8,}\*", item) and re.search(r"\b(19|20)\d\d\b", item), item
        assert re.search(r"<https://[^>]+>", item), item


@each_page
def test_no_number_on_a_page_is_typed(page):
    """Fractions and numbers of four digits come from cells: by `glue`, a table or a print. 10000 is a definition."""
    text = page.read_text(encoding="utf-8").split("\n## Further reading\n")[0]
    text = re.sub(r"^```\{code-cell\}.*?^```$", "", text, flags=re.M | re.S)
    text = re.sub(r"\{[\w:]+\}`[^`]*`", "", text).replace("10000", "")
    assert re.findall(r"(?<![\w.^{])\d+\.\d+|\d{1,3},\d{3}|\b\d{4,}\b", text) == []
