"""Pictures of the graph behind a tensor. Graphviz comes last and may be absent.

    Tensor ──view_of──> View, plain data ──once, fold──> View of at most `budget` nodes ──> DOT ──> SVG, PNG, PDF, HTML
                                                                                       └─> text, JSON

`view_of` is the place to start for a picture of one's own: a View is numbers, strings and tuples, and goes to JSON.
"""

from tinygrad_edu.render.audit import Audit, Judged, audit
from tinygrad_edu.render.contribution import Contributions, contributions
from tinygrad_edu.render.difference import Change, Difference, diff
from tinygrad_edu.render.kept import Lifetimes, lifetimes
from tinygrad_edu.render.lanes import draw_passes
from tinygrad_edu.render.layout import RenderError
from tinygrad_edu.render.picture import draw
from tinygrad_edu.render.plain import View, ViewNode
from tinygrad_edu.render.player import replay
from tinygrad_edu.render.shown import Drawn, Format, Image
from tinygrad_edu.render.trace import trace_backward
from tinygrad_edu.render.view import view_of
from tinygrad_edu.render.zoom import expand, expansion_view, scalars

__all__ = [
    "Audit",
    "Change",
    "Difference",
    "Judged",
    "audit",
    "diff",
    "Contributions",
    "Drawn",
    "Format",
    "Image",
    "Lifetimes",
    "RenderError",
    "View",
    "ViewNode",
    "contributions",
    "draw",
    "draw_passes",
    "expand",
    "expansion_view",
    "lifetimes",
    "replay",
    "scalars",
    "trace_backward",
    "view_of",
]
