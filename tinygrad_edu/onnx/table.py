"""The table: our operation → what says the same in ONNX (opset 20), a line each.

An entry is called as entry(o, z, *arguments, **keywords): o builds the graph, z is the value that the operation had,
and the arguments are what it was called with. It returns the name of the result, or a tuple of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu import functional
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.onnx import formulas as by
from tinygrad_edu.onnx.builder import Builder, Name, parts_of
from tinygrad_edu.onnx.index import getitem, scatter
from tinygrad_edu.operation import Operation
from tinygrad_edu.primitive import registry
from tinygrad_edu.rules import fused, fused_attention, fused_rows, indexing, shapes
from tinygrad_edu.rules.elementwise import erf, root_of_squares
from tinygrad_edu.tensor import Tensor, lift

__all__ = ["counterparts", "emit"]

Entry = Callable[..., Any]


def same(op: str, **attributes: Any) -> Entry:
    """ONNX's operation of that name, on arguments in the result's dtype."""
    return lambda o, z, *xs: o(op, *[o.cast(x, z.dtype) for x in xs], **attributes)


def compared(op: str) -> Entry:
    """A truth value about two arguments, in the dtype that NumPy compares them in."""
    return lambda o, z, x, y: o(op, *[o.cast(each, by.common(x, y)) for each in (x, y)])


def logical(op: str) -> Entry:
    return lambda o, z, *xs: o(op, *[o.cast(x, np.bool_) for x in xs])


def times(factor: float) -> Entry:
    return lambda o, z, x: o("Mul", x, z.dtype.type(factor))


def moved(function: Callable[..., Any]) -> Entry:
    """The same elements elsewhere, some twice, some not at all: NumPy's function says of their numbers where."""
    return lambda o, z, a, *args, **keywords: o.gathered(
        a, function(np.arange(a.size).reshape(a.shape), *args, **keywords).reshape(-1), z.shape
    )


def picked(function: Callable[..., Any]) -> Entry:
    """Likewise, where the array that is picked from comes second."""
    return lambda o, z, how, a, *args, **keywords: o.gathered(
        a, function(how, np.arange(a.size).reshape(a.shape), *args, **keywords).reshape(-1), z.shape
    )


def turned(function: Callable[..., Any]) -> Entry:
    """The axes in another order, which NumPy's function says of an array whose axes can be told by their sizes."""

    def entry(o: Builder, z: Any, a: Any, *args: Any, **keywords: Any) -> Name:
        if a.ndim < 2:
            return o("Identity", a)
        sizes = function(np.broadcast_to(0, range(2, a.ndim + 2)), *args, **keywords).shape
        return o("Transpose", a, perm=[size - 2 for size in sizes])

    return entry


def reshaped(o: Builder, z: Any, a: Any, *args: Any, **keywords: Any) -> Name:
    return o.shaped(a, z.shape)


def defined(definition: Callable[..., Any], **fixed: Any) -> Entry:
    """A kernel: the forward code that defines it runs, and is written down in its place."""

    def entry(o: Builder, z: Any, *args: Any, **keywords: Any) -> tuple[Name, ...]:
        given = [lift(each, None) if isinstance(each, np.ndarray | np.floating) else each for each in args]
        label, about = o.label, o.about
        value = definition(*given, **keywords, **fixed)
        o.label, o.about = label, about
        return tuple(o.name_of(each._value) for each in parts_of(value))

    return entry


def softmax_where(x: Any, allowed: Any = None) -> Any:
    return functional.softmax(x if allowed is None else np.where(plain(allowed), x, -np.inf))


def plain(x: Any) -> Any:
    return x._value if isinstance(x, Tensor) else x


NONE = "ONNX has no counterpart"
SHAPES = frozenset((
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iterable, np.may_share_memory, np.shares_memory,
    np.iscomplexobj, np.isrealobj, np.zeros_like, np.ones_like, np.empty_like, np.common_type,
))  # fmt: skip
"""What tells about arrays, not their values: a constant."""

TABLE: dict[Any, Entry | str] = {
    # Arithmetic
    np.add: same("Add"), np.subtract: same("Sub"), np.multiply: same("Mul"), np.divide: same("Div"),
    np.negative: same("Neg"), np.positive: lambda o, z, x: o.cast(x, z.dtype), np.reciprocal: same("Reciprocal"),
    np.square: lambda o, z, x: o("Mul", x, x), np.remainder: by.remainder, np.floor_divide: by.floor_divide,
    np.fmod: same("Mod", fmod=1), np.power: same("Pow"), np.float_power: same("Pow"), np.ldexp: by.ldexp,
    np.sqrt: same("Sqrt"), root_of_squares: same("Sqrt"), np.cbrt: by.cbrt, np.absolute: same("Abs"),
    np.fabs: same("Abs"), np.sign: same("Sign"), np.copysign: by.copysign, np.signbit: lambda o, z, x: by.signbit(o, x),
    # Exponentials, logarithms, angles
    np.exp: same("Exp"), np.exp2: lambda o, z, x: o("Pow", z.dtype.type(2), x), np.expm1: by.expm1, np.log: same("Log"),
    np.log2: by.log_base(2), np.log10: by.log_base(10), np.log1p: lambda o, z, x: by.log1p(o, x, z.dtype),
    np.logaddexp: by.logaddexp(math.e), np.logaddexp2: by.logaddexp(2), np.sin: same("Sin"), np.cos: same("Cos"),
    np.tan: same("Tan"), np.arcsin: same("Asin"), np.arccos: same("Acos"), np.arctan: same("Atan"),
    np.arctan2: by.arctan2, np.sinh: same("Sinh"), np.cosh: same("Cosh"), np.tanh: same("Tanh"),
    np.arcsinh: same("Asinh"), np.arccosh: same("Acosh"), np.arctanh: same("Atanh"),
    np.degrees: times(180 / math.pi), np.rad2deg: times(180 / math.pi), np.radians: times(math.pi / 180),
    np.deg2rad: times(math.pi / 180), np.hypot: by.hypot, np.sinc: by.sinc, erf: same("Erf"),
    # Choosing, comparing, rounding
    np.maximum: same("Max"), np.minimum: same("Min"), np.fmax: by.without_nan("Max"), np.fmin: by.without_nan("Min"),
    np.where: lambda o, z, c, x, y: o("Where", o.cast(c, np.bool_), o.cast(x, z.dtype), o.cast(y, z.dtype)),
    np.equal: compared("Equal"), np.not_equal: lambda o, z, x, y: o("Not", compared("Equal")(o, z, x, y)),
    np.less: compared("Less"), np.less_equal: compared("LessOrEqual"), np.greater: compared("Greater"),
    np.greater_equal: compared("GreaterOrEqual"), np.logical_and: logical("And"), np.logical_or: logical("Or"),
    np.logical_xor: logical("Xor"), np.logical_not: logical("Not"), np.bitwise_and: by.bits("And"),
    np.bitwise_or: by.bits("Or"), np.bitwise_xor: by.bits("Xor"), np.invert: by.bits("Not"),
    np.isnan: lambda o, z, x: o("IsNaN", x), np.isinf: lambda o, z, x: o("IsInf", x),
    np.isposinf: lambda o, z, x: o("IsInf", x, detect_negative=0),
    np.isneginf: lambda o, z, x: o("IsInf", x, detect_positive=0),
    np.isfinite: lambda o, z, x: o("Not", o("Or", o("IsNaN", x), o("IsInf", x))),
    np.floor: same("Floor"), np.ceil: same("Ceil"), np.rint: same("Round"), np.trunc: by.trunc, np.fix: by.trunc,
    np.round: by.rounded, np.around: by.rounded, np.heaviside: by.heaviside,
    # Products and sums
    np.matmul: same("MatMul"), np.einsum: by.einsum, np.sum: by.reduced("ReduceSum", 0, "Add"), np.mean: by.mean,
    np.max: by.reduced("ReduceMax", -math.inf, "Max"), np.min: by.reduced("ReduceMin", math.inf, "Min"),
    np.cumsum: by.cumsum, np.any: by.truth("ReduceMax"), np.all: by.truth("ReduceMin"),
    np.count_nonzero: by.count_nonzero, np.argmax: by.argument("ArgMax"), np.argmin: by.argument("ArgMin"),
    np.argsort: by.ordered(1), np.sort: by.ordered(0), np.searchsorted: by.searchsorted,
    # Shapes
    shapes.astype: lambda o, z, a, dtype: o("Cast", a, to=z.dtype), np.copy: same("Identity"),
    np.reshape: lambda o, z, a, *args, order="C", copy=None, **keywords: (
        o.shaped(a, z.shape) if order == "C" and "F" not in args else moved(np.reshape)(o, z, a, z.shape, "F")
    ),
    np.ravel: lambda o, z, a, order="C": reshaped(o, z, a) if order == "C" else moved(np.ravel)(o, z, a, order),
    np.squeeze: reshaped, np.expand_dims: reshaped, np.transpose: turned(np.transpose),
    np.matrix_transpose: turned(np.matrix_transpose), np.swapaxes: turned(np.swapaxes),
    np.moveaxis: turned(np.moveaxis), np.broadcast_to: lambda o, z, a, *args, **keywords: o.expanded(a, z.shape),
    np.flip: moved(np.flip), np.fliplr: moved(np.fliplr), np.flipud: moved(np.flipud), np.rot90: moved(np.rot90),
    np.roll: moved(np.roll), np.tile: moved(np.tile), np.repeat: moved(np.repeat), np.tril: by.triangle(np.tril),
    np.triu: by.triangle(np.triu), np.concatenate: by.concatenate, np.stack: by.stack, np.unstack: by.unstack,
    # Picking
    indexing.getitem: getitem, indexing.scatter: scatter,
    np.take: lambda o, z, a, indices, axis=None, mode="raise": (
        by.take(o, z, a, indices, axis) if o.comes_from_input(indices)
        else moved(np.take)(o, z, a, indices, axis, mode=mode)
    ),
    np.take_along_axis: by.take_along_axis, np.bincount: by.bincount, np.compress: picked(np.compress),
    np.extract: picked(np.extract), np.delete: moved(np.delete), np.diagonal: moved(np.diagonal),
    np.linalg.diagonal: moved(np.linalg.diagonal), np.trace: by.trace(np.diagonal),
    np.linalg.trace: by.trace(np.linalg.diagonal), np.diag: by.spread(np.diag), np.diagflat: by.spread(np.diagflat),
    # Kernels
    fused.relu: same("Relu"), fused.sigmoid: defined(functional.sigmoid), fused.silu: defined(functional.silu),
    fused.gelu: defined(functional.gelu), fused.gelu_tanh: defined(functional.gelu, approximate="tanh"),
    fused.linear: defined(functional.linear), fused_rows.softmax: defined(softmax_where),
    fused_rows.log_softmax: defined(functional.log_softmax), fused_rows.logsumexp: defined(
        lambda x: functional.logsumexp(x, keepdims=True)
    ),
    fused_rows.layer_norm: defined(functional.layer_norm), fused_rows.rms_norm: defined(functional.rms_norm),
    fused_rows.cross_entropy: defined(
        lambda scores, targets, smoothing=0.0: functional.cross_entropy(scores, targets, label_smoothing=smoothing)
    ),
    fused_attention.self_attention: defined(functional.self_attention),
    # Matrices as such
    np.linalg.det: same("Det"),
    **dict.fromkeys(
        (np.linalg.inv, np.linalg.solve, np.linalg.slogdet, np.linalg.cholesky, np.linalg.eigh, np.linalg.eigvalsh,
         np.linalg.svd, np.linalg.svdvals, np.linalg.qr, np.linalg.pinv, np.linalg.matrix_rank, np.linalg.cond),
        f"{NONE}: of linear algebra it has products and Det",
    ),
    **dict.fromkeys(
        (np.nonzero, np.flatnonzero, np.argwhere, np.isin, np.unravel_index, np.ravel_multi_index, np.lexsort),
        "how many results there are depends on the data, or the result is several indices",
    ),
    np.argpartition: "how it orders what is on one side of the pivot is NumPy's own affair; sort instead",
    **dict.fromkeys((np.spacing, np.nextafter), f"{NONE}: nothing there looks at the bits of a float"),
    **dict.fromkeys(
        (np.gcd, np.lcm, np.left_shift, np.right_shift, np.digitize, np.nanargmax, np.nanargmin,
         np.isclose, np.isreal, np.iscomplex),
        "nothing that is differentiated has asked for it so far",
    ),
    **dict.fromkeys(
        (np.allclose, np.array_equal, np.array_equiv, np.array_repr, np.array_str, np.array2string,
         np.min_scalar_type, np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.einsum_path),
        "the result is no array",
    ),
}  # fmt: skip

NAMES = {function: operation.name for function, operation in registry().items()}


def emit(
    o: Builder, operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any
) -> tuple[Name, ...] | None:
    """Write an operation that ran into the graph; the names of its results, or None where they are constants."""
    function = key_of(operation)
    if function in SHAPES:
        return None
    entry = TABLE.get(function, f"{NONE} in the table")
    if isinstance(entry, str):
        raise UnsupportedError(f"{o.about} cannot be written as ONNX: {entry}")
    words = {name: each for name, each in keywords.items() if each is not np._NoValue}
    try:
        made = entry(o, value, *args, **words)
    except TypeError as error:
        raise UnsupportedError(f"{o.about} cannot be written as ONNX in this form: {error}") from None
    return made if isinstance(made, tuple) else (made,)


KEYS: dict[Operation, Any] = {}


def key_of(operation: Operation) -> Any:
    """What the registry files an operation under."""
    if operation not in KEYS:
        KEYS.update((known, function) for function, known in registry().items())
    return KEYS.get(operation)


def counterparts() -> Iterator[tuple[str, str]]:
    """(operation, "" or why it has none) for every operation that could be told of while a function runs.

    Of NumPy's and of this package: of a user's own operation nothing is known.
    """
    for function, operation in registry().items():
        ours = (getattr(function, "__module__", None) or "numpy").split(".")[0] in ("numpy", "tinygrad_edu")
        if ours and operation.kind in ("rule", "constant"):
            entry = TABLE.get(function, "" if function in SHAPES else f"{NONE} in the table")
            yield operation.name, entry if isinstance(entry, str) else ""
