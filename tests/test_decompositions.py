"""Determinants, eigenvalues and singular values where matrices are singular, oblong, or have values that tie."""

import numpy as np
import pytest
from calls import Call, checks

from tinygrad_edu import Tensor, gradients
from tinygrad_edu.errors import UnsupportedError


@pytest.mark.parametrize("a", [np.eye(3), np.diag([1.0, 2.0, 2.0]), np.diag([3.0, 0.0, 0.0])], ids=str)
def test_equal_eigenvalues_have_slopes_when_none_asks_for_the_vectors(a):
    rng = np.random.default_rng(0)
    for f in (
        lambda x: np.sum(np.linalg.eigvalsh(x + x.mT) ** 2), lambda x: np.sum(np.linalg.eigh(x + x.mT)[0] ** 2),
        lambda x: np.sum(np.linalg.svdvals(x) ** 2), lambda x: np.sum(np.linalg.svd(x)[1] ** 2),
    ):  # fmt: skip
        assert checks.first_derivative_is_judged(Call(f, (a,)), rng)


def test_singular_values_of_an_oblong_matrix_have_slopes_with_full_matrices_too():
    rng = np.random.default_rng(0)
    for a in (rng.standard_normal((2, 4)), rng.standard_normal((4, 2))):
        assert checks.first_derivative_is_judged(Call(lambda x: np.linalg.svd(x)[1] ** 2, (a,)), rng)
        parts = np.linalg.svd(Tensor(a, requires_grad=True))
        with pytest.raises(UnsupportedError, match="full_matrices=False"):
            sum(np.sum(part) for part in parts).backward()


@pytest.mark.parametrize("f", [np.linalg.slogdet, np.linalg.qr])
def test_decomposition_without_a_derivative_at_a_singular_matrix_says_so(f):
    with pytest.raises(np.linalg.LinAlgError, match=f"{f.__name__} has no derivative"):
        np.sum(f(Tensor(np.ones((2, 2)) - np.eye(2)[0], requires_grad=True))[1]).backward()


def test_slope_of_a_singular_value_is_zero_where_it_vanishes():
    x = Tensor(np.zeros((1, 1)), requires_grad=True)
    assert gradients(np.sum(np.linalg.svdvals(x)), x).tolist() == [[0.0]]


def test_zeroth_power_of_an_infinite_matrix_is_the_identity_with_slope_zero():
    x = Tensor([[np.inf, 1.0], [0.0, np.nan]], requires_grad=True)
    y = np.linalg.matrix_power(x, 0)
    np.testing.assert_array_equal(y.numpy(), np.eye(2))
    np.testing.assert_array_equal(gradients(np.sum(y), x).numpy(), 0.0)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_slope_of_the_determinant_of_a_nearly_singular_matrix_has_its_digits(n):
    rng = np.random.default_rng(n)
    a = rng.integers(-3, 4, (n, n)).astype(float)
    a[-1] = a[0] * 2 if n > 1 else 0.0
    a[-1, -1] += 1e-13
    exact = np.array([[(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)]
                      for i in range(n)])  # fmt: skip
    x = Tensor(a, requires_grad=True)
    np.testing.assert_allclose(gradients(np.linalg.det(x), x).numpy(), exact, rtol=1e-9, atol=1e-11)
    assert checks.second_derivative_is_judged(Call(np.linalg.det, (a,)), rng)


@pytest.mark.parametrize("a", [np.ones((3, 3)), np.stack([np.eye(2), np.ones((2, 2))]), np.zeros((3, 2))], ids=str)
def test_qr_of_columns_that_depend_on_each_other_has_no_derivative_and_says_so(a):
    """R's diagonal ends in something like 1e-17, by which the rule would divide: numbers, but none that mean it."""
    x = Tensor(a, requires_grad=True)
    with pytest.raises(np.linalg.LinAlgError, match="columns of a are not independent"):
        gradients(np.sum(np.linalg.qr(x)[0]), x)
