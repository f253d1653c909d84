"""`compile_kernels`: numba's translation of the kernels that pay for it, in the place of NumPy's formulas.

On request only, for the first call takes seconds (later ones find the machine code in a file), and because the last
digits differ: a run stays what it was unless one asks. Everything else about the engine is as before, the rules too.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.rules import loops

__all__ = ["compile_kernels"]

Loop = Callable[..., Any]
# Sums in any order, a · b + c rounded once; but NaN and inf are what they are, except for `highest`.
FREE = {"contract", "reassoc", "nsz", "arcp"}
FLAGS = {"exponential": {"contract"}, "share_below": {"contract"}, "highest": FREE | {"nnan"}}


def compile_kernels(on: bool = True) -> None:
    """From now on, in the whole process, float32 goes through compiled kernels; with on=False, through NumPy's again.

    Relu, GELU, softmax, the norms and attention, forward and backward, and steps of Adam: like NumPy's, their results
    are within 6e-6 of the exact ones, relative to the largest. Other dtypes and higher derivatives go on as before.
    Raises ImportError without numba, which `pip install tinygrad_edu[fast]` brings.
    """
    loops.COMPILED.clear()
    if on:
        loops.COMPILED.update(translated())


@functools.cache
def translated() -> dict[str, Loop]:
    """By the name of its kernel, each compiled loop as a function that gives what the kernel does."""
    try:
        import numba
    except ImportError as error:
        raise ImportError("compile_kernels: numba is not installed; pip install tinygrad_edu[fast]") from error

    around = dict(vars(loops))  # the module's own functions stay Python
    for function in (*loops.SCALARS, *loops.LOOPS):
        name = function.__name__
        copy = types.FunctionType(function.__code__, around, name)
        flags = FLAGS.get(name, FREE)
        around[name] = numba.njit(copy, cache=True, nogil=True, error_model="numpy", fastmath=flags)
    return {
        **{name: over_numbers(around[name]) for name in ("relu_value", "where_positive", "gelu_value", "gelu_slope")},
        "norm_value": norm_value_by(around["norm_value"]), "norm_slope": norm_slope_by(around["norm_slope"]),
        "norm_weight": norm_weight_by(around["norm_weight"]), "weights_of": weights_of_by(around["weights_of"]),
        "adam": around["adam"],
    }  # fmt: skip


def over_numbers(loop: Loop) -> Loop:
    def run(*arrays: Any) -> Any:
        out = np.empty(arrays[-1].shape, np.float32)
        loop(*[each.reshape(-1) for each in arrays], out.reshape(-1))
        return out

    return run


def rows_of(x: np.ndarray) -> np.ndarray:
    """Laid flat, (N, D), in one piece."""
    return np.ascontiguousarray(x.reshape(-1, x.shape[-1]))


def table(given: Any, width: int, otherwise: float) -> np.ndarray:
    return np.full(width, otherwise, np.float32) if given is None else np.ascontiguousarray(given)


def in_rows(found: np.ndarray | None) -> np.ndarray:
    """What a norm keeps of each row, (N, 2); no rows where nothing was kept."""
    return np.empty((0, 2), np.float32) if found is None else found.reshape(-1, 2)


def norm_value_by(loop: Loop) -> Loop:
    def run(x: Any, weight: Any, bias: Any, eps: float, centre: bool, find: Any = None) -> Any:
        out, D, rows = np.empty(x.shape, np.float32), x.shape[-1], rows_of(x)
        tables = table(weight, D, 1.0), table(bias, D, 0.0)
        find = np.empty((len(rows), 2), np.float32) if find is None else find.reshape(-1, 2)
        loop(rows, *tables, np.float32(eps), centre, find, out.reshape(-1, D))
        return out

    return run


def norm_slope_by(loop: Loop) -> Loop:
    def run(g: Any, x: Any, weight: Any, eps: float, centre: bool, found: Any = None) -> Any:
        out, D = np.empty(x.shape, np.float32), x.shape[-1]
        weight = table(weight, D, 1.0)
        loop(rows_of(g), rows_of(x), weight, np.float32(eps), centre, in_rows(found), out.reshape(-1, D))
        return out

    return run


def norm_weight_by(loop: Loop) -> Loop:
    def run(g: Any, x: Any, eps: float, centre: bool, found: Any = None) -> Any:
        out = np.zeros(x.shape[-1], np.float32)
        loop(rows_of(g), rows_of(x), np.float32(eps), centre, in_rows(found), out)
        return out

    return run


def weights_of_by(loop: Loop) -> Loop:
    def run(x: Any, allowed: Any, out: Any = None) -> Any:
        rows = (1,) * (4 - x.ndim) + x.shape if x.ndim <= 4 else (-1, *x.shape[-3:])
        if allowed is None:
            allowed = np.ones((1, 1, 1, x.shape[-1]), np.float32)
        elif x.ndim == 4 and allowed.shape[-1] == x.shape[-1]:
            allowed = np.ascontiguousarray(allowed)
        else:
            allowed = np.ascontiguousarray(np.broadcast_to(allowed, x.shape)).reshape(rows)
        own = x if out is x and x.flags.c_contiguous else np.array(x, order="C")
        loop(own.reshape(rows), allowed)
        if out is None or own is out:
            return own
        out[...] = own
        return out

    return run
