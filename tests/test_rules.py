"""Every rule of the registry against NumPy and against finite differences, without anyone listing them."""

import numpy as np
import pytest
from calls import OPERATIONS, Cubes, Draw, calls, checks, drawn, squares, takes_squares, without_calls
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
MOST = 20  # calls of each operation; what costs more is asked of the first of them


def holds(check, operation, count, made_with=Draw):
    """Check the drawn calls: the same for all tests here, as drawing costs more than most checks do.

    Returns those that could not be judged. Where a call fails, Hypothesis looks for the simplest that does.
    """
    vague = []
    try:
        for number, call in enumerate(drawn(operation, MOST if made_with is Draw else count, made_with)[:count]):
            if check(call, np.random.default_rng(number)) is False:
                vague.append(call)
    except Exception:
        if Phase.shrink in settings().phases:
            simplest(check, operation, made_with)
        raise
    return vague


def simplest(check, operation, made_with):
    @settings(max_examples=100, phases=[Phase.generate, Phase.shrink])
    @given(call=calls(operation, made_with), seed=st.integers(0, 2**32 - 1))
    def again(call, seed):
        check(call, np.random.default_rng(seed))

    again()


def test_every_operation_has_calls():
    assert without_calls() == []


@each_operation
def test_value_is_numpys(operation):
    """To the last bit; einsum's may be a product of matrices here, which adds up in another order."""
    exact = operation.kind == "rule" and operation.name != "einsum"
    holds(lambda call, rng: checks.assert_value_is_numpys(call, exact), operation, MOST)


@each_operation
def test_first_derivative_is_what_finite_differences_say(operation):
    vague = holds(checks.first_derivative_is_judged, operation, MOST)
    assert len(vague) <= 2, f"{len(vague)} calls could not be judged, such as {vague[0]}"


@each_operation
def test_derivatives_of_square_arguments_are_what_finite_differences_say(operation):
    """A transposed share has the right shape there, and adds up to the right sum."""
    if takes_squares(operation):
        for rng in map(np.random.default_rng, range(10)):
            checks.first_derivative_is_judged(squares(operation, rng), rng)
    else:
        holds(checks.first_derivative_is_judged, operation, 10, Cubes)


@each_operation
def test_second_derivative_is_what_finite_differences_say(operation):
    vague = holds(checks.second_derivative_is_judged, operation, 12)
    assert len(vague) <= 1, f"{len(vague)} calls could not be judged, such as {vague[0]}"


@each_operation
def test_gradients_have_manners(operation):
    """Shape and dtype kept, nothing mutated, no memory shared, linear in the cotangent, the same every time."""

    def polite(call, rng):
        checks.assert_pushforward_is_the_adjoint(call, rng)
        checks.assert_dtype_is_kept(call, rng)
        checks.assert_nothing_is_mutated_or_shared(call, rng)
        checks.assert_alone_as_together(call, rng)
        checks.assert_linear_in_the_cotangent(call, rng)

    holds(polite, operation, 8)
