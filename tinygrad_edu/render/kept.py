"""How long each saved array lives: from the step that made it to the turn of the backward pass that lets it go.

    forward   1  2  3 | 3  2  1   backward        The backward pass goes the same way back, so what was saved first is
    tanh  z      ━━━━━|━━━━━                      let go last, and the peak is where the two passes meet, or soon after:
    exp   z         ━━|━━                         there the cotangents come on top.
"""

from __future__ import annotations

import html
import os
from dataclasses import dataclass

from tinygrad_edu.backward import reachable
from tinygrad_edu.memory import held_through, kept_by
from tinygrad_edu.render.labels import printable, shape_text
from tinygrad_edu.render.page import page
from tinygrad_edu.tensor import Tensor

__all__ = ["Lifetime", "Lifetimes", "lifetimes"]

ROWS = 40  # arrays that are shown one by one, the largest
COLUMNS = 60  # of a line of text
POINTS = 400  # of the drawn curve
BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Lifetime:
    """One saved array. made: the step of the forward pass that saved it, counted from 0 among the operations; gone: the
    turn of the backward pass after which it goes, counted from 0 too. bytes: of its memory, which is counted once."""

    operation: str
    name: str
    shape: tuple[int, ...]
    bytes: int
    scope: str
    where: str
    made: int
    gone: int


@dataclass(frozen=True)
class Lifetimes:
    """rows: in the order in which they were saved. held: the bytes held after each step of the forward pass, then at
    each turn of the backward pass, cotangents included. operations: the label of each step."""

    rows: tuple[Lifetime, ...]
    held: tuple[int, ...]
    operations: tuple[str, ...]

    @property
    def total(self) -> int:
        """Bytes kept for the backward pass, as memory_report() says."""
        return sum(row.bytes for row in self.rows)

    @property
    def peak(self) -> int:
        """The most that saved arrays and cotangents need together, as memory_report() says."""
        return max(self.held[len(self.operations) :], default=0)

    def headline(self) -> str:
        if not self.operations:
            return "Nothing is kept for a backward pass."
        turn = self.held[len(self.operations) :].index(self.peak)
        where = f"turn {turn + 1} of {len(self.operations)} of the backward pass, {self.operations[-1 - turn]}"
        return f"{self.total:,} bytes kept for backward; {self.peak:,} with the cotangents, at the peak: {where}."

    def shown(self) -> tuple[list[Lifetime], str]:
        """The largest, in their order; and what is not among them, in words."""
        order = sorted(range(len(self.rows)), key=lambda k: -self.rows[k].bytes)
        chosen = [self.rows[k] for k in sorted(order[:ROWS])]
        rest = [self.rows[k] for k in order[ROWS:]]
        size = sum(row.bytes for row in rest)
        return chosen, f"and {len(rest):,} smaller ones, {size:,} bytes together" if rest else ""

    def curve(self, columns: int) -> list[int]:
        """The most that is held in each of so many stretches of the two passes."""
        found = [0] * columns
        for k, size in enumerate(self.held):
            place = k * columns // len(self.held)
            found[place] = max(found[place], size)
        return found

    def __str__(self) -> str:
        steps = len(self.operations)
        if not steps:
            return self.headline() + "\n"
        rows, rest = self.shown()
        half = min(COLUMNS // 2, steps)
        width = max([len(f"{row.bytes:,}") for row in rows] + [5])
        lines = [self.headline(), f"{'bytes':>{width}}  {'forward':<{half}}|{'backward':>{half}}"]
        for row in rows:
            start, end = row.made * half // steps, half - 1 - row.gone * half // steps
            bar = " " * start + "━" * (half - start) + "|" + "━" * (half - end) + " " * end
            lines.append(f"{row.bytes:>{width},}  {bar}  {words(row)}")
        if rest:
            lines.append(f"{'':>{width}}  {rest}")
        curve = "".join(BLOCKS[-(-size * (len(BLOCKS) - 1) // max(self.peak, 1))] for size in self.curve(2 * half))
        lines.append(f"{'held':>{width}}  {curve[:half]}|{curve[half:]}  bytes held, at most {self.peak:,}")
        return "\n".join(lines) + "\n"

    def svg(self) -> str:
        """The same as a drawing: a bar for each array, and what is held below them. Its text is `currentColor`."""
        rows, rest = self.shown()
        steps = max(len(self.operations), 1)
        left, wide, row_height, tall = 310.0, 560.0, 16, 90
        step = wide / (2 * steps)
        bottom = 26 + row_height * len(rows) + (18 if rest else 0) + 12
        height = bottom + tall + 30
        middle = left + wide / 2
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 60:g} {height}" role="img" '
            f'aria-label="{html.escape(self.headline())}" font-family="Helvetica,Arial,sans-serif" font-size="11" '
            'fill="currentColor">',
            text(left, 14, "forward →"), text(left + wide, 14, "backward →", "end"),
        ]  # fmt: skip
        for k, row in enumerate(rows):
            y = 24 + k * row_height
            start, end = left + row.made * step, left + wide / 2 + (row.gone + 1) * step
            parts.append(text(left - 8, y + 10, printable(words(row), 52), "end"))
            parts.append(bar(start, y + 2, middle - start, "#0072b2"))
            parts.append(bar(middle, y + 2, end - middle, "#d55e00"))
            parts.append(text(end + 4, y + 10, size_text(row.bytes), "start", "0.7"))
        if rest:
            parts.append(text(left, 24 + len(rows) * row_height + 12, rest, "start", "0.7"))
        points = [(left, float(bottom + tall))]
        held = self.curve(min(2 * steps, POINTS) if self.held else 0)
        for k, size in enumerate(held):
            top = bottom + tall - tall * size / max(self.peak, 1)
            points += [(left + k * wide / len(held), top), (left + (k + 1) * wide / len(held), top)]
        points.append((left + wide, bottom + tall))
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts += [
            f'<polygon points="{corners}" fill="#009e73" fill-opacity="0.35" stroke="#009e73"/>',
            f'<path d="M{middle:g} 20V{bottom + tall:g}" stroke="currentColor" stroke-opacity="0.5" '
            'stroke-dasharray="3 3" fill="none"/>',
            text(left - 8, bottom + 12, f"held, at most {self.peak:,} bytes", "end"),
            text(left, height - 12, "step 1"), text(left + wide, height - 12, "step 1", "end"),
            text(middle, height - 12, f"step {len(self.operations):,}", "middle"), "</svg>",
        ]  # fmt: skip
        return "".join(parts)

    def html(self, path: str | os.PathLike[str] | None = None) -> str:
        """A page with the drawing, light or dark as its reader's system; also written to `path`."""
        headline = html.escape(self.headline())
        body = f"<main><h1>What is kept, and how long</h1><p>{headline}</p>{self.svg()}</main>"
        made = page("What is kept, and how long", body, styles=["kept.css"])
        if path is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(made)
        return made

    def _repr_svg_(self) -> str:
        return self.svg()


def lifetimes(output: Tensor) -> Lifetimes:
    """When each array that the graph of `output` keeps was saved, and when its backward pass lets it go.

    Sizes and peak agree with memory_report(). Nothing is run. print() the result, or take its svg() or html().
    """
    if output._node is None:
        return Lifetimes((), (), ())
    kept = kept_by(reachable([output._node]))
    operations = [node for node in kept if node.operation is not None]
    rows = []
    now = 0
    forward = []
    for step, node in enumerate(operations):
        for each in kept[node]:
            if each.bytes:
                rows.append(
                    Lifetime(each.operation, each.name, each.shape, each.bytes, each.scope, each.where, step,
                             len(operations) - 1 - step)
                )  # fmt: skip
                now += each.bytes
        forward.append(now)
    turns = zip(reversed(kept), held_through(kept), strict=True)
    backward = [held for node, held in turns if node.operation is not None]
    return Lifetimes(tuple(rows), (*forward, *backward), tuple(node.label for node in operations))


def words(row: Lifetime) -> str:
    scope = f", {printable(row.scope)}" if row.scope else ""
    return f"{printable(row.operation)}: {row.name} {shape_text(row.shape)}{scope}"


def size_text(size: int) -> str:
    power = min(3, (len(str(size)) - 1) // 3)
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB')[power]}"


def text(x: float, y: float, said: str, anchor: str = "start", opacity: str = "1") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill-opacity="{opacity}">{html.escape(said)}</text>'


def bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="10" fill="{colour}"/>'
