"""The Python of the lessons as pytest items: cells and other blocks of a page in one namespace, warnings as errors."""

import sys
from pathlib import Path

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "lessons"), str(HERE)]

import lesson  # noqa: E402, F401  # sets the paths to by_hand and to this checkout

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["lessons/*.md"], path=str(HERE)).pytest()
