"""What a notebook shows of a tensor: its numbers, and under them the graph that they came from."""

from __future__ import annotations

import base64
import html

from tinygrad_edu.tensor import Tensor

__all__ = ["bundle"]

LIMIT = 5_000  # nodes; of more, nobody waits for a picture that was not asked for
BUDGET = 40
SECONDS = 5.0


def bundle(tensor: Tensor) -> dict[str, str]:
    """By MIME type. Never raises: without Graphviz, or where anything else fails, it is the numbers alone."""
    try:
        words = repr(tensor)
    except Exception as error:
        return {"text/plain": f"<Tensor that cannot be shown: {type(error).__name__}>"}
    try:
        picture = picture_of(tensor)
    except Exception:
        picture = ""
    return {"text/plain": words, **({"text/html": f"<pre>{html.escape(words)}</pre>{picture}"} if picture else {})}


def picture_of(tensor: Tensor) -> str:
    """An image element; nothing of a tensor that was not computed, or by a great many operations."""
    from tinygrad_edu.render.dot import dot_of
    from tinygrad_edu.render.fold import fold
    from tinygrad_edu.render.layout import can_lay_out, lay_out
    from tinygrad_edu.render.repeats import once
    from tinygrad_edu.render.summary import has_over
    from tinygrad_edu.render.view import view_of

    if tensor._node is None or tensor.is_leaf or not can_lay_out() or has_over(tensor._node, LIMIT):
        return ""
    view = view_of(tensor)
    seen = fold(once(view), BUDGET) if len(view.nodes) > BUDGET else view
    svg = lay_out(dot_of(seen), "svg", SECONDS)
    return f'<img alt="the graph" src="data:image/svg+xml;base64,{base64.b64encode(svg).decode()}">'
