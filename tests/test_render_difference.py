"""Two graphs compared, and one graph audited: what changed is named, and what is wrong is where it is made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, definitions
from tinygrad_edu import functional as F
from tinygrad_edu.primitive import registry
from tinygrad_edu.render import audit, diff
from tinygrad_edu.render.view import view_of
from tinygrad_edu.testing import programs
from tinygrad_edu.tree import flatten

RNG = np.random.default_rng(0)
X = Tensor(RNG.normal(size=(3, 4)), requires_grad=True, name="x")
W = Tensor(RNG.normal(size=(4, 4)), requires_grad=True, name="W")


def layer(residual):
    h = np.tanh(X @ W)
    return F.layer_norm(X + h if residual else h)


def test_a_residual_connection_is_one_operation_that_came():
    found = diff(layer(False), layer(True))
    assert found.counts == {"same": 4, "added": 1, "removed": 0, "changed": 1}
    assert found.text.splitlines() == [
        "1 added, 0 removed, 1 changed, 4 same", "+ add", "≠ layer_norm: argument 1 comes from elsewhere",
    ]  # fmt: skip
    back = diff(layer(True), layer(False))
    assert back.counts["removed"] == 1 and "− add" in back.text


def test_an_edit_shows_the_number_the_shape_and_the_option_that_changed():
    found = diff(np.sum(X * 2.0, axis=0), np.sum(X * 3.0, axis=1))
    assert "≠ 3: 2 → 3" in found.text
    assert "≠ sum: (4,) → (3,), axis=0 → axis=1" in found.text


def test_a_graph_does_not_differ_from_itself():
    found = diff(layer(True), layer(True))
    assert set(found.counts.items()) == {("same", 6), ("added", 0), ("removed", 0), ("changed", 0)}


def test_the_picture_colours_what_changed_and_says_so_in_signs():
    found = diff(layer(False), layer(True))
    dot = str(found.draw("dot"))
    assert "+ add" in dot and "≠ layer_norm" in dot and "#cdeee2" in dot and "#fbf3b4" in dot
    assert "#cdeee2" not in str(diff(layer(True), layer(True)).draw("dot"))
    assert str(found.draw("text")) == found.text + "\n" and found._repr_mimebundle_()["text/plain"] == found.text


@settings(max_examples=10)
@given(program=programs(operations=[np.tanh, np.add, np.multiply, np.exp], steps=5), cut=st.integers(0, 3))
def test_both_graphs_are_in_the_united_one_and_its_order_is_topological(program, cut):
    tensors = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    whole = sum(np.sum(y) for y in flatten(program(*tensors))[0])
    other = np.tanh(whole) if cut % 2 else np.sum(whole) * 2.0
    old, new = view_of(whole), view_of(other)
    found = diff(old, new)
    assert {c.before for c in found.changes} - {None} == {n.number for n in old.nodes}
    assert {c.after for c in found.changes} - {None} == {n.number for n in new.nodes}
    assert all(edge.source < edge.target for edge in found.view.edges)
    assert len(found.view.nodes) == len(found.changes)


def network(x, w):
    with definitions():
        return F.softmax(np.concatenate([np.tanh(x) @ w, x]))


def test_right_rules_are_off_by_nothing():
    found = audit(network, RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4)))
    assert {one.operation for one in found.judged} >= {"tanh", "matmul", "concatenate", "exp", "sum", "divide"}
    assert max(found.errors().values()) < 1e-9


def test_a_wrong_rule_is_coloured_where_it_is(monkeypatch):
    operation = registry()[np.tanh]
    monkeypatch.setattr(operation, "rules", (lambda g, z: g * (1.0 - z),))
    monkeypatch.setattr(operation, "plans", [None, None])
    found = audit(network, RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4)))
    wrong = {one.operation for one in found.judged if one.error > 1e-6}
    assert wrong == {"tanh"} and found.worst.operation == "tanh" and found.text.startswith("node 1, tanh")
    right, strong = audit_colours(monkeypatch), str(found.draw("dot"))
    assert strong != right and strong.count("fillcolor") == right.count("fillcolor")


def audit_colours(monkeypatch):
    monkeypatch.undo()
    return str(audit(network, RNG.normal(size=(3, 4)), RNG.normal(size=(4, 4))).draw("dot"))


def test_what_has_no_graph_is_no_subject_of_an_audit():
    with pytest.raises(TypeError, match="returned float"):
        audit(lambda x: 1.0, np.ones(3))
