"""Deep graphs: long chains, whose time must grow linearly, and thirty doublings, which have 2³⁰ paths."""

from typing import Any

from benchmarks.workload import OURS, Run, Workload

LENGTHS = {"10⁴ operations": 10**4, "10⁵ operations": 10**5, "10⁶ operations": 10**6}
DOUBLINGS = "30 doublings"


def program(case: str, x: Any) -> Any:
    y = x
    if case == DOUBLINGS:
        for _ in range(30):
            y = y + y
        return y
    for _ in range(LENGTHS[case] // 2):
        y = y * 0.999 + 0.001
    return y


def imperative(case: str, x: Any, reset: Any) -> Run:
    def check() -> list[float]:
        y = program(case, x)
        y.backward()
        return [y.item(), x.grad.item()]

    phases = {"forward": lambda _: program(case, x), "backward": lambda y: y.backward()}
    return Run(phases, check, LENGTHS.get(case, 30), lambda: reset(x))


def ours(case: str) -> Run:
    from tinygrad_edu import Tensor

    return imperative(case, Tensor(1.5, requires_grad=True), Tensor.zero_grad)


def pytorch(case: str) -> Run:
    import torch

    def reset(x: Any) -> None:
        x.grad = None

    torch.set_num_threads(1)
    return imperative(case, torch.tensor(1.5, dtype=torch.float64, requires_grad=True), reset)


WORKLOAD = Workload(
    title="Deep graphs",
    about="y = y · 0.999 + 0.001 over and over on one scalar, and y = y + y thirty times. Microseconds per operation: "
    "linear growth shows as the same number in each row. Backward includes letting the graph go. Engines that recurse "
    "or visit paths have no row.",
    cases=[DOUBLINGS, *LENGTHS],
    quick=[DOUBLINGS, *list(LENGTHS)[:2]],
    peers={OURS: ours, "PyTorch": pytorch},
    long=True,
)
