"""gradcheck: a function's gradient against differences, with an error bar for each comparison.

The judging is done by `checker`, at one point; here are the call, the properties around the value, and second order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np

from tinygrad_edu.errors import ShapeError, UnsupportedError
from tinygrad_edu.numerics.judge import AT_A_KINK, Method
from tinygrad_edu.testing.alone import local_reports
from tinygrad_edu.testing.blame import explained
from tinygrad_edu.testing.checker import Checker
from tinygrad_edu.testing.manners import it_is_deterministic, properties
from tinygrad_edu.testing.pullbacks import Vjp
from tinygrad_edu.testing.report import Check, Finding, GradientError, GradReport
from tinygrad_edu.testing.second import differences_are_symmetric, gradient_subject, second_derivative_is_symmetric
from tinygrad_edu.testing.subject import Subject

__all__ = ["assert_gradients", "gradcheck"]


def gradcheck(
    f: Callable[..., Any],
    *inputs: Any,
    order: Literal[1, 2] = 1,
    wrt: int | Sequence[int] | None = None,
    cotangent: Any = None,
    method: Method = "auto",
    directions: int | None = None,
    seed: int = 0,
    vjp: Vjp | None = None,
    manners: bool = True,
    exhaustive: bool = True,
) -> GradReport:
    """Judge the gradient of f at `inputs`; returns a report, and raises only for a call that makes no sense.

    inputs: arrays, Tensors, floats, or nests of them; what is not float is held fixed. wrt: the numbers of the inputs
    to judge, all of them if None. order 2: also the derivatives of the gradient, by the inputs and by the cotangent; a
    backward pass by hand has none: it is asked whether its differences are symmetric, as a second derivative is.
    cotangent: in the structure of f's output; drawn from `seed` if None (a cotangent of ones is blind to every rule
    whose outputs sum to a constant). directions: along how many each input is judged, instead of element by element.
    method: see `numerics.judge`. vjp: how f is differentiated, see `pullbacks`; None is this engine, and then f runs
    on Tensors, whose operations tell smooth pieces apart. manners: also check shapes, dtypes, memory, linearity.
    exhaustive: False stops at the first element that is wrong, for searches that need no more.

        report = gradcheck(lambda x: np.tanh(x) * x, np.array([0.5, -2.0]))
        print(report)
    """
    refuse_what_makes_no_sense(f, order, method, directions, vjp)
    subject = Subject(f, inputs, wrt, vjp)
    rng = np.random.default_rng(seed)
    weights = subject.cotangents(cotangent, rng)
    shapes = {path: x.shape for path, x in zip(subject.paths, subject.arrays, strict=True)}
    try:
        unsteady = it_is_deterministic(subject, weights, rng)
        if unsteady:  # then nothing else can be told
            return GradReport(subject.name, (), (Finding("it is deterministic", False, unsteady),), shapes, seed)
        checks = excused(subject, Checker(subject, weights, method, rng).checks(directions, exhaustive), seed)
    except ShapeError as error:
        return GradReport(subject.name, (), (Finding("shape", False, str(error)),), shapes, seed)
    done = not exhaustive and any(check.verdict == "wrong" for check in checks)
    findings = properties(subject, weights, rng) if manners and not done else ()
    if order == 2 and not done:
        again = gradient_subject(subject, weights)
        if again is None:
            findings = (*findings, differences_are_symmetric(subject, weights, rng))
        else:
            shapes.update({path: x.shape for path, x in zip(again.paths, again.arrays, strict=True)})
            drawn = again.cotangents(None, rng)
            checks += [as_second(check) for check in Checker(again, drawn, method, rng).checks(directions, exhaustive)]
            findings = (*findings, second_derivative_is_symmetric(again, len(subject.arrays), rng))
    report = GradReport(subject.name, tuple(checks), tuple(findings), shapes, seed)
    return explained(report, subject, weights) if exhaustive else report


def assert_gradients(
    f: Callable[..., Any], *inputs: Any, unreliable: Literal["raise", "ignore"] = "raise", **options: Any
) -> GradReport:
    """Raise GradientError, with the whole report, if gradcheck(f, *inputs, **options) finds a wrong gradient.

    unreliable: what to do where differences cannot tell; "ignore" where thousands of drawn cases are checked.
    """
    __tracebackhide__ = True
    if unreliable not in ("raise", "ignore"):
        raise UnsupportedError(f"assert_gradients: unreliable={unreliable!r}; it is 'raise' or 'ignore'")
    report = gradcheck(f, *inputs, **options)
    if report.verdict == "wrong" or (report.verdict == "unreliable" and unreliable == "raise"):
        raise GradientError(report)
    return report


def refuse_what_makes_no_sense(f: Any, order: Any, method: Any, directions: Any, vjp: Any) -> None:
    """Raise UnsupportedError for options under which nothing, or something else, would be judged."""
    for name, value in (("f", f), ("vjp", vjp)):
        if not (callable(value) or (name == "vjp" and value is None)):
            raise UnsupportedError(f"gradcheck: {name} is {type(value).__name__}, where a function belongs")
    if order not in (1, 2):
        raise UnsupportedError(f"gradcheck: order={order!r}; it is 1 or 2: for more, check grad(f)")
    if method not in get_args(Method):
        raise UnsupportedError(f"gradcheck: method={method!r}; it is one of {', '.join(get_args(Method))}")
    if directions is not None and not (isinstance(directions, int) and directions > 0):
        raise UnsupportedError(f"gradcheck: directions={directions!r}; along none, nothing is judged; None, or some")


def as_second(check: Check) -> Check:
    return replace(check, order=2)


def excused(subject: Subject, checks: list[Check], seed: int) -> list[Check]:
    """Where f is smooth through kinks of its operations, their conventions may add up to something else.

    relu(x) - relu(-x) has the slope 1 at 0, and the gradient 0, since relu'(0) = 0. That is no fault of a rule, if
    each operation by itself is right there.
    """
    if subject.vjp is not None or not any(check.note == AT_A_KINK for check in checks):
        return checks
    if any(not report.ok for _, report in local_reports(subject, seed)):
        return checks
    note = "inexact at a kink: each operation keeps its convention, and together they miss the slope"
    return [replace(c, verdict="kink", note=note) if c.note == AT_A_KINK else c for c in checks]
