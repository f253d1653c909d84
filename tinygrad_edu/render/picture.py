"""`draw`: a tensor, or a function and what goes into it, as a picture."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from tinygrad_edu.render.layout import TooSlow, can_lay_out, laid_out
from tinygrad_edu.render.palette import HEATS, THEMES, Direction, Heat, Theme
from tinygrad_edu.render.plain import View
from tinygrad_edu.render.shown import Drawn, Format, Image
from tinygrad_edu.tensor import Tensor

__all__ = ["draw"]

SUFFIXES: dict[str, Format] = {
    ".svg": "svg", ".html": "html", ".htm": "html", ".dot": "dot", ".gv": "dot", ".txt": "text", ".json": "json",
    ".png": "png", ".pdf": "pdf",
}  # fmt: skip
ZOOM = 12  # operations that open, if nobody asks for more or less: half a second of layout
LEAST = 12  # nodes to which a picture is folded when its layout takes too long
SLOW = "The layout took too long: more is folded than was asked."


def draw(
    target: Tensor | Callable[..., Any],
    *inputs: Any,
    format: Format | None = None,
    path: str | os.PathLike[str] | None = None,
    budget: int = 400,
    depth: int | None = None,
    repeats: bool | None = None,
    direction: Direction | None = None,
    theme: Theme | None = None,
    heat: Heat | None = None,
    gradients: bool = False,
    zoom: bool | int = True,
) -> Drawn | Image:
    """A picture of the graph that leads to a tensor; also written to `path` if there is one.

        draw(loss)                                  # an SVG, shown by a notebook
        draw(loss, path="loss.html")                # to pan, zoom, search, and open what is folded
        print(draw(loss, "text"))
        draw(model, tokens, depth=1, heat="bytes")  # runs the model, so that all values and times are known

    target: a Tensor; or a module or function, with its inputs, that returns one, or a tuple that begins with one. A
    function's float arrays become tensors under the names of its parameters. Of a captured function without inputs it
    is the program that is drawn: its steps, the buffers they write into, and what is let go after each.
    format: "svg", "html", "dot", "text" or "json" (a str), "png" or "pdf" (bytes); left out, path's ending tells, else
    "svg". Alone after a tensor, it needs no keyword.
    budget: beyond so many nodes equal scopes in a row are drawn once, then whole scopes become one box each, the
    deepest first. depth: so many scopes inside each other are open at most. repeats: draw equal scopes in a row once
    (True), or never (False). Whatever is folded, the picture says so.
    direction: "LR", to the right, or "TB", down; left out, pages read down and all else to the right. theme: "light",
    "dark" or "colour-blind", which has stronger contrasts; left out, a page follows its reader's system, and all else
    is light.
    heat: colour nodes by "gradient", "value", "bytes" (kept for backward) or "time" (of a run: pass the function).
    gradients: run a backward pass for this picture alone, to show the gradient by every node; `.grad` stays as it is.
    zoom: on the HTML page of a function, which draw runs, so many operations open to their scalars, as `expand` makes
    them (True: 12, False: none). Those of over 48 show their first element alone, and are folded in the middle if that
    is not enough. The graph of a tensor does not open: it keeps what its rules need, not all that operations ran on.

    Needs the `dot` program or pygraphviz, except for "text", "dot" and "json"; without either the format that nobody
    asked for becomes "text", with a hint, and the others raise RenderError. So does a layout of over a minute that
    folding did not shorten. Raises ValueError for an impossible wish, TypeError for what has no graph.
    """
    if isinstance(target, Tensor) and len(inputs) == 1 and format is None:
        format, inputs = inputs[0], ()
    asked = chosen(format, path)
    for name, value, known in (
        ("direction", direction, (None, "LR", "TB")), ("theme", theme, (None, *THEMES)), ("heat", heat, (None, *HEATS)),
    ):  # fmt: skip
        if value not in known:
            raise ValueError(f"{name}={value!r}: there is {', '.join(map(repr, known))}")
    if not isinstance(zoom, int) or zoom < 0:
        raise ValueError(f"zoom={zoom!r}: True, False, or how many operations shall open")
    opening = ZOOM if zoom is True else int(zoom)
    whole, calls = view(target, inputs, gradients or heat == "gradient", asked == "html" and opening > 0)
    hint = ""
    if asked is None and not can_lay_out():
        hint = "(Install Graphviz for a picture: apt-get install graphviz, or pip install pygraphviz.)\n"
    form = asked or ("text" if hint else "svg")
    while True:
        try:
            picture = pictured(whole, form, budget, depth, repeats, direction, theme, heat, calls, opening)
            break
        except TooSlow:
            if budget <= LEAST:
                raise
            budget, opening = max(LEAST, min(budget, len(whole.nodes)) // 4), 0
            if SLOW not in whole.notes:
                whole = whole._replace(notes=(*whole.notes, SLOW))
    if hint and isinstance(picture, Drawn):
        picture = Drawn(picture + hint, "text")
    if path is not None:
        with open(path, "wb") as file:
            file.write(picture.encode() if isinstance(picture, str) else picture)
    return picture


def chosen(format: Format | None, path: str | os.PathLike[str] | None) -> Format | None:
    """The format that was asked for; None if any will do."""
    if format is None and path is None:
        return None
    if format is None and path is not None:
        format = SUFFIXES.get(os.path.splitext(path)[1].lower())
        wrong = f"the ending of {os.fspath(path)!r}"
    else:
        wrong = f"format={format!r}"
    if format not in SUFFIXES.values():
        raise ValueError(f"{wrong} is no format; there are svg, html, dot, text, json, png and pdf")
    return format


def view(target: Any, inputs: tuple[Any, ...], gradients: bool, keep: bool) -> tuple[View, dict[int, Any]]:
    """What is to be seen of a tensor, or of the function after it was run; its calls by number, if they are kept."""
    # Here, not above: `import tinygrad_edu` must not wait for what only a picture needs.
    from tinygrad_edu.nn import Module
    from tinygrad_edu.render.programs import view_of_program
    from tinygrad_edu.render.run import named_inputs, run, scopes_of
    from tinygrad_edu.render.summary import LARGE, has_over, summary_of
    from tinygrad_edu.render.view import numbered
    from tinygrad_edu.tape import Captured

    output: Any = target
    told: dict[str, Any] = {}
    calls: dict[Any, Any] = {}
    if isinstance(target, Captured) and not inputs:
        return view_of_program(target.latest), {}
    if isinstance(target, Tensor) or not callable(target) or (isinstance(target, Module) and not inputs):
        if inputs:
            raise TypeError(f"inputs are for a function or a module; this is a {type(target).__name__}")
    else:
        given = inputs if isinstance(target, Module) else named_inputs(target, inputs)
        output, facts, seconds, calls = run(target, given, keep)
        told = {"facts": facts, "seconds": seconds, "scopes": scopes_of(target)}
    if isinstance(output, Tensor) and output._node is not None and has_over(output._node, LARGE):
        return summary_of(output), {}
    seen, numbers = numbered(output, **told, gradients=gradients)
    return seen, {numbers[node]: call for node, call in calls.items()}


def pictured(
    whole: View,
    format: Format,
    budget: int,
    depth: int | None,
    repeats: bool | None,
    direction: Direction | None,
    theme: Theme | None,
    heat: Heat | None,
    calls: dict[int, Any],
    opening: int,
) -> Drawn | Image:
    from tinygrad_edu.render.dot import dot_of
    from tinygrad_edu.render.explorer import html_of
    from tinygrad_edu.render.fold import fold
    from tinygrad_edu.render.repeats import once
    from tinygrad_edu.render.text import text_of

    if format == "html":
        return Drawn(html_of(whole, budget, depth, direction, theme, heat, calls, opening), format)
    crowded = len(whole.nodes) > budget or depth is not None
    seen = once(whole) if repeats or (repeats is None and crowded) else whole
    seen = fold(seen, budget, depth)
    if format == "text":
        return Drawn(text_of(seen), format)
    if format == "json":
        return Drawn(seen.to_json(), format)
    dot = dot_of(seen, direction or "LR", theme=theme or "light", heat=heat)
    return laid_out(dot, format)
