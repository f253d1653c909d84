"""Linear algebra: products in all their ranks, and numpy.linalg."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_edu.primitive import Domain, composite, constant, derivative, refuse
from tinygrad_edu.rules.reductions import axes_of

__all__ = ["mT"]


def mT(x: Any) -> Any:
    """The matrices of a stack, transposed."""
    return np.swapaxes(x, -1, -2)


# z = x @ y. A vector stands for one row on the left and one column on the right.


def matmul_left(g: Any, x_shape: Any, y: Any) -> Any:
    """∂L/∂x = g yᵀ; a stack against one matrix goes laid flat, as one product: three times as fast."""
    if y.ndim == 1:
        return g[..., None] * y
    if len(x_shape) == 1:
        return (y @ g[..., None])[..., 0]
    if y.ndim == 2 < len(x_shape):
        return np.reshape(np.reshape(g, (-1, g.shape[-1])) @ mT(y), x_shape)
    return g @ mT(y)


def matmul_right(g: Any, x: Any, y_shape: Any) -> Any:
    """∂L/∂y = xᵀ g; a stack of rows against one matrix is one product of the stack laid flat."""
    if x.ndim == 1:
        return x[:, None] * g[..., None, :] if len(y_shape) > 1 else x * g
    if len(y_shape) == 1:
        return (mT(x) @ g[..., None])[..., 0]
    if len(y_shape) == 2 < x.ndim:
        return mT(np.reshape(x, (-1, x.shape[-1]))) @ np.reshape(g, (-1, g.shape[-1]))
    return mT(x) @ g


derivative(np.matmul, matmul_left, matmul_right, broadcasts=True, elementwise=False, fast=operator.matmul)


@composite(np.dot)
def dot(a: Any, b: Any) -> Any:
    if not np.ndim(a) or not np.ndim(b):
        return a * b
    return a @ b if np.ndim(b) <= 2 else np.tensordot(a, b, axes=(-1, -2))


@composite(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any) -> Any:
    return x1 @ x2


@composite(np.vecdot, np.linalg.vecdot)
def vecdot(x1: Any, x2: Any, *, axis: int = -1) -> Any:
    return np.sum(x1 * x2, axis=axis)


composite(np.matvec)(lambda x1, x2: (x1 @ x2[..., None])[..., 0])
composite(np.vecmat)(lambda x1, x2: (x1[..., None, :] @ x2)[..., 0, :])
composite(np.vdot)(lambda a, b: np.ravel(a) @ np.ravel(b))


@composite(np.inner)
def inner(a: Any, b: Any) -> Any:
    return np.tensordot(a, b, axes=(-1, -1)) if np.ndim(a) and np.ndim(b) else a * b


@composite(np.outer, np.linalg.outer)
def outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


@composite(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Move the contracted axes together, multiply as matrices, unfold."""
    a_ndim, b_ndim = np.ndim(a), np.ndim(b)
    if not np.ndim(axes) and not isinstance(axes, tuple | list):
        axes = list(range(a_ndim - axes, a_ndim)), list(range(axes))
    a_axes, b_axes = axes_of(axes[0], a_ndim), axes_of(axes[1], b_ndim)
    a_kept = [k for k in range(a_ndim) if k not in a_axes]
    b_kept = [k for k in range(b_ndim) if k not in b_axes]
    if [np.shape(a)[k] for k in a_axes] != [np.shape(b)[k] for k in b_axes]:
        raise ValueError(f"tensordot: axes {a_axes} of {np.shape(a)} do not match axes {b_axes} of {np.shape(b)}")
    inner_size = math.prod([np.shape(a)[k] for k in a_axes])
    rows, columns = [np.shape(a)[k] for k in a_kept], [np.shape(b)[k] for k in b_kept]
    left = np.reshape(np.transpose(a, (*a_kept, *a_axes)), (math.prod(rows), inner_size))
    right = np.reshape(np.transpose(b, (*b_axes, *b_kept)), (inner_size, math.prod(columns)))
    return np.reshape(left @ right, (*rows, *columns))


@composite(np.kron)
def kron(a: Any, b: Any) -> Any:
    ndim = max(np.ndim(a), np.ndim(b))
    a_shape = (1,) * (ndim - np.ndim(a)) + np.shape(a)
    b_shape = (1,) * (ndim - np.ndim(b)) + np.shape(b)
    a = np.reshape(a, [n for m in a_shape for n in (m, 1)])
    b = np.reshape(b, [n for m in b_shape for n in (1, m)])
    return np.reshape(a * b, [m * n for m, n in zip(a_shape, b_shape, strict=True)])


@composite(np.cross, np.linalg.cross)
def cross(a: Any, b: Any, axis: int = -1) -> Any:
    a, b = np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError("cross: both need 3 components along the axis")
    right, left = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(a[..., right] * b[..., left] - a[..., left] * b[..., right], -1, axis)


# einsum: the derivative of one operand is an einsum over the others


def spelled_out(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Every axis under a letter of its own: the ellipsis and the implied output written out."""
    subscripts = subscripts.replace(" ", "")
    left, arrow, right = subscripts.partition("->")
    terms = left.split(",")
    spare = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts]
    extra = [len(shape) - len(term.replace("...", "")) if "..." in term else 0
             for term, shape in zip(terms, shapes, strict=True)]  # fmt: skip
    dots = "".join(spare[: max(extra, default=0)][::-1])
    terms = [term.replace("...", dots[len(dots) - n :]) for term, n in zip(terms, extra, strict=True)]
    if arrow:
        return terms, right.replace("...", dots)
    letters = "".join(terms)
    return terms, dots + "".join(sorted(c for c in set(letters) if letters.count(c) == 1 and c not in dots))


def einsum_operand(g: Any, i: int, subscripts: str, operands: Any) -> Any:
    shapes = [o.shape for o in operands]
    terms, output = spelled_out(subscripts, shapes)
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, n in zip(term, shape, strict=True):
            sizes[letter] = max(sizes.get(letter, 1), n)
    wanted = "".join(dict.fromkeys(terms[i]))
    others = [k for k in range(len(terms)) if k != i]
    known = set(output).union(*[terms[k] for k in others])
    alone = "".join(c for c in wanted if c not in known)  # summed away forward: spread evenly on the way back
    factors: list[Any] = [g, *[operands[k] for k in others]]
    names = [output, *[terms[k] for k in others]]
    if alone:
        factors.append(np.ones([sizes[c] for c in alone], g.dtype))
        names.append(alone)
    out = np.einsum(",".join(names) + "->" + wanted, *factors)
    for letter in wanted:  # a letter used twice picks a diagonal: only there does the cotangent go
        for _ in range(terms[i].count(letter) - 1):
            fresh = next(c for c in "abcdefghijklmnopqrstuvwxyz" if c not in subscripts and c not in wanted)
            out = np.einsum(
                f"{wanted},{letter}{fresh}->{wanted}{fresh}", out, np.eye(sizes[letter], dtype=g.dtype)
            )
            wanted += fresh
            terms[i] = replaced_last(terms[i], letter, fresh)
    return np.transpose(out, [wanted.index(c) for c in terms[i]])


def replaced_last(term: str, letter: str, fresh: str) -> str:
    place = term.rindex(letter)
    return term[:place] + fresh + term[place + 1 :]


derivative(
    np.einsum, None, einsum_operand, parameters="subscripts operands", sequence="operands", broadcasts=True,
    elementwise=False,
    neutral="optimize",
)  # fmt: skip

# numpy.linalg

SQUARE = Domain("regular square matrix")
SPD = Domain("symmetric positive definite matrix")
FULL_RANK = Domain("matrix of full rank")

derivative(np.linalg.inv, lambda g, z: -mT(z) @ g @ mT(z), domain=(SQUARE,))


def solve_right(g: Any, a: Any, b_shape: Any) -> Any:
    """a⁻ᵀ g. A vector b gave a stack of vectors where a is a stack: each is solved for as one column."""
    return np.linalg.solve(mT(a), g[..., None])[..., 0] if len(b_shape) == 1 else np.linalg.solve(mT(a), g)


def solve_matrix(g: Any, z: Any, a: Any, b_shape: Any) -> Any:
    share = solve_right(g, a, b_shape)
    return -share[..., :, None] * z[..., None, :] if len(b_shape) == 1 else -share @ mT(z)


derivative(
    np.linalg.solve, solve_matrix, solve_right,
    domain=(SQUARE, FULL_RANK), broadcasts=True, elementwise=False,
)  # fmt: skip
derivative(np.linalg.det, lambda g, z, a: (g * z)[..., None, None] * mT(np.linalg.inv(a)), domain=(SQUARE,))
derivative(np.linalg.slogdet, lambda g, a: g[1][..., None, None] * mT(np.linalg.inv(a)), domain=(SQUARE,))


def lower_half(x: Any) -> Any:
    """The lower triangle with its diagonal halved: the part of a symmetric change that a triangular factor takes."""
    return np.tril(x) - 0.5 * (x * np.eye(x.shape[-1], dtype=x.dtype))


def cholesky_argument(g: Any, z: Any, upper: bool = False) -> Any:
    """Murray 2016, Differentiation of the Cholesky decomposition. The result is symmetric, as the argument is."""
    z, g = (mT(z), mT(g)) if upper else (z, g)
    inverse = np.linalg.inv(z)
    inner_part = mT(inverse) @ lower_half(mT(z) @ np.tril(g)) @ inverse
    return 0.5 * (inner_part + mT(inner_part))


derivative(np.linalg.cholesky, cholesky_argument, domain=(SPD,))


def gaps(w: Any) -> Any:
    """1/(w_j - w_i), and 0 on the diagonal."""
    n = w.shape[-1]
    difference = w[..., None, :] - w[..., :, None]
    return (1.0 - np.eye(n, dtype=w.dtype)) / (difference + np.eye(n, dtype=w.dtype))


def eigh_argument(g: Any, z: Any) -> Any:
    """Giles 2008, 3.1: v (diag(gw) + gaps ⊙ vᵀgv) vᵀ, made symmetric. Equal eigenvalues have no derivative of v."""
    (gw, gv), (w, v) = g, z
    inside = gw[..., :, None] * np.eye(w.shape[-1], dtype=w.dtype) + gaps(w) * (mT(v) @ gv)
    out = v @ inside @ mT(v)
    return 0.5 * (out + mT(out))


derivative(np.linalg.eigh, eigh_argument, domain=(SPD,), neutral="UPLO")
composite(np.linalg.eigvalsh)(lambda a, UPLO="L": np.linalg.eigh(a, UPLO)[0])


def svd_argument(g: Any, z: Any, full_matrices: bool = True) -> Any:
    """Townsend 2016: the pullback of the thin singular value decomposition a = u diag(s) vᵀ."""
    (gu, gs, gv), (u, s, vt) = g, z
    if full_matrices and u.shape[-1] != vt.shape[-2]:
        raise ValueError("svd: the derivative needs full_matrices=False for a matrix that is not square")
    eye = np.eye(s.shape[-1], dtype=s.dtype)
    squared = gaps(s * s)
    across, down = mT(u) @ gu, vt @ mT(gv)
    inside = (
        (squared * (across - mT(across))) * s[..., None, :]
        + s[..., :, None] * (squared * (down - mT(down)))
        + gs[..., :, None] * eye
    )
    out = u @ inside @ vt
    if u.shape[-2] > u.shape[-1]:
        out = out + (gu - u @ across) / s[..., None, :] @ vt
    if vt.shape[-1] > vt.shape[-2]:
        out = out + (u / s[..., None, :]) @ (gv - mT(down) @ vt)
    return out


derivative(np.linalg.svd, svd_argument, domain=(FULL_RANK,), neutral="hermitian")
composite(np.linalg.svdvals)(lambda x: np.linalg.svd(x, full_matrices=False)[1])


def qr_argument(g: Any, z: Any, mode: str = "reduced") -> Any:
    """Walter and Lehmann 2010, for at least as many rows as columns."""
    (gq, gr), (q, r) = g, z
    if mode != "reduced" or r.shape[-1] > r.shape[-2]:
        raise ValueError("qr: the derivative is there for mode='reduced' and at least as many rows as columns")
    m = r @ mT(gr) - mT(gq) @ q
    symmetric = np.tril(m) + mT(np.tril(m, -1))
    return mT(np.linalg.solve(r, mT(gq + q @ symmetric)))


derivative(np.linalg.qr, qr_argument, domain=(FULL_RANK,))


def pinv_argument(g: Any, z: Any, a: Any) -> Any:
    """Golub and Pereyra 1973: three terms; the last two vanish for a regular square matrix."""
    rows = np.eye(a.shape[-2], dtype=a.dtype) - a @ z
    columns = np.eye(a.shape[-1], dtype=a.dtype) - z @ a
    return -mT(z) @ g @ mT(z) + rows @ mT(g) @ z @ mT(z) + mT(z) @ z @ mT(g) @ columns


derivative(np.linalg.pinv, pinv_argument, domain=(FULL_RANK,), neutral="rcond rtol")


@composite(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    out = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) + 0.0 * a if n == 0 else None
    while n:
        if n & 1:
            out = a if out is None else out @ a
        n >>= 1
        a = a @ a if n else a
    return out


@composite(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    out = arrays[0]
    for array in arrays[1:]:
        out = out @ array
    return out


constant(np.linalg.matrix_rank, np.linalg.cond, reason="a diagnosis; its derivative is of no use")
refuse(np.linalg.eig, np.linalg.eigvals, reason="the eigenvalues may be complex; use eigh for symmetric matrices")
refuse(np.linalg.lstsq, reason="use np.linalg.pinv(a) @ b, or solve the normal equations")
refuse(np.linalg.tensorinv, np.linalg.tensorsolve, reason="reshape to matrices and use inv or solve")
