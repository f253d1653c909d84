"""Run the cells of one lesson, print what they show, and say where one fails: `python docs/cells.py 2`."""

import ast
import os
import re
import sys
import traceback
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a cell imports NumPy
CELL = re.compile(r"^```\{code-cell\} python\n((?::\w[^\n]*\n)*)(.*?)^```$", re.M | re.S)


def cells(text):
    """(line of the first statement, options, source) of each cell."""
    return [(text.count("\n", 0, found.start(2)) + 1, found[1], found[2]) for found in CELL.finditer(text)]


def run(page, show=print):
    """All cells in one namespace, as a kernel runs them; the errors there were."""
    warnings.simplefilter("error")
    names, errors = {"__name__": page.stem}, []
    for line, _, source in cells(page.read_text(encoding="utf-8")):
        tree = ast.increment_lineno(ast.parse(source), line - 1)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        try:
            exec(compile(tree, str(page), "exec"), names)
            shown = None if last is None else eval(compile(ast.Expression(last.value), str(page), "eval"), names)
            if shown is not None:
                show(words(shown))
        except Exception as error:
            errors.append(error)
            show(f"cell at line {line}:\n{''.join(traceback.format_exception(error)[-3:])}")
    return errors


def words(shown):
    """A table as text; of a figure its caption."""
    text = re.sub(r"<svg.*?</svg>", "(figure) ", getattr(shown, "text", None) or repr(shown), flags=re.S)
    text = text.replace("</tr>", "\n").replace("</th>", " | ").replace("</td>", " | ")
    return re.sub(r"</?[a-z][^>]*>", "", text)


if __name__ == "__main__":
    import course  # needs Sphinx, which running a page does not

    (page,) = (page for page in course.pages() if int(page.name[:2]) == int(sys.argv[1]))
    sys.exit(len(run(page)) > 0)
