"""Plant lines and run the tests of their subjects: each in a fork of a pytest that has collected all of them.

Reads names from its input, one a line; prints for each how pytest would have ended and what failed, as JSON. By hand:
echo "softmax over the wrong axis" | python tests/meta/run_planted.py. "without softmax over ..." plants nothing.
"""

import contextlib
import gc
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from line_plants import PLANTS  # noqa: E402

SAID = 2000  # characters
WITHOUT = "without "
SPARE = ["-q", "--no-header", "--no-summary", "--tb=line", "--assert=plain", "-s", "-p", "no:cacheprovider"]
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


class Forks:
    """In place of pytest's own loop over the tests: one for each name that comes in, in a fork with that plant."""

    def __init__(self, answers):
        self.answers = answers

    def pytest_runtestloop(self, session):
        gc.freeze()  # what is there already is not looked through in every fork
        for line in sys.stdin:
            plant = next(plant for plant in PLANTS if plant.name == line.strip().removeprefix(WITHOUT))
            planted = contextlib.nullcontext if line.startswith(WITHOUT) else plant.planted
            answer = in_a_fork(lambda planted=planted, tests=plant.tests: tested(planted, tests, session))
            print(json.dumps(answer), file=self.answers, flush=True)
        return True

    def pytest_runtest_logreport(self, report):
        if report.failed:
            print(report.nodeid, report.longreprtext, sep="\n", flush=True)


def tested(planted, tests, session):
    """In the fork: the exit status of the tests, up to the first that fails."""
    items = [item for item in session.items if any(belongs(item, test) for test in tests)]
    with planted():
        for number, item in enumerate(items):
            after = items[number + 1] if number + 1 < len(items) else None
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return pytest.ExitCode.TESTS_FAILED
    return pytest.ExitCode.OK if items else pytest.ExitCode.NO_TESTS_COLLECTED


def belongs(item, test):
    """Is it that test, one of that file, or one of that test's cases?"""
    name = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
    return name == test or name.startswith((f"{test}::", f"{test}["))


def in_a_fork(work):
    with tempfile.TemporaryFile() as words:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            status = -1
            try:
                os.dup2(words.fileno(), 1), os.dup2(words.fileno(), 2)
                status = int(work())
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        words.seek(0)
        return status, words.read().decode(errors="replace")[-SAID:]


if __name__ == "__main__":
    every = sorted({str(HERE.parent / test) for plant in PLANTS for test in plant.tests})
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what pytest itself has to say
        pytest.main([*SPARE, *every], plugins=[Forks(answers)])
