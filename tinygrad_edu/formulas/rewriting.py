"""What a person does to a formula: a small set of rules, each with its argument, each tested on drawn numbers.

Formulas are written for finite numbers inside the domain of their functions: there e^x > 0, and x/x is 1.
A rule takes an expression whose arguments are simple already, and returns a better one of the same value, or None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from tinygrad_edu.formulas import distributions, joining  # they enter their rules
from tinygrad_edu.formulas.algebra import (
    ONE,
    ZERO,
    add,
    broadcast,
    coefficient,
    factors,
    inside,
    is_number,
    matmul,
    mul,
    negated,
    power,
    product,
    reduce,
    reshape,
    split_terms,
    squeezed,
    total,
)
from tinygrad_edu.formulas.expressions import Expr, number
from tinygrad_edu.formulas.simplifier import RULES, Simplifier, rebuilt, rule

__all__ = ["RULES", "Simplifier", "distributions", "joining"]

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
def shared_by_some(x: Expr, simple: Simplifier) -> Expr | None:
    """ab + ac + d = a(b + c) + d, for an a that is a sum itself, or divides: to write it twice would be long."""
    if len(x.args) < 3:
        return None
    for term in x.args:
        for base, exponent in factors(term)[1]:
            group = [one for one in x.args if dict(factors(one)[1]).get(base) == exponent]
            if (base.op == "add" or exponent < 0) and 1 < len(group) < len(x.args):
                lone = [one for one in x.args if one not in group]
                return broadcast(add(simple(add(*group)), *lone), x.shape)
    return None


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
def sum_of_a_sum(x: Expr, simple: Simplifier) -> Expr | None:
    """Σ (a + b) = Σ a + Σ b, where that is shorter: where a part vanishes, or is the same along the axis."""
    inner = x.args[0]
    if inner.op != "add":
        return None
    moved, stay = split_terms(inner, x.data, inner.ndim)
    if moved and stay:
        each = [total(broadcast(add(*terms), inner.shape), x.data) for terms in (moved, stay)]
        return broadcast(add(*each), x.shape)
    parts = [simple(total(broadcast(term, inner.shape), x.data)) for term in inner.args]
    split = add(*parts)
    return broadcast(split, x.shape) if split.cost < x.cost else None


@rule("sum")
def probabilities_sum_to_one(x: Expr) -> Expr | None:
    """Σ softmax(x) = 1 along its axis; so does a one-hot row, which has a single 1."""
    inner = x.args[0]
    axis = inner.data if inner.op == "softmax" else inner.ndim - 1
    return broadcast(ONE, x.shape) if inner.op in ("softmax", "onehot") and x.data == (axis,) else None


@rule("sum")
def weights_that_sum_to_a_number(x: Expr, simple: Simplifier) -> Expr | None:
    """Σ y (a + c) = Σ y a + c Σ y, for c the same along the axis, where Σ y is a number: 1 for a one-hot row."""
    value, found = factors(x.args[0])
    sums = [base for base, exponent in found if base.op == "add" and exponent == 1.0]
    if len(sums) != 1 or len(found) < 2:
        return None
    moved, stay = split_terms(sums[0], x.data, x.args[0].ndim)
    weights = product(value, [(base, exponent) for base, exponent in found if base is not sums[0]])
    weights = broadcast(weights, x.args[0].shape)
    whole = simple(total(weights, x.data))
    if not stay or not is_number(whole):
        return None
    rest = [total(mul(weights, add(*moved)), x.data)] if moved else []
    return broadcast(add(*rest, mul(add(*stay), whole)), x.shape)


# Conditions


@rule("compare")
def finite_numbers_are_not_infinite(x: Expr) -> Expr | None:
    """[x = ±∞] = 0: formulas are written for finite numbers."""
    left, right = x.args
    if x.data in ("=", "≠") and right.op == "number" and math.isinf(right.data) and left.op != "number":
        return broadcast(ZERO if x.data == "=" else ONE, x.shape)
    return None


@rule("add", "mul", "where")
def choice_without_difference(x: Expr, simple: Simplifier) -> Expr | None:
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


# Stacks laid flat


@rule("add", "mul", "power", "call")
def flat_at_the_end(x: Expr) -> Expr | None:
    """flat(a) + flat(b) = flat(a + b): what works element by element does not care how the elements are laid."""
    scaled = [coefficient(arg) if arg.ndim else (1.0, arg) for arg in x.args]
    arrays = [core for _, core in scaled if core.ndim]
    if (x.op == "call" and x.data.key != x.data.name) or not arrays:
        return None
    if any(arg.op != "reshape" or squeezed(arg) for arg in arrays) or len({arg.args[0].shape for arg in arrays}) != 1:
        return None
    if any(arg.shape != x.shape for arg in arrays):
        return None
    args = tuple(mul(number(value), arg.args[0]) if arg.ndim else arg for value, arg in scaled)
    return reshape(rebuilt(Expr(x.op, x.args, x.data, arrays[0].args[0].shape), args), x.shape)


@rule("softmax", "sum", "max", "min", "onehot")
def rows_stay_rows(x: Expr) -> Expr | None:
    """What is done to each row is done to the same rows, whether they are laid flat or not."""
    inner = x.args[0]
    if inner.op != "reshape" or squeezed(inner):
        return None
    stack = inner.args[0]
    if x.op == "onehot":
        return reshape(Expr("onehot", (stack,), x.data, (*stack.shape, x.data)), x.shape)
    if x.op == "sum" and len(x.data) == inner.ndim:
        return reshape(total(stack, range(stack.ndim)), x.shape)
    last = x.data == inner.ndim - 1 if x.op == "softmax" else x.data == (inner.ndim - 1,)
    if not last or stack.shape[-1] != inner.shape[-1]:
        return None
    if x.op == "softmax":
        return reshape(Expr("softmax", (stack,), stack.ndim - 1, stack.shape), x.shape)
    made = total(stack, (-1,)) if x.op == "sum" else reduce(x.op, stack, (-1,))
    return reshape(made, x.shape)


# Products


@rule("reshape")
def rows_folded_again(x: Expr) -> Expr | None:
    """A stack laid flat, multiplied by one matrix and folded again: the product of the stack by that matrix."""
    inner = x.args[0]
    if inner.op != "matmul" or inner.args[0].op != "reshape" or inner.args[1].ndim != 2:
        return None
    stack = inner.args[0].args[0]
    lead = stack.shape[:-1]
    if stack.shape[-1] == inner.args[0].shape[-1] and x.shape[: len(lead)] == lead:
        return reshape(matmul(stack, inner.args[1]), x.shape)
    return None
