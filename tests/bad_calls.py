"""What a user does wrong: name → (the call, the exception it must raise, words its message must hold)."""

import math  # noqa: I001  # one line for many names
import operator

import numpy as np

from tinygrad_edu import (
    Tensor, checkpoint, detect_anomaly, functional, grad, gradients, hessian, jacobian, jvp, no_grad, optim, primitive,
    value_and_grad, vjp,
)  # fmt: skip
from tinygrad_edu import errors as E


def leaf(*shape, value=1.0):
    return Tensor(np.full(shape, value), requires_grad=True)


x, s, m = leaf(3), leaf(value=0.5), leaf(2, 3)
square, singular = Tensor(np.eye(2), requires_grad=True), Tensor(np.zeros((2, 2)), requires_grad=True)
integers, booleans = Tensor([1, 2, 3]), Tensor([True, False, True])
data = np.ones(3)

SHAPES = {
    "sum of different lengths": (lambda: x + leaf(4), E.ShapeError, r"add\(float64\[3\], float64\[4\]\)"),
    "product of different lengths": (lambda: x * np.ones(2), E.ShapeError, "multiply"),
    "difference on the left": (lambda: np.ones((2, 2)) - x, E.ShapeError, "subtract"),
    "quotient": (lambda: m / m.T, E.ShapeError, "divide"),
    "power": (lambda: m ** np.ones(2), E.ShapeError, "power"),
    "maximum": (lambda: np.maximum(m, np.ones(2)), E.ShapeError, "maximum"),
    "where": (lambda: np.where(np.ones(2, bool), x, 0.0), E.ShapeError, "where"),
    "matmul, inner sizes": (lambda: m @ leaf(2, 4), E.ShapeError, r"inner sizes 3 and 2 differ; x\.mT would fit"),
    "matmul, the other fits": (lambda: m @ leaf(4, 3), E.ShapeError, r"y\.mT would fit"),
    "matmul, vector": (lambda: m @ leaf(2), E.ShapeError, "inner sizes 3 and 2"),
    "matmul, stacks": (lambda: leaf(2, 3, 3) @ leaf(5, 3, 3), E.ShapeError, "leading axes do not broadcast"),
    "matmul with a scalar": (lambda: x @ 3.0, E.ShapeError, "matmul"),
    "matmul from a scalar": (lambda: s @ x, E.ShapeError, "matmul"),
    "dot": (lambda: np.dot(m, m), E.ShapeError, "matmul"),
    "inner": (lambda: np.inner(m, leaf(2, 2)), ValueError, "do not match"),
    "tensordot": (lambda: np.tensordot(m, m, 1), ValueError, "tensordot"),
    "einsum, too many letters": (lambda: np.einsum("ijk->k", m), E.ShapeError, "einsum"),
    "einsum, sizes": (lambda: np.einsum("ij,j->i", m, leaf(2)), E.ShapeError, "einsum"),
    "reshape": (lambda: x.reshape(2, 2), E.ShapeError, r"reshape\(float64\[3\], \(2, 2\)\)"),
    "broadcast_to": (lambda: np.broadcast_to(x, (2, 2)), E.ShapeError, "broadcast_to"),
    "transpose": (lambda: np.transpose(x, (0, 1)), E.ShapeError, "transpose"),
    "mT of a vector": (lambda: x.mT, E.ShapeError, "at least 2-dimensional"),
    "squeeze": (lambda: np.squeeze(x, 0), E.ShapeError, "squeeze"),
    "expand_dims": (lambda: np.expand_dims(x, 5), E.ShapeError, "axis 5 is out of bounds"),
    "concatenate, ranks": (lambda: np.concatenate([x, m]), E.ShapeError, "concatenate"),
    "concatenate, sizes": (lambda: np.concatenate([m, leaf(2, 2)]), E.ShapeError, "concatenate"),
    "concatenate, axis": (lambda: np.concatenate([x, x], axis=1), E.ShapeError, "axis 1"),
    "concatenate, nothing": (lambda: np.concatenate([x[:0]][:0] + [s]), E.ShapeError, "concatenate"),
    "stack": (lambda: np.stack([x, leaf(2)]), E.ShapeError, "same shape"),
    "stack, axis": (lambda: np.stack([x, x], axis=4), E.ShapeError, "axis 4"),
    "sum, axis": (lambda: x.sum(axis=1), E.ShapeError, "axis 1 is out of bounds"),
    "sum, axis twice": (lambda: m.sum(axis=(0, 0)), E.ShapeError, "duplicate"),
    "mean, axis": (lambda: np.mean(x, axis=-2), E.ShapeError, "axis -2"),
    "max of nothing": (lambda: np.max(x[:0]), E.ShapeError, "zero-size"),
    "cumsum, axis": (lambda: np.cumsum(x, axis=1), E.ShapeError, "axis 1"),
    "sort, axis": (lambda: np.sort(x, axis=3), E.ShapeError, "axis 3"),
    "swapaxes": (lambda: x.swapaxes(0, 1), E.ShapeError, "swapaxes|axis2"),
    "moveaxis": (lambda: np.moveaxis(x, 0, 2), E.ShapeError, "axis 2|destination"),
    "argmax, axis": (lambda: np.argmax(x, axis=3), E.ShapeError, "axis 3"),
    "split, uneven": (lambda: np.split(x, 2), ValueError, "3 elements do not split into 2"),
    "cross": (lambda: np.cross(x, x[:2]), ValueError, "3 components"),
    "quantile": (lambda: np.quantile(x, 1.5), ValueError, r"lie in \[0, 1\]"),
    "pad mode": (lambda: np.pad(x, 1, mode="linear_ramp"), ValueError, "linear_ramp"),
    "norm 0": (lambda: np.linalg.norm(x, ord=0), ValueError, "no derivative"),
    "norm of a cube": (lambda: np.linalg.norm(leaf(2, 2, 2), ord=3), ValueError, "norm"),
    "matrix norm 3": (lambda: np.linalg.norm(m, ord=3), ValueError, "no matrix norm"),
    "inverse of a vector": (lambda: np.linalg.inv(x), np.linalg.LinAlgError, "at least two-dimensional"),
    "inverse of an oblong": (lambda: np.linalg.inv(m), np.linalg.LinAlgError, "square"),
    "inverse of a singular": (lambda: np.linalg.inv(singular), np.linalg.LinAlgError, "Singular"),
    "solve, sizes": (lambda: np.linalg.solve(square, x), E.ShapeError, "solve"),
    "solve, singular": (lambda: np.linalg.solve(singular, leaf(2)), np.linalg.LinAlgError, "Singular"),
    "cholesky": (lambda: np.linalg.cholesky(-square), np.linalg.LinAlgError, "positive definite"),
    "ragged data": (lambda: Tensor([[1.0, 2.0], [3.0]]), E.ShapeError, "no array can be made"),
    "mse against a column": (lambda: functional.mse(x, leaf(3, 1)), E.ShapeError, r"\(3,\) and \(3, 1\)"),
    "cross-entropy, lengths": (lambda: functional.cross_entropy(m, [0]), E.ShapeError, "one class id"),
    "layer norm, width": (lambda: functional.layer_norm(m, leaf(2)), E.ShapeError, "weight has shape"),
    "embedding of a vector": (lambda: functional.embedding(x, [0]), E.ShapeError, "table"),
    "too large a product": (lambda: leaf(10**6, 1) * np.ones((1, 10**6)), E.TooLargeError, "GiB"),
    "too large a matmul": (lambda: leaf(10**6, 1) @ np.ones((1, 10**6)), E.TooLargeError, "GiB"),
    "too large an outer": (lambda: np.outer(leaf(10**6), np.ones(10**6)), E.TooLargeError, r"\(1000000, 1000000\)"),
    "too large a concatenation": (lambda: np.concatenate([leaf(10**6)] * 10**5), E.TooLargeError, "GiB"),
    "data of another shape": (lambda: setattr(leaf(3), "data", np.ones(4)), ValueError, r"\(4,\).*\(3,\)"),
    "grad of another shape": (lambda: setattr(leaf(3), "grad", np.ones(4)), E.CotangentError, "shapes differ"),
}  # fmt: skip

INDICES = {
    "index too large": (lambda: x[5], IndexError, r"getitem\(float64\[3\], 5\)"),
    "index too small": (lambda: x[-4], IndexError, "out of bounds"),
    "too many indices": (lambda: x[0, 0], IndexError, "too many indices"),
    "float index": (lambda: x[1.0], IndexError, "only integers"),
    "text index": (lambda: x["a"], IndexError, "only integers"),
    "mask of another length": (lambda: x[np.ones(4, bool)], IndexError, "boolean index"),
    "float tensor as index": (lambda: data[s], E.LostGradientError, "cut it off"),
    "float tensor in range": (lambda: range(s), E.DtypeError, "is no index"),
    "float tensor in a list": (lambda: [1, 2][s], E.DtypeError, "is no index"),
    "take": (lambda: np.take(x, [10]), IndexError, "out of bounds"),
    "take_along_axis": (lambda: np.take_along_axis(x, np.array([7]), 0), IndexError, "out of bounds"),
    "embedding, out of range": (lambda: functional.embedding(m, [0, 2]), IndexError, "position 1"),
    "embedding, negative": (lambda: functional.embedding(m, [-1]), IndexError, r"outside \[0, 2\)"),
    "target out of range": (lambda: functional.cross_entropy(m, [0, 3]), IndexError, "target 3"),
    "iterating a number": (lambda: list(s), TypeError, "0-d"),
}  # fmt: skip

KINDS = {
    "integers want a gradient": (lambda: Tensor([1, 2], requires_grad=True), E.DtypeError, "dtype=float"),
    "an integer wants a gradient": (lambda: Tensor(2, requires_grad=True), E.DtypeError, "dtype=float"),
    "booleans want a gradient": (lambda: Tensor([True], requires_grad=True), E.DtypeError, "bool"),
    "integers, later": (lambda: setattr(Tensor([1]), "requires_grad", True), E.DtypeError, "int64"),
    "grad of an integer": (lambda: grad(lambda t: t * t)(3), E.DtypeError, "pass floats"),
    "complex data": (lambda: Tensor(1j), E.DtypeError, "real numbers"),
    "complex operand": (lambda: x + 1j, E.DtypeError, "real"),
    "complex array on the left": (lambda: np.ones(3) * 1j * x, E.DtypeError, "real"),
    "text data": (lambda: Tensor("abc"), E.DtypeError, "real numbers"),
    "text operand": (lambda: x + "a", E.DtypeError, "real numbers"),
    "None data": (lambda: Tensor(None), E.DtypeError, "object"),
    "None operand": (lambda: x * None, E.DtypeError, "object"),
    "None exponent": (lambda: x**None, E.DtypeError, "object"),
    "None compared": (lambda: x < None, E.DtypeError, "less"),
    "object array": (lambda: x + np.array([1, None, 2], dtype=object), E.DtypeError, "object"),
    "dict operand": (lambda: x * {}, E.DtypeError, "object"),
    "complex branch": (lambda: np.where(data > 0, x, 1j), E.DtypeError, "complex128"),
    "complex in a concatenation": (lambda: np.concatenate([x, [1j]]), E.DtypeError, "complex128"),
    "complex dtype": (lambda: x.astype(complex), E.DtypeError, "complex128"),
    "object in a stack": (lambda: np.stack([x, np.array([1, None, 2])]), E.DtypeError, "object"),
    "masked in a concatenation": (lambda: np.concatenate([x, np.ma.array([1.0], mask=[1])]), E.DtypeError, "mask"),
    "matrix operand": (lambda: m * np.ones((3, 3)).view(np.matrix), E.DtypeError, r"np\.matrix .*its \* is @"),
    "matrix on the left": (lambda: np.ones((3, 2)).view(np.matrix) * m, E.DtypeError, r"pass np\.asarray"),
    "matrix in a product": (lambda: np.matmul(m, np.ones((3, 3)).view(np.matrix)), E.DtypeError, "write @"),
    "masked data": (lambda: Tensor(np.ma.array([1.0], mask=[1])), E.DtypeError, "mask"),
    "masked operand": (lambda: x + np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]), E.DtypeError, "mask"),
    "dates": (lambda: Tensor(np.array(["2020"], "M8[Y]")), E.DtypeError, "real numbers"),
    "float ids": (lambda: functional.embedding(m, [0.0]), E.DtypeError, "integers"),
    "float targets": (lambda: functional.cross_entropy(m, [0.0, 1.0]), E.DtypeError, "integers"),
}  # fmt: skip

LOST = {
    "float()": (lambda: float(s), E.LostGradientError, r"x\.item\(\)"),
    "int()": (lambda: int(s), E.LostGradientError, r"x\.item\(\)"),
    "bool()": (lambda: bool(s), E.LostGradientError, "x > 0"),
    "if": (lambda: 1 if s else 0, E.LostGradientError, r"bool\(\)"),
    "math.sin": (lambda: math.sin(s), E.LostGradientError, r"float\(\)"),
    "np.asarray": (lambda: np.asarray(x), E.LostGradientError, r"x\.numpy\(\)"),
    "np.array": (lambda: np.array(x), E.LostGradientError, r"np\.asarray"),
    "np.array of tensors": (lambda: np.array([x, x]), E.LostGradientError, r"np\.stack"),
    "Tensor of tensors": (lambda: Tensor([x, x]), E.LostGradientError, r"np\.stack"),
    "a list of tensors as operand": (lambda: x + [s, s, s], E.LostGradientError, r"np\.stack"),
    "np.vectorize": (lambda: np.vectorize(math.sin)(x), E.LostGradientError, "gradient"),
    "DLPack": (lambda: np.from_dlpack(x), E.LostGradientError, "detach"),
    "filling an array": (lambda: operator.setitem(np.zeros(3), 0, s), (E.LostGradientError, ValueError), ""),
    "array += tensor": (lambda: operator.iadd(np.zeros(3), x), E.UnsupportedError, r"array = array \+ tensor"),
    "out=": (lambda: np.add(x, 1.0, out=np.zeros(3)), E.UnsupportedError, "out="),
    "out= in a sum": (lambda: np.sum(x, out=np.zeros(())), E.UnsupportedError, "no buffer"),
    "item of many": (lambda: x.item(), E.LostGradientError, "one element"),
    "tracked condition": (lambda: np.where(x, x, 0.0), E.UnsupportedError, "condition"),
    "tracked keyword": (lambda: np.sum(x, initial=s), E.UnsupportedError, "initial"),
    "tracked index": (lambda: np.take(data, x), (E.LostGradientError, E.UnsupportedError), ""),
    "item assignment": (lambda: operator.setitem(x, 0, 1.0), E.ItemAssignmentError, r"np\.where"),
    "mask assignment": (lambda: operator.setitem(x, x > 0, 0.0), E.ItemAssignmentError, "value"),
    "put": (lambda: np.put(x, [0], 1.0), E.UnsupportedError, "writes into"),
    "copyto": (lambda: np.copyto(x, 1.0), E.UnsupportedError, "writes into"),
    "fill_diagonal": (lambda: np.fill_diagonal(m, 1.0), E.UnsupportedError, "writes into"),
    "random permutation": (lambda: np.random.default_rng(0).permutation(x), E.LostGradientError, "gradient"),
}  # fmt: skip

UNKNOWN = {
    "eig": (lambda: np.linalg.eig(square), E.UnsupportedError, "use eigh"),
    "lstsq": (lambda: np.linalg.lstsq(m, leaf(2)), E.UnsupportedError, "pinv"),
    "fft": (lambda: np.fft.fft(x), E.UnsupportedError, "no derivative rule"),
    "angle": (lambda: np.angle(x), E.UnsupportedError, "complex"),
    "histogram": (lambda: np.histogram(x), E.UnsupportedError, "counts jump"),
    "unique": (lambda: np.unique(x), E.UnsupportedError, "depends on the data"),
    "resize": (lambda: np.resize(x, 5), E.UnsupportedError, "reshape, tile or pad"),
    "i0": (lambda: np.i0(x), E.UnsupportedError, "Bessel"),
    "modf": (lambda: np.modf(x), E.UnsupportedError, "trunc"),
    "piecewise": (lambda: np.piecewise(x, [x > 0], [1.0]), E.UnsupportedError, r"np\.where"),
    "apply_along_axis": (lambda: np.apply_along_axis(sum, 0, x), E.UnsupportedError, "whole array"),
    "save": (lambda: np.save("nowhere.npy", x), E.UnsupportedError, r"save x\.numpy"),
    "polyfit": (lambda: np.polyfit(x, x, 1), E.UnsupportedError, "polyval"),
    "frompyfunc": (lambda: np.frompyfunc(abs, 1, 1)(x), E.UnsupportedError, "no derivative rule"),
    "add.at": (lambda: np.add.at(x, [0], 1.0), E.UnsupportedError, "add.at"),
    "add.reduceat": (lambda: np.add.reduceat(x, [0, 1]), E.UnsupportedError, "reduceat"),
    "where= of a ufunc": (lambda: np.exp(x, where=data > 0), E.UnsupportedError, r"np\.where\(mask"),
    "dtype= of a ufunc": (lambda: np.exp(x, dtype=np.float32), E.UnsupportedError, "dtype="),
    "axes= of matmul": (lambda: np.matmul(m, m.T, axes=[0, 1, 2]), E.UnsupportedError, "axes="),
    "order= of sort": (lambda: np.sort(x, order="a"), E.UnsupportedError, "order="),
    "method= of quantile": (lambda: np.quantile(x, 0.5, method="lower"), E.UnsupportedError, "method="),
    "no such attribute": (lambda: x.foo, AttributeError, "foo"),
}  # fmt: skip


def mutated(change):
    """A loss whose saved array is changed before its backward pass."""

    def run():
        w = leaf(3, value=2.0)
        view = w.data[:2]
        loss = (w * w).sum()
        change(w, view)
        loss.backward()

    return run


def operand_changed():
    array = np.ones(3)
    loss = (leaf(3) * array).sum()
    array[0] = 7.0
    loss.backward()


def intermediate_changed():
    y = np.exp(leaf(3))
    loss = y.sum()
    y.data[0] = 7.0
    loss.backward()


def large_permuted():
    w = leaf(20000)
    w.data[:] = np.arange(20000.0)
    loss = (w * w).sum()
    w.data[:] = w.numpy()[::-1]
    loss.backward()


def index_changed():
    places = np.array([0, 1])
    loss = (leaf(3)[places] * 2.0).sum()
    places[0] = 2
    loss.backward()


def optimiser_step():
    w = leaf(3)
    (w * w).sum().backward()
    loss = (w * w).sum()
    optim.SGD([w], lr=0.1).step()
    loss.backward()


CHANGED = {
    "through .data": mutated(lambda w, view: operator.setitem(w.data, 0, 9.0)),
    "through a view taken before": mutated(lambda w, view: operator.setitem(view, 0, 9.0)),
    "by augmented assignment": mutated(lambda w, view: operator.imul(view, 3.0)),
    "by out=": mutated(lambda w, view: np.add(view, 1.0, out=view)),
    "by setting .data": mutated(lambda w, view: setattr(w, "data", np.zeros(3))),
    "by sorting": mutated(lambda w, view: operator.setitem(w.data, slice(None), [3.0, 2.0, 1.0])),
    "by w.data -= ...": mutated(lambda w, view: setattr(w, "data", operator.isub(w.data, 0.5))),
    "an ndarray operand": operand_changed,
    "an intermediate": intermediate_changed,
    "a large one, only its order": large_permuted,
    "an index": index_changed,
    "by an optimiser": optimiser_step,
}


def twice():
    loss = (x * x).sum()
    loss.backward()
    loss.backward()


def shared_part():
    y = np.tanh(x)
    y.sum().backward()
    (y * 2.0).sum().backward()


def under_no_grad():
    with no_grad():
        loss = (x * x).sum()
    loss.backward()


def with_rule(rule):
    @primitive(rule, broadcasts=False)
    def doubled(x):
        return x * 2.0

    return lambda: doubled(x).sum().backward()


def random_twice():
    rng = np.random.default_rng(0)
    checkpoint(lambda t: t * rng.normal())(s).backward()


def logging(value):
    with detect_anomaly():
        np.log(leaf(2, value=value))


def rooting():
    with detect_anomaly():
        np.sqrt(leaf(2, value=0.0)).sum().backward()


PASSES = {
    "no scalar": (lambda: (x * 2.0).backward(), E.CotangentError, r"sum\(\) or mean\(\)"),
    "cotangent, shape": (lambda: (x * 2.0).backward(np.ones(2)), E.CotangentError, r"float64\[2\]"),
    "cotangent, column": (lambda: (x * 2.0).backward(np.ones((3, 1))), E.CotangentError, r"float64\[3, 1\]"),
    "cotangent, dtype": (lambda: x.sum().backward(np.float32(1)), E.CotangentError, "float32"),
    "cotangent, integers": (lambda: (x * 2.0).backward(np.ones(3, int)), E.CotangentError, "int64"),
    "nothing tracked": (lambda: Tensor([1.0]).sum().backward(), E.NotTrackedError, "requires_grad=True"),
    "under no_grad": (under_no_grad, E.NotTrackedError, "no_grad"),
    "detached": (lambda: (x.detach() * 2.0).sum().backward(), E.NotTrackedError, "detached"),
    "twice": (twice, E.FreedGraphError, "retain_graph=True"),
    "a shared part, twice": (shared_part, E.FreedGraphError, "tanh"),
    "retain_grad on a constant": (lambda: Tensor([1.0]).retain_grad(), E.NotTrackedError, "retain_grad"),
    "data of a computed tensor": (lambda: setattr(x * 2.0, "data", np.ones(3)), E.NotTrackedError, "leaf"),
    "requires_grad of a computed one": (lambda: setattr(x * 2, "requires_grad", False), E.NotTrackedError, "leaf"),
    "grad of a constant": (lambda: setattr(Tensor([1.0]), "grad", np.ones(1)), E.NotTrackedError, "require"),
    "gradients, no path": (lambda: gradients(x.sum(), m), E.NotTrackedError, "allow_unused"),
    "gradients, constant input": (lambda: gradients(x.sum(), Tensor([1.0])), E.NotTrackedError, "input 0"),
    "gradients, array input": (lambda: gradients(x.sum(), data), E.NotTrackedError, "input 0"),
    "gradients, constant output": (lambda: gradients(Tensor(1.0), x), E.NotTrackedError, "output"),
    "grad of a vector function": (lambda: grad(lambda t: t * 2.0)(data), E.CotangentError, "jacobian"),
    "grad of a number": (lambda: grad(lambda t: 3.0)(data), E.NotTrackedError, "float"),
    "value_and_grad of a vector": (lambda: value_and_grad(np.exp)(data), E.CotangentError, "scalar function"),
    "vjp, cotangent": (lambda: vjp(np.exp, data)[1](np.ones(2)), E.CotangentError, r"shape \(2,\), where \(3,\)"),
    "jvp, tangent": (lambda: jvp(np.exp, (data,), (np.ones(2),)), E.CotangentError, "tangents"),
    "jacobian of a number": (lambda: jacobian(lambda t: 3.0)(data), E.NotTrackedError, "float"),
    "hessian of a vector": (lambda: hessian(np.exp)(data), E.CotangentError, "scalar function"),
    "rule, shape": (with_rule(lambda g, x: g[:1]), E.RuleError, r"shape \(1,\)"),
    "rule, dtype": (with_rule(lambda g: 1j * g), E.RuleError, "complex128"),
    "rule, NaN": (with_rule(lambda g: g * np.nan), E.NonFiniteError, "backward of doubled"),
    "rule, None": (with_rule(lambda g: None), E.RuleError, "NoneType"),
    "rule, list": (with_rule(lambda g: [g]), E.RuleError, "list"),
    "log of 0": (lambda: logging(0.0), E.NonFiniteError, r"-inf at \[0\].*x = 0.*logsumexp"),
    "log of -1": (lambda: logging(-1.0), E.NonFiniteError, "nan at"),
    "root of 0, backward": (rooting, E.NonFiniteError, "backward of sqrt.*eps"),
    "no new attribute": (lambda: setattr(x, "weight", 1), AttributeError, "weight"),
    "checkpoint, random": (random_twice, E.RuleError, "random"),
}  # fmt: skip

BAD_CALLS = SHAPES | INDICES | KINDS | LOST | UNKNOWN | PASSES
BAD_CALLS |= {f"changed {how}": (run, E.MutationError, "changed since") for how, run in CHANGED.items()}
