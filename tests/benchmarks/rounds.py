"""Rounds: ours, peer A, peer B, ours, ...: whatever else the machine does meets all of them alike."""

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.workload import OURS, Workload

HERE = Path(__file__).resolve().parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# One thread each, and float64 where the others have it.
ENVIRONMENT = {
    **dict.fromkeys(THREADS, "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_ENABLE_X64": "1",
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE.parent}",
}


class PeerFailed(RuntimeError):
    """A worker died: its last words are on stderr."""


class Peer:
    """A worker process that answers requests; idle in between."""

    def __init__(self, name: str, workload: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", workload, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip

    def ask(self, what: str, case: str, **more: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, "case": case, **more}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerFailed(f"{self.name} ended in the case {case!r} with exit code {self.process.wait()}")
        return json.loads(line)  # type: ignore[no-any-return]

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@dataclass
class Result:
    """One case with one peer: CPU seconds by phase in each round, or the reason why there are none."""

    case: str
    peer: str
    skipped: str = ""
    rounds: list[dict[str, float]] | None = None
    peak: float = 0.0  # megabytes of the whole process, up to this case
    extras: dict[str, str] | None = None
    share: float = 0.0  # of the rate of matrix products alone, by the median round

    def totals(self) -> list[float]:
        """CPU seconds of all phases together, one number a round."""
        return [sum(value for name, value in one.items() if name != "wall") for one in self.rounds or ()]

    def median(self, phase: str | None = None) -> float:
        return median(self.totals() if phase is None else [one[phase] for one in self.rounds or ()])

    def phases(self) -> list[str]:
        return [name for name in (self.rounds or [{}])[0] if name != "wall"]


def measure(name: str, workload: Workload, rounds: int, seconds: float, quick: bool) -> list[Result]:
    """All cases of a workload: built, compared with ours, then timed in turn.

    seconds: of one round. Raises AssertionError when a peer computes something else than we do, PeerFailed when
    one dies.
    """
    peers = [Peer(peer, name) for peer in workload.peers]
    results: list[Result] = []
    try:
        for case in workload.in_turn(quick):
            results += one_case(workload, peers, case, max(2, rounds // 3) if workload.long else rounds, seconds)
        if workload.work:
            rate = rate_of_products()
            for result in results:
                result.share = workload.work / result.median() / rate if result.rounds else 0.0
    finally:
        for peer in peers:
            peer.close()
    return results


def rate_of_products() -> float:
    """Floating-point operations a second of one thread in matrix products, measured in a process of its own."""
    asked = [sys.executable, "-m", "benchmarks.rate"]
    return float(subprocess.run(asked, capture_output=True, check=True, env={**os.environ, **ENVIRONMENT}).stdout)


def one_case(workload: Workload, peers: list[Peer], case: str, rounds: int, seconds: float) -> list[Result]:
    taking_part: dict[str, tuple[Peer, Result]] = {}
    results = [Result(case, peer.name) for peer in peers]
    ours: list[float] = []
    for peer, result in zip(peers, results, strict=True):
        reply = peer.ask("prepare", case, seconds=seconds, long=workload.long)
        result.skipped = reply.get("skipped", "")
        if result.skipped:
            continue
        if peer.name == OURS:
            ours = reply["check"]
        same = len(ours) == len(reply["check"]) and all(
            math.isclose(a, b, rel_tol=workload.agree, abs_tol=1e-12) for a, b in zip(ours, reply["check"], strict=True)
        )
        assert same, f"{case}: {peer.name} computes {reply['check']}, {OURS} {ours}"
        taking_part[peer.name] = (peer, result)
        result.rounds = []
    for _ in range(rounds):
        for peer, result in taking_part.values():
            assert result.rounds is not None
            result.rounds.append(peer.ask("round", case, seconds=0.0 if workload.long else seconds))
    for peer, result in taking_part.values():
        reply = peer.ask("finish", case)
        result.peak, result.extras = reply["peak"], reply["extras"]
    print(f"  {case}", file=sys.stderr, flush=True)
    return results
