"""What a person sees of a run: text in the terminal, figures, and one HTML page with everything.

measures.py finds the numbers, figures.py draws them, document.py puts them on a page, terminal.py writes plain text.
"""

from transformer.report.figures import curves
from transformer.report.terminal import can_show, confusion_table, counted, heatmaps, legend, percent, top

__all__ = [
    "can_show",
    "confusion_table",
    "counted",
    "curves",
    "heatmaps",
    "legend",
    "percent",
    "top",
]
