"""Equal scopes in a row are drawn once, whatever their values; what differs in anything else is drawn whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, scope
from tinygrad_edu.render import draw
from tinygrad_edu.render.fold import fold, parents
from tinygrad_edu.render.repeats import once
from tinygrad_edu.render.view import view_of
from transformer import Transformer, TransformerConfig


def tower(blocks, spoil=lambda k, x, start: x, heads=0):
    """blocks.0, blocks.1, ...: each x -> tanh(x w + shared) + x, after what `spoil` does to it."""
    start = x = Tensor(np.ones((2, 2)), requires_grad=True, name="x")
    shared = Tensor(np.ones(2), requires_grad=True, name="shared")
    for k in range(blocks):
        w = Tensor(np.full((2, 2), k + 1.0), requires_grad=True, name=f"blocks.{k}.inner.w")
        with scope(f"blocks.{k}"):
            with scope("inner"):
                h = np.tanh(x @ w + shared)
            for head in range(heads):
                with scope(f"heads.{head}"):
                    h = np.exp(h) * 2.0
            x = spoil(k, h + x, start)
    return x.sum()


@given(blocks=st.integers(2, 6), heads=st.integers(0, 3))
def test_a_row_is_drawn_once_and_tells_all_that_it_stands_for(blocks, heads):
    whole, one = view_of(tower(blocks, heads=heads)), view_of(tower(1))
    view = once(whole)
    assert view.scopes["blocks.0"].alike == tuple(f"blocks.{k}" for k in range(blocks))
    assert ("blocks.0.heads.0" in view.scopes) == (heads > 1)
    assert len(view.nodes) == len(one.nodes) + (3 if heads else 0)
    assert [node.number for node in view.nodes] == list(range(len(view.nodes)))
    assert all(edge.source < edge.target for edge in view.edges)
    for edge in view.edges:
        original = (view.nodes[edge.source].label, view.nodes[edge.target].label)
        assert original in {(whole.nodes[e.source].label, whole.nodes[e.target].label) for e in whole.edges}
    others = "the other is" if blocks == 2 else f"the other {blocks - 1} are"
    assert f"blocks × {blocks}: blocks.0 is drawn, {others} like it." in view.notes
    arguments = [(edge.target, edge.argument) for edge in view.edges]
    assert len(set(arguments)) == len(arguments)


@pytest.mark.parametrize("spoil", [
    lambda k, x, start: x * 2.0 if k == 2 else x,               # one operation more
    lambda k, x, start: x * (2.0 + (k == 2)),                   # another constant
    lambda k, x, start: np.concatenate([x, x]) if k == 2 else x,  # another shape
    lambda k, x, start: x + start if k == 2 else x + x,         # another place to take it from
    lambda k, x, start: np.sum(x, axis=k % 2, keepdims=True) + x if k >= 1 else np.sum(x, axis=0, keepdims=True) + x,
], ids=["operation", "constant", "shape", "edge", "keyword"])  # fmt: skip
def test_what_differs_is_drawn_whole(spoil):
    view = once(view_of(tower(5, spoil)))
    alike = {path for about in view.scopes.values() for path in about.alike[1:]}
    assert "blocks.2" not in alike, "what differs stands in no one's row"


def test_rows_that_a_different_one_divides_are_two_rows():
    view = once(view_of(tower(7, lambda k, x, start: x * 3.0 if k == 3 else x)))
    assert [about.alike for about in view.scopes.values()] == [
        ("blocks.0", "blocks.1", "blocks.2"), ("blocks.4", "blocks.5", "blocks.6"),
    ]  # fmt: skip
    nodes = {node.scope.partition(".inner")[0] for node in view.nodes}
    assert nodes == {"", "blocks.0", "blocks.3", "blocks.4"}


def test_scopes_that_do_not_feed_each_other_are_alike_where_they_take_the_same():
    x = Tensor(np.ones(2), requires_grad=True, name="x")
    made = []
    for k in range(3):
        with scope(f"heads.{k}"):
            made.append(np.tanh(x * 2.0))
    view = once(view_of(np.concatenate(made)))
    assert view.scopes["heads.0"].alike == ("heads.0", "heads.1", "heads.2")
    into = [edge for edge in view.edges if edge.target == view.output]
    assert len(into) == 3 and len({edge.source for edge in into}) == 1, "each argument keeps its edge"


def test_a_picture_draws_rows_once_when_it_is_crowded_or_asked_to():
    loss = tower(4)
    assert " × " not in draw(loss, "dot") and "blocks × 4" in draw(loss, "dot", budget=20)
    assert "blocks × 4" in draw(loss, "dot", repeats=True) and "blocks × 4" in draw(loss, "dot", depth=1)
    assert " × " not in draw(loss, "dot", budget=20, repeats=False)
    assert "blocks × 4:" in draw(loss, "text", budget=6)


def test_a_model_of_fifty_layers_is_one_block_to_look_at():
    model = Transformer(TransformerConfig(vocab_size=20, num_layers=50, embed_dim=8, num_heads=2, ffn_dim=16), seed=0)
    whole = view_of(model([[15, 17, 3, 19, 8, 19, 4, 18]]))
    view = once(whole)
    assert view.scopes["blocks.0"].alike == tuple(f"blocks.{k}" for k in range(50))
    assert len(whole.nodes) > 1_000 and len(view.nodes) < 60
    dot = draw(model, [[15, 17, 3, 19, 8, 19, 4, 18]], format="dot")
    assert "Block × 50" in dot and "each" in dot and dot.count("shape=") < 60


def test_depth_opens_so_many_scopes_and_no_more():
    view = view_of(tower(2, heads=1))
    shown = {depth: fold(view, 400, depth) for depth in range(4)}
    assert [node.label for node in shown[0].nodes if node.kind == "folded"] == ["blocks.0", "blocks.1"]
    assert [node.label for node in shown[1].nodes if node.kind == "folded"] == ["inner", "heads.0", "inner", "heads.0"]
    assert shown[2] is view and shown[3] is view
    assert all(len(parents(each)) == count for each, count in zip(shown.values(), (0, 2, 6, 6), strict=True))
    with pytest.raises(ValueError, match="depth=-1: 0 draws every scope as one box"):
        fold(view, 400, -1)


def test_a_scope_that_takes_from_further_back_than_the_one_before_is_drawn_whole():
    x = Tensor(np.ones(2), requires_grad=True, name="x")
    chain = [x]
    for k in range(6):
        with scope(f"steps.{k}"):
            chain.append(np.tanh(chain[-1 if k != 4 else -2]))
    view = once(view_of(np.stack(chain).sum()))
    assert view.scopes["steps.0"].alike == tuple(f"steps.{k}" for k in range(4))
