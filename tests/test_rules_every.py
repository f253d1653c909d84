"""Where an operation has many forms, each of them: a drawn few would leave one out."""

import numpy as np
import pytest
from calls import Call, Draw, checks
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, gradients
from tinygrad_edu.rules.indexing import getitem, scatter
from tinygrad_edu.testing.written.indexing import indices
from tinygrad_edu.testing.written.linalg import EINSUM, MATMUL, einsum_of, rectangular, sized


def passes(call, rng):
    checks.assert_value_is_numpys(call, exact=False)
    assert checks.first_derivative_is_judged(call, rng), call
    assert checks.second_derivative_is_judged(call, rng), call


@settings(max_examples=6)
@given(data=st.data())
def test_every_kind_of_index_picks_and_scatters(data):
    d = Draw(data.draw)
    shape = (3, *d.shape(0, 2))
    for index in indices(d, shape):
        passes(Call(getitem, (d.values(shape), index)), d.rng)
        picked = np.asarray(d.values(np.empty(shape)[index].shape))
        passes(Call(scatter, (picked, index, shape)), d.rng)


@pytest.mark.parametrize("columns", [(), (2,), (300,)], ids=str)
@pytest.mark.parametrize("rows", [[0, -1], [-1, -1, -2], [2, 0, 2, -3], [[0, 1], [-2, 0]]], ids=str)
def test_rows_named_from_either_end_and_more_than_once_add_up(rows, columns):
    rows, rng = np.array(rows), np.random.default_rng(0)
    g = rng.standard_normal((*rows.shape, *columns))
    expected = np.zeros((3, *columns))
    for place in np.ndindex(rows.shape):
        expected[rows[place]] += g[place]
    np.testing.assert_allclose(scatter(g, rows, (3, *columns)), expected, rtol=1e-14)
    np.testing.assert_allclose(scatter(g, (rows,), (3, *columns)), expected, rtol=1e-14)
    long = scatter(g.astype(np.longdouble), (rows,), (3, *columns))
    assert long.dtype == np.longdouble
    np.testing.assert_allclose(long.astype(float), expected, rtol=1e-14)


@pytest.mark.parametrize("subscripts", EINSUM)
@settings(max_examples=5)
@given(data=st.data())
def test_every_form_of_einsum(subscripts, data):
    d = Draw(data.draw)
    passes(einsum_of(subscripts, d), d.rng)


@pytest.mark.parametrize("ranks", MATMUL)
@settings(max_examples=5)
@given(data=st.data())
def test_every_pair_of_ranks_multiplies(ranks, data):
    d = Draw(data.draw)
    passes(Call(np.matmul, tuple(sized(d, ranks))), d.rng)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
@settings(max_examples=3)
@given(data=st.data())
def test_every_norm_of_a_matrix(order, keepdims, data):
    d = Draw(data.draw)
    x = rectangular(d)
    for axis in ((-2, -1), (-1, -2)):
        passes(Call(np.linalg.norm, (x,), {"ord": order, "axis": axis, "keepdims": keepdims}), d.rng)


RNG = np.random.default_rng(0)
X, CUBE, LINE = RNG.standard_normal((3, 4)), RNG.standard_normal((2, 3, 4)), RNG.standard_normal(5)
FORMS = [
    *[Call(np.roll, (X, shift, axis)) for shift, axis in [
        ((1, -1), (0, 1)), ((2, 1), (1, 1)), ([1, 2], [0, -1]), (1, (0, 1)), (-1, 0), (1, -1), (3, None), ((1,), (1,)),
    ]],
    *[Call(np.pad, (X, width), {"mode": mode}) for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
      for width in (1, (2, 1), ((1, 2), (0, 3)), ((0, 0), (2, 2)))],
    Call(np.pad, (X, {0: 1, -1: (0, 2)})),
    *[Call(np.moveaxis, (CUBE, *where)) for where in [(0, 2), (2, 0), (0, 1), ((0, 1), (2, 0)), ((0, -1), (-1, 0))]],
    *[Call(np.transpose, (CUBE, axes)) for axes in [(1, 2, 0), (2, 0, 1), (-1, 0, 1), (0, 2, 1), None]],
    *[Call(np.rot90, (CUBE, k, axes)) for k in range(-1, 4) for axes in [(0, 1), (1, 0), (2, 0), (-1, 1)]],
    *[Call(np.diagonal, (CUBE, k, *axes)) for k in (-1, 0, 1, 5) for axes in [(0, 1), (2, 0), (-1, 1)]],
    *[Call(np.diag, (x, k)) for x in (X, LINE) for k in (-2, 0, 1)],
    *[Call(np.concatenate, ([x, np.ones((3, 2)), X], ), {"axis": -1}) for x in (X, X[:, :1])],
    *[Call(np.concatenate, ([LINE, X, CUBE],), {"axis": None})],
    *[Call(np.cumsum, (CUBE,), {"axis": axis}) for axis in (None, 0, 1, -1)],
    *[Call(np.cumprod, (CUBE,), {"axis": axis}) for axis in (None, 0, 1, -1)],
    *[Call(np.sort, (CUBE,), {"axis": axis}) for axis in (None, 0, 1, -1)],
    *[Call(np.reshape, (CUBE, shape), {"order": order}) for shape in (-1, (4, 6), (3, -1)) for order in "CF"],
    *[Call(np.quantile, (CUBE, q), {"axis": axis, "keepdims": keep}) for q in (0.3, [0.1, 0.9], [[0.5]])
      for axis in (None, 1, (0, 2)) for keep in (False, True)],
    *[Call(np.repeat, (X, times), {"axis": axis})
      for times, axis in [(2, 0), ([1, 0, 2], 0), ([0, 1, 2, 1], -1), (3, None)]],
    *[Call(np.tile, (X, times)) for times in (2, (2, 1), (1, 2), (2, 1, 2), 0)],
]  # fmt: skip


@pytest.mark.parametrize("call", FORMS, ids=lambda call: f"{call.function.__name__}-{call.args[1:]}-{call.kwargs}"[:60])
def test_every_form_of_what_has_many(call):
    passes(call, np.random.default_rng(1))


@pytest.mark.parametrize("subscripts", ["ii->i", "iii->i", "ii->"])
def test_an_infinite_cotangent_of_a_diagonal_stays_on_the_diagonal(subscripts):
    x = Tensor(np.ones((2,) * subscripts.index("-")), requires_grad=True)
    g = np.array([np.inf, 1.0]) if subscripts.endswith("i") else np.array(np.inf)
    found = gradients(np.einsum(subscripts, x), x, Tensor(g)).numpy()
    expected = np.zeros(x.shape)
    for k in range(2):
        expected[(k,) * x.ndim] = np.broadcast_to(g, 2)[k]
    np.testing.assert_array_equal(found, expected)
