"""The replay as a page: every step is the engine's, every way through it works, and no name can act."""

import contextlib
import html.parser
import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, contributions, functional, replay, scope, trace_backward
from tinygrad_edu.render import RenderError, contribution, player
from tinygrad_edu.render import ledger as ledger_module
from tinygrad_edu.render.fold import boxes_of, fold
from tinygrad_edu.render.layout import TooSlow, can_lay_out
from tinygrad_edu.render.ledger import ledger_of
from tinygrad_edu.render.page import page
from tinygrad_edu.render.view import view_of
from tinygrad_edu.testing import programs

X = np.array([[2.0, 1.0], [0.5, -1.0]])


def network(first="W", second="b"):
    """A layer and a penalty: W is used three times, b is broadcast."""
    W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name=first)
    b = Tensor([0.1, -0.1], requires_grad=True, name=second)
    with scope("dense"):
        h = np.tanh(X @ W + b)
    return np.mean(h * h) + 0.1 * np.sum(W * W), W, b


@pytest.fixture
def undrawn(monkeypatch):
    """Without Graphviz: what is on the page beside the drawing, in a hundredth of the time."""

    def absent(*given):
        raise RenderError("no Graphviz here")

    monkeypatch.setattr(player, "lay_out", absent)


def facts(text):
    return json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.S)[1])


def numbers(about):
    """An amount of the page as an array again."""
    found = [[float(x) for x in row] for row in about["rows"]]
    return np.array(found)


# The facts --------------------------------------------------------------------------------------------


@given(programs(steps=6))
@settings(max_examples=30)
def test_the_page_says_what_the_engine_did(program):
    """Digit by digit: what is written stands for the same floats."""
    leaves = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    outputs = program(*leaves)
    output = np.sum(outputs[0] if isinstance(outputs, tuple) else outputs)
    told, ledger = facts(replay(output, budget=1)), ledger_of(output)
    assert len(told["steps"]) == told["all"] == len(ledger.steps)
    for about, step in zip(told["steps"], ledger.steps, strict=True):
        assert about["node"] == step.node
        for sent, share in zip(about["shares"], step.shares, strict=True):
            assert (sent["to"], sent["argument"]) == (share.receiver, share.name)
            for words, value in ((sent["value"], share.value), (sent["total"], share.total)):
                if "rows" in words:
                    assert np.array_equal(numbers(words).ravel(), np.ravel(value), equal_nan=True)
    output.backward()
    shown = {told["nodes"][str(number)]["name"]: about for number, about in told["leaves"]}
    for leaf in leaves:
        if leaf.grad is not None and "rows" in shown[leaf.name]:
            assert np.array_equal(numbers(shown[leaf.name]).ravel(), leaf.grad.numpy().ravel(), equal_nan=True)


def test_a_large_graph_is_folded_and_a_long_pass_cut_and_the_page_says_so(undrawn):
    y = Tensor(np.ones(3), requires_grad=True, name="x")
    for k in range(40):
        with scope(f"layer{k}"):
            y = np.tanh(y * 0.9)
    text = replay(np.sum(y), budget=10, steps=30)
    assert "The page has the first 30 of 81 steps; steps=81 has all." in text
    assert len(facts(text)["steps"]) == 30
    for wrong in ({"steps": 0}, {"budget": 0}):
        with pytest.raises(ValueError, match="0"):
            replay(np.sum(y), **wrong)


def test_without_graphviz_the_page_says_so_and_has_all_steps(undrawn):
    text = replay(network()[0])
    assert "no Graphviz here" in text and "<svg" not in text
    assert len(facts(text)["steps"]) == 9


def test_a_drawing_that_takes_too_long_is_folded_further(monkeypatch):
    tried = []

    def slow(dot, format):
        tried.append(dot.count("shape="))
        raise TooSlow("dot takes too long")

    monkeypatch.setattr(player, "lay_out", slow)
    y = Tensor(np.ones(3), requires_grad=True, name="x")
    for _ in range(60):
        y = np.tanh(y)
    text = replay(np.sum(y))
    assert len(tried) == 3 and "dot takes too long" in text and "62 nodes drawn as 15" not in text
    assert "62 nodes drawn as 12" in text and len(facts(text)["steps"]) == 61


def test_of_a_graph_that_is_too_large_to_be_seen_the_beginning_of_the_pass_is_shown(undrawn, monkeypatch):
    """Its nodes are numbered among themselves, and the gradients are there all the same."""
    for module in (ledger_module, contribution):
        monkeypatch.setattr(module, "LARGE", 400)
    x = y = Tensor(0.5, requires_grad=True, name="x")
    for _ in range(260):
        y = y * 0.999 + x
    known = facts(replay(y, steps=10))
    assert known["all"] == 520 and len(known["steps"]) == 10
    assert len(known["nodes"]) < 30
    (number, about), *others = known["leaves"]
    y.backward(retain_graph=True)
    assert others == [] and about["rows"] == [[x.grad.item()]]
    assert known["nodes"][str(number)]["expects"] == 261
    assert "steps more are not told here" in trace_backward(y, steps=3)
    assert contributions(y, x).ways == 261


def test_the_page_is_the_same_in_every_run_and_is_what_the_file_holds(tmp_path):
    file = tmp_path / "replay.html"
    text = replay(network()[0], file)
    assert text == replay(network()[0]) == file.read_text(encoding="utf-8")


class Elements(html.parser.HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag != "wbr":  # a place where a long name may be broken
            self.found.append((tag, sorted(name for name, _ in attributes)))


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
@example("</script><script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>")
@example("\u202e]]>\x00<!--", "{|}&lt;\\u003c")
def test_names_make_no_element(first, second):
    def elements(*names):
        ledger = ledger_of(network(*names)[0])
        known = player.facts_of(ledger, list(range(len(ledger.view.nodes))))
        return Elements(page("x", player.body("x", "", [], ledger, known), known)).found

    assert elements(first, second) == elements("W", "b")


@given(st.lists(st.sampled_from(["", "a", "a.b", "a.b.c", "d"]), min_size=1, max_size=12), st.integers(1, 12))
def test_every_node_is_found_in_the_box_that_it_is_folded_into(scopes, budget):
    """A box counts what is in it: as many as are said to be there."""
    y = Tensor(np.ones(2), requires_grad=True, name="x")
    for path in scopes:
        with contextlib.ExitStack() as stack:
            for name in filter(None, path.split(".")):
                stack.enter_context(scope(name))
            y = np.tanh(y * 2.0)
    view = view_of(y)
    seen = fold(view, budget)
    boxes = boxes_of(view, seen)
    inside = {node.number: [other for other in view.nodes if boxes[other.number] == node.number] for node in seen.nodes}
    for node in seen.nodes:
        kinds = Counter(other.kind for other in inside[node.number])
        assert kinds == (dict(node.folded) if node.kind == "folded" else {node.kind: 1})
        if node.kind != "folded":
            assert (node.label, node.scope) == (inside[node.number][0].label, inside[node.number][0].scope)


# In a browser -----------------------------------------------------------------------------------------


def shown(tab, selector):
    """The table of numbers in an element, unrounded: from the tooltips."""
    rows = tab.evaluate(
        f"[...document.querySelector({json.dumps(selector)}).querySelectorAll('tr')]"
        ".map((row) => [...row.cells].map((cell) => Number(cell.title)))"
    )
    return np.array(rows)


def where(tab):
    return tab.text("#count"), tab.text("#now h2")


def test_a_reader_steps_plays_and_jumps_and_sees_the_engines_numbers(browser, tmp_path):
    loss, W, b = network()
    file = tmp_path / "replay.html"
    replay(loss, file)
    ledger = ledger_of(loss)
    loss.backward()
    with browser.open(file) as tab:
        assert where(tab) == ("start", "The start")
        tab.click("#next")
        assert where(tab)[0] == "1 of 9"
        tab.press("ArrowRight")
        tab.press("ArrowRight")
        tab.press("ArrowRight")
        assert where(tab) == ("4 of 9", "Step 4: multiply(W, W)")
        for place, share in enumerate(ledger.steps[3].shares, 1):
            assert np.array_equal(shown(tab, f"#now .share:nth-of-type({place}) .total"), share.total)
        assert "share 1 of 3" in tab.text("#now .share")
        assert "lambda g, y: g * y" in tab.text("#now .share pre")
        assert "dx = dz ⊙ y" in tab.text("#now .share .formula")
        assert "node 9" not in tab.text("#said") and "multiply(W, W) got [[0.1, 0.1], [0.1, 0.1]]" in tab.text("#said")
        tab.click("#previous")
        assert where(tab)[0] == "3 of 9"
        tab.press("ArrowLeft")
        assert where(tab)[0] == "2 of 9"
        tab.press("End")
        assert where(tab) == ("end", "The end: every gradient")
        for leaf, number in ((W, 1), (b, 3)):
            whole = shown(tab, f"#now .gradient[data-leaf='{number}']")
            assert np.array_equal(whole.reshape(leaf.shape), leaf.grad.numpy())
        tab.press("Home")
        assert where(tab)[0] == "start"
        tab.click("#list button[data-position='7']")
        assert where(tab) == ("7 of 9", "Step 7: tanh(#4)")
        tab.click("#leaves button")
        assert tab.text("#now h2") == "W" and "2 of 3 shares so far" in tab.text("#now")
        tab.click("#now .link")
        assert where(tab)[0] == "4 of 9"
        assert (tab.troubles, tab.requests) == ([], [])


def test_play_goes_on_by_itself_and_stops_at_the_end_or_when_asked(browser, tmp_path):
    file = tmp_path / "replay.html"
    replay(network()[0], file)
    with browser.open(file) as tab:
        # Time passes when the test says so.
        tab.evaluate("window.turns = []; window.setInterval = (f) => turns.push(f); window.clearInterval = () => {}; 0")
        tab.press(" ")
        assert tab.text("#play") == "Pause"
        tab.evaluate("turns[0](); turns[0](); 0")
        assert where(tab)[0] == "2 of 9"
        tab.press(" ")
        assert tab.text("#play") == "Play"
        tab.click("#play")
        tab.evaluate("for (let k = 0; k < 8; k++) turns[1](); 0")
        assert where(tab)[0] == "end" and tab.text("#play") == "Play"
        assert (tab.troubles, tab.requests) == ([], [])


@pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")
def test_a_click_in_the_picture_jumps_and_the_picture_shows_where_the_pass_is(browser, tmp_path):
    file = tmp_path / "replay.html"
    replay(network()[0], file)
    with browser.open(file) as tab:
        tab.click("#stage g.node[data-name='5']")
        assert where(tab) == ("7 of 9", "Step 7: tanh(#4)")
        states = {
            state: tab.evaluate(f"[...document.querySelectorAll('#stage .{state}')].map((g) => g.dataset.name)")
            for state in ("current", "sending", "done")
        }
        assert states["current"] == ["5"] and states["sending"] == ["4->5"]
        assert "12" in states["done"] and "1" not in states["done"], "W's gradient is not complete"
        tab.click("#stage g.node[data-name='1']")
        assert tab.text("#now h2") == "W"
        assert (tab.troubles, tab.requests) == ([], [])


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_a_phone_and_works_by_keyboard_alone(browser, tmp_path, dark):
    file = tmp_path / "replay.html"
    rng = np.random.default_rng(0)
    q = Tensor(rng.standard_normal((4, 8)), requires_grad=True, name="a long name of a tensor, without a break in it")
    replay(np.sum(functional.attention(q, q, q)), file)
    with browser.open(file, 360, 740, dark) as tab:
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        for _ in range(3):
            tab.press("ArrowRight")
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        tab.evaluate("document.querySelector('#next').focus(), 0")
        tab.press("Enter")
        assert where(tab)[0].startswith("4 of")
        unnamed = tab.evaluate(
            "[...document.querySelectorAll('button, input')].filter((e) => e.offsetParent"
            " && !(e.innerText || '').trim() && !e.ariaLabel).length"
        )
        assert unnamed == 0
        assert tab.evaluate("document.querySelector('#said').getAttribute('aria-live')") == "polite"
        assert (tab.troubles, tab.requests) == ([], [])
