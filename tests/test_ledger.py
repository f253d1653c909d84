"""The ledger of a backward pass: what it lists is what the engine did, to the last bit."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, checkpoint
from tinygrad_edu.backward import reverse
from tinygrad_edu.errors import CotangentError, FreedGraphError, NotTrackedError
from tinygrad_edu.render.ledger import ledger_of
from tinygrad_edu.testing import programs


def run(program):
    """The program's leaves, the first of its outputs, and a cotangent for it."""
    leaves = [Tensor(x, requires_grad=True) for x in program.inputs]
    outputs = program(*leaves)
    output = outputs[0] if isinstance(outputs, tuple) else outputs
    return leaves, output, np.cos(np.arange(output.size, dtype=output.dtype)).reshape(output.shape)[()]


@given(programs())
def test_whoever_listens_to_a_pass_changes_no_bit_of_it(program):
    """He may keep every array that he is told of: none of them is written into afterwards."""
    _, output, seed = run(program)
    told = []
    heard = reverse({output._node: seed}, tell=lambda *what: told.append((what, [np.copy(x) for x in what[2:4]])))
    alone = reverse({output._node: seed})
    assert heard.keys() == alone.keys()
    assert all(np.array_equal(heard[node], alone[node], equal_nan=True) for node in alone)
    assert told
    for (_, _, g, made, *_), (g_then, made_then) in told:
        assert type(g) is tuple or np.array_equal(g, g_then, equal_nan=True)
        assert np.array_equal(made, made_then, equal_nan=True)


def bits(x):
    x = np.asarray(x)
    return x.dtype, x.shape, x.tobytes()


@given(programs())
def test_every_gradient_is_the_listed_sum_to_the_last_bit(program):
    leaves, output, seed = run(program)
    ledger = ledger_of(output, seed)
    output.backward(seed)
    received = ledger.received()
    grads = [leaf.grad for leaf in leaves if leaf.grad is not None]
    assert sorted(map(bits, ledger.gradients.values())) == sorted(bits(g.numpy()) for g in grads)
    arrived = dict(ledger.gradients)
    arrived |= {step.node: step.cotangent for step in ledger.steps}
    assert arrived.pop(ledger.view.output) is ledger.seed
    for number, whole in arrived.items():
        for place, g in enumerate(whole) if type(whole) is tuple else [(None, whole)]:
            total = None
            for share in received[number]:
                if share.place == place:
                    total = share.value if total is None else total + share.value
                    assert bits(share.total) == bits(total), "the running sum"
            assert bits(g) == bits(np.zeros_like(g) if total is None else total)


def test_a_running_sum_runs_through_all_shares_of_a_value_that_is_used_often():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    h = np.sin(x)
    ledger = ledger_of(np.sum(h * 2.0 + h * 3.0 + np.exp(h) + h * h))
    for number in (0, 1):
        shares = ledger.received()[number]
        sums = list(itertools.accumulate(share.value for share in shares))
        assert [share.total.tolist() for share in shares] == [each.tolist() for each in sums]
    assert len(ledger.received()[1]) == 5


@given(programs())
def test_every_edge_that_carries_a_gradient_has_one_share(program):
    """And none that carries none; a node has its turn after all that use it."""
    _, output, seed = run(program)
    ledger = ledger_of(output, seed)
    nodes = ledger.view.nodes
    carrying = Counter(
        (edge.source, edge.target, edge.argument, edge.name)
        for edge in ledger.view.edges
        if nodes[edge.source].kind != "constant"
    )
    assert carrying == Counter((share.receiver, share.giver, share.argument, share.name) for share in ledger.shares)
    assert set(carrying.values()) <= {1}
    turn = {step.node: step.number for step in ledger.steps}
    assert len(turn) == len(ledger.steps) == sum(node.kind == "operation" for node in nodes)
    assert all(share.step == turn[share.giver] for share in ledger.shares)
    assert all(share.step < turn[share.receiver] for share in ledger.shares if share.receiver in turn)


@given(programs())
def test_a_ledger_leaves_everything_as_it_was(program):
    leaves, output, seed = run(program)
    ledger_of(output, seed)
    assert all(leaf.grad is None for leaf in leaves)
    output.backward(seed)
    assert any(leaf.grad is not None for leaf in leaves)


def test_a_product_with_itself_has_two_shares_and_a_broadcast_one_is_summed_back():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="x")
    b = Tensor([0.5, 0.25], requires_grad=True, name="b")
    ledger = ledger_of(np.sum(x * x + b))
    summing, adding, squaring = ledger.steps
    assert [ledger.view.nodes[step.node].label for step in ledger.steps] == ["sum", "add", "multiply"]
    assert [(share.made, share.summed) for share in adding.shares] == [((2, 2), False), ((2, 2), True)]
    assert adding.shares[1].value.tolist() == [2.0, 2.0]
    assert [share.name for share in squaring.shares] == ["x", "y"]
    assert [share.total.tolist() for share in squaring.shares] == [x.data.tolist(), (2 * x.data).tolist()]
    assert squaring.shares[0].rule.source == "lambda g, y: g * y"
    assert dict(squaring.kept)["x"].tolist() == x.data.tolist()
    assert summing.shares[0].rule.where.startswith("reductions.py:")


def test_a_pass_that_cannot_be_walked_says_why():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(NotTrackedError, match="no backward pass"):
        ledger_of(Tensor([1.0]))
    with pytest.raises(CotangentError, match="scalar"):
        ledger_of(x * x)
    loss = np.sum(x * x)
    loss.backward()
    with pytest.raises(FreedGraphError, match="retain_graph=True"):
        ledger_of(loss)
    leaf = ledger_of(x, np.ones(2))
    assert leaf.steps == () and leaf.gradients[0].tolist() == [1.0, 1.0]


@given(programs(), st.integers(0, 12))
def test_the_beginning_of_a_pass_is_told_as_the_whole_would_tell_it(program, steps):
    """Sums, too, though they come about when later steps are no longer kept."""
    _, output, seed = run(program)
    whole, beginning = ledger_of(output, seed), ledger_of(output, seed, steps=steps)
    assert whole.turns == len(whole.steps) == beginning.turns
    assert len(beginning.steps) == min(steps, whole.turns)
    for one, other in zip(beginning.shares, whole.shares, strict=False):
        assert (one.giver, one.receiver, one.argument) == (other.giver, other.receiver, other.argument)
        assert bits(one.value) == bits(other.value)
        assert bits(one.total) == bits(other.total)
    assert beginning.counts == whole.counts == Counter((share.receiver, share.place) for share in whole.shares)
    assert {k: bits(g) for k, g in beginning.gradients.items()} == {k: bits(g) for k, g in whole.gradients.items()}


def test_a_formula_goes_with_each_share_where_it_is_asked_for():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    squared = checkpoint(lambda a: a * a)(x)
    ledger = ledger_of(np.sum(np.tanh(squared)), formulas=True)
    assert [share.formula for share in ledger.shares] == ["da = dz 𝟏", "dx = dz ⊙ (1 − z²)", None, None]
    assert ledger.shares[0].shapes == "() → (1, 2)"
    assert [share.formula for share in ledger_of(np.sum(np.tanh(squared))).shares] == [None] * 4
