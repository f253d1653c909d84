"""The judge is judged: its error bars hold, and it finds rules that are wrong by very little."""

import numpy as np
import pytest
from calls import Call, checks
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import primitive
from tinygrad_edu.numerics import directional_derivative

SMOOTH = {
    "sin": (np.sin, np.cos), "exp": (np.exp, np.exp), "cube": (lambda x: x * x * x, lambda x: 3 * x * x),
    "log": (lambda x: np.log(np.abs(x) + 0.1), lambda x: np.sign(x) / (np.abs(x) + 0.1)),
    "tiny": (lambda x: np.sin(1e-6 * x), lambda x: 1e-6 * np.cos(1e-6 * x)),
    "constant": (lambda x: 0 * x + 3.0, np.zeros_like), "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "offset": (lambda x: np.log(x * x + 1e5), lambda x: 2 * x / (x * x + 1e5)),
    "steep": (lambda x: np.tanh(9 * x), lambda x: 9 / np.cosh(9 * x) ** 2),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=25)
@given(x=st.floats(-3, 3), scale=st.sampled_from([1.0, 1e-3, 30.0]))
def test_the_true_derivative_lies_within_the_error_bar(name, x, scale):
    f, slope = SMOOTH[name]
    x = np.array(x + np.copysign(0.01, x))
    estimate = directional_derivative(f, [x], [np.array(scale)], np.array(0.7))
    exact = 0.7 * scale * float(slope(x))
    assert abs(estimate.value - exact) <= 2 * estimate.error + 1e-14 * abs(exact) + 1e-12 * scale


@pytest.mark.parametrize("name", [name for name in SMOOTH if name not in ("offset", "steep")])
def test_error_bars_of_smooth_functions_are_small_and_cheap(name):
    f, slope = SMOOTH[name]
    calls = []

    def counted(x):
        calls.append(x)
        return f(x)

    estimate = directional_derivative(counted, [np.array(0.8)], [np.array(1.0)], np.array(1.0))
    assert estimate.error <= 1e-9 * abs(float(slope(np.array(0.8))))
    assert len(calls) <= 12


@pytest.mark.parametrize("distance", [0.5, 1e-2, 1e-3, 1e-5])
def test_a_kink_close_by_costs_calls_not_accuracy(distance):
    estimate = directional_derivative(np.abs, [np.array(distance)], [np.array(1.0)], np.array(1.0))
    assert abs(estimate.value - 1.0) <= 2 * estimate.error + 1e-12
    assert estimate.error < 1e-6


def test_a_kink_at_the_point_gives_the_mean_of_both_sides():
    assert directional_derivative(lambda x: np.maximum(x, 0.0), [np.array(0.0)], [np.array(1.0)], 1.0).value == 0.5


def test_a_jump_at_the_point_has_no_small_error_bar():
    estimate = directional_derivative(np.floor, [np.array(1.0)], [np.array(1.0)], 1.0)
    assert estimate.error > 1e-3


def test_where_nothing_is_finite_there_is_no_estimate():
    estimate = directional_derivative(lambda x: x * np.nan, [np.array(1.0)], [np.array(1.0)], 1.0)
    assert np.isnan(estimate.value)
    assert estimate.error == np.inf


def test_several_inputs_and_outputs_are_projected_on_their_cotangents():
    x, y = np.array([1.0, 2.0]), np.array(3.0)
    f = lambda x, y: {"a": x * y, "b": [np.sum(x)]}  # noqa: E731
    cotangent = {"a": np.array([1.0, -1.0]), "b": [np.array(5.0)]}
    estimate = directional_derivative(f, [x, y], [np.array([1.0, 0.5]), np.array(2.0)], cotangent)
    assert estimate.value == pytest.approx((1.0 * 3 + 1 * 2) - (0.5 * 3 + 2 * 2) + 5.0 * 1.5, rel=1e-12)


def test_outputs_that_stay_put_add_no_noise():
    huge = lambda x: (x * x, np.full(3, 1e12))  # noqa: E731
    estimate = directional_derivative(huge, [np.array(2.0)], [np.array(1.0)], (np.array(1.0), np.ones(3)))
    assert estimate.error < 1e-10


# Rules that are wrong by little


@primitive(lambda g, x: g * np.cos(x) * (1 + 1e-7), broadcasts=True)
def slightly_wrong_everywhere(x):
    return np.sin(x)


@primitive(lambda g, x: g * np.cos(x) * (1 + 1e-3 * (np.arange(x.size).reshape(x.shape) == 3)))
def wrong_in_one_element(x):
    return np.sin(x)


@primitive(lambda g, x: g * 0.0, broadcasts=True)
def nothing_at_all(x):
    return np.log(np.abs(x) + 100000.0)


@primitive(lambda g, z: 7.0 * z * (g - np.sum(g * z)))
def softmax_seven_times_too_steep(x):
    e = np.exp(x - np.max(x))
    return e / np.sum(e)


@primitive(lambda g, x: g * 1e-6 * -np.cos(1e-6 * x), broadcasts=True)
def wrong_sign_at_a_tiny_scale(x):
    return np.sin(1e-6 * x)


WRONG = [
    slightly_wrong_everywhere, wrong_in_one_element, nothing_at_all, softmax_seven_times_too_steep,
    wrong_sign_at_a_tiny_scale,
]  # fmt: skip


@pytest.mark.parametrize("function", WRONG, ids=lambda function: function.__name__)
@pytest.mark.parametrize("seed", range(5))
def test_a_wrong_rule_does_not_pass(function, seed):
    rng = np.random.default_rng(seed)
    with pytest.raises(AssertionError, match=r"derived .*, estimated .* ± "):
        checks.first_derivative_is_judged(Call(function, (rng.standard_normal(8),)), rng)


@primitive(lambda g, x: g * np.array(getattr(np.cos(x), "_value", np.cos(x))), broadcasts=True)
def off_the_graph(x):
    return np.sin(x)


def test_a_rule_that_leaves_the_graph_is_found_by_the_second_derivative():
    rng = np.random.default_rng(0)
    call = Call(off_the_graph, (rng.standard_normal(3),))
    assert checks.first_derivative_is_judged(call, rng)
    with pytest.raises(AssertionError, match="derived"):
        checks.second_derivative_is_judged(call, rng)


def test_a_vague_estimate_is_not_taken_for_agreement():
    x, one = np.array(0.5), np.array(1.0)
    for offset, sharp in ((0.0, True), (1e12, False), (1e17, False)):
        assert checks.judged(lambda x, offset=offset: [offset + np.sin(x)], [x], [one], [one], [np.cos(x)]) == sharp
