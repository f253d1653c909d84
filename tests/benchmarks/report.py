"""Results as Markdown: what the terminal prints and docs/benchmarks.md holds."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from math import exp, log
from pathlib import Path
from statistics import mean

from benchmarks.rounds import Result
from benchmarks.worker import version_of
from benchmarks.workload import OURS, UNITS, Workload

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def number(value: float) -> str:
    """Three digits, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned, so that it reads as well in a terminal."""
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (header, *rows)]
    rule = ["-" * (width - 1) + (":" if k else "-") for k, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))


def section(workload: Workload, results: Sequence[Result]) -> str:
    body = matrix(workload, results) if workload.matrix else listing(workload, results)
    return "\n\n".join([f"## {workload.title}", workload.about, *body, *skipped(results)])


def listing(workload: Workload, results: Sequence[Result]) -> Iterator[str]:
    """A row for each case and peer, with its phases."""
    scale = UNITS[workload.unit]
    done = [result for result in results if result.rounds]
    phases = list(dict.fromkeys(phase for result in done for phase in result.phases()))
    extras = list(dict.fromkeys(name for result in done for name in result.extras or ()))
    rows = []
    for result in done:
        ours = next((r for r in done if r.case == result.case and r.peer == OURS), result)
        split = [number(result.median(p) * scale) if p in result.phases() else "" for p in phases]
        rows.append([
            result.case, result.peer, *(split if len(phases) > 1 else ()),
            f"{number(result.median() * scale)} ({number(min(result.totals()) * scale)})",
            number(result.median("wall") * scale), f"{result.median() / ours.median():.2f}", f"{result.peak:.0f}",
            *([f"{result.share:.0%}"] if workload.work else ()),
            *[(result.extras or {}).get(name, "") for name in extras],
        ])  # fmt: skip
    split = phases if len(phases) > 1 else []
    whole = f"{workload.unit}, median (min)"
    share = ["of the rate of products"] if workload.work else []
    yield table(["case", "", *split, whole, "by the clock", "÷ ours", "peak MB", *share, *extras], rows)


def matrix(workload: Workload, results: Sequence[Result]) -> Iterator[str]:
    """Cases down, peers across; the last column: the best rival's time divided by ours."""
    scale = UNITS[workload.unit]
    done = {(result.case, result.peer): result for result in results if result.rounds}
    peers = [peer for peer in workload.peers if any(peer == other for _, other in done)]
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    rows, best = [], []
    for case in dict.fromkeys(case for case, _ in done):
        ours = done[case, OURS].median()
        medians = {peer: done[case, peer].median() for peer in peers if (case, peer) in done}
        for peer, value in medians.items():
            ratios[peer].append(value / ours)
        rival = min((medians[peer] for peer in workload.rivals if peer in medians), default=0.0)
        best += [rival / ours] if rival else []
        split = " + ".join(number(done[case, OURS].median(phase) * scale) for phase in done[case, OURS].phases())
        rows.append([
            case, split, *[number(medians[peer] * scale) if peer in medians else "" for peer in peers],
            f"{rival / ours:.2f}" if rival else "",
        ])  # fmt: skip
    means = [f"{geometric(ratios[peer]):.2f}" for peer in peers]
    rows.append(["÷ ours, geometric mean", "", *means, f"{geometric(best):.2f}" if best else ""])
    rows.append(["peak MB", "", *[f"{max(r.peak for r in results if r.peer == peer):.0f}" for peer in peers], ""])
    split = " + ".join(next(iter(done.values())).phases())
    yield table([workload.unit, f"ours: {split}", *peers, f"best of {', '.join(workload.rivals)} ÷ ours"], rows)


def geometric(values: Sequence[float]) -> float:
    return exp(mean(map(log, values)))


def skipped(results: Sequence[Result]) -> Iterator[str]:
    """Who did not take part, and why: one line a reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.skipped:
            reasons.setdefault((result.peer, result.skipped), []).append(result.case)
    everything = len({result.case for result in results})
    for (peer, reason), cases in reasons.items():
        yield f"Not measured: {peer}{'' if len(cases) == everything else ' in ' + ', '.join(cases)}: {reason}."


def machine(peers: Sequence[str], rounds: int, seconds: float) -> str:
    """What was measured on, with which versions, and how."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    others = [peer for peer in ("NumPy", "numba", *peers) if not peer.startswith(OURS)]
    found = {peer.split()[0]: version_of(peer) or "absent" for peer in others}
    versions = ", ".join(f"{peer} {version}" for peer, version in found.items())
    return (
        f"{name}, {os.cpu_count()} cores; {platform.system()}, Python {platform.python_version()}; {versions}. "
        f"One thread each, unless it says otherwise; {rounds} rounds of {seconds:g} s in turn. Times are CPU times, "
        "which the machine's other work disturbs least: the median over rounds, the least in brackets; `÷ ours` "
        "compares medians."
    )


def write(page: Path, text: str) -> None:
    """Replace what stands between the marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    print(f"wrote {page}", file=sys.stderr)
