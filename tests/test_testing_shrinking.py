"""A wrong rule among random programs: found, and shrunk to the few operations and simple numbers that show it."""

from contextlib import contextmanager

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from test_testing_programs import listed, scaled

from tinygrad_edu import backward, vjp
from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.numerics import Line, judge
from tinygrad_edu.operation import sequence_plan
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.indexing import getitem
from tinygrad_edu.testing.random_programs import programs
from tinygrad_edu.tree import flatten

QUIET = {"database": None, "derandomize": True, "suppress_health_check": list(HealthCheck), "deadline": None}


@contextmanager
def planted(function, argument, rule):
    """Within it, the operation has a wrong rule for that argument."""
    operation = registry()[function]
    right, plans = operation.rules, operation.plans

    def forget():
        operation.forms.clear()
        sequence_plan.cache_clear()

    operation.rules = (*right[:argument], rule, *right[argument + 1 :])
    operation.plans = [None] * len(plans)
    forget()
    try:
        yield
    finally:
        operation.rules, operation.plans = right, plans
        forget()


def overwritten(g, a_shape, index):
    out = np.zeros(a_shape)
    out[index] = g
    return out


def last_only(g, shape):
    """Broadcasting undone by taking one of the copies, not their sum."""
    while g.ndim > len(shape):
        g = g[-1]
    for axis, size in enumerate(shape):
        g = g if g.shape[axis] == size else np.take(g, [-1], axis)
    return g


def fails(program):
    """Is the gradient off along a drawn direction? As nobody asks by how much, the judge may answer in short."""
    rng = np.random.default_rng(0)
    try:
        output, pullback = vjp(program, *program.inputs)
        outputs, rebuild = flatten(output)
        cotangents = [rng.standard_normal(np.shape(y)) for y in outputs]
        found = pullback(rebuild(cotangents))
    except (AutodiffError, ValueError):
        return True
    if [g.shape for g in found] != [x.shape for x in program.inputs]:
        return True
    directions = [rng.standard_normal(x.shape) for x in program.inputs]
    line = Line(lambda *xs: (listed(program(*xs)), None), program.inputs, directions, cotangents, found)
    claimed = float(sum(np.sum(g * v) for g, v in zip(found, directions, strict=True)))
    said = judge(line, claimed, in_short=True)
    return said.verdict == "wrong" and abs(claimed - said.numeric) > 100 * said.tolerance


def smallest_failing(strategy, count=3000):
    calm = settings(max_examples=count, phases=[Phase.generate, Phase.shrink], **QUIET)
    return hypothesis.find(strategy, fails, settings=calm)


RULES = {
    "a factor, for the second argument": (np.multiply, 1, lambda g, x: 1.01 * g * x),
    "a sign": (np.subtract, 1, lambda g: g),
    "a half": (np.square, 0, lambda g, x: g * x),
    "a square forgotten": (np.tanh, 0, lambda g, z: g * (1.0 - z)),
    "a scatter that overwrites": (getitem, 0, overwritten),
    "a transpose forgotten": (np.transpose, 0, lambda g, a_shape, axes=None: np.reshape(g, a_shape)),
    "a permutation not undone": (np.transpose, 0, lambda g, axes=None: np.transpose(g, axes)),
    "a product in the wrong order": (np.matmul, 0, lambda g, y: g @ y if y.ndim == g.ndim == 2 else g @ y.mT),
    "a choice ignored": (np.where, 1, lambda g, condition: g),
    "the wrong element": (np.concatenate, 0, lambda g, i, arrays, axis=0: g[: arrays[i].shape[0]]),
    "the cotangent's sum": (np.cumsum, 0, lambda g, a_shape, axis=None: np.reshape(np.cumsum(g, axis), a_shape)),
}


@pytest.mark.parametrize("bug", RULES)
def test_a_planted_bug_shrinks_to_at_most_three_operations(bug):
    with planted(*RULES[bug]):
        program = smallest_failing(programs())
    assert len(program) <= 3 and len(program.inputs) <= 2, program
    digits = [len(repr(abs(v))) for x in program.inputs for v in x.ravel().tolist()]
    assert len(digits) <= 27 and sorted(digits)[len(digits) // 2] <= 3, program
    assert not fails(program)  # without the bug


def test_an_engine_that_forgets_to_sum_over_a_broadcast_is_found_in_two_operations_at_most(monkeypatch):
    monkeypatch.setattr(backward, "unbroadcast", last_only)
    program = smallest_failing(programs())
    assert len(program) <= 2 and sum(x.size for x in program.inputs) <= 8, program


def test_a_bug_in_an_operation_of_ones_own_is_found_among_others():
    with planted(scaled, 1, lambda g, x: 1.1 * g * x):
        program = smallest_failing(programs([np.add, np.exp, scaled, np.matmul]))
    assert [step.function for step in program.steps] == [scaled]
