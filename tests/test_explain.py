"""explain() tells where a gradient ended; detect_anomaly() where the first NaN began."""

import re
import sys

import numpy as np
import pytest

from tinygrad_edu import Tensor, checkpoint, detect_anomaly, explain, functional, gradients, no_grad
from tinygrad_edu.errors import NonFiniteError


def leaf(*values, name="w"):
    return Tensor(list(values), requires_grad=True, name=name)


def here():
    return sys._getframe(1).f_lineno


def line_of(text):
    """The line number that an explanation names."""
    return int(text.split("test_explain.py:")[1].split()[0].rstrip(".,:;"))


def test_constant_was_never_asked_to_have_a_gradient():
    assert "requires_grad=True" in explain(Tensor([1.0]))


def test_integers_have_no_derivative():
    assert "int64" in explain(Tensor([1, 2]))


@pytest.mark.parametrize("cut", [lambda w: w.detach(), lambda w: np.floor(w), lambda w: w.detach() * 2.0 + 1.0])
def test_cut_is_named_with_its_line_also_further_on(cut):
    words = explain(cut(leaf(1.0)))
    assert "cut by" in words and "test_explain.py:" in words


def test_no_grad_is_named():
    with no_grad():
        y = leaf(1.0) * 2.0
    assert "no_grad()" in explain(y) and line_of(explain(y)) == here() - 1


def test_leaf_that_no_backward_reached():
    assert "no backward() has reached it" in explain(leaf(1.0))


def test_computed_tensor_keeps_no_gradient_unless_told():
    y = leaf(1.0) * 2.0
    y.sum().backward()
    assert "retain_grad()" in explain(y)


def test_gradient_that_is_there_is_counted():
    w = leaf(0.0, 2.0)
    (w * w).sum().backward()
    assert "1 of its 2 elements are 0" in explain(w)


def test_output_that_does_not_depend_on_it():
    assert "nothing that the output was computed from" in explain(leaf(1.0), leaf(2.0).sum())


def test_path_cut_by_detach_is_named_where_it_entered():
    w, x = leaf(1.0, 2.0), leaf(3.0, 4.0, name="x")
    words = explain(w, (x * w.detach()).sum())
    assert "No path" in words and "detach()" in words and "multiply" in words


def test_dead_relu_is_found():
    w, b = leaf(1.0, 2.0), leaf(-10.0, -10.0, name="b")
    loss = functional.relu(w + b).sum()
    words = explain(w, loss)
    assert "relu" in words and "0 or less" in words and "at every element" in words


def test_mask_of_zeros_is_found():
    w = leaf(1.0, 2.0)
    assert "multiply" in explain(w, (w * np.zeros(2)).sum())


def test_other_branch_of_where_is_found():
    w = leaf(1.0, 2.0)
    assert "other branch" in explain(w, np.where(np.zeros(2, bool), w, 1.0).sum())


def test_saturated_tanh_is_found():
    w = leaf(50.0, -60.0)
    assert "saturated" in explain(w, np.tanh(w).sum())


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda w: functional.relu(w)[0], "relu .*0 or less.*at the 1 of 2 elements .*that the gradient reached"),
        (lambda w: np.where(np.array([True, False]), w, 0.0)[1], "where .*other branch.*1 of 2 elements"),
        (lambda w: (w * np.array([0.0, 3.0]))[0], "multiply .*other factor is 0.*1 of 2 elements"),
        (lambda w: (w @ np.eye(2)[:, ::-1] @ np.diag([0.0, 1.0]))[0], "matmul .*other factor is 0.*1 of 2 elements"),
        (lambda w: (w * 1e-200 * 1e-200).sum(), "too small for float64"),
        (lambda w: w @ np.array([[1.0, -1.0], [1.0, -1.0]]), "terms cancel"),
        (lambda w: np.max(np.concatenate([w, [9.0]])), "concatenate.*1 of 3 .*none of which.*another element attained"),
        (lambda w: (w**2 * 0.0 + (w * 0.0) ** 2).sum(), "multiply .*other factor.*; and at power .*base"),
        (lambda w: checkpoint(lambda t: functional.relu(t - 9.0))(w).sum(), "ended inside f"),
        (lambda w: functional.softmax(w * 1e4).sum(), "softmax .*results are 0 or 1"),
        (lambda w: np.linalg.svd(np.diag(w))[1][:0].sum() + 0.0 * w.sum(), "multiply .*other factor"),
    ],
)  # fmt: skip
def test_reason_is_given_for_the_elements_it_holds_for(f, words):
    w = leaf(-1.0, 2.0)
    told = explain(w, f(w))
    assert re.search(words, told), told


def test_rounding_errors_are_told_from_a_gradient():
    w = leaf(1.0, 2.0)
    assert "rounding error" in explain(w, (w * 0.1 + w * 0.2 - w * 0.3).sum())
    assert "2 NaN or infinite" in explain(w, np.sqrt(w * 0.0).sum())
    assert "rounding" not in explain(w, (w * 1e-12).sum())


def test_conversions_and_frozen_leaves_are_named():
    w = leaf(1.0, 2.0)
    assert "dtype int64" in explain(w.astype(int))
    w.requires_grad = False
    assert "requires_grad = False" in explain(w) and line_of(explain(w)) == here() - 1
    assert "remembers no graph" in explain(np.ones(2))
    nothing = leaf()
    assert "no elements" in explain(nothing, nothing.sum())


def test_shares_that_cancel_are_told():
    w = leaf(1.0, 2.0)
    assert "cancel" in explain(w, (w - w).sum())


def test_gradient_that_arrives_is_told():
    w = leaf(1.0, 2.0)
    assert "does reach" in explain(w, (w * 2.0).sum())


def test_freed_graph_cannot_be_followed():
    w = leaf(1.0)
    loss = (w * w).sum()
    loss.backward()
    assert "freed" in explain(w, loss)


def test_explaining_changes_nothing():
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    explain(w, loss)
    assert w.grad is None
    np.testing.assert_array_equal(gradients(loss, w).numpy(), [2.0, 4.0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_first_bad_operation_is_named_not_a_later_one():
    w = leaf(1.0, 0.0)
    with detect_anomaly(), pytest.raises(NonFiniteError) as caught:
        np.exp(-np.log(w)) * 2.0 - 1.0
    words = str(caught.value)
    assert words.startswith("log made -inf at [1]") and "x in [0, 1]" in words and line_of(words) == here() - 2


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_slope_behind_a_finite_value_is_found_on_the_way_back():
    w = leaf(4.0, 0.0)
    with detect_anomaly():
        loss = np.sqrt(w).sum()
        with pytest.raises(NonFiniteError, match=r"backward of sqrt.*inf at \[1\].*z in \[0, 2\]"):
            loss.backward()
    assert w.grad is None


def test_masked_scores_are_no_anomaly():
    with detect_anomaly():
        q = Tensor(np.ones((2, 3)), requires_grad=True)
        out = functional.attention(q, q, q, np.tri(2, dtype=bool))
        out.sum().backward()
    assert np.isfinite(q.grad.numpy()).all()


def test_outside_the_context_nothing_is_looked_for():
    with np.errstate(all="ignore"):
        assert np.log(leaf(0.0)).item() == -np.inf


def test_overflow_of_a_sum_of_shares_is_found():
    w = Tensor(np.array([0.5], np.float16), requires_grad=True)
    with detect_anomaly():
        loss = w * np.float16(60000) + w * np.float16(50000)
        with pytest.raises(NonFiniteError, match=r"other consumers, its share = [56]0000 makes inf at \[0\].*float16"):
            loss.backward(np.ones(1, np.float16))
    assert w.grad is None
