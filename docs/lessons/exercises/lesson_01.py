"""Lesson 1, embeddings and positional encoding: your answers.

Replace each `raise NotImplementedError`; `python -m transformer lesson 1 check` says how far you are.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["embedding_gradient", "one_hot", "rotary", "shift", "sinusoidal", "wavelength_factors"]

Array = NDArray[np.float64]


def one_hot(ids: NDArray[np.int64], V: int) -> Array:
    """A 1 at each id, 0 elsewhere: ids (T,) with 0 <= id < V, to an array (T, V) of floats.

    Then `one_hot(ids, V) @ E` is `E[ids]`.
    """
    raise NotImplementedError


def wavelength_factors(D: int) -> Array:
    """10000^(2i/D) for i = 0, 1, ..., D/2 - 1: an array (D/2,). D is even.

    The pair i of the positional encoding makes one full turn in 2 pi times this many positions.
    """
    raise NotImplementedError


def embedding_gradient(g: Array, ids: NDArray[np.int64], V: int) -> Array:
    """The gradient (V, D) of the embedding table, from the cotangent g (T, D) of the looked-up rows and ids (T,).

    A token that occurs twice gets the sum of both rows of g, a token that does not occur gets zeros.
    """
    raise NotImplementedError


def sinusoidal(T: int, D: int) -> Array:
    """The table (T, D) of the positional encoding, D even:

    PE[pos, 2i] = sin(pos / 10000^(2i/D)), PE[pos, 2i+1] = cos(pos / 10000^(2i/D)).
    """
    raise NotImplementedError


def shift(k: int, D: int) -> Array:
    """The matrix M (D, D), D even, for which PE[pos + k] = M @ PE[pos] holds at every pos.

    k may be negative: then M looks back.
    """
    raise NotImplementedError


def rotary(x: Array, positions: NDArray[np.int64]) -> Array:
    """Rotary positions: turn each pair (x[t, 2i], x[t, 2i+1]) by the angle positions[t] / 10000^(2i/D).

    x (T, D), D even; positions (T,); the result (T, D). A positive angle turns (1, 0) towards (0, 1). The product of
    a turned query and a turned key depends on the difference of their positions alone.
    """
    raise NotImplementedError
