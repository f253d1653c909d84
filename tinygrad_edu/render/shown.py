"""What `draw` gives: a string or bytes, to be written to a file as they are, that a notebook shows as the picture."""

from __future__ import annotations

import html
from typing import Any, Literal

__all__ = ["Drawn", "Format", "Image"]

Format = Literal["svg", "html", "dot", "text", "json", "png", "pdf"]


class Drawn(str):
    """The text of an SVG, HTML, DOT, JSON or text file. kind: which of them."""

    kind: Format

    def __new__(cls, text: str, kind: Format) -> Drawn:
        drawn = super().__new__(cls, text)
        drawn.kind = kind
        return drawn

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        if self.kind == "svg":
            return {"image/svg+xml": str(self), "text/plain": "an SVG picture"}
        if self.kind == "html":
            # A frame of its own: the page's scripts shall not meet the notebook's.
            what = 'title="The graph, to explore" sandbox="allow-scripts" width="100%" height="560"'
            frame = f'<iframe srcdoc="{html.escape(self)}" {what}></iframe>'
            return {"text/html": frame, "text/plain": "an HTML page"}
        return {"text/plain": str(self)}

    def __reduce__(self) -> Any:
        return Drawn, (str(self), self.kind)


class Image(bytes):
    """The bytes of a PNG or PDF file. kind: which of them."""

    kind: Format

    def __new__(cls, content: bytes, kind: Format) -> Image:
        image = super().__new__(cls, content)
        image.kind = kind
        return image

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        kind = "image/png" if self.kind == "png" else "application/pdf"
        return {kind: bytes(self), "text/plain": f"a {self.kind.upper()} picture of {len(self):,} bytes"}

    def __reduce__(self) -> Any:
        return Image, (bytes(self), self.kind)
