"""The lessons as notebooks: `python docs/notebooks.py` writes docs/_build/notebooks, without outputs or solutions.

They run in Jupyter from there, inside the repository. Exercises are cells to fill in, with a check below each.
"""

import ast
import re
import sys
from pathlib import Path

import course
import nbformat
from cells import CELL

FOLDER = course.HERE / "_build" / "notebooks"
DIRECTIVE = re.compile(r"^(:{3,})\{(question|exercise)\} ?([^\n]*)\n(.*?)^\1$", re.M | re.S)
START = 'import sys\n\nsys.path.insert(0, "../../lessons")  # what the cells share, in docs/lessons of the repository'
GLUE = "{glue:text}"


def notebook(page):
    """A notebook of the lesson; its text, cells and exercises in their order."""
    number = int(page.name[:2])
    _, _, text = page.read_text(encoding="utf-8").split("---\n", 2)
    cells, at = [], 0
    for found in sorted([*CELL.finditer(text), *DIRECTIVE.finditer(text)], key=lambda each: each.start()):
        if found.start() < at:
            continue
        cells += prose(text[at : found.start()])
        at = found.end()
        if found.re is CELL:
            hidden = "hide-input" in found[1] or "remove-cell" in found[1]
            cells.append(code(found[2], hidden))
        elif found[2] == "question":
            cells.append(nbformat.v4.new_markdown_cell(folded(translated(found[3]), found[4])))
        else:
            cells += exercise(number, found[3].strip(), found[4])
    cells += prose(text[at:])
    first = next(k for k, cell in enumerate(cells) if cell.cell_type == "code")
    cells.insert(first, code(START))
    for count, cell in enumerate(cells):
        cell["id"] = f"cell-{count}"  # drawn otherwise
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=kernel)


def code(source, hidden=False):
    return nbformat.v4.new_code_cell(source.rstrip(), metadata={"jupyter": {"source_hidden": True}} if hidden else {})


def prose(text):
    """Markdown cells; a paragraph that holds computed numbers is a hidden cell that says it."""
    cells = []
    for paragraph in re.split(r"\n{2,}(?=\S)", text.strip()):
        if not paragraph:
            continue
        if GLUE in paragraph:
            cells.append(code(f"from lesson import say\n\nsay(r'''{translated(paragraph)}''')", hidden=True))
        elif cells and cells[-1].cell_type == "markdown" and not paragraph.startswith("#"):
            cells[-1].source += f"\n\n{translated(paragraph)}"
        else:
            cells.append(nbformat.v4.new_markdown_cell(translated(paragraph)))
    return cells


def translated(text):
    """MyST's links to code and to other lessons, as Jupyter knows links."""

    def link(found):
        file, _, what = found[1].partition(" ")
        return f"[`{file}:{course.line_of(file, what)}`](../../../{file})"

    text = re.sub(r"\{source\}`([^`]+)`", link, text)
    return re.sub(r"\]\((\d\d_\w+)\.md", r"](\1.ipynb", text)


def folded(title, text):
    return f"<details><summary>{title}</summary>\n\n{translated(text).strip()}\n\n</details>"


def exercise(number, name, text):
    about = course.load("checks", number).EXERCISES
    count = list(about).index(name) + 1
    title = f"### Exercise {number}.{count}: `{name}` {'★' * about[name].level}"
    hints = [folded(f"Hint {k}", hint) for k, hint in enumerate(about[name].hints, 1)]
    markdown = "\n\n".join(filter(None, [title, translated(text).strip(), *hints]))
    stub = course.function_of("exercises", number, name)
    if count == 1:
        stub = f"{preamble(number)}\n\n\n{stub}"
    check = f'from lesson import check\n\ncheck({number}, "{name}", globals())'
    return [nbformat.v4.new_markdown_cell(markdown), code(stub), code(check)]


def preamble(number):
    """What the stubs import, and the names of types."""
    _, tree = course.parsed(course.LESSONS / "exercises" / f"lesson_{number:02}.py")
    kept = [node for node in tree.body[1:] if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return "\n".join(ast.unparse(node) for node in kept if "__all__" not in course.names_of(node))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for page in course.pages():
        nbformat.write(notebook(page), folder / f"{page.stem}.ipynb")
        print(folder / f"{page.stem}.ipynb")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
