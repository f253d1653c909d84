"""Plant lines and run the tests of their subjects: each in a fork of this process, in which all of them are imported.

Reads names from its input, one a line; prints for each how pytest ended and the end of what it said, as JSON. By hand:
echo "softmax over the wrong axis" | python tests/meta/run_planted.py
"""

import importlib
import json
import os
import runpy
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from line_plants import PLANTS  # noqa: E402

SAID = 2000  # characters
# What pytest need not do here: half a second a plant went into plugins, and into quoting the test that fails.
SPARE = ["-x", "-q", "--no-header", "--tb=line", "--assert=plain", "-p", "no:cacheprovider"]
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


def warm():
    """Import what the forks will run, under the settings that they will run it with."""
    runpy.run_path(str(HERE.parent / "conftest.py"))
    for name in sorted({Path(test.partition("::")[0]).stem for plant in PLANTS for test in plant.tests}):
        importlib.import_module(name)


def tested(plant):
    """In the fork: the exit status of the tests of its subject."""
    files = [str(HERE.parent / name) for name in plant.tests]
    with plant.planted():
        return pytest.main([*SPARE, *files])


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
    warm()
    for line in sys.stdin:
        chosen = next(plant for plant in PLANTS if plant.name == line.strip())
        print(json.dumps(in_a_fork(lambda plant=chosen: tested(plant))), flush=True)
