"""From DOT to a picture: by the `dot` program, or else by pygraphviz, whose wheels carry Graphviz."""

from __future__ import annotations

from typing import Any

from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.render.shown import Drawn, Format, Image

__all__ = ["RenderError", "TooSlow", "bundle", "can_lay_out", "lay_out", "laid_out"]

SECONDS = 60.0
# In a process of its own, as `dot` is: a layout cannot be interrupted from within, and the time limit must hold.
BY_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


class RenderError(AutodiffError, RuntimeError):
    """A picture could not be laid out: Graphviz is missing, took too long, or failed."""


class TooSlow(RenderError):
    """The layout took over the time that it was given."""


def can_lay_out() -> bool:
    """Is there a Graphviz?"""
    return command_for("svg") is not None


def command_for(format: str) -> list[str] | None:
    """What lays out its standard input: the `dot` program if it is there, else Python with pygraphviz, else nothing."""
    import importlib.util
    import shutil
    import sys

    if program := shutil.which("dot"):
        return [program, f"-T{format}"]
    if importlib.util.find_spec("pygraphviz") is not None:
        return [sys.executable, "-c", BY_PYGRAPHVIZ, format]
    return None


def lay_out(dot: str, format: str, seconds: float = SECONDS) -> bytes:
    """The picture, as the bytes of an SVG, PNG or PDF file. Raises RenderError, with advice."""
    import subprocess

    command = command_for(format)
    if command is None:
        raise RenderError(
            f"{format} needs Graphviz, and neither its program `dot` nor pygraphviz is here. Install one: "
            "apt-get install graphviz, brew install graphviz, or pip install pygraphviz. "
            'Without it, format="text" shows the same graph, and format="dot" what Graphviz would be given.'
        )
    if format == "png":
        dot = dot.replace("{", "{\n\tdpi=144", 1)  # sharp on today's screens
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TooSlow(
            f"the layout took over {seconds:g} seconds and was stopped; a smaller budget= folds more of the graph"
        ) from None
    except OSError as error:
        raise RenderError(f"{command[0]} could not be run: {error}") from None
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise RenderError(f"{command[0]} failed with exit code {done.returncode} and said: {said[-1][:200]}")
    return done.stdout


def laid_out(dot: str, format: Format) -> Drawn | Image:
    """What `draw` gives for DOT: itself as it is, or its picture."""
    if format == "dot":
        return Drawn(dot, format)
    picture = lay_out(dot, format)
    return Drawn(picture.decode(), format) if format == "svg" else Image(picture, format)


def bundle(result: Any) -> dict[str, str]:
    """What a notebook shows of something with `draw` and `text`: the picture if there can be one, and the text."""
    picture = {"image/svg+xml": str(result.draw())} if can_lay_out() else {}
    return {**picture, "text/plain": result.text}
