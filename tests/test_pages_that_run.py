"""Pages whose code runs from top to bottom and prints what stands below each block.

In what the page says, … stands for anything.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_edu import errors
from tinygrad_edu.render.layout import can_lay_out

TESTS = Path(__file__).resolve().parent
DOCS = TESTS.parent / "docs"
# And how many blocks each has, at least.
PAGES = {
    "own_operation.md": 10, "checking_gradients.md": 4, "backward_pass.md": 5, "errors.md": 16, "rendering.md": 7,
    "derive.md": 4, "capture.md": 5, "tasks.md": 2, "arrays.md": 4,
}  # fmt: skip
BLOCKS = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
CUT = "-- end of a block --"


def script_of(page):
    """Its Python alone, each statement on the line it has in the page; a mark is printed after each block."""
    lines, inside = [], False
    for line in page.splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else f"print({CUT!r})" if inside else "")
        inside = not inside and line == "```python" if fence else inside
    return "\n".join(lines)


@pytest.mark.parametrize("name", PAGES)
def test_page_runs_and_prints_what_it_says(name, tmp_path):
    """In a process of its own: what it declares stays declared."""
    if name == "rendering.md" and not can_lay_out():
        pytest.skip("neither the dot program nor pygraphviz is here")
    if name in ("arrays.md", "errors.md"):
        pytest.importorskip("array_api_strict")
        pytest.importorskip("dask.array")
    page = (DOCS / name).read_text(encoding="utf-8")
    script = tmp_path / name.replace(".md", ".py")
    script.write_text(script_of(page), encoding="utf-8")
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    kept = str(TESTS.parent / ".hypothesis")  # what Hypothesis reads of our modules: not anew for each page
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "HYPOTHESIS_STORAGE_DIRECTORY": kept}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    printed = done.stdout.split(CUT + "\n")[:-1]
    promised = [output for _, output in BLOCKS.findall(page)]
    assert len(promised) == len(printed) >= PAGES[name]
    for text, wanted in zip(printed, promised, strict=True):
        pattern = ".*".join(map(re.escape, wanted.rstrip().split("…")))
        assert re.fullmatch(pattern, text.rstrip(), re.S), f"{text}\nbut the page says\n{wanted}"


def test_page_of_errors_tells_each_of_them():
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert {name for name in errors.__all__ if f"**{name}" not in page} == {"AutodiffError"}
    assert set(re.findall(r"^(\w+Error) \(", page, re.M)) == set(errors.__all__) - {"AutodiffError"}
