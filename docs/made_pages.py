"""The pages and pictures that are made before the site is built: `python docs/made_pages.py`, which conf.py calls.

In a process of its own: the peers that a page asks for their opinion start threads, and Sphinx forks to read pages.
"""

import contextlib
import re
import sys
from pathlib import Path

import arrays_page
import course
import formulas_page
import gallery_page
import house
import make_pictures
import onnx_page
import operations_page
import subgradients_page

from tinygrad_edu import replay
from tinygrad_edu.render.layout import can_lay_out

HERE = Path(__file__).resolve().parent


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


def make(reference, math):
    """math: can the site set formulas? Otherwise they are text."""
    pages = {
        "lessons.md": course.contents(),
        "operations.md": operations_page.page(),
        "subgradients.md": subgradients_page.page(),
        "onnx.md": onnx_page.page(),
        "arrays.md": arrays_page.page(),
        "formulas.md": formulas_page.page(math=math),
        "gallery.md": gallery_page.page(reference / "pages"),
        "house.txt": house.draw_the_map(),
    }
    for name, text in pages.items():
        (reference / name).write_text(text, encoding="utf-8")
    replay(make_pictures.layer(), reference / "pages" / "replay.html")
    for page in ("capture.md", "rendering.md"):
        draw_what_the_page_draws(HERE / page, reference / "pages")


if __name__ == "__main__":
    make(HERE / "reference", "--math" in sys.argv)
