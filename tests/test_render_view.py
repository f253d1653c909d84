"""The view of random programs holds what the engine holds, and survives JSON; a run and a pass tell the rest."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_render_dot import lesson

from tinygrad_edu import Tensor, gradients, nn, primitive, scope
from tinygrad_edu.graph import Node
from tinygrad_edu.render import draw
from tinygrad_edu.render.plain import View, statistics_of
from tinygrad_edu.render.run import run
from tinygrad_edu.render.view import numbered, view_of
from tinygrad_edu.testing import programs

ROOT = Path(__file__).resolve().parents[1]


def ran(program):
    """The first output of a random program that depends on an input."""
    made = program(*[Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)])
    made = made if isinstance(made, tuple) else (made,)
    return next((each for each in made if each.requires_grad), made[0])


@given(programs())
def test_a_view_has_the_nodes_and_arguments_of_any_program(program):
    output = ran(program)
    view, numbers = numbered(output)
    seen, waiting = set(), [output._node] if output.requires_grad else []
    arguments = constants = 0
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        given_ = [each for each in node.inputs if each is not None]
        arguments += len(given_)
        constants += sum(type(each) is not Node for each in given_)
        waiting += node.sources
    assert set(numbers) == seen and len(view.nodes) == max(len(seen) + constants, 1)
    assert len(view.edges) == arguments
    assert len({(edge.target, edge.argument) for edge in view.edges}) == arguments
    for node, number in numbers.items():
        assert view.nodes[number].shape == node.shape


@given(programs(), st.integers(1, 12))
def test_a_view_survives_the_way_through_json(program, budget):
    for view in (view_of(ran(program)), draw_view(program, budget)):
        assert View.from_json(view.to_json()) == view
        assert json.loads(view.to_json()) == json.loads(json.dumps(view.to_dict()))


def draw_view(program, budget):
    return View.from_json(draw(ran(program), "json", budget=budget))


def test_json_of_a_small_graph_is_the_golden_one():
    def rounded(text):  # the last bits of a tanh are the processor's
        return re.sub(r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.10g}", text)

    assert rounded(draw(lesson(), "json")) == rounded((ROOT / "tests/render_golden.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("spoil", [
    lambda data: data.pop("edges"),
    lambda data: data["nodes"].reverse(),
    lambda data: data["edges"][0].update(source=99),
    lambda data: data["nodes"][0].update(colour="red"),
    lambda data: data.update(output=-1),
])  # fmt: skip
def test_json_that_is_no_view_is_refused(spoil):
    data = view_of(lesson()).to_dict()
    spoil(data)
    with pytest.raises(ValueError, match="this is not what|numbered 0 to"):
        View.from_dict(data)


# What is known of the numbers -------------------------------------------------------------------------


@given(programs(steps=6))
def test_a_run_tells_the_value_of_every_node(program):
    inputs = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    values = program.values(*inputs)
    output, facts, seconds, _ = run(lambda: program.values(*inputs)[-1], ())
    if not output.requires_grad:
        return
    assert all(taken >= 0 for taken in seconds.values())
    again = {each._node.number: each for each in values if isinstance(each, Tensor) and each.requires_grad}
    known = {node: fact for node, fact in facts.items() if isinstance(node, Node)}
    view = numbered(output, facts, seconds)[0]
    whole = [node for node in view.nodes if node.kind == "operation" and not isinstance(node.dtype, tuple)]
    several = [node for node in view.nodes if "[" in node.label or any(isinstance(n, tuple) for n in node.shape)]
    assert all(node.statistics is not None for node in whole if node not in several)
    for node, fact in known.items():
        if node.number in again:  # leaves
            assert fact.statistics == statistics_of(again[node.number].numpy())
    last = values[-1].numpy()
    if output._node in known and last.size:
        assert known[output._node].statistics == statistics_of(last)


@given(programs(steps=6))
def test_a_pass_for_the_picture_tells_every_gradient_and_leaves_no_trace(program):
    output = ran(program)
    if not output.requires_grad:
        return
    loss = (output * 1.0).sum()
    view, numbers = numbered(loss, gradients=True)
    leaves = [node for node in numbers if node.operation is None]
    assert all(node.grad is None for node in leaves)
    loss.backward()
    for node in leaves:
        told = view.nodes[numbers[node]].gradient
        assert (told is None) == (node.grad is None)
        assert told is None or told == statistics_of(node.grad.numpy())


def test_values_are_told_where_the_graph_keeps_them_and_nowhere_else():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    y = np.tanh(x * Tensor([3.0, 4.0], name="c"))
    told = {node.label: node.value for node in view_of(y.sum()).nodes}
    assert told == {"x": None, "c": "[3, 4]", "multiply": None, "tanh": "[0.9951, 1]", "sum": "1.995"}
    whole = View.from_json(draw(lambda x: np.tanh(x * Tensor([3.0, 4.0], name="c")).sum(), np.array([1.0, 2.0]),
                                format="json"))  # fmt: skip
    assert {node.label: node.value for node in whole.nodes} == told | {"x": "[1, 2]", "multiply": "[3, 8]"}


def test_an_optional_argument_that_was_left_out_is_no_input_of_the_picture():
    scaled = primitive(lambda g, x, w=None: g if w is None else g * w, lambda g, x: g * x)(
        lambda x, w=None: x + 0.0 if w is None else x * w
    )
    x = Tensor(np.arange(3.0), requires_grad=True)
    assert [len(view_of(scaled(*args)).nodes) for args in ([x], [x, x + 1.0])] == [2, 4]


@given(st.lists(st.floats(width=32) | st.floats(), max_size=6))
def test_statistics_are_of_the_finite_elements_and_never_overflow(values):
    array = np.array(values, np.float64)
    found = statistics_of(array)
    finite = array[np.isfinite(array)]
    assert found.nonfinite == array.size - finite.size
    assert all(math.isfinite(number) for number in found)
    assert (found.low, found.high) == ((finite.min(), finite.max()) if finite.size else (0.0, 0.0))
    exact = math.fsum(v / found.largest for v in finite) / finite.size * found.largest if found.largest else 0.0
    slack = 1e-13 * found.largest + 1e-300
    assert abs(found.mean - exact) <= slack
    assert found.low - slack <= found.mean <= found.high + slack and found.std <= found.largest + slack
    assert found.norm == pytest.approx(min(math.hypot(*finite), sys.float_info.max), rel=1e-12)


def test_a_picture_says_when_backward_was_not_run_instead_of_zeros():
    x, y = (Tensor(2.0, requires_grad=True, name=name) for name in "xy")
    z = x * y
    assert view_of(z).notes == ("No gradients: backward() was not run.",)
    x.grad = 3.0
    assert view_of(z).notes == ("No gradient yet at 1 of 2 leaves.",)
    z.backward()
    view = view_of(z)
    assert view.notes == () and [node.gradient.norm for node in view.nodes if node.kind == "leaf"] == [5.0, 2.0]
    assert view_of(z, gradients=True).notes[0].startswith("No gradients by every node: multiply, recorded at ")
    w = Tensor(np.ones(2), requires_grad=True) * 2.0
    assert "shape (2,)" in view_of(w, gradients=True).notes[0]
    for format in ("text", "dot"):
        assert "backward() was not run" in draw(w, format)


def test_gradients_for_the_picture_are_those_of_the_engine():
    x = Tensor([0.5, -2.0], requires_grad=True, name="x")
    h = np.tanh(x)
    loss = (h * h).sum()
    told = {node.label: node.gradient for node in view_of(loss, gradients=True).nodes}
    assert told["tanh"] == statistics_of(gradients(loss, h).numpy())
    assert told["x"] == statistics_of(gradients(loss, x).numpy()) and x.grad is None


def test_every_output_of_an_operation_with_several_has_its_own_value():
    def f(x):
        u, s, vt = np.linalg.svd(x)
        return s.sum()

    view = View.from_json(draw(f, np.diag([3.0, 2.0]), format="json"))
    told = {node.label: node.value for node in view.nodes}
    assert told["linalg.svd[1]"] == "[3, 2]" and told["linalg.svd"] is None and told["sum"] == "5"
    dot = draw(f, np.diag([3.0, 2.0]), format="dot")
    assert "= [[3, 0], [0, 2]]" in dot, "and its having none hides no other"
    assert "3 × (2,)" in draw(np.stack(np.unstack(Tensor(np.ones((3, 2)), requires_grad=True))), "dot")


# Modules ------------------------------------------------------------------------------------------------


class Two(nn.Module):
    def __init__(self):
        rng = np.random.default_rng(0)
        self.layers = nn.ModuleList(nn.Linear(3, 3, rng=rng) for _ in range(4))
        self.last = nn.Linear(3, 2, rng=rng)

    def forward(self, x):
        return self.last(np.tanh(self.layers(x))), "more"


def test_a_module_is_drawn_with_its_classes_sizes_and_parameters():
    model, x = Two(), Tensor(np.ones((1, 3), np.float32), requires_grad=True, name="x")
    dot = draw(model, x, format="dot", repeats=True)
    assert "Linear × 4" in dot and "Linear(3, 3), 12 parameters each" in dot and "Linear(3, 2), 8 parameters" in dot
    folded = View.from_json(draw(model, x, format="json", depth=0, repeats=False))
    assert sum(node.parameters for node in folded.nodes) == model.num_parameters() == 56
    assert [node.label for node in folded.nodes if node.kind == "folded"] == [
        "layers.0", "layers.1", "layers.2", "layers.3", "last",
    ]  # fmt: skip


def test_functions_name_their_arrays_and_bring_their_modules():
    model = Two()

    def loss(x, target):
        return np.mean((model(x)[0] - target) ** 2)

    dot = draw(loss, np.ones((1, 3)), np.zeros(2), format="dot")
    assert "<B>x</B>" in dot and "<B>target</B>" in dot and "Linear(3, 2)" in dot


def test_what_gives_no_tensor_or_has_no_inputs_is_refused_in_words():
    with pytest.raises(TypeError, match="<lambda> returned a float64; a picture is drawn of one"):
        draw(lambda: np.float64(1.0))
    with pytest.raises(TypeError, match="of a Tensor, not of a Two"):
        draw(Two())
    with pytest.raises(TypeError, match="inputs are for a function or a module; this is a Tensor"):
        draw(Tensor(1.0), "svg", 3)
    with scope("a"), pytest.raises(TypeError, match="of a Tensor, not of a int"):
        draw(3)
