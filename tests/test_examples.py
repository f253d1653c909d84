"""Every example runs as it stands, warns of nothing, and prints what its `# ->` comments promise."""

import contextlib
import functools
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WORDS = (
    "One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve Thirteen Fourteen Fifteen Sixteen Seventeen".split()
)
CHOICES = st.tuples(st.sampled_from(["+", "*", "tanh"]), st.integers(0, 20), st.integers(0, 20))


@functools.cache
def run(example):
    """What it prints. In a process of its own: some declare operations, and those stay declared."""
    command = [sys.executable, "-W", "error", str(example)]
    if "--quick" in example.read_text(encoding="utf-8"):
        command.append("--quick")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@functools.cache
def run_here(name):
    """Its names, for the steps that import no engine."""
    with contextlib.redirect_stdout(None):
        return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_prints_what_it_promises(example):
    printed = run(example).splitlines()
    promised = re.findall(r"# -> (.*)", example.read_text(encoding="utf-8"))
    assert printed[: len(promised)] == promised and len(printed) >= max(1, len(promised))


def test_the_steps_are_numbered_without_a_gap():
    numbers = [int(example.name[:2]) for example in EXAMPLES]
    assert numbers == list(range(1, len(EXAMPLES) + 1))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_step_is_short_and_says_its_number(example):
    lines = example.read_text(encoding="utf-8").splitlines()
    assert len([line for line in lines if line.strip()]) <= 80
    assert lines[0].startswith(f'"""{WORDS[int(example.name[:2]) - 1]}: ')


def test_the_first_steps_lean_on_no_engine_but_their_own():
    for example in EXAMPLES[:4]:
        assert not re.search(r"import.*(tinygrad|transformer)", example.read_text(encoding="utf-8"))


@given(numbers=st.lists(st.floats(-2, 2), min_size=3, max_size=3), ways=st.lists(CHOICES, min_size=1, max_size=8))
def test_the_sixty_lines_give_the_gradients_of_the_engine(numbers, ways):
    """On drawn expressions, in which a value may be used many times."""
    Value = run_here("01_sixty_lines")["Value"]
    ours, theirs = [Tensor(n, requires_grad=True) for n in numbers], [Value(n) for n in numbers]
    leaves = list(zip(ours, theirs, strict=True))
    for way, a, b in ways:
        for values in (ours, theirs):
            x, y = values[a % len(values)], values[b % len(values)]
            flat = abs(float(x.data * y.data)) > 2.5  # there 1 - t * t, as the sixty lines have it, loses digits
            values.append(x + y if way == "+" else x * y if way == "*" or flat else (x * y).tanh())
    if not ours[-1].is_leaf:
        ours[-1].backward()
        theirs[-1].backward()
        for ours_leaf, leaf in leaves:
            found = 0.0 if ours_leaf.grad is None else ours_leaf.grad.item()
            assert leaf.grad == pytest.approx(found, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("shapes", [((4, 3), (3, 2), (2,)), ((4, 3), (3, 2), (4, 1)), ((2, 2), (2, 3), (1, 1))])
def test_the_arrays_of_step_two_undo_a_broadcast_as_the_engine_does(shapes):
    rng, Array = np.random.default_rng(0), run_here("02_arrays")["Array"]
    values = [rng.normal(size=shape) for shape in shapes]
    ours, theirs = [Tensor(v, requires_grad=True) for v in values], [Array(v) for v in values]
    for x, W, b in (ours, theirs):
        (((x @ W + b).tanh() * b).sum()).backward()
    for tensor, array in zip(ours, theirs, strict=True):
        assert np.allclose(tensor.grad.numpy(), array.grad, rtol=1e-12, atol=1e-15)


def test_three_wrong_gradients_shows_each_mistake_where_it_is():
    out = run(next(example for example in EXAMPLES if "three_wrong" in example.name))
    wrong = {line.split()[0]: line for line in out.splitlines() if line.startswith(("blocks", "embedding", "output"))}
    assert len(wrong) == 23
    # The last block's own output projection lies after the attention that is wrong; its queries lie before.
    assert "right" in wrong["blocks.1.attention.output.weight"]
    assert "right" not in wrong["blocks.1.attention.qkv.weight"]
    assert re.search(r"wrong +12 of 23 +23 of 23 +23 of 23", out)
    cosines = re.findall(r"(\d\.\d{4})\s+(-?\d\.\d{4})", "\n".join(wrong.values()))
    assert len(cosines) == 12 + 23 + 23 and all(float(error) > 0.1 and float(c) < 0.999 for error, c in cosines)
    assert float(re.search(r"Brier score: relative error (\S+)", out)[1]) < 1e-12


def test_mistakes_planted_for_training_show_in_the_accuracy_alone():
    out = run(next(example for example in EXAMPLES if "trained_on_wrong" in example.name))
    after = re.findall(r"after epoch \d+" + 4 * r"\s+([\d.]+) %", out)
    assert len(after) == 2
    before, (derived, *wrong) = (list(map(float, shares)) for shares in after)
    assert all(derived > share > 1.2 * early for share, early in zip(wrong, before[1:], strict=True))
    first, last = (list(map(float, re.findall(r"\d\.\d{4}", line))) for line in out.splitlines()[-2:])
    assert len(first) == 4 and all(end < start for start, end in zip(first, last, strict=True))


def test_the_gallery_shows_every_example_with_its_length_its_words_and_what_it_prints(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import gallery_page

    monkeypatch.setattr(gallery_page, "made", lambda example: (f"printed by {example.stem}", {"light": "<svg/>"}))
    sections = gallery_page.page(tmp_path).split("\n## ")[1:]
    assert len(sections) == len(EXAMPLES)
    for number, (example, section) in enumerate(zip(EXAMPLES, sections, strict=True), 1):
        lines = example.read_text(encoding="utf-8").splitlines()
        assert section.startswith(f"{number}. ") and f"{example.name}, {len(lines)} lines" in section
        words = lines[0].partition(": ")[2].rstrip('"').split()
        assert " ".join(words[1:6]) in section and f"printed by {example.stem}" in section
        assert (tmp_path / f"gallery-{number:02}-light.svg").exists()
    assert set(gallery_page.PICTURES) < {example.name[:2] for example in EXAMPLES}


def test_the_gallery_draws_a_scalar_engine_that_knows_nothing_of_pictures(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import gallery_page

    if not gallery_page.can_lay_out():
        pytest.skip("neither the dot program nor pygraphviz is here")
    printed, pictures = gallery_page.made(EXAMPLES[0])
    assert printed == run(EXAMPLES[0]).strip()
    assert set(pictures) == {"light", "dark"} and pictures["light"].count("∇") == 10
