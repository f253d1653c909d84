"""What a gradient must be besides right in value: of its own memory, linear, in the dtype of its input, each alone."""

import numpy as np
import pytest

from tinygrad_edu import primitive
from tinygrad_edu.testing import by_hand, gradcheck

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


def broken(**parts):
    """What gradcheck finds for x ↦ 2x with a broken backward pass."""
    report = gradcheck(lambda x: 2 * x, np.arange(3.0), vjp=by_hand(**parts))
    return {finding.property for finding in report.findings if not finding.ok}


def test_a_backward_pass_that_writes_into_its_cotangent_is_found():
    def backward(g, x):
        g *= 2.0
        return g

    assert {"nothing is mutated", "no memory is shared"} <= broken(backward=backward)


@pytest.mark.parametrize("who", ["f", "the backward pass"])
def test_what_is_written_into_an_input_is_told_and_spoils_no_number(who):
    def doubled(x):
        x *= 2.0
        return x + 0.0

    f, backward = (doubled, lambda g, x: 2 * g) if who == "f" else (lambda x: x * x, lambda g, x: g * doubled(x))
    x = np.arange(1.0, 4.0)
    report = gradcheck(f, x, vjp=by_hand(backward))
    assert all(check.verdict == "ok" for check in report.checks), str(report)
    assert "inputs[0] changed" in next(finding.message for finding in report.findings if not finding.ok)
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_a_gradient_that_is_the_callers_array_is_found():
    report = gradcheck(lambda x: x * 1.0, X, vjp=by_hand(lambda g, x: g))
    assert [finding.property for finding in report.findings if not finding.ok] == ["no memory is shared"]


def test_two_gradients_in_one_memory_are_found():
    def backward(g, x, y):
        both = np.stack([g, g])
        return both[0], both[0]

    report = gradcheck(np.add, X, W, vjp=by_hand(backward))
    assert "inputs[1]" in next(finding.message for finding in report.findings if not finding.ok)


def test_a_constant_added_to_the_gradient_is_not_linear():
    assert "it is linear in the cotangent" in broken(backward=lambda g, x: 2 * g + 1e-3)


def test_a_gradient_in_single_precision_is_found():
    assert "dtype is kept" in broken(backward=lambda g, x: (2 * g).astype(np.float32))


def test_what_works_in_single_precision_throughout_may_give_its_gradient_so():
    single = lambda x: np.sin(x.astype(np.float32))  # noqa: E731
    assert gradcheck(single, X, vjp=by_hand(lambda g, x: g * np.cos(x.astype(np.float32)))).verdict == "ok"
    assert gradcheck(single, X, vjp=by_hand(lambda g, x: (g * np.cos(x)).astype(np.float16))).verdict == "wrong"


def test_a_function_may_write_its_value_into_the_same_memory_at_every_call():
    memory = np.empty_like(X)
    sine = lambda x: np.sin(x, out=memory)  # noqa: E731
    assert gradcheck(sine, X, vjp=by_hand(lambda g, x: g * np.cos(x))).verdict == "ok"


def test_a_gradient_of_the_wrong_shape_is_told_in_a_report():
    report = gradcheck(np.add, X, W[0], vjp=by_hand(lambda g, x, y: (g, g)))
    assert report.verdict == "wrong"
    assert "inputs[1] has shape (3, 3), the input (3,)" in str(report)
    assert "returned 1 gradients for 2 inputs" in str(gradcheck(np.matmul, X, W, vjp=by_hand(lambda g, x, w: g)))


def manner(f, *inputs):
    """What is said to be broken around the gradients of a function for this engine, none of which is wrong."""
    report = gradcheck(f, *inputs)
    assert all(check.verdict == "ok" for check in report.checks), str(report)
    return {finding.property: finding.message for finding in report.findings if not finding.ok}


def test_a_rule_that_loses_digits_in_float32_only_is_found():
    def rule(g, x):
        return g * (np.cos(x) if x.dtype == np.float64 else np.round(np.cos(x), 2))

    @primitive(rule, broadcasts=True)
    def sine_coarse_in_float32(x):
        return np.sin(x)

    told = manner(sine_coarse_in_float32, X)
    assert set(told) == {"float32 is as good as it can be"} and "float32 gradient of inputs[0] is off by" in str(told)


def test_a_rule_that_depends_on_who_else_wants_a_gradient_is_found():
    seen = []

    def for_x(g, y):
        seen.append(y)
        return g * y

    def for_y(g, x):  # right only where the rule for x has run before it, in the same pass
        return g * x * (1.0 if seen else 0.5)

    @primitive(for_x, for_y, broadcasts=True)
    def product_of_a_pair(x, y):
        seen.clear()
        return x * y

    told = manner(product_of_a_pair, X, W)
    assert "each input alone gets the same" in told
    assert "inputs[1] gets another gradient when no other input asks for one" in str(told)


def test_a_solution_that_float32_cannot_tell_is_no_fault_of_the_rule():
    assert gradcheck(np.linalg.solve, np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]), np.array([1.0, 2.0])).ok
    assert gradcheck(lambda x: ((x + 1e8) - 1e8) ** 2, np.array([0.3, -1.2])).ok


