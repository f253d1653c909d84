"""Edges of single operations that no drawn call comes near."""

import math
from contextlib import nullcontext

import numpy as np
import pytest

from tinygrad_edu import Tensor, definitions, functional, gradients
from tinygrad_edu.errors import UnsupportedError


def test_erf_is_right_to_four_units_in_the_last_place():
    x = np.concatenate([np.linspace(-7.0, 7.0, 4001), np.geomspace(1e-300, 7.0, 500), [0.0, -0.0, np.inf, -np.inf]])
    expected = np.array([math.erf(each) for each in x])
    assert np.all(np.abs(functional.erf(x) - expected) <= 4 * np.finfo(float).eps * np.abs(expected))
    assert math.isnan(functional.erf(np.array(np.nan)))


@pytest.mark.parametrize("order", ["A", "K"])
def test_an_order_that_asks_for_the_layout_in_memory_is_refused(order):
    with pytest.raises(UnsupportedError, match=f"order='{order}' depends .*Called at test_rules_edges"):
        np.ravel(Tensor(np.ones((2, 3)), requires_grad=True), order=order)


@pytest.mark.parametrize("shapes", [((2, 2), (2, 2, 2), (2, 2)), ((2, 2), (2,), (2, 2)), ((2, 2, 2), (2,), (2,))])
def test_multi_dot_takes_matrices_and_vectors_at_the_ends_only(shapes):
    with pytest.raises(np.linalg.LinAlgError, match="is no matrix"):
        np.linalg.multi_dot([Tensor(np.ones(shape), requires_grad=True) for shape in shapes])


@pytest.mark.parametrize("shapes", [((2, 2), (2,)), ((2,), (2, 2)), ((0,), (2,)), ((2,), (0,))])
def test_convolve_takes_sequences_only(shapes):
    a, v = (Tensor(np.ones(shape), requires_grad=True) for shape in shapes)
    with pytest.raises(ValueError, match="sequences with at least one element"):
        np.convolve(a, v)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("f", [np.cumprod, np.cumsum, np.prod, np.sum])
@pytest.mark.parametrize("axis", [None, 0])
def test_of_one_element_a_running_product_is_another_tensor(f, n, axis):
    """Its `retain_grad` and its name are its own; also along an axis, where nothing is laid flat before."""
    x = Tensor(np.full(n, 3.0), requires_grad=True)
    for mode in (nullcontext, definitions):
        with mode():
            y = f(x, axis=axis)
        assert y is not x
        assert y._node is not x._node


@pytest.mark.parametrize("x", [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_interp_at_and_beyond_its_last_point(x):
    points, values = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 2.0])
    xs, fs = Tensor(np.array(x), requires_grad=True), Tensor(values, requires_grad=True)
    y = np.interp(xs, points, fs)
    assert y.item() == np.interp(x, points, values)
    slope, weights = gradients(y, [xs, fs])
    place = min(max(int(np.floor(x)), 0), 1)
    share = min(max(x - place, 0.0), 1.0)
    expected = np.zeros(3)
    expected[place], expected[place + 1] = 1.0 - share, share
    np.testing.assert_array_equal(weights.numpy(), expected)
    assert np.isfinite(slope.item())


@pytest.mark.parametrize("order", ["fro", "nuc"])
@pytest.mark.parametrize("axis", [None, 0])
def test_norm_of_matrices_is_refused_for_vectors(order, axis):
    with pytest.raises(ValueError, match=f"ord='{order}' is for matrices.*Called at test_rules_edges"):
        np.linalg.norm(Tensor(np.ones(3), requires_grad=True), order, axis)


@pytest.mark.parametrize("f", [np.sort, lambda x: np.partition(x, 2), lambda x: np.partition(x, (1, -1), axis=None)])
@pytest.mark.parametrize("tied", [1.0, np.inf, -np.inf, np.nan])
def test_equal_infinities_and_nans_share_when_sorted_or_partitioned_wherever_they_stood(f, tied):
    """That a NaN equals nothing, and that inf − inf is NaN, must not leave their shares to the sorting algorithm."""
    with np.errstate(invalid="raise"):
        for values in ([tied, 2.0, tied, 3.0, tied], [3.0, tied, tied, tied, 2.0]):
            x = Tensor(values, requires_grad=True)
            z = f(x)
            z.backward(np.arange(1.0, 6.0))
            where = np.isnan if np.isnan(tied) else lambda each: each == tied
            mean = np.arange(1.0, 6.0)[where(z.numpy())].mean()
            for value, share in zip(values, x.grad.numpy(), strict=True):
                place = z.numpy().tolist().index(value) if not where(np.array(value)) else None
                assert share == (mean if place is None else place + 1.0)
