"""`draw`: one tensor in, one picture out."""

from __future__ import annotations

import os
from typing import Literal

from tinygrad_edu.render.layout import lay_out
from tinygrad_edu.tensor import Tensor

__all__ = ["Format", "Svg", "draw"]

Format = Literal["svg", "dot", "text", "png", "pdf"]
SUFFIXES: dict[str, Format] = {
    ".svg": "svg", ".dot": "dot", ".gv": "dot", ".txt": "text", ".png": "png", ".pdf": "pdf",
}  # fmt: skip


class Svg(str):
    """An SVG file's text, which a notebook shows as the picture it is."""

    def _repr_svg_(self) -> str:
        return str(self)


def draw(
    target: Tensor,
    format: Format | None = None,
    path: str | os.PathLike[str] | None = None,
    budget: int = 400,
    direction: Literal["LR", "TB"] = "LR",
) -> str | bytes:
    """A picture of the graph that leads to `target`; also written to `path` if there is one.

        draw(loss)                                  # an SVG, shown by a notebook
        draw(loss, path="loss.png", direction="TB")
        print(draw(loss, "text"))

    format: "svg", "dot" or "text" (a str), "png" or "pdf" (bytes); left out, path's ending tells, else "svg".
    budget: beyond so many nodes whole scopes become one box each, the deepest first. direction: "LR" or "TB".
    Needs the `dot` program or pygraphviz, except for "text" and "dot"; raises RenderError if neither is there.
    """
    # Here, not above: `import tinygrad_edu` must not wait for what only a picture needs.
    from tinygrad_edu.render.dot import dot_of
    from tinygrad_edu.render.fold import fold
    from tinygrad_edu.render.text import text_of
    from tinygrad_edu.render.view import view_of

    if format is None:
        format = "svg" if path is None else SUFFIXES.get(os.path.splitext(path)[1].lower())
    if format is None or format not in SUFFIXES.values():
        wrong = f"format={format!r}" if format is not None else f"the ending of {os.fspath(path or '')!r}"
        raise ValueError(f"{wrong} is no format; there are svg, dot, text, png and pdf")
    if direction not in ("LR", "TB"):
        raise ValueError(f'direction={direction!r}: "LR" reads from left to right, "TB" from top to bottom')
    view = fold(view_of(target), budget)
    picture: str | bytes
    if format == "text":
        picture = text_of(view)
    else:
        picture = dot_of(view, direction)
        if format != "dot":
            drawn = lay_out(picture, format)
            picture = Svg(drawn.decode()) if format == "svg" else drawn
    if path is not None:
        with open(path, "wb") as file:
            file.write(picture.encode() if isinstance(picture, str) else picture)
    return picture
