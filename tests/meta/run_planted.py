"""python tests/meta/run_planted.py NAME: plant that line, run the tests of its subject, exit as pytest does."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from line_plants import PLANTS  # noqa: E402

if __name__ == "__main__":
    chosen = next(plant for plant in PLANTS if plant.name == sys.argv[1])
    files = [str(HERE.parent / name) for name in chosen.tests]
    with chosen.planted():
        sys.exit(pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly", *files]))
