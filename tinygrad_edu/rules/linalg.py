"""numpy.linalg: inverses, determinants and decompositions, each of one matrix or a stack of them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.primitive import Domain, composite, constant, derivative, refuse
from tinygrad_edu.rules.products import mT

__all__: list[str] = []

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


def det_argument(g: Any, z: Any, a: Any) -> Any:
    """The cofactors. They are det(a) a⁻ᵀ where a⁻¹ has half its digits; the determinant of any matrix is smooth."""
    try:
        inverse = np.linalg.inv(a)
        sizes = np.sum(a * a, axis=(-2, -1)) * np.sum(inverse * inverse, axis=(-2, -1))  # condition numbers, squared
        if a.shape[-1] != 1 and np.all(sizes < 1 / np.finfo(a.dtype).eps):
            return (g * z)[..., None, None] * mT(inverse)
    except np.linalg.LinAlgError:
        pass
    return g[..., None, None] * (cofactors(a) if isinstance(a, np.ndarray) else minors(a))


def cofactors(a: np.ndarray) -> Any:
    """For a = u diag(s) vᵀ: det(u) det(v) u diag(products of the other s) vᵀ, without a division."""
    u, s, vt = np.linalg.svd(a)
    others = np.prod(np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., None, :]), axis=-1, dtype=a.dtype)
    return (np.linalg.det(u) * np.linalg.det(vt))[..., None, None] * ((u * others[..., None, :]) @ vt)


def minors(a: Any) -> Any:
    """The cofactors by their definition: slow, but with derivatives of every order also where a is singular."""
    n = a.shape[-1]
    kept = np.array([[k for k in range(n) if k != left_out] for left_out in range(n)], int)
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n)).astype(a.dtype)
    return signs * np.linalg.det(a[..., kept[:, None, :, None], kept[None, :, None, :]])


def slogdet_argument(g: Any, a: Any) -> Any:
    try:
        return g[1][..., None, None] * mT(np.linalg.inv(a))
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            "slogdet has no derivative at a singular matrix: log |det a| is -inf there; det has one"
        ) from None


derivative(np.linalg.det, det_argument)
derivative(np.linalg.slogdet, slogdet_argument, domain=(SQUARE,))


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


def over(x: Any, y: Any) -> Any:
    """x / y, but 0 where both are 0: equal values have no derivative apart, and none is needed if none is asked."""
    return x / np.where(np.logical_and(x == 0.0, y == 0.0), 1.0, y)


def gaps(w: Any) -> Any:
    """w_j - w_i."""
    return w[..., None, :] - w[..., :, None]


def diagonal_matrix(w: Any) -> Any:
    return w[..., :, None] * np.eye(w.shape[-1], dtype=w.dtype)


def eigh_argument(g: Any, z: Any) -> Any:
    """Giles 2008, 3.1: v (diag(gw) + vᵀgv / gaps) vᵀ, made symmetric. Equal eigenvalues have no derivative of v."""
    (gw, gv), (w, v) = g, z
    turn = mT(v) @ gv * (1.0 - np.eye(w.shape[-1], dtype=w.dtype))
    out = v @ (diagonal_matrix(gw) + over(turn, gaps(w))) @ mT(v)
    return 0.5 * (out + mT(out))


def eigvalsh_argument(g: Any, a: Any, UPLO: Any = "L") -> Any:
    """v diag(g) vᵀ: it divides by no gap, so equal eigenvalues are allowed."""
    v = np.linalg.eigh(a, UPLO)[1]
    return v @ diagonal_matrix(g) @ mT(v)


derivative(np.linalg.eigh, eigh_argument, domain=(SPD,), neutral="UPLO")
derivative(np.linalg.eigvalsh, eigvalsh_argument, domain=(SPD,))


def svd_argument(g: Any, z: Any, full_matrices: bool = True) -> Any:
    """Townsend 2016: the pullback of the thin singular value decomposition a = u diag(s) vᵀ."""
    (gu, gs, gv), (u, s, vt) = g, z
    k = s.shape[-1]
    if full_matrices and u.shape[-1] != vt.shape[-2]:
        if np.any(gu[..., k:] != 0.0) or np.any(gv[..., k:, :] != 0.0):
            raise UnsupportedError(
                "svd: the columns that only full_matrices=True adds have no derivative; pass full_matrices=False"
            )
        gu, u, gv, vt = gu[..., :k], u[..., :k], gv[..., :k, :], vt[..., :k, :]
    gs = np.where(s == 0.0, 0.0, gs)
    across, down = mT(u) @ gu, vt @ mT(gv)
    squared = gaps(s * s)
    inside = (
        over(across - mT(across), squared) * s[..., None, :]
        + s[..., :, None] * over(down - mT(down), squared)
        + diagonal_matrix(gs)
    )
    out = u @ inside @ vt
    if u.shape[-2] > u.shape[-1]:
        out = out + over(gu - u @ across, s[..., None, :]) @ vt
    if vt.shape[-1] > vt.shape[-2]:
        out = out + u @ over(gv - mT(down) @ vt, s[..., :, None])
    return out


def svdvals_argument(g: Any, x: Any) -> Any:
    """u diag(g) vᵀ: it divides by nothing, so equal singular values are allowed; as |x|, with slope 0 at 0."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return u * np.where(s == 0.0, 0.0, g)[..., None, :] @ vt


derivative(np.linalg.svd, svd_argument, domain=(FULL_RANK,), neutral="hermitian")
derivative(np.linalg.svdvals, svdvals_argument, domain=(FULL_RANK,))


def qr_argument(g: Any, z: Any, a: Any, mode: str = "reduced") -> Any:
    """Walter and Lehmann 2010. Columns beyond the rows follow from the others: y = q v, with gy = q gv."""
    if mode != "reduced":
        raise UnsupportedError(f"qr: mode={mode!r} has no derivative; mode='reduced' has one")
    (gq, gr), (q, r) = g, z
    rows, columns = r.shape[-2:]
    if rows < columns:
        gv = gr[..., rows:]
        first = square_qr_argument(gq + a[..., rows:] @ mT(gv), gr[..., :rows], q, r[..., :rows])
        return np.concatenate([first, q @ gv], axis=-1)
    return square_qr_argument(gq, gr, q, r)


def square_qr_argument(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    """For at least as many rows as columns, all of them independent: r is square and regular."""
    lengths = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
    least = r.shape[-1] * np.finfo(r.dtype).eps * np.max(lengths, axis=-1, initial=0.0)
    if np.any(np.min(lengths, axis=-1, initial=np.inf) <= least):
        raise np.linalg.LinAlgError("qr has no derivative where the columns of a are not independent")
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
    n = operator.index(n)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"only square matrices have powers, not shape {a.shape}")
    if n < 0:
        return matrix_power(np.linalg.inv(a), -n)
    out = np.where(True, np.eye(a.shape[-1], dtype=a.dtype), a) if n == 0 else None  # not 0 · a: inf would show
    while n:
        if n & 1:
            out = a if out is None else out @ a
        n >>= 1
        a = a @ a if n else a
    return out


@composite(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    if len(arrays) < 2:
        raise ValueError(f"it multiplies at least two arrays, not {len(arrays)}")
    if len(arrays) > 2:
        for k, array in enumerate(arrays):
            if np.ndim(array) != 2 and not (np.ndim(array) == 1 and k in (0, len(arrays) - 1)):
                raise np.linalg.LinAlgError(f"array {k} of shape {np.shape(array)} is no matrix")
    out = arrays[0]
    for array in arrays[1:]:
        out = np.dot(out, array)
    return out


@composite(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse of the matrix that the first `ind` axes and the others make."""
    if ind <= 0:
        raise ValueError(f"ind={ind}; at least one axis stands for the rows")
    rows, columns = a.shape[:ind], a.shape[ind:]
    return np.reshape(np.linalg.inv(np.reshape(a, (math.prod(rows), -1))), columns + rows)


@composite(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a = a if axes is None else np.moveaxis(a, axes, range(-len(axes), 0))
    unknowns = np.shape(a)[np.ndim(b) :]
    if math.prod(unknowns) != np.size(b) or np.size(a) != np.size(b) ** 2:
        raise np.linalg.LinAlgError(f"shape {np.shape(a)} is no square matrix against {np.shape(b)}")
    matrix = np.reshape(a, (np.size(b), math.prod(unknowns)))
    return np.reshape(np.linalg.solve(matrix, np.ravel(b)), unknowns)


constant(np.linalg.matrix_rank, np.linalg.cond, reason="a diagnosis; its derivative is of no use")
refuse(np.linalg.eig, np.linalg.eigvals, reason="the eigenvalues may be complex; use eigh for symmetric matrices")
refuse(np.linalg.lstsq, reason="use np.linalg.pinv(a) @ b, or solve the normal equations")
