"""Applying rules until none applies: the machine behind `rewriting`, which holds the rules themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinygrad_edu.formulas.algebra import (
    add,
    broadcast,
    call,
    compare,
    factors,
    matmul,
    mul,
    negated,
    power,
    product,
    reduce,
    reshape,
    total,
    transpose,
    where,
)
from tinygrad_edu.formulas.expressions import Expr

__all__ = ["RULES", "Rule", "Simplifier", "rebuilt", "rule"]

Rule = Callable[..., Expr | None]
RULES: dict[str, list[Rule]] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Enter a rule for expressions with these operators; one that asks for it is given the simplifier, too."""

    def enter(one: Rule) -> Rule:
        for op in ops:
            RULES.setdefault(op, []).append(one)
        return one

    return enter


CONSTRUCT: Mapping[str, Callable[[tuple[Expr, ...], Expr], Expr]] = {
    "add": lambda args, x: add(*args),
    "mul": lambda args, x: mul(*args),
    "power": lambda args, x: power(args[0], x.data),
    "matmul": lambda args, x: matmul(*args),
    "transpose": lambda args, x: transpose(args[0], x.data),
    "sum": lambda args, x: total(args[0], x.data),
    "max": lambda args, x: reduce("max", args[0], x.data),
    "min": lambda args, x: reduce("min", args[0], x.data),
    "reshape": lambda args, x: reshape(args[0], x.shape),
    "broadcast": lambda args, x: broadcast(args[0], x.shape),
    "where": lambda args, x: where(*args),
    "compare": lambda args, x: compare(x.data, *args),
    "not": lambda args, x: negated(args[0]),
}


def rebuilt(x: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same operator on other arguments, in normal form; the shape stays."""
    construct = CONSTRUCT.get(x.op)
    if construct is None:
        if x.op == "call" and x.data.key == x.data.name:
            return broadcast(call(x.data.name, *args), x.shape)
        return Expr(x.op, args, x.data, x.shape)
    made = construct(args, x)
    return made if made.shape == x.shape else broadcast(made, x.shape)


class Simplifier:
    """Applies the rules until none does. facts: expressions whose value is known otherwise (Σ of a softmax is 1).

    names: definition → symbol; what equals a definition, or holds it as a factor, is written by its name. whole: the
    definitions that are only looked for as a whole.
    """

    def __init__(self, facts: Mapping[Expr, Expr] | None = None, names: Mapping[Expr, Expr] | None = None) -> None:
        self.facts, self.names = dict(facts or {}), dict(names or {})
        self.whole: set[Expr] = set()
        self.known: dict[Expr, Expr] = {}

    def __call__(self, x: Expr) -> Expr:
        found = self.known.get(x)
        if found is None:
            found = self.known[x] = self.simple(x)
            self.known[found] = found
        return found

    def simple(self, x: Expr) -> Expr:
        if x.args:
            args = tuple(self(arg) for arg in x.args)
            made = rebuilt(x, args)
            if made != x:
                return self(made)
        better = self.facts.get(x) or self.named(x)
        if better is not None:
            return self(better)
        for one in RULES.get(x.op, ()):
            better = one(x, self) if one.__code__.co_argcount == 2 else one(x)
            if better is not None and better != x:
                return self(better)
        return x

    def named(self, x: Expr) -> Expr | None:
        if x in self.names:
            return self.names[x]
        if x.op != "mul":
            return None
        value, found = factors(x)
        powers = dict(found)
        for definition, symbol in self.names.items():
            if definition in self.whole:
                continue
            scale, wanted = factors(definition)
            if len(wanted) < 2:
                continue
            if all(covers(powers.get(base, 0.0), exponent) for base, exponent in wanted):
                rest = {**powers, **{base: powers[base] - exponent for base, exponent in wanted}}
                left = product(value / scale, [(b, p) for b, p in rest.items() if p])
                return broadcast(mul(left, symbol), x.shape)
        return None


def covers(exponent: float, wanted: float) -> bool:
    """Is x^wanted a factor of x^exponent?"""
    return exponent * wanted > 0 and abs(exponent) >= abs(wanted)
