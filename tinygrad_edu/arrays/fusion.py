"""One kernel from one formula: an array-like that writes CUDA.

A formula such as dx = (g − Σ g ⊙ z) ⊙ z is a handful of NumPy functions, and on a GPU as many trips to memory. Run on
`Written`, which answers NumPy's functions by writing them down, it says itself what one kernel has to do: steps on
elements, steps on rows, and folds of a row between them. So no formula is written a second time.

    a stage      goes through each row once, and ends with the folds that its elements allow
    an element   is worked out anew in each stage that needs it: cheaper than memory
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["ELEMENT", "Step", "Unwritable", "Written", "source_of"]

ELEMENT, ROW = "element", "row"
UNARY = {
    np.exp: "exp({0})", np.log: "log({0})", np.sqrt: "sqrt({0})", np.tanh: "tanh({0})", np.absolute: "abs({0})",
    np.negative: "-({0})", np.isinf: "isinf({0})", np.isnan: "isnan({0})", np.isfinite: "isfinite({0})",
    np.square: "({0}) * ({0})", np.logical_not: "!({0})", np.sin: "sin({0})", np.cos: "cos({0})",
}  # fmt: skip
BINARY = {
    np.add: "{0} + {1}", np.subtract: "{0} - {1}", np.multiply: "{0} * {1}", np.divide: "{0} / {1}",
    np.maximum: "larger({0}, {1})", np.minimum: "-larger(-{0}, -{1})", np.power: "pow({0}, {1})",
    np.copysign: "copysign({0}, {1})", np.equal: "{0} == {1}", np.not_equal: "{0} != {1}", np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}", np.greater: "{0} > {1}", np.greater_equal: "{0} >= {1}",
    np.logical_and: "{0} && {1}", np.logical_or: "{0} || {1}", np.bitwise_and: "{0} && {1}",
    np.bitwise_or: "{0} || {1}",
}  # fmt: skip
TRUTHS = frozenset((
    np.isinf, np.isnan, np.isfinite, np.logical_not, np.equal, np.not_equal, np.less, np.less_equal, np.greater,
    np.greater_equal, np.logical_and, np.logical_or, np.bitwise_and, np.bitwise_or,
))  # fmt: skip
TEXTS: dict[Any, str] = {**UNARY, **BINARY, np.where: "({0}) ? {1} : {2}"}
SUM, MAX = "fold sum", "fold max"
FOLDS: dict[Any, tuple[str, float]] = {
    np.sum: (SUM, 0.0), np.add: (SUM, 0.0), np.max: (MAX, -np.inf), np.maximum: (MAX, -np.inf),
}  # fmt: skip


class Unwritable(TypeError):
    """The formula does something that is no step of one kernel."""


class Step:
    """What one value is worked out by: C with places for its inputs, which are steps or numbers."""

    __slots__ = ("dtype", "inputs", "level", "shape", "text")

    def __init__(
        self, text: str, inputs: tuple[Any, ...], level: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.text, self.inputs, self.level, self.shape, self.dtype = text, inputs, level, shape, dtype


class Written:
    """A value in a kernel that is being written: the step that made it. In place means: from now on another step."""

    def __init__(self, step: Step) -> None:
        self.step = step

    shape = property(lambda self: self.step.shape)
    dtype = property(lambda self: self.step.dtype)
    ndim = property(lambda self: len(self.step.shape))
    size = property(lambda self: math.prod(self.step.shape))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method == "reduce":
            return folded(ufunc, *inputs, **options)
        if ufunc is np.vecdot and not options:
            return folded(np.sum, inputs[0] * inputs[1], axis=-1, keepdims=True)
        if method != "__call__" or options:
            raise Unwritable(ufunc.__name__)
        made = stepped(ufunc, *inputs)
        return made if out is None else out[0].become(made)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: dict[str, Any]) -> Any:
        name = getattr(function, "__name__", str(function))
        if function is np.where:
            return stepped(np.where, *args)
        if function in FOLDS:
            return folded(function, *args, **options)
        if name == "erf":
            return stepped("erf({0})", *args)
        if not function.__module__.startswith("numpy") and not options:
            return function.__wrapped__(*args)  # type: ignore[attr-defined]
        raise Unwritable(name)

    def become(self, other: Written) -> Written:
        self.step = other.step
        return self

    def astype(self, dtype: Any, copy: bool = True) -> Written:
        return Written(Step("(T)({0})", (self.step,), self.step.level, self.shape, np.dtype(dtype)))

    def __getitem__(self, index: Any) -> Written:
        if index == () or (index == (Ellipsis, None) and self.step.level == ROW):
            return self  # folds keep their axis here
        raise Unwritable("an index")

    def __bool__(self) -> bool:
        raise Unwritable("a branch")


def stepped(function: Any, *inputs: Any) -> Written:
    """One function of elements or rows; a row counts for each of its elements."""
    text = function if isinstance(function, str) else TEXTS.get(function)
    if text is None or not all(isinstance(each, Written | int | float) for each in inputs):
        raise Unwritable(str(function))
    steps = [each.step if isinstance(each, Written) else each for each in inputs]
    written = [each for each in steps if isinstance(each, Step)]
    widest = max(written, key=lambda each: (each.level == ELEMENT, len(each.shape), math.prod(each.shape)))
    floats = [each.dtype for each in written if each.dtype.kind == "f"]
    dtype = np.dtype(bool) if function in TRUTHS else (floats or [widest.dtype])[0]
    return Written(Step(text, tuple(steps), widest.level, widest.shape, dtype))


def folded(
    function: Any, x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, dtype: Any = None
) -> Written:
    """The sum or the largest of each row, with its axis kept."""
    text, nothing = FOLDS.get(function, ("", None))
    if not text or axis != -1 or not keepdims or x.step.level != ELEMENT or initial not in (None, nothing):
        raise Unwritable("a fold that does not go along rows")
    return Written(Step(text, (x.step,), ROW, (*x.shape[:-1], 1), x.dtype))


for name, ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power, "and": np.bitwise_and,
    "or": np.bitwise_or, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
    "ne": np.not_equal,
}.items():  # fmt: skip
    setattr(Written, f"__{name}__", lambda self, other, ufunc=ufunc: stepped(ufunc, self, other))
    setattr(Written, f"__r{name}__", lambda self, other, ufunc=ufunc: stepped(ufunc, other, self))
    setattr(Written, f"__i{name}__", lambda self, other, ufunc=ufunc: self.become(stepped(ufunc, self, other)))
setattr(Written, "__neg__", lambda self: stepped(np.negative, self))  # noqa: B010, beside its like
Written.__hash__ = object.__hash__  # type: ignore[method-assign]


# The kernel

FRAME = """
#ifndef FROM_LANE
#define FROM_LANE(value, k, nothing) __shfl_down_sync(0xffffffff, value, k)
#endif
#ifndef INFINITY
#define INFINITY (1e300 * 1e300)
#endif
typedef {T} T;
__device__ inline T larger(T a, T b) {{ return (a != a || a > b) ? a : b; }}
extern "C" __global__ void formula({parameters}, T* out, long long rows, long long width) {{
  __shared__ T parts[32];
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (long long row = blockIdx.x; row < rows; row += gridDim.x) {{
{body}
  }}
}}
"""
FOLD = """    T {name} = {begin};
    for (long long j = threadIdx.x; j < width; j += blockDim.x) {{
      long long at = row * width + j;
{elements}
      {name} = {join};
    }}
    for (int k = 16; k; k /= 2) {{ T other = FROM_LANE({name}, k, {begin}); {name} = {pair}; }}
    __syncthreads();
    if (!lane) parts[warp] = {name};
    __syncthreads();
    {name} = parts[0];
    for (int k = 1; k < warps; k++) {{ T other = parts[k]; {name} = {pair}; }}
"""
LAST = """    for (long long j = threadIdx.x; j < width; j += blockDim.x) {{
      long long at = row * width + j;
{elements}
      out[at] = {value};
    }}
"""
KINDS = {SUM: ("0", "{0} + {1}"), MAX: ("-INFINITY", "larger({0}, {1})")}


def source_of(formula: Callable[..., Any], operands: Sequence[Any]) -> tuple[str, Step]:
    """The text of a kernel for these operands, and the step that it gives.

    operands: Written inputs, whose text says where their element is found, and what else the formula takes.
    Raises Unwritable.
    """
    result = formula(*operands)
    if not isinstance(result, Written):
        raise Unwritable("a result that is no array")
    last, names, body = result.step, dict[Step, str](), list[str]()
    rows_of(last, names, body)
    if last.level == ELEMENT:
        lines: list[str] = []
        value = element(last, names, {}, lines)
        body.append(LAST.format(elements="\n".join(lines), value=value))
    else:
        body.append(f"    if (!threadIdx.x) out[row] = {names[last]};\n")
    inputs = [each.dtype for each in operands if isinstance(each, Written)]
    parameters = ", ".join(f"const {'bool' if dtype.kind == 'b' else 'T'}* in{k}" for k, dtype in enumerate(inputs))
    number = {"f": "float", "d": "double"}[next(dtype.char for dtype in inputs if dtype.kind == "f")]
    return FRAME.format(T=number, parameters=parameters, body="\n".join(body)), last


def rows_of(step: Step, names: dict[Step, str], body: list[str]) -> None:
    """Every fold that a step needs, and what is worked out of folds for each row, in order."""
    if step in names:
        return
    for each in step.inputs:
        if isinstance(each, Step):
            rows_of(each, names, body)
    if step.level != ROW or step in names:
        return
    name = names[step] = f"r{len(names)}"
    if step.text not in KINDS:
        body.append(f"    {kind_of(step)} {name} = {worded(step, names.__getitem__)};")
        return
    begin, pair = KINDS[step.text]
    lines: list[str] = []
    joined = pair.format(name, element(step.inputs[0], names, {}, lines))
    body.append(FOLD.format(
        name=name, begin=begin, elements="\n".join(lines), join=joined, pair=pair.format(name, "other"),
    ))  # fmt: skip


def element(step: Step, names: dict[Step, str], local: dict[Step, str], lines: list[str]) -> str:
    """The name of an element, after the lines that work it out."""
    if step.level == ROW:
        return names[step]
    if step not in local:
        text = worded(step, lambda each: element(each, names, local, lines))
        local[step] = f"e{len(local)}"
        lines.append(f"      {kind_of(step)} {local[step]} = {text};")
    return local[step]


def worded(step: Step, name: Callable[[Step], str]) -> str:
    return step.text.format(*[name(each) if isinstance(each, Step) else number(each) for each in step.inputs])


def kind_of(step: Step) -> str:
    return "bool" if step.dtype.kind == "b" else "T"


def number(value: float) -> str:
    if math.isinf(value):
        return "((T)INFINITY)" if value > 0 else "(-(T)INFINITY)"
    return f"((T){float(value)!r})"
