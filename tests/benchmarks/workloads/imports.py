"""Imports: what a program waits for before its first line, in a Python process of its own."""

import importlib.util
import os
import resource
import subprocess
import sys
from collections.abc import Callable

from benchmarks.workload import OURS, Run, Workload

PACKAGES = {
    OURS: "tinygrad_edu", "NumPy": "numpy", "MyGrad": "mygrad", "HIPS autograd": "autograd.numpy", "JAX": "jax",
    "PyTorch": "torch",
}  # fmt: skip
# Compiled files are read, as in a second run, and written where nothing else looks.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def start(package: str) -> Callable[[str], Run]:
    """A Python process that imports the package and ends."""

    def build(case: str) -> Run:
        if importlib.util.find_spec(package.partition(".")[0]) is None:
            raise ImportError(name=package)
        call = [sys.executable, "-c", f"import {package}"]

        def run(_: object = None) -> None:
            subprocess.run(call, check=True, env=ENVIRONMENT)

        return Run({"start": run}, lambda: [run() or 0.0], clock=of_children)

    return build


WORKLOAD = Workload(
    title="Imports",
    about="A Python process that imports the package and ends, its files compiled before; that of NumPy alone is part "
    "of most others.",
    cases=["import"],
    quick=(),
    peers={peer: start(package) for peer, package in PACKAGES.items()},
    unit="ms",
)
