"""Sequences and samples. Where PyTorch has no function of that name, its formula is written out in PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F
from reductions import reduction, scan


def slid(a, v, padding=0):
    """v laid against every stretch of a."""
    return F.conv1d(a[None, None], v[None, None], padding=padding)[0, 0]


def convolve(d):
    n, m, mode = d.pick(3, 4, 6), d.pick(1, 2, 3), d.pick("full", "same", "valid")
    start, stop = {"full": (0, n + m - 1), "same": ((m - 1) // 2, (m - 1) // 2 + n), "valid": (m - 1, n)}[mode]
    a, v = d.array((n,)), d.array((m,))
    if d.pick(True, False):
        return lambda a, v: np.convolve(v, a, mode), lambda a, v: slid(a, v.flip(0), m - 1)[start:stop], [a, v]
    return lambda a, v: np.convolve(a, v, mode), lambda a, v: slid(a, v.flip(0), m - 1)[start:stop], [a, v]


def correlate(d):
    n, m, mode = d.pick(3, 4, 6), d.pick(1, 2, 3), d.pick("full", "valid")
    padding = m - 1 if mode == "full" else 0
    a, v = d.array((n,)), d.array((m,))
    if d.pick(True, False):
        return lambda a, v: np.correlate(v, a, mode), lambda a, v: slid(a, v, padding).flip(0), [a, v]
    return lambda a, v: np.correlate(a, v, mode), lambda a, v: slid(a, v, padding), [a, v]


def torch_interp(x, xp, fp):
    k = (torch.searchsorted(xp.detach(), x.detach(), right=True) - 1).clamp(0, len(xp) - 2)
    slope = (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k])
    inside = fp[k] + slope * (x - xp[k])
    return torch.where(x < xp[0], fp[0], torch.where(x > xp[-1], fp[-1], inside))


def interp(d):
    return np.interp, torch_interp, [d.array(d.shape()), np.cumsum(np.exp(d.array((5,)))) - 3, d.array((5,))]


def gradient(d):
    shape, step = d.shape(1, smallest=3), d.pick(1.0, 0.3)
    axis = d.pick(None, d.axis(len(shape)))
    return (
        lambda x: np.gradient(x, step, axis=axis),
        lambda t: grid_slopes(t, step, axis),
        [d.array(shape)],
    )


def grid_slopes(t, step, axis):
    slopes = torch.gradient(t, spacing=step, dim=axis)
    return slopes[0] if len(slopes) == 1 else slopes


def covariance(function, theirs):
    def case(d):
        rowvar = d.pick(True, False)
        return lambda x: function(x, rowvar=rowvar), lambda t: theirs(t if rowvar else t.T), [d.array((3, 4))]

    return case


def cov(d):
    bias = d.pick(True, False)
    return lambda x: np.cov(x, bias=bias), lambda t: torch.cov(t, correction=0 if bias else 1), [d.array((3, 4))]


def polyval(d):
    p, x = d.array((d.pick(1, 2, 4),)), d.array(d.shape())
    return np.polyval, lambda p, x: sum(c * x ** (len(p) - 1 - k) for k, c in enumerate(p)), [p, x]


def filled(t, value):
    return torch.where(torch.isnan(t), value, t)


def variance(t, dim, ddof):
    there = ~torch.isnan(t)
    count = there.sum(dim, keepdim=True)
    centred = torch.where(there, t - filled(t, 0.0).sum(dim, keepdim=True) / count, 0.0)
    return (centred**2).sum(dim) / (count.squeeze(dim) - ddof)


def with_a_nan(function, fold, spread=False):
    """One element is NaN; at least two numbers are left in every slice."""

    def case(d):
        ddof = d.pick(0, 1)
        if spread:
            drawn = reduction(function, lambda t, dim: fold(t, dim, ddof), smallest=3, ddof=ddof)(d)
        else:
            drawn = reduction(function, fold, smallest=3)(d)
        ours, theirs, (x,) = drawn
        x.flat[0] = np.nan
        return ours, theirs, [x]

    return case


def nancumsum(d):
    ours, theirs, (x,) = scan(np.nancumsum, lambda t, axis: torch.cumsum(filled(t, 0.0), axis))(d)
    x.flat[0] = np.nan
    return ours, theirs, [x]


def cumulative(function, theirs):
    def case(d):
        shape = d.shape(1)
        axis = d.axis(len(shape))
        return lambda x: function(x, axis=axis), lambda t: theirs(t, axis), [d.array(shape)]

    return case


CASES = {
    np.convolve: convolve,
    np.correlate: correlate,
    np.interp: interp,
    np.gradient: gradient,
    np.cov: cov,
    np.corrcoef: covariance(np.corrcoef, torch.corrcoef),
    np.polyval: polyval,
    np.ediff1d: lambda d: (np.ediff1d, lambda t: torch.diff(t.reshape(-1)), [d.array(d.shape(1, smallest=2))]),
    np.nanmax: with_a_nan(np.nanmax, lambda t, dim: filled(t, -torch.inf).amax(dim)),
    np.nanmin: with_a_nan(np.nanmin, lambda t, dim: filled(t, torch.inf).amin(dim)),
    np.nanvar: with_a_nan(np.nanvar, variance, spread=True),
    np.nanstd: with_a_nan(np.nanstd, lambda t, dim, ddof: variance(t, dim, ddof) ** 0.5, spread=True),
    np.nanprod: with_a_nan(np.nanprod, lambda t, dim: filled(t, 1.0).prod(dim)),
    np.nancumsum: nancumsum,
    np.cumulative_sum: cumulative(np.cumulative_sum, torch.cumsum),
    np.cumulative_prod: cumulative(np.cumulative_prod, torch.cumprod),
}
WITHOUT = {}
