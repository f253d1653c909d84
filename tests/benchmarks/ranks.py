"""Several processes on this machine: what their messages cost, what a step gains, and how soon a death is noticed.

    PYTHONPATH=tests python -m benchmarks.ranks network      # latency and bandwidth, the constants of docs/parallel.md
    PYTHONPATH=tests python -m benchmarks.ranks steps        # seconds a step, on 1 and 2 processes in turn
    PYTHONPATH=tests python -m benchmarks.ranks kill 20      # a rank is killed 20 times
"""

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from transformer import Transformer, TransformerConfig
from transformer.checkpoint import load_tensors
from transformer.communicator import fingerprint
from transformer.loop import Loop
from transformer.mpi import world
from transformer.runs import states
from transformer.summation import Tree, summed
from transformer.tasks import TextTask, make_splits
from transformer.train import TrainConfig

LESSONS = TrainConfig(examples=10**6)
TEXT = Path(__file__).parents[2] / "CHANGELOG.md"


def large():
    """A decoder of 4.8 M parameters over characters: 6 blocks, width 256."""
    task = TextTask(file=str(TEXT), length=128)
    size = {"embed_dim": 256, "num_heads": 8, "num_layers": 6, "ffn_dim": 1024, "max_seq_len": 256}
    model = TransformerConfig(len(task.vocabulary), causal=True, pooling=None, norm="pre", **size)
    return TrainConfig(model, task, batch_size=16, examples=10**5)


def mpirun(size, *arguments, **options):
    crowded = ["--oversubscribe", *["--allow-run-as-root"] * (os.geteuid() == 0)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        ["mpirun", *crowded, "-n", str(size), sys.executable, "-m", *map(str, arguments)], env=environment, **options
    )


def times(work, repeats):
    """Seconds of each call; all ranks make them together."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found


# Network ------------------------------------------------------------------------------------------


def network(comm):
    """As rank 0 sees it: the median, and the least, which the machine's other work disturbs least."""

    def told(name, work, repeats=30):
        found = times(work, repeats)
        if comm.rank == 0:
            print(f"{name}: {statistics.median(found) * 1e6:.0f} µs, at least {min(found) * 1e6:.0f} µs", flush=True)

    told("8 bytes to each other", lambda: comm.gather(np.zeros(1)), 1000)
    for exponent in (12, 16, 20, 24):
        out, into = ([np.zeros(1 << exponent, np.uint8) for _ in range(comm.size)] for _ in range(2))
        told(f"{1 << exponent} bytes to each other", lambda out=out, into=into: comm.exchange(out, into))
    for count in (102_036, 4_800_000):
        flat, total = np.ones(count, np.float32), np.empty(count, np.float32)
        shares = [range(rank, rank + 1) for rank in range(comm.size)]

        def all_reduce(flat=flat, total=total, shares=shares):
            tree = Tree()
            tree.add(comm.rank, 1, flat)
            summed(tree, shares, total, comm)

        told(f"{count} gradients summed", all_reduce)
        told(f"the fingerprint of {count} weights", lambda flat=flat: fingerprint([flat]))
    end(comm)


def end(comm):
    if comm.rank:
        comm.words_of_first()
    comm.close(0)


# Steps --------------------------------------------------------------------------------------------


def steps(comm, which, pieces, count):
    """Seconds a step: by the clock, and of the busiest rank's core, which is the time of an idle machine or above it.
    """
    config = LESSONS if which == "lessons" else large()
    config = TrainConfig(**{**vars(config), "deterministic": int(pieces)})
    loop = Loop(Transformer(config.model), make_splits(config.task, 0, config.decoder, config.counted), config, comm)
    batches = loop.taught().batches(config.batch_size, loop.taught().sample(10**4, np.random.default_rng(0)))
    loop.step(next(batches))
    before = time.process_time()
    found = times(lambda: loop.step(next(batches)), int(count))
    core = comm.gather(np.array([(time.process_time() - before) / int(count)])).max()
    if comm.rank == 0:
        print(statistics.median(found), core)
    end(comm)


def compare_steps(rounds=5):
    """1 and 2 processes in turn, so that a busy moment is nobody's alone."""
    for which, count in (("lessons", 100), ("large", 3)):
        found = {}
        for _ in range(rounds):
            for size, pieces in ((1, 0), (2, 0), (1, 2), (2, 2), (1, 8), (2, 8)):
                with mpirun(size, "benchmarks.ranks", "worker", which, pieces, count, stdout=subprocess.PIPE) as one:
                    found.setdefault((size, pieces), []).append([float(each) for each in one.stdout.read().split()])
        for (size, pieces), seconds in found.items():
            name = f"deterministic {pieces}" if pieces else "as it is"
            clock, core = (1e3 * statistics.median(each) for each in zip(*seconds, strict=True))
            print(f"{which}, {size} processes, {name}: {clock:.1f} ms, of a core {core:.1f} ms", flush=True)


# Deaths -------------------------------------------------------------------------------------------


def process_of(parent, rank):
    """The process number of a rank."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            about = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            environment = Path(f"/proc/{name}/environ").read_text().split("\0")
        except OSError:
            continue
        if int(about[1]) == parent and f"OMPI_COMM_WORLD_RANK={rank}" in environment:
            return int(name)
    raise AssertionError(f"no rank {rank}")


def kill(count, number=signal.SIGKILL, size=2):
    """Kill a rank after a random moment of training, `count` times; the run is then whole, and is gone on with."""
    folder, found = Path(tempfile.mkdtemp()), []
    draw = random.Random(0)
    for trial in range(count):
        go_on = ["--resume"] if trial else ["--epochs", 10**6, "--examples", 100, "--deterministic", "--dropout", 0.1]
        run = ["transformer", "train", "--runs", folder, "--run", "mine", *go_on]
        with mpirun(size, *run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as together:
            next(together.stdout)  # the first epoch
            time.sleep(draw.random())
            rank = trial % size
            processes = [process_of(together.pid, each) for each in range(size)]
            os.kill(processes[rank], number)
            started = time.perf_counter()
            while any(alive(each) for each in processes):
                time.sleep(0.01)
            found.append(time.perf_counter() - started)
            together.stdout.read()
            err = together.stderr.read()
        said = [line for line in err.splitlines() if f"rank {rank}" in line]
        done = len(load_tensors(states(folder / "mine")[-1])[1]["epochs"])
        print(f"{trial + 1}: rank {rank} gone, all after {found[-1]:.2f} s; {done} epochs saved; {said}", flush=True)
    print(f"median {statistics.median(found):.2f} s, longest {max(found):.2f} s, of {count}")
    shutil.rmtree(folder)


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["network"]:
            mpirun(2, "benchmarks.ranks", "worker").wait()
        case ["steps", *rounds]:
            compare_steps(*map(int, rounds))
        case ["kill", count, *options]:
            kill(int(count), *[getattr(signal, each) if each.startswith("SIG") else int(each) for each in options])
        case ["worker"]:
            network(world())
        case ["worker", which, pieces, count]:
            steps(world(), which, pieces, count)
        case _:
            sys.exit(__doc__)
