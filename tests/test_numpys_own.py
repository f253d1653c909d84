"""NumPy is the judge of every call: what it takes, a Tensor takes with the same result; what it refuses, so do we.

Values, dtypes and kinds of errors are compared with NumPy itself, on the forms that drawing seldom reaches.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from calls import Call, checks

from tinygrad_edu import Tensor, gradients, primitive
from tinygrad_edu.errors import AutodiffError, LostGradientError, ShapeError, UnsupportedError
from tinygrad_edu.rules.left_out import FORMS, OPTIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import operations_page  # noqa: E402

RNG = np.random.default_rng(0)
CUBE, X, LINE, POINT = (RNG.standard_normal(shape) for shape in ((2, 3, 4), (3, 3), (3,), ()))
NONE, EMPTY, WIDE = np.zeros((3, 0)), np.zeros((0, 3)), RNG.standard_normal((2, 4))


def tracked(value):
    """The call's float arrays, each as a tensor that wants a gradient."""
    if isinstance(value, list | tuple):
        return type(value)([tracked(part) for part in value])
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return Tensor(value, requires_grad=True)
    return value


# What NumPy takes

TAKEN = [
    Call(np.take, (X, [4, -1, 7]), {"mode": "wrap"}), Call(np.take, (X, [4, -1, 7], 1, None, "clip")),
    Call(np.take, (LINE, [True, False])), Call(np.take, (POINT, [0, 0]), {"axis": 0}), Call(np.take, (NONE, [], 0)),
    Call(np.take, (np.zeros((3, 0, 0)), [-1], 2)), Call(np.take, (X, [0]), {"mode": "raise"}),
    Call(np.take, (X, 1, np.int64(1))), Call(np.tile, (NONE, -1)), Call(np.tensordot, (LINE, X, (0, (1,)))),
    Call(np.take_along_axis, (CUBE, np.array([[[1]], [[0]]]), -2)),
    Call(np.compress, ([], LINE)), Call(np.compress, ([1, 0], X, 1)), Call(np.compress, ([True], POINT), {"axis": -1}),
    Call(np.extract, ([1, 0, 1], LINE)), Call(np.delete, (X, slice(None, None, 2), 1)),
    Call(np.choose, ([0, 4, -2], [LINE, LINE * 2, POINT], None, "wrap")),
    Call(np.choose, ([[5], [-5]], (LINE, LINE * 2)), {"mode": "clip"}),
    Call(np.choose, (np.array([5]), [LINE[:0], POINT])),
    Call(np.trace, (CUBE, 1, 0, 2, np.float64)), Call(np.diag, (WIDE, 1)), Call(np.diagflat, (X, -1)),
    Call(np.tril, (LINE,)), Call(np.triu, (LINE, 1)),
    Call(np.vstack, ([LINE, X],), {"dtype": np.float64, "casting": "same_kind"}), Call(np.hstack, ((POINT, LINE),)),
    Call(np.column_stack, ([CUBE, CUBE[:, :1]],)), Call(np.column_stack, ([LINE, X, LINE],)),
    Call(np.concatenate, ([[1.0, 2.0], LINE],)), Call(np.concatenate, (X,)), Call(np.stack, (X, 1)),
    Call(np.concatenate, ([X, X], np.array(1))),
    Call(np.array_split, (LINE, [2, 1, -1])), Call(np.hsplit, (LINE, 3)),
    Call(np.meshgrid, (LINE, POINT), {"sparse": True}), Call(np.meshgrid, (LINE, [1.0, 2.0]), {"copy": False}),
    Call(np.broadcast_arrays, (X, [1.0, 2.0, 3.0])), Call(np.atleast_2d, (POINT, 1.0, [1.0])),
    Call(np.repeat, (POINT, 2), {"axis": 0}), Call(np.tile, (X, np.array([2, 1]))), Call(np.rot90, (CUBE, -1, (-1, 0))),
    Call(np.pad, (X, {0: 1, -1: (0, 2)}, "edge")), Call(np.pad, (POINT, 0), {"mode": "reflect"}),
    Call(np.partition, (LINE, 1), {"kind": "introselect"}), Call(np.broadcast_arrays, (X, LINE), {"subok": False}),
    Call(np.dot, (X.astype(np.float32), 2.0)), Call(np.dot, (X, [1.0, 2.0, 3.0])), Call(np.inner, (X, 3)),
    Call(np.vecdot, (CUBE, CUBE[:1, :1]), {"axis": -1}), Call(np.vecdot, (CUBE, CUBE[0]), {"axis": -2}),
    Call(np.linalg.vecdot, (X, LINE)), Call(np.cross, (X, X, 0, 0, 0)),
    Call(np.cross, (X, X), {"axisa": 0, "axisc": 0}), Call(np.tensordot, (X, X, np.array([[0], [1]]))),
    Call(np.tensordot, (LINE, LINE, -1)), Call(np.einsum, (CUBE, [0, 1, 2], X, [1, 3], [3, 0])),
    Call(np.einsum, (X, [0, 0])), Call(np.einsum, (CUBE, [Ellipsis, 2], WIDE, [5, 2])),
    Call(np.linalg.multi_dot, ([LINE, X],)), Call(np.linalg.qr, (WIDE,)), Call(np.linalg.qr, (CUBE,)),
    Call(np.linalg.det, (np.ones((2, 2)),)), Call(np.linalg.det, (np.arange(9.0).reshape(3, 3),)),
    Call(np.linalg.det, (np.zeros((1, 1)),)), Call(np.linalg.det, (np.zeros((2, 0, 0)),)),
    Call(np.linalg.det, (np.stack([X, np.ones((3, 3)) + np.eye(3)[0]]),)),
    Call(np.max, (POINT,), {"axis": 0}), Call(np.min, (POINT,), {"axis": -1, "keepdims": True}),
    Call(np.prod, (POINT,), {"axis": 0}), Call(np.cumprod, (POINT,), {"axis": -1}), Call(np.ptp, (POINT, 0)),
    Call(np.einsum, ("ij,j->i", X, [1, 2, 3])), Call(np.linalg.solve, (X, [1.0, 2.0, 3.0])),
    Call(np.trapezoid, ([0, 1, 3], LINE)), Call(np.convolve, (LINE, [1, 2])), Call(np.correlate, ([1, 2, 3, 4], LINE)),
    Call(np.convolve, (LINE, 2.0, 1)), Call(np.polyval, ([1, 2, 3], LINE.astype(np.float32))),
    Call(np.choose, ([0, 1, 2], [LINE.astype(np.float32), 1.5, [1, 2, 3]])),
    Call(np.gradient, (LINE, [0, 1, 3])), Call(np.gradient, (LINE, 0.5), {"edge_order": 2}),
    Call(np.add.outer, (LINE.astype(np.float32), 2.0)), Call(np.vander, (LINE.astype(np.float32), 2)),
    Call(np.linspace, (0, LINE.astype(np.float32), 3)), Call(np.geomspace, (1, np.float32([2, 3]), 3)),
    Call(np.logspace, (LINE, 1.0, 3), {"base": np.array([2.0, 3.0, 4.0])}), Call(np.linspace, (POINT, 2.0, 3, False)),
    Call(np.nanvar, (X,), {"axis": 0, "ddof": 1, "mean": np.mean(X, axis=0, keepdims=True)}),
    Call(np.nanstd, (X,), {"correction": 1}), Call(np.var, (X, 1, None, None, 0, True), {"correction": 1}),
]  # fmt: skip


FOLDS = [
    *[Call(f.reduce, (X,), {"axis": axis, "keepdims": keep}) for f in (np.logaddexp, np.hypot, np.fmax, np.maximum)
      for axis in (0, -1, (0, 1), None, ()) for keep in (False, True)],
    *[Call(f.reduce, (CUBE,), {"axis": axis}) for f in (np.subtract, np.divide, np.arctan2) for axis in (0, 2)],
    *[Call(f.reduce, (X, 1), {"where": X > -0.5, "initial": 0.5}) for f in (np.subtract, np.logaddexp, np.multiply)],
    Call(np.hypot.reduce, (X,), {"where": X > 0}), Call(np.hypot.reduce, (POINT,), {"axis": None}),
    Call(np.multiply.reduce, (X, 1, None, None, True)), Call(np.maximum.reduce, (X, 0, None, None, True)),
    *[Call(f.accumulate, (CUBE, axis)) for f in (np.maximum, np.logaddexp, np.subtract, np.add) for axis in (0, 1, -1)],
    Call(np.maximum.accumulate, (NONE, 1)),
    *[Call(f.reduceat, (WIDE, [0, 2, 1, 1], axis)) for f in (np.add, np.maximum, np.divide) for axis in (1, -1)],
    Call(np.add.reduceat, (LINE, [])),
]  # fmt: skip


def spelled(call):
    return without_addresses(f"{call.function.__name__}-{call.args[1:]}-{call.kwargs}")


def without_addresses(text):
    """Two processes that share out the tests must give a test the same name."""
    return re.sub(r" at 0x[0-9a-f]+", "", text).replace("\n", "")[:70]


@pytest.mark.parametrize("call", TAKEN + FOLDS, ids=spelled)
def test_form_that_numpy_takes_gives_its_result_and_a_gradient(call):
    rng = np.random.default_rng(1)
    checks.assert_value_is_numpys(call, exact=False)
    found = checks.gradient_of(call, call.arrays, checks.normal(rng, checks.plain_outputs(call, call.arrays)))
    assert [(g.shape, g.dtype) for g in found] == [(a.shape, a.dtype) for a in call.arrays]
    if all(a.dtype == np.float64 for a in call.arrays):
        checks.first_derivative_is_judged(call, rng)
        checks.second_derivative_is_judged(call, rng)


@pytest.mark.parametrize(("ufunc", "options"), [(np.logaddexp, {}), (np.hypot, {}), (np.fmin, {"initial": 2.0})])
def test_fold_of_nothing_is_where_it_begins(ufunc, options):
    x = NONE.astype(np.float32)
    expected, found = ufunc.reduce(x, 1, **options), ufunc.reduce(Tensor(x, requires_grad=True), 1, **options)
    assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())


@pytest.mark.parametrize("function", [
    lambda a, b: np.where([True, False], [a, b], Tensor([1.0, 2.0])), lambda a, b: np.add(b, [a, b], dtype=None),
    lambda a, b: np.concatenate([Tensor([1.0]), [a, b]]), lambda a, b: np.einsum("i,i", Tensor([1.0, 2.0]), [a, b]),
    lambda a, b: np.linalg.solve(Tensor(np.eye(2)), [a, b]), lambda a, b: np.full_like(Tensor([1.0, 2.0]), [a, b]),
])  # fmt: skip
def test_list_of_tensors_in_an_operands_place_loses_no_gradient(function):
    """A Tensor beside it brings the call to us, where NumPy would never have asked."""
    with pytest.raises(LostGradientError, match=r"np\.stack"):
        function(Tensor(1.0, requires_grad=True), Tensor(2.0, requires_grad=True))


PRODUCTS = [
    (np.matmul, (2, 3, 0), (0, 4)), (np.matmul, (2, 3, 4), (4, 0)), (np.matmul, (0, 3, 4), (4, 2)),
    (np.matmul, (3,), (3, 0)), (np.matmul, (0,), (0,)), (np.matmul, (2, 0, 3), (3,)), (np.matmul, (4, 0, 4), (4, 0)),
    (np.dot, (2, 3, 0), (2, 0, 3)), (np.inner, (2, 0), (3, 0)), (np.inner, (0, 3), (2, 3)), (np.outer, (0,), (3,)),
    (np.outer, (2, 0), ()), (np.kron, (0, 2), (2, 2)), (np.kron, (2,), (0,)), (np.vecdot, (2, 0), (0,)),
    (np.tensordot, (2, 0, 3), (0, 3, 2)), (np.linalg.solve, (3, 3), (3, 0)), (np.linalg.solve, (0, 0), (0, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "left", "right"), PRODUCTS, ids=lambda part: getattr(part, "__name__", str(part)))
def test_product_with_a_side_of_size_zero_has_gradients_of_its_arguments_shapes(function, left, right):
    a = np.eye(3) if left == (3, 3) else np.ones(left)
    call = Call(function, (a, np.ones(right)))
    checks.assert_value_is_numpys(call, exact=False)
    found = checks.gradient_of(call, call.arrays, [np.ones(y.shape) for y in checks.plain_outputs(call, call.arrays)])
    assert [g.shape for g in found] == [left, right]
    for g in found:
        np.testing.assert_array_equal(g, 0.0)
    assert checks.second_derivative_is_judged(call, np.random.default_rng(0))


@pytest.mark.parametrize("subscripts", ["ij,jk->ik", "ij,jk", "ij,jk->", "...j,jk->...k", "ij,kj->ijk"])
def test_einsum_with_a_side_of_size_zero_has_gradients_of_its_arguments_shapes(subscripts):
    for left, right in ((np.ones((2, 0)), np.ones((0, 0))), (np.ones((0, 3)), np.ones((3, 3)))):
        call = Call(np.einsum, (subscripts, left, right))
        checks.assert_value_is_numpys(call, exact=False)
        outputs = checks.plain_outputs(call, call.arrays)
        found = checks.gradient_of(call, call.arrays, [np.ones(y.shape) for y in outputs])
        assert [g.shape for g in found] == [left.shape, right.shape]


def test_row_lookup_in_a_table_without_columns_has_a_gradient_of_its_shape():
    call = Call(lambda table: table[np.array([2, 0])], (NONE,))
    assert checks.gradient_of(call, [NONE], [np.zeros((2, 0))])[0].shape == (3, 0)


# What NumPy refuses

REFUSED = [
    (np.add.accumulate, POINT), (np.subtract.reduce, X, (0, 1)), (np.fmax.reduce, NONE, 1),
    (np.add.reduceat, LINE, [3]), (np.add.reduceat, LINE, [-1]), (np.maximum.accumulate, X, 2),
    (np.convolve, LINE, LINE, "all"),
    (np.convolve, X, LINE), (np.block, [[X, X], [X]]), (np.block, []), (np.insert, LINE, 9, POINT),
    (np.linspace, POINT, 1.0, -1), (np.geomspace, 0 * LINE, 1.0), (np.apply_along_axis, np.sum, 1, EMPTY),
    (np.piecewise, LINE, [LINE > 0], [1.0, 2.0, 3.0]), (np.vander, X), (np.rollaxis, X, 0, 5),
    (np.gradient, LINE, LINE, LINE), (np.gradient, LINE[:2], 1.0, 0, 2), (np.gradient, LINE, WIDE[0]),
    (np.cov, CUBE), (np.cov, X, None, True, False, 0.5), (np.quantile, LINE, 0.5, None, None, False, "no such"),
    (np.linalg.tensorinv, CUBE), (np.linalg.tensorsolve, CUBE, LINE), (np.average, X, None, LINE),
    (np.prod, LINE[:, None], 1, None, None, False, 1, X > 0),
    (np.take, LINE, [0], 1), (np.take, X, [0], -3), (np.take, X, [9]), (np.take, LINE, LINE),
    (np.take_along_axis, X, np.array([[0]]), 2), (np.take_along_axis, X, np.array([0]), 0),
    (np.take_along_axis, POINT, np.array(0), -1), (np.take_along_axis, X, np.array([[True]]), 0),
    (np.take_along_axis, X, np.array([[0]]), None),
    (np.compress, [True], LINE, 1), (np.compress, [True], X, -3), (np.compress, [[True]], LINE),
    (np.compress, True, LINE), (np.compress, [0, 0, 0, 1], LINE),
    (np.delete, LINE, 0, 1), (np.delete, LINE, 7), (np.delete, POINT, 0, 0), (np.extract, [0, 0, 0, 1], LINE),
    (np.select, [LINE > 0], [LINE, LINE]), (np.select, [np.array([1, 0, 1])], [LINE]),
    (np.choose, [3], [LINE, LINE]), (np.choose, [-1, 0, 0], [LINE, LINE]), (np.choose, [0, 1], [LINE, LINE]),
    (np.choose, [0], [LINE], None, "none"),
    (np.diagonal, X, 0, 0, 0), (np.diagonal, X, 0, 0, 2), (np.diagonal, LINE), (np.trace, X, 0, 1, 1),
    (np.trace, LINE), (np.diag, POINT), (np.diag, CUBE), (np.rot90, X, 1, (0, 0)), (np.rot90, X, 1, (0, 2)),
    (np.rot90, X, 1, (0, -2)), (np.rot90, LINE), (np.rot90, CUBE, 1, (0, 1, 2)), (np.fliplr, LINE), (np.flipud, POINT),
    (np.flip, X, 2), (np.flip, X, (0, 0)), (np.roll, X, 1, 2), (np.transpose, X, (0, 0)),
    (np.moveaxis, X, (0, 0), (0, 1)),
    (np.expand_dims, X, (0, 0)), (np.squeeze, X, 0), (np.swapaxes, X, 0, 2),
    (np.split, LINE, -1), (np.array_split, LINE, 0), (np.vsplit, LINE, 3), (np.hsplit, POINT, 1), (np.dsplit, X, 3),
    (np.split, LINE, 3, 1), (np.concatenate, [X, X], 2), (np.stack, [LINE, LINE], 2), (np.column_stack, [X, LINE[:2]]),
    (np.repeat, LINE, 2, 1), (np.repeat, LINE, -1), (np.tile, LINE, -1), (np.pad, LINE, -1), (np.pad, LINE, 1.5),
    (np.pad, LINE, -1, "edge"), (np.pad, LINE, {3: 1}), (np.pad, NONE, 1, "reflect"),
    (np.tensordot, X, X, 3), (np.tensordot, X, X, ([0, 0], [0, 0])), (np.tensordot, X, X, (2, 0)),
    (np.tensordot, X, WIDE, 1), (np.tensordot, X, X, ([0, 1], [0])),
    (np.linalg.outer, X, LINE), (np.linalg.outer, POINT, LINE), (np.vecdot, LINE, WIDE), (np.vecdot, POINT, LINE),
    (np.vecdot, LINE, LINE[:1]), (np.matvec, LINE, LINE), (np.vecmat, LINE, LINE),
    (np.cross, WIDE, WIDE), (np.linalg.cross, X[:, :2], X[:, :2]), (np.inner, X, WIDE), (np.vdot, X, LINE),
    (np.matmul, POINT, POINT), (np.matmul, LINE, POINT), (np.einsum, X, [60, 0]), (np.einsum, X, [-1, 0]),
    (np.linalg.matrix_power, WIDE, 1), (np.linalg.matrix_power, LINE, 2), (np.linalg.matrix_power, X, 1.5),
    (np.linalg.multi_dot, [X]), (np.linalg.multi_dot, [X, CUBE, X]), (np.linalg.det, WIDE), (np.linalg.qr, LINE),
    (lambda x: np.vecdot(x, x, axis=2), X), (lambda x: np.vecdot(x, x, axis=(0,)), X),
    (lambda x: np.meshgrid(x, indexing="yx"), LINE), (lambda x: np.unstack(x, axis=1), LINE),
    (lambda x: np.unstack(x), POINT), (lambda x: np.linalg.diagonal(x), LINE), (lambda x: np.linalg.trace(x), LINE),
]  # fmt: skip


def named(call):
    return without_addresses(f"{getattr(call[0], '__name__', 'f')}-{call[1:]}")


@pytest.mark.parametrize("call", REFUSED, ids=named)
def test_form_that_numpy_refuses_is_refused_with_the_users_line(call):
    function, *args = call
    with pytest.raises(Exception) as numpys:  # noqa: PT011
        function(*args)
    with pytest.raises((ValueError, TypeError, IndexError)) as ours:
        function(*tracked(args))
    assert not isinstance(ours.value, ArithmeticError)
    assert "Called" in str(ours.value) or str(ours.value) == str(numpys.value)
    index_or_shape = isinstance(numpys.value, IndexError) and isinstance(ours.value, ShapeError)
    kinds = (TypeError, IndexError, ValueError)
    assert index_or_shape or any(isinstance(numpys.value, k) and isinstance(ours.value, k) for k in kinds), ours.value


@primitive(lambda g: g)
def same(x):
    return x * 1.0


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        (lambda x: same(x, x), "same(x)"), (lambda x: same(x, scale=2), "same"),
        (lambda x: np.dot(x, x, x, x), "dot"), (lambda x: np.take(x, 0, 0, None, "clip", 1), "take"),
        (lambda x: np.matmul(x, x, x, x), "matmul"), (lambda x: np.kron(x), "kron"),
    ],
)  # fmt: skip
def test_call_with_the_wrong_number_of_arguments_is_a_type_error_that_names_the_function(call, signature):
    with pytest.raises(TypeError) as said:
        call(Tensor(X, requires_grad=True))
    assert signature in str(said.value)
    assert not isinstance(said.value, AutodiffError) or isinstance(said.value, UnsupportedError)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: np.dot(x, x, out), lambda x, out: np.take(x, [0], 0, out), lambda x, out: np.outer(x, x, out),
        lambda x, out: np.choose([0, 1, 0], [x, x], out),
        lambda x, out: np.trace(x, 0, 0, 1, None, out), lambda x, out: np.concatenate([x, x], 0, out),
        lambda x, out: np.linalg.multi_dot([x, x], out=out), lambda x, out: np.compress([1], x, 0, out),
    ],
)  # fmt: skip
@pytest.mark.parametrize("x", [X, np.arange(9).reshape(3, 3)], ids=["tracked", "whole numbers"])
def test_result_is_written_into_no_array_wherever_it_stands(call, x):
    out = np.full((3, 3), 7.0)
    with pytest.raises((UnsupportedError, ValueError), match="out"):
        call(Tensor(x, requires_grad=x.dtype.kind == "f"), out)
    np.testing.assert_array_equal(out, 7.0)


# Whole numbers have no gradient: NumPy's own function runs on them

WHOLE = [
    np.median, lambda x: np.quantile(x, 0.3), lambda x: np.percentile(x, [10, 50], axis=0), np.prod,
    lambda x: np.cumprod(x, axis=1), np.linalg.norm, np.average, lambda x: np.average(x, weights=[0.5, 1, 2], axis=0),
    lambda x: np.average(x, 0, x), lambda x: np.gradient(x)[0], np.var, np.std, np.ptp, np.diff, np.mean,
    lambda x: np.median(x, 0, None, False, True), lambda x: np.quantile(x, 0.5, method="lower"), np.nansum, np.trace,
    lambda x: np.linalg.matrix_power(x, 3), lambda x: np.kron(x, x), lambda x: np.tensordot(x, x),
    lambda x: np.split(x, 3)[1], lambda x: np.pad(x, 1, mode="maximum"), lambda x: np.select([x > 1], [x]),
    lambda x: np.choose(x % 2, [x, 2 * x]), lambda x: np.tile(x, 2),
    lambda x: np.linalg.inv(x + 7 * np.eye(3, dtype=int)),
    lambda x: np.column_stack([x, x]), lambda x: np.meshgrid(x, x)[1], lambda x: np.interp(2, [1, 3], x[0, :2]),
    lambda x: np.convolve(x[0], x[1]), lambda x: np.cov(x), np.linalg.det, lambda x: np.cross(x, x[::-1]),
    np.unique, lambda x: np.bincount(x[0]), lambda x: np.insert(x, 1, 5, axis=0), lambda x: np.block([[x, x]]),
    lambda x: np.histogram(x, 3)[0],
]  # fmt: skip


@pytest.mark.parametrize("function", WHOLE)
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8])
def test_whole_numbers_give_what_numpy_gives(function, dtype):
    x = np.array([[1, 2, 3], [7, 0, 2], [100, 3, 9]], dtype)
    expected, found = function(x), function(Tensor(x))
    assert isinstance(found, Tensor)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=0)


def test_float_among_whole_numbers_keeps_its_gradient():
    counts, x = Tensor([1, 2, 3]), Tensor([4.0, 5.0, 6.0], requires_grad=True)
    assert gradients(np.average(x, weights=counts), x).tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert gradients(np.dot(counts, x), x).tolist() == [1.0, 2.0, 3.0]


# What is left out, by form


@pytest.mark.parametrize("form", FORMS)
def test_form_that_is_left_out_says_so(form):
    x = Tensor(RNG.standard_normal((2, 3)), requires_grad=True)
    with pytest.raises((AutodiffError, ValueError)):
        y = eval(form, {"np": np, "x": x, "square": np.matmul(x.mT, x) + np.eye(3), "mask": X[0] > 0})  # noqa: S307
        parts = y if isinstance(y, tuple | list) else [y]
        sum(np.sum(part) for part in parts).backward()


def test_every_option_of_numpys_that_is_left_out_has_a_reason():
    left_out = operations_page.options_left_out()
    assert set(left_out) <= set(OPTIONS), f"no reason for {set(left_out) - set(OPTIONS)}"
    page = operations_page.page()
    assert [form for form in FORMS if form not in page] == []
