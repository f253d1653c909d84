"""The house stands, and each of its gates has been seen to fail: the second half plants violations of every kind."""

import importlib
import re

import pytest
from house import (
    GATES,
    ROOT,
    ROWS,
    all_lists_the_public_names,
    arrows_point_down,
    by_hand_imports_numpy_alone,
    dependencies_earn_their_place,
    files_are_short,
    no_cycles,
    pages_name_what_exists,
    rules_know_numpy_only,
    the_model_holds_no_derivative,
    the_model_uses_public_names,
)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.__name__)
def test_house_keeps(gate):
    complaints = list(dict.fromkeys(gate(ROOT)))
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("package", ROWS)
def test_every_listed_name_can_be_had(package):
    module = importlib.import_module(package)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_examples_in_the_readme_run(capsys):
    """Each python block runs as it stands, and prints what its `# ->` comments say."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S):
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
        promised = re.findall(r"print\(.*# -> (.*)", block)
        assert promised and capsys.readouterr().out.splitlines() == promised


# Planted violations: gate → (words of its complaint, "file: source", ...) ----------------------------------

PUBLIC = "tinygrad_edu/__init__.py: __all__ = ['nn']"
PLANTED = {
    arrows_point_down: [
        ("not below it", "tinygrad_edu/graph.py: def f(): from tinygrad_edu.tensor import Tensor"),
        ("not below it", "tinygrad_edu/graph.py: from . import tensor", "tinygrad_edu/tensor.py: "),
        ("not below it", "tinygrad_edu/nn.py: from tinygrad_edu import Tensor"),
        ("not below it", "tinygrad_edu/nn.py: f = importlib.import_module('tinygrad_edu.optim')"),
        ("not below it", "transformer/model.py: from .cli import main"),
        ("knows of no model", "tinygrad_edu/nn.py: import transformer.model"),
        ("no row", "tinygrad_edu/utils.py: import numpy"),
    ],
    no_cycles: [
        ("import cycle", "transformer/layers/a.py: import transformer.layers.a"),
        (
            "import cycle",
            "tinygrad_edu/rules/a.py: from tinygrad_edu.rules.b import f",
            "tinygrad_edu/rules/b.py: def f(): import tinygrad_edu.rules.a",
        ),
    ],
    rules_know_numpy_only: [
        ("plain NumPy", "tinygrad_edu/rules/a.py: from tinygrad_edu.tensor import Tensor"),
        ("plain NumPy", "tinygrad_edu/rules/a.py: import scipy.special"),
    ],
    the_model_uses_public_names: [
        ("not public", PUBLIC, "transformer/model.py: from tinygrad_edu import Tensor"),
        ("not public", PUBLIC, "transformer/model.py: import tinygrad_edu.graph"),
        ("not public", PUBLIC, "transformer/model.py: from tinygrad_edu.nn import _register"),
        ("is private", PUBLIC, "transformer/model.py: x = t._value"),
    ],
    the_model_holds_no_derivative: [
        ("def softmax_backward", "transformer/model.py: def softmax_backward(g, z): ..."),
        ("primitive(...)", "transformer/model.py: f = engine.primitive(None)(f)"),
        ("derivative(...)", "transformer/layers/attention.py: derivative(np.exp, None)"),
        ("p.grad = ...", "transformer/train.py: p.grad *= 0.5"),
        ("setattr(...)", "transformer/train.py: setattr(p, 'grad', None)"),
    ],
    by_hand_imports_numpy_alone: [
        ("NumPy alone", "tests/by_hand/attention.py: from tinygrad_edu import functional"),
        ("NumPy alone", "tests/by_hand/attention.py: def f(): import torch"),
    ],
    all_lists_the_public_names: [
        ("not in __all__", "transformer/__init__.py: from transformer.a import B, C; __all__ = ['B']"),
        ("not there", "transformer/__init__.py: __all__ = ['B']"),
    ],
    pages_name_what_exists: [
        ("no target", "README.md: `make coffee`", "Makefile: tea:"),
        ("leads nowhere", "docs/index.md: [here](gone.md)"),
        ("does not exist", "README.md: see `docs/gone.md`", "docs/here.md: "),
        ("does not exist", "README.md: see `gone.py`"),
    ],
    dependencies_earn_their_place: [
        ("asks for scipy", "setup.cfg: [options]\ninstall_requires = scipy>=1.0", "docs/dependencies.md: numpy"),
    ],
    files_are_short: [("over 350", "tests/test_long.py: " + "pass\n" * 351)],
}


@pytest.mark.parametrize(
    ("gate", "words", "files"),
    [(gate, words, files) for gate, plants in PLANTED.items() for words, *files in plants],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_gate_sees_what_was_planted(gate, words, files, tmp_path):
    for file in files:
        name, _, source = file.partition(": ")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    complaints = list(gate(tmp_path))
    assert any(words in complaint for complaint in complaints), complaints


def test_every_gate_has_a_planted_violation():
    assert set(PLANTED) == set(GATES)
