"""Saved arrays and their lifetimes: the numbers of memory_report(), at the turns at which the engine lets them go."""

import re
from xml.etree import ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, lifetimes, memory_report, scope
from tinygrad_edu.backward import reverse
from tinygrad_edu.graph import FREED, Pick
from tinygrad_edu.testing import programs


def run(program):
    leaves = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    outputs = program(*leaves)
    return np.sum(outputs[0] if isinstance(outputs, tuple) else outputs)


@given(programs())
def test_sizes_and_peak_are_those_of_the_memory_report(program):
    output = run(program)
    found, report = lifetimes(output), memory_report(output)
    assert (found.total, found.peak) == (report.total, report.peak)
    steps = len(found.operations)
    assert len(found.held) == 2 * steps
    for step in range(steps):
        assert found.held[step] == sum(row.bytes for row in found.rows if row.made <= step)
        alive = sum(row.bytes for row in found.rows if row.gone >= step)
        assert found.held[steps + step] >= alive, "and the cotangents come on top"
    assert all(row.gone == steps - 1 - row.made for row in found.rows)


@given(programs())
def test_the_engine_lets_go_of_an_array_after_the_turn_that_is_told(program):
    """Listened to: at each turn those nodes still keep theirs that are said to."""
    output = run(program)
    found = lifetimes(output)
    turns, kept = [], []

    def tell(node, *what):
        if not turns or turns[-1] is not node:
            turns.append(node)
            kept.append([each for each in turns if each.kept is not FREED and type(each.operation) is not Pick])

    reverse({output._node: np.ones(())[()]}, free=True, tell=tell)
    assert [node.label for node in turns] == list(reversed(found.operations))
    for node, still in zip(turns, kept, strict=True):
        # Of those that had a turn, only the one whose turn it is. A pick, of one of several outputs, keeps nothing.
        assert still == ([] if type(node.operation) is Pick else [node])


def chain():
    x = Tensor(np.ones(64), requires_grad=True, name="x")
    with scope("first"):
        y = np.tanh(x)
    return np.sum(np.exp(y) * y)


def test_the_words_and_the_drawing_of_a_small_graph():
    found = lifetimes(chain())
    told = str(found)
    assert told.startswith("1,024 bytes kept for backward; 2,560 with the cotangents, at the peak: turn 2 of 4")
    assert "  512  ━━━━|━━━━  tanh: z (64,), first\n" in told
    assert "  512   ━━━|━━━   exp: z (64,)\n" in told
    assert re.search(r" held  .{4}\|.{4}  bytes held, at most 2,560\n$", told)
    drawing = ElementTree.fromstring(found.svg())
    bars = [each for each in drawing.iter() if each.tag.endswith("rect")]
    assert len(bars) == 2 * len(found.rows)
    assert float(bars[0].get("width")) > float(bars[2].get("width")), "tanh's lives longer"


def test_nothing_is_kept_where_nothing_was_recorded():
    for nothing in (Tensor(1.0), Tensor([1.0], requires_grad=True)):
        found = lifetimes(nothing)
        assert (found.total, found.rows) == (0, ())
        assert str(found) == "Nothing is kept for a backward pass.\n"
        ElementTree.fromstring(found.svg())


def test_of_many_arrays_the_largest_are_shown_and_the_rest_is_counted():
    y = Tensor(np.ones(8), requires_grad=True)
    for _ in range(2000):
        y = np.tanh(y)
    found = lifetimes(np.sum(y))
    assert "and 1,960 smaller ones, 125,440 bytes together" in str(found)
    assert max(map(len, str(found).splitlines())) < 120
    assert len(found.svg()) < 35_000


@given(st.text(min_size=1))
def test_names_stay_words(name):
    with scope(name):
        found = lifetimes(np.sum(np.tanh(Tensor([1.0, 2.0], requires_grad=True))))
    ElementTree.fromstring(found.svg())
    assert str(found).count("\n") == 4


def test_the_page_opens_without_a_request(browser, tmp_path):
    file = tmp_path / "kept.html"
    page = lifetimes(chain()).html(file)
    assert page == file.read_text(encoding="utf-8")
    with browser.open(file) as tab:
        assert "1,024 bytes kept for backward" in tab.text("main p")
        assert tab.count("rect") == 4
        assert (tab.troubles, tab.requests) == ([], [])
