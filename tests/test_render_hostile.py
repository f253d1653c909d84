"""Names, scopes and keywords are words, whatever is in them: no parser fails on them, and none takes them for more."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, primitive, scope
from tinygrad_edu.render import draw

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the dot program is not here")
BAD = [
    '"', "\\", '\\"', "\\N\\G\\L", "<b>bold</b>", "<>", "</script><script>alert(1)</script>", "{a|b}", "a\x00b", "",
    "\u202eevil", "שלום", "x" * 1_000_000, "javascript:alert(1)", "&lt;&#60;&amp;", "]]>", "a\nb\r\nc", "\ud800",
    "\uffff", " ", "-->", "<!--", "%", "🙂", "<<TABLE HREF='javascript:x'><TR><TD>x</TD></TR></TABLE>", "end\\",
    "\x1b[31m", "</svg><img src=x onerror=alert(1)>", "a.0", "..", "\u2028\u2029", "'\"><a href='https://example.org'>",
    "</title>",
]  # fmt: skip
STRINGS = st.lists(st.text(st.characters(), max_size=12) | st.sampled_from(BAD), min_size=48, max_size=48)
SVG = {"svg", "g", "title", "polygon", "path", "text", "a", "polyline", "ellipse"}
PAGE = {
    "html", "head", "meta", "title", "style", "body", "header", "nav", "span", "button", "output", "input", "ul", "li",
    "main", "div", "aside", "ol", "footer", "kbd", "script",
}  # fmt: skip


@primitive(lambda g, note: g)
def noted(x, note=""):
    return x * 1.0


def graph(strings):
    """Every string is the name of a leaf, of a constant or of a result, a scope, or a keyword."""
    rows = []
    for name, where, note in zip(*[iter(strings)] * 3, strict=True):
        x = Tensor(np.ones(2), requires_grad=True, name=name)
        with scope(where):
            y = noted(x + Tensor([1.0, 2.0], name=where), note=note)
            y.name = note
        rows.append(y)
    return np.stack(rows).sum()


@needs_dot
@settings(max_examples=11, phases=(Phase.explicit, Phase.generate))  # a failure is as clear unshrunk, and quick
@given(STRINGS)
def test_528_strings_stay_words_in_dot_and_svg(strings):
    loss = graph(strings)
    dot = draw(loss, "dot", repeats=False)
    done = subprocess.run(["dot", "-Tsvg", "-Tdot_json"], input=dot.encode(), capture_output=True, check=True)
    assert done.stderr == b"", "no complaint either"
    svg, _, parsed = done.stdout.partition(b"</svg>\n")
    objects = json.loads(parsed)["objects"]
    assert sum("nodes" not in each and "label" in each for each in objects) == 16 * 4 + 2
    attributes = " ".join({key.lower() for each in objects for key in each})
    assert not any(word in attributes for word in ("url", "href", "image", "target", "shapefile"))
    assert is_inert(ElementTree.fromstring(svg + b"</svg>"))


def is_inert(root):
    """Graphviz's own few elements, with nothing to click, load or run."""
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= SVG
    attributes = {name.rpartition("}")[2] for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name in ("href", "src", "style") or name.startswith("on")}
    return True


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}

    handle_startendtag = handle_starttag


@needs_dot
@settings(max_examples=3)
@given(STRINGS)
def test_strings_stay_words_and_data_in_a_page(strings):
    text = draw(graph(strings), "html")
    found = Page(text)
    assert set(found.tags) <= PAGE | SVG
    assert found.tags.count("script") == 2 and found.tags.count("style") == found.tags.count("title") == 1
    active = {name for name in found.attributes if name in ("href", "src", "srcdoc", "style") or name.startswith("on")}
    assert not active
    carried = json.loads(re.search(r'id="facts">(.*?)</script>', text).group(1))
    assert len(carried["nodes"]) == 16 * 4 + 2
    assert len(text) < 400_000, "a long name does not make a long page"


@needs_dot
def test_a_browser_finds_nothing_to_run_in_the_worst_of_them(browser, tmp_path):
    file = tmp_path / "worst.html"
    file.write_text(draw(graph(BAD * 3), "html"), encoding="utf-8")
    with browser.open(file) as tab:
        assert (tab.troubles, tab.requests) == ([], [])
        assert tab.count("script") == 2 and tab.count("img, a, iframe, object, form, link") == 0
        for name in range(0, tab.count(".sheet:not(.hidden) .node"), 7):
            tab.evaluate(f"choose('{name}')")
        assert tab.count("script") == 2 and tab.count("img, a, iframe, object, form, link") == 0
        assert (tab.troubles, tab.requests) == ([], [])


@given(STRINGS)
@settings(max_examples=5)
def test_text_holds_no_control_characters_either(strings):
    text = draw(graph(strings), "text")
    assert all(character == "\n" or character.isprintable() for character in text)
    assert max(map(len, text.splitlines())) < 400
    json.loads(draw(graph(strings), "json"))
