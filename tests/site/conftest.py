"""Tests of the built site: `make docs` runs them after it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "docs" / "lessons"), str(ROOT / "tests")]


@pytest.fixture(scope="session")
def site():
    import archive

    assert (archive.SITE / "index.html").exists(), "there is no site yet: `make docs` builds it, and runs these tests"
    return archive.SITE
