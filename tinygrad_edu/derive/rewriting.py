"""What a person does to a formula: a small set of rules, each with its argument, each tested on drawn numbers.

Formulas are written for finite numbers inside the domain of their functions: there e^x > 0, and x/x is 1.
A rule takes an expression whose arguments are simple already, and returns a better one of the same value, or None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_edu.derive.algebra import (
    ONE,
    ZERO,
    add,
    broadcast,
    call,
    coefficient,
    compare,
    factors,
    inside,
    is_number,
    keeps,
    matmul,
    minus,
    mul,
    negated,
    power,
    product,
    total,
)
from tinygrad_edu.derive.expressions import Expr, number
from tinygrad_edu.derive.simplifier import Simplifier, rebuilt, rule, simple

__all__ = ["Simplifier"]

# Sums


@rule("add")
def common_factor(x: Expr) -> Expr | None:
    """ab + ac = a(b + c), also for a number: a/N − b/N = (a − b)/N."""
    parts = [factors(term) for term in x.args]
    shared = dict(parts[0][1])
    for _, found in parts[1:]:
        here = dict(found)
        shared = {
            base: min(exponent, here[base], key=abs)
            for base, exponent in shared.items()
            if base in here and exponent * here[base] > 0
        }
    sizes = {round(abs(value), 15) for value, _ in parts}
    value = abs(parts[0][0]) if len(sizes) == 1 else 1.0
    if not shared and value == 1.0:
        return None
    common = product(value, shared.items())
    rest = [mul(term, power(common, -1.0)) for term in x.args]
    return broadcast(mul(common, add(*rest)), x.shape)


@rule("add")
def sum_of_exponentials_is_positive(x: Expr) -> Expr | None:
    """s + [s = 0] = s for s = Σ e^x, which is never 0. (The engine's guard for rows of nothing but −∞.)"""
    for term in x.args:
        if term.op == "compare" and term.data == "=" and is_number(term.args[1], 0.0) and positive(term.args[0]):
            return broadcast(add(*[other for other in x.args if other is not term]), x.shape)
    return None


def positive(x: Expr) -> bool:
    x = x.args[0] if x.op in ("sum", "reshape", "broadcast") else x
    return x.op == "call" and x.data.name == "exp" or (x.op in ("sum", "reshape", "broadcast") and positive(x))


@rule("sum")
def sum_of_a_sum(x: Expr) -> Expr | None:
    """Σ (a + b) = Σ a + Σ b, where that is shorter: where a part vanishes, or is the same along the axis."""
    inner = x.args[0]
    if inner.op != "add":
        return None
    parts = [simple(total(broadcast(term, inner.shape), x.data)) for term in inner.args]
    split = add(*parts)
    return broadcast(split, x.shape) if split.cost < x.cost else None


@rule("sum")
def probabilities_sum_to_one(x: Expr) -> Expr | None:
    """Σ softmax(x) = 1 along its axis; so does a one-hot row, which has a single 1."""
    inner = x.args[0]
    axis = inner.data if inner.op == "softmax" else inner.ndim - 1
    return broadcast(ONE, x.shape) if inner.op in ("softmax", "onehot") and x.data == (axis,) else None


# Softmax


@rule("mul")
def softmax_found(x: Expr) -> Expr | None:
    """e^x / Σ e^x is the softmax."""
    value, found = factors(x)
    powers = dict(found)
    for base, exponent in found:
        if base.op == "sum" and exponent < 0 and len(base.data) == 1 and powers.get(base.args[0], 0.0) > 0:
            e = base.args[0]
            if e.op == "call" and e.data.name == "exp":
                powers[base] += 1.0
                powers[e] -= 1.0
                whole = Expr("softmax", e.args, base.data[0], e.shape)
                rest = product(value, [(b, p) for b, p in powers.items() if p])
                return broadcast(mul(whole, rest), x.shape)
    return None


@rule("softmax")
def softmax_forgets_a_shift(x: Expr) -> Expr | None:
    """softmax(x + c) = softmax(x) for c the same along the axis: e^c cancels."""
    moved, stay = split_shift(x.args[0], x.data)
    return None if not stay else Expr("softmax", (broadcast(add(*moved), x.shape),), x.data, x.shape)


def split_shift(x: Expr, axis: int) -> tuple[list[Expr], list[Expr]]:
    """The terms of a sum that vary along an axis, and those that do not."""
    terms = x.args if x.op == "add" else (x,)
    stay = [term for term in terms if keeps(term, (axis,), x.ndim)]
    moved = [term for term in terms if term not in stay]
    return (moved, stay) if moved else (list(terms), [])


@rule("call")
def shift_leaves_a_log_sum(x: Expr) -> Expr | None:
    """log Σ e^(x + c) = c + log Σ e^x: why the max-shift of a stable softmax changes nothing."""
    inner = x.args[0] if x.args else x
    if x.data.name != "log" or inner.op != "sum" or len(inner.data) != 1:
        return None
    e = inner.args[0]
    if e.op != "call" or e.data.name != "exp":
        return None
    moved, stay = split_shift(e.args[0], inner.data[0])
    if not stay:
        return None
    return broadcast(add(*stay, call("log", total(call("exp", broadcast(add(*moved), e.shape)), inner.data))), x.shape)


@rule("compare")
def finite_numbers_are_not_infinite(x: Expr) -> Expr | None:
    """[x = ±∞] = 0: formulas are written for finite numbers."""
    if x.data == "=" and x.args[1].op == "number" and math.isinf(x.args[1].data) and x.args[0].op != "number":
        return broadcast(ZERO, x.shape)
    return None


# Logistic and normal distribution


@rule("mul", "power")
def logistic_found(x: Expr) -> Expr | None:
    """1/(1 + e^(−x)) = e^x/(1 + e^x) = σ(x), and e^(−x)/(1 + e^(−x)) = 1 − σ(x)."""
    value, found = factors(x)
    powers = dict(found)
    for base, exponent in found:
        if base.op != "add" or exponent >= 0 or len(base.args) != 2:
            continue
        exps = [term for term in base.args if term.op == "call" and term.data.name == "exp"]
        if len(exps) != 1 or not any(is_number(term, 1.0) for term in base.args):
            continue
        e, t = exps[0], exps[0].args[0]
        powers[base] += 1.0
        if powers.get(e, 0.0) > 0:
            powers[e] -= 1.0
            whole = call("σ", t)
        else:
            whole = call("σ", minus(t))
        return broadcast(mul(product(value, [(b, p) for b, p in powers.items() if p]), whole), x.shape)
    return None


@rule("call")
def logistic_is_symmetric(x: Expr) -> Expr | None:
    """σ(−x) = 1 − σ(x)."""
    if x.data.name == "σ":
        scale, _ = coefficient(x.args[0])
        if scale < 0:
            return broadcast(add(ONE, minus(call("σ", minus(x.args[0])))), x.shape)
    return None


@rule("add")
def normal_distribution_found(x: Expr) -> Expr | None:
    """1/2 + erf(x/√2)/2 = Φ(x), the distribution function of the normal law."""
    if len(x.args) != 2 or not any(is_number(term) for term in x.args):
        return None
    constant, other = sorted(x.args, key=lambda term: term.op != "number")
    scale, core = coefficient(other)
    if core.op != "call" or core.data.name != "erf" or abs(scale - constant.data) > 1e-15:
        return None
    argument = mul(number(math.sqrt(2.0)), core.args[0])
    return broadcast(mul(number(2.0 * scale), call("Φ", argument)), x.shape)


@rule("mul")
def normal_density_found(x: Expr) -> Expr | None:
    """e^(−x²/2)/√(2π) = φ(x), its density; left alone where another number stands in front."""
    value, found = factors(x)
    for base, exponent in found:
        if exponent == 1.0 and base.op == "call" and base.data.name == "exp":
            scale, core = coefficient(base.args[0])
            front = value * math.sqrt(2 * math.pi)
            if core.op == "power" and core.data == 2.0 and scale < 0 and abs(front - round(front)) < 1e-12:
                t = mul(number(math.sqrt(-2.0 * scale)), core.args[0])
                rest = [pair for pair in found if pair[0] is not base]
                return broadcast(mul(product(float(round(front)), rest), call("φ", t)), x.shape)
    return None


# Conditions


@rule("compare")
def relu_is_positive_where_its_argument_is(x: Expr) -> Expr | None:
    """[relu(x) > 0] = [x > 0]."""
    left, right = x.args
    if x.data in (">", "≤") and is_number(right, 0.0) and left.op == "call" and left.data.name == "relu":
        return compare(x.data, left.args[0], right)
    return None


@rule("add", "mul", "where")
def choice_without_difference(x: Expr) -> Expr | None:
    """A choice is none if both branches are the same formula: worked out for [c] = 1, then for [c] = 0."""
    seen: list[Expr] = []
    for condition in conditions(x):
        if condition in seen:
            continue
        seen.append(condition)
        yes = simple(replaced(x, condition, ONE))
        no = simple(replaced(x, condition, ZERO))
        if inside(yes) == inside(no):
            return broadcast(yes, x.shape)
    return None


POINTWISE = ("add", "mul", "power", "where", "not", "call", "compare")


def conditions(x: Expr) -> Iterator[Expr]:
    """The conditions an expression chooses by, element for element."""
    if x.op == "where":
        yield x.args[0]
    if x.op in POINTWISE and not (x.op == "call" and x.data.key != x.data.name):
        for arg in x.args:
            if x.op != "compare":
                yield from conditions(arg)


def replaced(x: Expr, condition: Expr, value: Expr) -> Expr:
    """x, with a condition decided."""
    if x == condition:
        return broadcast(value, x.shape)
    if inside(negated(condition)) == inside(x):
        return broadcast(ONE if value is ZERO else ZERO, x.shape)
    if x.op in POINTWISE and x.args:
        return rebuilt(x, tuple(replaced(arg, condition, value) for arg in x.args))
    return x


# Products


@rule("reshape")
def rows_folded_again(x: Expr) -> Expr | None:
    """A stack laid flat, multiplied by one matrix and folded again: the product of the stack by that matrix."""
    inner = x.args[0]
    if inner.op != "matmul" or inner.args[0].op != "reshape" or inner.args[1].ndim != 2:
        return None
    stack = inner.args[0].args[0]
    if stack.shape[-1] == inner.args[0].shape[-1] and x.shape == (*stack.shape[:-1], inner.shape[-1]):
        return matmul(stack, inner.args[1])
    return None
