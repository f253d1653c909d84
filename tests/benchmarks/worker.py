"""One peer, one workload, one process: builds cases and times rounds when asked, a line of JSON each way."""

import importlib
import json
import os
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.workload import Run, Skipped


def timed(run: Run, seconds: float) -> tuple[dict[str, float], int]:
    """Iterate for about `seconds`, at least once: CPU seconds of each phase, the wall clock's, and how many times."""
    spent = dict.fromkeys(run.phases, 0.0)
    phases, clock = list(run.phases.items()), run.clock
    iterations, wall = 0, 0.0
    end = time.perf_counter() + seconds
    while not iterations or time.perf_counter() < end:
        state = None
        start = time.perf_counter()
        for name, phase in phases:
            before = clock()
            state = phase(state)
            spent[name] += clock() - before
        wall += time.perf_counter() - start
        state = None
        run.reset()
        iterations += 1
    return {**spent, "wall": wall}, iterations


def answer(builder: Any, runs: dict[str, Run], request: dict[str, Any]) -> dict[str, Any]:
    case = request["case"]
    if request["do"] == "prepare":
        runs.clear()
        try:
            run = runs[case] = builder(case)
        except Skipped as reason:
            return {"skipped": str(reason)}
        except ImportError as error:
            return {"skipped": f"not installed ({error.name or error})"}
        check = [float(number) for number in run.check()]
        run.reset()
        if not request["long"]:
            timed(run, request["seconds"])
        return {"check": check}
    run = runs[case]
    if request["do"] == "finish":
        # Linux counts kilobytes, macOS bytes.
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        processes = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
        peak = max(resource.getrusage(process).ru_maxrss for process in processes)
        return {"extras": run.extras(), "peak": peak / unit}
    spent, iterations = timed(run, request["seconds"])
    return {name: value / iterations / run.operations for name, value in spent.items()}


def main() -> None:
    name, peer = sys.argv[1:]
    # What a peer prints must not mix with the answers: they go out by another door.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    builder = importlib.import_module(f"benchmarks.workloads.{name}").WORKLOAD.peers[peer]
    runs: dict[str, Run] = {}
    for line in sys.stdin:
        print(json.dumps(answer(builder, runs, json.loads(line))), file=out, flush=True)


def version_of(peer: str) -> str:
    """A peer's version, by the first word of its name; "" if it is not installed."""
    packages = {"NumPy": "numpy", "PyTorch": "torch", "MyGrad": "mygrad", "JAX": "jax", "HIPS": "autograd"}
    package = packages.get(peer.split()[0], peer)
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
