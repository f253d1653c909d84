"""The site: prose in MyST, the reference from the docstrings, the table of operations from the registry."""

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import house  # noqa: E402
import make_pictures  # noqa: E402
import operations_page  # noqa: E402
import subgradients_page  # noqa: E402

from tinygrad_edu import replay  # noqa: E402

project = "tinygrad_edu"
author = "the tinygrad_edu authors"
copyright = "2026, " + author
version = release = version_of(project)

extensions = ["sphinx.ext.autodoc", "myst_nb"]
exclude_patterns = ["_build"]
html_extra_path = ["reference/pages"]  # whole pages, which are copied as they are
html_theme = "furo"
html_title = project
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_enable_extensions = ["colon_fence"]


def as_written(app, what, name, obj, options, lines):
    """Docstrings are plain text: the first line is a sentence, the rest keeps the layout it has."""
    first, rest = lines[0] if lines else "", lines[1:]
    while rest and not rest[0].strip():
        rest = rest[1:]
    for mark in "\\*`|_":
        first = first.replace(mark, "\\" + mark)
    lines[:] = [first, ""]
    if any(line.strip() for line in rest):
        lines += ["::", "", *("    " + line for line in rest), ""]


def setup(app):
    reference = HERE / "reference"
    (reference / "pages").mkdir(exist_ok=True, parents=True)
    (reference / "operations.md").write_text(operations_page.page(), encoding="utf-8")
    (reference / "subgradients.md").write_text(subgradients_page.page(), encoding="utf-8")
    (reference / "house.txt").write_text(house.draw_the_map(), encoding="utf-8")
    replay(make_pictures.layer(), reference / "pages" / "replay.html")
    app.connect("autodoc-process-docstring", as_written)
