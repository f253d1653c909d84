"""A profile's parts are the operations that ran, add up to the whole, and nest in its trace."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, no_grad, profile, scope
from tinygrad_edu.backward import reverse
from tinygrad_edu.graph import Pick
from tinygrad_edu.testing import programs

sizes = st.integers(1, 6)


def leaf(*shape):
    return Tensor(np.random.default_rng(0).normal(size=shape), requires_grad=True)


def events(f):
    return profile(f, warmup=0).events


@given(n=sizes, k=sizes, m=sizes, batch=st.lists(sizes, max_size=2))
@settings(max_examples=40)
def test_a_matmul_multiplies_as_many_pairs_forward_as_for_each_of_its_shares(n, k, m, batch):
    x, y = leaf(*batch, n, k), leaf(k, m)
    pairs = int(np.prod(batch, dtype=int)) * n * k * m
    found = events(lambda: (x @ y).backward(np.ones((*batch, n, m))))
    assert [(event.name, event.phase, event.flops) for event in found] == [
        ("matmul", "forward", 2 * pairs), ("matmul", "backward", 2 * pairs), ("matmul", "backward", 2 * pairs)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("f", "flops"),
    [
        (lambda x: np.einsum("ij,kj->ik", x, np.ones((5, 4))), 2 * 3 * 4 * 5),
        (lambda x: np.einsum("...j,j", x, np.ones(4)), 2 * 3 * 4),
        (lambda x: x + 1.0, 12),
        (lambda x: x.sum(), 12),
        (lambda x: x.T, 0),
        (lambda x: x[1:], 0),
        (lambda x: functional.linear(x, np.ones((4, 7)), np.ones(7)), 2 * 3 * 4 * 7),
    ],
)
def test_arithmetic_is_counted_and_moving_is_not(f, flops):
    x = leaf(3, 4)
    (event,) = events(lambda: f(x))
    assert event.flops == flops


def test_an_attention_multiplies_twice_as_many_pairs_for_its_three_cotangents_as_forward():
    x = leaf(2, 3, 12)
    forward, backward = events(lambda: functional.self_attention(x, 2)[0].backward(np.ones((2, 3, 4))))
    assert (forward.flops, backward.flops) == (2 * 2 * (2 * 3 * 3 * 4), 2 * 4 * (2 * 3 * 3 * 4))


def test_a_view_makes_no_bytes_and_an_array_its_own():
    x = leaf(3, 4)
    view, array = events(lambda: x.T * 2.0)
    assert (view.bytes, array.bytes) == (0, 96)
    (merged,) = events(lambda: functional.linear(leaf(2, 3, 4), np.ones((4, 7)), np.ones(7)))
    assert merged.bytes == 2 * 3 * 7 * 8  # a view of its own product


def test_the_parts_add_up_and_follow_each_other():
    x = leaf(8, 8)
    found = profile(lambda: np.sum(np.tanh(x @ x) ** 2).backward())
    assert sum(event.seconds for event in found.events) == pytest.approx(found.seconds)
    place = 0.0
    for event in found.events:
        assert event.start == pytest.approx(place) and event.seconds >= 0
        place = event.start + event.seconds
    for by in ("operation", "scope", "line"):
        rows = found.rows(by).values()
        assert sum(row["forward"] + row["backward"] for row in rows) == pytest.approx(found.seconds)
        assert sum(row["calls"] for row in rows) == 4
        spent = [row["forward"] + row["backward"] for row in rows]
        assert spent == sorted(spent, reverse=True)


@settings(max_examples=25)
@given(program=programs())
def test_every_share_of_a_backward_pass_is_there_once(program):
    leaves = [Tensor(value, requires_grad=True) for value in program.inputs]
    out = program(*leaves)
    parts = [np.sum(part) for part in (out if isinstance(out, tuple) else (out,))]
    loss = sum(parts)
    shares = []
    reverse({loss._node: np.ones(())[()]}, tell=lambda node, *rest: shares.append(node))
    told = [event for event in events(lambda: loss.backward(retain_graph=True)) if event.phase == "backward"]
    assert [event.name for event in told] == [node.label for node in shares if not isinstance(node.operation, Pick)]


def test_scopes_and_lines_tell_where():
    x = leaf(3)

    def f():
        with scope("layer"), scope("inner"):
            return np.exp(x)

    (event,) = events(f)
    assert event.scope == "layer.inner" and event.line.startswith("test_profiler.py:")


def test_the_backward_pass_has_the_scope_and_the_line_of_what_it_differentiates():
    x = leaf(3)

    def f():
        with scope("layer"):
            y = np.exp(x)
        y.backward(np.ones(3))

    forward, backward = events(f)
    assert (backward.phase, backward.scope, backward.line) == ("backward", "layer", forward.line)


def test_the_trace_holds_every_event_inside_its_scopes(tmp_path):
    x = leaf(3)

    def f():
        with scope("a"):
            y = np.exp(x)
            with scope("b"):
                y = np.tanh(y)
        y.backward(np.ones(3))

    found = profile(f)
    found.save_trace(tmp_path / "trace.json")
    slices = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {each["ph"] for each in slices} == {"X"}
    names = [each["name"] for each in slices]
    assert names == ["forward", "a", "exp", "b", "tanh", "backward", "a", "b", "tanh", "exp"]
    spans = [(each["ts"], each["ts"] + each["dur"]) for each in slices]
    for k, (start, end) in enumerate(spans):  # each lies inside one that is still open, or after it
        assert all(begun <= start and (end <= over + 1e-3 or start >= over - 1e-3) for begun, over in spans[:k])


def test_the_table_names_the_most_expensive_first_and_says_what_it_leaves_out():
    x = leaf(3)
    found = profile(lambda: np.exp(np.tanh(np.sin(x))))
    lines = found.table(limit=2).splitlines()
    assert lines[0].split()[0] == "operation" and lines[-1].split()[0] == "all" and "... 1 more" in lines[-2]
    assert str(found) == found.table()
    assert isinstance(found.value, Tensor)


def test_without_a_graph_only_the_forward_pass_is_there():
    x = leaf(3)

    def f():
        with no_grad():
            return np.exp(x)

    assert [event.phase for event in events(f)] == ["forward"]


def test_what_the_function_raises_comes_through_and_nothing_stays_on():
    x = leaf(3)
    with pytest.raises(ZeroDivisionError):
        profile(lambda: 1 / 0)
    with pytest.raises(TypeError, match="pass a function"):
        profile(x)
    with pytest.raises(ValueError, match='by=\'colour\'; choose "operation"'):
        profile(lambda: None).rows("colour")
    before = len(profile(lambda: np.exp(x)).events)
    np.exp(x)
    assert before == 1
