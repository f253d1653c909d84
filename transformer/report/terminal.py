"""What a person sees in the terminal: attention as shades, chances as bars, tables of answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from transformer.evaluate import Evaluation

__all__ = ["can_show", "confusion_table", "counted", "heatmaps", "legend", "percent", "top"]

SHADES = ((0.05, " ", " "), (0.2, "░", "."), (0.4, "▒", ":"), (0.7, "▓", "*"), (2.0, "█", "#"))  # below, block, ASCII
GLYPHS = "".join(block for _, block, _ in SHADES)
WIDEST_TABLE = 20  # different answers; beyond, only the mistakes are listed


def counted(number: int, thing: str) -> str:
    """1 epoch, 2 epochs."""
    return f"{number:,} {thing}" + "s" * (number != 1)


def percent(share: float) -> str:
    """100.00 % only for all: 99.999 % is rounded down."""
    return f"{math.floor(share * 10_000 + 1e-6) / 100:.2f} %"


def can_show(encoding: str | None) -> bool:
    """Can a terminal of this encoding show the blocks?"""
    try:
        GLYPHS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def heatmaps(weights: NDArray[Any], labels: Sequence[str], width: int = 80, blocks: bool = True) -> str:
    """Attention (H, T, T) as shaded squares, heads side by side: a row says where its token looks."""
    heads, size = weights.shape[0], len(labels)
    margin = max(map(len, labels)) + 1
    beside = max(1, (width - margin) // (2 * size + 2))
    lines = []
    for first in range(0, heads, beside):
        group = range(first, min(heads, first + beside))
        lines.append(" " * margin + "  ".join(f"head {head + 1}".ljust(2 * size)[: 2 * size] for head in group))
        lines.append(" " * margin + "  ".join("".join(label[0].ljust(2) for label in labels) for _ in group))
        for row, label in enumerate(labels):
            cells = ("".join(shade(float(w), blocks) * 2 for w in weights[head, row]) for head in group)
            lines.append(label.ljust(margin) + "  ".join(cells))
    return "\n".join(line.rstrip() for line in lines)


def shade(weight: float, blocks: bool) -> str:
    return next(block if blocks else letter for limit, block, letter in SHADES if weight < limit)


def legend(blocks: bool) -> str:
    """What the shades mean."""
    lower = (0.0, *(limit for limit, _, _ in SHADES))
    signs = [block if blocks else letter for _, block, letter in SHADES]
    shades = (f"{sign * 2} from {least:g}" for sign, least in zip(signs[1:], lower[1:], strict=False))
    return "  ".join([f"blank below {lower[1]:g}", *shades])


def top(probabilities: NDArray[Any], names: Sequence[str], count: int = 5, blocks: bool = True) -> str:
    """The most likely tokens with a bar for each."""
    best = probabilities.argsort(kind="stable")[::-1][:count]
    width = max(len(names[k]) for k in best)
    lines = (
        f"{names[k]:>{width}}  {100 * probabilities[k]:6.2f} %  {('█' if blocks else '#') * round(30 * float(p))}"
        for k, p in zip(best, probabilities[best], strict=True)
    )
    return "\n".join(line.rstrip() for line in lines)


def confusion_table(found: Evaluation) -> str:
    """Rows: the right answer, columns: the given one. With many answers, only what was confused, most often first."""
    answers = sorted({word for pair in found.confusion for word in pair}, key=lambda word: (len(word), word))
    if len(answers) <= WIDEST_TABLE:
        width = 1 + max(*(len(str(count)) for count in found.confusion.values()), *map(len, answers), 1)
        head = " " * width + "".join(f"{answer or '-':>{width}}" for answer in answers)
        lines = [head]
        for right in sorted({right for right, _ in found.confusion}, key=answers.index):
            counts = (found.confusion.get((right, given), 0) for given in answers)
            lines.append(f"{right:>{width}}" + "".join(f"{count or '.':>{width}}" for count in counts))
        return "\n".join(lines)
    wrong = [(count, right, given) for (right, given), count in found.confusion.items() if right != given]
    lines = [
        f"{right} taken for {given or 'nothing'}: {count}"
        for count, right, given in sorted(wrong, key=lambda row: (-row[0], row[1], row[2]))[:WIDEST_TABLE]
    ]
    return "\n".join(lines) or f"none of {len(answers)} answers was taken for another"
