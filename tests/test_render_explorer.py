"""The page of a graph, in a browser: what it shows is what the engine has, and what is folded opens."""

import numpy as np
import pytest

from tinygrad_edu import Tensor, functional
from tinygrad_edu.render import draw
from tinygrad_edu.render.layout import can_lay_out
from tinygrad_edu.render.plain import statistics_of
from transformer import Transformer, TransformerConfig

pytestmark = pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")
TOKENS = np.array([[15, 17, 3, 19, 8, 19, 4, 18]])
SHOWN = ".sheet:not(.hidden)"


@pytest.fixture(scope="module")
def model():
    return Transformer(TransformerConfig(vocab_size=20, num_layers=6), seed=0)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    def loss(tokens):
        return functional.cross_entropy(model(tokens), np.array([8]))

    path = tmp_path_factory.mktemp("explorer") / "model.html"
    draw(loss, TOKENS, path=path, gradients=True, depth=1)  # blocks are open, what is in them closed
    loss(TOKENS).backward()
    return path


@pytest.fixture
def tab(browser, file):
    with browser.open(file) as tab:
        yield tab
        assert (tab.troubles, tab.requests) == ([], []), "no console error, no network request"


def box(title):
    """The selector of a box or node on the sheet that is shown, by the words in it."""
    return f"""{SHOWN} .node[aria-label^="{title},"]"""


def number(tab, block, row):
    """A number of the panel: block is its heading."""
    return float(tab.evaluate(
        f"""[...document.querySelectorAll("#about h3")].find((h) => h.textContent === "{block}").nextElementSibling
        .querySelectorAll("tr").values().find((r) => r.cells[0].textContent === "{row}").cells[1].textContent"""
    ))  # fmt: skip


def test_equal_blocks_are_one_box_that_opens_and_every_number_is_the_engines(tab, model):
    assert "Block × 6" in tab.evaluate(f'document.querySelector("{SHOWN}").textContent')
    assert f"{model.num_parameters():,} parameters" in tab.text("#about")
    tab.click(box("attention"))
    assert tab.text("#path [aria-current]") == "blocks.0.attention"
    assert "Attention(4 heads), 16,384 parameters" in tab.evaluate(f'document.querySelector("{SHOWN}").textContent')
    tab.click(box("blocks.0.attention.qkv.weight"))
    weight = model.blocks[0].attention.qkv.weight
    for block, array in (("Value", weight), ("Gradient", weight.grad)):
        known = statistics_of(array.numpy())
        for row, expected in zip(("from", "to", "norm"), (known.low, known.high, known.norm), strict=True):
            assert number(tab, block, row) == pytest.approx(expected, rel=1e-3)
    tab.press("Escape")
    assert tab.count(".chosen") == 0
    tab.press("Escape")
    assert tab.text("#path") == "graph", "a step back"


def test_the_one_box_shows_the_numbers_of_each_block_in_turn(tab, model):
    tab.click(box("feed_forward"))
    tab.click(box("blocks.0.feed_forward.up.weight"))
    for k in range(1, 6):
        tab.click("#after")
        weight = model.blocks[k].feed_forward.up.weight
        assert tab.text("#which") == f"blocks.{k} ({k + 1} of 6)"
        assert weight.name in tab.text("#about") and "in the boxes stand those of blocks.0" in tab.text("#about")
        assert number(tab, "Value", "norm") == pytest.approx(statistics_of(weight.numpy()).norm, rel=1e-3)
        assert number(tab, "Gradient", "norm") == pytest.approx(statistics_of(weight.grad.numpy()).norm, rel=1e-3)
    assert tab.evaluate('document.querySelector("#after").disabled')


def test_search_finds_a_node_inside_folded_boxes_and_goes_there(tab):
    tab.press("/")
    tab.type("blocks.4 qkv weight")
    assert tab.count("#found li") == 1
    tab.press("Enter")
    assert tab.text("#which") == "blocks.4 (5 of 6)"
    assert tab.text("#about h2") == "blocks.4.attention.qkv.weight"
    assert tab.count(f"{SHOWN} .node.chosen") == 1
    tab.click("#about li button")  # what uses it
    assert tab.text("#about h2") == "linear" and "blocks.4.attention.qkv" in tab.text("#about")
    tab.press("/")
    tab.evaluate('document.querySelector("#search").select()')
    tab.type("no such thing")
    assert tab.text("#found") == "nothing found"
    tab.press("Escape")
    assert tab.count("#found.hidden") == 1


def test_keys_alone_lead_through_the_graph(tab):
    for _ in range(40):
        tab.press("Tab")
        if tab.evaluate('document.activeElement.classList.contains("folded")'):
            break
    name = tab.evaluate('document.activeElement.getAttribute("aria-label")')
    tab.press("Enter")
    assert tab.text("#path [aria-current]").endswith(name.split(",")[0])
    before = tab.evaluate("stage.scale")
    tab.press("+")
    assert tab.evaluate("stage.scale") == pytest.approx(1.25 * before)
    left = tab.evaluate("stage.left")
    tab.press("ArrowRight")
    assert tab.evaluate("stage.left") == pytest.approx(left - 60)
    tab.press("0")
    assert tab.evaluate("stage.scale") == pytest.approx(before)


def test_the_wheel_zooms_where_it_points_and_a_drag_moves_without_choosing(tab):
    place = tab.evaluate(f"""(() => {{ const box = document.querySelector({box("norm1")!r}).getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
    tab.call("Input.dispatchMouseEvent", type="mouseWheel", x=place[0], y=place[1], deltaX=0, deltaY=-300)
    again = tab.evaluate(f"""(() => {{ const box = document.querySelector({box("norm1")!r}).getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]; }})()""")
    assert again == pytest.approx(place, abs=1.0) and tab.evaluate("stage.scale") > 1
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 10), ("mouseMoved", 80), ("mouseReleased", 80)):
        tab.call("Input.dispatchMouseEvent", type=kind, x=place[0] + dx, y=place[1], button="left", buttons=1,
                 clickCount=1)  # fmt: skip
    moved = tab.evaluate(f"document.querySelector({box('norm1')!r}).getBoundingClientRect().left")
    assert tab.text("#path") == "graph", "a drag that ends on a box does not open it"
    assert moved > place[0]


def test_hovering_tells_and_marks_the_edges(tab):
    place = tab.evaluate(f"""(() => {{ const box = document.querySelector({box("cross_entropy")!r})
        .getBoundingClientRect(); return [box.left + 5, box.top + box.height / 2]; }})()""")
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    assert tab.text("#about h2") == "cross_entropy" and tab.count(f"{SHOWN} .edge.near") == 1
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=400)
    assert tab.text("#about h2") == "graph" and tab.count(".edge.near") == 0


def test_a_banner_stands_where_no_backward_pass_was_run(browser, tmp_path):
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    draw(np.tanh(x).sum(), path=tmp_path / "x.html")
    with browser.open(tmp_path / "x.html") as tab:
        assert tab.text("#notes") == "No gradients: backward() was not run."
        assert tab.troubles == []
