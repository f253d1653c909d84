"""Every rule of the registry against NumPy and against finite differences, without anyone listing them."""

import numpy as np
import pytest
from calls import OPERATIONS, Cubes, calls, checks, squares, takes_squares, without_calls
from hypothesis import given, settings
from hypothesis import strategies as st

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
SEEDS = st.integers(0, 2**32 - 1)


def judge_most(operation, check, examples):
    """Run a check on drawn calls; the few where the estimate is too vague to judge are counted, and limited."""
    vague = []

    @settings(max_examples=examples)
    @given(call=calls(operation), seed=SEEDS)
    def judge(call, seed):
        if not check(call, np.random.default_rng(seed)):
            vague.append(call)

    judge()
    assert len(vague) <= examples // 10, f"{len(vague)} of {examples} could not be judged, such as {vague[0]}"


def test_every_operation_has_calls():
    assert without_calls() == []


@each_operation
def test_value_is_numpys(operation):
    @settings(max_examples=20)
    @given(call=calls(operation))
    def check(call):
        checks.assert_value_is_numpys(call, exact=operation.kind == "rule")

    check()


@each_operation
def test_first_derivative_is_what_finite_differences_say(operation):
    judge_most(operation, checks.first_derivative_is_judged, 20)


@each_operation
def test_derivatives_of_square_arguments_are_what_finite_differences_say(operation):
    """A transposed share has the right shape there, and adds up to the right sum."""

    @settings(max_examples=10)
    @given(call=calls(operation, Cubes), seed=SEEDS)
    def check(call, seed):
        rng = np.random.default_rng(seed)
        checks.first_derivative_is_judged(squares(operation, rng) if takes_squares(operation) else call, rng)

    check()


@each_operation
def test_second_derivative_is_what_finite_differences_say(operation):
    judge_most(operation, checks.second_derivative_is_judged, 12)


@each_operation
def test_gradients_have_manners(operation):
    """Shape and dtype kept, nothing mutated, no memory shared, linear in the cotangent, the same every time."""

    @settings(max_examples=8)
    @given(call=calls(operation), seed=SEEDS)
    def check(call, seed):
        rng = np.random.default_rng(seed)
        checks.assert_pushforward_is_the_adjoint(call, rng)
        checks.assert_dtype_is_kept(call, rng)
        checks.assert_nothing_is_mutated_or_shared(call, rng)
        checks.assert_alone_as_together(call, rng)
        checks.assert_linear_in_the_cotangent(call, rng)

    check()
