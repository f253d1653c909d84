"""Calls of the transforms that do not fit: nests that differ, argument numbers that name nothing, no graph to give."""

import numpy as np
import pytest

from tinygrad_edu import Tensor, grad, gradients, hessian, hvp, jacobian, jvp, no_grad, value_and_grad, vjp
from tinygrad_edu.errors import CotangentError, NotTrackedError, UnsupportedError

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 3))
X = RNG.standard_normal(3)
V = RNG.standard_normal(3)


def quadratic(x):
    return 0.5 * (x @ A @ x)



def pair(p):
    return {"a": p["a"] * 2.0, "b": [p["b"] * 3.0, p["a"] * p["b"]]}


NEST = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}


def test_keys_are_matched_by_name_not_by_order():
    tangents = {"b": np.array([0.0, 1.0]), "a": np.array([1.0, 0.0])}
    value, pushed = jvp(pair, (NEST,), (tangents,))
    np.testing.assert_array_equal(pushed["a"], [2.0, 0.0])
    np.testing.assert_array_equal(pushed["b"][0], [0.0, 3.0])
    mixed = grad(lambda p: np.sum(p[1] * p["w"] ** 2))({"w": X, 1: V})
    np.testing.assert_allclose(mixed[1], X * X)
    np.testing.assert_allclose(mixed["w"], 2 * X * V)


@pytest.mark.parametrize(
    ("tangents", "told"),
    [
        (({"a": X[:2]},), r"tangents\[0\] has the keys \['a'\], where \['a', 'b'\] belong"),
        (({"a": X[:2], "c": X[:2]},), r"tangents\[0\] has the keys \['a', 'c'\]"),
        (({"a": X[:2], "b": X},), r"tangents\[0\]\['b'\] has the shape \(3,\), where \(2,\) belongs"),
        ((X,), r"tangents\[0\] is a single leaf, where a dict"),
        ((), "tangents has 0 parts, where 1 belong"),
        (NEST, "tangents is dict, where a tuple belongs"),
    ],
)
def test_tangents_that_differ_in_structure_are_refused_by_name(tangents, told):
    with pytest.raises(CotangentError, match=told):
        jvp(pair, (NEST,), tangents)


@pytest.mark.parametrize(
    ("cotangent", "told"),
    [
        ({"a": X[:2], "b": [X[:2]]}, r"cotangent\['b'\] has 1 parts, where 2 belong"),
        ({"a": X[:2], "b": [X[:2], X]}, r"cotangent\['b'\]\[1\] has the shape \(3,\)"),
        ({"a": X[:2]}, r"cotangent has the keys \['a'\]"),
        ([X[:2], X[:2], X[:2]], "cotangent is a list of 3, where a dict"),
    ],
)
def test_cotangents_that_differ_in_structure_are_refused_by_name(cotangent, told):
    pullback = vjp(pair, NEST)[1]
    with pytest.raises(CotangentError, match=told):
        pullback(cotangent)


def test_primals_and_tangents_are_tuples():
    for call in (jvp, hvp):
        with pytest.raises(CotangentError, match=r"primals is ndarray, where a tuple belongs.*\(primal,\) for one"):
            call(quadratic, X, (V,))
        with pytest.raises(CotangentError, match="tangents is ndarray"):
            call(quadratic, (X,), V)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5), 1.0, "0", True, (), None])
def test_argnums_that_name_no_argument_are_refused(argnums):
    f = lambda x, y: np.sum(x * y)  # noqa: E731
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(UnsupportedError, match="argnums=.*numbered 0 to 1"):
            transform(f, argnums)(X, V)


def test_argnums_may_count_from_the_end_and_repeat():
    f = lambda x, y: np.sum(x * y)  # noqa: E731
    np.testing.assert_array_equal(grad(f, -1)(X, V), X)
    for found, expected in zip(grad(f, (0, 0, -1))(X, V), (V, V, X), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(grad(f, np.int64(1))(X, V), X)
    assert [block.shape for block in jacobian(f, (1, 1))(X, V)] == [(3,), (3,)]


def test_a_graph_of_gradients_is_refused_where_nothing_is_recorded():
    x = Tensor(X, requires_grad=True)
    y = np.sum(x * x)
    with no_grad():
        with pytest.raises(NotTrackedError, match="leave no_grad"):
            gradients(y, x, create_graph=True)
        with pytest.raises(NotTrackedError, match="leave no_grad"):
            y.backward(create_graph=True)
        np.testing.assert_allclose(gradients(y, x).numpy(), 2 * X)
        assert isinstance(grad(quadratic)(Tensor(X)), Tensor)
        np.testing.assert_allclose(jvp(quadratic, (X,), (V,))[1], grad(quadratic)(X) @ V)
        np.testing.assert_allclose(hessian(quadratic)(X), 0.5 * (A + A.T))


def test_forward_mode_adds_nothing_for_an_argument_whose_slope_is_zero_everywhere():
    f = lambda x, y: np.copysign(x, x / y)  # noqa: E731
    value, pushed = jvp(f, (np.array(2.0), np.array([-3.0, 1.0])), (np.array(1.0), np.ones(2)))
    np.testing.assert_array_equal(value, [-2.0, 2.0])
    np.testing.assert_array_equal(pushed, [-1.0, 1.0])
