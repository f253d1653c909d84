"""The graph: how it is walked, how gradients add up, and what a second walk finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, gradients, primitive
from tinygrad_edu.errors import FreedGraphError, NotTrackedError


def leaf(values):
    return Tensor(values, requires_grad=True)


# Walking


def test_every_consumer_adds_its_share_before_a_cotangent_goes_on():
    """b = a + a; c = b + b: plain recursion gives 8."""
    a = leaf(1.0)
    b = a + a
    (b + b).backward()
    assert a.grad.item() == 4.0


def test_shares_that_arrive_late_still_count():
    a = leaf(2.0)
    b = a * a
    c = b * 3.0
    d = np.exp(a) + b  # recorded after c, and reaches b again
    (c * d).backward()
    value = np.exp(2.0)
    assert a.grad.item() == pytest.approx(12.0 * (value + 4.0) + 12.0 * (value + 4.0))


def test_a_chain_of_a_hundred_thousand_operations_does_not_recurse():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_a_long_chain_that_is_dropped_unused_does_not_recurse():
    y = leaf(np.ones(2))
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_reuse_costs_nodes_not_paths():
    """Thirty doublings have 2³⁰ paths and 30 nodes: each rule runs once for each argument."""
    runs = []

    def rule(g):
        runs.append(1)
        return g

    @primitive(rule, rule, broadcasts=True)
    def together(x, y):
        return x + y

    a = leaf(1.0)
    b = a
    for _ in range(30):
        b = together(b, b)
    b.backward()
    assert a.grad.item() == 2.0**30
    assert len(runs) == 60


def test_nobody_computes_a_cotangent_that_nobody_wants():
    runs = []

    @primitive(lambda g, y: g * y, lambda g, x: runs.append(1) or g * x, broadcasts=True)
    def times(x, y):
        return x * y

    x, y = leaf(3.0), leaf(4.0)
    assert gradients(times(x, y), x).item() == 4.0
    times(x, 5.0).backward()
    assert not runs


@settings(max_examples=60)
@given(data=st.data())
def test_random_graphs_agree_with_forward_accumulation(data):
    """Draw sums and products over earlier values, tensors reused at will; carry the derivative along by hand."""
    count = data.draw(st.integers(1, 3))
    values = [float(k + 1) / 2 for k in range(count)]
    tensors = [leaf(value) for value in values]
    pool = [(t, v, np.eye(count)[k]) for k, (t, v) in enumerate(zip(tensors, values, strict=True))]
    for _ in range(data.draw(st.integers(1, 12))):
        (a, x, dx), (b, y, dy) = (pool[data.draw(st.integers(0, len(pool) - 1))] for _ in range(2))
        made = {
            "add": lambda: (a + b, x + y, dx + dy),  # noqa: B023
            "sub": lambda: (a - b, x - y, dx - dy),  # noqa: B023
            "mul": lambda: (a * b, x * y, x * dy + y * dx),  # noqa: B023
            "sin": lambda: (np.sin(a), np.sin(x), np.cos(x) * dx),  # noqa: B023
        }[data.draw(st.sampled_from(["add", "sub", "mul", "sin"]))]()
        pool.append(made)
    result, value, expected = pool[-1]
    result.backward()
    assert result.item() == pytest.approx(value, rel=1e-12)
    found = [0.0 if t.grad is None else t.grad.item() for t in tensors]
    assert found == pytest.approx(list(expected), rel=1e-12, abs=1e-12)


# Accumulating


def test_a_second_graph_adds_exactly_once_to_a_gradient():
    x = leaf(3.0)
    (x * x).backward()
    (x * 5.0).backward()
    assert x.grad.item() == 11.0
    x.zero_grad()
    assert x.grad is None


def test_accumulation_is_the_sum_bit_for_bit():
    w = leaf(np.random.default_rng(0).standard_normal((3, 3)))
    parts = [np.random.default_rng(k).standard_normal((2, 3)) for k in range(4)]
    alone = []
    for part in parts:
        np.sum(np.tanh(part @ w)).backward()
        alone.append(w.grad.numpy())
        w.zero_grad()
    for part in parts:
        np.sum(np.tanh(part @ w)).backward()
    np.testing.assert_array_equal(w.grad.numpy(), ((alone[0] + alone[1]) + alone[2]) + alone[3])


def test_adding_to_a_gradient_leaves_the_one_handed_out_before_alone():
    x = leaf([1.0, 2.0])
    np.sum(x * 2.0).backward()
    first = x.grad
    np.sum(x * 3.0).backward()
    assert first.tolist() == [2.0, 2.0]
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_gradient_is_never_the_callers_cotangent():
    x, c = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    (x + 0.0).backward(c)
    c[:] = 0.0
    assert x.grad.tolist() == [3.0, 4.0]
    x.zero_grad()
    c = np.array([3.0, 4.0])
    x.backward(c)
    c[:] = 0.0
    assert x.grad.tolist() == [3.0, 4.0]


def test_a_cotangent_handed_on_to_two_places_is_not_added_into():
    """s + x gives both the very same array; x then gets a second share, and s must not see it."""
    x, y, c = leaf([1.0, 2.0]), leaf([3.0, 4.0]), np.array([5.0, 6.0])
    s = x + y
    (s + x).backward(c)
    assert x.grad.tolist() == [10.0, 12.0]
    assert y.grad.tolist() == [5.0, 6.0]
    assert c.tolist() == [5.0, 6.0]


def test_every_use_of_one_of_several_outputs_counts():
    a = leaf(np.diag([1.0, 2.0]))
    w, _ = np.linalg.eigh(a)
    first, second = w[0] * 3.0, w * w
    np.sum(second + first).backward()
    np.testing.assert_allclose(a.grad.numpy(), np.diag([2.0 + 6.0, 4.0]))


def test_two_leaves_of_one_sum_do_not_share_a_gradient():
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    np.sum(x + y).backward()
    assert not np.shares_memory(x.grad.data, y.grad.data)
    x.grad.data[:] = 9.0
    assert y.grad.tolist() == [1.0, 1.0]


# Several walks over one graph


def test_a_graph_can_be_walked_once():
    x = leaf(3.0)
    y = np.exp(x * x)
    y.backward()
    with pytest.raises(FreedGraphError, match=r"^\w+, recorded at test_engine_graph\.py:\d+: .*retain_graph=True"):
        y.backward()
    assert x.grad.item() == pytest.approx(6.0 * np.exp(9.0))


def test_a_freed_part_is_refused_from_a_graph_built_upon_it():
    x = leaf(3.0)
    y = x * x
    y.backward()
    before = x.grad.item()
    with pytest.raises(FreedGraphError):
        (y * 2.0).backward()
    assert x.grad.item() == before


def test_a_retained_graph_can_be_walked_again():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


def test_gradients_leaves_the_graph_and_grad_alone():
    x = leaf(3.0)
    y = x * x
    assert [gradients(y, x).item() for _ in range(2)] == [6.0, 6.0]
    assert x.grad is None


@pytest.mark.parametrize("f", [np.exp, np.sin, lambda x: x * x * x, lambda x: 1.0 / x, lambda x: x**4])
def test_third_derivatives_come_from_the_same_rules(f):
    x = leaf(0.7)
    y = f(x)
    for _ in range(3):
        y = gradients(y, x, create_graph=True)
    exact = {0: np.exp(0.7), 1: -np.cos(0.7), 2: 6.0, 3: -6.0 / 0.7**4, 4: 24 * 0.7}
    assert any(y.item() == pytest.approx(value, rel=1e-12) for value in exact.values())


def test_backward_with_create_graph_makes_a_gradient_that_can_be_differentiated():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    slope = x.grad
    assert slope.item() == 12.0
    x.zero_grad()
    slope.backward()
    assert x.grad.item() == 12.0


def test_a_gradient_taken_without_create_graph_is_a_constant():
    x = leaf(2.0)
    g = gradients(x**3, x)
    assert not g.requires_grad
    with pytest.raises(NotTrackedError):
        g.backward()


def test_a_gradient_of_something_in_the_middle_is_kept_when_asked():
    x = leaf(3.0)
    y = (x * x).retain_grad()
    (y * 5.0).backward()
    assert (y.grad.item(), x.grad.item()) == (5.0, 30.0)


def test_a_gradient_of_something_in_the_middle_needs_nothing_from_before_it():
    x = leaf(3.0)
    y = x * x
    y.backward()
    assert gradients(y * y, y).item() == 18.0


def test_a_node_in_the_middle_keeps_no_gradient_unasked():
    x = leaf(3.0)
    y = x * x
    (y * 5.0).backward()
    assert y.grad is None
