"""Pictures as files: the same bytes every time, names that stay words, and advice where Graphviz is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, nn, scope
from tinygrad_edu.render import RenderError, View, draw
from tinygrad_edu.render.layout import can_lay_out, lay_out
from tinygrad_edu.render.palette import HEATS, THEMES
from tinygrad_edu.testing import programs

ROOT = Path(__file__).resolve().parents[1]
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="the dot program is not here")


def leaf(*shape, name=None):
    return Tensor(np.ones(shape), requires_grad=True, name=name)


# DOT --------------------------------------------------------------------------------------------------

LESSON = """
x = Tensor([[2.0, 1.0]], name="x")
W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name="W")
with scope("dense"):
    h = np.tanh(x @ W)
loss = np.mean(h ** 2)
"""


def lesson():
    names = {"np": np, "Tensor": Tensor, "scope": scope}
    exec(compile(LESSON, "lesson.py", "exec"), names)
    return names["loss"]


def test_dot_of_a_small_graph_is_the_golden_one():
    assert draw(lesson(), "dot") == (ROOT / "tests/render_golden.dot").read_text(encoding="utf-8")


def test_every_format_is_the_same_bytes_under_every_hash_seed():
    formats = ["dot", "json", "text", *(["svg", "html"] if can_lay_out() else [])]
    source = f"""if True:
        import sys
        import numpy as np
        from tinygrad_edu import Tensor, scope
        from tinygrad_edu.render import draw
        exec(compile({LESSON!r}, "lesson.py", "exec"))
        for format in {formats}:
            sys.stdout.buffer.write(draw(loss, format).encode())
        assert "graphviz" in sys.modules
    """
    pictures = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, capture_output=True, check=True,
        ).stdout  # fmt: skip
        for seed in ("0", "1", "2")
    }
    assert pictures == {"".join(draw(lesson(), format) for format in formats).encode()}


@needs_dot
@settings(max_examples=15)
@given(programs(), st.integers(1, 40), st.sampled_from(sorted(THEMES)), st.sampled_from([None, *HEATS]))
def test_dot_accepts_every_drawing_of_any_program(program, budget, theme, heat):
    made = program(*[Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)])
    output = made[0] if isinstance(made, tuple) else made
    dot = draw(output, format="dot", budget=budget, theme=theme, heat=heat)
    done = subprocess.run(["dot", "-Tsvg"], input=dot.encode(), capture_output=True, check=True)
    view = View.from_json(draw(output, format="json", budget=budget))
    assert done.stderr == b"" and done.stdout.count(b'class="node ') == len(view.nodes)
    assert done.stdout.count(b'class="edge') == len(view.edges)


def test_importing_the_engine_does_not_import_graphviz():
    source = "import sys, tinygrad_edu.render; assert 'graphviz' not in sys.modules and 'subprocess' not in sys.modules"
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)


# Laying out -------------------------------------------------------------------------------------------


@needs_dot
def test_every_format_is_written_and_returned(tmp_path):
    loss = lesson()
    magic = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph", "txt": b"(No gradients"}
    for ending, start in magic.items():
        picture = draw(loss, path=tmp_path / f"loss.{ending}")
        written = (tmp_path / f"loss.{ending}").read_bytes()
        assert written.startswith(start)
        assert written == (picture.encode() if isinstance(picture, str) else picture)


def test_without_graphviz_pictures_become_text_with_a_hint_and_a_pdf_is_refused_with_advice(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    loss = lesson()
    text, hint = draw(loss, "text"), draw(loss).splitlines()[-1]
    assert draw(loss) == f"{text}{hint}\n" and "pip install pygraphviz" in hint
    assert draw(loss, "dot").startswith("digraph")
    for format in ("svg", "png", "pdf", "html"):
        with pytest.raises(RenderError, match=r'apt-get install graphviz.*pip install pygraphviz.*format="text"'):
            draw(loss, format)


def test_without_dot_pygraphviz_draws_the_same(monkeypatch):
    pytest.importorskip("pygraphviz")
    monkeypatch.setattr("shutil.which", lambda name: None)
    loss = lesson()
    assert draw(loss, "svg").count("<g ") > 12
    assert draw(loss, "png").startswith(b"\x89PNG")


@needs_dot
def test_a_layout_that_takes_too_long_is_stopped_and_one_that_fails_says_why():
    with pytest.raises(RenderError, match="smaller budget="):
        lay_out(draw(lesson(), "dot"), "svg", seconds=1e-6)
    with pytest.raises(RenderError, match=r"failed with exit code 1 .*syntax error"):
        lay_out("digraph {", "svg")


@pytest.mark.parametrize(("arguments", "words"), [
    ({"format": "gif"}, "format='gif' is no format"),
    ({"path": "loss.jpeg"}, r"ending of 'loss.jpeg' is no format"),
    ({"direction": "up", "format": "dot"}, "direction='up'"),
    ({"budget": 0, "format": "dot"}, "at least one node"),
])  # fmt: skip
def test_impossible_wishes_are_refused_in_words(arguments, words):
    with pytest.raises(ValueError, match=words):
        draw(lesson(), **arguments)


def test_what_is_no_tensor_is_refused_in_words():
    with pytest.raises(TypeError, match="of a Tensor, not of a Linear"):
        draw(nn.Linear(1, 1, rng=np.random.default_rng(0)))


def test_attention_reads_as_its_formula():
    q, k, v = (leaf(2, 3, name=name) for name in "QKV")
    text = draw(functional.attention(q, k, v), "text")
    calls = re.findall(r"(\w+)\(", re.sub(r"\(\d+,[^)]*\)", "", text))
    assert [call for call in calls if call in ("matmul", "softmax")] == ["matmul", "softmax", "matmul"]
