"""The backward pass in words: every step, every share and every sum, and nothing that a terminal would obey."""

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, contributions, scope, trace_backward
from tinygrad_edu.render.amounts import amount
from tinygrad_edu.render.ledger import ledger_of
from tinygrad_edu.testing import programs


def small(names=("W", "b")):
    W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name=names[0])
    b = Tensor([0.1, -0.1], requires_grad=True, name=names[1])
    with scope("dense"):
        h = np.tanh(np.array([[2.0, 1.0], [0.5, -1.0]]) @ W + b)
    return np.mean(h * h), W, b


@given(programs(steps=6))
def test_every_step_share_and_sum_is_told(program):
    leaves = [Tensor(x, requires_grad=True, name=f"x{k}") for k, x in enumerate(program.inputs)]
    outputs = program(*leaves)
    output = np.sum(outputs[0] if isinstance(outputs, tuple) else outputs)
    told = trace_backward(output)
    ledger = ledger_of(output)
    paragraphs = [part for part in told.split("\n\n") if part.startswith("Step ")]
    assert len(paragraphs) == len(ledger.steps)
    for step, paragraph in zip(ledger.steps, paragraphs, strict=True):
        assert f"It got {amount(step.cotangent)}." in paragraph
        assert len(re.findall(r"^  To .* it sends ", paragraph, re.M)) == len(step.shares)
        for share in step.shares:
            assert f"argument {share.name}, it sends {amount(share.value)}." in paragraph
    output.backward()
    sums = told[told.rindex("The gradients, and the shares") :]
    for leaf in leaves:
        if leaf.grad is not None:
            part = sums[sums.index(f"  {leaf.name} ") if leaf.ndim else sums.index(f"  {leaf.name}\n") :]
            assert re.search(r"^    sum: (.*)$", part, re.M)[1] == amount(leaf.grad.numpy())


def test_the_words_of_a_small_pass():
    loss, W, _ = small()
    told = trace_backward(loss)
    loss.backward()
    assert "The backward pass from node 7, mean: 5 steps, 7 shares, 2 leaves.\nIt starts with the cotangent 1." in told
    assert "Step 1 of 5. Node 7, mean(#6), scalar float64, at test_trace_backward.py:" in told
    assert "To b, argument y, it sends [" in told and "Summed from (2, 2) back to (2,): it was broadcast." in told
    assert "Rule, elementwise.py:" in told and ": lambda g, y: g * y" in told
    assert ", in dense." in told
    assert f"    sum: {amount(W.grad.numpy())}" in told


def test_a_rule_is_written_out_once():
    y = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(5):
        y = np.tanh(y)
    told = trace_backward(np.sum(y))
    assert told.count("lambda g, z: g * (1.0 - z * z)") == 1
    assert told.count("Rule as in step 2.") == 4


def test_large_arrays_are_summed_up_and_long_passes_shortened():
    x = y = Tensor(np.linspace(-1, 1, 1000), requires_grad=True, name="x")
    for _ in range(50):
        y = y * 1.01
    told = trace_backward(np.sum(y), steps=10)
    assert len(told) < 10_000
    assert len(re.findall(r"^Step ", told, re.M)) == 10
    assert "41 steps more are not told here; steps=51 tells them all." in told
    assert "(1000,), norm 52.01, all 1.645" in told
    with pytest.raises(ValueError, match="steps=0"):
        trace_backward(np.sum(x), steps=0)


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_names_cannot_command_a_terminal(first, second):
    told = trace_backward(small((first, second))[0])
    assert not [c for c in told if unicodedata.category(c)[0] == "C" and c != "\n"]
    assert told.count("\n\n") == trace_backward(small()[0]).count("\n\n"), "no name makes a paragraph"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.float32(0.25), "0.25"),
        (np.array([[1.0, -0.5]]), "[[1, -0.5]]"),
        (np.zeros((0, 3)), "(0, 3), no elements"),
        (np.array([True] * 20), "(20,), 20 of 20 true"),
        (np.array([0.0, 3.0, 4.0, np.nan] * 4), "(16,), 4 of 16 not finite, norm 10, from 0 to 4, 4 zeros"),
        (np.full(13, 1e200), "(13,), norm 3.606e+200, all 1e+200"),
        ((slice(None), -1), "(:, -1)"),
        ((np.ones(2), np.zeros(1)), "[0] [1, 1]; [1] [0]"),
    ],
)
def test_amounts_in_words(value, words):
    assert amount(value) == words


def test_a_leaf_that_is_used_everywhere_is_summed_up():
    """Of three hundred shares fifty are listed, on the page a hundred."""
    x = y = Tensor(1.0, requires_grad=True, name="x")
    for _ in range(300):
        y = y * 0.99 + x
    told = trace_backward(y, steps=1000)
    assert told.count("\n    step ") == 50 and "\n    and 251 shares more\n" in told
    assert "and 277 uses more, which send less" in str(contributions(y, x))
