"""Where a derivative does not exist, or is easily lost: what the rules say there, one example each.

Also the places that drawing seldom reaches: every set of axes, no elements, no axes, the same tensor twice.
"""

import itertools

import numpy as np
import pytest
from calls import OPERATIONS, Call, checks, drawn, key_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, gradients, hessian
from tinygrad_edu.primitive import Primitive
from tinygrad_edu.rules.elementwise import erf, root_of_squares


def slope(f, *xs, cotangent=None):
    """The gradients of f at xs, a cotangent of ones unless one is given."""
    tensors = [Tensor(np.array(x, np.float64), requires_grad=True) for x in xs]
    y = f(*tensors)
    found = gradients(y, tensors, np.ones(y.shape)[()] if cotangent is None else cotangent, allow_unused=True)
    values = [None if g is None else g.numpy().tolist() for g in found]
    return values[0] if len(values) == 1 else values


# Kinks


def test_slope_of_relu_is_zero_at_zero():
    assert slope(functional.relu, [-2.0, 0.0, 3.0]) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("f", [np.absolute, np.fabs, abs])
def test_slope_of_the_absolute_value_is_zero_at_zero(f):
    assert slope(f, [-2.0, 0.0, 3.0]) == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_equal_arguments_of_maximum_share_equally(f):
    assert slope(f, [1.0, 2.0], [1.0, 2.0]) == [[0.5, 0.5], [0.5, 0.5]]
    assert slope(lambda x: f(x, x), [1.0, 2.0]) == [1.0, 1.0]


@pytest.mark.parametrize("f", [np.max, np.min])
def test_ties_for_an_extreme_share_equally(f):
    assert slope(f, [1.0, 1.0, 1.0, 1.0]) == [0.25] * 4
    sign = 1.0 if f is np.max else -1.0
    tied = np.array([[2.0, 2.0, 0.0], [1.0, 3.0, 3.0]]) * sign
    assert slope(lambda x: f(x, axis=1), tied) == [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]


def test_equal_elements_share_what_sorting_gives_them():
    assert slope(np.sort, [3.0, 1.0, 3.0], cotangent=np.array([1.0, 2.0, 6.0])) == [4.0, 1.0, 4.0]
    tied = np.array([[1.0, 1.0], [2.0, 0.0]])
    assert slope(lambda x: np.sort(x, axis=1), tied, cotangent=np.array([[1.0, 3.0], [5.0, 7.0]])) == [[2, 2], [7, 5]]
    flat = slope(lambda x: np.sort(x, axis=None), [[1.0, 0.0], [0.0, 0.0]], cotangent=np.array([1.0, 2.0, 6.0, 9.0]))
    assert flat == [[9.0, 3.0], [3.0, 3.0]]
    assert slope(np.median, [1.0, 1.0, 1.0]) == pytest.approx([1 / 3] * 3)


def test_a_value_on_a_bound_of_clip_shares_with_the_bound():
    assert slope(lambda x: np.clip(x, 0.0, 1.0), [-1.0, 0.0, 0.5, 1.0, 2.0]) == [0.0, 0.5, 1.0, 0.5, 0.0]


@pytest.mark.parametrize("f", [np.linalg.norm, np.linalg.vector_norm, lambda x: np.linalg.norm(x, 2), np.std])
def test_slope_of_a_length_is_zero_at_the_zero_vector(f):
    assert slope(f, [0.0, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("order", [1, 3, 1.5, np.inf])
def test_slope_of_every_norm_is_finite_at_the_zero_vector(order):
    assert np.isfinite(slope(lambda x: np.linalg.norm(x, order), [0.0, 0.0])).all()


@pytest.mark.parametrize("order", [3, 1.5, 2.5])
def test_a_zero_in_a_vector_leaves_its_norm_smooth(order):
    assert slope(lambda x: np.linalg.norm(x, order), [0.0, 2.0]) == pytest.approx([0.0, 1.0])


def test_slope_of_the_spread_of_a_constant_is_zero():
    assert slope(lambda x: np.std(x, axis=0), [[3.0, 1.0], [3.0, 1.0]]) == [[0.0, 0.0], [0.0, 0.0]]
    assert slope(np.var, [3.0, 3.0]) == [0.0, 0.0]


def test_slope_of_a_root_is_infinite_at_zero():
    assert slope(np.sqrt, [0.0, 4.0]) == [np.inf, 0.25]
    assert slope(root_of_squares, [0.0, 4.0]) == [0.0, 0.25]


# Powers


@pytest.mark.parametrize("zero", [0, 0.0, np.zeros(3)], ids=["int", "float", "array"])
def test_slope_of_the_zeroth_power_is_zero_everywhere(zero):
    assert slope(lambda x: x**zero, [0.0, 2.0, -1.0]) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("one", [1, 1.0, np.ones(2)], ids=["int", "float", "array"])
def test_slope_of_the_first_power_is_one_also_at_zero(one):
    assert slope(lambda x: x**one, [0.0, -2.0]) == [1.0, 1.0]


@pytest.mark.parametrize("two", [2, 2.0, np.full(2, 2.0)], ids=["int", "float", "array"])
def test_second_slope_of_a_square_is_two_also_at_zero(two):
    x = Tensor([0.0, -2.0], requires_grad=True)
    (first,) = gradients(x**two, [x], np.ones(2), create_graph=True)
    assert slope(lambda x: x**two, [0.0, -2.0]) == [0.0, -4.0]
    assert gradients(first, x, np.ones(2)).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, -1.0, 0.5])
@pytest.mark.parametrize("base", [0.5, 1.0, 3.0])
def test_second_derivatives_of_a_power_agree_in_either_order_also_at_whole_exponents(base, exponent):
    x, y = np.array([base, 2.0]), np.array([exponent, 3.0])
    (_, by_both), (by_both_turned, _) = hessian(lambda x, y: np.sum(x**y), argnums=(0, 1))(x, y)
    expected = np.diag(x ** (y - 1.0) * (1.0 + y * np.log(x)))
    np.testing.assert_allclose(by_both, expected, rtol=1e-13)
    np.testing.assert_allclose(by_both_turned, expected, rtol=1e-13)


def test_slope_of_the_zeroth_power_is_zero_at_infinity_too():
    by_base, _ = slope(np.power, [np.inf, -np.inf, 0.0], [0.0, 0.0, 0.0])
    assert by_base == [0.0, 0.0, 0.0]


def test_slope_of_a_power_by_its_exponent_is_zero_at_base_zero_and_undefined_below():
    _, by_exponent = slope(np.power, [0.0, 2.0, -2.0], [2.0, 3.0, 2.0])
    assert by_exponent[0] == 0.0
    assert by_exponent[1] == pytest.approx(8 * np.log(2))
    assert np.isnan(by_exponent[2])


# Exactness


@pytest.mark.parametrize(
    ("xs", "expected"), [([0.0, 3.0, 5.0], [15, 0, 0]), ([0.0, 0.0, 5.0], [0, 0, 0]), ([0.0], [1])]
)
def test_products_are_exact_where_factors_are_zero(xs, expected):
    assert slope(np.prod, xs) == expected
    assert slope(lambda x: np.cumprod(x)[-1], xs) == expected


def test_second_derivative_of_a_product_of_two_zeros_is_the_third_factor():
    x = Tensor([0.0, 0.0, 5.0], requires_grad=True)
    first = gradients(np.prod(x), x, create_graph=True)
    assert gradients(first[0], x).tolist() == [0.0, 5.0, 0.0]


@pytest.mark.parametrize(
    ("f", "bad", "good"),
    [
        (np.sqrt, 0.0, 4.0), (np.log, -1.0, 2.0), (lambda x: 1.0 / x, 0.0, 2.0), (np.exp, 1e4, 1.0),
        (lambda x: np.sqrt(x * x), 0.0, 3.0), (lambda x: np.log(np.abs(x)), 0.0, 1.0), (lambda x: x**-0.5, 0.0, 1.0),
    ],
)  # fmt: skip
def test_what_where_did_not_select_never_leaks(f, bad, good):
    with np.errstate(all="ignore"):
        g = slope(lambda x: np.where(np.array([False, True]), f(x), 0.0 * x), [bad, good])
        assert g[0] == 0.0
        assert g[1] == slope(f, good) != 0.0


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("rows", [2, 70])
def test_of_a_cotangent_only_what_was_selected_arrives(rows, repeated, bad):
    rng = np.random.default_rng(rows)
    chosen = rng.random((1, 40) if repeated else (rows, 40)) < 0.5
    g = rng.standard_normal((rows, 40))
    g[~np.broadcast_to(chosen, g.shape)] += bad
    x, y = (Tensor(rng.standard_normal(g.shape), requires_grad=True) for _ in range(2))
    np.where(chosen, x, y).backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), np.where(chosen, g, 0.0))
    np.testing.assert_array_equal(y.grad.numpy(), np.where(chosen, 0.0, g))
    low, high = np.where(chosen, 2.0, 0.0), Tensor(np.ones(g.shape), requires_grad=True)
    np.maximum(high, low).backward(g)
    np.testing.assert_array_equal(high.grad.numpy(), np.where(chosen, 0.0, g))


def test_infinite_scores_that_are_masked_leave_finite_gradients():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    scores = np.where(np.array([True, True, False]), x, -np.inf)
    weights = np.exp(scores - np.max(scores))
    (weights / np.sum(weights))[0].backward()
    assert x.grad.tolist()[2] == 0.0
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad.numpy().sum() == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("f", [np.linalg.cholesky, np.linalg.eigvalsh, lambda a: np.linalg.eigh(a)[1] ** 2])
def test_the_gradient_of_a_symmetric_matrix_is_symmetric(f):
    a = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 6.0]])
    c = np.random.default_rng(0).standard_normal(f(a).shape)
    g = np.array(slope(f, a, cotangent=c))
    np.testing.assert_allclose(g, g.T, rtol=1e-12, atol=1e-14)


def test_a_number_wins_against_nan_and_takes_the_cotangent():
    assert slope(np.fmax, [np.nan, 1.0], [2.0, np.nan]) == [[0.0, 1.0], [1.0, 0.0]]
    assert slope(np.fmin, [np.nan, 1.0], [2.0, np.nan]) == [[0.0, 1.0], [1.0, 0.0]]


def test_equal_infinities_of_logaddexp_share():
    assert slope(np.logaddexp, 3.0, 3.0) == pytest.approx([0.5, 0.5])
    assert slope(np.logaddexp, 0.0, -np.inf) == [1.0, 0.0]


def test_numbers_in_place_of_infinities_are_the_largest_there_are():
    x = np.array([np.inf, -np.inf, np.nan, 1.0])
    np.testing.assert_array_equal(np.nan_to_num(Tensor(x, requires_grad=True)).numpy(), np.nan_to_num(x))
    assert slope(np.nan_to_num, x) == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("x", [0.0, 1e-9, 1e-3, 0.1, 0.1007, 1.0, -2.5])
def test_slope_of_sinc_has_all_its_digits_near_zero(x):
    exact = -(np.pi**2) * x / 3 + np.pi**4 * x**3 / 30 - np.pi**6 * x**5 / 840 + np.pi**8 * x**7 / 45360
    expected = exact if abs(x) < 0.02 else (np.cos(np.pi * x) - np.sinc(x)) / x
    assert slope(np.sinc, x) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    ("x", "value"),
    [(0.0, 0.0), (0.5, 0.5204998778130465), (1.0, 0.8427007929497149), (2.0, 0.9953222650189527),
     (-3.0, -0.9999779095030014), (1e-300, 1.1283791670955126e-300), (np.inf, 1.0), (-np.inf, -1.0), (30.0, 1.0)],
)  # fmt: skip
def test_erf_has_its_tabulated_values(x, value):
    assert erf(np.float64(x)) == pytest.approx(value, rel=4e-16)
    assert erf(Tensor(x)).item() == erf(np.float64(x))


def test_erf_keeps_the_dtype_and_nan():
    assert erf(np.float32([0.5])).dtype == np.float32
    assert np.isnan(erf(np.float64(np.nan)))


# Every order of axes; every set of them is in test_exhaustive_axes.py


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 2, 2)], ids=str)
def test_every_order_of_axes_transposes_back(shape):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    for axes in itertools.permutations(range(len(shape))):
        for order in (axes, tuple(k - len(shape) for k in axes)):
            c = np.random.default_rng(0).standard_normal(np.transpose(x, order).shape)
            found = slope(lambda x: np.transpose(x, order), x, cotangent=c)  # noqa: B023
            np.testing.assert_array_equal(found, np.transpose(c, np.argsort(axes)))


# The same tensor twice, no axes, no elements

ELEMENTWISE = [o for o in OPERATIONS if isinstance(o, Primitive) and o.elementwise and None not in o.rules]
BINARY = [operation for operation in ELEMENTWISE if len(operation.rules) == 2]


@pytest.mark.parametrize("operation", BINARY, ids=lambda operation: operation.name)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), ndim=st.integers(0, 2))
def test_one_tensor_in_both_places_collects_both_shares(operation, seed, ndim):
    function = key_of(operation)
    rng = np.random.default_rng(seed)
    call = Call(lambda x: function(x, x), (rng.uniform(0.3, 0.9, (2,) * ndim),))
    assert checks.first_derivative_is_judged(call, rng)
    assert checks.second_derivative_is_judged(call, rng)


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if isinstance(o, Primitive) and o.elementwise], ids=lambda o: o.name
)
def test_what_is_declared_elementwise_has_the_shape_that_its_arrays_broadcast_to(operation):
    for call in drawn(operation, 5):
        arrays = [leaf for leaf in call.leaves if isinstance(leaf, np.ndarray)]
        assert [y.shape for y in call(*call.arrays)] == [np.broadcast_shapes(*[a.shape for a in arrays])]


@pytest.mark.parametrize("operation", ELEMENTWISE, ids=lambda operation: operation.name)
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (1, 1, 1)], ids=str)
def test_elementwise_operations_take_any_shape(operation, shape):
    x = [np.full(shape, domain.low + 0.5 if np.isfinite(domain.low) else 0.5) for domain in operation.domain]
    call = Call(key_of(operation), tuple(x))
    checks.assert_value_is_numpys(call, exact=True)
    gradient = checks.gradient_of(call, x, [np.ones(shape)])
    assert [g.shape for g in gradient] == [shape] * len(x)


EMPTY = [
    Call(np.sum, (np.zeros((0, 3)),), {"axis": 0}), Call(np.sum, (np.zeros(0),)),
    Call(np.prod, (np.zeros((2, 0)),), {"axis": 1}),
    Call(np.cumsum, (np.zeros(0),)), Call(np.cumprod, (np.zeros(0),)), Call(np.sort, (np.zeros(0),)),
    Call(np.reshape, (np.zeros((0, 4)), (2, 0))), Call(np.concatenate, ([np.zeros((0, 2)), np.ones((1, 2))],)),
    Call(np.stack, ([np.zeros(0), np.zeros(0)],)), Call(np.matmul, (np.zeros((2, 0)), np.zeros((0, 3)))),
    Call(np.matmul, (np.zeros((0, 2)), np.zeros((2, 3)))),
    Call(np.einsum, ("ab,bc->ac", np.zeros((2, 0)), np.zeros((0, 3)))),
    Call(np.take, (np.ones(3), np.zeros(0, int))), Call(np.where, (np.zeros(0, bool), np.zeros(0), np.zeros(0))),
    Call(np.tensordot, (np.zeros((2, 0)), np.zeros((0, 3))), {"axes": 1}), Call(np.linalg.norm, (np.zeros(0),)),
    Call(np.broadcast_to, (np.ones((1, 3)), (0, 3))), Call(np.max, (np.zeros((2, 0)),), {"axis": 0}),
    Call(np.transpose, (np.zeros((0, 2)),)), Call(np.flip, (np.zeros(0),)), Call(np.tile, (np.ones(2), 0)),
    Call(np.repeat, (np.ones(2), 0)), Call(np.pad, (np.zeros(0), 1)), Call(np.diff, (np.ones(1),)),
    Call(np.trace, (np.zeros((0, 0)),)),
    Call(np.linalg.inv, (np.zeros((0, 0)),)), Call(np.linalg.det, (np.zeros((0, 0)),)),
    Call(np.kron, (np.zeros((0, 1)), np.ones((2, 2)))),
]  # fmt: skip


@pytest.mark.parametrize("call", EMPTY, ids=lambda call: f"{call.function.__name__}-{call.arrays[0].shape}")
def test_nothing_to_compute_has_a_gradient_of_its_shape(call):
    checks.assert_value_is_numpys(call, exact=False)
    outputs = [np.asarray(y) for y in call(*call.arrays)]
    gradient = checks.gradient_of(call, call.arrays, [np.ones(y.shape) for y in outputs])
    assert [g.shape for g in gradient] == [a.shape for a in call.arrays]
    assert checks.second_derivative_is_judged(call, np.random.default_rng(0))
