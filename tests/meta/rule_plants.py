"""Wrong rules, made from the right ones: every operation, every argument, every kind of mistake.

A plant needs a witness, a call at which it changes a gradient; without one it is no mistake there, and is left out.
"""

from dataclasses import dataclass

import numpy as np
from calls import OPERATIONS, Cubes, Draw, checks, drawn, squares, takes_squares
from planting import like, planted_rule

from tinygrad_edu import Tensor
from tinygrad_edu.operation import Primitive

ROUNDED = 1e-13  # of numbers around 1: what is left of a derivative that is 0


def plain(x):
    return x.detach() if isinstance(x, Tensor) else x


def turned(share):
    return np.swapaxes(share, -1, -2) if np.ndim(share) > 1 and share.shape[-1] == share.shape[-2] else share


def flipped(share):
    return np.flip(share, -1) if np.ndim(share) else share


def first_alone(share):
    """Only the first element gets anything."""
    mask = np.zeros(np.shape(share))
    mask.reshape(-1)[:1] = 1.0
    return share * mask


KINDS = {
    "sign": lambda share, g, needs: -share,
    "factor of two": lambda share, g, needs: 2.0 * share,
    "off by a millionth": lambda share, g, needs: share * (1 + 1e-6),
    "nothing": lambda share, g, needs: share * 0.0,
    "cotangent added": lambda share, g, needs: share + 0.1 * np.sum(g),
    "constant added": lambda share, g, needs: share + 1e-3,
    "averaged": lambda share, g, needs: share / max(np.size(share), 1),
    "squared": lambda share, g, needs: share * share,
    "absolute": lambda share, g, needs: np.abs(share),
    "transposed": lambda share, g, needs: turned(share),
    "reversed": lambda share, g, needs: flipped(share),
    "shifted": lambda share, g, needs: np.roll(share, 1, -1) if np.ndim(share) else share,
    "the first alone": lambda share, g, needs: first_alone(share),
    "off the graph": lambda share, g, needs: plain(share),
    "rounded to float32": lambda share, g, needs: share.astype(np.float32),
    "mean taken out": lambda share, g, needs: share - np.mean(share) if np.size(share) else share,
}


@dataclass(frozen=True)
class RulePlant:
    operation: object
    argument: int
    kind: str

    @property
    def name(self):
        return f"{self.operation.name}, argument {self.argument}, {self.kind}"

    def planted(self):
        return planted_rule(self.operation, self.argument, lambda right: like(right, KINDS[self.kind]))


def every_plant():
    """In an order that mixes operations and kinds, always the same."""
    found = [
        RulePlant(operation, argument, kind)
        for operation in OPERATIONS
        if isinstance(operation, Primitive)
        for argument, rule in enumerate(operation.rules)
        if rule is not None
        for kind in KINDS
    ]
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]


def derivatives(call):
    """First and second derivatives under fixed weights, as one list."""
    rng = np.random.default_rng(1)
    arrays = call.arrays
    cotangents = checks.normal(rng, checks.plain_outputs(call, arrays))
    first = checks.gradient_of(call, arrays, cotangents)
    xs = checks.tracked(arrays)
    total = checks.inner(call(*xs), cotangents)
    once = checks.inner(checks.gradients(total, xs, create_graph=True), checks.normal(rng, arrays))
    second = checks.gradients(once, xs, allow_unused=True)
    return first + [np.zeros(1) if g is None else g.numpy() for g in second]


def few_then_many(operation, number, examples):
    """Nearly always the first call tells, so that only few are drawn at first."""
    yield from drawn(operation, min(4, examples), Draw, number)
    yield from drawn(operation, examples, Draw, number)


def changes(plant, call):
    """Does the plant change a first or second derivative there by more than it rounds?"""
    right = derivatives(call)
    try:
        with plant.planted():
            wrong = derivatives(call)
    except Exception:
        return True  # it does not even run
    for a, b in zip(right, wrong, strict=True):
        scale = max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0))
        if np.shape(a) != np.shape(b) or np.max(np.abs(a - b), initial=0.0) > 1e-9 * scale + ROUNDED:
            return True
    return False


def has_witness(plant, tries=12):
    """Is there a call at which it changes a derivative?"""
    return any(changes(plant, call) for call in few_then_many(plant.operation, 0, tries))


def judge(call, number):
    """What tests/test_rules.py asserts of a drawn call, the cheapest first; raises where one of it does not hold."""
    for check in (
        checks.assert_linear_in_the_cotangent, checks.first_derivative_is_judged,
        checks.assert_pushforward_is_the_adjoint, checks.second_derivative_is_judged,
        checks.assert_alone_as_together, checks.assert_nothing_is_mutated_or_shared,
    ):  # fmt: skip
        check(call, np.random.default_rng(number))


def is_killed(plant, number=0, examples=40):
    """Do the suite's own checks of that operation, on calls drawn from this seed, fail under the plant?"""
    operation = plant.operation
    for call in telling(operation, number, examples):
        try:
            with plant.planted():
                judge(call, number)
        except Exception:
            return True
    return False


def telling(operation, number, examples):
    """Squares where they come without drawing; drawn cubes after the first calls, which few plants outlive."""
    if takes_squares(operation):
        yield squares(operation, np.random.default_rng(number))
        yield from few_then_many(operation, number, examples)
    else:
        yield from drawn(operation, min(4, examples), Draw, number)
        yield from drawn(operation, 10, Cubes, number)
        yield from drawn(operation, examples, Draw, number)
