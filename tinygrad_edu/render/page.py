"""The shell of one self-contained HTML file: no server, no address to load from, nothing that leaves the page.

    page("Backward, step by step", body, data=steps, scripts=["stage.js", "player.js"], styles=["player.css"])

The page's own policy (Content-Security-Policy) lets run exactly the scripts and styles that are in it, known by their
hashes, and lets it load nothing. What is drawn travels as JSON, in which no character can end the element it stands in;
a script finds it as `facts`. Scripts and styles are files beside this one, `page.css` and `page.js` always first.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from tinygrad_edu.render.labels import printable

__all__ = ["asset", "inline_svg", "page"]

# What Graphviz writes when it draws boxes, arrows and words; nothing that loads, links or runs.
SHAPES = {
    "g": ("class",),
    "ellipse": ("cx", "cy", "rx", "ry"),
    "path": ("d",),
    "polygon": ("points",),
    "polyline": ("points",),
    "text": ("x", "y", "text-anchor", "font-family", "font-size", "font-weight", "font-style"),
}
PAINT = ("fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity")


def page(
    title: str,
    body: str,
    data: Any = None,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    theme: Literal["auto", "light", "dark", "colour-blind"] = "auto",
    images: bool = False,
    served: bool = False,
) -> str:
    """The file's text. title: plain text. body: HTML, in which words from outside were escaped. data: for JSON.

    scripts, styles: names of files in this folder, or whole paths. theme: "auto" follows the reader's system.
    images: may the body show images that are written out in it, as data: URLs. served: may its scripts ask the server
    that it came from, and show that server's pages in frames.
    Raises ValueError for data with NaN or infinity, which JSON does not have.
    """
    style = "\n".join(asset(name) for name in ("page.css", *styles))
    script = "\n".join(['"use strict";', *(asset(name) for name in ("page.js", *scripts))])
    policy = (
        f"default-src 'none'; script-src {digest(script)}; style-src {digest(style)}; base-uri 'none'; "
        "form-action 'none'" + "; img-src data:" * images + "; connect-src 'self'; frame-src 'self'" * served
    )
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(printable(title))}</title>",
        f"<style>{style}</style>",
    ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en" data-theme="{theme}">',
            "<head>", *head, "</head>",
            "<body>",
            body,
            f'<script type="application/json" id="facts">{as_json(data)}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )  # fmt: skip


@cache
def asset(name: str) -> str:
    """The text of a script or style that is installed beside this module."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """How a policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def as_json(data: Any) -> str:
    """ASCII alone, and without < > &: neither the element it stands in nor a line of script can end inside it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def inline_svg(svg: str, label: str) -> str:
    """Graphviz's SVG as an element for the body: known shapes alone, boxes and arrows named as in DOT by `data-name`.

    label: what a screen reader says it shows. Its size in points stands in `data-width` and `data-height`.
    """
    source = ElementTree.fromstring(svg)
    _, _, width, height = (source.get("viewBox") or "0 0 1 1").split()
    made = ElementTree.Element("svg", {"viewBox": f"0 0 {width} {height}", "role": "group", "aria-label": label})
    made.set("data-width", width)
    made.set("data-height", height)
    # Graphviz draws below and right of its own origin; on the page, y grows downwards from the top.
    place = (source[0].get("transform") or "").rpartition("translate")[2]
    top = ElementTree.SubElement(made, "g", {"transform": f"translate{place}"})
    waiting = [(child, top) for child in reversed(source[0])]
    while waiting:
        element, into = waiting.pop()
        tag = element.tag.rpartition("}")[2]
        if tag == "title" and into is not top:
            into.set("data-name", element.text or "")
            continue
        if tag == "polygon" and into is top:
            continue  # the paper
        if tag in SHAPES and (tag != "g" or into is top):
            known = {name: element.attrib[name] for name in (*SHAPES[tag], *PAINT) if name in element.attrib}
            into = ElementTree.SubElement(into, tag, known)
            into.text = element.text if tag == "text" else None
        waiting += [(child, into) for child in reversed(element)]
    return ElementTree.tostring(made, encoding="unicode")
