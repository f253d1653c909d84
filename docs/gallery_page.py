"""The gallery: every example run while the site is built, with what it prints, its picture and its length."""

import ast
import contextlib
import html
import io
import json
import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinygrad_edu import draw
from tinygrad_edu.render.layout import can_lay_out, lay_out

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
HEADER = """# Gallery

The examples, each one idea longer than the last: from an engine for scalars in {least} lines to a transformer that is
trained on wrong gradients. All were run when this page was built, the long ones with `--quick`; what they print and
draw is theirs. They lie in `examples/`, and each runs by itself: `python examples/{first}`.
"""
INKS = {"light": "#1f2328", "dark": "#d6d9de"}


def remembered(out, theme, made_of, label):
    """The graph of an engine of the first steps, which knows nothing of pictures: made_of(value), label(value)."""
    ink = INKS[theme]
    lines = [
        'digraph { rankdir="LR"; bgcolor="none"',
        f'node [shape=box, fontname="Helvetica,Arial,sans-serif", fontsize=11, color="{ink}", fontcolor="{ink}"]',
        f'edge [color="{ink}"]',
    ]
    waiting, number = [out], {out: 0}
    for value in waiting:  # grows while it is walked
        lines.append(f'{number[value]} [label="{label(value)}"]')
        for source in made_of(value):
            if source not in number:
                number[source] = len(waiting)
                waiting.append(source)
            lines.append(f"{number[source]} -> {number[value]}")
    return lay_out("\n".join([*lines, "}"]), "svg").decode()


def scalars(out, theme):
    return remembered(out, theme, lambda v: v.made_of, lambda v: f"{v.data:.3g}\\n∇ {v.grad:.3g}")


def arrays(out, theme):
    return remembered(out, theme, lambda v: v.made_of, lambda v: f"{v.data.shape}\\n‖∇‖ {np.linalg.norm(v.grad):.3g}")


def recorded(out, theme, Array):
    """Of the engine whose nodes hold (function, inputs, what is kept)."""

    def made_of(value):
        return [each for each in value.node[1] if isinstance(each, Array)] if value.node else []

    def label(value):
        name, kept = (value.node[0].__name__, value.node[2]) if value.node else ("x", {})
        return f"{name}\\nkeeps {', '.join(kept) or 'nothing'}" if value.node else name

    return remembered(out, theme, made_of, label)


def lifted(out, theme):
    """Of the engine whose gradients are graphs: every value is an Array that knows its function."""

    def label(value):
        return f"{value.function.__name__ if value.function else 'given'}\\n{float(value.data):.3g}"

    return remembered(out, theme, lambda v: v.inputs, label)


# What is drawn of an example: a function of its names, and of the theme.
PICTURES = {
    "01": lambda names, theme: scalars(names["out"], theme),
    "02": lambda names, theme: arrays(names["loss"], theme),
    "03": lambda names, theme: recorded(names["y"], theme, names["Array"]),
    "04": lambda names, theme: lifted(names["grad"](np.tanh)(0.5), theme),
    "05": lambda names, theme: draw(names["loss"], "svg", theme=theme),
    "06": lambda names, theme: draw(names["loss"], "svg", theme=theme),
    "08": lambda names, theme: draw(names["f"], names["start"], format="svg", theme=theme),
    "09": lambda names, theme: draw(names["y"].sum(), "svg", theme=theme),
    "10": lambda names, theme: draw(names["loss"], "svg", theme=theme),
    "11": lambda names, theme: draw(names["element"], "svg", theme=theme),
    "12": lambda names, theme: draw(names["network"], names["x"], format="svg", theme=theme),
    "13": lambda names, theme: draw(names["out"], "svg", theme=theme),
    "14": lambda names, theme: draw(names["model"], names["tokens"], depth=0, format="svg", theme=theme),
}


def run(example):
    """(what it prints, its pictures by theme)."""
    printed = io.StringIO()
    sys.path.insert(0, str(example.parent))
    sys.argv = [str(example), "--quick"]
    with contextlib.redirect_stdout(printed):
        names = runpy.run_path(str(example), run_name="__main__")
    picture = PICTURES.get(example.name[:2]) if can_lay_out() else None
    lines = [line for line in printed.getvalue().splitlines() if not line.startswith("see ")]  # a temporary file
    return "\n".join(lines).strip(), {} if picture is None else {t: str(picture(names, t)) for t in INKS}


def made(example):
    """The same, from a process of its own: examples declare operations, and those stay declared."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", __file__, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    if done.returncode:
        raise RuntimeError(f"{example.name} did not run:\n{done.stderr}")
    return json.loads(done.stdout)


def title_of(example):
    """The first paragraph of its docstring, without the number."""
    text = ast.get_docstring(ast.parse(example.read_text(encoding="utf-8")))
    return " ".join(text.partition("\n\n")[0].split()).partition(": ")[2]


def section(example, printed, pictures, folder):
    number, name = int(example.name[:2]), example.stem[3:].replace("_", " ")
    about = title_of(example)
    lines = len(example.read_text(encoding="utf-8").splitlines())
    parts = [f"## {number}. {name.capitalize()}", about[0].upper() + about[1:]]
    for theme, svg in pictures.items():
        file = f"gallery-{example.name[:2]}-{theme}.svg"
        (folder / file).write_text(svg, encoding="utf-8")
        alt = f"The graph that example {number} records"
        parts.append(f"```{{image}} pages/{file}\n:alt: {alt}\n:class: only-{theme}\n```")
    shown = f"```text\n{printed}\n```"
    parts.append(folded("What it prints", shown) if len(printed.splitlines()) > 12 else shown)
    code = f"```{{literalinclude}} ../../examples/{example.name}\n:language: python\n```"
    return "\n\n".join([*parts, folded(f"{example.name}, {lines} lines", code)])


def folded(summary, content):
    opening = f'<details class="folded"><summary>{html.escape(summary)}</summary>'
    return f"```{{raw}} html\n{opening}\n```\n\n{content}\n\n```{{raw}} html\n</details>\n```"


def page(folder):
    """The page's text; its pictures go into the folder, which is `pages` beside it."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(made, EXAMPLES))
    sections = [section(example, *each, folder) for example, each in zip(EXAMPLES, found, strict=True)]
    first = EXAMPLES[0]
    least = len(first.read_text(encoding="utf-8").splitlines())
    return "\n\n".join([HEADER.format(least=least, first=first.name), *sections]) + "\n"


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
