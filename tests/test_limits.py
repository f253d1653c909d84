"""A result that would not fit in memory is refused with its size, before NumPy is asked to allocate it."""

import re
import tracemalloc

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_edu import Tensor, extents, functional, hessian, jacobian, limits
from tinygrad_edu.errors import TooLargeError

N = 2000
ROOM = 4 << 20  # bytes; an N×N result takes eight times that
x = Tensor(np.linspace(0.0, 1.0, N), requires_grad=True)
column, row, places = x[:, None], x[None, :], np.broadcast_to(np.zeros(1, int), (N, N))
counts, triples, tall = Tensor(np.arange(N)), column * np.ones(3), np.append(x, x)[:, None]

GROWING = {
    "sum": lambda: x + column, "remainder": lambda: x % column, "where": lambda: np.where(column > 0, x, 0.0),
    "maximum": lambda: np.maximum(x, column), "matmul": lambda: column @ x[None], "outer": lambda: np.outer(x, x),
    "ufunc outer": lambda: np.subtract.outer(x, x), "kron": lambda: np.kron(x, x),
    "clip": lambda: np.clip(x, column, 1),
    "broadcast_to": lambda: np.broadcast_to(x, (N, N)), "tile": lambda: np.tile(x, (N, 1)),
    "repeat": lambda: np.repeat(x, N), "repeat each": lambda: np.repeat(x, np.full(N, N)),
    "repeat rows": lambda: np.repeat(column, N, axis=1), "pad": lambda: np.pad(x, (N * N, 0)),
    "pad edge": lambda: np.pad(x, N * N, mode="edge"), "diag": lambda: np.diag(x), "diagflat": lambda: np.diagflat(x),
    "einsum": lambda: np.einsum("i,j->ij", x, x), "take": lambda: np.take(x, places), "index": lambda: x[places],
    "take_along_axis": lambda: np.take_along_axis(x[None], places, 1), "stack": lambda: np.stack([x] * N),
    "concatenate": lambda: np.concatenate([x] * N), "tensordot": lambda: np.tensordot(x, x, 0),
    "einsum by numbers": lambda: np.einsum(x, [0], x, [1]), "einsum, no arrow": lambda: np.einsum("i,j", x, x),
    "floor_divide": lambda: x // column, "full_like": lambda: np.full_like(x, 1.0, shape=(N, N)),
    "comparison": lambda: x > tall, "equality": lambda: tall == x.numpy(), "less.outer": lambda: np.less.outer(x, tall),
    "logical": lambda: np.logical_and(x > 0, tall > 0), "isclose": lambda: np.isclose(x, column),
    "allclose": lambda: np.allclose(x, column), "array_equiv": lambda: np.array_equiv(x[None], column),
    "heaviside": lambda: np.heaviside(x, column), "bits": lambda: counts & counts[:, None],
    "index by rows and columns": lambda: x[None][places[:, :1], places[0]],
    "index and slice": lambda: row[places[0], :], "zeros_like": lambda: np.zeros_like(x, shape=(N, N)),
    "empty_like": lambda: np.empty_like(x, shape=(N, N)), "resize": lambda: np.resize(x, (N, N)),
    "windows": lambda: sliding_window_view(np.pad(x, N), N), "meshgrid": lambda: np.meshgrid(x, x),
    "linspace": lambda: np.linspace(x[0], x[1], N * N), "linspace of many": lambda: np.linspace(x, 1.0, N),
    "geomspace": lambda: np.geomspace(x[1], 1.0, N * N), "logspace": lambda: np.logspace(x[1], 1.0, N * N),
    "bincount": lambda: np.bincount([1, N * N], x[:2]), "vander": lambda: np.vander(x), "cov": lambda: np.cov(column),
    "bincount at least": lambda: np.bincount([0, 1], x[:2], minlength=N * N), "corrcoef": lambda: np.corrcoef(column),
    "svd": lambda: np.linalg.svd(column), "qr": lambda: np.linalg.qr(column, mode="complete"),
    "quantile": lambda: np.quantile(column * np.ones(3), x.numpy(), axis=1),
    "counts tiled": lambda: np.tile(counts, (N, 1)), "counts in outer": lambda: np.outer(counts, counts),
    "vecdot": lambda: np.vecdot(column[:, None], column[None]), "cross": lambda: np.cross(triples, triples[:, None]),
    "inner": lambda: np.inner(column, column),
    "dot": lambda: np.dot(column, row),
    "self_attention": lambda: functional.self_attention(column[None] * np.ones(3), 1),
    "jacobian": lambda: jacobian(np.sin)(np.ones(N)), "hessian": lambda: hessian(lambda t: (t * t).sum())(np.ones(N)),
}  # fmt: skip


@pytest.mark.parametrize("what", GROWING)
def test_result_too_large_is_refused_before_it_is_allocated(what, monkeypatch):
    monkeypatch.setattr(limits, "WORTH_A_LOOK", 1 << 10)
    monkeypatch.setattr(limits, "available_bytes", lambda: ROOM)
    monkeypatch.setattr("tinygrad_edu.record.MANY", 1 << 10)
    monkeypatch.setattr("tinygrad_edu.operators.MANY", 1 << 10)
    monkeypatch.setattr(extents, "MANY", 1 << 10)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError) as caught:
            GROWING[what]()
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()
    said = r"gives shape \([\d, ]+\), [\d.e+-]+ GiB, and [\d.e+-]+ GiB are free\..* at test_limits\.py:\d+"
    assert re.search(said, str(caught.value), re.S), str(caught.value)


def test_what_fits_is_not_refused(monkeypatch):
    monkeypatch.setattr(limits, "WORTH_A_LOOK", 1 << 10)
    monkeypatch.setattr(limits, "available_bytes", lambda: 1 << 30)
    monkeypatch.setattr(extents, "MANY", 1 << 10)
    for call in (GROWING["where"], GROWING["tile"], GROWING["index"], GROWING["einsum"], GROWING["pad"]):
        assert call().size >= N * N


def test_truth_values_count_as_one_byte_each(monkeypatch):
    monkeypatch.setattr(limits, "WORTH_A_LOOK", 1 << 10)
    monkeypatch.setattr(limits, "available_bytes", lambda: ROOM)
    monkeypatch.setattr(extents, "MANY", 1 << 10)
    assert (x > column).nbytes == N * N < ROOM


def test_a_convolution_of_long_rows_takes_no_more_memory_than_they_do():
    """Each stretch of one beside the other would be N · N numbers."""
    a, v = Tensor(np.linspace(0.0, 1.0, N), requires_grad=True), Tensor(np.linspace(1.0, 2.0, N), requires_grad=True)
    tracemalloc.start()
    try:
        np.convolve(a, v).sum().backward()
        assert tracemalloc.get_traced_memory()[1] < 100 * 8 * N
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(a.grad.numpy(), np.full(N, v.numpy().sum()), rtol=1e-12)
