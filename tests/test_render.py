"""Pictures: the view holds what the graph holds, whatever it is called and however deep it is."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, nn, scope
from tinygrad_edu.render import draw
from tinygrad_edu.render.fold import fold, parameters
from tinygrad_edu.render.summary import summary_of
from tinygrad_edu.render.view import view_of


def leaf(*shape, name=None):
    return Tensor(np.ones(shape), requires_grad=True, name=name)


# The view ---------------------------------------------------------------------------------------------


@st.composite
def programs(draw_from):
    """A small program, and what it recorded as we count it: tensors' nodes, operands, constant operands."""
    made = [leaf(2, name="a"), leaf(2, name="b")]
    operands = constants = 0
    for _ in range(draw_from(st.integers(1, 12))):
        pick = st.sampled_from(made)
        step = draw_from(st.sampled_from(["+", "*", "tanh", "x * 2", "x + array", "stack"]))
        x, y = draw_from(pick), draw_from(pick)
        if step in ("+", "*"):
            made.append(x + y if step == "+" else x * y)
        elif step == "tanh":
            made.append(np.tanh(x))
        elif step == "stack":
            made.append(np.stack([x, y, x])[0])
        else:
            made.append(x * 2.0 if step == "x * 2" else x + np.ones(2))
    output = draw_from(pick)
    seen, stack = {output._node}, [output._node]
    while stack:
        for source in stack.pop().inputs:
            operands += 1
            if hasattr(source, "inputs"):
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
            else:
                constants += 1
    return output, len(seen), operands, constants


@given(programs())
def test_view_has_every_reachable_node_and_an_edge_for_every_argument(program):
    output, reachable, operands, constants = program
    view = view_of(output)
    kinds = [node.kind for node in view.nodes]
    assert kinds.count("leaf") + kinds.count("operation") == reachable
    assert kinds.count("constant") == constants
    assert len(view.edges) == operands
    assert [node.number for node in view.nodes] == list(range(len(view.nodes)))
    assert all(edge.source < edge.target for edge in view.edges), "numbers are a topological order"
    assert view.output == len(view.nodes) - 1
    arguments = [(edge.target, edge.argument) for edge in view.edges]
    assert len(set(arguments)) == len(arguments)


def test_a_tensor_used_twice_by_one_operation_has_two_edges_to_it():
    x = leaf(3, name="x")
    view = view_of(x * x)
    assert [(edge.source, edge.target, edge.argument) for edge in view.edges] == [(0, 1, 0), (0, 1, 1)]


def test_view_tells_shapes_names_scopes_keywords_bytes_and_lines():
    x = leaf(2, 3, name="x")
    with scope("dense"), scope("inner"):
        y = np.sum(x * x, axis=-1, keepdims=True)
    leaf_node, product, total = view_of(y).nodes
    assert (leaf_node.kind, leaf_node.name, leaf_node.shape, leaf_node.size) == ("leaf", "x", (2, 3), 6)
    assert (product.label, product.scope, product.saved_bytes) == ("multiply", "dense.inner", 48)
    assert dict(total.keywords) == {"axis": "-1", "keepdims": "True"}
    assert product.where.startswith("test_render.py:") and product.dtype == "float64"


def test_a_backward_pass_shows_gradients_and_that_the_saved_arrays_are_gone():
    x = leaf(2, 2, name="x")
    y = (3.0 * np.exp(x) / np.e).sum()
    y.backward()
    view = view_of(y)
    gradient = next(node for node in view.nodes if node.name == "x").gradient
    assert (gradient.largest, gradient.nonfinite) == (pytest.approx(3.0), 0)
    assert gradient.norm == pytest.approx(6.0)
    assert {node.saved_bytes for node in view.nodes if node.label == "exp"} == {None}
    assert view.nodes[view.output].value == "12"


@pytest.mark.parametrize(("values", "expected"), [
    ([1e200, 1e200], (2**0.5 * 1e200, 1e200, 0)),
    ([np.nan, -4.0, np.inf, 3.0], (5.0, 4.0, 2)),
    ([0.0, -0.0], (0.0, 0.0, 0)),
    ([], (0.0, 0.0, 0)),
])  # fmt: skip
def test_gradient_statistics_neither_overflow_nor_hide_what_is_not_finite(values, expected):
    x = leaf(len(values), name="x")
    x.grad = np.array(values)
    gradient = view_of(x).nodes[0].gradient
    assert (gradient.norm, gradient.largest, gradient.nonfinite) == pytest.approx(expected)
    json.dumps(view_of(x).to_dict(), allow_nan=False)


def test_several_outputs_constants_and_names_survive_the_way_to_json():
    x = leaf(3, 3, name="x")
    _, s, _ = np.linalg.svd(x + np.eye(3))
    view = view_of(np.clip(s, None, 2.0).sum())
    data = json.loads(json.dumps(view.to_dict(), allow_nan=False))
    assert len(data["nodes"]) == len(view.nodes) and data["output"] == view.output
    labels = [node["label"] for node in data["nodes"]]
    assert {"x", "array", "linalg.svd", "linalg.svd[1]", "sum"} <= set(labels)
    assert data["nodes"][labels.index("linalg.svd")]["shape"] == [[3, 3], [3], [3, 3]]


def test_a_parameter_stands_in_the_scope_of_the_module_that_owns_it():
    class Two(nn.Module):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.first, self.second = nn.Linear(2, 2, rng=rng), nn.Linear(2, 2, rng=rng)

        def forward(self, x):
            return self.second(np.tanh(self.first(x)))

    model = Two()
    whole = {node.name: node for node in view_of(model(np.ones((1, 2), np.float32))).nodes if node.name}
    assert {(name, node.scope, node.label) for name, node in whole.items()} == {
        ("first.weight", "first", "weight"), ("first.bias", "first", "bias"),
        ("second.weight", "second", "weight"), ("second.bias", "second", "bias"),
    }  # fmt: skip


def test_an_untracked_tensor_and_a_lone_leaf_are_pictures_of_one_node():
    assert "3" in draw(Tensor(3.0), "text") and "\n" not in draw(Tensor(3.0), "text").rstrip()
    assert [node.kind for node in view_of(leaf(2, name="w")).nodes] == ["leaf"]


# Folding ----------------------------------------------------------------------------------------------


def nested(blocks=3):
    x = leaf(2, name="x")
    for block in range(blocks):
        with scope(f"blocks.{block}"):
            with scope("attention"):
                for _ in range(5):
                    x = np.tanh(x * 2.0)
            x = x + 1.0
    return x.sum()


def test_folding_takes_the_deepest_scopes_first_and_says_what_it_folded():
    loss = nested()
    whole = draw(loss, "text", repeats=False)
    some = draw(loss, "text", budget=20, repeats=False)
    few = draw(loss, "text", budget=6, repeats=False)
    assert "folded" not in whole
    assert "drawn as 11: the scopes inside are folded" in some and "drawn as 5: the scopes are folded" in few
    assert some.count("attention: 10 operations") == 3 and some.count("add(") == 3
    assert few.count(": 11 operations") == 3 and "blocks.1" in few and "attention" not in few
    assert "keeps" in few and "sum(" in few


def test_folding_goes_no_further_than_it_must():
    view = view_of(nested())
    assert fold(view, len(view.nodes)) is view
    fits_exactly, one_less = fold(view, 11), fold(view, 10)
    assert [len(folded.nodes) for folded in (fits_exactly, one_less)] == [11, 5]
    assert not [node for node in one_less.nodes if node.label == "…"]


@given(budget=st.integers(1, 60), blocks=st.integers(0, 4))
def test_folding_keeps_to_the_budget_and_loses_no_operation(budget, blocks):
    loss = nested(blocks)
    whole = view_of(loss)
    view = fold(whole, budget)
    assert len(view.nodes) <= max(budget, 1)
    counts = {"operation": 0, "leaf": 0, "constant": 0}
    for node in view.nodes:
        for kind, count in node.folded or ((node.kind, 1),):
            counts[kind] += count
    kinds = [node.kind for node in whole.nodes]
    assert counts == {kind: kinds.count(kind) for kind in counts}
    assert [node.number for node in view.nodes] == list(range(len(view.nodes)))
    assert all(0 <= edge.source < len(view.nodes) and 0 <= edge.target < len(view.nodes) for edge in view.edges)
    assert all(edge.source != edge.target for edge in view.edges)


def test_two_edges_from_a_folded_box_into_one_operation_both_stay():
    x = leaf(2)
    with scope("inner"):
        y = np.tanh(np.exp(x))
    view = fold(view_of(y * y), 3)
    assert [(edge.source, edge.target) for edge in view.edges if edge.target == view.output] == [(1, 2), (1, 2)]


def test_a_chain_of_100_000_operations_is_drawn_without_recursion():
    x = leaf(name="x")
    for _ in range(100_000):
        x = -x
    text = draw(x, "text", budget=10)
    assert text.startswith("(100,001 operations and leaves, too many for their values: one box for each")
    assert "(25 nodes drawn as 10: 16 in the middle are folded.)" in text
    assert len(text.splitlines()) == 2 + 10 and "…: 99,992 operations" in text and "= 1  test_render.py" in text


@given(steps=st.integers(1, 60), blocks=st.integers(0, 4), named=st.booleans())
def test_a_summary_loses_no_operation_and_no_parameter(steps, blocks, named):
    x = leaf(2, name="x")
    for _ in range(steps):
        x = np.tanh(x)
    for block in range(blocks):
        w = leaf(2, 3, name=f"blocks.{block}.inner.w" if named else None)
        with scope(f"blocks.{block}.inner"):
            x = np.tanh(x * w.sum(axis=1))
    loss = (x * x).sum()
    view, whole = summary_of(loss), view_of(loss)
    counts = Counter()
    for node in view.nodes:
        counts.update(dict(node.folded or ((node.kind, 1),)))
    assert counts == Counter(node.kind for node in whole.nodes if node.kind != "constant")
    assert len(view.nodes) <= 24 + 1 + blocks * 2 and view.nodes[view.output].label == "sum"
    assert sum(map(parameters, view.nodes)) == sum(map(parameters, whole.nodes))
    boxes = [node for node in view.nodes if node.kind == "folded" and node.label != "…"]
    assert [node.label for node in boxes] == [f"blocks.{block}" for block in range(blocks)]
    reached = {view.output} | {edge.source for edge in view.edges}
    assert reached == set(range(len(view.nodes))), "everything leads somewhere"
    dot = draw(loss, "dot")
    assert dot == draw(loss, "dot") and "too many" not in dot


def test_what_is_large_is_summarised_whether_it_is_given_or_run(monkeypatch):
    monkeypatch.setattr("tinygrad_edu.render.summary.LARGE", 50)

    def f(x):
        for _ in range(60):
            x = -x
        return x

    assert draw(f, 1.0, format="text").splitlines()[0] == draw(f(leaf(name="x")), "text").splitlines()[0]
    assert "61 operations and leaves, too many for their values" in draw(f, 1.0, format="text")


def test_a_million_scopes_are_no_million_boxes():
    x = leaf(name="x")
    for step in range(1_500):
        with scope(f"step.{step}"):
            x = -x
    y = x
    for step in range(1_500):
        with scope(f"step{step}"):
            y = -y
    assert [node.label for node in summary_of(x).nodes] == ["x", "step", "negative"]
    assert len(summary_of(y).nodes) == 2 * 12 + 1


def test_scopes_nested_300_deep_do_not_recurse():
    x = leaf(name="x")
    for depth in range(300):
        with scope(".".join(["s"] * (depth + 1))):
            x = -x
    assert "300 operations" in draw(x, "text", budget=2)
    assert draw(x, "dot", budget=2000).count("cluster_") == 300
