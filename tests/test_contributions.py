"""What a gradient is made of: uses, positions and ways, each adding up to the whole."""

import functools
import math
import operator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, contributions, functional
from tinygrad_edu.errors import NotTrackedError
from tinygrad_edu.render.amounts import norm_of
from tinygrad_edu.render.ledger import ledger_of
from tinygrad_edu.testing import programs
from transformer import Transformer, TransformerConfig


def run(program):
    """The program's leaves that its first output depends on, and that output, summed."""
    leaves = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    outputs = program(*leaves)
    output = np.sum(outputs[0] if isinstance(outputs, tuple) else outputs)
    known = ledger_of(output).gradients
    names = [node.name for node in ledger_of(output).view.nodes if node.number in known]
    return [leaf for leaf in leaves if leaf.name in names], output


def ways_of(ledger, number):
    """Every way from the output to a node, one by one: the parts of its edges."""
    received = ledger.received()

    @functools.cache
    def walk(node):
        if node == ledger.view.output:
            return [1.0]
        norms = [norm_of(share.value) for share in received[node]]
        whole = sum(norms)
        assume(whole > 0 and math.isfinite(whole))
        return [part * norm / whole for share, norm in zip(received[node], norms, strict=True)
                for part in walk(share.giver)]  # fmt: skip

    return walk(number)


@given(programs(steps=8))
def test_ways_are_counted_and_the_strongest_found_as_if_all_had_been_walked(program):
    leaves, output = run(program)
    assume(not any(node.label.endswith("]") for node in ledger_of(output).view.nodes))  # shares of several outputs
    ledger = ledger_of(output)
    for leaf in leaves:
        found = contributions(output, leaf)
        number = next(node.number for node in ledger.view.nodes if node.name == leaf.name)
        assume(ledger.view.output != number)
        walked = ways_of(ledger, number)
        assert found.ways == len(walked) == sum(use.ways for use in found.uses)
        assert found.part == pytest.approx(max(walked), rel=1e-9)
        assert sum(walked) == pytest.approx(1.0, rel=1e-9)
        assert found.strongest[-1] == leaf.name


@given(programs(steps=8))
def test_uses_add_up_to_the_gradient_to_the_last_bit_and_their_fractions_to_one(program):
    leaves, output = run(program)
    for leaf in leaves:
        found = contributions(output, leaf)
        leaf.zero_grad()
        output.backward(retain_graph=True)
        total = functools.reduce(operator.add, [use.value for use in found.uses])
        assert np.array_equal(total, leaf.grad.numpy(), equal_nan=True)
        assert np.array_equal(found.gradient, leaf.grad.numpy(), equal_nan=True)
        if np.any(total) and np.all(np.isfinite(total)):
            size = max(1.0, sum(abs(use.fraction) for use in found.uses))
            assert math.isclose(sum(use.fraction for use in found.uses), 1.0, abs_tol=1e-12 * size)
        for each in leaves:
            each.zero_grad()


@given(programs(steps=8), st.integers(-3, 2))
def test_positions_add_up_to_their_use(program, axis):
    leaves, output = run(program)
    for leaf in leaves:
        for use in contributions(output, leaf, axis=axis).uses:
            if use.positions:
                sizes = sum(np.abs(piece) for piece in use.positions)
                if np.all(np.isfinite(sizes)):
                    assert np.all(np.abs(sum(use.positions) - use.value) <= 1e-13 * sizes.max(initial=0.0))


def model_loss():
    config = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=16, dtype="float64")
    model = Transformer(config, seed=0)
    tokens = np.array([[15, 17, 3, 19, 8, 19, 4, 18]])
    return functional.cross_entropy(model(tokens), np.array([8])), dict(model.named_parameters()), tokens


def test_a_tokens_row_of_the_embedding_gets_its_gradient_from_the_places_where_it_stands():
    loss, weights, tokens = model_loss()
    found = contributions(loss, weights["embedding.weight"], axis=1, labels="Max ( 1 , 6 , 2 )".split())
    (use,) = found.uses
    assert len(use.positions) == 8
    for position, token in enumerate(tokens[0]):
        others = np.delete(use.positions[position], token, axis=0)
        assert not others.any() and use.positions[position][token].any()
    comma = use.positions[3][19] + use.positions[5][19]
    assert np.array_equal(comma, found.gradient[19])
    loss.backward()
    assert np.array_equal(found.gradient, weights["embedding.weight"].grad.numpy())
    assert "position 0 Max" in str(found) and f"{found.ways:,} ways" in str(found)


def test_a_weight_in_the_middle_gets_its_gradient_token_by_token():
    loss, weights, _ = model_loss()
    name = "blocks.0.feed_forward.up.weight"
    (use,) = contributions(loss, weights[name], axis=1).uses
    loss.backward()
    gradient = weights[name].grad.numpy()
    assert np.allclose(sum(use.positions), gradient, rtol=0, atol=1e-15)
    assert all(np.linalg.matrix_rank(piece, tol=1e-12) <= 1 for piece in use.positions), "one outer product a token"


def test_a_weight_used_at_every_time_has_a_use_for_each():
    w = Tensor([[0.5, -0.2], [0.1, 0.3]], requires_grad=True, name="w")
    h = np.array([[1.0, 2.0]])
    for _ in range(5):
        h = np.tanh(h @ w)
    found = contributions(np.sum(h), w)
    assert [use.call for use in found.uses][-1] == "matmul(array, w)" and len(found.uses) == 5
    assert found.ways == 5


def test_ways_may_be_more_than_anybody_can_walk():
    x = y = Tensor(1.0, requires_grad=True, name="x")
    for _ in range(900):
        y = y + y
    found = contributions(y, x)
    assert found.ways == 2**900
    assert found.log_part == pytest.approx(-900 * math.log(2))
    assert "about 10^270 ways" in str(found)


def test_a_gradient_of_zero_and_an_infinite_one_are_told_without_a_warning():
    x = Tensor([1.0, 0.0], requires_grad=True, name="x")
    assert np.isnan(contributions(np.sum(x * 0.0), x).uses[0].fraction)
    assert "– %" in str(contributions(np.sum(np.sqrt(x) + x), x))
    assert contributions(x, x, np.ones(2)).ways == 1


def test_a_tensor_that_the_output_does_not_depend_on_is_refused():
    x, y = (Tensor([1.0], requires_grad=True, name=name) for name in "xy")
    with pytest.raises(NotTrackedError, match=r"does not depend on y \[1\]"):
        contributions(np.sum(x), y)
    with pytest.raises(NotTrackedError, match="the weight is not on any graph"):
        contributions(np.sum(x), Tensor([1.0]))
