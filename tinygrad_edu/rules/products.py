"""Products: matrices and vectors in all their ranks, up to einsum."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_edu.primitive import composite, derivative
from tinygrad_edu.rules.pieces import rows_of

__all__ = ["as_operand", "mT", "matmul_left", "matmul_right", "spelled_out", "with_subscripts"]


def mT(x: Any) -> Any:
    """The matrices of a stack, transposed."""
    return x.mT if type(x) is np.ndarray else np.swapaxes(x, -1, -2)


# z = x @ y. A vector stands for one row on the left and one column on the right.


def matmul_left(g: Any, x_shape: Any, y: Any) -> Any:
    """∂L/∂x = g yᵀ; a stack against one matrix goes laid flat, as one product: three times as fast."""
    if y.ndim == 1:
        return g[..., None] * y
    if len(x_shape) == 1:
        return (y @ g[..., None])[..., 0]
    if y.ndim == 2 < len(x_shape):
        return (g.reshape(rows_of(g.shape), g.shape[-1]) @ mT(y)).reshape(x_shape)
    return g @ mT(y)


def matmul_right(g: Any, x: Any, y_shape: Any) -> Any:
    """∂L/∂y = xᵀ g; a stack of rows against one matrix is one product of the stack laid flat."""
    if x.ndim == 1:
        return x[:, None] * g[..., None, :] if len(y_shape) > 1 else x * g
    if len(y_shape) == 1:
        return (mT(x) @ g[..., None])[..., 0]
    if len(y_shape) == 2 < x.ndim:
        rows = rows_of(x.shape)
        return mT(x.reshape(rows, x.shape[-1])) @ g.reshape(rows, g.shape[-1])
    return mT(x) @ g


derivative(
    np.matmul, matmul_left, matmul_right, broadcasts=True, elementwise=False, fast=operator.matmul, rows={"y": 2}
)


@composite(np.dot)
def dot(a: Any, b: Any) -> Any:
    a, b = as_operand(a), as_operand(b)
    if not a.ndim or not b.ndim:
        return a * b
    return a @ b if b.ndim <= 2 else np.tensordot(a, b, axes=(-1, -2))


def as_operand(x: Any) -> Any:
    """A number or a list as the array that NumPy makes of it: there a product's dtype is not weak."""
    return x if hasattr(x, "ndim") else np.asarray(x)[()]


@composite(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any) -> Any:
    return x1 @ x2


def with_axes(x: Any, least: int, core: str) -> Any:
    """x, when it has as many axes as the product takes."""
    x = as_operand(x)
    if x.ndim < least:
        raise ValueError(f"it multiplies {core}; an operand of shape {x.shape} has too few axes")
    return x


@composite(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    x1, x2 = (np.moveaxis(with_axes(x, 1, "(n) by (n)"), operator.index(axis), -1) for x in (x1, x2))
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(f"the vectors have {x1.shape[-1]} and {x2.shape[-1]} elements along axis {axis}")
    return np.sum(x1 * x2, axis=-1)


@composite(np.matvec)
def matvec(x1: Any, x2: Any) -> Any:
    x1, x2 = with_axes(x1, 2, "(m, n) by (n)"), with_axes(x2, 1, "(m, n) by (n)")
    return (x1 @ x2[..., None])[..., 0]


@composite(np.vecmat)
def vecmat(x1: Any, x2: Any) -> Any:
    x1, x2 = with_axes(x1, 1, "(n) by (n, m)"), with_axes(x2, 2, "(n) by (n, m)")
    return (x1[..., None, :] @ x2)[..., 0, :]


composite(np.vdot)(lambda a, b: np.ravel(a) @ np.ravel(b))


@composite(np.inner)
def inner(a: Any, b: Any) -> Any:
    a, b = as_operand(a), as_operand(b)
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim == 2 and a.shape[-1] == b.shape[-1]:
        return a @ mT(b)
    return np.tensordot(a, b, axes=(-1, -1))


@composite(
    np.outer,
    rules=(
        lambda g, a_shape, b: np.reshape(g @ np.reshape(b, -1), a_shape),
        lambda g, a, b_shape: np.reshape(np.reshape(a, -1) @ g, b_shape),
    ),
)
def outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.linalg.outer)
def linalg_outer(x1: Any, x2: Any) -> Any:
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(f"it takes two vectors, not shapes {np.shape(x1)} and {np.shape(x2)}; np.outer flattens")
    return outer(x1, x2)


@composite(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Move the contracted axes together, multiply as matrices, unfold."""
    a, b = as_operand(a), as_operand(b)
    if type(axes) is int and axes == 1 and a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return a @ b
    if not np.iterable(axes):
        axes = range(-axes, 0), range(axes)
    if len(axes) != 2:
        raise ValueError(f"tensordot: axes={axes!r}; pass a number, or a pair: the axes of a and those of b")
    a_axes = normalize_axis_tuple(axes[0], a.ndim, "axes[0]")
    b_axes = normalize_axis_tuple(axes[1], b.ndim, "axes[1]")
    a_kept = [k for k in range(a.ndim) if k not in a_axes]
    b_kept = [k for k in range(b.ndim) if k not in b_axes]
    if [a.shape[k] for k in a_axes] != [b.shape[k] for k in b_axes]:
        raise ValueError(f"tensordot: axes {a_axes} of {a.shape} do not match axes {b_axes} of {b.shape}")
    inner_size = math.prod([a.shape[k] for k in a_axes])
    rows, columns = [a.shape[k] for k in a_kept], [b.shape[k] for k in b_kept]
    left = laid_out(a, (*a_kept, *a_axes), (math.prod(rows), inner_size))
    right = laid_out(b, (*b_axes, *b_kept), (inner_size, math.prod(columns)))
    return laid_out(left @ right, (0, 1), (*rows, *columns))


def laid_out(x: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """x with its axes in another order and then in another shape; steps that change nothing are none."""
    x = x if axes == tuple(range(len(axes))) else np.transpose(x, axes)
    return x if x.shape == shape else np.reshape(x, shape)


@composite(np.kron)
def kron(a: Any, b: Any) -> Any:
    ndim = max(np.ndim(a), np.ndim(b))
    a_shape = (1,) * (ndim - np.ndim(a)) + np.shape(a)
    b_shape = (1,) * (ndim - np.ndim(b)) + np.shape(b)
    a = np.reshape(a, [n for m in a_shape for n in (m, 1)])
    b = np.reshape(b, [n for m in b_shape for n in (1, m)])
    return np.reshape(a * b, [m * n for m, n in zip(a_shape, b_shape, strict=True)])


@composite(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = operator.index(axis)
    a, b = np.moveaxis(as_operand(a), axisa, -1), np.moveaxis(as_operand(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError("cross: both need 3 components along the axis")
    right, left = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(a[..., right] * b[..., left] - a[..., left] * b[..., right], -1, axisc)


composite(np.linalg.cross)(lambda x1, x2, *, axis=-1: cross(x1, x2, axis=operator.index(axis)))


# einsum: the derivative of one operand is an einsum over the others


LETTERS = "".join(map(chr, (*range(65, 91), *range(97, 123))))  # A to Z, a to z: as einsum sorts them


def with_subscripts(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """einsum(x, [0, 1], y, [1, 2]) is einsum("AB,BC", x, y): the numbers of the axes go by letters."""
    if isinstance(args[0], str):
        return args
    terms = [lettered(term) for term in args[1::2]]
    output = "->" + lettered(args[-1]) if len(args) % 2 else ""
    return ",".join(terms) + output, *args[: 2 * len(terms) : 2]


def lettered(axes: Any) -> str:
    for k in axes:
        if k is not Ellipsis and not 0 <= k < len(LETTERS):
            raise ValueError(f"einsum: axis {k} is outside [0, {len(LETTERS)})")
    return "".join("..." if k is Ellipsis else LETTERS[k] for k in axes)


@functools.lru_cache(maxsize=256)
def spelled_out(subscripts: str, ndims: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """Every axis under a letter of its own: the ellipsis and the implied output written out."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    terms = left.split(",")
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts]
    extra = [ndim - len(term.replace("...", "")) if "..." in term else 0
             for term, ndim in zip(terms, ndims, strict=True)]  # fmt: skip
    dots = "".join(spare[: max(extra, default=0)][::-1])
    terms = [term.replace("...", dots[len(dots) - n :]) for term, n in zip(terms, extra, strict=True)]
    if arrow:
        return tuple(terms), right.replace("...", dots)
    letters = "".join(terms)
    implied = dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))
    return tuple(terms), implied


Orders = tuple[str, str, str]


@functools.lru_cache(maxsize=256)
def as_product(left: str, right: str, output: str) -> tuple[Orders, Orders] | None:
    """An einsum of two arrays as a product of matrices: (which stack, rows, columns) of each; None if it is none.

    ij,jk->ik: i by j times j by k. bij,bjk->bik: the same for each b.
    """
    stack = "".join(c for c in output if c in left and c in right)
    inner = "".join(c for c in left if c in right and c not in output)
    rows = "".join(c for c in output if c in left and c not in right)
    columns = "".join(c for c in output if c in right and c not in left)
    wanted = (sorted(stack + rows + inner), sorted(stack + inner + columns), sorted(stack + rows + columns))
    if wanted != (sorted(left), sorted(right), sorted(output)) or not inner or not (rows or columns):
        return None
    return (stack, rows, inner), (stack, inner, columns)


def summed(subscripts: str, *operands: Any, **options: Any) -> Any:
    """np.einsum; two arrays whose sum is a product of matrices are multiplied as such, many times as fast."""
    if len(operands) == 2 and not options and type(operands[0]) is type(operands[1]) is np.ndarray:
        x, y = operands
        try:
            (left, right), output = spelled_out(subscripts, (x.ndim, y.ndim))
        except ValueError:
            return np.einsum(subscripts, x, y)  # which says what is wrong with it
        found = as_product(left, right, output)
        sizes = dict(zip(left, x.shape, strict=False)) | dict(zip(right, y.shape, strict=False))
        fits = x.shape == tuple(map(sizes.get, left)) and x.dtype == y.dtype
        if found is not None and fits:
            (stack, rows, inner), (_, _, columns) = found
            z = as_matrices(x, left, found[0], sizes) @ as_matrices(y, right, found[1], sizes)
            order = stack + rows + columns
            z = z.reshape([sizes[c] for c in order])
            return z if order == output else z.transpose([order.index(c) for c in output])
    return np.einsum(subscripts, *operands, **options)


def as_matrices(x: np.ndarray, letters: str, order: Orders, sizes: dict[str, int]) -> np.ndarray:
    """x with its axes, which go by `letters`, in this order, the rows and columns folded into one axis each."""
    stack, rows, columns = order
    if "".join(order) != letters:
        x = x.transpose([letters.index(c) for c in "".join(order)])
    return x.reshape(*[sizes[c] for c in stack], *[math.prod([sizes[c] for c in part]) for part in (rows, columns)])


@functools.lru_cache(maxsize=256)
def einsum_back(i: int, subscripts: str, ndims: tuple[int, ...]) -> tuple[str, str, str, str]:
    """For operand i: the einsum of g and the others, its result, the letters that i has for itself, and i's term."""
    terms, output = spelled_out(subscripts, ndims)
    wanted = "".join(dict.fromkeys(terms[i]))
    others = [term for k, term in enumerate(terms) if k != i]
    known = set(output).union(*others)
    alone = "".join(c for c in wanted if c not in known)  # summed away forward: spread evenly on the way back
    names = [output, *others, alone] if alone else [output, *others]
    return ",".join(names) + "->" + wanted, wanted, alone, terms[i]


def einsum_operand(g: Any, i: int, subscripts: str, operands: Any) -> Any:
    back, wanted, alone, term = einsum_back(i, subscripts, tuple([o.ndim for o in operands]))
    sizes: dict[str, int] = {}
    factors: list[Any] = [g, *operands[:i], *operands[i + 1 :]]
    if alone or wanted != term:
        sizes = dict(zip(term, operands[i].shape, strict=True))
    if alone:
        factors.append(np.ones([sizes[c] for c in alone], g.dtype))
    out = summed(back, *factors)
    for letter in wanted if wanted != term else ():  # a letter used twice picks a diagonal: only there does g go
        for _ in range(term.count(letter) - 1):
            fresh = next(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in subscripts and c not in wanted)
            n, along = sizes[letter], wanted.index(letter)
            shape = [n if axis in (along, out.ndim) else 1 for axis in range(out.ndim + 1)]
            out = np.where(np.eye(n, dtype=bool).reshape(shape), out[..., None], 0.0)  # not · 0: inf would show
            wanted += fresh
            term = replaced_last(term, letter, fresh)
    return out if wanted == term else np.transpose(out, [wanted.index(c) for c in term])


def replaced_last(term: str, letter: str, fresh: str) -> str:
    place = term.rindex(letter)
    return term[:place] + fresh + term[place + 1 :]


derivative(
    np.einsum, None, einsum_operand, parameters="subscripts operands", sequence="operands", broadcasts=True,
    elementwise=False,
    neutral="optimize", fast=summed,
)  # fmt: skip
