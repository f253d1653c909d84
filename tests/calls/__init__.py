"""Drawn calls of every operation in the registry, for the tests of all of them.

What takes more than arrays has its calls in tinygrad_edu.testing.written. Elementwise operations are drawn here from
what they declare, at values of no special kind: the kit's own decimals also meet kinks, which these tests do without.
`without_calls` names what has neither.
"""

import functools

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tinygrad_edu.primitive import Primitive, registry
from tinygrad_edu.testing import Call
from tinygrad_edu.testing.written import WRITTEN, Draw

OPERATIONS = [
    operation
    for function, operation in registry().items()
    if operation.kind in ("rule", "composite") and function.__module__.startswith(("numpy", "tinygrad_edu"))
]


FEW = {"deadline": None, "database": None, "phases": [Phase.generate], "suppress_health_check": list(HealthCheck)}


def key_of(operation):
    """The function a user calls: what the registry files the operation under."""
    return next(function for function, known in registry().items() if known is operation)


def drawn_by(operation):
    """The function from a Draw to a Call, None if there is none."""
    written = WRITTEN.get(key_of(operation))
    if written is not None:
        return written
    if isinstance(operation, Primitive) and operation.elementwise and None not in operation.rules:
        return functools.partial(elementwise, key_of(operation), operation.domain)
    return None


def calls(operation, made_with=Draw):
    """A Hypothesis strategy of calls of one operation."""
    write = drawn_by(operation)
    return st.composite(lambda draw: write(made_with(draw)))()


@functools.cache
def drawn(operation, count, made_with=Draw, number=None):
    """So many calls, as Hypothesis draws them, from a seed if one is given: once, for all tests of an operation."""
    found = []

    @settings(max_examples=count, **FEW)
    @given(call=calls(operation, made_with))
    def collect(call):
        found.append(call)

    (collect if number is None else seed(number)(collect))()
    return found


class Cubes(Draw):
    """Draws squares and cubes alone: a share that is transposed has the right shape there, and shows by its values."""

    def shape(self, least=0, most=3, smallest=1):
        sizes = [size for size in (3, 2) if size >= smallest] or [smallest]
        return (self.pick(*sizes),) * (least + self.number(most - least + 1))


def without_calls():
    return [operation.name for operation in OPERATIONS if drawn_by(operation) is None]


def somewhere(rng, shape, domain):
    """Normal values; inside a domain, away from its ends."""
    x = rng.standard_normal(shape) * 1.5
    if np.isfinite(domain.low) and np.isfinite(domain.high):
        return domain.low + (domain.high - domain.low) * (0.05 + 0.9 * rng.random(shape))
    if np.isfinite(domain.low):
        return domain.low + np.exp(x / 2)
    return np.where(x < 0, x - 0.3, x + 0.3) if domain.without_zero else x


def elementwise(function, domains, d):
    """One array for each declared domain; of two, one may be a Python number."""
    shapes = d.broadcasting(len(domains))
    arrays = [d.laid_out(somewhere(d.rng, *pair)) for pair in zip(shapes, domains, strict=True)]
    if len(arrays) == 2 and d.pick(False, False, True):
        k = d.number(2)
        arrays[k] = float(somewhere(d.rng, (), domains[k]))
    return Call(function, tuple(arrays))


def takes_squares(operation):
    """Is it a NumPy function of numbers, with a rule for each argument?"""
    elementwise = isinstance(operation, Primitive) and operation.elementwise and None not in operation.rules
    return elementwise and isinstance(key_of(operation), np.ufunc)


def squares(operation, rng):
    """All arguments square and of one size, where a share that is transposed shows by its values alone."""
    return Call(key_of(operation), tuple(somewhere(rng, (3, 3), domain) for domain in operation.domain))


__all__ = [
    "OPERATIONS", "Call", "Cubes", "Draw", "calls", "drawn", "key_of", "squares", "takes_squares", "without_calls",
]  # fmt: skip
