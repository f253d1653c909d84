"""CuPy: NumPy's names on a GPU, and kernels that are written from formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.arrays import gaps
from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.arrays.fusion import ELEMENT, Step, Unwritable, Written, source_of
from tinygrad_edu.arrays.library import Library

__all__ = ["Gpu"]

MOST_THREADS, MOST_BLOCKS = 256, 1 << 20


class Gpu(Library):
    """The values come home by get(). A formula runs as one kernel, if it can be written as one."""

    def __init__(self, namespace: ModuleType) -> None:
        super().__init__("cupy", namespace, namespace.ndarray)
        self.own[np.linalg.solve], self.own[np.linalg.cholesky] = self.solve, self.cholesky
        self.known[np.take] = gaps.take, False  # CuPy's knows no mode=
        self.kernels: dict[Any, Any] = {}

    def home(self, x: Foreign) -> np.ndarray:
        return np.asarray(x.array.get())

    def solve(self, a: Any, b: Any) -> Any:
        """Where a is a stack, CuPy wants as many right sides, each of one column at least."""
        right = b[:, None] if b.ndim == 1 else b
        lead = np.broadcast_shapes(a.shape[:-2], right.shape[:-2])
        found = self.namespace.linalg.solve(
            self.namespace.broadcast_to(a, (*lead, *a.shape[-2:])),
            self.namespace.broadcast_to(right, (*lead, *right.shape[-2:])),
        )
        return found[..., 0] if b.ndim == 1 else found

    def cholesky(self, a: Any, *, upper: bool = False) -> Any:
        if upper:
            return self.cholesky(a.swapaxes(-1, -2)).swapaxes(-1, -2)
        return self.namespace.linalg.cholesky(a)

    # One kernel from one formula

    def run_whole(self, formula: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
        operands = tuple(
            Foreign(self.carried(each), self) if type(each) is np.ndarray and each.dtype.kind == "b" else each
            for each in operands
        )
        first = operands[0]
        key = (formula, *[(each.shape, each.dtype) if type(each) is Foreign else each for each in operands[1:]])
        key = (*key, first.shape[1:], first.dtype)
        try:
            kernel = self.kernels[key]
        except KeyError:
            kernel = self.kernels[key] = self.written(formula, operands)
        except TypeError:  # an operand that is neither an array nor a number
            kernel = None
        if kernel is None or not first.ndim or not first.size:
            return formula(*operands)
        run, is_row = kernel
        width = first.shape[-1]
        rows = first.size // width
        out = self.namespace.empty((*first.shape[:-1], 1) if is_row else first.shape, first.dtype)
        arrays = [self.namespace.ascontiguousarray(each.array) for each in operands if type(each) is Foreign]
        threads = min(MOST_THREADS, 32 * -(-width // 64))
        run((min(rows, MOST_BLOCKS),), (threads,), (*arrays, out, np.int64(rows), np.int64(width)))
        return Foreign(out, self)

    def written(self, formula: Callable[..., Any], operands: tuple[Any, ...]) -> Any:
        """(the kernel, does it give one number for each row?), None where the formula is none for one kernel."""
        shape, dtype = operands[0].shape, operands[0].dtype
        if not shape:
            return None
        written, count = [], 0
        for each in operands:
            if type(each) is not Foreign:
                written.append(each)
                continue
            place = place_in(each.shape, shape)
            if dtype.char not in "fd" or each.dtype not in (dtype, bool) or place is None:
                return None
            written.append(Written(Step(f"in{count}[{place}]", (), ELEMENT, shape, each.dtype)))
            count += 1
        try:
            source, last = source_of(formula, written)
        except Unwritable:
            return None
        return self.namespace.RawKernel(source, "formula"), last.level != ELEMENT


def place_in(own: tuple[int, ...], shape: tuple[int, ...]) -> str | None:
    """Where an array of shape `own` has what belongs to element number `at` of `shape`; None if it does not fit."""
    if own == shape:
        return "at"
    if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False)):
        return None
    terms, lead = [], len(shape) - len(own)
    for k, n in enumerate(own):
        if n > 1:
            after, step = math.prod(shape[lead + k + 1 :]), math.prod(own[k + 1 :])
            terms.append(f"at / {after} % {n} * {step}")
    return " + ".join(terms) or "0"
