"""The Python of the lessons as pytest items: cells and other blocks of a page in one namespace, warnings as errors.

And of the guide to hyper-parameters, which trains as they do; the other pages that run do so in `make test`.
"""

import sys
from pathlib import Path

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "lessons"), str(HERE)]

import lesson  # noqa: E402, F401  # sets the paths to by_hand and to this checkout

PAGES = ["lessons/*.md", "hyperparameters.md"]
pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=PAGES, path=str(HERE)).pytest()
