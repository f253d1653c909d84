"""`python -m tinygrad_edu`: versions, what is missing, and how to get it."""

import configparser
import re
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import __main__ as about

SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"
OF_THE_PROJECT = {"test", "lint", "docs", "crosscheck", "mutants", "bench"}


def extras():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(SETUP, encoding="utf-8")
    return {name: wishes.split() for name, wishes in setup["options.extras_require"].items()}


def test_every_extra_a_user_may_want_is_told():
    assert set(about.EXTRAS) == set(extras()) - OF_THE_PROJECT


def test_an_extra_needs_what_it_names_and_what_the_extras_in_it_need(monkeypatch):
    """As the metadata of an installation would say it."""
    wishes = [f'{each}; extra == "{extra}"' for extra, names in extras().items() for each in names] + [
        "numpy>=2.2",
        'tomli; python_version < "3.11"',
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: wishes)
    assert about.needed("tensorboard") == ["safetensors", "tqdm", "matplotlib", "tensorboardX"]
    assert about.needed("train") == ["safetensors", "tqdm", "matplotlib"]
    assert about.needed("no such extra") == []


def test_what_is_there_is_told_with_its_version_and_what_is_not_with_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(
        metadata, "requires", lambda name: ['safetensors>=0.4; extra == "train"', 'onnx; extra == "onnx"']
    )
    monkeypatch.setattr(about, "version_of", {"tinygrad_edu": "9.8.7", "safetensors": "0.4.2"}.get)
    monkeypatch.setattr(about.shutil, "which", {"dot": "/a/dot"}.get)
    assert about.main() == 0
    told = capsys.readouterr().out
    assert told.startswith("tinygrad_edu 9.8.7\n") and f"NumPy {np.__version__}: " in told
    for line in (
        r"train .* safetensors 0\.4\.2",
        r"onnx .* missing onnx: pip install 'tinygrad_edu\[onnx\]'",
        r"mpi .* missing: pip install 'tinygrad_edu\[mpi\]'",
        "dot .* /a/dot",
        "mpirun .* missing: apt-get .*",
    ):
        assert re.search(f"^{line}$", told, re.M), line


@pytest.mark.parametrize("threads", ["1", None])
def test_the_number_of_blas_threads_is_told(monkeypatch, threads):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert about.blas().endswith("threads: 1" if threads else "as many as there are cores")
