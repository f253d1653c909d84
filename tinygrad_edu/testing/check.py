"""gradcheck: a function's gradient against differences, with an error bar for each comparison.

Small inputs are judged element by element, large ones along directions of signs; a direction that fails is halved
until it names an element. At a kink the elements that are tied are moved together too: one by one, a rule that gives
every tie the full gradient would pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np

from tinygrad_edu.errors import ShapeError, UnsupportedError
from tinygrad_edu.numerics import Judgement, Line, judge
from tinygrad_edu.numerics.judge import AT_A_KINK, Method
from tinygrad_edu.numerics.ladder import octave, triple
from tinygrad_edu.operation import Primitive
from tinygrad_edu.record import apply
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.manners import it_is_deterministic, properties
from tinygrad_edu.testing.pullbacks import Vjp
from tinygrad_edu.testing.report import Check, Finding, GradientError, GradReport
from tinygrad_edu.testing.subject import Arrays, Subject, is_float
from tinygrad_edu.testing.trace import Step, recorded
from tinygrad_edu.transforms import vjp as own_vjp
from tinygrad_edu.tree import flatten

__all__ = ["assert_gradients", "gradcheck"]

SMALL = 16  # elements of an input that are judged one by one
DIRECTIONS = 2  # along which a larger one is
ENOUGH = 2  # elements of an input that are shown to be wrong in full; the others are in short
JITTER = 4  # units in the last place


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
    to judge, all of them if None. order 2: also the derivatives of the gradient, by the inputs and by the cotangent.
    cotangent: in the structure of f's output; drawn from `seed` if None (a cotangent of ones is blind to every rule
    whose outputs sum to a constant). directions: along how many each input is judged, instead of element by element.
    method: see `numerics.judge`. vjp: how f is differentiated, see `pullbacks`; None is this engine, and then f runs
    on Tensors, whose operations tell smooth pieces apart. manners: also check shapes, dtypes, memory, linearity.
    exhaustive: False stops at the first element that is wrong, for searches that need no more.

        report = gradcheck(lambda x: np.tanh(x) * x, np.array([0.5, -2.0]))
        print(report)
    """
    if order == 2 and vjp is not None:
        raise UnsupportedError(
            "gradcheck: order=2 differentiates a pullback, which only this engine's own allows; check the gradient "
            "function itself, with a pullback of its own"
        )
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
        second = derivative_of(subject)
        points = [*subject.arrays, *weights]
        again = Subject(second, points, [*subject.wanted, *range(len(subject.arrays), len(points))])
        again.paths = [*subject.paths, *[f"cotangent[{k}]" for k in range(len(weights))]]
        shapes.update({path: x.shape for path, x in zip(again.paths, again.arrays, strict=True)})
        drawn = again.cotangents(None, rng)
        checks += [as_second(check) for check in Checker(again, drawn, method, rng).checks(directions, exhaustive)]
    return GradReport(subject.name, tuple(checks), tuple(findings), shapes, seed)


def assert_gradients(
    f: Callable[..., Any], *inputs: Any, unreliable: Literal["raise", "ignore"] = "raise", **options: Any
) -> GradReport:
    """Raise GradientError, with the whole report, if gradcheck(f, *inputs, **options) finds a wrong gradient.

    unreliable: what to do where differences cannot tell; "ignore" where thousands of drawn cases are checked.
    """
    __tracebackhide__ = True
    report = gradcheck(f, *inputs, **options)
    if report.verdict == "wrong" or (report.verdict == "unreliable" and unreliable == "raise"):
        raise GradientError(report)
    return report


def derivative_of(subject: Subject) -> Callable[..., Any]:
    """(inputs, cotangents) ↦ gradients: the function whose derivative is the second one."""
    size = len(subject.arrays)

    def first(*values: Any) -> Any:
        value, pullback = own_vjp(lambda *xs: subject.f(*subject.arguments(xs)), *values[:size])
        leaves, rebuild = flatten(value)
        return tuple(pullback(rebuild(list(values[size:]))))

    first.__name__ = f"the gradient of {subject.name}"
    return first


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


def local_reports(subject: Subject, seed: int = 0) -> Iterator[tuple[Step, GradReport]]:
    """Each operation with rules that ran at the subject's inputs, checked by itself at the arguments it had."""
    with recorded() as steps:
        subject.f(*subject.arguments([Tensor(x, requires_grad=True) for x in subject.arrays]))
    for step in steps:
        if isinstance(step.operation, Primitive):
            alone = alone_again(step)
            if alone is not None:
                rng = np.random.default_rng(seed)
                weights = alone.cotangents(None, rng)
                checks = Checker(alone, weights, "auto", rng).checks(None, exhaustive=False)
                shapes = {path: x.shape for path, x in zip(alone.paths, alone.arrays, strict=True)}
                yield step, GradReport(step.operation.name, tuple(checks), (), shapes, seed)


def alone_again(step: Step) -> Subject | None:
    """The operation of a step as a function of its own array arguments; None if none of them is float."""
    operation: Any = step.operation
    ruled = len(operation.rules)

    def again(*args: Any) -> Any:
        return apply(Tensor, operation, (*args, *step.args[ruled:]), step.keywords)

    again.__name__ = operation.name
    arguments = step.args[:ruled] if operation.sequence is None else step.args
    if not any(is_float(leaf) and np.size(leaf) for leaf in flatten(list(arguments))[0]):
        return None
    return Subject(again, arguments)


class Checker:
    """One subject at one point, under one cotangent."""

    def __init__(self, subject: Subject, weights: Arrays, method: Method, rng: np.random.Generator) -> None:
        self.subject, self.weights, self.method, self.rng = subject, weights, method, rng
        self.gradient = subject.gradients(subject.arrays, weights)
        outputs, piece = subject.evaluate(*subject.arrays)
        self.base = ([np.asarray(y) for y in outputs], piece)
        self.jittered: list[Arrays] | None = None

    def checks(self, directions: int | None, exhaustive: bool = True) -> list[Check]:
        found: list[Check] = []
        for k in self.subject.wanted:
            small = directions is None and self.subject.arrays[k].size <= SMALL
            count = DIRECTIONS if directions is None else directions
            for check in self.by_element(k) if small else self.by_direction(k, count):
                found.append(check)
                if check.verdict == "wrong" and not exhaustive:
                    return found
        return [*found, *self.at_ties([check for check in found if check.verdict == "kink"])]

    def by_element(self, k: int) -> Iterator[Check]:
        wrong = 0
        for index in np.ndindex(self.subject.arrays[k].shape):
            judgement = self.judge({k: self.unit(k, index)}, in_short=wrong >= ENOUGH)
            wrong += judgement.verdict == "wrong"
            yield Check.of(judgement, self.subject.paths[k], index, "")

    def by_direction(self, k: int, count: int) -> Iterator[Check]:
        """Signs of equal size, and signs of the size of each element, in turn: small elements hide in the first."""
        x, path = self.subject.arrays[k], self.subject.paths[k]
        size = float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x))) or 1.0
        for number in range(count if x.size else 0):
            signs = np.where(self.rng.random(x.shape) < 0.5, -1.0, 1.0)
            if number % 2:
                signs = signs * 2.0 ** np.frexp(np.maximum(np.abs(x), 2.0**-30 * size))[1]
            judgement = self.judge({k: signs})
            if judgement.verdict == "wrong":
                yield self.located(k, signs, judgement)
                return
            yield Check.of(judgement, path, None, f"along direction {number}")

    def located(self, k: int, direction: np.ndarray, judgement: Judgement) -> Check:
        """Halve a direction that fails, keeping the half that is further off; name the element, or how many are left.

        Three differences tell which half it is; the element that is left is judged in full.
        """
        path, places = self.subject.paths[k], np.flatnonzero(direction)
        found, left = judgement, len(places)
        while len(places) > 1:
            halves = np.array_split(places, 2)
            lines = [self.line({k: restricted(direction, half)}) for half in halves]
            off = [abs(triple(line, octave(line, 6)).value - claimed) for line, claimed in lines]
            places = halves[int(np.argmax(np.nan_to_num(off, nan=-1.0)))]
            if len(places) == 1 or len(places) <= left // 64:
                closer = self.judge({k: restricted(direction, places)})
                if closer.verdict != "wrong":
                    break
                found, left = closer, len(places)
        if left > 1:
            return Check.of(found, path, None, f"along a direction of {left} elements")
        index = tuple(int(i) for i in np.unravel_index(places[0], direction.shape))
        return Check.of(self.judge({k: self.unit(k, index)}), path, index, "")

    def at_ties(self, kinks: Sequence[Check]) -> Iterator[Check]:
        """Elements at a kink, moved together: all of them, and those of equal value."""
        if len(kinks) < 2:
            return
        number = {path: k for k, path in enumerate(self.subject.paths)}
        places = [(number[check.path], check.index) for check in kinks if check.index is not None]
        values = np.array([self.subject.arrays[k][index] for k, index in places])
        groups = [values == value for value in np.unique(values)]
        if len(groups) > 1:
            groups.append(np.ones(len(values), bool))
        for group in groups:
            if group.sum() < 2:
                continue
            move: dict[int, np.ndarray] = {}
            for (k, index), chosen in zip(places, group, strict=True):
                if chosen:
                    move.setdefault(k, np.zeros(self.subject.arrays[k].shape))[index] = 1.0
            paths = ", ".join(self.subject.paths[k] for k in move)
            yield Check.of(self.judge(move), paths, None, f"{int(group.sum())} elements at a kink, together")

    def unit(self, k: int, index: tuple[int, ...]) -> np.ndarray:
        direction = np.zeros(self.subject.arrays[k].shape)
        direction[index] = 1.0
        return direction

    def judge(self, move: dict[int, np.ndarray], in_short: bool = False) -> Judgement:
        """Along one direction, which moves the inputs that `move` names."""
        line, claimed = self.line(move)
        found = judge(line, claimed, partial(self.jitter, move), self.method, in_short)
        alone = sum(int(np.count_nonzero(v)) for v in move.values()) == 1
        if found.verdict == "wrong" and alone and self.subject.vjp is not None and self.is_right_nearby(move, found):
            note = "right a few last digits away: a convention at a kink inside f, or a rule wrong at special points"
            return found._replace(verdict="unreliable", note=note)
        return found

    def line(self, move: dict[int, np.ndarray]) -> tuple[Line, float]:
        """The line of a direction, and the derivative that is claimed along it."""
        chosen = sorted(move)
        xs, vs, gradient = zip(*[(self.subject.arrays[k], move[k], self.gradient[k]) for k in chosen], strict=True)
        line = Line(partial(self.evaluate, chosen), xs, vs, self.weights, gradient, self.base)
        return line, self.along(self.gradient, move)

    def evaluate(self, chosen: Sequence[int], *moved: Any) -> tuple[list[Any], Any]:
        arrays = list(self.subject.arrays)
        for k, array in zip(chosen, moved, strict=True):
            arrays[k] = array
        return self.subject.evaluate(*arrays)

    def along(self, gradient: Arrays, move: dict[int, np.ndarray]) -> float:
        with np.errstate(all="ignore"):
            return float(sum(np.sum(np.where(v != 0, gradient[k] * v, 0.0)) for k, v in move.items()))

    def jitter(self, move: dict[int, np.ndarray]) -> float:
        """How much the claim changes when the inputs change in their last digits."""
        claim = self.along(self.gradient, move)
        return max(abs(nearby - claim) for nearby in self.nearby(move))

    def nearby(self, move: dict[int, np.ndarray]) -> list[float]:
        """What is claimed at inputs that differ in their last digits."""
        if self.jittered is None:
            with np.errstate(all="ignore"):
                self.jittered = [self.subject.gradients(self.shaken(), self.weights) for _ in range(2)]
        return [self.along(gradient, move) for gradient in self.jittered]

    def is_right_nearby(self, move: dict[int, np.ndarray], found: Judgement) -> bool:
        """A black box does not tell its kinks: a claim that is wrong at x alone may be a convention."""
        slack = found.tolerance + 1e-3 * abs(found.claimed - found.numeric)
        return all(abs(nearby - found.numeric) <= slack for nearby in self.nearby(move))

    def shaken(self) -> Arrays:
        """Every element moved, by up to JITTER units in its last place."""
        choices = [k for k in range(-JITTER, JITTER + 1) if k]
        return [x + np.spacing(x) * self.rng.choice(choices, x.shape) for x in self.subject.arrays]


def restricted(direction: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The direction at these places, zero elsewhere."""
    part = np.zeros(direction.size)
    part[places] = direction.ravel()[places]
    return part.reshape(direction.shape)
