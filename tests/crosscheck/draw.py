"""Operands to compare on: shapes biased towards 1 and towards squares, where a wrong axis or transpose hides."""

import numpy as np

SIZES = (1, 2, 2, 3, 3, 4)


class Draw:
    """A seeded source of shapes, values and axes for one case."""

    def __init__(self, *seed):
        self.rng = np.random.default_rng(seed)

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def shape(self, least=0, most=3, smallest=1):
        sizes = [size for size in SIZES if size >= smallest]
        ndim = self.rng.integers(least, most + 1)
        return (self.pick(*sizes),) * ndim if self.pick(True, False) else tuple(self.pick(*sizes) for _ in range(ndim))

    def broadcasting(self, count):
        """Shapes that broadcast together: axes left off in front, others shrunk to 1."""
        whole = self.shape()
        for _ in range(count):
            kept = whole[self.rng.integers(len(whole) + 1) :] if self.pick(True, False) else whole
            yield tuple(1 if self.pick(True, False, False) else size for size in kept)

    def array(self, shape, domain=None):
        """Normal values; inside a domain, well away from its ends."""
        x = self.rng.standard_normal(shape) * 1.5
        if domain is None:
            return x
        low, high = domain.low, domain.high
        if np.isfinite(low) and np.isfinite(high):
            return low + (high - low) * (0.05 + 0.9 * self.rng.random(shape))
        if np.isfinite(low):
            return low + np.exp(x / 2)
        return np.where(x < 0, x - 0.3, x + 0.3) if domain.without_zero else x

    def axis(self, ndim):
        return int(self.rng.integers(-ndim, ndim))

    def axes(self, ndim):
        """None, one axis, or several, from either end."""
        several = tuple(int(a) for a in self.rng.permutation(ndim)[: self.rng.integers(1, ndim + 1)])
        return self.pick(None, self.axis(ndim), several, tuple(a - ndim for a in several))
