"""Every rule of simplification, and every constructor, keeps the value: before = after, on drawn numbers."""

import functools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_derive import CASES, GOLDEN, case

from tinygrad_edu import functional as F
from tinygrad_edu.formulas import derive, simplifier
from tinygrad_edu.formulas.expressions import Expr, array, elementwise, evaluate, number, size_of, symbol, walk
from tinygrad_edu.formulas.rewriting import Simplifier

RULES = {one.__name__: one for rules in simplifier.RULES.values() for one in rules}


def values_of(expr, rng):
    """Positive numbers for each symbol: also for those under a root, a logarithm or a quotient."""
    ids = {one.args[0]: one.data for one in walk(expr) if one.op == "onehot"}
    return {
        one.data: rng.integers(ids[one], size=one.shape) if one in ids else rng.uniform(0.5, 2.0, size=one.shape)
        for one in walk(expr) if one.op == "symbol"
    }  # fmt: skip


def assert_same_value(before, after, seed):
    known = values_of(before, np.random.default_rng(seed)) | values_of(after, np.random.default_rng(seed))
    left, right = evaluate(before, known), evaluate(after, known)
    assert after.shape == before.shape == np.shape(left) == np.shape(right), f"{before}\nbecame\n{after}"
    np.testing.assert_allclose(right, left, rtol=1e-10, atol=1e-12, err_msg=f"{before}\nbecame\n{after}")


@functools.cache
def applied():
    """Rule → the expressions it met and what it made of them, in all derivations that the tests know."""
    found = {name: [] for name in RULES}

    def watched(one):
        def apply(x, simple):
            better = one(x, simple) if one.__code__.co_argcount == 2 else one(x)
            alone = one(x, Simplifier()) if one.__code__.co_argcount == 2 else better  # knowing of no names
            if alone is not None and alone != x:
                found[one.__name__].append((x, alone))
            return better

        return apply

    before = {op: list(rules) for op, rules in simplifier.RULES.items()}
    try:
        for op, rules in before.items():
            simplifier.RULES[op] = [watched(one) for one in rules]
        for f, inputs, _ in GOLDEN.values():
            derive(f, **inputs)
        for name in CASES:
            forward, arrays, constants, _ = case(name, seed=1)
            derive(forward, wrt=tuple(arrays), **arrays, **{k: v for k, v in constants.items() if k in HELD})
        derive(F.attention, q="T d", k="S d", v="S e", mask="T S bool")
        derive(F.gelu, x="N D", approximate="tanh")
        derive(F.softmax, x="N V", kernels=True)
    finally:
        simplifier.RULES.update(before)
    return found


HELD = ("targets", "w", "keep", "mask", "ids", "valid", "table", "target")


@pytest.mark.parametrize("name", RULES)
def test_a_rule_keeps_the_value(name):
    pairs = list(dict.fromkeys(applied()[name]))
    assert pairs, f"{name} was never used: no formula needs it"
    for k, (before, after) in enumerate(pairs[:20]):
        assert_same_value(before, after, seed=k)


def test_every_rule_says_why():
    assert all(one.__doc__ for one in RULES.values())


# Any expression at all


SHAPES = [(), (3,), (1, 3), (2, 1), (2, 3), (2, 2, 3)]
LEAVES = [symbol(f"x{k}", shape) for k, shape in enumerate(SHAPES)]


def chosen(rng, options):
    return options[rng.integers(len(options))]


def drawn(rng, depth):
    """An expression as a rule might leave it: nothing in normal form."""
    if not depth or rng.random() < 0.15:
        return chosen(rng, [*LEAVES, number(chosen(rng, [0.0, 1.0, -1.0, 0.5, 3.0])), array(np.arange(1.0, 4.0), "C")])
    x, y = drawn(rng, depth - 1), drawn(rng, depth - 1)
    axes = tuple(k for k in range(x.ndim) if rng.random() < 0.6)
    order = tuple(int(k) for k in rng.permutation(x.ndim))
    above = Expr("compare", (x, number(1.0)), ">", x.shape)
    shape = chosen(rng, [(size_of(x.shape),), (1, *x.shape), (*x.shape, 1), (*x.shape[:1], size_of(x.shape[1:]))])
    made = {
        "add": lambda: Expr("add", (x, y), None, np.broadcast_shapes(x.shape, y.shape)),
        "mul": lambda: Expr("mul", (x, y), None, np.broadcast_shapes(x.shape, y.shape)),
        "where": lambda: Expr("where", (above, x, y), None, np.broadcast_shapes(x.shape, y.shape)),
        "compare": lambda: Expr("compare", (x, y), chosen(rng, "><≥≤=≠"), np.broadcast_shapes(x.shape, y.shape)),
        "not": lambda: Expr("not", (above,), None, x.shape),
        "power": lambda: Expr("power", (x,), chosen(rng, [2.0, -1.0, 0.5, 3.0]), x.shape),
        "call": lambda: Expr("call", (x,), elementwise(chosen(rng, ["exp", "tanh", "σ", "erf", "relu"])), x.shape),
        "broadcast": lambda: Expr("broadcast", (x,), None, np.broadcast_shapes((2, 2, 3), x.shape)),
        "reshape": lambda: Expr("reshape", (x,), None, shape),
        "sum": lambda: Expr("sum", (x,), axes, kept(x.shape, axes)) if axes else x,
        "max": lambda: Expr("max", (x,), axes, kept(x.shape, axes)) if axes else x,
        "softmax": lambda: Expr("softmax", (x,), x.ndim - 1, x.shape) if x.ndim else x,
        "transpose": lambda: Expr("transpose", (x,), order, tuple(x.shape[k] for k in order)),
        "matmul": lambda: Expr("matmul", (x, y), None, np.matmul(np.empty(x.shape), np.empty(y.shape)).shape),
    }
    try:
        return made[chosen(rng, list(made))]()
    except ValueError:  # shapes that do not fit
        return x


def kept(shape, axes):
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


@settings(max_examples=300, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_simplified_expression_has_the_same_value_and_stays_as_it_is(seed):
    rng = np.random.default_rng(seed)
    expr = drawn(rng, 4)
    known = {leaf.data: rng.uniform(0.5, 2.0, size=leaf.shape) for leaf in LEAVES}
    before = evaluate(expr, known)
    simple = Simplifier()(expr)
    assert simple.shape == expr.shape == np.shape(before)
    assert Simplifier()(simple) == simple
    if not np.isfinite(before).all() or np.abs(before).max(initial=0.0) > 1e8:
        return  # outside of the domain of its functions
    np.testing.assert_allclose(evaluate(simple, known), before, rtol=1e-8, atol=1e-8, err_msg=f"{expr}\n{simple}")
