"""One HTML file: it asks for nothing, what travels in it stays data, and only its own scripts run."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, scope
from tinygrad_edu.render import draw
from tinygrad_edu.render.layout import can_lay_out
from tinygrad_edu.render.page import inline_svg, page

needs_graphviz = pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")
HOSTILE = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["</script><script>alert(1)</script>", "<!--<script>", "]]>", "\u2028\u2029", "&lt;", "\ud800", "</title>", "\x00"]
)


class Elements(HTMLParser):
    """What a reader of HTML finds: its elements with their attributes, and the text inside each kind."""

    def __init__(self, text):
        super().__init__()
        self.found, self.texts = [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, text):
        tag = self.found[-1][0] if self.found else ""
        self.texts[tag] = self.texts.get(tag, "") + text


@given(title=HOSTILE, data=st.dictionaries(HOSTILE, HOSTILE | st.lists(HOSTILE) | st.floats(allow_nan=False,
                                                                                          allow_infinity=False)))
def test_words_from_outside_come_back_as_data_and_never_as_elements(title, data):
    text = page(title, "<main></main>", data)
    text.encode()
    elements = Elements(text)
    assert [tag for tag, _ in elements.found] == [
        "html", "head", "meta", "meta", "meta", "title", "style", "body", "main", "script", "script",
    ]  # fmt: skip
    carried = re.search(r'<script type="application/json" id="facts">([^<>&]*)</script>', text).group(1)
    assert carried.isascii() and json.loads(carried) == json.loads(json.dumps(data))


def test_nothing_runs_but_what_the_policy_names_by_its_hash(browser, tmp_path):
    text = page("a page", '<p id="p">quiet</p>', {"x": [1, 2.5]}, scripts=["stage.js"])
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    with browser.open(file) as tab:
        assert (tab.troubles, tab.requests) == ([], [])
        assert tab.evaluate("facts") == {"x": [1, 2.5]}
        assert tab.evaluate("typeof Stage") == "function"
    hole = '<script>document.title = "run"</script><img src="x:" onerror="document.title = 1"><p style="color: red">'
    file.write_text(text.replace('<p id="p">', f'{hole}<p id="p">'), encoding="utf-8")
    with browser.open(file) as tab:
        assert tab.evaluate("document.title") == "a page"
        assert sum("Content Security Policy" in trouble for trouble in tab.troubles) >= 3
    file.write_text(text.replace("<p", '<img src="https://example.org/a.png"><p'), encoding="utf-8")
    with browser.open(file) as tab:
        assert any("Content Security Policy" in trouble for trouble in tab.troubles)


def test_a_page_follows_the_reader_into_the_dark_unless_it_is_told_not_to(browser, tmp_path):
    colours = {}
    for theme in ("auto", "light", "dark"):
        file = tmp_path / f"{theme}.html"
        file.write_text(page("a page", "", theme=theme), encoding="utf-8")
        for dark in (False, True):
            with browser.open(file, dark=dark) as tab:
                colours[theme, dark] = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    light, dark = colours["auto", False], colours["auto", True]
    assert light != dark
    assert colours["light", True] == colours["light", False] == light
    assert colours["dark", False] == colours["dark", True] == dark


@needs_graphviz
@settings(max_examples=10)
@given(HOSTILE)
def test_a_drawing_keeps_its_shapes_and_nothing_to_follow_or_run(name):
    x = Tensor(np.ones(2), requires_grad=True, name=name)
    with scope(name or "s"):
        svg = draw(np.tanh(x * 2.0), "svg")
    inside = ElementTree.fromstring(inline_svg(svg, "a graph"))
    assert {element.tag for element in inside.iter()} <= {"svg", "g", "path", "polygon", "text", "ellipse", "polyline"}
    assert not {key for each in inside.iter() for key in each.attrib if ":" in key or key.startswith(("on", "href"))}
    names = [each.get("data-name") for each in inside.iter() if "node" in each.get("class", "").split()]
    assert sorted(names) == ["0", "1", "2", "3"]
    assert inside.get("data-width") in svg


def test_data_that_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        page("a page", "", {"loss": np.nan})
