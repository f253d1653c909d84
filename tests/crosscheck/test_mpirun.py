"""What only real processes can show: mpirun starts them, and one that dies ends the others. Skipped without MPI."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
from benchmarks.ranks import process_of

from transformer.checkpoint import load_tensors
from transformer.cli import main
from transformer.runs import states

pytestmark = pytest.mark.skipif(
    shutil.which("mpirun") is None or importlib.util.find_spec("mpi4py") is None, reason="no mpirun, or no mpi4py, here"
)

SIZES = "--embed-dim 8 --num-heads 2 --num-layers 1 --ffn-dim 8 --arguments 2 --upper 4 --batch-size 20".split()


def mpirun(size, *arguments):
    """Started, with the arguments for the program."""
    crowded = ["--oversubscribe", *["--allow-run-as-root"] * (os.geteuid() == 0)]
    command = ["mpirun", *crowded, "-n", str(size), sys.executable, "-m", "transformer", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files_of(folder):
    """Models, and all that the next step would depend on."""
    tensors, _ = load_tensors(states(folder)[-1])
    models = [(folder / f"{name}.safetensors").read_bytes() for name in ("best", "last", "history")]
    return models, {name: array.tobytes() for name, array in tensors.items()}, (folder / "config.json").read_bytes()


def test_four_processes_write_what_one_writes(tmp_path):
    run = ["train", "--runs", tmp_path, *SIZES, "--examples", 80, "--epochs", 2, "--deterministic", "--dropout", 0.1]
    assert main([*map(str, run), "--run", "alone"]) == 0
    with mpirun(4, *run, "--run", "together") as together:
        out, err = together.communicate()
    assert (together.returncode, err) == (0, "") and out.count("epoch ") == 2 and "unseen inputs right" in out
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")


def test_a_process_that_is_killed_ends_the_others_and_the_run_goes_on_without_it(tmp_path):
    run = ["--runs", tmp_path, "--run", "mine"]
    with mpirun(2, "train", *run, *SIZES, "--examples", 60, "--deterministic", 2, "--epochs", 10**6) as together:
        assert any(line.startswith("epoch 2/") for line in together.stdout)
        os.kill(process_of(together.pid, 1), signal.SIGKILL)
        _, err = together.communicate()
    assert together.returncode != 0
    assert re.search("rank 1 .*(silent for|on signal 9)", err)
    with mpirun(1, "train", *map(str, run), "--resume") as alone:
        goes_on = next(line for line in alone.stdout if line.startswith("epoch "))
        alone.send_signal(signal.SIGTERM)
        alone.communicate()
    assert int(re.match(r"epoch (\d+)/", goes_on)[1]) >= 2
