"""Pages with cells run from top to bottom, each in one process; the site shows what they print and draw."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ("journey.md", "production.md", "tour.md", "troubleshooting.md")
RUN = "import sys, cells, pathlib; page = pathlib.Path(sys.argv[1]); sys.exit(bool(cells.run(page)))"


def run(page, folder):
    paths = os.pathsep.join(map(str, (ROOT, DOCS, DOCS / "lessons")))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", "-c", RUN, str(page)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, cwd=folder)


@pytest.mark.parametrize("name", PAGES)
def test_page_runs(name, tmp_path):
    pytest.importorskip("matplotlib")
    done = run(DOCS / name, tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_cell_that_fails_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```{code-cell} python\nprint(6 * 7)\n```\n\n```{code-cell} python\n1 / 0\n```\n", encoding="utf-8")
    done = run(page, tmp_path)
    assert done.returncode == 1 and "42" in done.stdout and "ZeroDivisionError" in done.stdout
