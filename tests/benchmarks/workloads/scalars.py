"""Scalar graphs: a multilayer perceptron of single numbers, and a chain."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.workload import OURS, Run, Workload

INPUTS, HIDDEN, EXAMPLES, LENGTH = 3, 8, 4, 200


def numbers(count: int) -> list[float]:
    draw = random.Random(0)
    return [draw.uniform(-1.0, 1.0) for _ in range(count)]


def perceptron(w: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    """Squared error of a two-layer network over a few examples; every weight is a scalar of its own."""
    loss = 0.0
    data = numbers(EXAMPLES * (INPUTS + 1))
    for example in range(EXAMPLES):
        *x, target = data[example * (INPUTS + 1) : (example + 1) * (INPUTS + 1)]
        layer, place = x, 0
        for width in (HIDDEN, 1):
            made = []
            for _ in range(width):
                total = w[place]
                for k, value in enumerate(layer, 1):
                    total = total + w[place + k] * value
                made.append(activation(total))
                place += len(layer) + 1
            layer = made
        error = layer[0] - target
        loss = loss + error * error
    return loss


def chain(w: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    """y = y * a + b, over and over."""
    y = w[0]
    for _ in range(LENGTH):
        y = y * w[1] + w[2]
    return y


WEIGHTS = HIDDEN * (INPUTS + 1) + HIDDEN + 1
PROGRAMS = {
    # name: program, its leaves, its operations, which activation
    "MLP, tanh": (perceptron, WEIGHTS, EXAMPLES * (2 * (WEIGHTS - HIDDEN - 1) + HIDDEN + 1 + 3), "tanh"),
    "MLP, relu": (perceptron, WEIGHTS, EXAMPLES * (2 * (WEIGHTS - HIDDEN - 1) + HIDDEN + 1 + 3), "relu"),
    "chain": (chain, 3, 2 * LENGTH, "tanh"),
}


def imperative(
    case: str, leaf: Any, functions: dict[str, Any], gradient: Callable[[Any], float], reset: Callable[[Any], None]
) -> Run:
    """For engines whose values have a backward()."""
    program, count, operations, name = PROGRAMS[case]
    leaves = [leaf(value) for value in numbers(count)]
    activation = functions[name]

    def check() -> list[float]:
        out = program(leaves, activation)
        out.backward()
        return [float(out.data), *map(gradient, leaves)]

    def forget() -> None:
        for each in leaves:
            reset(each)

    phases = {"forward": lambda _: program(leaves, activation), "backward": lambda out: out.backward()}
    return Run(phases, check, operations, forget)


def ours(case: str) -> Run:
    from tinygrad_edu import Tensor

    return imperative(
        case, lambda value: Tensor(value, requires_grad=True), {"tanh": Tensor.tanh, "relu": Tensor.relu},
        lambda leaf: leaf.grad.item(), Tensor.zero_grad,
    )  # fmt: skip


def micrograd(case: str) -> Run:
    from micrograd.engine import Value

    def tanh(x: Any) -> Any:
        """The package has relu alone; this is tanh in its style."""
        out = Value(math.tanh(x.data), (x,), "tanh")

        def _backward() -> None:
            x.grad += (1 - out.data**2) * out.grad

        out._backward = _backward
        return out

    def reset(leaf: Any) -> None:
        leaf.grad = 0

    return imperative(case, Value, {"tanh": tanh, "relu": Value.relu}, lambda leaf: leaf.grad, reset)


def pytorch(case: str) -> Run:
    import torch

    torch.set_num_threads(1)

    def leaf(value: float) -> Any:
        return torch.tensor(value, dtype=torch.float64, requires_grad=True)

    def reset(leaf: Any) -> None:
        leaf.grad = None

    functions = {"tanh": torch.tanh, "relu": torch.relu}
    return imperative(case, leaf, functions, lambda leaf: leaf.grad.item(), reset)


def mygrad(case: str) -> Run:
    import mygrad
    from mygrad.nnet import relu

    return imperative(
        case, mygrad.tensor, {"tanh": mygrad.tanh, "relu": relu},
        lambda leaf: leaf.grad.item(), lambda leaf: leaf.null_grad(),
    )  # fmt: skip


def autograd(case: str) -> Run:
    import autograd.numpy as np
    from autograd import make_vjp

    program, count, operations, name = PROGRAMS[case]
    activation = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}[name]
    leaves = numbers(count)
    traced = make_vjp(lambda *w: program(w, activation), argnum=tuple(range(count)))

    def check() -> list[float]:
        pullback, value = traced(*leaves)
        return [value, *pullback(1.0)]

    phases = {"forward": lambda _: traced(*leaves), "backward": lambda made: made[0](1.0) and None}
    return Run(phases, check, operations)


WORKLOAD = Workload(
    title="Scalar graphs",
    about="Every number is a value of its own (a 0-d Tensor; micrograd's Value; PyTorch's 0-d tensor). A perceptron "
    f"{INPUTS}–{HIDDEN}–1 over {EXAMPLES} examples, every weight a leaf, and a chain y = y·a + b of {2 * LENGTH} "
    "operations. Times per operation; gradients of all leaves were compared first.",
    cases=list(PROGRAMS),
    peers={OURS: ours, "micrograd": micrograd, "MyGrad": mygrad, "HIPS autograd": autograd, "PyTorch": pytorch},
)
