"""Functions that go by a name, found in what they are made of: softmax, the logistic function, the normal law."""

from __future__ import annotations

import math

from tinygrad_edu.formulas.algebra import (
    ONE,
    add,
    broadcast,
    call,
    coefficient,
    factors,
    is_number,
    minus,
    mul,
    product,
    split_terms,
    total,
)
from tinygrad_edu.formulas.expressions import Expr, number
from tinygrad_edu.formulas.simplifier import rule

__all__: list[str] = []

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
    if x.op != "add":
        return [x], []
    moved, stay = split_terms(x, (axis,), x.ndim)
    return (moved, stay) if moved else (list(x.args), [])


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


@rule("mul")
def odds(x: Expr) -> Expr | None:
    """e^x (1 − σ(x)) = σ(x), and e^(−x) σ(x) = 1 − σ(x): the odds of σ are e^x."""
    value, found = factors(x)
    powers = dict(found)
    for base, exponent in found:
        if exponent <= 0 or base.op != "call" or base.data.name != "exp":
            continue
        t = base.args[0]
        for factor, made in (
            (add(ONE, minus(call("σ", t))), call("σ", t)),
            (call("σ", minus(t)), add(ONE, minus(call("σ", minus(t))))),
        ):
            if powers.get(factor, 0.0) > 0:
                rest = {**powers, base: exponent - 1.0, factor: powers[factor] - 1.0}
                return broadcast(mul(product(value, [(b, p) for b, p in rest.items() if p]), made), x.shape)
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
