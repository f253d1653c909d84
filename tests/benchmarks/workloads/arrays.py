"""Single operations on 64 × 64 arrays, float64, forward and backward."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Run, Workload

SIZE = 64

# In each peer's own names; F is its namespace, a and b its 64 × 64 values, both positive.
OPERATIONS = {
    "a + b": lambda F, a, b: a + b,
    "a * b": lambda F, a, b: a * b,
    "a / b": lambda F, a, b: a / b,
    "a ** 2": lambda F, a, b: a**2,
    "a ** b": lambda F, a, b: a**b,
    "a @ b": lambda F, a, b: a @ b,
    "a + row": lambda F, a, b: a + b[0],
    "exp": lambda F, a, b: F.exp(a),
    "log": lambda F, a, b: F.log(a),
    "tanh": lambda F, a, b: F.tanh(a),
    "sqrt": lambda F, a, b: F.sqrt(a),
    "sin": lambda F, a, b: F.sin(a),
    "abs": lambda F, a, b: F.abs(a),
    "relu": lambda F, a, b: F.relu(a),
    "sigmoid": lambda F, a, b: F.sigmoid(a),
    "maximum": lambda F, a, b: F.maximum(a, b),
    "where": lambda F, a, b: F.where(next(F.MASKS), a, b),
    "sum": lambda F, a, b: a.sum(),
    "mean of rows": lambda F, a, b: F.mean(a, 1),
    "max of rows": lambda F, a, b: F.largest(a),
    "var of rows": lambda F, a, b: F.var(a),
    "std": lambda F, a, b: F.std(a),
    "norm": lambda F, a, b: F.norm(a),
    "prod": lambda F, a, b: F.prod(a),
    "cumsum of rows": lambda F, a, b: F.cumsum(a, 1),
    "logsumexp of rows": lambda F, a, b: F.logsumexp(a),
    "transpose": lambda F, a, b: a.T,
    "reshape": lambda F, a, b: a.reshape(SIZE * SIZE),
    "a[3:40, ::2]": lambda F, a, b: a[3:40, ::2],
    "a[rows]": lambda F, a, b: a[F.ROWS],
    "a[rows, columns]": lambda F, a, b: a[F.ROWS, F.COLUMNS],
    "concatenate": lambda F, a, b: F.concatenate([a, b]),
    "stack": lambda F, a, b: F.stack([a, b]),
    "einsum ij,jk->ik": lambda F, a, b: F.einsum("ij,jk->ik", a, b),
    "softmax": lambda F, a, b: F.softmax(a),
    "log softmax": lambda F, a, b: F.log_softmax(a),
    "cross-entropy": lambda F, a, b: F.cross_entropy(a),
    "layer norm": lambda F, a, b: F.layer_norm(a),
    "tanh(a @ b + row)": lambda F, a, b: F.tanh(a @ b + b[0]),
}


def inputs() -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    return draw.uniform(0.5, 1.5, (SIZE, SIZE)), draw.uniform(0.5, 1.5, (SIZE, SIZE))


def masks(asarray: Any) -> Iterator[Any]:
    """Many in turn: of a single one, the processor learns by heart where each element goes."""
    drawn = np.random.default_rng(1).random((256, SIZE, SIZE)) < 0.5
    return cycle([asarray(mask) for mask in drawn])


def rows() -> Any:
    return np.random.default_rng(2).integers(0, SIZE, 100)


def columns() -> Any:
    return np.random.default_rng(4).integers(0, SIZE, 100)


def targets() -> Any:
    return np.random.default_rng(5).integers(0, SIZE, SIZE)


def cotangent(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(3).standard_normal(shape)


def numbers(*arrays: Any) -> list[float]:
    """Two sums for each array: one of them sees the order of the elements."""
    out = []
    for array in arrays:
        array = np.asarray(array if array is not None else 0.0, np.float64)
        out += [float(array.sum()), float((array.ravel() * np.arange(1, array.size + 1)).sum())]
    return out


class Functions:
    """What OPERATIONS calls, gathered under one name."""

    def __init__(self, **functions: Any) -> None:
        self.__dict__.update(functions)


def composed(module: Any, where: Any, asarray: Any) -> Functions:
    """For NumPy-like engines; softmax, layer norm, logsumexp and the sigmoid as one writes them there."""

    def logsumexp(a: Any) -> Any:
        top = module.max(a, axis=-1, keepdims=True)
        return module.log(module.sum(module.exp(a - top), axis=-1)) + module.squeeze(top, -1)

    def softmax(a: Any) -> Any:
        e = module.exp(a - module.max(a, axis=-1, keepdims=True))
        return e / module.sum(e, axis=-1, keepdims=True)

    def log_softmax(a: Any) -> Any:
        below = a - module.max(a, axis=-1, keepdims=True)
        return below - module.log(module.sum(module.exp(below), axis=-1, keepdims=True))

    def layer_norm(a: Any) -> Any:
        centred = a - module.mean(a, axis=-1, keepdims=True)
        return centred / module.sqrt(module.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)

    every, wanted = np.arange(SIZE), targets()
    return Functions(
        MASKS=masks(asarray), ROWS=asarray(rows()), COLUMNS=asarray(columns()), exp=module.exp, log=module.log,
        tanh=module.tanh, sqrt=module.sqrt, sin=module.sin, abs=module.abs, relu=lambda a: module.maximum(a, 0.0),
        sigmoid=lambda a: 1.0 / (module.exp(-a) + 1.0), maximum=module.maximum, where=where, mean=module.mean,
        largest=lambda a: module.max(a, axis=1), var=lambda a: module.var(a, axis=1), std=module.std, prod=module.prod,
        cumsum=module.cumsum, norm=module.linalg.norm, logsumexp=logsumexp, einsum=module.einsum, stack=module.stack,
        concatenate=module.concatenate, softmax=softmax, layer_norm=layer_norm, log_softmax=log_softmax,
        cross_entropy=lambda a: -module.mean(log_softmax(a)[every, wanted]),
    )  # fmt: skip


def imperative(case: str, F: Functions, leaves: tuple[Any, Any], as_cotangent: Any, reset: Any) -> Run:
    """For engines whose values have backward(cotangent)."""
    operation = OPERATIONS[case]
    a, b = leaves
    g = as_cotangent(cotangent(tuple(operation(F, a, b).shape)))

    def check() -> list[float]:
        out = operation(F, a, b)
        out.backward(g)
        plain = [getattr(value, "data", value) for value in (out, *[leaf.grad for leaf in leaves])]
        return numbers(*[value.detach() if hasattr(value, "detach") else value for value in plain])

    def forget() -> None:
        for leaf in leaves:
            reset(leaf)

    return Run({"forward": lambda _: operation(F, a, b), "backward": lambda out: out.backward(g)}, check, 1, forget)


def ours(case: str) -> Run:
    from tinygrad_edu import Tensor, functional

    F = composed(np, np.where, lambda array: array)
    for name in ("softmax", "layer_norm", "log_softmax", "logsumexp", "sigmoid", "relu"):
        setattr(F, name, getattr(functional, name))
    wanted = targets()
    F.cross_entropy = lambda a: functional.cross_entropy(a, wanted)
    a, b = (Tensor(array, requires_grad=True) for array in inputs())
    return imperative(case, F, (a, b), lambda g: g, Tensor.zero_grad)


def mygrad(case: str) -> Run:
    import mygrad
    from mygrad.nnet import logsoftmax, relu, sigmoid, softmax, softmax_crossentropy

    F, wanted = composed(mygrad, mygrad.where, lambda array: array), targets()
    F.softmax, F.log_softmax, F.sigmoid, F.relu = softmax, logsoftmax, sigmoid, relu
    F.cross_entropy = lambda a: softmax_crossentropy(a, wanted)
    a, b = (mygrad.tensor(array) for array in inputs())
    return imperative(case, F, (a, b), lambda g: g, lambda leaf: leaf.null_grad())


def pytorch(case: str) -> Run:
    import torch

    torch.set_num_threads(1)
    wanted = torch.tensor(targets())
    F = Functions(
        MASKS=masks(torch.tensor), ROWS=torch.tensor(rows()), COLUMNS=torch.tensor(columns()), exp=torch.exp,
        log=torch.log, tanh=torch.tanh, sqrt=torch.sqrt, sin=torch.sin, abs=torch.abs, relu=torch.relu,
        sigmoid=torch.sigmoid, maximum=torch.maximum, where=torch.where, mean=torch.mean,
        largest=lambda a: torch.amax(a, 1), var=lambda a: torch.var(a, 1, correction=0),
        std=lambda a: torch.std(a, correction=0), prod=torch.prod, cumsum=torch.cumsum, norm=torch.linalg.norm,
        logsumexp=lambda a: torch.logsumexp(a, -1), einsum=torch.einsum, stack=torch.stack,
        concatenate=torch.cat, softmax=lambda a: torch.softmax(a, -1),
        layer_norm=lambda a: torch.nn.functional.layer_norm(a, (SIZE,)),
        log_softmax=lambda a: torch.log_softmax(a, -1),
        cross_entropy=lambda a: torch.nn.functional.cross_entropy(a, wanted),
    )  # fmt: skip
    a, b = (torch.tensor(array, requires_grad=True) for array in inputs())

    def reset(leaf: Any) -> None:
        leaf.grad = None

    return imperative(case, F, (a, b), torch.tensor, reset)


def traced(case: str, F: Functions, vjp: Any, g_of: Any, wait: Any) -> Run:
    """For engines that transform a function: forward traces it, backward is the pullback."""
    a, b = (g_of(array) for array in inputs())
    both = vjp(lambda a, b: OPERATIONS[case](F, a, b))
    out, pullback = both(a, b)
    g = g_of(cotangent(np.shape(out)))

    def check() -> list[float]:
        out, pullback = both(a, b)
        return numbers(out, *pullback(g))

    return Run(
        {"forward": lambda _: wait(both(a, b)), "backward": lambda made: wait(made[1](g)) and None}, check
    )


def autograd(case: str) -> Run:
    import autograd.numpy as anp
    from autograd import make_vjp

    def vjp(f: Any) -> Any:
        made = make_vjp(f, argnum=(0, 1))

        def both(a: Any, b: Any) -> Any:
            pullback, out = made(a, b)
            return out, pullback

        return both

    return traced(case, composed(anp, anp.where, lambda array: array), vjp, lambda array: array, lambda made: made)


def jax_functions() -> Functions:
    import jax.numpy as jnp
    from jax.nn import log_softmax, logsumexp, relu, sigmoid, softmax, standardize

    F = composed(jnp, jnp.where, jnp.asarray)
    F.softmax, F.layer_norm = softmax, lambda a: standardize(a, epsilon=1e-5)
    F.log_softmax, F.sigmoid, F.relu, F.logsumexp = log_softmax, sigmoid, relu, lambda a: logsumexp(a, -1)
    return F


def jax_eager(case: str) -> Run:
    import jax

    F = jax_functions()
    return traced(case, F, lambda f: lambda a, b: jax.vjp(f, a, b), jax.numpy.asarray, jax.block_until_ready)


def jax_jit(case: str) -> Run:
    """Forward and backward in one compiled function: there are no two phases to tell apart."""
    import jax

    F, (a, b) = jax_functions(), map(jax.numpy.asarray, inputs())
    shape = jax.eval_shape(lambda a, b: OPERATIONS[case](F, a, b), a, b).shape
    g = jax.numpy.asarray(cotangent(shape))

    @jax.jit
    def whole(a: Any, b: Any, g: Any) -> Any:
        out, pullback = jax.vjp(lambda a, b: OPERATIONS[case](F, a, b), a, b)
        return out, *pullback(g)

    return Run(
        {"both": lambda _: jax.block_until_ready(whole(a, b, g)) and None}, lambda: numbers(*whole(a, b, g))
    )


WORKLOAD = Workload(
    title="64 × 64 arrays",
    about="One operation on float64 arrays, forward and the backward pass from a drawn cotangent to both inputs; "
    "softmax and its logarithm, cross-entropy, layer norm, logsumexp, sigmoid, relu by each peer's own function where "
    "it has one. Microseconds, forward and backward together. Results and gradients were compared first.",
    cases=list(OPERATIONS),
    peers={
        OURS: ours, "MyGrad": mygrad, "HIPS autograd": autograd, "PyTorch": pytorch,
        "JAX eager": jax_eager, "JAX jit": jax_jit,
    },
    agree=1e-8,
    matrix=True,
    rivals=("MyGrad", "HIPS autograd"),
)  # fmt: skip
