"""From module to operation to scalars: a page opens operations that draw ran, and shows the engine's numbers."""

import numpy as np
import pytest
from hypothesis import given

from tinygrad_edu import Tensor, functional, graph
from tinygrad_edu.backward import reachable
from tinygrad_edu.render import draw
from tinygrad_edu.render.closeup import EACH, closeup, closeups
from tinygrad_edu.render.layout import can_lay_out
from tinygrad_edu.render.run import run
from tinygrad_edu.render.view import numbered
from tinygrad_edu.testing import programs
from transformer import Transformer, TransformerConfig

needs_graphviz = pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")
SHOWN = ".sheet:not(.hidden)"
TOKENS = np.array([[15, 17, 3, 19, 8, 19, 4, 18]])
draws = np.random.default_rng(0).normal
X, W, B = draws(size=(5, 40)), draws(size=(40, 7)), draws(size=7)


def heard(f, *inputs):
    """The calls of a function's operations, in order."""
    output, _, _, calls = run(f, tuple(Tensor(x, requires_grad=True) for x in inputs), keep=True)
    order = reachable([output._node]) if output._node is not None else []
    return [calls[node] for node in order if node in calls]


def opened(call):
    return closeup(call, [f"a{k}" for k in range(len(call.args))], call.operation.name)


def result(made):
    """The number that comes out; of several, those that are put together."""
    nodes = made.view.nodes
    stack = next((node for node in nodes if node.label == "stack"), None)
    if stack is None:
        return nodes[made.view.output].statistics.low
    sources = [edge.source for edge in made.view.edges if edge.target == stack.number]
    return [nodes[source].statistics.low for source in sources]


def expected(call, made):
    value = np.asarray(call.value)
    return value.ravel() if made.element is None else value[made.element]


def test_no_scalar_loses_its_value_where_other_threads_record_at_the_same_time(monkeypatch):
    """They take numbers of nodes in between: as many as they like, before each of ours."""
    (call,) = heard(functional.softmax, X)
    alone = opened(call).view
    count, skips = graph.next_number, np.random.default_rng(0)
    monkeypatch.setattr(graph, "next_number", lambda: [count() for _ in range(skips.integers(1, 4))][-1])
    among_others = opened(call).view
    assert [node.value for node in among_others.nodes] == [node.value for node in alone.nodes]
    assert all(node.value is not None for node in alone.nodes if node.label != "stack")


@given(programs(steps=6))
def test_the_scalars_of_every_operation_of_a_program_give_its_numbers(program):
    inputs = [Tensor(x, requires_grad=True) for x in program.inputs]
    output, _, _, calls = run(lambda: program.values(*inputs)[-1], (), keep=True)
    view, numbers = numbered(output)
    known = {numbers[node]: call for node, call in calls.items()}
    chosen, others = closeups(view, known, range(len(view.nodes)), 5)
    assert len(chosen) == 5 or (len(chosen) < 5 and not others), "as many as were asked for, or all"
    for number, made in chosen.items():
        assert 1 < len(made.view.nodes) <= EACH
        np.testing.assert_allclose(result(made), expected(known[number], made), rtol=1e-11, atol=1e-13)
        known_values = [node.value is not None for node in made.view.nodes if node.shape == ()]
        assert all(known_values), "the value of every scalar is told"


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda: np.matmul(Tensor(X, True), W), "40 products, 39 sums"),
        (lambda: np.matmul(Tensor(X[0], True), W), "40 products, 39 sums"),
        (lambda: np.matmul(Tensor(X, True), W[:, 0]), "40 products, 39 sums"),
        (lambda: functional.linear(Tensor(X, True), W, B), "40 products, 40 sums"),
        (lambda: Tensor(W, True) * B, "1 product"),
        (lambda: functional.relu(Tensor(X, True)), "1 relu"),
        (lambda: functional.softmax(Tensor(W, True)), "6 maxima, 7 differences, 7 exponentials, 6 sums, 1 quotient"),
        (lambda: functional.layer_norm(Tensor(X, True)), "79 sums, 3 quotients, 40 differences, 40 squares, 1 root"),
        (lambda: functional.silu(Tensor(X, True)), "1 sign, 1 exponential, 1 sum, 1 quotient, 1 product"),
    ],
    ids="matmul,vector @ matrix,matrix @ vector,linear,broadcast,relu,softmax,layer norm,silu".split(","),
)
def test_a_large_operation_shows_its_first_element_and_counts_what_it_takes(f, words):
    (call,) = heard(f)
    made = opened(call)
    assert made.words() == f"{call.operation.name}, element {(0,) * call.value.ndim}: {words}"
    np.testing.assert_allclose(result(made), np.asarray(call.value)[made.element], rtol=1e-12)


def test_leaves_are_called_as_in_the_graph_and_stand_where_they_stood():
    view, numbers, known = seen(lambda W, b: np.tanh(W @ W.T) @ b, named("W", W), named("b", W[:, 0]))
    chosen, _ = closeups(view, known, range(len(view.nodes)), 12)
    first, second = [chosen[n] for n in sorted(chosen) if view.nodes[n].label == "matmul"]
    leaves = [{node.label for node in each.view.nodes if node.kind == "leaf"} for each in (first, second)]
    assert leaves[0] == {f"W[0, {k}]" for k in range(7)} | {f"y[{k}, 0]" for k in range(7)}
    assert leaves[1] == {f"x[0, {k}]" for k in range(40)} | {f"b[{k}]" for k in range(40)}
    values = {node.label: node.statistics.low for node in second.view.nodes if node.kind == "leaf"}
    assert all(values[f"b[{k}]"] == W[k, 0] for k in range(40))


def named(name, array):
    return Tensor(array, requires_grad=True, name=name)


def seen(f, *tensors):
    output, facts, seconds, calls = run(f, tensors, keep=True)
    view, numbers = numbered(output, facts, seconds)
    return view, numbers, {numbers[node]: call for node, call in calls.items()}


def test_what_is_no_arithmetic_or_no_longer_what_it_was_does_not_open():
    def written_to(x):
        c = np.ones(7)
        y = x + c
        c[:] = 5.0
        return y

    (call,) = heard(written_to, B)
    assert opened(call) is None, "the sum of what is there now would be another"
    for f in (np.sort, np.ravel, lambda x: np.stack([x, x]), lambda x: np.linalg.inv(x[:7] @ x[:7].T)):
        assert opened(heard(f, W)[-1]) is None


@needs_graphviz
def test_zoom_says_how_many_open_and_a_tensors_graph_opens_nothing():
    def f(x, W):
        return np.tanh(x @ W).sum()

    def opening(*args, **options):
        return draw(*args, format="html", **options).count('aria-label="scalars of')

    assert [opening(f, X, W, zoom=zoom) for zoom in (True, 2, 1, 0, False)] == [3, 2, 1, 0, 0]
    assert opening(f(named("x", X), W)) == 0
    for wrong in (-1, 0.5, "all"):
        with pytest.raises(ValueError, match="how many operations shall open"):
            draw(f, X, W, format="html", zoom=wrong)


# In the browser ---------------------------------------------------------------------------------------


VALUE = """[...document.querySelectorAll("#about h3")].find((h) => h.textContent === "Value").nextElementSibling
    .querySelector("td").textContent"""


def node(title):
    return f"""{SHOWN} .node[aria-label^="{title},"]"""


@needs_graphviz
def test_one_clicks_from_module_to_operation_to_scalars(browser, tmp_path):
    model = Transformer(TransformerConfig(vocab_size=20, num_layers=2), seed=0)
    draw(model, TOKENS, path=tmp_path / "model.html", depth=1)  # blocks are open, what is in them closed
    _, _, _, calls = run(model, (TOKENS,), keep=True)
    call = next(call for call in calls.values() if call.operation.name == "linear")
    with browser.open(tmp_path / "model.html") as tab:
        tab.click(node("attention"))
        tab.click(node("linear"))
        assert tab.text("#path [aria-current]") == "linear" and tab.count("#path .step") == 2
        about = tab.text("#about")
        assert "linear, element (0, 0, 0): 64 products, 63 sums" in about and "first of 2 equal scopes" in about
        shown = tab.evaluate(f"document.querySelector('{SHOWN} .node.output').textContent")
        assert shown == f"add= {call.value[0, 0, 0]:.4g}", "the engine's number"
        x, weight = (float(call.args[k].ravel()[0]) for k in range(2))
        for title, value in (("x[0, 0, 0]", x), ("weight[0, 0]", weight), ("multiply", x * weight)):
            tab.click(node(title))
            assert tab.evaluate(VALUE) == f"{value:.4g}"
        tab.press("Escape")
        tab.press("Escape")
        assert tab.text("#about h2") == "linear" and tab.count(f"{SHOWN} .node.chosen") == 1, "a step back, and there"
        tab.press("Escape")
        tab.press("Escape")
        assert tab.text("#path") == "graph"
        tab.evaluate(f"document.querySelector({node('matmul')!r}).focus()")
        tab.press("Enter")
        assert tab.text("#path [aria-current]") == "matmul", "with keys alone"
        tab.click("#path button")
        assert tab.text("#path") == "graph"
        assert (tab.troubles, tab.requests) == ([], [])


@needs_graphviz
@pytest.mark.parametrize("width", [1200, 420])
def test_a_sheet_that_opens_under_the_mouse_tells_of_itself_before_its_nodes(browser, tmp_path, width):
    draw(lambda x, W: np.tanh(x @ W), X[:1, :2], W[:2, :2], path=tmp_path / "x.html")
    with browser.open(tmp_path / "x.html", width=width) as tab:
        tab.click(node("matmul"))
        assert tab.text("#about h2 + p") == "matmul: 4 products, 2 sums", "on a phone too: it stays in place"
        place = tab.evaluate(f"""(() => {{ const box = document.querySelector({node("W[0, 0]")!r})
            .getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
        tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
        assert tab.text("#about h2") == "W[0, 0]"
        assert tab.troubles == []


@needs_graphviz
def test_names_from_outside_are_words_among_the_scalars_too(browser, tmp_path):
    name = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e"
    draw(lambda x: np.tanh(x @ W[:2, :2]), named(name, X[:2, :2]), path=tmp_path / "x.html")
    with browser.open(tmp_path / "x.html") as tab:
        tab.click(node("matmul"))
        assert tab.count("img") == 0 and tab.count("script") == 2
        labels = tab.evaluate(f"[...document.querySelectorAll('{SHOWN} .leaf')].map((each) => each.textContent)")
        assert any(label.startswith("</script><script>alert(1)") for label in labels)
        tab.click(f"{SHOWN} .leaf")
        assert "onerror" in tab.text("#about h2")
        assert (tab.troubles, tab.requests) == ([], [])
