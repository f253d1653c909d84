"""The formula of every rule: what it says, computed, is the gradient that the rule gives."""

import numpy as np
import pytest
from calls import OPERATIONS, calls
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.formulas import local_rule
from tinygrad_edu.graph import Pick
from tinygrad_edu.primitive import Primitive

# Rules that look at numbers one by one: they choose an order, or fill an array.
WITHOUT_FORMULA = {"sort"}
PRIMITIVES = [operation for operation in OPERATIONS if isinstance(operation, Primitive)]


def recorded(call):
    """The operation's node of one call, None if nothing was recorded."""
    outputs = call(*[Tensor(a, requires_grad=True) for a in call.arrays])
    node = next((y._node for y in outputs if isinstance(y, Tensor) and y._node is not None), None)
    return node.sources[0] if node is not None and isinstance(node.operation, Pick) else node


def drawn_like(rng, node):
    if isinstance(node.dtype, tuple):
        return tuple(rng.normal(size=shape).astype(t)[()] for shape, t in zip(node.shape, node.dtype, strict=True))
    return rng.normal(size=node.shape).astype(node.dtype)[()]


def agree(found, expected, precision):
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0, where=np.isfinite(expected))))
    np.testing.assert_allclose(found, expected, rtol=precision, atol=precision * scale)


@pytest.mark.parametrize("operation", PRIMITIVES, ids=lambda operation: operation.name)
@settings(max_examples=4)
@given(data=st.data())
def test_the_formula_of_a_rule_computes_its_gradient(operation, data):
    call = data.draw(calls(operation))
    node = recorded(call)
    if node is None or node.operation is not operation:
        return
    rng = np.random.default_rng(0)
    g = drawn_like(rng, node)
    expected = {}
    for place, (argument, rule, needs) in enumerate(node.plan.pullbacks):
        with np.errstate(all="ignore"):
            expected[argument] = rule(g, *[node.saved[k] for k in needs]), node.sources[place]
    for part in local_rule(node):
        if part.expression is None:
            assert operation.name in WITHOUT_FORMULA, f"{operation.name} has no formula"
            with pytest.raises(UnsupportedError):
                part.evaluate(g)
            continue
        share, source = expected[part.place]
        if operation.broadcasts:
            share = summed(share, source.shape)
        found = part.evaluate(g)
        assert found.shape == source.shape
        agree(found, share, 1e-10 if source.dtype == np.float64 else 1e-4)
        assert part.latex.startswith((r"\bar{", r"\overline{")) and part.text.startswith("d") and part.source


def summed(share, shape):
    share = np.asarray(share)
    share = np.broadcast_to(share, np.broadcast_shapes(share.shape, shape))
    extra = share.ndim - len(shape)
    share = share.sum(axis=tuple(range(extra)))
    return share.sum(axis=tuple(k for k, n in enumerate(shape) if n == 1 != share.shape[k]), keepdims=True)


T = np.array([2, 0, 2])
INDICES = {
    "rows of a table": (T, "da = onehot(C)ᵀ dz"),
    "rows of a table, twice": (np.array([[1, 0], [1, 1]]), "da = flat(onehot(C))ᵀ flat(dz)"),
    "one of each row": ((np.arange(3), T), "da = onehot(C) ⊙ dz[:, None]"),
    "a stretch": ((slice(None), slice(1, 3)), "da = put[:, 1:3](dz)"),
    "a row": (1, "da = put[1](dz)"),
    "steps": (slice(None, None, 2), "da = put[::2](dz)"),
    "a new axis": ((slice(None), None), "da = dz"),
    "truth values": (np.array([True, False, True]), "da = put[array(3,)](dz)"),
}


@pytest.mark.parametrize("name", INDICES)
def test_the_way_back_from_an_index_is_a_formula(name):
    index, text = INDICES[name]
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    y = x[index]
    g = rng.normal(size=y.shape)
    (part,) = local_rule(y._node)
    assert part.text == text
    y.backward(Tensor(g))
    np.testing.assert_allclose(part.evaluate(g), x.grad.numpy(), rtol=1e-14)
