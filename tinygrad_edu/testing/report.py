"""What a gradient check found: never a bare bool, but values, error bars, tolerances and verdicts."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass, field
from typing import Any

from tinygrad_edu.numerics import Judgement, Verdict
from tinygrad_edu.render.layout import can_lay_out, lay_out

__all__ = ["Check", "Finding", "GradReport", "GradientError"]

RANK: dict[str, int] = {"ok": 0, "kink": 1, "unreliable": 2, "wrong": 3}
COLOURS = {"ok": "palegreen", "kink": "khaki", "unreliable": "lightgrey", "wrong": "tomato"}
STYLE = """\
.gradcheck { border-collapse: collapse; font: 14px sans-serif; color: black; background: white }
.gradcheck caption { text-align: left; padding: 6px }
.gradcheck td, .gradcheck th { padding: 2px 8px; white-space: nowrap; text-align: right; border-top: 1px solid #ddd }
.gradcheck :is(td, th):is(:first-child, :last-child) { text-align: left; white-space: normal }"""
SECONDS = 5.0  # for Graphviz
SHOWN = 6  # lines of checks that failed, for one input


class GradientError(AssertionError):
    """A gradient is wrong, or could not be judged; `report` holds what was found."""

    def __init__(self, report: GradReport) -> None:
        super().__init__(str(report))
        self.report = report


@dataclass(frozen=True)
class Check:
    """One derivative that was judged: of an input's element (index), or along a direction (index None).

    derived: by the pullback; numeric: by differences, ± error; tolerance: how far they may differ, derived from the
    error; step, evaluations: where the differences were taken, and how many calls of f it took.
    """

    path: str
    index: tuple[int, ...] | None
    direction: str
    derived: float
    numeric: float
    error: float
    tolerance: float
    step: float
    evaluations: int
    verdict: Verdict
    note: str = ""
    order: int = 1

    @classmethod
    def of(cls, judgement: Judgement, path: str, index: Any, direction: str, order: int = 1) -> Check:
        return cls(path, index, direction, *judgement, order)

    @property
    def place(self) -> str:
        return f"{self.path}{list(self.index)}" if self.index else f"{self.path} {self.direction}".rstrip()

    def __str__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return (
            f"{self.place}: {self.verdict}: derived {self.derived:.12g}, numeric {self.numeric:.12g} "
            f"± {self.error:.1e}, tolerance {self.tolerance:.1e}{note}"
        )


@dataclass(frozen=True)
class Finding:
    """A property around the value (shapes, memory, linearity, ...): whether it holds, and if not, what was seen."""

    property: str
    ok: bool
    message: str = ""


@dataclass(frozen=True)
class GradReport:
    """All checks of one function at one point. `str()` is for people, `_repr_html_()` for notebooks."""

    function: str
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...] = ()
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    seed: int = 0
    explanation: str = ""
    dot: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of all: wrong, then unreliable, then kink, then ok."""
        if not all(finding.ok for finding in self.findings):
            return "wrong"
        return max((check.verdict for check in self.checks), key=RANK.__getitem__, default="ok")

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and everything could be judged. At a kink, a value between both sides is right."""
        return self.verdict in ("ok", "kink")

    @property
    def evaluations(self) -> int:
        return sum(check.evaluations for check in self.checks)

    def __bool__(self) -> bool:
        raise TypeError("a report is no bool: ask for report.ok, or report.verdict, or call assert_gradients")

    def groups(self) -> dict[tuple[int, str], list[Check]]:
        found: dict[tuple[int, str], list[Check]] = {}
        for check in self.checks:
            found.setdefault((check.order, check.path), []).append(check)
        return found

    def __str__(self) -> str:
        lines = [f"gradcheck of {self.function}: {self.verdict}  ({self.evaluations} evaluations, seed {self.seed})"]
        for (order, path), checks in self.groups().items():
            lines += told(order, path, checks, self.shapes.get(path))
        broken = [finding for finding in self.findings if not finding.ok]
        lines += [f"  {finding.property}: {finding.message}" for finding in broken]
        if self.findings and not broken:
            lines.append(f"  and {len(self.findings)} properties around the value hold")
        if self.explanation:
            lines += ["", self.explanation]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(row(check) for check in self.checks)
        rows += "".join(
            f"<tr><td>{html.escape(f.property)}</td><td colspan=6>{html.escape(f.message or 'holds')}</td>"
            f"<td>{'ok' if f.ok else '<b>wrong</b>'}</td></tr>"
            for f in self.findings
        )
        heads = "".join(
            f"<th>{head}</th>"
            for head in ("place", "derived", "numeric", "error bar", "tolerance", "step", "evaluations", "verdict")
        )
        explained = f"<pre>{html.escape(self.explanation)}</pre>" if self.explanation else ""
        return (
            f"<style>{STYLE}</style><table class=gradcheck>"
            f"<caption>gradcheck of {html.escape(self.function)}: <b>{self.verdict}</b></caption>"
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{explained}{self.picture()}"
        )

    def picture(self) -> str:
        """An image of the graph of a failure; nothing where there is none, or no Graphviz to draw it."""
        if not self.dot or not can_lay_out():
            return ""
        try:
            svg = base64.b64encode(lay_out(self.dot, "svg", SECONDS)).decode()
        except Exception:  # a report is shown in any case
            return ""
        return f'<img alt="the graph, the wrong operation in red" src="data:image/svg+xml;base64,{svg}">'

    def to_dot(self) -> str:
        """The graph of the failure as DOT, the wrong operation in red; of the inputs alone where nothing is wrong."""
        return self.dot or inputs_as_dot(self)


def told(order: int, path: str, checks: list[Check], shape: tuple[int, ...] | None) -> list[str]:
    """One line for an input, and one for each of its first few checks that are not ok."""
    worst = max(checks, key=lambda check: (RANK[check.verdict], off(check)))
    which = "second order, " if order == 2 else ""
    count = f"{len(checks)} {'elements' if worst.index is not None else 'directions'}"
    head = f"  {which}{path}{'' if shape is None else f' {shape}'}: {worst.verdict}, {count}"
    if worst.verdict == "ok":
        return [
            f"{head}; worst at {worst.place}: derived {worst.derived:.12g}, numeric {worst.numeric:.12g} "
            f"± {worst.error:.1e}, tolerance {worst.tolerance:.1e}"
        ]
    bad = sorted((c for c in checks if c.verdict != "ok"), key=lambda c: -RANK[c.verdict])
    more = [f"    and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
    return [head, *[f"    {check}" for check in bad[:SHOWN]], *more]


def off(check: Check) -> float:
    """How much of its tolerance a check uses up."""
    difference = abs(check.derived - check.numeric)
    return difference / check.tolerance if check.tolerance else float(difference > 0)


def row(check: Check) -> str:
    numbers = (check.derived, check.numeric, check.error, check.tolerance, check.step)
    cells = "".join(f"<td>{number:.12g}</td>" for number in numbers[:2]) + "".join(
        f"<td>{number:.1e}</td>" for number in numbers[2:]
    )
    verdict = check.verdict if check.verdict == "ok" else f"<b>{check.verdict}</b> {html.escape(check.note)}"
    last = f'<td style="background: {COLOURS[check.verdict]}">{verdict}</td>'
    return f"<tr><td>{html.escape(check.place)}</td>{cells}<td>{check.evaluations}</td>{last}</tr>"


def inputs_as_dot(report: GradReport) -> str:
    """Inputs → function, coloured by verdict."""
    lines = ["digraph gradcheck {", "  rankdir=LR; node [shape=box, style=filled];"]
    lines.append(f"  f [label={quoted(report.function)}, fillcolor={COLOURS[report.verdict]}];")
    for number, ((order, path), checks) in enumerate(report.groups().items()):
        verdict = max((check.verdict for check in checks), key=RANK.__getitem__)
        label = f"{path} {report.shapes.get(path, '')}\norder {order}: {verdict}"
        lines += [f"  x{number} [label={quoted(label)}, fillcolor={COLOURS[verdict]}];", f"  x{number} -> f;"]
    return "\n".join([*lines, "}"])


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
