"""python -m benchmarks [--quick] [WORKLOAD ...]: measure, print the tables, and write them into the docs."""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

from benchmarks import report, workloads
from benchmarks.rounds import measure
from benchmarks.workload import Workload

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def found() -> dict[str, Workload]:
    """Every file in workloads/, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(workloads.__path__))
    return {name: importlib.import_module(f"benchmarks.workloads.{name}").WORKLOAD for name in names}


def main() -> int:
    known = found()
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(known)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="two minutes: fewer rounds, shorter cases, no page")
    parser.add_argument("--rounds", type=int, help="how often each peer has its turn")
    parser.add_argument("--seconds", type=float, help="of one round of one peer")
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(known)
    if unknown:
        parser.error(f"no workload {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    rounds = arguments.rounds or (3 if arguments.quick else 9)
    seconds = arguments.seconds or (0.03 if arguments.quick else 0.2)
    chosen = {name: known[name] for name in arguments.workloads or known if known[name].in_turn(arguments.quick)}
    peers = dict.fromkeys(peer for workload in chosen.values() for peer in workload.peers)
    text = [report.machine(list(peers), rounds, seconds)]
    print(text[0], flush=True)
    for name, workload in chosen.items():
        print(f"\n{workload.title}", file=sys.stderr)
        text.append(report.section(workload, measure(name, workload, rounds, seconds, arguments.quick)))
        print(f"\n{text[-1]}", flush=True)
    if not arguments.quick and not arguments.workloads:
        report.write(PAGE, "\n\n".join(text))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
