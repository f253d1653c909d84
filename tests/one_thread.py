"""The kernels that are written for a GPU, compiled for the CPU: a GPU of one thread, to see what they work out."""

import ctypes
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np

from tinygrad_edu.arrays.gpu import Gpu

COMPILER = shutil.which("c++") or shutil.which("g++")
HEAD = """
#include <cmath>
using namespace std;
#define __device__ static
#define __global__
#define __shared__
#define __syncthreads()
#define FROM_LANE(value, k, nothing) ((T)(nothing))
static struct { int x; } threadIdx = {0}, blockDim = {1}, blockIdx = {0}, gridDim = {1};
"""


class RawKernel:
    """As CuPy's: made of a source and a name, called with a grid, a block and the arguments."""

    count = 0

    def __init__(self, source, name, folder):
        type(self).count += 1
        path = folder / f"kernel{self.count}.cpp"
        path.write_text(HEAD + source.replace("warps = blockDim.x / 32", "warps = 1"), encoding="utf-8")
        library = path.with_suffix(".so")
        subprocess.run([COMPILER, "-O0", "-w", "-shared", "-fPIC", path, "-o", library], check=True)
        self.run = getattr(ctypes.CDLL(str(library)), name)

    def __call__(self, grid, block, arguments):
        pointers = [a.ctypes.data_as(ctypes.c_void_p) if a.ndim else ctypes.c_longlong(int(a)) for a in arguments]
        self.run(*pointers)


class OneThread(Gpu):
    """A sum of all is an array there, where NumPy has a scalar."""

    def wrapped(self, value):
        return super().wrapped(np.asarray(value) if isinstance(value, np.generic) else value)


def library(folder):
    """A Gpu whose arrays are NumPy's."""
    namespace = SimpleNamespace(
        **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")} | {"linalg": np.linalg},
        RawKernel=lambda source, name: RawKernel(source, name, folder),
    )
    return OneThread(namespace)
