"""Calls of the transforms that do not fit: nests that differ, argument numbers that name nothing, no graph to give."""

from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest

from tinygrad_edu import Tensor, grad, gradients, hessian, hvp, jacobian, jvp, no_grad, value_and_grad, vjp
from tinygrad_edu.errors import CotangentError, DtypeError, NotTrackedError, UnsupportedError

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 3))
X = RNG.standard_normal(3)
V = RNG.standard_normal(3)


def quadratic(x):
    return 0.5 * (x @ A @ x)


Named = namedtuple("Named", "a b")
Other = namedtuple("Other", "b a")


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
        (({"a": X[:2], "b": X[:2] * 1j},), r"tangents\[0\]\['b'\] is complex128, where real numbers belong"),
        (({"a": X[:2], "b": ["1", "2"]},), r"tangents\[0\]\['b'\] is a list of 2, where one array belongs"),
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
        ({"a": X[:2], "b": (X[:2], X[:2])}, r"cotangent\['b'\] is a tuple of 2, where a list of 2 belongs"),
    ],
)
def test_cotangents_that_differ_in_structure_are_refused_by_name(cotangent, told):
    pullback = vjp(pair, NEST)[1]
    with pytest.raises(CotangentError, match=told):
        pullback(cotangent)


@pytest.mark.parametrize("tangent", [(X, V), [X, V], Other(X, V)], ids=lambda tangent: type(tangent).__name__)
def test_parts_that_have_names_are_not_taken_by_place(tangent):
    told = rf"tangents\[0\] is a {type(tangent).__name__} of 2, where a Named of 2 belongs"
    with pytest.raises(CotangentError, match=told):
        jvp(lambda p: p.a * p.b**2, (Named(X, V),), (tangent,))


@pytest.mark.parametrize(
    "keys",
    [("b", "a"), (10, 9), (1, "a"), (None, 2.5), ((1, "a"), ("a", 1)), (frozenset({2}), frozenset({1})),
     (float("nan"), 0.0), (True, "True")],
    ids=str,
)  # fmt: skip
def test_any_keys_are_matched_by_name(keys):
    """Sets have no order, and NaN has none: sorted, they stay as they were put in."""
    first, second = keys
    f = lambda p: p[first] ** 2 * p[second]  # noqa: E731
    assert grad(f)({first: 3.0, second: 5.0}) == {first: 30.0, second: 9.0}
    for tangent in ({first: 1.0, second: 10.0}, {second: 10.0, first: 1.0}):
        assert jvp(f, ({first: 3.0, second: 5.0},), (tangent,))[1] == 30.0 + 90.0
    _, pullback = vjp(lambda x: {first: x, second: 2.0 * x}, 1.0)
    assert pullback({second: 1.0, first: 5.0}) == pullback({first: 5.0, second: 1.0}) == (7.0,)


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda pairs: defaultdict(float, pairs)])
def test_a_function_sees_the_dict_that_it_was_given(kind):
    """Its values in the order in which they were put in, as a function that walks through them expects."""
    weights = kind([("second", 3.0), ("first", 5.0)])
    seen = []

    def f(p):
        seen.append((type(p), list(p)))
        total = 1.0
        for w in p.values():
            total = total * w + w
        return total

    value, g = value_and_grad(f)(weights)
    assert value == f(weights) == 35.0
    assert g == {"second": 10.0, "first": 7.0}
    assert (type(g), list(g)) == (type(weights), ["second", "first"])
    assert seen == [(type(weights), ["second", "first"])] * 2
    assert weights == {"second": 3.0, "first": 5.0}


@pytest.mark.parametrize(
    ("part", "told"),
    [(None, r"args\[0\]\['w'\]\[1\]: object"), ("s", r"args\[0\]\['w'\]\[1\]: <U1"),
     (3, r"args\[0\]\['w'\]\[1\]: .*int64 has no derivative; pass floats"), (1j, r"args\[0\]\['w'\]\[1\]: complex128")],
)  # fmt: skip
def test_a_part_without_a_derivative_is_named(part, told):
    with pytest.raises(DtypeError, match=told):
        grad(lambda p: p["w"][0] * 2.0)({"w": [1.0, part]})


def test_tangents_are_taken_in_the_dtype_of_their_primals():
    x = X.astype(np.float32)
    for tangent in (V, Tensor(V), np.array([1, 2, 3]), Tensor([1, 2, 3])):
        _, pushed = jvp(lambda x: x * x, (x,), (tangent,))
        assert pushed.dtype == np.float32


def test_a_pullback_of_no_output_is_zero():
    (g,) = vjp(lambda x: {}, X)[1]({})
    np.testing.assert_array_equal(g, np.zeros(3))


def test_primals_and_tangents_are_tuples():
    for call in (jvp, hvp):
        with pytest.raises(CotangentError, match=r"primals is ndarray, where a tuple belongs.*\(primal,\) for one"):
            call(quadratic, X, (V,))
        with pytest.raises(CotangentError, match="tangents is ndarray"):
            call(quadratic, (X,), V)


@pytest.mark.parametrize("argnums", [2, -3, (0, 5), 1.0, "0", True, (True,), (0, False), (), None])
def test_argnums_that_name_no_argument_are_refused(argnums):
    f = lambda x, y: np.sum(x * y)  # noqa: E731
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(UnsupportedError, match="argnums=.*numbered 0 to 1"):
            transform(f, argnums)(X, V)


def test_a_call_without_arguments_by_position_has_none_to_differentiate():
    with pytest.raises(UnsupportedError, match="called with none by position; keywords are not differentiated"):
        grad(lambda x: x * x)(x=2.0)


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


TRANSFORMS = {
    "grad": lambda f, x: grad(f)(x),
    "value_and_grad": lambda f, x: value_and_grad(f)(x),
    "vjp": lambda f, x: (lambda value, pullback: (value, pullback(1.0)[0]))(*vjp(f, x)),
    "jvp": lambda f, x: jvp(f, (x,), (V,)),
    "jvp along a tensor": lambda f, x: jvp(f, (x,), (Tensor(V),)),
    "jacobian": lambda f, x: jacobian(f)(x),
    "hessian": lambda f, x: hessian(f)(x),
    "hvp": lambda f, x: hvp(f, (x,), (V,))[1][0],
    "grad of grad": lambda f, x: grad(lambda y: np.sum(grad(f)(y) * V))(x),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_transform_of_a_tracked_tensor_under_no_grad_is_right_and_untracked(transform):
    """Copying the tensor was not recorded there: the Jacobian came out zero, the Hessian raised."""
    f = lambda x: np.sum(x**3) * 0.5  # noqa: E731
    x = Tensor(X, requires_grad=True)
    with no_grad():
        expected, found = transform(f, X), transform(f, x)
    one = not isinstance(expected, tuple)
    for g, plain in zip([found] if one else found, [expected] if one else expected, strict=True):
        assert not g.requires_grad
        np.testing.assert_allclose(g.numpy(), plain, rtol=1e-14)
    assert x.grad is None


def test_a_derivative_under_no_grad_is_a_constant_with_its_value():
    """d/dx (x · c), where c = 3x² was computed under no_grad."""

    def f(x):
        with no_grad():
            slope = grad(lambda y: np.sum(y**3))(x)
        return np.sum(slope * x)

    np.testing.assert_allclose(grad(f)(X), 3.0 * X**2)


def test_forward_mode_adds_nothing_for_an_argument_whose_slope_is_zero_everywhere():
    f = lambda x, y: np.copysign(x, x / y)  # noqa: E731
    value, pushed = jvp(f, (np.array(2.0), np.array([-3.0, 1.0])), (np.array(1.0), np.ones(2)))
    np.testing.assert_array_equal(value, [-2.0, 2.0])
    np.testing.assert_array_equal(pushed, [-1.0, 1.0])


def test_constant_among_several_outputs_has_derivative_zero():
    found = jacobian(lambda x, y: {"both": x * y, "one": np.sum(x), "none": 2.0}, argnums=1)(X, V)
    np.testing.assert_array_equal(found["both"], np.diag(X))
    np.testing.assert_array_equal(found["one"], np.zeros(3))
    np.testing.assert_array_equal(found["none"], np.zeros(3))
    second = hessian(lambda x, y: np.sum(x * y * y), argnums=(0, 1))(X, V)
    np.testing.assert_allclose(second[1][1], np.diag(2.0 * X))
    np.testing.assert_allclose(second[0][1], np.diag(2.0 * V))


@pytest.mark.parametrize("output", ["text", None, 1j, [Tensor(1.0), "text"]], ids=str)
def test_output_that_is_no_number_is_refused_with_what_may_go_beside(output):
    for call in (lambda f: vjp(f, X), lambda f: jvp(f, (X,), (V,)), lambda f: jacobian(f)(X)):
        with pytest.raises(NotTrackedError, match="no number.*has_aux=True"):
            call(lambda x: output)


@pytest.mark.parametrize("output", [lambda x: np.sum(x), lambda x: (np.sum(x),), lambda x: [np.sum(x), x]])
def test_has_aux_wants_a_pair(output):
    for transform in (grad, value_and_grad, lambda f, has_aux: lambda x: vjp(f, x, has_aux=has_aux)):
        call = transform(output, has_aux=True)
        with pytest.raises(NotTrackedError, match="returns a pair"):
            call(X)
