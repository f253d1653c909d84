"""Ten thousand training steps with the cyclic garbage collector off: what a graph leaves behind would pile up."""

import gc
import resource
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Run, Skipped, Workload

CASES = {"500 steps": 500, "10,000 steps": 10_000}


def resident() -> float:
    """Megabytes of this process that lie in memory now."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / (1 << 20)
    except OSError:
        raise Skipped("this system does not say how much memory a process holds") from None


def data() -> tuple[Any, ...]:
    draw = np.random.default_rng(0)
    return tuple(draw.standard_normal(shape) for shape in ((16, 2), (16, 1), (2, 8), (8, 1)))


def training(case: str, step: Callable[[], Any]) -> Run:
    """step: one step of training, returning its loss."""
    grown = []

    def steps(_: Any) -> None:
        gc.disable()
        try:
            before = resident()
            for _ in range(CASES[case]):
                step()
            grown.append(resident() - before)
        finally:
            gc.enable()
            gc.collect()

    def check() -> list[float]:
        return [float(step()) for _ in range(100)]

    return Run({"step": steps}, check, CASES[case], extras=lambda: {"MB grown": f"{max(grown):.1f}"})


def ours(case: str) -> Run:
    from tinygrad_edu import Tensor, optim

    x, y, *weights = data()
    first, second = (Tensor(w, requires_grad=True) for w in weights)
    optimizer = optim.SGD([first, second], lr=0.01)

    def step() -> float:
        error = np.tanh(x @ first) @ second - y
        loss = np.mean(error * error)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return training(case, step)


def pytorch(case: str) -> Run:
    import torch

    torch.set_num_threads(1)
    x, y, first, second = (torch.tensor(array) for array in data())
    first.requires_grad, second.requires_grad = True, True
    optimizer = torch.optim.SGD([first, second], lr=0.01)

    def step() -> float:
        error = torch.tanh(x @ first) @ second - y
        loss = torch.mean(error * error)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return training(case, step)


def mygrad(case: str) -> Run:
    import mygrad

    x, y, *weights = data()
    first, second = (mygrad.tensor(w) for w in weights)

    def step() -> float:
        error = mygrad.tanh(x @ first) @ second - y
        loss = mygrad.mean(error * error)
        loss.backward()
        for w in (first, second):
            w.data[...] -= 0.01 * w.grad
            w.null_grad()
        return loss.item()

    return training(case, step)


def autograd(case: str) -> Run:
    import autograd.numpy as anp
    from autograd import value_and_grad

    x, y, *weights = data()

    def loss_of(weights: Any) -> Any:
        error = anp.tanh(x @ weights[0]) @ weights[1] - y
        return anp.mean(error * error)

    both = value_and_grad(loss_of)

    def step() -> float:
        loss, gradients = both(weights)
        weights[:] = [w - 0.01 * g for w, g in zip(weights, gradients, strict=True)]
        return loss

    return training(case, step)


WORKLOAD = Workload(
    title="Memory of training",
    about="Steps of a tiny network with the cyclic garbage collector off (16 examples, 2–8–1, SGD): what reference "
    "counting does not free piles up. The last column is the growth of the process, in megabytes, of the worst round.",
    cases=list(CASES)[1:],
    quick=list(CASES)[:1],
    peers={OURS: ours, "MyGrad": mygrad, "HIPS autograd": autograd, "PyTorch": pytorch},
    long=True,
)
