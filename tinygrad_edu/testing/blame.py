"""Which rule is wrong, for which argument, at which elements, on which line; and what would make it right.

Every operation that ran is checked alone, from the output on. The first whose rule is wrong there is the one, since
all that arrives further back has been through it. Where every rule is right alone, the shares are put together wrongly
(`wiring`); where only second derivatives are wrong, a rule's work cannot be differentiated itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.graph import Node
from tinygrad_edu.numerics.judge import AT_A_KINK
from tinygrad_edu.testing.alone import alone_again
from tinygrad_edu.testing.cases import cases_of
from tinygrad_edu.testing.checker import Checker
from tinygrad_edu.testing.manners import ANYONES, OURS
from tinygrad_edu.testing.pointing import picture, source_of
from tinygrad_edu.testing.repairs import explanation
from tinygrad_edu.testing.report import Check, GradReport
from tinygrad_edu.testing.second import derivative_of
from tinygrad_edu.testing.subject import Arrays, Subject
from tinygrad_edu.testing.suspects import Run, Suspect
from tinygrad_edu.testing.trace import Step
from tinygrad_edu.testing.wiring import Tape, wiring

__all__ = ["explained"]

MOST = 3  # arguments of one operation that are told about


class Charge(NamedTuple):
    """One argument's rule, its worst check, and a sentence on what is wrong with it."""

    suspect: Suspect
    check: Check
    why: str


def explained(report: GradReport, subject: Subject, weights: Arrays) -> GradReport:
    """The report of a wrong gradient, with what is to blame for it; any other report as it is."""
    if report.verdict != "wrong":
        return report
    try:
        with np.errstate(all="ignore"):
            text, dot = told(report, subject, weights)
    except Exception as error:  # whatever fails here must not hide what was found
        text, dot = f"What is to blame could not be found out: {type(error).__name__}: {error}", ""
    return replace(report, explanation=text, dot=dot)


def told(report: GradReport, subject: Subject, weights: Arrays) -> tuple[str, str]:
    wrong = [check for check in report.checks if check.verdict == "wrong"]
    if subject.vjp is not None:
        return in_words(subject, weights, wrong, report.seed), ""
    first = [check for check in wrong if check.order == 1]
    run = Run(subject)
    start = run.leaf(wrong[0].path) if wrong else None
    if first:
        return wrong_rule(run, weights, start, report.seed) or wiring(run, weights, start, report.seed)
    if wrong:
        return second_order(run, start, weights, report.seed)
    return bad_manners(run, report, report.seed)


# A rule that is wrong by itself


def wrong_rule(run: Run, weights: Arrays, start: Node | None, seed: int) -> tuple[str, str] | None:
    """The first operation from the output whose rule is wrong at the arguments it had.

    Under a drawn cotangent; or else under the one it had, since a rule may be wrong for some cotangents alone.
    """
    for under in (drawn_weights, Actual(run, weights), Actual(run, [-w for w in weights])):
        for step in run.suspects():
            alone = alone_again(step)
            node = run.nodes[step.number] if run.is_of(step) else None
            found = None if alone is None else under(alone, node, seed)
            if alone is not None and found is not None:
                charges = charges_of(step, alone, node, found, seed)
                if charges:
                    return sentence(run, charges, start)
    return None


def drawn_weights(alone: Subject, node: Node | None, seed: int) -> Arrays:
    return alone.cotangents(None, np.random.default_rng(seed))


class Actual:
    """The cotangent that arrived at a node; computed when first asked for."""

    def __init__(self, run: Run, weights: Arrays) -> None:
        self.run, self.weights = run, weights
        self.found: dict[Node, Any] | None = None

    def __call__(self, alone: Subject, node: Node | None, seed: int) -> Arrays | None:
        if self.found is None:
            self.found = Tape(self.run, self.weights).cotangents() if self.run.roots else {}
        return [np.asarray(self.found[node], np.float64)] if node in self.found else None


def charges_of(step: Step, alone: Subject, node: Node | None, weights: Arrays, seed: int) -> list[Charge]:
    checker = Checker(alone, weights, "auto", np.random.default_rng(seed))
    if not is_wrong(checker.checks(None, exhaustive=False)):
        return []
    found: dict[str, Check] = {}
    for check in is_wrong(checker.checks(None)):
        found.setdefault(check.path, check)
    charges = []
    for path, check in found.items():
        suspect = Suspect(step, path.split(",")[0])  # several inputs that tie are moved together
        tracked = node is None or suspect.element in node.plan.tracked
        if tracked and suspect.answers_for(alone, weights, checker.gradient[suspect.place_in(alone)]):
            charges.append(Charge(suspect, check, why(suspect, alone, check, weights, seed)))
    return charges[:MOST]


def is_wrong(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.verdict == "wrong" and check.note != AT_A_KINK]


def why(suspect: Suspect, alone: Subject, check: Check, weights: Arrays, seed: int) -> str:
    """What is wrong with the gradient of one argument, in words; "" where no simple correction fits."""
    if "kink" in check.direction and check.numeric:
        return ties(check)
    names = [Suspect(suspect.step, path).name for path in alone.paths]
    k = alone.paths.index(check.path)
    cases = cases_of(alone, k, weights, names, np.random.default_rng(seed))
    for case in cases:
        case.variants.update(suspect.variants(at(alone, case.inputs), case.weights))
    return explanation(cases)


def ties(check: Check) -> str:
    share = check.derived / check.numeric
    return f"elements that tie get {share:.6g} times what is theirs, together; they should share it"


def at(subject: Subject, arrays: Arrays) -> Subject:
    moved = Subject(subject.f, subject.arguments(arrays))
    moved.arrays = arrays
    return moved


def sentence(run: Run, charges: Sequence[Charge], start: Node | None, how: str = "wrong") -> tuple[str, str]:
    """All that is said about one operation, and its picture."""
    lines = []
    step = charges[0].suspect.step
    for charge in charges:
        suspect = charge.suspect
        what = charge.why or "no simple correction mends it"
        lines.append(
            f"The rule of {suspect.operation.name} for its argument {suspect.name} is {how}: {what} "
            f"({numbers(charge.check)})."
        )
        source, where = source_of(suspect.rule)
        lines.append(f"  rule      {source}    {where}")
    lines.append(f"  called    {step.where}")
    if not run.is_of(step):
        return "\n".join(lines), ""
    graph, dot = picture(run, run.nodes[step.number], start)
    return "\n".join([*lines, graph]), dot


def numbers(check: Check) -> str:
    if check.index is None:
        place = f"{check.direction}: "
    else:
        place = f"at {list(check.index)}: " if check.index else ""
    return f"{place}derived {check.derived:.6g}, numeric {check.numeric:.6g} ± {check.error:.0e}"


# A rule whose work cannot be differentiated


def second_order(run: Run, start: Node | None, weights: Arrays, seed: int) -> tuple[str, str]:
    """An operation that a rule runs may be wrong by itself; else it is a rule that is right on arrays alone."""
    points = [*run.subject.arrays, *weights]
    again = Run(Subject(derivative_of(run.subject), points))
    found = wrong_rule(again, drawn_weights(again.subject, None, seed), None, seed)
    if found is not None:
        return f"In the second derivative:\n{found[0]}", found[1]
    for step in run.suspects():
        alone = alone_again(step)
        if alone is None:
            continue
        names = [Suspect(step, path).name for path in alone.paths]
        drawn = alone.cotangents(None, np.random.default_rng(seed))
        twice = Subject(derivative_of(alone), [*alone.arrays, *drawn])
        twice.paths = [*names, *["the cotangent g"] * len(drawn)]
        for (k, path), sign in itertools.product(enumerate(alone.paths), (1.0, -1.0)):
            rng = np.random.default_rng(seed)
            only = [w * (j == k) for j, w in enumerate(twice.cotangents(None, rng))]
            twice.arrays = [*alone.arrays, *[sign * w for w in drawn]]
            wrong = is_wrong(Checker(twice, only, "auto", rng).checks(None, exhaustive=False))
            if wrong:
                by = twice.paths.index(wrong[0].path)
                reason = explanation(cases_of(twice, by, only, twice.paths, rng))
                reason = f"its derivative by {wrong[0].path} is wrong" + (f": {reason}" if reason else "")
                charge = Charge(Suspect(step, path), wrong[0], reason)
                return sentence(run, [charge], start, "right on arrays, but not on Tensors")
    return "Every rule, and every rule's own derivative, is right by itself.", ""


# What is wrong around the value


def bad_manners(run: Run, report: GradReport, seed: int) -> tuple[str, str]:
    """The first operation, from the output, that alone breaks what the whole breaks."""
    broken = {finding.property for finding in report.findings if not finding.ok}
    for step in run.suspects():
        alone = alone_again(step)
        for check in (*ANYONES, *OURS) if alone is not None else ():
            name = check.__name__.replace("_", " ")
            if alone is None or name not in broken:
                continue
            rng = np.random.default_rng(seed)
            try:
                message = check(alone, alone.cotangents(None, rng), rng)
            except Exception:
                continue
            if message:
                for path in reversed(alone.paths):
                    message = message.replace(path, Suspect(step, path).name)
                rules = {source_of(Suspect(step, path).rule): None for path in alone.paths}
                lines = [f"{step.operation.name} alone breaks it ({name}): {message}."]
                lines += [f"  rule      {source}    {where}" for source, where in rules]
                lines.append(f"  called    {step.where}")
                graph, dot = picture(run, run.nodes[step.number], None) if run.is_of(step) else ("", "")
                return "\n".join([*lines, *filter(None, [graph])]), dot
    return "", ""


# Somebody else's pullback


def in_words(subject: Subject, weights: Arrays, wrong: Sequence[Check], seed: int) -> str:
    lines = []
    for path in dict.fromkeys(check.path for check in wrong if check.path in subject.paths):
        k = subject.paths.index(path)
        why = explanation(cases_of(subject, k, weights, subject.paths, np.random.default_rng(seed)))
        check = next(check for check in wrong if check.path == path)
        if why:
            lines.append(f"The gradient of {path} is wrong: {why} ({numbers(check)}).")
    lines += [ties(check) for check in wrong if "kink" in check.direction and not lines]
    return "\n".join(lines)
