"""What a notebook shows: the picture that draw gives, and of a tensor its numbers with its graph; never an error."""

import base64
import pickle

import numpy as np
import pytest

from tinygrad_edu import Tensor
from tinygrad_edu.render import Drawn, Image, RenderError, draw
from tinygrad_edu.render.layout import can_lay_out

needs_graphviz = pytest.mark.skipif(not can_lay_out(), reason="neither the dot program nor pygraphviz is here")


def loss():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    return np.tanh(x).sum()


@needs_graphviz
def test_each_format_is_shown_as_what_it_is():
    kinds = {"svg": "image/svg+xml", "html": "text/html", "png": "image/png", "pdf": "application/pdf",
             "dot": "text/plain", "json": "text/plain", "text": "text/plain"}  # fmt: skip
    for format, kind in kinds.items():
        picture = draw(loss(), format)
        bundle = picture._repr_mimebundle_()
        assert picture.kind == format and set(bundle) == {kind, "text/plain"}
        if format != "html":
            assert bundle[kind] == picture
        again = pickle.loads(pickle.dumps(picture))
        assert (again, again.kind, type(again)) == (picture, format, type(picture))
    assert 'sandbox="allow-scripts"' in draw(loss(), "html")._repr_mimebundle_()["text/html"]


@needs_graphviz
def test_a_tensor_shows_its_numbers_and_below_them_its_graph():
    y = loss()
    bundle = y._repr_mimebundle_()
    assert bundle["text/plain"] == repr(y) and "from=sum" in bundle["text/html"]
    picture = base64.b64decode(bundle["text/html"].partition("base64,")[2].partition('"')[0]).decode()
    assert "<svg" in picture and ">tanh<" in picture
    for plain in (Tensor(3.0), Tensor([1.0], requires_grad=True)):
        assert plain._repr_mimebundle_() == {"text/plain": repr(plain)}


@needs_graphviz
def test_a_notebook_of_ipython_finds_it():
    formatter = pytest.importorskip("IPython.core.formatters").DisplayFormatter()
    data, _ = formatter.format(loss())
    assert "<pre>Tensor(" in data["text/html"]
    assert "image/svg+xml" in formatter.format(draw(loss(), "svg"))[0]


def test_showing_a_tensor_never_raises(monkeypatch):
    y = loss()

    def broken(*args, **keywords):
        raise RenderError("no layout today")

    monkeypatch.setattr("tinygrad_edu.render.layout.lay_out", broken)
    assert y._repr_mimebundle_() == {"text/plain": repr(y)}
    monkeypatch.setattr("tinygrad_edu.render.summary.has_over", lambda node, limit: True)
    assert y._repr_mimebundle_() == {"text/plain": repr(y)}
    monkeypatch.setattr(Tensor, "__repr__", lambda tensor: 1 / 0)
    assert y._repr_mimebundle_() == {"text/plain": "<Tensor that cannot be shown: ZeroDivisionError>"}


def test_a_layout_that_takes_too_long_is_folded_more_and_says_so(monkeypatch):
    from tinygrad_edu.render import layout, picture
    from tinygrad_edu.render.layout import TooSlow

    x = Tensor(1.0, requires_grad=True)
    for _ in range(100):
        x = -x
    asked = []

    def lay_out(dot, format):
        asked.append(dot)
        if len(asked) < 3:
            raise TooSlow("the layout took over 60 seconds")
        return b"<svg/>"

    monkeypatch.setattr(layout, "lay_out", lay_out)
    monkeypatch.setattr(picture, "can_lay_out", lambda: True)
    assert draw(x) == "<svg/>" and isinstance(draw(x), Drawn)
    sizes = [dot.count("shape") + dot.count("fillcolor") for dot in asked[:3]]
    assert sizes[0] > sizes[1] > sizes[2]
    assert picture.SLOW not in asked[0] and asked[2].count(picture.SLOW) == 1
    asked.clear()
    with pytest.raises(TooSlow):
        draw(x, budget=10)
    assert not isinstance(draw(x), Image)
