"""grad, value_and_grad, vjp, jvp, jacobian, hessian, hvp: on nests, nested in each other, arrays in and arrays out."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, grad, gradients, hessian, hvp, jacobian, jvp, no_grad, value_and_grad, vjp
from tinygrad_edu.errors import CotangentError, DtypeError, NotTrackedError
from tinygrad_edu.numerics import directional_derivative

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 3))
X = RNG.standard_normal(3)
V = RNG.standard_normal(3)


def quadratic(x):
    return 0.5 * (x @ A @ x)


def vector(x):
    return np.tanh(A @ x) * x[0]


# Arrays in, arrays out


def test_arrays_in_give_arrays_out_and_tensors_give_tensors():
    assert isinstance(grad(quadratic)(X), np.ndarray)
    assert isinstance(grad(quadratic)(Tensor(X)), Tensor)
    value, slope = value_and_grad(quadratic)(X)
    assert not isinstance(value, Tensor)
    np.testing.assert_allclose(slope, 0.5 * (A + A.T) @ X)
    assert isinstance(jvp(vector, [X], [V])[1], np.ndarray)
    assert isinstance(jvp(vector, [Tensor(X)], [Tensor(V)])[1], Tensor)
    assert isinstance(hessian(quadratic)(X), np.ndarray)
    assert isinstance(jacobian(vector)(Tensor(X)), Tensor)
    assert isinstance(vjp(vector, X)[1](V)[0], np.ndarray)


def test_python_numbers_are_arguments_too():
    assert grad(lambda x: x * x)(3.0) == 6.0
    assert grad(grad(lambda x: x**3))(2.0) == 12.0


# Nests


class Pair(NamedTuple):
    left: object
    right: object


def loss(p):
    return np.sum(p["w"] @ p["layers"][0] + p["layers"][1][0] * p["pair"].left) + p["pair"].right ** 2


def parameters():
    return {
        "w": np.ones((2, 3)), "layers": [np.arange(3.0), (np.ones(2), np.ones(1))],
        "pair": Pair(np.full(2, 3.0), np.array(2.0)),
    }  # fmt: skip


def test_a_gradient_has_the_structure_of_its_argument():
    value, g = value_and_grad(loss)(parameters())
    assert value == pytest.approx(6.0 + 6.0 + 4.0)
    assert set(g) == {"w", "layers", "pair"}
    np.testing.assert_array_equal(g["w"], [[0.0, 1.0, 2.0]] * 2)
    np.testing.assert_array_equal(g["layers"][0], [2.0, 2.0, 2.0])
    assert isinstance(g["layers"], list)
    assert isinstance(g["layers"][1], tuple)
    assert isinstance(g["pair"], Pair)
    np.testing.assert_array_equal(g["layers"][1][0], [3.0, 3.0])
    np.testing.assert_array_equal(g["layers"][1][1], [0.0])  # never used: zero, not None
    assert g["pair"].right == 4.0


def test_several_arguments_give_a_tuple():
    f = lambda x, y, z: np.sum(x * y) + z["k"]  # noqa: E731
    gx, gz = grad(f, argnums=(0, 2))(np.ones(2), np.full(2, 3.0), {"k": np.array(1.0)})
    assert gx.tolist() == [3.0, 3.0]
    assert gz == {"k": 1.0}
    assert grad(f, argnums=1)(np.ones(2), np.full(2, 3.0), {"k": 1.0}).tolist() == [1.0, 1.0]


def test_keywords_and_extras_pass_through():
    value, g = value_and_grad(lambda x, power: (np.sum(x**power), {"x": x}), has_aux=True)(np.full(2, 3.0), power=2)
    assert g.tolist() == [6.0, 6.0]
    assert value[0] == 18.0
    assert isinstance(value[1]["x"], np.ndarray)


def test_pullbacks_take_the_structure_of_the_output_and_can_be_called_again():
    outputs, pullback = vjp(lambda x, y: {"sum": x + y, "both": (x * y, [y])}, X, V)
    assert set(outputs) == {"sum", "both"}
    cotangent = {"sum": np.ones(3), "both": (np.ones(3), [np.ones(3)])}
    for _ in range(2):
        gx, gy = pullback(cotangent)
        np.testing.assert_allclose(gx, 1.0 + V)
        np.testing.assert_allclose(gy, 2.0 + X)


def test_pushforwards_take_nests():
    f = lambda p: {"y": p["a"] * p["b"][0], "n": np.zeros(2)}  # noqa: E731
    value, pushed = jvp(f, [{"a": X, "b": [V]}], [{"a": V, "b": [X]}])
    np.testing.assert_allclose(value["y"], X * V)
    np.testing.assert_allclose(pushed["y"], V * V + X * X)
    np.testing.assert_array_equal(pushed["n"], 0.0)


# Values


def test_jacobians_have_the_shape_of_output_then_input():
    np.testing.assert_allclose(jacobian(lambda x: A @ x)(X), A)
    assert jacobian(lambda x: np.outer(x, x))(X).shape == (3, 3, 3)
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    assert jacobian(np.sum)(np.ones((2, 2))).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    np.testing.assert_allclose(jacobian(lambda x, y: y * x[0], argnums=1)(X, V), np.eye(3) * X[0])


def test_hessians_and_their_products_agree():
    f = lambda x: np.sum(np.sin(A @ x) * x)  # noqa: E731
    matrix = hessian(f)(X)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-10)
    value, product = hvp(f, [X], [V])
    np.testing.assert_allclose(value, f(X))
    np.testing.assert_allclose(product[0] if isinstance(product, tuple) else product, matrix @ V, rtol=1e-10)
    np.testing.assert_allclose(jacobian(grad(f))(X), matrix, rtol=1e-10)
    np.testing.assert_allclose(hessian(quadratic)(X), 0.5 * (A + A.T))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_forward_and_reverse_mode_and_finite_differences_agree(seed):
    rng = np.random.default_rng(seed)
    x, v, c = rng.standard_normal((3, 3))
    _, pushed = jvp(vector, [x], [v])
    (pulled,) = vjp(vector, x)[1](c)
    full = jacobian(vector)(x)
    np.testing.assert_allclose(pushed, full @ v, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(pulled, c @ full, rtol=1e-10, atol=1e-12)
    estimate = directional_derivative(vector, [x], [v], c)
    assert c @ pushed == pytest.approx(estimate.value, rel=1e-8, abs=10 * estimate.error + 1e-12)


def product(p):
    return np.sum(p["a"] ** 2) * p["b"][0]


def test_second_order_products_take_nests():
    p = {"a": X, "b": [np.array(3.0)]}
    value, (pushed,) = hvp(product, [p], [{"a": V, "b": [np.array(0.5)]}])
    np.testing.assert_allclose(value, product(p))
    np.testing.assert_allclose(pushed["a"], 6.0 * V + X)
    np.testing.assert_allclose(pushed["b"][0], 2.0 * X @ V)
    full = jacobian(lambda p: p["a"] * p["b"][0])(p)
    np.testing.assert_allclose(full["a"], 3.0 * np.eye(3))
    np.testing.assert_allclose(full["b"][0], X)


def test_hessians_and_jacobians_of_nests_are_nests_of_nests():
    h = hessian(product)({"a": X, "b": [np.array(3.0)]})
    np.testing.assert_allclose(h["a"]["a"], 6.0 * np.eye(3))
    np.testing.assert_allclose(h["a"]["b"][0], 2.0 * X)
    np.testing.assert_allclose(h["b"][0]["a"], 2.0 * X)
    assert jacobian(lambda x: {"y": x * 2.0, "z": x[0]})(X)["z"].tolist() == [1.0, 0.0, 0.0]


# Transforms within transforms


def test_derivatives_nest_without_being_confused():
    """d/dx (x · d/dy (x + y)) = 1: an inner derivative that took x for its own variable gives 2."""
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert grad(lambda x: grad(lambda y: x * y * y)(x))(3.0) == 12.0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * grad(lambda y: x * y)(2.0), lambda x: x * jvp(lambda y: x * y, [2.0], [1.0])[1],
        lambda x: x * vjp(lambda y: x * y, 2.0)[1](1.0)[0], lambda x: x * jacobian(lambda y: x * y)(2.0),
        lambda x: x * value_and_grad(lambda y: x * y)(2.0)[1],
    ],
)  # fmt: skip
def test_an_inner_derivative_of_a_constant_still_depends_on_the_outer_variable(f):
    assert grad(f)(3.0) == pytest.approx(6.0)


def test_third_derivatives_by_nesting():
    assert grad(grad(grad(np.sin)))(0.3) == pytest.approx(-np.cos(0.3))
    assert grad(lambda x: jvp(np.exp, [x], [1.0])[1])(0.5) == pytest.approx(np.exp(0.5))


def test_a_gradient_inside_a_recorded_function_is_differentiated():
    x = Tensor(X, requires_grad=True)
    penalty = np.sum(grad(quadratic)(x) ** 2)
    penalty.backward()
    symmetric = 0.5 * (A + A.T)
    np.testing.assert_allclose(x.grad.numpy(), 2.0 * symmetric @ symmetric @ X)


def test_transforms_record_for_themselves_under_no_grad():
    with no_grad():
        np.testing.assert_allclose(grad(quadratic)(X), 0.5 * (A + A.T) @ X)
        assert hessian(quadratic)(X).shape == (3, 3)


def test_transforms_touch_no_gradient_of_what_they_are_given():
    x = Tensor(X, requires_grad=True)
    grad(quadratic)(x)
    hessian(quadratic)(x)
    jvp(vector, [x], [Tensor(V)])
    assert x.grad is None


def test_a_transform_of_a_constant_is_zero():
    assert grad(lambda x: Tensor(3.0))(X).tolist() == [0.0, 0.0, 0.0]
    _, pushed = jvp(lambda x: Tensor(np.ones(2)), [X], [V])
    assert np.asarray(pushed).tolist() == [0.0, 0.0]


def test_what_a_transform_cannot_do_it_says():
    with pytest.raises(CotangentError, match=r"grad wants a scalar function; this one returned shape \(3,\)"):
        grad(lambda x: x * 2.0)(X)
    with pytest.raises(NotTrackedError, match="the function returned float, not a Tensor"):
        grad(lambda x: 3.0)(X)
    with pytest.raises(DtypeError, match="int64 has no derivative"):
        grad(np.sum)(np.array([1, 2]))
    with pytest.raises(CotangentError, match=r"tangents\[0\] has the shape \(2,\), where \(3,\) belongs"):
        jvp(vector, [X], [np.ones(2)])
    with pytest.raises(CotangentError):
        vjp(vector, X)[1](np.ones(2))


def test_gradients_take_nests_of_inputs():
    x, y = Tensor(X, requires_grad=True), Tensor(V, requires_grad=True)
    found = gradients(np.sum(x * y), {"a": x, "b": [y]})
    np.testing.assert_array_equal(found["a"].numpy(), V)
    np.testing.assert_array_equal(found["b"][0].numpy(), X)


def test_derivatives_by_cotangents_and_tangents():
    """The pullback is linear in its cotangent and the pushforward in its tangent; both slopes are J itself."""
    by_cotangent = grad(lambda g: np.sum(vjp(np.sin, X)[1](g)[0]))(np.ones(X.shape))
    by_tangent = grad(lambda v: np.sum(jvp(np.sin, (X,), (v,))[1]))(np.ones(X.shape))
    np.testing.assert_allclose(by_cotangent, np.cos(X), rtol=1e-14)
    np.testing.assert_allclose(by_tangent, np.cos(X), rtol=1e-14)


def test_pullback_may_bring_something_along():
    value, pullback, extra = vjp(lambda x: (np.sum(x * x), {"twice": x * 2.0}), X, has_aux=True)
    np.testing.assert_allclose(value, np.sum(X * X))
    np.testing.assert_allclose(pullback(1.0)[0], 2.0 * X)
    np.testing.assert_allclose(extra["twice"], 2.0 * X)


def test_jacobian_by_several_arguments_is_a_tuple():
    first, second = jacobian(lambda a, b: a * b, argnums=(0, 1))(X, 3.0 * X)
    np.testing.assert_allclose(first, np.diag(3.0 * X))
    np.testing.assert_allclose(second, np.diag(X))
