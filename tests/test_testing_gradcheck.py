"""The checker is checked: right gradients pass, wrong ones are named, and what cannot be told is said to be so."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, primitive, vjp
from tinygrad_edu.errors import DtypeError, NotTrackedError, ShapeError, UnsupportedError
from tinygrad_edu.testing import GradientError, assert_gradients, by_hand, gradcheck

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


def tanh_layer(x, w):
    return np.tanh(x @ w)


def tanh_layer_backward(g, x, w):
    d = g * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


# What passes


def test_a_right_gradient_is_ok_to_second_order():
    report = gradcheck(tanh_layer, X, W, order=2)
    assert report.verdict == "ok", str(report)
    assert {check.order for check in report.checks} == {1, 2}
    assert {check.path for check in report.checks} == {"inputs[0]", "inputs[1]", "cotangent[0]"}


def test_every_check_carries_its_numbers():
    for check in gradcheck(tanh_layer, X, W).checks:
        assert abs(check.derived - check.numeric) <= check.tolerance < 1e-8
        assert 0 < check.error <= check.tolerance
        assert check.evaluations >= 6 and check.step > 0


def test_nests_keep_their_names_and_what_is_no_float_is_held_fixed():
    f = lambda p, k: np.take(p["w"], k, axis=0) * p["b"][0]  # noqa: E731
    report = gradcheck(f, {"w": X, "b": [2.0]}, np.array([0, 0, 2]))
    assert report.verdict == "ok", str(report)
    assert list(report.shapes) == ["inputs[0]['b'][0]", "inputs[0]['w']"]


def test_wrt_chooses_the_inputs():
    assert {check.path for check in gradcheck(tanh_layer, X, W, wrt=1).checks} == {"inputs[1]"}
    assert {check.path for check in gradcheck(tanh_layer, X, W, wrt=(-2,)).checks} == {"inputs[0]"}
    assert {check.path for check in gradcheck(tanh_layer, X, W, wrt=np.int64(1)).checks} == {"inputs[1]"}
    assert {check.path for check in gradcheck(tanh_layer, X, W, wrt=np.arange(1)).checks} == {"inputs[0]"}


def test_large_inputs_are_judged_along_directions():
    report = gradcheck(np.sin, RNG.standard_normal(1000))
    assert [check.index for check in report.checks] == [None, None]
    assert len(gradcheck(np.sin, RNG.standard_normal(1000), directions=5).checks) == 5


@pytest.mark.parametrize("method", ["auto", "central", "complex", "longdouble"])
def test_every_method_accepts_right_and_rejects_wrong(method):
    assert gradcheck(tanh_layer, X, W, method=method, vjp=by_hand(tanh_layer_backward)).verdict == "ok"
    off = by_hand(lambda g, x, w: tuple((1 + 1e-8) * part for part in tanh_layer_backward(g, x, w)))
    assert gradcheck(tanh_layer, X, W, method=method, vjp=off).verdict == "wrong"


def test_the_complex_step_says_so_where_f_is_not_analytic():
    report = gradcheck(np.abs, np.array([1.5, -2.0]), method="complex", vjp=by_hand(lambda g, x: g * np.sign(x)))
    assert report.verdict == "unreliable"


def test_the_same_seed_gives_the_same_report():
    assert str(gradcheck(tanh_layer, X, W, seed=3)) == str(gradcheck(tanh_layer, X, W, seed=3))
    assert str(gradcheck(tanh_layer, X, W, seed=3)) != str(gradcheck(tanh_layer, X, W, seed=4))


def test_empty_inputs_and_outputs_pass():
    assert gradcheck(np.sum, np.zeros((0, 3))).verdict == "ok"
    assert gradcheck(lambda x: x[:0], X).verdict == "ok"


def test_second_order_of_another_vjp_is_judged_as_that_of_the_engine():
    report = gradcheck(tanh_layer, X, W, order=2, vjp=vjp)
    assert report.verdict == "ok", str(report)
    assert {check.path for check in report.checks if check.order == 2} == {"inputs[0]", "inputs[1]", "cotangent[0]"}


def test_a_backward_pass_by_hand_has_no_second_derivative_but_its_differences_are_symmetric():
    report = gradcheck(tanh_layer, X, W, order=2, vjp=by_hand(tanh_layer_backward))
    assert report.verdict == "ok" and {check.order for check in report.checks} == {1}
    assert "the second derivative is symmetric" in {finding.property for finding in report.findings}

    def without_one_path(g, x):  # of x ↦ sin(x) Σx
        return g * np.cos(x) * np.sum(x)

    report = gradcheck(lambda x: np.sin(x) * np.sum(x), X[0], order=2, vjp=by_hand(without_one_path))
    assert "no function has such a gradient" in str(report)


# What does not pass


def test_a_wrong_element_among_many_is_named():
    @primitive(lambda g, x: g * np.cos(x) * (1 + 1e-4 * (np.arange(x.size).reshape(x.shape) == 777)), broadcasts=True)
    def sine_wrong_at_777(x):
        return np.sin(x)

    (check,) = gradcheck(sine_wrong_at_777, RNG.standard_normal((40, 25)), directions=1).checks
    assert (check.verdict, check.index) == ("wrong", (31, 2))


@given(seed=st.integers(0, 1000), relative=st.sampled_from([1e-8, -1e-7, 1e-3, -2.0]))
def test_a_gradient_off_by_one_part_in_a_hundred_million_is_wrong(seed, relative):
    rng = np.random.default_rng(seed)
    x, w = rng.standard_normal((2, 2)), rng.standard_normal((2, 2))
    off = by_hand(lambda g, x, w: (tanh_layer_backward(g, x, w)[0], (1 + relative) * tanh_layer_backward(g, x, w)[1]))
    report = gradcheck(tanh_layer, x, w, vjp=off, seed=seed)
    assert {check.path for check in report.checks if check.verdict == "wrong"} == {"inputs[1]"}


def test_softmax_seven_times_too_steep_is_wrong_although_its_sum_is_constant():
    def backward(g, x):
        z = functional.softmax(x)
        return 7 * z * (g - (g * z).sum(-1, keepdims=True))

    assert gradcheck(functional.softmax, X, vjp=by_hand(backward)).verdict == "wrong"


def test_a_gradient_that_is_nothing_is_wrong():
    assert gradcheck(lambda x: np.log(x * x + 1e5), X, vjp=by_hand(lambda g, x: np.zeros_like(x))).verdict == "wrong"


def test_the_error_shows_the_report():
    told = r"gradcheck of tanh_layer: wrong.*\n.*inputs\[0\] \(3, 3\): wrong"
    with pytest.raises(GradientError, match=told) as caught:
        assert_gradients(tanh_layer, X, W, vjp=by_hand(lambda g, x, w: (g @ w, x.T @ g)))
    assert caught.value.report.verdict == "wrong"


def test_a_slope_at_an_extremum_is_wrong_however_small():
    """There f stands still for a thousand steps, which says nothing about where it does not."""
    off = by_hand(lambda g, x: g * (3 * x * x - 3 + 1e-6))
    assert gradcheck(lambda x: x * x * x - 3 * x, np.array([-1.0, 1.0]), vjp=off).verdict == "wrong"


@pytest.mark.parametrize("k", range(5))
def test_among_elements_of_every_size_the_one_that_is_off_is_found(k):
    x = np.geomspace(1e-300, 1e300, 5)
    assert gradcheck(np.log, x, vjp=by_hand(lambda g, x: g / x)).verdict == "ok"
    off = by_hand(lambda g, x: g / x * (1 + 1e-7 * (np.arange(5) == k)))
    assert gradcheck(np.log, x, vjp=off).verdict == "wrong"


# Kinks


def test_at_a_kink_any_value_between_both_sides_is_right():
    for slope in (0.0, 0.3, 1.0):
        backward = by_hand(lambda g, x, slope=slope: g * np.where(x == 0, slope, x > 0))
        report = gradcheck(lambda x: np.maximum(x, 0.0), np.array([0.0, 1.0]), vjp=backward)
        assert report.ok, str(report)
    for slope in (-0.1, 1.1):
        backward = by_hand(lambda g, x, slope=slope: g * np.where(x == 0, slope, x > 0))
        assert gradcheck(lambda x: np.maximum(x, 0.0), np.array([0.0, 1.0]), vjp=backward).verdict == "wrong"


def test_a_full_gradient_for_every_tie_is_wrong_although_each_alone_is_between_both_sides():
    full = by_hand(lambda g, x: g * (x == x.max()))
    first = by_hand(lambda g, x: g * (np.arange(x.size) == np.argmax(x)))
    x = np.array([1.0, 2.0, 2.0])
    assert gradcheck(np.max, x, vjp=full).verdict == "wrong"
    assert gradcheck(np.max, x, vjp=first).ok


@pytest.mark.parametrize("own", [True, False])
def test_many_kinks_at_once_are_no_fault_and_a_wrong_one_among_them_is(own):
    zeros = np.zeros((6, 8))
    assert gradcheck(functional.relu, zeros, vjp=None if own else vjp).ok
    assert gradcheck(np.abs, zeros, vjp=None if own else vjp).ok
    steep = by_hand(lambda g, x: g * np.where(x == 0, 2.0, x > 0))
    assert gradcheck(functional.relu, zeros, vjp=steep).verdict == "wrong"
    full = by_hand(lambda g, x: g * (x == x.max()))
    assert gradcheck(np.max, np.ones(40), vjp=full).verdict == "wrong"
    assert gradcheck(np.max, np.ones(40), vjp=None if own else vjp).ok


def test_an_infinite_slope_is_a_kink_and_not_a_number_is_wrong():
    assert gradcheck(np.sqrt, np.array([0.0, 1.0])).verdict == "kink"
    assert gradcheck(np.sqrt, np.array([1.0]), vjp=by_hand(lambda g, x: g * np.nan)).verdict == "wrong"


def test_a_slope_that_grows_like_a_logarithm_is_infinite_and_one_that_only_grows_for_a_while_is_not():
    entropy = lambda x: np.where(x > 0, x * np.log(np.where(x > 0, x, 1.0)), np.where(x < 0, np.nan, 0.0))  # noqa: E731
    x = np.array([0.0, 0.5])
    with np.errstate(divide="ignore"):
        assert gradcheck(entropy, x, vjp=by_hand(lambda g, x: g * (1 + np.log(x)))).verdict == "kink"
    endless = by_hand(lambda g, x: g * np.inf)
    assert gradcheck(lambda x: np.sqrt(np.abs(x) + 1e-9), np.array(0.0), vjp=endless).verdict == "wrong"


# What cannot be told


def test_what_differences_cannot_resolve_is_unreliable_not_ok():
    report = gradcheck(lambda x: 1e17 + np.sin(x), np.array(0.5))
    assert report.verdict == "unreliable"
    with pytest.raises(GradientError):
        assert_gradients(lambda x: 1e17 + np.sin(x), np.array(0.5))
    assert_gradients(lambda x: 1e17 + np.sin(x), np.array(0.5), unreliable="ignore")


@pytest.mark.parametrize("scale", [1e12, 1e15, 5e18])
def test_a_sine_that_turns_within_few_floats_of_x_is_told_or_left_open(scale):
    right, reverse = by_hand(lambda g, x: g * np.cos(x)), by_hand(lambda g, x: -g * np.cos(x))
    x = scale * np.array([0.87, 1.3])
    assert gradcheck(np.sin, x, vjp=right).verdict == ("ok" if scale < 1e13 else "unreliable")
    assert gradcheck(np.sin, x, vjp=reverse).verdict in ("wrong", "wrong" if scale < 1e13 else "unreliable")


def test_a_claim_below_the_last_digit_of_f_is_left_open():
    """The loss of a sure answer rounds to 0, whose slope is not."""
    report = gradcheck(lambda x: functional.cross_entropy(x, np.array([0])), np.array([[50.0, -50.0, 0.0]]))
    assert report.verdict == "unreliable", str(report)


@pytest.mark.parametrize("size", [2, 40])
def test_an_infinite_element_is_left_open_and_the_others_are_judged(size):
    x = np.arange(1.0, size + 1.0)
    x[1] = np.inf
    right, wrong = by_hand(lambda g, x: 2.0 * g), by_hand(lambda g, x: 2.0 * g * (1.0 + (x < 1.5)))
    assert gradcheck(lambda x: 2.0 * x, x, vjp=right).verdict == ("unreliable" if size == 2 else "ok")
    assert gradcheck(lambda x: 2.0 * x, x, vjp=wrong).verdict == "wrong"


@pytest.mark.parametrize("error", [ValueError, AssertionError, KeyError, RuntimeError])
def test_whatever_f_raises_beside_x_only_ends_its_domain(error):
    def power(x):
        if (x < 0).any():
            raise error("negative")
        return x**1.5

    x = np.array([1e-6, 0.5, 0.0])
    assert gradcheck(power, x, vjp=by_hand(lambda g, x: 1.5 * g * np.sqrt(x))).ok
    report = gradcheck(power, x, vjp=by_hand(lambda g, x: g * np.sqrt(x)))
    assert {check.index for check in report.checks if check.verdict == "wrong"} == {(0,), (1,)}


def test_where_the_second_derivative_jumps_the_first_is_told():
    x = np.array([1.0, -1.0, 0.2])
    huber = lambda x: np.where(np.abs(x) < 1, 0.5 * x * x, np.abs(x) - 0.5)  # noqa: E731
    assert gradcheck(huber, x, vjp=by_hand(lambda g, x: g * np.clip(x, -1, 1))).verdict == "ok"
    off = by_hand(lambda g, x: g * np.clip(x, -1, 1) * (1 + 1e-6))
    assert gradcheck(huber, x, vjp=off).verdict == "wrong"


def test_an_infinite_claim_where_the_slope_is_finite_is_wrong():
    one = by_hand(lambda g, x: np.where(np.arange(3) == 1, np.inf, g * np.cos(x)))
    assert gradcheck(np.sin, X[0], vjp=one).verdict == "wrong"


def test_a_function_that_is_not_deterministic_is_told_so_and_nothing_else():
    rng = np.random.default_rng(0)
    report = gradcheck(lambda x: x * rng.standard_normal(), np.array(3.0))
    assert [finding.message for finding in report.findings] == [
        "two calls of f gave two values; fix the seed of its random numbers"
    ]


def test_a_report_is_no_bool():
    with pytest.raises(TypeError, match=r"report\.ok"):
        bool(gradcheck(np.sin, X))


# Calls that make no sense


def test_calls_that_make_no_sense_say_why():
    with pytest.raises(DtypeError, match="no input is a float array"):
        gradcheck(np.sum, np.arange(3))
    with pytest.raises(NotTrackedError, match="wrt=2"):
        gradcheck(tanh_layer, X, W, wrt=2)
    with pytest.raises(ShapeError, match=r"cotangent of shapes \[\(2,\)\] for outputs of shapes \[\(3, 3\)\]"):
        gradcheck(tanh_layer, X, W, cotangent=np.ones(2))
    with pytest.raises(UnsupportedError, match="order=2: its vjp cannot differentiate its own pullback"):
        gradcheck(tanh_layer, X, W, order=2, vjp=lambda f, *xs: by_hand(tanh_layer_backward)(f, *map(np.asarray, xs)))
    with pytest.raises(NotTrackedError, match=r"<lambda>, test_testing_gradcheck.py:\d+: it returned NoneType"):
        gradcheck(lambda x: None, X)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"order": 3}, "order=3; it is 1 or 2"),
        ({"method": "centre"}, "method='centre'; it is one of auto, central, complex, longdouble"),
        ({"directions": 0}, "directions=0; along none, nothing is judged"),
        ({"directions": "all"}, "directions='all'"),
        ({"vjp": 3}, "vjp is int, where a function belongs"),
        ({"unreliable": "maybe"}, "unreliable='maybe'; it is 'raise' or 'ignore'"),
    ],
)
def test_options_under_which_nothing_would_be_judged_are_refused(options, told):
    with pytest.raises(UnsupportedError, match=re.escape(told)):
        assert_gradients(tanh_layer, X, W, **options)


def test_what_is_no_function_is_refused_and_so_is_an_input_by_name():
    with pytest.raises(UnsupportedError, match="f is float, where a function belongs"):
        gradcheck(0.5, X)
    with pytest.raises(NotTrackedError, match="wrt='x'"):
        gradcheck(np.tanh, X, wrt="x")


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_overflows_at_x_is_left_open_and_the_rest_is_judged():
    """exp(710) is inf, as it is a little beside: no difference tells its slope."""
    report = gradcheck(np.exp, np.array([710.0, 1.0]))
    assert [check.verdict for check in report.checks] == ["unreliable", "ok"]
    assert "is not finite at x: its slope cannot be measured" in report.checks[0].note
    twice = by_hand(lambda g, x: 2.0 * g * np.exp(x))
    assert gradcheck(np.exp, np.array([710.0, 1.0]), vjp=twice, manners=False).checks[1].verdict == "wrong"


# Reading it


def test_a_report_reads_as_text_html_and_dot():
    report = gradcheck(tanh_layer, X, W, vjp=by_hand(lambda g, x, w: (tanh_layer_backward(g, x, w)[0], g)))
    assert "inputs[1] (3, 3): wrong, 9 elements" in str(report) and "and 3 more" in str(report)
    assert report._repr_html_().count("<tr>") == 1 + len(report.checks) + len(report.findings)
    assert "tomato" in report.to_dot() and report.to_dot().count("->") == 2


def test_hostile_names_stay_text():
    def f(nest):
        return 2 * nest["</td>"]

    f.__name__ = '<script>"\\'
    report = gradcheck(f, {"</td>": X})
    assert "<script>" not in report._repr_html_() and "</td>'" not in report._repr_html_()
    assert '\\"' in report.to_dot()


def test_tensors_are_taken_by_value():
    x = Tensor(X, requires_grad=True)
    assert gradcheck(lambda x: x * x, x).verdict == "ok"
    assert x.grad is None
