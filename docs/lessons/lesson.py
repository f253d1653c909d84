"""What the cells of the lessons share: the running example, a trained model, tables, plots and pages.

    from lesson import IDS, NAMES, TARGET, chart, glue, heatmap, table, trained

Imported by a cell, it turns warnings into errors, so that no page is built over one.
"""

import builtins
import functools
import hashlib
import html
import inspect
import io
import json
import os
import re
import shutil
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")
LESSONS = Path(__file__).resolve().parent
ROOT = LESSONS.parents[1]
MADE = LESSONS.parent / "reference"  # what builds make; git ignores it
# This checkout; by_hand, which lies in tests/; the derived formulas, which the site makes in docs/.
sys.path[:0] = [str(each) for each in (ROOT, ROOT / "tests", ROOT / "docs") if str(each) not in sys.path]

import numpy as np  # noqa: E402

from tinygrad_edu import draw  # noqa: E402
from transformer import Transformer, TransformerConfig  # noqa: E402
from transformer.tokens import VOCABULARY, encode  # noqa: E402

if hasattr(builtins, "get_ipython"):  # in a cell
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", module="ipykernel")  # which runs the cells

# The running example -------------------------------------------------------------------------------

QUESTION = "Max(1,6,2)"
IDS = np.array(encode(QUESTION))  # (T,)
NAMES = [VOCABULARY[token] for token in IDS]
TARGET = VOCABULARY.index("6")
CONFIG = TransformerConfig(vocab_size=len(VOCABULARY))  # the lessons' model


def fresh(**changes):
    """The lessons' model before training, seed 0; in float64, so that what is exact shows as exact."""
    return Transformer(TransformerConfig(**(CONFIG.to_dict() | {"dtype": "float64"} | changes)), seed=0)


# The trained model, made by the build --------------------------------------------------------------


def trained_folder():
    """A run of the lessons' model, two epochs; trained anew when the code of engine or model has changed."""
    sources = sorted([*(ROOT / "tinygrad_edu").rglob("*.py"), *(ROOT / "transformer").rglob("*.py")])
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = MADE / f"course-{stamp}"
    if not (folder / "done").exists():
        from transformer.train import TrainConfig, train

        for old in MADE.glob("course-*"):
            shutil.rmtree(old)
        train(TrainConfig(epochs=2), folder, progress=False)
        (folder / "done").touch()
    return folder


@functools.cache
def trained():
    """The lessons' model after two epochs, in evaluation mode."""
    from transformer.checkpoint import load_model

    model, _ = load_model(trained_folder() / "best.safetensors")
    model.eval()
    return model


def metrics():
    """What each epoch of that training measured, a list of dictionaries."""
    return [json.loads(line) for line in (trained_folder() / "metrics.jsonl").read_text().splitlines()]


def embeddings_over_time():
    """Epoch → the embedding table (V, D) then; 0 is before training."""
    from transformer.checkpoint import load_tensors

    tables, _ = load_tensors(trained_folder() / "history.safetensors")
    return {int(epoch): table for epoch, table in sorted(tables.items(), key=lambda item: int(item[0]))}


# Numbers in the text, tables -----------------------------------------------------------------------


def glue(**values):
    """Keep values for the page's text, where {glue:text}`name` or {glue:text}`name:.3f` stands for them."""
    keep = None
    if "SPHINX_BUILD" in os.environ:
        from myst_nb import glue as keep
    for name, value in values.items():
        KEPT[name] = value.item() if isinstance(value, np.generic) else value
        if keep is not None:
            keep(name, KEPT[name], display=False)


def say(text):
    """In a notebook, a paragraph with the values that were kept."""
    from IPython.display import Markdown

    def value(found):
        name, _, form = found[1].partition(":")
        return format(KEPT[name], form)

    return Markdown(re.sub(r"\{glue:text\}`([^`]+)`", value, text))


def check(number, name, names):
    """In a notebook, the hidden check of an exercise on the function that was defined there."""
    from transformer.lessons import importable, judge, load

    with importable(LESSONS):
        checks = load(LESSONS / "checks" / f"lesson_{number:02}.py")
        found = judge(checks, SimpleNamespace(**names), name, Path("this notebook"))
    print(f"{name}: {found.state if found.state == 'passed' else found.message}")


KEPT = {}


class Shown:
    """A piece of HTML that a page, or Jupyter, shows."""

    def __init__(self, text):
        self.text = text

    def _repr_html_(self):
        return self.text

    def __repr__(self):
        return "(shown as HTML)"


def table(header, rows, caption=""):
    """Rows of cells. A float gets four significant digits: format it yourself for others; `$x$` is set as a formula."""
    head = "".join(f'<th scope="col">{cell(each)}</th>' if each else "<td></td>" for each in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(each)}</td>" if k else f'<th scope="row">{cell(each)}</th>'
                         for k, each in enumerate(row)) + "</tr>"
        for row in rows
    )  # fmt: skip
    name = html.escape(caption or f"table of {', '.join(map(str, header))}")
    caption = f"<caption>{cell(caption)}</caption>" if caption else ""
    return Shown(
        f'<div class="lesson-table" tabindex="0" role="region" aria-label="{name}"><table>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def cell(value):
    if isinstance(value, float | np.floating):
        value = f"{value:.4g}"
    text = html.escape(str(value)).replace("-", "−") if is_number(value) else html.escape(str(value))
    text = re.sub(r"(?<=\d)%$", " %", text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)


def is_number(value):
    return bool(re.fullmatch(r"-?[\d.,]+(e[+-]?\d+)?( ?%)?", str(value)))


# Pictures ------------------------------------------------------------------------------------------

INK = "#010203"  # becomes the page's own colour of text, so that a figure is legible in the light and in the dark
COLOURS = ("#1f83c4", "#d9822b", "#2ca25f", "#c0504d", "#8f6fc8", "#8a8a8a")
STYLE = {
    "svg.fonttype": "none", "font.size": 10, "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK,
    "xtick.color": INK, "ytick.color": INK, "grid.color": "#8a8a8a", "grid.alpha": 0.3, "figure.facecolor": "none",
    "axes.facecolor": "none", "savefig.facecolor": "none", "legend.framealpha": 0.0, "axes.spines.top": False,
    "axes.spines.right": False,
}  # fmt: skip


def figure(draw_it, alt, width=5.8, height=3.0):
    """An SVG of width × height inches that `draw_it(figure)` fills by matplotlib; alt says what is to be seen."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    colours = matplotlib.cycler(color=COLOURS)
    salt = "f" + hashlib.sha256(alt.encode()).hexdigest()[:8]  # in all names within: a page holds many figures
    with matplotlib.rc_context(STYLE | {"axes.prop_cycle": colours, "svg.hashsalt": salt}):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(made)
        draw_it(made)
        buffer = io.StringIO()
        made.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r' id="([^"]+)"', rf' id="{salt}-\g<1>"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{salt}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)  # styles leak into the page
    strokes = f"stroke-linejoin: round; stroke-linecap: butt; {legible(96 * width)}"
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}" style="{strokes}"', 1)
    return framed(svg, alt)


def framed(picture, alt):
    """A figure with its caption, which scrolls where it is wider than the page."""
    caption = f"<figcaption>{html.escape(alt)}</figcaption>"
    return Shown(f'<figure class="lesson-figure"><div class="scrolled" tabindex="0">{picture}</div>{caption}</figure>')


def legible(width):
    """On a narrow page a picture shrinks, but not to letters that nobody can read."""
    return f"min-width: {0.66 * width:.0f}px"


def chart(lines, alt, xlabel="", ylabel="", x=None, marker=None, log=False, height=3.0):
    """Curves, {label: values}."""

    def draw_it(made):
        place = made.subplots()
        for label, values in lines.items():
            place.plot(range(len(values)) if x is None else x, values, label=label, marker=marker)
        place.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
        place.grid(True)
        if len(lines) > 4:  # so many names would hide what they name
            made.legend(loc="outside right upper")
        elif len(lines) > 1:
            place.legend()

    return figure(draw_it, alt, height=height)


def heatmap(matrices, alt, rows=None, columns=None, diverging=False, height=None, top=None):
    """One matrix, or {title: matrix} side by side on one scale; diverging: 0 in the middle, else 0 at the bottom."""
    many = matrices if isinstance(matrices, dict) else {"": matrices}
    arrays = [np.asarray(each, dtype=float) for each in many.values()]
    top = max(float(np.abs(each).max()) for each in arrays) if top is None else top

    def draw_it(made):
        places = np.atleast_1d(made.subplots(1, len(many)))
        for place, title, array in zip(places, many, arrays, strict=True):
            colours = "RdBu_r" if diverging else "viridis"
            image = place.imshow(array, cmap=colours, vmin=-top if diverging else 0, vmax=top, aspect="auto")
            place.set_title(title, fontsize=10)
            if rows is not None:
                place.set_yticks(range(len(rows)), rows)
            if columns is not None:
                long = max(len(str(each)) for each in columns) > 2
                place.set_xticks(range(len(columns)), columns, rotation=60 if long else 0)
        made.colorbar(image, ax=places, shrink=0.8)

    return figure(draw_it, alt, width=7.0 if len(many) > 2 else 5.8, height=height or 3.2)


def picture(target, *inputs, alt, **wishes):
    """What `tinygrad_edu.draw` draws, for the light and for the dark; alt says what is to be seen."""
    images = []
    for theme in ("light", "dark") if "SPHINX_BUILD" in os.environ else ("light",):
        drawn = draw(target, *inputs, format="svg", theme=theme, **wishes)
        images.append(as_image(drawn, alt, f"only-{theme}"))
    return framed("".join(images), alt)


def as_image(svg, alt, kind):
    import base64

    data = base64.b64encode(str(svg).encode()).decode()
    width = 96 / 72 * float(re.search(r'<svg width="([\d.]+)pt"', str(svg))[1])
    source = f'style="{legible(width)}" src="data:image/svg+xml;base64,{data}"'
    return f'<img class="{kind}" alt="{html.escape(alt)}" {source}>'


def page(name, write, title, height=640):
    """A page of its own beside the lesson, in a frame: write(path) makes it, as `replay` and `draw` do."""
    file = MADE / "pages" / f"{name}.html"
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file)
    if "SPHINX_BUILD" in os.environ:
        source = f'src="../{name}.html"'
        alone = f'<p><a href="../{name}.html">Open it alone.</a></p>'
    else:
        source, alone = f'srcdoc="{html.escape(file.read_text(encoding="utf-8"))}"', ""
    title = html.escape(title)
    return Shown(f'<iframe {source} title="{title}" class="lesson-page" height="{height}"></iframe>{alone}')


# Mistakes, and lines of code -----------------------------------------------------------------------


@contextmanager
def raises(kind):
    """The block has to fail with this exception, whose message is printed: a mistake that is noticed."""
    try:
        yield
    except kind as error:
        print(f"{type(error).__name__}: {error}")
    else:
        raise AssertionError(f"the page says that this raises {kind.__name__}, and it did not")


def lines_of(function):
    """How many lines of code a function has, its docstring, comments and blank lines left out."""
    import ast

    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    (node,) = tree.body
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return len(ast.unparse(ast.Module(body=body, type_ignores=[])).splitlines())
