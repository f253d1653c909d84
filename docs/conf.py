"""The site: prose in MyST, lessons whose cells run, the reference from the docstrings, tables from the registry."""

import json
import logging
import os
import subprocess
import sys
from importlib.metadata import version as version_of
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).parent
REFERENCE = HERE / "reference"  # what builds make
FOLDERS = [str(folder) for folder in (HERE, HERE.parent, HERE.parent / "tests", HERE / "lessons")]
sys.path[:0] = FOLDERS
# For the kernels that run the lessons.
os.environ["PYTHONPATH"] = os.pathsep.join(FOLDERS)
os.environ["JUPYTER_PATH"] = str(REFERENCE / "jupyter")
os.environ["SPHINX_BUILD"] = "1"

import lesson  # noqa: E402
import mathjax  # noqa: E402

project = "tinygrad_edu"
author = "the tinygrad_edu authors"
copyright = "2026, " + author
version = release = version_of(project)

extensions = ["sphinx.ext.autodoc", "myst_nb", "course"]
exclude_patterns = ["_build", "reference/formulas.md", "reference/lessons.md"]  # parts of other pages
if "LESSON" in os.environ:  # one page alone, in seconds: LESSON=1 python -m sphinx -q -W docs docs/_build/one
    (root_doc,) = (f"lessons/{page.stem}" for page in (HERE / "lessons").glob(f"{int(os.environ['LESSON']):02}_*.md"))
    include_patterns = [f"{root_doc}.md"]
    suppress_warnings = ["myst.xref_missing"]  # links to the other lessons, which are not there now
nb_execution_mode = "force"  # a lesson's numbers are those of this build
nb_execution_raise_on_error = nb_execution_show_tb = True
nb_execution_timeout = 240
nb_output_stderr = "error"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
html_extra_path = ["reference/pages"]  # whole pages, which are copied as they are
html_show_search_summary = False  # a page that was opened from a file may not fetch the pages that it found
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = project
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_static_path = ["reference/static", "static"]
html_css_files = ["course.css"]
html_js_files = [("scrolling.js", {"defer": "defer"})]
MATHJAX = mathjax.fetch(REFERENCE / "static")
mathjax_path = MATHJAX or mathjax.without(REFERENCE / "static")


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


def quiet_kernel():
    """This Python's kernel, which does not warn each time that its cells and their results pass in plain text."""
    logging.getLogger("traitlets").setLevel(logging.WARNING)
    command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
    folder = REFERENCE / "jupyter" / "kernels" / "python3"
    folder.mkdir(exist_ok=True, parents=True)
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def setup(app):
    (REFERENCE / "pages").mkdir(exist_ok=True, parents=True)
    quiet_kernel()
    lesson.trained_folder()  # before pages are read side by side
    if "LESSON" not in os.environ:
        subprocess.run([sys.executable, str(HERE / "made_pages.py"), *["--math"] * (MATHJAX is not None)], check=True)
    app.connect("autodoc-process-docstring", as_written)
