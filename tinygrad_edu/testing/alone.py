"""Parts of a subject as subjects of their own: each operation that ran, at the arguments it had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.operation import Primitive
from tinygrad_edu.record import apply
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.checker import Checker
from tinygrad_edu.testing.report import GradReport
from tinygrad_edu.testing.subject import Subject, is_float
from tinygrad_edu.testing.trace import Step, recorded
from tinygrad_edu.tree import flatten

__all__ = ["alone_again", "evened", "is_for_symmetric", "local_reports"]


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
    """The operation of a step as a function of its own array arguments; None if none of them is float.

    What has to be symmetric is made so first: a rule for symmetric matrices says nothing about the others.
    """
    operation: Any = step.operation
    ruled = len(operation.rules) if operation.sequence is None else len(step.args)

    def again(*args: Any) -> Any:
        given = [evened(arg) if k < ruled and is_for_symmetric(operation, k) else arg for k, arg in enumerate(args)]
        return apply(Tensor, operation, (*given, *step.args[ruled:]), step.keywords)

    again.__name__ = operation.name
    arguments = step.args[:ruled]
    if not any(is_float(leaf) and np.size(leaf) for leaf in flatten(list(arguments))[0]):
        return None
    return Subject(again, arguments)


def is_for_symmetric(operation: Any, argument: int) -> bool:
    return operation.sequence is None and "symmetric" in operation.domain[argument].name


def evened(x: Any) -> Any:
    """The symmetric part of matrices."""
    return 0.5 * (x + np.swapaxes(x, -1, -2))
