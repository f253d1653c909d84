"""Normal form: constructors that flatten, collect and cancel, so that obviously equal things are written once.

Each constructor takes simplified arguments and returns an expression of the same value and shape. What needs an
argument of its own (a softmax recognised, a common factor) stands in `rewriting`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from tinygrad_edu.formulas.expressions import Expr, axes_in, broadcast_shape, elementwise, number, size_of

__all__ = [
    "ONE", "ZERO", "add", "broadcast", "call", "coefficient", "compare", "factors", "inside", "is_number", "keeps",
    "long_axes", "matmul", "minus", "mul", "negated", "power", "product", "reduce", "reshape", "split_terms",
    "squeezed", "total", "transpose", "turned", "where",
]  # fmt: skip

ZERO, ONE = number(0.0), number(1.0)
Shape = tuple[int, ...]


def is_number(expr: Expr, value: float | None = None) -> bool:
    """A number, repeated or not; this one, if a value is given."""
    expr = inside(expr)
    return expr.op == "number" and (value is None or expr.data == value)


def inside(expr: Expr) -> Expr:
    """What a broadcast repeats."""
    return expr.args[0] if expr.op == "broadcast" else expr


def broadcast(x: Expr, shape: Shape) -> Expr:
    shape = tuple(int(n) for n in shape)
    x = inside(x)
    return x if x.shape == shape else Expr("broadcast", (x,), None, shape)


def factors(x: Expr) -> tuple[float, tuple[tuple[Expr, float], ...]]:
    """x as a number times powers: (number, ((base, exponent), ...))."""
    x = inside(x)
    if x.op == "number":
        return x.data, ()
    parts = x.args if x.op == "mul" else (x,)
    value, found = 1.0, []
    for part in parts:
        if part.op == "number":
            value *= part.data
        else:
            found.append((part.args[0], part.data) if part.op == "power" else (part, 1.0))
    return value, tuple(found)


def coefficient(x: Expr) -> tuple[float, Expr]:
    """x as a number times the rest."""
    value, rest = factors(x)
    core = product(1.0, rest) if value != 1.0 or x.op == "broadcast" else x
    return value, core


def product(value: float, found: Iterable[tuple[Expr, float]]) -> Expr:
    """The other way from `factors`; nothing is combined."""
    parts = [base if exponent == 1.0 else Expr("power", (base,), exponent, base.shape) for base, exponent in found]
    if not parts:
        return number(value)
    if value != 1.0:
        parts.insert(0, number(value))
    return parts[0] if len(parts) == 1 else Expr("mul", tuple(parts), None, broadcast_shape(parts))


def mul(*args: Expr) -> Expr:
    """x · y, elementwise: numbers multiply, exponents add; x · x⁻¹ = 1 where x is not 0, as everywhere in a formula."""
    shape = broadcast_shape(args)
    value, powers = 1.0, dict[Expr, float]()
    todo = list(args)
    for arg in todo:
        scale, found = factors(arg)
        value *= scale
        for base, exponent in found:
            powers[base] = powers.get(base, 0.0) + exponent
            if is_condition(base) and powers[base] > 1:
                powers[base] = 1.0  # [x > 0]² = [x > 0]
    if value == 0.0:
        return broadcast(ZERO, shape)
    value = number(value).data
    return broadcast(product(value, [(base, exponent) for base, exponent in powers.items() if exponent]), shape)


def is_condition(x: Expr) -> bool:
    return x.op in ("compare", "not", "onehot") or (x.op == "array" and x.data.value.dtype == bool)


def add(*args: Expr) -> Expr:
    """x + y: like terms are collected, what cancels goes."""
    shape = broadcast_shape(args)
    terms = dict[Expr, float]()
    todo = [coefficient(arg) for arg in reversed(args)]
    while todo:
        scale, core = todo.pop()
        if core.op == "add":
            todo += [(scale * each, term) for each, term in map(coefficient, reversed(core.args))]
        else:
            terms[core] = terms.get(core, 0.0) + scale
    parts = [
        mul(number(scale), core) for core, scale in terms.items() if abs(scale) > 1e-14 and not is_number(core, 0.0)
    ]
    if not parts:
        return broadcast(ZERO, shape)
    if len(parts) == 1:
        return broadcast(parts[0], shape)
    parts = [inside(part) for part in parts]
    return broadcast(Expr("add", tuple(parts), None, broadcast_shape(parts)), shape)


def minus(x: Expr) -> Expr:
    return mul(number(-1.0), x)


def power(x: Expr, exponent: float) -> Expr:
    """x^p for a fixed p. (x^q)^p = x^(qp) for whole p, and wherever x^q already asks for x > 0."""
    shape = x.shape
    value, found = factors(x)
    whole = float(exponent).is_integer()
    if not found and (whole or value > 0):
        return broadcast(number(value**exponent) if value or exponent > 0 else number(math.inf), shape)
    base, inner = found[0] if found else (inside(x), 1.0)
    if len(found) == 1 and value == 1.0 and inner == 1.0:
        return x if exponent == 1.0 else broadcast(Expr("power", (base,), exponent, base.shape), shape)
    if whole or (len(found) == 1 and value > 0 and inner in (-1.0, 0.5, -0.5)):
        return broadcast(product(number(value**exponent).data, [(b, e * exponent) for b, e in found]), shape)
    return broadcast(Expr("power", (inside(x),), exponent, inside(x).shape), shape)


def keeps(x: Expr, axes: Iterable[int], ndim: int) -> bool:
    """Is x the same all along these axes of an array of `ndim` dimensions?"""
    return all(axis is None for axis in axes_in(x, axes, ndim))


def split_terms(x: Expr, axes: Iterable[int], ndim: int) -> tuple[list[Expr], list[Expr]]:
    """The terms of a sum that vary along axes of an array of `ndim` dimensions, and those that do not."""
    axes = tuple(axes)
    stay = [term for term in x.args if keeps(term, axes, ndim)]
    return [term for term in x.args if term not in stay], stay


def total(x: Expr, axes: Iterable[int]) -> Expr:
    """Σ x over axes, which stay with size 1. What is the same along them comes out; repeated elements are counted."""
    axes = tuple(sorted(k for k in {axis % max(x.ndim, 1) for axis in axes} if x.shape[k] != 1))
    shape = tuple(1 if k in axes else n for k, n in enumerate(x.shape))
    if not axes:
        return x
    ndim, sizes = x.ndim, x.shape
    value, found = factors(x)
    fixed = [(base, exponent) for base, exponent in found if keeps(base, axes, ndim)]
    moving = [(base, exponent) for base, exponent in found if not keeps(base, axes, ndim)]
    inner = product(1.0, moving)
    lead = ndim - inner.ndim
    repeated = [k for k in axes if k < lead or inner.shape[k - lead] == 1]
    value *= size_of(sizes[k] for k in repeated)
    rest = tuple(k - lead for k in axes if k not in repeated)
    if rest:
        if inner.op == "sum":
            inner, rest = inner.args[0], tuple(sorted({*rest, *inner.data}))
        done = tuple(1 if k in rest else n for k, n in enumerate(inner.shape))
        if inner.op == "reshape" and squeezed(inner):
            inner = squeezed_total(inner, rest, done)
        else:
            inner = Expr("sum", (inner,), rest, done)
    return broadcast(mul(product(value, fixed), inner), shape)


def squeezed_total(x: Expr, axes: tuple[int, ...], shape: Shape) -> Expr:
    """Σ over axes of an array that was only given axes of size 1, or lost some."""
    source = x.args[0]
    long = [k for k, n in enumerate(source.shape) if n != 1]
    names = dict(zip([k for k, n in enumerate(x.shape) if n != 1], long, strict=True))
    return reshape(total(source, [names[k] for k in axes]), shape)


def reduce(op: str, x: Expr, axes: Iterable[int]) -> Expr:
    """The largest or smallest along axes, which stay with size 1."""
    axes = tuple(sorted({axis % max(x.ndim, 1) for axis in axes}))
    if not axes:
        return x
    return Expr(op, (x,), axes, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))


def squeezed(x: Expr) -> bool:
    """Does this reshape only add or drop axes of size 1?"""
    return x.op == "reshape" and long_axes(x.shape) == long_axes(x.args[0].shape)


def long_axes(shape: Shape) -> list[int]:
    return [n for n in shape if n != 1]


def reshape(x: Expr, shape: Iterable[int]) -> Expr:
    """The same elements in another shape; numbers come out, and axes of size 1 are added inside."""
    shape = tuple(int(n) for n in shape)
    if x.shape == shape:
        return x
    if is_number(x):
        return broadcast(inside(x), shape)
    if x.op == "reshape":
        return reshape(x.args[0], shape)
    if x.op == "mul" and x.args[0].op == "number":
        return mul(x.args[0], reshape(product(1.0, factors(x)[1]), shape))
    if long_axes(x.shape) == long_axes(shape):
        if x.op == "broadcast" and x.args[0].ndim == 0:
            return broadcast(x.args[0], shape)
        if x.op in ("mul", "add") and all(arg.shape in ((), x.shape) for arg in x.args):
            each = [arg if arg.ndim == 0 else reshape(arg, shape) for arg in x.args]
            return mul(*each) if x.op == "mul" else add(*each)
        if x.op == "power":
            return power(reshape(x.args[0], shape), x.data)
    if x.op == "broadcast" and x.args[0].ndim == 0:
        return broadcast(x.args[0], shape)
    return Expr("reshape", (x,), None, shape)


def transpose(x: Expr, axes: Iterable[int]) -> Expr:
    """Axes in another order. Twice is once; (AB)ᵀ = BᵀAᵀ; a sum is turned term by term."""
    axes = tuple(int(k) % max(x.ndim, 1) for k in axes)
    shape = tuple(x.shape[k] for k in axes)
    if axes == tuple(range(x.ndim)):
        return x
    if is_number(x) or (x.op == "broadcast" and x.args[0].ndim == 0):
        return broadcast(inside(x), shape)
    if x.op == "transpose":
        return transpose(x.args[0], [x.data[k] for k in axes])
    if x.op == "mul" and x.args[0].op == "number":
        return mul(x.args[0], transpose(product(1.0, factors(x)[1]), axes))
    if x.op == "add" and all(arg.shape == x.shape for arg in x.args):
        return add(*[transpose(arg, axes) for arg in x.args])
    if x.op == "matmul" and axes == turned(x.ndim) and all(arg.ndim >= 2 for arg in x.args):
        left, right = x.args
        return matmul(transpose(right, turned(right.ndim)), transpose(left, turned(left.ndim)))
    return Expr("transpose", (x,), axes, shape)


def turned(ndim: int) -> tuple[int, ...]:
    """The permutation that transposes the matrices of a stack."""
    return (*range(ndim - 2), ndim - 1, ndim - 2)


def matmul(x: Expr, y: Expr) -> Expr:
    """x @ y. Numbers come out; a stack laid flat for one product, and folded again, was a product all along."""
    value, parts = 1.0, []
    scalars: list[Expr] = []
    for arg in (x, y):
        scale, found = factors(arg)
        outside = [pair for pair in found if pair[0].ndim == 0]
        value *= scale
        scalars += [product(1.0, [pair]) for pair in outside]
        core = product(1.0, [pair for pair in found if pair[0].ndim])
        parts.append(broadcast(core, arg.shape))
    return mul(number(value), *scalars, Expr("matmul", tuple(parts), None, matmul_shape(x.shape, y.shape)))


def matmul_shape(x: Shape, y: Shape) -> Shape:
    rows, columns = x[-2:-1], y[-1:] if len(y) > 1 else ()
    lead = math_broadcast(x[:-2], y[:-2])
    return (*lead, *rows, *columns)


def math_broadcast(x: Shape, y: Shape) -> Shape:
    n = max(len(x), len(y))
    wide = [(1,) * (n - len(each)) + each for each in (x, y)]
    return tuple(b if a == 1 else a for a, b in zip(*wide, strict=True))


def compare(sign: str, x: Expr, y: Expr) -> Expr:
    """[x > y]: 1 where it holds, 0 elsewhere."""
    shape = broadcast_shape((x, y))
    if x.op == "number" and y.op == "number" and not math.isnan(x.data):
        holds = {">": x.data > y.data, "<": x.data < y.data, "≥": x.data >= y.data, "≤": x.data <= y.data,
                 "=": x.data == y.data, "≠": x.data != y.data}[sign]  # fmt: skip
        return broadcast(ONE if holds else ZERO, shape)
    x, y = inside(x), inside(y)
    return broadcast(Expr("compare", (x, y), sign, broadcast_shape((x, y))), shape)


OPPOSITE = {">": "≤", "<": "≥", "≥": "<", "≤": ">", "=": "≠", "≠": "="}


def negated(condition: Expr) -> Expr:
    """Not: 1 where the condition is 0."""
    shape, condition = condition.shape, inside(condition)
    if condition.op == "number":
        return broadcast(ZERO if condition.data else ONE, shape)
    if condition.op == "compare":
        return broadcast(compare(OPPOSITE[condition.data], *condition.args), shape)
    if condition.op == "not":
        return broadcast(condition.args[0], shape)
    return broadcast(Expr("not", (condition,), None, condition.shape), shape)


def where(condition: Expr, x: Expr, y: Expr) -> Expr:
    """x where the condition holds, y elsewhere; with a 0 in one of the places it is a product."""
    shape = broadcast_shape((condition, x, y))
    if is_number(condition):
        return broadcast(x if inside(condition).data else y, shape)
    if x == y or inside(x) == inside(y):
        return broadcast(x, shape)
    if is_number(y, 0.0):
        return broadcast(mul(condition, x), shape)
    if is_number(x, 0.0):
        return broadcast(mul(negated(condition), y), shape)
    args = tuple(inside(each) for each in (condition, x, y))
    return broadcast(Expr("where", args, None, broadcast_shape(args)), shape)


def call(name: str, *args: Expr) -> Expr:
    """A function of one name, applied element by element."""
    shape = broadcast_shape(args)
    args = tuple(inside(arg) for arg in args)
    return broadcast(Expr("call", args, elementwise(name), broadcast_shape(args)), shape)
