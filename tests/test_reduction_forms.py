"""Reductions, norms and signals in every form that NumPy takes: its value, its dtype, or an error where it has one."""

import inspect

import numpy as np
import pytest

from tinygrad_edu import Tensor, gradients
from tinygrad_edu.primitive import registry

RNG = np.random.default_rng(0)
A = RNG.standard_normal((2, 3, 4))
M = RNG.standard_normal((3, 3))
V = RNG.standard_normal(5)
INF, NAN = np.inf, np.nan

W = np.arange(1.0, 10.0).reshape(3, 3)

SAME = {
    "average over axes out of order": (lambda a: np.average(a, axis=(2, 0), weights=A[:, 0].T ** 2), A),
    "average over square axes out of order": (lambda a: np.average(a, axis=(1, 0), weights=W), M),
    "average by place": (lambda a: np.average(a, 1, np.arange(1.0, 4.0)), M),
    "prod in a wider dtype": (lambda a: np.prod(a, dtype=np.float64), A.astype(np.float32)),
    "var in a wider dtype": (lambda a: np.var(a, axis=1, dtype=np.float64), A.astype(np.float32)),
    "std in a wider dtype": (lambda a: np.std(a, dtype=np.float64, ddof=1), A.astype(np.float32)),
    "mean in a wider dtype": (lambda a: np.mean(a, axis=0, dtype=np.float64), A.astype(np.float32)),
    "sum by place": (lambda a: np.sum(a, (0, 2), np.float64), A.astype(np.float32)),
    "nansum by place": (lambda a: np.nansum(a, 0), A),
    "var of too few": (lambda a: np.var(a, axis=0, ddof=3), M[:2]),
    "median of an even number with infinities": (np.median, np.array([-1.0, INF, INF, 2.0])),
    "median with a NaN": (lambda a: np.median(a, axis=1), np.array([[1.0, NAN, 2.0], [1.0, 2.0, 3.0]])),
    "median over several axes": (lambda a: np.median(a, axis=(0, 2), keepdims=True), A),
    "median of nothing": (lambda a: np.median(a, axis=0), np.zeros((0, 3))),
    "quantile with a NaN": (lambda a: np.quantile(a, [0.1, 0.7], axis=1), np.array([[1.0, NAN, 2.0], [1.0, 2.0, 3.0]])),
    "quantile with an infinity": (lambda a: np.quantile(a, 0.25), np.array([1.0, INF, 2.0, 3.0])),
    "percentile by place": (lambda a: np.percentile(a, 30, 0), M),
    "interp with one point": (lambda y: np.interp([-1.0, 0.0, 2.0], [0.0], y), np.array([3.0])),
    "interp beside an infinity": (lambda y: np.interp([0.0, 1.0, 2.0], [0.0, 1.0, 2.0], y), np.array([INF, 1.0, INF])),
    "interp beyond the ends": (lambda x: np.interp(x, [0.0, 1.0], [1.0, 3.0], -5.0, 7.0), np.array([-1.0, 0.5, 2.0])),
    "vector norm, cubed, kept": (lambda a: np.linalg.vector_norm(a, keepdims=True, ord=3), A),
    "vector norm over two axes": (lambda a: np.linalg.vector_norm(a, axis=(0, 2), ord=3), A),
    "vector norm, largest, kept": (lambda a: np.linalg.vector_norm(a, keepdims=True, ord=INF), A),
    "cumulative sum from nothing": (lambda a: np.cumulative_sum(a, axis=1, include_initial=True), M),
    "cumulative product from nothing": (lambda a: np.cumulative_prod(a, include_initial=True), V),
    "cumulative product of a row": (lambda a: np.cumprod(a, axis=-1), A),
    "differences of order 0": (lambda a: np.diff(a, n=0), V),
    "differences, more than there are": (lambda a: np.diff(a, n=7), V),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("what", SAME)
def test_form_gives_numpys_value_and_dtype(what):
    call, a = SAME[what]
    expected = np.asarray(call(a))
    x = Tensor(a, requires_grad=True)
    found = call(x)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12 if a.dtype == np.float64 else 1e-6)
    if found.size:
        g = gradients(found, x, np.ones(found.shape, found.dtype)[()])
        assert (g.shape, g.dtype) == (a.shape, a.dtype)


REFUSED = {
    "median beyond the axes": lambda a: np.median(a, axis=3),
    "prod beyond the axes": lambda a: np.prod(a, axis=-4),
    "norm beyond the axes": lambda a: np.linalg.norm(a, axis=5),
    "norm over one axis twice": lambda a: np.linalg.norm(a, axis=(0, 0)),
    "diff beyond the axes": lambda a: np.diff(a, axis=3),
    "diff of a negative order": lambda a: np.diff(a, n=-1),
    "gradient beyond the axes": lambda a: np.gradient(a, axis=4),
    "gradient of one element": lambda a: np.gradient(a[:, :1], axis=1),
    "trapezoid beyond the axes": lambda a: np.trapezoid(a, axis=3),
    "cumprod beyond the axes": lambda a: np.cumprod(a, axis=3),
    "cumulative sum of several axes": lambda a: np.cumulative_sum(a),
    "var over one axis twice": lambda a: np.var(a, axis=(1, 1)),
    "average with weights of another shape": lambda a: np.average(a, axis=0, weights=np.ones(3)),
    "average with weights of zero": lambda a: np.average(a, weights=np.zeros(a.shape)),
    "quantile of nothing": lambda a: np.quantile(a[:0], 0.5, axis=0),
    "quantile beyond 1": lambda a: np.quantile(a, 1.5),
    "ptp of nothing": lambda a: np.ptp(a[:0]),
    "interp with points that do not pair": lambda a: np.interp(0.5, [0.0, 1.0], a[0, 0]),
    "nanmax of nothing": lambda a: np.nanmax(a[:0]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_form_that_numpy_refuses_is_refused(what):
    with pytest.raises((ValueError, IndexError, ZeroDivisionError)):
        REFUSED[what](A)
    with pytest.raises((ValueError, IndexError, ZeroDivisionError, TypeError)):
        REFUSED[what](Tensor(A, requires_grad=True))


@pytest.mark.parametrize("function", [np.nanmax, np.nanmin])
def test_the_extreme_of_no_number_is_nan_with_numpys_warning(function):
    a = np.array([[NAN, NAN], [1.0, NAN]])
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        found = function(Tensor(a, requires_grad=True), axis=1)
    np.testing.assert_array_equal(found.numpy(), [NAN, 1.0])


# Places


def optional_places(function):
    """(number of array arguments, names of the options that may stand by place), of a NumPy function."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return 0, []
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in by_place if p.default is p.empty]
    return len(needed), [p.name for p in by_place if p.default is not p.empty]


VALUES = {"axis": 1, "keepdims": True, "ddof": 1, "k": 1, "n": 2, "dtype": np.float64, "offset": 1}
VALUES |= {"axis1": 1, "axis2": 0}
SKIPPED = {"out", "order", "UPLO", "mode"}


def places():
    """(function, names): each prefix of the options of every operation on one array that we know values for."""
    for function, operation in registry().items():
        if operation.kind not in ("rule", "composite") or not getattr(function, "__module__", "").startswith("numpy"):
            continue
        needed, names = optional_places(function)
        if needed != 1:
            continue
        for count in range(1, len(names) + 1):
            prefix = names[:count]
            if not all(name in VALUES or name in SKIPPED for name in prefix):
                break
            if prefix[-1] in VALUES:
                yield pytest.param(function, prefix, id=f"{operation.name}({', '.join(prefix)})")


@pytest.mark.parametrize(("function", "names"), list(places()))
def test_options_stand_at_numpys_places(function, names):
    """NumPy's own default stands in for the options that are skipped."""
    defaults = {p.name: p.default for p in inspect.signature(function).parameters.values()}
    options = [VALUES[name] if name in VALUES else defaults[name] for name in names]
    try:
        expected = function(M, *options)
    except (TypeError, ValueError):
        pytest.skip("NumPy does not take these together")
    found = function(Tensor(M, requires_grad=True), *options)
    for y, plain in zip(*[v if isinstance(v, tuple) else (v,) for v in (found, expected)], strict=True):
        np.testing.assert_allclose(y.numpy(), plain, rtol=1e-12, atol=1e-12)
