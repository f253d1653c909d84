"""Products in all their ranks, and numpy.linalg. Factors whose sign is free are compared in forms that do not care."""

import numpy as np
import torch


def sized(d, **letters):
    """Letters to sizes, square more often than not, so that a missing transpose shows in values, not in shapes."""
    same = d.pick(2, 3)
    return {letter: same if d.pick(True, False) else d.pick(1, 2, 3, 4) for letter in "abcdij"}


def fits(*terms):
    """Operands for one of several patterns: "ab bc" is a matrix product of any sizes."""

    def draw(d):
        sizes = sized(d)
        return [d.array(tuple(sizes[letter] for letter in term)) for term in d.pick(*terms).replace("_", "").split()]

    return draw


def product(ours, theirs, *terms):
    draw = fits(*terms)
    return lambda d: (ours, theirs, draw(d))


def scalar_product(d):
    return np.vdot, torch.vdot, [d.array((3,)), d.array((3,))]


def matmul(function):
    vectors = fits("a a", "a ab", "ab b", "a cab", "cab b")
    stacks = fits("ab bc", "dab bc", "ab dbc", "dab dbc", "idab dbc")

    def case(d):
        return function, torch.matmul, d.pick(vectors, stacks)(d)

    return case


def dot(d):
    kind = d.pick("matrices", "scalar", "stack")
    if kind == "scalar":
        return np.dot, torch.mul, [d.array(()), d.array(d.shape())]
    if kind == "stack":
        return np.dot, lambda x, y: torch.tensordot(x, y, ([x.ndim - 1], [1])), fits("ab cbd", "dab cbi")(d)
    return np.dot, torch.matmul, fits("a a", "ab b", "ab bc")(d)


def tensordot(function):
    def case(d):
        terms, ours, theirs = d.pick(
            ("abc bcd", 2, 2), ("ab cd", 0, 0), ("abc dba", ([0, 1], [2, 1]), ([0, 1], [2, 1])),
            ("ab bc", 1, 1), ("abc cd", (-1, 0), ([2], [0])),
        )  # fmt: skip
        return (
            lambda x, y: function(x, y, axes=ours),
            lambda x, y: torch.tensordot(x, y, dims=theirs),
            fits(terms)(d),
        )

    return case


def einsum(d):
    subscripts = d.pick(
        "ab,bc->ac", "ab,bc", "ab,ab->", "ab,ab->a", "ab->ba", "ab->b", "aab->ab", "aa->a", "aa->", "a,b->ab",
        "abc,bd,dc->a", "...ab,...bc->...ac", "a...,a->...", "ab,b", "abc,abd->cd", "ab->",
    )  # fmt: skip
    terms = " ".join(subscripts.split("->")[0].replace("...", "").split(","))
    return lambda *xs: np.einsum(subscripts, *xs), lambda *ts: torch.einsum(subscripts, *ts), fits(terms)(d)


def cross(function):
    def case(d):
        shape = (*d.shape(0, 2), 3)
        return function, lambda x, y: torch.linalg.cross(x, y, dim=-1), [d.array(shape), d.array(shape)]

    return case


def square(d, n=None):
    """A stack of matrices well away from a singular one."""
    n = n or d.pick(1, 2, 3)
    return d.array((*d.shape(0, 1), n, n)) + 4 * np.eye(n)


def on_square(ours, theirs):
    return lambda d: (ours, theirs, [square(d)])


def on_symmetric(ours, theirs):
    """The argument is made symmetric inside, so both sides differentiate along symmetric matrices only."""

    def case(d):
        n = d.pick(1, 2, 3)
        spread = np.diag(np.arange(n) * 3.0) + 9 * np.eye(n)
        return (
            lambda x: ours(x + np.matrix_transpose(x) + spread),
            lambda t: theirs(t + t.mT + torch.tensor(spread)),
            [d.array((*d.shape(0, 1), n, n)) / 4],
        )

    return case


def rectangular(d, tall=False):
    rows, columns = d.pick((3, 2), (2, 2), (4, 3), (3, 1)) if tall else d.pick((3, 2), (2, 3), (3, 3), (1, 3))
    spread = np.eye(rows, columns) * (3 + 2 * np.arange(columns))
    return d.array((*d.shape(0, 1), rows, columns)) / 3 + spread


def svd(d):
    """Singular values, and the polar factor u vᵀ, which does not know the vectors' signs."""

    def ours(x):
        u, s, vt = np.linalg.svd(x, full_matrices=False)
        return s, u @ vt

    def theirs(t):
        u, s, vt = torch.linalg.svd(t, full_matrices=False)
        return s, u @ vt

    return ours, theirs, [rectangular(d)]


def eigh(x):
    w, v = np.linalg.eigh(x)
    return w, v * v


def torch_eigh(t):
    w, v = torch.linalg.eigh(t)
    return w, v * v


def qr(d):
    return lambda x: tuple(np.linalg.qr(x)), lambda t: tuple(torch.linalg.qr(t)), [rectangular(d, tall=True)]


def solve(d):
    a = square(d, n := d.pick(1, 2, 3))
    b = d.array((n,)) if a.ndim == 2 and d.pick(True, False) else d.array((*a.shape[:-2], n, d.pick(1, 2)))
    return np.linalg.solve, torch.linalg.solve, [a, b]


def matrix_power(d):
    n = d.pick(-2, -1, 0, 1, 2, 3, 5)
    return lambda x: np.linalg.matrix_power(x, n), lambda t: torch.linalg.matrix_power(t, n), [square(d) / 4]


def slogdet(d):
    return lambda x: np.linalg.slogdet(x)[1], lambda t: torch.linalg.slogdet(t)[1], [square(d)]


def multi_dot(d):
    return (
        lambda *xs: np.linalg.multi_dot(list(xs)),
        lambda *ts: torch.linalg.multi_dot(ts),
        fits("ab bc", "ab bc cd", "ab bc cd da")(d),
    )


def norm(d):
    if d.pick(True, False):
        x, axis = d.array(d.shape(1)), None
        order = None
    elif d.pick(True, False):
        x, order = d.array(d.shape(1, smallest=2)), d.pick(None, 1, 2, 3, np.inf, -np.inf)
        axis = d.axis(x.ndim)
    else:
        x, axis, order = rectangular(d), (-2, -1), d.pick("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    keepdims = d.pick(True, False)
    return (
        lambda x: np.linalg.norm(x, order, axis=axis, keepdims=keepdims),
        lambda t: torch.linalg.norm(t, order, dim=axis, keepdim=keepdims),
        [x],
    )


def vector_norm(d):
    x, order = d.array(d.shape(1, smallest=2)), d.pick(1, 2, 3, np.inf)
    axis = d.pick(None, d.axis(x.ndim))
    return (
        lambda x: np.linalg.vector_norm(x, axis=axis, ord=order),
        lambda t: torch.linalg.vector_norm(t, order, dim=axis),
        [x],
    )


def matrix_norm(d):
    order = d.pick("fro", "nuc", 1, 2, np.inf)
    return (
        lambda x: np.linalg.matrix_norm(x, ord=order),
        lambda t: torch.linalg.matrix_norm(t, order),
        [rectangular(d)],
    )


def upper_or_lower(d):
    upper = d.pick(True, False)
    return on_symmetric(
        lambda x: np.linalg.cholesky(x, upper=upper), lambda t: torch.linalg.cholesky(t, upper=upper)
    )(d)


CASES = {
    np.matmul: matmul(np.matmul),
    np.linalg.matmul: matmul(np.linalg.matmul),
    np.dot: dot,
    np.vecdot: product(np.vecdot, torch.linalg.vecdot, "a a", "ba ba", "cba cba"),
    np.linalg.vecdot: product(np.linalg.vecdot, torch.linalg.vecdot, "a a", "ba ba", "cba cba"),
    np.matvec: product(np.matvec, lambda x, y: torch.einsum("...ab,...b->...a", x, y), "ab b", "cab cb"),
    np.vecmat: product(np.vecmat, lambda x, y: torch.einsum("...a,...ab->...b", x, y), "a ab", "ca cab"),
    np.vdot: scalar_product,
    np.inner: product(np.inner, torch.inner, "a a", "ba ca", "dba ca"),
    np.outer: product(np.outer, torch.outer, "a b"),
    np.linalg.outer: product(np.linalg.outer, torch.outer, "a b"),
    np.tensordot: tensordot(np.tensordot),
    np.linalg.tensordot: tensordot(np.linalg.tensordot),
    np.kron: product(np.kron, torch.kron, "ab cd", "a b", "a bc", "abc d"),
    np.cross: cross(np.cross),
    np.linalg.cross: cross(np.linalg.cross),
    np.einsum: einsum,
    np.linalg.inv: on_square(np.linalg.inv, torch.linalg.inv),
    np.linalg.det: on_square(np.linalg.det, torch.linalg.det),
    np.linalg.slogdet: slogdet,
    np.linalg.solve: solve,
    np.linalg.cholesky: upper_or_lower,
    np.linalg.eigh: on_symmetric(eigh, torch_eigh),
    np.linalg.eigvalsh: on_symmetric(np.linalg.eigvalsh, torch.linalg.eigvalsh),
    np.linalg.svd: svd,
    np.linalg.svdvals: lambda d: (np.linalg.svdvals, torch.linalg.svdvals, [rectangular(d)]),
    np.linalg.qr: qr,
    np.linalg.pinv: lambda d: (np.linalg.pinv, torch.linalg.pinv, [rectangular(d)]),
    np.linalg.matrix_power: matrix_power,
    np.linalg.multi_dot: multi_dot,
    np.linalg.norm: norm,
    np.linalg.vector_norm: vector_norm,
    np.linalg.matrix_norm: matrix_norm,
}
WITHOUT = {}
