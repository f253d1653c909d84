"""What a call is, and how shapes, axes and values for it are drawn.

Shapes lean towards squares, cubes and size 1: a wrong transpose, axis or broadcast hides in any other.
"""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.tree import flatten

SIZES = (1, 2, 2, 3, 3, 4)


@dataclass
class Call:
    """function(*args, **kwargs); its float arrays, wherever they stand, are what it is differentiated by."""

    function: object
    args: tuple
    kwargs: dict = field(default_factory=dict)

    def __post_init__(self):
        self.leaves, self.rebuild = flatten([list(self.args), self.kwargs])
        self.places = [k for k, leaf in enumerate(self.leaves) if is_float_array(leaf)]

    @property
    def arrays(self):
        return [self.leaves[k] for k in self.places]

    def __call__(self, *arrays):
        """The outputs, as a list, with `arrays` in the places of the float arrays."""
        leaves = list(self.leaves)
        for k, array in zip(self.places, arrays, strict=True):
            leaves[k] = array
        args, kwargs = self.rebuild(leaves)
        out = self.function(*args, **kwargs)
        return list(out) if isinstance(out, tuple | list) else [out]

    def __repr__(self):
        name = getattr(self.function, "__name__", "f")
        keywords = [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{name}({', '.join([*map(repr, self.args), *keywords])})"


def is_float_array(leaf):
    return isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f"


class Draw:
    """Hypothesis draws what has a structure; a seeded generator draws the numbers."""

    def __init__(self, draw):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def flag(self):
        return self.draw(st.booleans())

    def shape(self, least=0, most=3, smallest=1):
        sizes = st.sampled_from([size for size in SIZES if size >= smallest])
        ndim = self.draw(st.integers(least, most))
        if self.flag():
            return (self.draw(sizes),) * ndim
        return tuple(self.draw(sizes) for _ in range(ndim))

    def broadcasting(self, count):
        """Shapes that broadcast together: axes left off in front, others shrunk to 1; every second time none is."""
        whole = self.shape()
        if self.flag():
            return [whole] * count
        shapes = []
        for _ in range(count):
            kept = whole[self.draw(st.integers(0, len(whole))) :] if self.flag() else whole
            shapes.append(tuple(1 if self.pick(False, False, True) else size for size in kept))
        return shapes

    def values(self, shape, domain=None):
        """Normal values; inside a domain, away from its ends."""
        x = self.rng.standard_normal(shape) * 1.5
        if domain is None:
            return x
        if np.isfinite(domain.low) and np.isfinite(domain.high):
            return domain.low + (domain.high - domain.low) * (0.05 + 0.9 * self.rng.random(shape))
        if np.isfinite(domain.low):
            return domain.low + np.exp(x / 2)
        return np.where(x < 0, x - 0.3, x + 0.3) if domain.without_zero else x

    def array(self, shape, domain=None):
        return self.laid_out(self.values(shape, domain))

    def apart(self, shape):
        """No two values, and no two absolute values, closer than 0.1: no ties, and none near."""
        size = int(np.prod(shape))
        steps = self.rng.permutation(size) + self.rng.uniform(0.2, 0.6, size)
        return self.laid_out((steps * 0.25 * self.rng.choice([-1.0, 1.0], size)).reshape(shape))

    def laid_out(self, x):
        """The same values in some memory order: C, Fortran, or every second element of something bigger."""
        layout = self.pick("C", "F", "strided", "reversed")
        x = np.array(x, np.float64)
        if layout == "F":
            return np.asfortranarray(x) if x.ndim else x
        if layout == "strided" and x.ndim:
            wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
            wide[..., ::2] = x
            return wide[..., ::2]
        if layout == "reversed" and x.ndim:
            return x[::-1].copy()[::-1]
        return x

    def order(self, ndim):
        return self.draw(st.permutations(range(ndim)))

    def axis(self, ndim):
        return self.draw(st.integers(-ndim, ndim - 1))

    def axes(self, ndim):
        """None, one axis, or several, counted from either end."""
        if not ndim:
            return self.pick(None, ())
        kind = self.pick("all", "one", "several")
        if kind == "all":
            return None
        if kind == "one":
            return self.axis(ndim)
        several = self.order(ndim)[: self.draw(st.integers(1, ndim))]
        return tuple(k - ndim if self.flag() else k for k in several)

    def places(self, size, *shape):
        """Indices from either end, repeated ones among them."""
        return self.rng.integers(-size, size, shape or (self.pick(1, 3, 5),))

    def options(self, **choices):
        """Some of these keywords, each with one of its values; a keyword is as often left out."""
        return {key: self.pick(*values) for key, values in choices.items() if self.flag()}
