"""Lessons as they were built: the worked numbers stand on them; as notebooks they run, without outputs or solutions."""

import html
import os
import re

import course
import nbformat
import notebooks
import pytest
from nbclient import NotebookClient

PAGES = course.pages()
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
# Cells have run twice by now, when the page was built and by sybil: of the notebooks the quick path's are enough.
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
ON_THE_QUICK_PATH = [page for page in PAGES if THOROUGH or int(page.name[:2]) in (1, 2, 6, 7)]

# What a reader can check with pencil and paper; a page may show more digits.
WORKED = {
    1: "1.334 1.778 17.78 7499 .682 .732 .142 -.990 1280",
    2: ".016 .117 .867 16384",
    3: "33088 128",
    4: "49728 102036",
    5: "1300",
    6: "2.996 .102 .167 .276 .455",
}
ANYWHERE = """-.0720 .1744 -.2740 .0378 -.1402 1.3 -.3 .98 .1352 -.52 -.676 -.624 -.312 .5050 .51291 .54969
1.954 2.997 -4.78 .4""".split()


def numbers(page, site):
    """The numbers that a built page shows."""
    text = (site / "lessons" / f"{page.stem}.html").read_text(encoding="utf-8")
    text = re.sub(r"<(script|style|svg|head)\b.*?</\1>", " ", text, flags=re.S)
    text = html.unescape(re.sub(r"<[^>]+>", " ", text)).replace("−", "-").replace(",", "")
    return [float(each) for each in re.findall(r"(?<![\w.])-?\d*\.?\d+(?:e[-+]?\d+)?(?!\w)", text)]


def shown(wanted, found):
    places = len(wanted.partition(".")[2])
    return any(round(each, places) == float(wanted) for each in found)


@each_page
def test_worked_numbers_come_out(site, page):
    found = numbers(page, site)
    wanted = WORKED.get(int(page.name[:2]), "").split()
    assert [each for each in wanted if not shown(each, found)] == []


def test_every_worked_number_comes_out_somewhere(site):
    if len(PAGES) < 9:
        pytest.skip("not all lessons are written")
    found = [each for page in PAGES for each in numbers(page, site)]
    assert [each for each in ANYWHERE if not shown(each, found)] == []


@each_page
def test_a_notebook_holds_no_output_and_no_solution(page):
    made = notebooks.notebook(page)
    nbformat.validate(made)
    source = "\n".join(cell.source for cell in made.cells)
    number = int(page.name[:2])
    for name in course.load("checks", number).EXERCISES:
        assert course.function_of("exercises", number, name) in source
        assert course.function_of("solutions", number, name) not in source
    assert all(cell.outputs == [] and cell.execution_count is None for cell in made.cells if cell.cell_type == "code")
    assert not re.search(r"\{(glue:text|source|question|exercise)\}(?!`\w+(:[^`]+)?`)", source)


@pytest.mark.parametrize("page", ON_THE_QUICK_PATH, ids=lambda page: page.stem)
def test_a_notebook_runs_from_top_to_bottom(page, monkeypatch):
    """In the folder in which `make notebooks` puts it; an exercise that is not written yet stops nothing."""
    monkeypatch.delenv("SPHINX_BUILD", raising=False)
    notebooks.FOLDER.mkdir(parents=True, exist_ok=True)
    made = notebooks.notebook(page)
    there = {"metadata": {"path": notebooks.FOLDER}}
    NotebookClient(made, timeout=240, kernel_name="python3", resources=there).execute()
    told = "".join(each.get("text", "") for cell in made.cells for each in cell.get("outputs", []))
    assert told.count("not written yet") == len(course.load("checks", int(page.name[:2])).EXERCISES)
