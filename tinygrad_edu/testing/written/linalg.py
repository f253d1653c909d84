"""Products in all their ranks, and numpy.linalg on matrices that are well away from a singular one.

Where a result is fixed only up to signs (eigenvectors, singular vectors), the call multiplies them out.
"""

from typing import Any

import numpy as np

from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.drawing import Shape
from tinygrad_edu.testing.written.draw import Draw, Function, Write

# Products: letters name sizes


def sized(d: Draw, *patterns: str) -> list[Any]:
    """Arrays for one of several patterns: "ab bc" is a matrix product; square more often than not."""
    same = d.pick(1, 2, 3)
    sizes = {letter: same if d.flag() else d.pick(1, 2, 3, 4) for letter in "abcdij"}
    sizes["_"] = 1
    terms = d.pick(*patterns).split()
    return [d.array(tuple(sizes[letter] for letter in term if letter != ".")) for term in terms]


def product(function: Function, *patterns: str) -> Write:
    return lambda d: Call(function, tuple(sized(d, *patterns)))


MATMUL = ("a a", "a ab", "ab b", "a cab", "cab b", "ab bc", "dab bc", "ab dbc", "dab dbc", "idab dbc", "dab _bc",
          "_ab dbc", "id_ab _bc", "_ab bc", "ijab b", "a ijab")  # fmt: skip


def dot(d: Draw) -> Call:
    return product(np.dot, "a a", "ab b", "ab bc", ". ab", "ab .", ". .", "dab b", "ab cbd", "dab cbi", "a cad")(d)


def tensordot(function: Function) -> Write:
    def write(d: Draw) -> Call:
        terms, axes = d.pick(
            ("abc bcd", 2), ("ab cd", 0), ("abc dba", ([0, 1], [2, 1])), ("ab bc", 1), ("abc cd", (-1, 0)),
            ("ab ab", 2), ("abc ca", ([2, 0], [0, 1])), ("abc cba", ((0, -1), (-1, 0))), ("a a", 1),
        )  # fmt: skip
        arrays = tuple(sized(d, terms))
        return Call(function, arrays, {} if axes == 2 and d.flag() else {"axes": axes})

    return write


EINSUM = (
    "ab,bc->ac", "ab,bc->ca", "ab,bc", "ba,ac", "ab,ab->", "ab,ab->a", "ab,ab", "ab->ba", "ba", "ab->b", "ab->",
    "ab->a",
    "aab->ab", "aa->a", "aa->", "aa", "aaa->a", "aab", "a,b->ab", "a,b", "a,a,a->a", "abc,bd,dc->a", "ab,b",
    "ab,ac->bc",
    "abc,abd->cd", "aab,b->a", "ab,ba->", "...ab,...bc->...ac", "a...,a->...", "a...,...b->b...a", "...,...",
    "...a->a...",
    "a...b,b->a...", "...aa->...a", "...a,a", " a b , b c -> c a ", "ab,c->abc", "ab,cd->", "a,->a", ",",
)  # fmt: skip


def einsum(d: Draw) -> Call:
    return einsum_of(d.pick(*EINSUM), d)


def einsum_of(subscripts: str, d: Draw) -> Call:
    """Operands for these subscripts; what an ellipsis stands for is drawn."""
    terms = subscripts.split("->")[0].replace(" ", "").split(",")
    dots = [d.pick("", "i", "ij", "_j") for _ in terms] if "..." in subscripts else [""] * len(terms)
    if "aa" not in subscripts or d.flag():
        dots = [dots[0][-len(dots[k]) :] if k else dots[0] for k in range(len(terms))]
    longest = max(dots, key=len)
    dots = [longest[len(longest) - len(dot) :] if dot else "" for dot in dots]
    dots = ["".join("_" if d.pick(True, False, False) else c for c in dot) for dot in dots]
    patterns = [term.replace("...", dot) or "." for term, dot in zip(terms, dots, strict=True)]
    if any(len(set(term)) < len(term) for term in terms):
        same = d.pick(1, 2, 3)
        arrays = [d.array(tuple(1 if c == "_" else same for c in term.replace(".", ""))) for term in patterns]
    else:
        arrays = sized(d, " ".join(patterns))
    return Call(np.einsum, (subscripts, *arrays), d.options(optimize=[True, False]))


def vecdot(function: Function) -> Write:
    def write(d: Draw) -> Call:
        arrays = sized(d, "a a", "ba ba", "cba cba", "ba a", "cba _ba", "a ba")
        if d.pick(False, False, True) and arrays[0].shape == arrays[1].shape:
            return Call(function, tuple(arrays), {"axis": d.axis(arrays[0].ndim)})
        return Call(function, tuple(arrays))

    return write


def cross(function: Function) -> Write:
    def write(d: Draw) -> Call:
        shape = d.shape(0, 2)
        x: Shape = (*shape, 3)
        y: Shape = (3,) if d.pick(False, False, True) else x
        axis = d.pick(None, -1) if len(x) != len(y) else d.pick(None, *range(-len(x), len(x)))
        if axis is None or axis == -1:
            return Call(function, (d.array(x), d.array(y)), {} if axis is None else {"axis": -1})
        moved = list(shape)
        moved.insert(axis % len(x), 3)
        return Call(function, (d.array(tuple(moved)), d.array(tuple(moved))), {"axis": axis})

    return write


def multi_dot(d: Draw) -> Call:
    return Call(np.linalg.multi_dot, (sized(d, "ab bc", "ab bc cd", "ab bc cd da", "a ab bc", "ab bc c", "a ab b"),))


# Matrices


def square(d: Draw) -> np.ndarray:
    """A stack of matrices, none near a singular one."""
    n = d.pick(1, 2, 3)
    return d.laid_out(d.values((*d.shape(0, 2), n, n)) / 3 + 4 * np.eye(n))


def on_square(function: Function) -> Write:
    return lambda d: Call(function, (square(d),))


def rectangular(d: Draw) -> np.ndarray:
    """Of full rank, with singular values well apart."""
    rows, columns = d.pick((3, 2), (2, 2), (3, 3), (4, 3), (3, 1), (1, 1), (2, 3), (1, 3))
    spread = np.eye(rows, columns) * (3 + 2 * np.arange(columns))
    return d.laid_out(d.values((*d.shape(0, 1), rows, columns)) / 8 + spread)


def of_symmetric(x: Any, function: Function, **keywords: Any) -> Any:
    """function of x made symmetric, with eigenvalues well apart: only there is it smooth in all elements."""
    n = x.shape[-1]
    return function(x + np.matrix_transpose(x) + np.diag(np.arange(n) * 3.0) + 9 * np.eye(n), **keywords)


def on_symmetric(function: Function, **choices: Any) -> Write:
    def write(d: Draw) -> Call:
        n = d.pick(1, 2, 3)
        return Call(of_symmetric, (d.array((*d.shape(0, 1), n, n)) / 8, function), d.options(**choices))

    return write


def eigenparts(a: Any, **keywords: Any) -> Any:
    """Eigenvalues, and for each eigenvector its projector v vᵀ."""
    w, v = np.linalg.eigh(a, **keywords)
    v = np.matrix_transpose(v)
    return w, v[..., :, None] * v[..., None, :]


def singular_parts(x: Any, full_matrices: bool) -> Any:
    """Singular values, and for each the rank-one matrix u vᵀ, and uuᵀ and vvᵀ."""
    u, s, vt = np.linalg.svd(x, full_matrices=full_matrices)
    u = np.matrix_transpose(u)
    return s, u[..., :, None] * vt[..., None, :], u[..., :, None] * u[..., None, :]


def svd(d: Draw) -> Call:
    x = rectangular(d)
    return Call(singular_parts, (x, x.shape[-1] == x.shape[-2] and d.flag()))


def solve(d: Draw) -> Call:
    n = d.pick(1, 2, 3)
    stack = d.shape(0, 1)
    a = d.laid_out(d.values((*stack, n, n)) / 3 + 4 * np.eye(n))
    columns = d.pick(1, 2, n)
    shapes = [(n,), (*stack, n, columns), (n, columns), (2, *stack, n, columns), (*[1] * len(stack), n, columns)]
    return Call(np.linalg.solve, (a, d.array(d.pick(*shapes))))


def matrix_power(d: Draw) -> Call:
    return Call(np.linalg.matrix_power, (d.laid_out(square(d) / 4), d.pick(-2, -1, 0, 1, 2, 3, 5)))


def slogdet(d: Draw) -> Call:
    return Call(np.linalg.slogdet, (d.laid_out(square(d) * d.pick(1.0, -1.0)),))


# Norms


def norm(d: Draw) -> Call:
    kind = d.pick("all", "vector", "matrix", "matrix")
    keepdims = d.options(keepdims=[True, False])
    if kind == "all":
        return Call(np.linalg.norm, (d.array(d.shape(1)),), keepdims)
    if kind == "vector":
        shape = d.shape(1, smallest=2)
        order = d.pick(None, 1, 2, 3, 1.5, np.inf, -np.inf, -1)
        return Call(np.linalg.norm, (d.apart(shape), order, d.axis(len(shape))), keepdims)
    order = d.pick(None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    x = rectangular(d)
    if x.ndim == 2:
        axis = d.pick(None, (0, 1), (1, 0), (-2, -1))
    else:
        axis = d.pick((-2, -1), (-1, -2), (1, 2))
        if d.flag():
            x, axis = np.moveaxis(x, 0, -1), d.pick((0, 1), (1, 0), (-3, -2))
    return Call(np.linalg.norm, (x,), {"ord": order, "axis": axis, **keepdims})


def vector_norm(d: Draw) -> Call:
    shape = d.shape(1, smallest=2)
    keywords = d.options(ord=[1, 2, 3, np.inf, -np.inf, 1.5], keepdims=[True, False])
    return Call(np.linalg.vector_norm, (d.apart(shape),), keywords | {"axis": d.axes(len(shape))})


def matrix_norm(d: Draw) -> Call:
    orders = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
    return Call(np.linalg.matrix_norm, (rectangular(d),), d.options(ord=orders, keepdims=[True, False]))


CALLS: dict[Function, Write] = {
    np.matmul: product(np.matmul, *MATMUL),
    np.linalg.matmul: product(np.linalg.matmul, *MATMUL),
    np.dot: dot,
    np.vecdot: vecdot(np.vecdot),
    np.linalg.vecdot: vecdot(np.linalg.vecdot),
    np.vdot: product(np.vdot, "a a", "ab ab", "ab ba"),
    np.inner: product(np.inner, "a a", "ba ca", "dba ca", ". a", "ab .", "a cba"),
    np.outer: product(np.outer, "a b", "ab c", ". a", "ab cd"),
    np.linalg.outer: product(np.linalg.outer, "a b"),
    np.tensordot: tensordot(np.tensordot),
    np.linalg.tensordot: tensordot(np.linalg.tensordot),
    np.kron: product(np.kron, "ab cd", "a b", "a bc", "abc d", ". a", "a ."),
    np.cross: cross(np.cross),
    np.linalg.cross: cross(np.linalg.cross),
    np.einsum: einsum,
    np.linalg.inv: on_square(np.linalg.inv),
    np.linalg.det: on_square(np.linalg.det),
    np.linalg.slogdet: slogdet,
    np.linalg.solve: solve,
    np.linalg.cholesky: on_symmetric(np.linalg.cholesky, upper=[True, False]),
    np.linalg.eigh: on_symmetric(eigenparts, UPLO=["L", "U"]),
    np.linalg.eigvalsh: on_symmetric(np.linalg.eigvalsh, UPLO=["L", "U"]),
    np.linalg.svd: svd,
    np.linalg.svdvals: lambda d: Call(np.linalg.svdvals, (rectangular(d),)),
    np.linalg.qr: lambda d: Call(np.linalg.qr, (rectangular(d),)),
    np.linalg.pinv: lambda d: Call(np.linalg.pinv, (rectangular(d),)),
    np.linalg.matrix_power: matrix_power,
    np.linalg.multi_dot: multi_dot,
    np.linalg.norm: norm,
    np.linalg.vector_norm: vector_norm,
    np.linalg.matrix_norm: matrix_norm,
}
if hasattr(np, "matvec"):  # NumPy 2.2
    CALLS[np.matvec] = product(np.matvec, "ab b", "cab cb", "cab b", "ab cb", "cab _b")
    CALLS[np.vecmat] = product(np.vecmat, "a ab", "ca cab", "ca ab", "a cab", "_a cab")
