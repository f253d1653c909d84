"""Lengths of vectors and sizes of matrices; for a zero, slope 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.primitive import composite
from tinygrad_edu.rules.elementwise import or_infinite, root_of_squares
from tinygrad_edu.rules.reductions import axes_of, restore

__all__ = ["norm"]


def norm_argument(g: Any, z: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """x/z, the direction; 0 for a zero vector, which has none."""
    return x * restore(g / or_infinite(z), axis, keepdims, x.shape)


@composite(np.linalg.norm, rules=(norm_argument,))
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Vector and matrix norms; the norm of zero has slope 0."""
    axes = axes_of(axis, x.ndim)
    if axis is not None and len(axes) not in (1, 2):
        raise ValueError(f"norm: axis={axis!r}; choose one axis for vectors, two for matrices, or None for all")
    if ord is None or (len(axes) == 2 and ord == "fro") or (len(axes) == 1 and ord == 2):
        return root_of_squares(np.sum(x * x, axis=axes, keepdims=keepdims))
    if len(axes) == 1:
        return vector_norm(x, axes[0], ord, keepdims)
    if len(axes) != 2:
        raise ValueError("norm: ord is for vectors (one axis) and matrices (two)")
    return matrix_norm(x, axes, ord, keepdims)


def vector_norm(x: Any, axis: Any, ord: Any, keepdims: bool) -> Any:
    size = np.abs(x)
    if ord == np.inf:
        return np.max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(size, axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"ord={ord!r} is for matrices; a vector's is a number, or inf")
    if ord == 0:
        raise ValueError("norm: ord=0 counts elements and has no derivative")
    total = np.sum(size**ord, axis=axis, keepdims=keepdims)
    return np.where(total == 0, 0.0, np.where(total == 0, 1.0, total) ** (1.0 / ord))


def matrix_norm(x: Any, axes: tuple[int, ...], ord: Any, keepdims: bool) -> Any:
    x = np.moveaxis(x, axes, (-2, -1))
    if ord in (2, -2, "nuc"):
        s = np.linalg.svdvals(x)
        out = np.sum(s, axis=-1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    elif ord in (1, -1, np.inf, -np.inf):
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        out = np.max(sums, axis=-1) if ord > 0 else np.min(sums, axis=-1)
    else:
        raise ValueError(f"norm: ord={ord!r} is no matrix norm")
    return np.expand_dims(out, axes) if keepdims else out


@composite(np.linalg.vector_norm)
def linalg_vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    axes = axes_of(axis, np.ndim(x))
    if ord == 2:
        return root_of_squares(np.sum(x * x, axis=axes, keepdims=keepdims))
    return vector_norm(x, axes, ord, keepdims)


@composite(np.linalg.matrix_norm)
def linalg_matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)
