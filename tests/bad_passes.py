"""Backward passes that must not happen: name → (the call, the exception it must raise, words its message must hold)."""

import operator

import numpy as np
from bad_calls import data, leaf, m, s, x

from tinygrad_edu import (
    Tensor,
    checkpoint,
    detect_anomaly,
    grad,
    gradients,
    hessian,
    jacobian,
    jvp,
    no_grad,
    optim,
    primitive,
    value_and_grad,
    vjp,
)
from tinygrad_edu import errors as E


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

BAD_PASSES = PASSES | {f"changed {how}": (run, E.MutationError, "changed since") for how, run in CHANGED.items()}
