"""A failed check names the rule, the argument, the elements and the lines; a healthy program gets no blame."""

import inspect
import re
from contextlib import contextmanager

import numpy as np
import pytest

from tinygrad_edu import checkpoint, functional, primitive, scope
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing import GradientError, assert_gradients, gradcheck

RNG = np.random.default_rng(7)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


def program(call):
    """A program of about ten operations around one; every value is used twice."""

    def model(x, w):
        h = np.tanh(x @ w) + 0.5 * x
        with scope("block"):
            y = call(h, w)
        return np.sum(np.sin(y) * np.exp(0.1 * y)) + np.mean(h * w)

    return model


def square(x):
    return x * x


def times(x, y):
    return x * y


def test_every_registry_operation_may_be_the_one():
    """A rule of NumPy's own function, planted wrong."""
    operation = registry()[np.tanh]
    with planted(operation, 0, lambda g, z: g * (1 - z)):
        report = gradcheck(program(lambda h, w: h * w), X, W, manners=False)
    assert "The rule of tanh for its argument x is wrong: " in report.explanation
    assert "in block" not in report.explanation


@contextmanager
def planted(operation, argument, rule):
    rules, plans = operation.rules, operation.plans
    operation.rules = (*rules[:argument], rule, *rules[argument + 1 :])
    operation.plans = [None] * len(plans)
    try:
        yield
    finally:
        operation.rules, operation.plans = rules, plans


# Second order, and what is around the value


def bare(x):
    return getattr(x, "_value", x)


def test_a_rule_that_is_right_on_arrays_alone_is_named():
    cube = primitive(lambda g, x: g * 3 * bare(x) ** 2, broadcasts=True)(lambda x: x**3)
    report = gradcheck(program(lambda h, w: cube(h) * w), X, W, order=2, manners=False)
    assert {check.order for check in report.checks if check.verdict == "wrong"} == {2}
    assert (
        "The rule of <lambda> for its argument x is right on arrays, but not on Tensors: its derivative by x is wrong: "
        "it is zero: nothing flows back" in report.explanation
    )


def test_an_operation_inside_a_rule_is_named_where_only_second_derivatives_are_wrong():
    inner = primitive(lambda g, x: 3 * g * x, broadcasts=True)(square)
    outer = primitive(lambda g, x: g * 3 * inner(x), broadcasts=True)(lambda x: x**3)
    report = gradcheck(program(lambda h, w: outer(h) * w), X, W, order=2, manners=False)
    assert report.explanation.startswith(
        "In the second derivative:\nThe rule of square for its argument x is wrong: off by the factor 1.5 "
    )


def test_a_rule_that_breaks_a_property_around_the_value_is_named():
    def backward(g, x):
        return bare(g) * 2 * x

    operation = primitive(backward, broadcasts=True)(square)
    report = gradcheck(program(lambda h, w: operation(h) * w), X, W)
    assert {check.verdict for check in report.checks} == {"ok"}
    assert report.explanation.startswith("square alone breaks it (forward mode is the adjoint): ⟨c, J v⟩ = 0 but ")
    assert "def backward(g, x): … return bare(g) * 2 * x" in report.explanation


# What is said, and what is not


def test_the_whole_text_reads_like_this():
    half = primitive(lambda g, y: g * y, lambda g, x: g * x * 0.5, broadcasts=True)(times)

    def model(x, w):
        with scope("blocks.0"):
            return np.sum(half(x @ w, w))

    with pytest.raises(GradientError) as caught:
        assert_gradients(model, np.array([[1.0, 2.0]]), np.array([[0.5, 1.0], [2.0, 3.0]]), cotangent=1.0)
    line = inspect.getsourcelines(test_the_whole_text_reads_like_this)[1]
    text = re.sub(r"± [\d.e-]+\)", "± …)", str(caught.value).partition("\n\n")[2])
    assert text == (
        "The rule of times for its argument y is wrong: off by the factor 0.5 "
        "(at [0, 0]: derived 0.282893, numeric 0.565786 ± …).\n"
        f"  rule      lambda g, x: g * x * 0.5    test_testing_blame.py:{line + 1}\n"
        f"  called    at test_testing_blame.py:{line + 5}, in blocks.0\n"
        "  graph     inputs[1] ──> [times] ──> sum"
    )


def test_the_picture_holds_the_way_with_the_wrong_operation_in_red():
    half = primitive(lambda g, y: g * y, lambda g, x: g * x * 0.5, broadcasts=True)(times)
    report = gradcheck(program(lambda h, w: half(h, w)), X, W, manners=False)
    assert report.to_dot() == report.dot
    (red,) = [line for line in report.dot.splitlines() if "#c00000" in line]
    assert "<B>times</B>" in red
    assert "mean" not in report.dot


def test_a_long_way_is_shortened_around_what_is_wrong():
    wrong_square = primitive(lambda g, x: g * x, broadcasts=True)(square)

    def model(x):
        for _ in range(20):
            x = np.sin(x)
        x = wrong_square(x)
        for _ in range(20):
            x = np.cos(x)
        return x

    text = gradcheck(model, X, manners=False).explanation
    assert text.endswith(
        "  graph     inputs[0] ──> … ──> sin ──> sin ──> sin ──> [square] ──> cos ──> cos ──> cos ──> … ──> cos"
    )


def test_a_rule_that_cannot_be_mended_simply_is_said_to_be_so():
    odd = primitive(lambda g, x: g * np.cos(3 * x) * x, broadcasts=True)(square)
    text = gradcheck(program(lambda h, w: odd(h)), X, W, manners=False).explanation
    assert "The rule of square for its argument x is wrong: no simple correction mends it (at [0, 0]: " in text


def test_a_large_argument_is_explained_from_some_of_its_elements():
    odd = primitive(lambda g, x: g * x, broadcasts=True)(square)
    report = gradcheck(lambda x: np.sum(np.sin(odd(x))), RNG.standard_normal((60, 40)), manners=False)
    assert "is wrong: off by the factor 0.5 (at [" in report.explanation


def test_ties_that_each_get_the_full_gradient_are_told():
    full = primitive(lambda g, x: g * (x == np.max(x)), kinks=lambda x: x == np.max(x))(lambda x: np.max(x))
    report = gradcheck(lambda x: full(x) * 2.0, np.array([1.0, 3.0, 3.0]), manners=False)
    assert "elements that tie get 2 times what is theirs, together; they should share it" in report.explanation


def test_a_right_rule_for_a_constant_argument_is_not_asked_about():
    """y is never differentiated here: its wrong rule is not what is wrong."""
    half = primitive(lambda g, y: -g * y, lambda g, x: g * x * 0.5, broadcasts=True)(times)
    text = gradcheck(lambda x: np.sum(half(np.sin(x), W)), X, manners=False).explanation
    assert "argument x is wrong: its sign is flipped" in text and "argument y" not in text


def test_a_rule_that_is_wrong_for_some_cotangents_alone_is_asked_with_the_one_it_had():
    lossy = primitive(lambda g, x: np.maximum(g * 2 * x, 0), broadcasts=True)(square)
    text = gradcheck(lambda x: -np.sum(lossy(x)), np.array(0.5), cotangent=1.0, manners=False).explanation
    assert text.startswith("The rule of square for its argument x is wrong: it is cut off at 0")


def test_a_rule_for_symmetric_matrices_is_not_blamed_for_the_others():
    wrong_square = primitive(lambda g, x: g * x, broadcasts=True)(square)

    def model(x):
        s = wrong_square(x) + wrong_square(x.T) + 9 * np.eye(3)
        return np.sum(np.linalg.eigvalsh(s) ** 2) + np.sum(np.linalg.cholesky(s))

    text = gradcheck(model, X, manners=False).explanation
    assert text.startswith("The rule of square for its argument x is wrong: off by the factor 0.5")


HEALTHY = {
    "tanh layer": lambda x, w: np.tanh(x @ w),
    "attention": lambda x, w: functional.softmax(x @ w.T / 2) @ x,
    "norm": lambda x, w: np.sum(functional.layer_norm(x, w[0], w[1])),
    "many outputs": lambda x, w: (np.sort(x), {"a": x @ w, "b": np.cumsum(w)}),
    "checkpoint": lambda x, w: checkpoint(lambda h: np.sin(h) * h)(x @ w),
    "keywords": lambda x, w: np.sort(x, axis=0, kind="stable") * w,
    "kink": lambda x, w: functional.relu(x - x) + w,
}


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize("order", [1, 2])
def test_a_healthy_program_gets_no_blame(name, order):
    report = gradcheck(HEALTHY[name], X, W, order=order)
    assert report.verdict in ("ok", "kink"), str(report)
    assert report.explanation == "" and report.dot == ""
