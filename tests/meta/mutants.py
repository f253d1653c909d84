"""make mutants: every mutation that mutmut makes of the rules and of the backward pass, against the tests that run it.

mutmut makes the mutants. Its own runner starts a fresh pytest for each, and of the tables of rules (lambdas at the top
of a module) it would run every test; here each mutant is a fork of one warm process, and meets the tests that coverage
saw on its line, the shortest first. Where one line was only run while its module was imported, all tests stand in.
"""

import argparse
import ast
import json
import os
import random
import signal
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "build/mutants"  # coverage, durations, and what the last fork said
SUBJECTS = [*sorted((ROOT / "tinygrad_edu/rules").glob("*.py")), ROOT / "tinygrad_edu/backward.py"]
# What runs no rule, or what takes long and runs only rules that others run.
LEFT_OUT = ("meta", "test_cli.py", "test_cli_troubles.py", "test_train.py", "test_examples.py", "test_plan.py",
            "test_pages_that_run.py", "test_house.py", "test_checkpoint.py", "test_testing_shrinking.py",
            "test_train_answers.py")  # fmt: skip
# pytest's exit statuses (the second and third: a test module that cannot be read), and ours.
FAILED, INTERRUPTED, UNREAD, BROKEN, LOOPED, FAULTY = 1, 2, 4, 90, 124, 91
SECONDS = 240  # for one mutant; the slowest that lives takes half of it. One that takes longer loops
QUIET = ["-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--assert=plain"]


class Mutant(NamedTuple):
    file: str
    line: int
    source: str
    was: str
    now: str

    def __str__(self):
        return f"{self.file}:{self.line}\n    - {self.was.strip()}\n    + {self.now.strip()}"


def all_mutants(sample, seed):
    """Those that mean something else: words, docstrings and annotations changed alone are left out."""
    from mutmut import Context, list_mutations, mutate

    places = [
        (path, each) for path in SUBJECTS for each in list_mutations(Context(path.read_text(), filename=str(path)))
    ]
    random.Random(seed).shuffle(places)
    found = []
    for path, identity in places:
        right = path.read_text()
        source, _ = mutate(Context(right, filename=str(path), mutation_id=identity))
        try:
            if meaning(source) == meaning(right):
                continue
        except SyntaxError:
            continue
        pairs = zip(right.split("\n"), source.split("\n"), strict=False)
        line, (was, now) = next((line, pair) for line, pair in enumerate(pairs, start=1) if pair[0] != pair[1])
        found.append(Mutant(str(path.relative_to(ROOT)), line, source, was, now))
        if len(found) == sample:
            break
    return found


def meaning(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (" " in node.value or not node.value):
            node.value = "words"
        elif isinstance(node, ast.JoinedStr):
            node.values = []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = []
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant("any")
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("__all__", "Array", "Axis"):
            node.value = ast.Constant("names")
    return ast.dump(tree)


class Planted(MetaPathFinder, Loader):
    """The module of that file is the mutant's source, however it is imported."""

    def __init__(self, mutant):
        self.name = mutant.file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.path, self.source = str(ROOT / mutant.file), mutant.source

    def find_spec(self, name, path=None, target=None):
        if name != self.name:
            return None
        spec = ModuleSpec(name, self, origin=self.path, is_package=self.path.endswith("__init__.py"))
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(os.path.dirname(self.path))
        return spec

    def exec_module(self, module):
        exec(compile(self.source, self.path, "exec"), module.__dict__)


class Durations:
    def __init__(self):
        self.seconds = {}

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def in_a_fork(work, seconds=SECONDS):
    """The exit status of work() in a child; LOOPED where it took longer than it may."""
    child = os.fork()
    if child == 0:
        os.setsid()
        words = os.open(STORE / "last", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(words, 1), os.dup2(words, 2)
        status = FAULTY
        try:
            status = int(work())
        finally:
            os._exit(status)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return LOOPED


def covered():
    """For each file and line the tests that run it, and all tests, the shortest first; measured once, and kept."""
    import coverage
    import pytest

    def measured():
        watch = Durations()
        os.environ["COVERAGE_FILE"] = str(STORE / "coverage")
        left = [f"--ignore=tests/{name}" for name in LEFT_OUT]
        wanted = ["--cov=tinygrad_edu", "--cov-context=test", "--cov-report="]
        failed = pytest.main([*QUIET, *left, *wanted, "-n", "auto", "tests"], plugins=[watch])
        (STORE / "durations.json").write_text(json.dumps(watch.seconds))
        return failed

    if not (STORE / "durations.json").exists():
        STORE.mkdir(parents=True, exist_ok=True)
        if in_a_fork(measured, seconds=3600):  # the parent must not import what is mutated
            sys.exit("the tests fail before anything is planted")
    seconds = json.loads((STORE / "durations.json").read_text())
    data = coverage.CoverageData(basename=str(STORE / "coverage"))
    data.read()
    lines = {}
    for path in SUBJECTS:
        found = lines[str(path.relative_to(ROOT))] = {}
        for line, contexts in data.contexts_by_lineno(str(path)).items():
            tests = {context.removesuffix("|run") for context in contexts}
            found[line] = sorted(tests & seconds.keys(), key=seconds.get)
    return lines, sorted(seconds, key=seconds.get)


def spread(tests):
    """The same tests, each function's first case before any function's second: neighbours fail together."""
    seen = {}
    rounds = []
    for test in tests:
        name = test.partition("[")[0]
        seen[name] = seen.get(name, 0) + 1
        rounds.append(seen[name])
    return [test for _, test in sorted(zip(rounds, tests, strict=True), key=lambda pair: pair[0])]


def judged(mutant, lines, every):
    import pytest

    tests = spread(lines[mutant.file].get(mutant.line) or every)

    def run():
        sys.meta_path.insert(0, Planted(mutant))
        try:
            import tinygrad_edu  # noqa: F401 - before pytest puts its own finder in front
        except Exception:
            return BROKEN
        return pytest.main([*QUIET, "-x", "-p", "no:xdist", *tests])

    return in_a_fork(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=0, help="so many drawn mutants; 0 is all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", default="0/1", help="k/n: every n-th of them from the k-th, for n processes")
    parser.add_argument("--list", action="store_true", help="only list them")
    arguments = parser.parse_args()
    mutants = all_mutants(arguments.sample, arguments.seed)
    if arguments.list:
        print(*mutants, f"{len(mutants)} mutants", sep="\n")
        return
    lines, every = covered()
    first, step = map(int, arguments.part.split("/"))
    import hypothesis
    import numpy  # noqa: F401 - warm, so that no fork reads it again
    import scipy.special  # noqa: F401

    hypothesis.settings.default.deadline  # noqa: B018 - the forks find the defaults made
    assert not any(name.startswith("tinygrad_edu") for name in sys.modules), "a fork would find the right module"
    nothing = Mutant(mutants[0].file, 0, (ROOT / mutants[0].file).read_text(), "", "")
    if judged(nothing, {nothing.file: {0: every[:500]}}, every):
        sys.exit(f"the tests fail with nothing planted: see {STORE}/last")
    survived, count = [], 0
    for mutant in mutants[first::step]:
        start = time.monotonic()
        status = judged(mutant, lines, every)
        count += 1
        if status == 0:
            survived.append(mutant)
            print(f"SURVIVED {mutant}")
        elif status not in (FAILED, INTERRUPTED, UNREAD, BROKEN, LOOPED):
            sys.exit(f"exit status {status} says nothing of {mutant}: see {STORE}/last")
        print(f"{count} {status} {time.monotonic() - start:.1f} s {mutant.file}:{mutant.line}", flush=True)
    print(f"{count} mutants, {count - len(survived)} killed ({1 - len(survived) / max(count, 1):.1%})")


if __name__ == "__main__":
    os.environ["HYPOTHESIS_PROFILE"] = "planted"
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT / "tests"))
    main()
