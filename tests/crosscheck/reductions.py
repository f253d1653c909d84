"""Reductions: any axis, any set of axes, from either end, with and without keepdims."""

import numpy as np
import torch


def over(t, axis, keepdims, fold):
    """Apply a fold over one axis of torch to a set of axes: move them last, merge them, fold."""
    axes = list(range(t.ndim)) if axis is None else [a % t.ndim for a in np.atleast_1d(axis)]
    kept = [k for k in range(t.ndim) if k not in axes]
    merged = t.permute(*kept, *axes).reshape(*(t.shape[k] for k in kept), -1)
    out = fold(merged, -1)
    return out.reshape([1 if k in axes else t.shape[k] for k in range(t.ndim)]) if keepdims else out


def reduction(function, fold, smallest=2, **keywords):
    """fold(t, dim) reduces one axis; a reduction over several is the fold over their merged axis."""

    def case(d):
        shape = d.shape(1, smallest=smallest)
        axis, keepdims = d.axes(len(shape)), d.pick(True, False)
        return (
            lambda x: function(x, axis=axis, keepdims=keepdims, **keywords),
            lambda t: over(t, axis, keepdims, fold),
            [d.array(shape)],
        )

    return case


def scan(function, theirs):
    def case(d):
        shape = d.shape(1)
        axis = d.pick(None, d.axis(len(shape)))
        return (
            lambda x: function(x, axis=axis),
            lambda t: theirs(t.reshape(-1), 0) if axis is None else theirs(t, axis),
            [d.array(shape)],
        )

    return case


def spread(function, theirs):
    def case(d):
        ddof = d.pick(0, 1)
        return reduction(function, lambda t, dim: theirs(t, dim=dim, correction=ddof), ddof=ddof)(d)

    return case


def average(d):
    shape = d.shape(1)
    axis = d.axis(len(shape))
    weights = np.exp(d.array(shape))
    return (
        lambda x, w: np.average(x, axis=axis, weights=w),
        lambda x, w: (x * w).sum(axis) / w.sum(axis),
        [d.array(shape), weights],
    )


def quantile(function, scale):
    def case(d):
        q = d.pick(0.0, 0.3, 0.5, 1.0)
        return reduction(lambda x, **k: function(x, q * scale, **k), lambda t, dim: torch.quantile(t, q, dim=dim))(d)

    return case


def several_quantiles(d):
    q, shape = [0.1, 0.5, 0.8], d.shape(1)
    axis = d.axis(len(shape))
    theirs = torch.tensor(q, dtype=torch.float64)
    return lambda x: np.quantile(x, q, axis=axis), lambda t: torch.quantile(t, theirs, dim=axis), [d.array(shape)]


def diff(d):
    shape = d.shape(1, smallest=3)
    n, axis = d.pick(1, 2), d.axis(len(shape))
    return lambda x: np.diff(x, n, axis), lambda t: torch.diff(t, n, axis), [d.array(shape)]


def trapezoid(d):
    shape = d.shape(1, smallest=2)
    axis = d.axis(len(shape))
    if d.pick(True, False):
        return lambda y: np.trapezoid(y, dx=0.3, axis=axis), lambda t: torch.trapezoid(t, dx=0.3, dim=axis), [
            d.array(shape)
        ]
    x = d.array(shape)
    return lambda y, x: np.trapezoid(y, x, axis=axis), lambda t, x: torch.trapezoid(t, x, dim=axis), [
        d.array(shape), x,
    ]  # fmt: skip


CASES = {
    np.sum: reduction(np.sum, lambda t, dim: t.sum(dim)),
    np.mean: reduction(np.mean, lambda t, dim: t.mean(dim)),
    np.max: reduction(np.max, lambda t, dim: t.amax(dim)),
    np.min: reduction(np.min, lambda t, dim: t.amin(dim)),
    np.amax: reduction(np.amax, lambda t, dim: t.amax(dim)),
    np.amin: reduction(np.amin, lambda t, dim: t.amin(dim)),
    np.ptp: reduction(np.ptp, lambda t, dim: t.amax(dim) - t.amin(dim)),
    np.prod: reduction(np.prod, lambda t, dim: t.prod(dim)),
    np.nansum: reduction(np.nansum, lambda t, dim: t.nansum(dim)),
    np.nanmean: reduction(np.nanmean, lambda t, dim: t.nanmean(dim)),
    np.median: reduction(np.median, lambda t, dim: torch.quantile(t, 0.5, dim=dim)),
    np.var: spread(np.var, torch.var),
    np.std: spread(np.std, torch.std),
    np.cumsum: scan(np.cumsum, torch.cumsum),
    np.cumprod: scan(np.cumprod, torch.cumprod),
    np.average: average,
    np.quantile: several_quantiles,
    np.percentile: quantile(np.percentile, 100.0),
    np.diff: diff,
    np.trapezoid: trapezoid,
}
WITHOUT = {}
