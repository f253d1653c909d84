"""The site: prose in MyST, the reference from the docstrings, the table of operations from the registry."""

import contextlib
import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
FOLDERS = [str(HERE), str(HERE.parent), str(HERE.parent / "tests"), str(HERE / "lessons")]
sys.path[:0] = FOLDERS
os.environ["PYTHONPATH"] = os.pathsep.join(FOLDERS)  # for the kernels that run the lessons
os.environ["SPHINX_BUILD"] = "1"

import course  # noqa: E402
import formulas_page  # noqa: E402
import gallery_page  # noqa: E402
import house  # noqa: E402
import lesson  # noqa: E402
import make_pictures  # noqa: E402
import mathjax  # noqa: E402
import operations_page  # noqa: E402
import subgradients_page  # noqa: E402

from tinygrad_edu import replay  # noqa: E402
from tinygrad_edu.render.layout import can_lay_out  # noqa: E402

project = "tinygrad_edu"
author = "the tinygrad_edu authors"
copyright = "2026, " + author
version = release = version_of(project)

extensions = ["sphinx.ext.autodoc", "myst_nb", "course"]
exclude_patterns = ["_build", "reference/formulas.md", "reference/lessons.md"]  # parts of other pages
if "LESSON" in os.environ:  # one page alone, in seconds: LESSON=1 python -m sphinx -q -W docs docs/_build/one
    (root_doc,) = (f"lessons/{page.stem}" for page in (HERE / "lessons").glob(f"{int(os.environ['LESSON']):02}_*.md"))
    include_patterns = [f"{root_doc}.md"]
nb_execution_mode = "force"  # a lesson's numbers are those of this build
nb_execution_raise_on_error = nb_execution_show_tb = True
nb_execution_timeout = 240
nb_output_stderr = "error"
nb_merge_streams = True
html_extra_path = ["reference/pages"]  # whole pages, which are copied as they are
html_theme = "furo"
html_title = project
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_static_path = ["reference/static", "static"]
html_css_files = ["course.css"]
MATHJAX = mathjax.fetch(HERE / "reference" / "static")
mathjax_path = MATHJAX or mathjax.without(HERE / "reference" / "static")


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


def draw_what_the_page_draws(page, folder):
    """Run the page's Python in the folder: each picture is what its own code makes. Without Graphviz, a hint."""
    code = "\n".join(re.findall(r"^```python\n(.*?)^```\n", page.read_text(encoding="utf-8"), re.M | re.S))
    if can_lay_out():
        with contextlib.chdir(folder), contextlib.redirect_stdout(None):
            exec(compile(code, "rendering.py", "exec"), {"__name__": "rendering"})
        return
    hint = "Graphviz was not here when this page was built."
    for name in re.findall(r'path="([^"]+)"', code):
        box = f'<svg xmlns="http://www.w3.org/2000/svg" width="400" height="30"><text y="20">{hint}</text></svg>'
        (folder / name).write_text(box if name.endswith(".svg") else hint, encoding="utf-8")


def setup(app):
    reference = HERE / "reference"
    (reference / "pages").mkdir(exist_ok=True, parents=True)
    lesson.trained_folder()  # before pages are read side by side
    app.connect("autodoc-process-docstring", as_written)
    if "LESSON" in os.environ:
        return
    (reference / "lessons.md").write_text(course.contents(), encoding="utf-8")
    (reference / "operations.md").write_text(operations_page.page(), encoding="utf-8")
    (reference / "subgradients.md").write_text(subgradients_page.page(), encoding="utf-8")
    (reference / "formulas.md").write_text(formulas_page.page(math=MATHJAX is not None), encoding="utf-8")
    (reference / "gallery.md").write_text(gallery_page.page(reference / "pages"), encoding="utf-8")
    (reference / "house.txt").write_text(house.draw_the_map(), encoding="utf-8")
    replay(make_pictures.layer(), reference / "pages" / "replay.html")
    draw_what_the_page_draws(HERE / "rendering.md", reference / "pages")
