"""python -m tinygrad_edu: what is installed, in which version, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

import numpy as np

# What each extra is for; those for work on the project itself are not told.
EXTRAS = {
    "train": "training a transformer: checkpoints, progress, curves",
    "render": "pictures on a machine without the dot program",
    "fast": "kernels translated by a compiler",
    "play": "the playground, a page to ask and change a model",
    "tensorboard": "event files for TensorBoard",
    "huggingface": "weights of GPT-2 and BERT",
    "onnx": "graphs for other programs",
    "mpi": "training on several processes",
    "arrays": "other libraries of arrays, for tests of them",
}
CUPY = ("cupy", "cupy-cuda13x", "cupy-cuda12x")  # one library, built for several versions of CUDA
PROGRAMS = {
    "dot": ("pictures of graphs", "apt-get install graphviz, brew install graphviz"),
    "mpirun": ("training on several processes", "apt-get install openmpi-bin"),
}


def version_of(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def needed(extra: str) -> list[str]:
    """The distributions that an extra asks for, and those of the extras that it takes in."""
    found: list[str] = []
    for wish in metadata.requires("tinygrad_edu") or []:
        wanted = re.fullmatch(r"""([\w.-]+)(?:\[([\w,.-]+)\])?.*\bextra == ["']([\w.-]+)["'].*""", wish)
        if wanted is None or wanted[3] != extra:
            continue
        if re.sub("[-_.]+", "_", wanted[1]) == "tinygrad_edu":
            found += [name for inner in (wanted[2] or "").split(",") if inner for name in needed(inner)]
        else:
            found.append(wanted[1])
    return found


def blas() -> str:
    """The library that multiplies NumPy's matrices, and how many threads it was told to use."""
    about = np.show_config(mode="dicts")
    found = about.get("Build Dependencies", {}).get("blas", {}) if isinstance(about, dict) else {}
    told = os.environ.get("OMP_NUM_THREADS") or os.environ.get("OPENBLAS_NUM_THREADS")
    threads = told or "as many as there are cores"
    return f"{found.get('name', 'BLAS')} {found.get('version', '')}".strip() + f", threads: {threads}"


def lines() -> Iterator[str]:
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield f"tinygrad_edu {version_of('tinygrad_edu') or 'from a folder, not installed'}"
    yield f"Python {platform.python_version()}, {system}"
    yield f"NumPy {np.__version__}: {blas()}"
    yield ""
    for extra, purpose in EXTRAS.items():
        versions = {name: version_of(name) for name in needed(extra)}
        missing = ", ".join(name for name, version in versions.items() if version is None)
        there = ", ".join(f"{name} {version}" for name, version in versions.items())
        if missing or not versions:
            there = f"missing{missing and ' '}{missing}: pip install 'tinygrad_edu[{extra}]'"
        yield f"{extra:<12} {purpose:<55} {there}"
    cupy = next((f"{name} {version}" for name in CUPY if (version := version_of(name)) is not None), "")
    yield f"{'cupy':<12} {'arrays on a GPU':<55} {cupy or f'missing: pip install {CUPY[1]}, or {CUPY[2]}'}"
    for program, (purpose, remedy) in PROGRAMS.items():
        yield f"{program:<12} {purpose:<55} {shutil.which(program) or f'missing: {remedy}'}"


def main() -> int:
    print("\n".join(lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
