"""NumPy functions with a kernel beside their definition: both give the same, up to the second derivative."""

import numpy as np
import pytest
from calls import calls, key_of
from calls.checks import tracked
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, definitions, gradients
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.fused import exact_slope, factor, sigmoid, silu
from tinygrad_edu.rules.indexing import scatter
from tinygrad_edu.rules.products import summed

KERNELS = [operation for operation in registry().values() if getattr(operation, "kernel", None) is not None]
each_kernel = pytest.mark.parametrize("operation", KERNELS, ids=lambda operation: operation.name)
SEEDS = st.integers(0, 2**32 - 1)


def to_the_second(f, arrays, seed):
    """[values, first derivatives, second derivatives] along drawn directions, as arrays."""
    rng = np.random.default_rng(seed)
    xs = tracked(arrays)
    values = f(*xs)
    loss = sum(np.sum(y * rng.standard_normal(y.shape)) for y in values)
    first = gradients(loss, xs, create_graph=True)
    again = sum(np.sum(g * rng.standard_normal(g.shape)) for g in first)
    second = gradients(again, xs, allow_unused=True) if again.requires_grad else [None] * len(xs)
    filled = [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(second, xs, strict=True)]
    return [*[y.numpy() for y in values], *[g.numpy() for g in first], *filled]


def assert_one(f, arrays, seed, digits=1e-9):
    ours = to_the_second(f, arrays, seed)
    with definitions():
        theirs = to_the_second(f, arrays, seed)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=digits, atol=digits * np.max(np.abs(other), initial=1e-300))


def labels(y):
    """The operations that a value came through."""
    found, waiting = set(), [y._node]
    while waiting:
        node = waiting.pop()
        found.add(node.label)
        waiting += node.sources
    return found


@each_kernel
@settings(max_examples=20)
@given(data=st.data(), seed=SEEDS)
def test_kernel_and_definition_agree_to_the_second_derivative(operation, data, seed):
    call = data.draw(calls(operation))
    assert_one(call, call.arrays, seed)


@each_kernel
def test_a_graph_shows_the_kernel_and_on_request_what_defines_it(operation):
    x = Tensor([1.0, 2.0, 3.5], requires_grad=True)
    f, operands = key_of(operation), (x, x) if operation.name in ("convolve", "outer") else (x,)
    assert labels(f(*operands)) == {operation.name, "leaf"}
    with definitions():
        assert operation.name not in labels(f(*operands))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.prod(x, where=[True, False, True]), lambda x: np.prod(x, initial=2.0),
        lambda x: np.var(x, where=[True, False, True]), lambda x: np.std(x, correction=1),
        lambda x: np.linalg.norm(x, 3), lambda x: np.cumprod(x, dtype=np.longdouble),
    ],
)  # fmt: skip
def test_options_that_no_rule_of_the_kernel_names_run_the_definition(call):
    x = Tensor([1.0, 2.0, 3.5], requires_grad=True)
    assert labels(call(x)).isdisjoint({operation.name for operation in KERNELS})


# Zeros, and numbers whose products come near the ends of the dtype: there no quotient is taken
HARD = st.sampled_from([0.0, 0.0, -1.5, 2.0, 0.5, 1e-60, 3e60, -1e-60])


@pytest.mark.parametrize("f", [np.prod, np.cumprod])
@settings(max_examples=60)
@given(values=st.lists(HARD, min_size=1, max_size=5), seed=SEEDS)
def test_products_are_exact_with_zeros_and_far_from_one(f, values, seed):
    rng = np.random.default_rng(seed)
    x, g = Tensor(values, requires_grad=True), rng.standard_normal(np.shape(f(values)))
    y = f(x)
    y.backward(g)
    size = len(values)
    with np.errstate(all="ignore"):
        for k in range(size):
            others = np.array([*values[:k], 1.0, *values[k + 1 :]])
            slope = np.prod(others) * g if f is np.prod else np.sum(np.cumprod(others)[k:] * g[k:])
            np.testing.assert_allclose(x.grad.numpy()[k], slope, rtol=1e-12, atol=0)


# What a kernel reads off its output


@given(x=st.floats(-40, 40))
def test_the_slope_of_a_sigmoid_keeps_its_digits_on_both_sides(x):
    t = Tensor([x], requires_grad=True)
    sigmoid(t).backward(np.ones(1))
    np.testing.assert_allclose(t.grad.numpy(), exact_slope(np.array([x])), rtol=2e-14)


@pytest.mark.parametrize(("dtype", "bits"), [(np.float16, 1), (np.float32, 3), (np.float64, 6), (np.longdouble, 6)])
def test_the_slope_of_a_sigmoid_loses_no_more_bits_than_its_rule_says(dtype, bits):
    x = np.linspace(-9, 9, 2001).astype(dtype)
    t = Tensor(x, requires_grad=True)
    sigmoid(t).backward(np.ones_like(x))
    e = np.exp(-np.abs(x.astype(np.longdouble)))
    error = np.abs(t.grad.numpy() / (e / (1 + e) ** 2) - 1)
    assert np.max(error) <= np.finfo(dtype).eps * (2**bits * 0.75 + 1)  # 1 - σ is off as far as σ is, by 3/4 of a unit


@given(count=st.integers(300, 310), seed=SEEDS)
def test_many_picks_by_row_and_column_are_added_up_where_they_came_from(count, seed):
    rng = np.random.default_rng(seed)
    rows, columns, g = (*rng.integers(-3, 3, (2, count)), rng.integers(-9, 10, count))
    expected = np.zeros((3, 3))
    np.add.at(expected, (rows, columns), g)
    found = scatter(g.astype(np.float64), (rows, columns), (3, 3))
    assert found.base is None
    np.testing.assert_array_equal(found, expected)


def test_a_factor_is_read_off_a_product_and_worked_out_where_that_cannot_be():
    x = np.array([-3.0, 0.0, 5e-324, 1e-310, 2.0, np.inf, -800.0])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(factor(silu(x), x, sigmoid), sigmoid(x), rtol=1e-15)


@pytest.mark.parametrize(
    ("subscripts", "x", "y"),
    [
        ("ij,jk->ik", (3, 4), (4, 2)), ("ij,jk->ki", (3, 4), (4, 2)), ("ji,kj->ik", (4, 3), (2, 4)),
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bij,bkj->kbi", (2, 3, 4), (2, 5, 4)),
        ("bij,bj->ib", (2, 3, 4), (2, 4)),
        ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)), ("ij,jk", (3, 4), (4, 2)), ("ij,j", (3, 4), (4,)),
        ("ij,jk->ik", (3, 1), (4, 2)), ("ij,jk->ik", (3, 4), (1, 2)), ("ij,ij->", (3, 4), (3, 4)),
        ("ij,kl->il", (3, 4), (2, 5)), ("iij,jk->ik", (3, 3, 4), (4, 2)), ("ij,jk->ik", (0, 4), (4, 2)),
        ("ij,jk->ik", (3, 0), (0, 2)), ("i,j->ij", (3,), (4,)),
    ],
)  # fmt: skip
def test_an_einsum_of_two_is_the_same_as_a_product_of_matrices(subscripts, x, y):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(x), rng.standard_normal(y)
    expected = np.einsum(subscripts, x, y)
    found = summed(subscripts, x, y)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("f", [np.var, np.std])
@pytest.mark.parametrize("ddof", [0, 1])
def test_ddof_is_the_same_in_kernel_and_definition(f, ddof):
    x = np.random.default_rng(0).standard_normal((3, 4))
    assert_one(lambda x: [f(x, axis=1, ddof=ddof)], [x], 0)
