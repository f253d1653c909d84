"""Forward and backward in one drawing, and the backward pass as a graph of its own."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, draw, draw_passes, gradients, scope
from tinygrad_edu.render.layout import can_lay_out, lay_out
from tinygrad_edu.render.ledger import ledger_of
from tinygrad_edu.render.view import view_of
from tinygrad_edu.testing import programs

needs_graphviz = pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")


def network(name="W"):
    W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name=name)
    with scope("dense"):
        h = np.tanh(np.array([[2.0, 1.0]]) @ W)
    return np.sum(h * h)


def edges(dot, style=None):
    """(from, to) of each edge that is drawn, as DOT has it."""
    found = re.findall(r"^\t+([fb]\d+) -> ([fb]\d+)(?: \[(.*)\])?$", dot, re.M)
    return [(a, b) for a, b, rest in found if "invis" not in rest and (style is None or style in rest)]


@given(programs(steps=6))
@settings(max_examples=40)
def test_every_node_has_its_rules_beside_it_and_every_share_its_arrow(program):
    leaves = [Tensor(x, requires_grad=True) for x in program.inputs]
    outputs = program(*leaves)
    output = np.sum(outputs[0] if isinstance(outputs, tuple) else outputs)
    ledger, dot = ledger_of(output), draw_passes(output, format="dot")
    sent = {(f"b{share.receiver}", f"b{share.giver}") for share in ledger.shares}
    read = {(f"f{number}", f"b{share.giver}") for share in ledger.shares for number in share.reads}
    forward = [(f"f{edge.source}", f"f{edge.target}") for edge in ledger.view.edges]
    drawn = edges(dot)
    assert sorted(drawn) == sorted([*forward, *sent, *read])
    assert set(edges(dot, "dir=back")) == sent and set(edges(dot, "dotted")) == read
    rules = set(re.findall(r"^\t\tb(\d+) \[", dot, re.M))
    assert rules == {str(step.node) for step in ledger.steps} | set(map(str, ledger.gradients))


def test_a_rule_that_needs_a_value_reads_it_from_the_node_that_saved_it():
    loss = network()
    dot = draw_passes(loss, format="dot")
    labels = {node.number: node.label for node in view_of(loss).nodes}
    read = [(labels[int(a[1:])], labels[int(b[1:])]) for a, b in edges(dot, "dotted")]
    assert read == [("tanh", "multiply"), ("tanh", "tanh"), ("array", "matmul")]
    assert "dx = dz ⊙ (1 − z²)" in dot and "dy = xᵀ dz" in dot and "∇ W" in dot


@needs_graphviz
@pytest.mark.parametrize("theme", ["light", "dark", "colour-blind"])
def test_the_drawing_is_laid_out(theme, tmp_path):
    file = tmp_path / "passes.svg"
    picture = draw_passes(network(), file, theme=theme)
    assert file.read_text(encoding="utf-8") == picture and "∂ tanh" in picture
    assert draw_passes(network(), format="png").startswith(b"\x89PNG")


def test_a_large_graph_is_folded_in_both_lanes():
    y = Tensor(np.ones(3), requires_grad=True, name="x")
    for k in range(100):
        with scope(f"layer{k}"):
            y = np.tanh(y * 0.9)
    dot = draw_passes(np.sum(y), format="dot", budget=30)
    assert "nodes drawn as 30" in dot and "steps" in dot
    assert len(edges(dot)) < 120


@needs_graphviz
@settings(max_examples=15)
@given(st.text(min_size=1))
def test_every_name_gives_a_drawing(name):
    lay_out(draw_passes(network(name), format="dot"), "svg")


def test_a_format_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'html' is no format of this drawing"):
        draw_passes(network(), "passes.html")


def test_a_gradient_made_with_create_graph_is_drawn_like_any_other_tensor():
    """It hangs on the forward pass: the values that its rules read are nodes of the same picture."""
    W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name="W")
    loss = np.sum(np.tanh(W) * W)
    gradient = gradients(loss, W, create_graph=True)
    view, before = view_of(gradient), view_of(loss)
    labels = [node.label for node in view.nodes]
    assert labels.count("tanh") == 1 and len(view.nodes) > len(before.nodes) - 2
    assert "W" in draw(gradient, "text") and draw(gradient, "dot").startswith("digraph")
