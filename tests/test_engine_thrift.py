"""What the engine does without: objects for the garbage collector, modules nobody asked for, fingerprints."""

import gc
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_edu import Tensor, seals
from tinygrad_edu.errors import MutationError


def leaf(values):
    return Tensor(values, requires_grad=True)


def test_a_step_of_a_chain_is_one_object_for_the_garbage_collector():
    """Which takes longer than the arithmetic in a large graph, and charges by the object."""
    y = leaf(1.5)
    y = y * 0.999 + 0.001
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(500):
            y = y * 0.999 + 0.001
        added = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert added <= 1000 + 50  # two operations a step, and what the loop itself holds


@pytest.mark.parametrize("size", [1, 1024, 1025, 50_000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, bool])
def test_a_change_of_the_callers_array_is_noticed_at_every_size(size, dtype):
    """Small arrays are compared with a copy, larger ones by a checksum."""
    mine = np.ones(size, dtype)
    x = leaf(np.full(size, 2.0))
    y = np.where(mine, x, 0.0) if dtype is bool else x * mine
    mine[size // 2] = 0
    with pytest.raises(MutationError, match="changed since"):
        y.backward(np.ones(size, y.dtype))


def test_arrays_of_the_engine_are_not_fingerprinted(monkeypatch):
    def refuse(array):
        raise AssertionError("a pass over an array that nobody can change")

    x, w = leaf(np.ones((3, 3))), leaf(np.ones((3, 3)))
    monkeypatch.setattr(seals, "fingerprint", refuse)
    np.sum(np.tanh(x @ w) * w / np.exp(x)).backward()
    assert x.grad is not None


def test_importing_the_package_leaves_out_what_few_need():
    left_out = "nn optim functional render memory recompute testing numerics".split()
    program = (
        "import sys, tinygrad_edu; "
        f"print([n for n in {left_out} if 'tinygrad_edu.' + n in sys.modules], "
        "all(hasattr(tinygrad_edu, n) and n in dir(tinygrad_edu) for n in tinygrad_edu.__all__), "
        "tinygrad_edu.nn.Module is not None, hasattr(tinygrad_edu, 'nonsense'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[] True True False"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has other habits")
@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_memory_that_a_step_freed_is_not_fetched_from_the_system_again(size):
    program = f"""
import resource, numpy as np
from tinygrad_edu import Tensor
x = Tensor(np.ones({size}), requires_grad=True)
def step():
    y = (x * x + x) * x
    np.sum(y).backward()
    x.zero_grad()
for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=plain)
    assert int(done.stdout) < 2 * size * 8 // 4096 / 10  # a tenth of an array a step; with huge pages, fetched anew, 4
