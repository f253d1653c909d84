"""Hand-written backward passes beside the derived one: right ones agree, wrong ones part at the line that is wrong."""

import numpy as np
import pytest

from tinygrad_edu.errors import NotTrackedError, ShapeError
from tinygrad_edu.testing import compare_by_hand

RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((4, 4)) for _ in range(3))


def attention(Q, K, V):
    scores = Q @ K.T / 2.0
    e = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    weights = e / np.sum(e, axis=-1, keepdims=True)
    return weights @ V, {"scores": scores, "weights": weights}


def attention_backward(g, Q, K, V):
    scores = Q @ K.T / 2.0
    e = np.exp(scores - scores.max(-1, keepdims=True))
    A = e / e.sum(-1, keepdims=True)
    dV = A.T @ g
    dweights = g @ V.T
    dscores = A * (dweights - (dweights * A).sum(-1, keepdims=True))
    return {"dV": dV, "dweights": dweights, "dscores": dscores, "dQ": dscores @ K / 2.0, "dK": dscores.T @ Q / 2.0}


def without_the_softmax_jacobian(g, Q, K, V):
    scores = Q @ K.T / 2.0
    e = np.exp(scores - scores.max(-1, keepdims=True))
    A = e / e.sum(-1, keepdims=True)
    dweights = g @ V.T
    dscores = A * dweights
    return {"dV": A.T @ g, "dweights": dweights, "dscores": dscores, "dQ": dscores @ K / 2.0, "dK": dscores.T @ Q / 2.0}


def test_a_right_backward_pass_agrees_in_every_part():
    comparison = compare_by_hand(attention, attention_backward, Q, K, V)
    assert comparison.agrees and comparison.first is None
    assert [part.name for part in comparison.parts] == ["dV", "dweights", "dscores", "dQ", "dK"]
    assert str(comparison).startswith("attention by hand and derived: all 5 agree")


def test_a_wrong_one_parts_at_the_line_that_is_wrong():
    comparison = compare_by_hand(attention, without_the_softmax_jacobian, Q, K, V)
    assert [part.name for part in comparison.parts if part.agrees] == ["dV", "dweights"]
    first = comparison.first
    assert (first.name, first.formula) == ("dscores", "A * dweights")
    assert "2 of 5 agree; they part at dscores" in str(comparison)


def test_differences_give_a_third_opinion_on_inputs():
    comparison = compare_by_hand(lambda x, w: x @ w, lambda g, x, w: (g @ w.T, 2 * x.T @ g), Q, K)
    part = comparison.first
    assert part.name == "w"
    assert part.numeric.value == pytest.approx(part.derived[part.index], rel=1e-8)
    assert part.hand[part.index] == pytest.approx(2 * part.derived[part.index])
    assert "numeric" in str(part)


def test_a_wrong_shape_is_told():
    comparison = compare_by_hand(np.add, lambda g, x, y: (g, g), Q, V[0])
    assert "by hand it has the shape (4, 4), the value (4,)" in str(comparison)


def test_a_gradient_of_none_differs():
    comparison = compare_by_hand(lambda x, y: x * y, lambda g, x, y: {"x": g * y, "y": None}, Q, V)
    assert [part.agrees for part in comparison.parts] == [True, False]


def test_a_constant_output_and_a_cotangent_of_ones_do_not_hide_a_wrong_pass():
    """The cotangent is drawn: Σ softmax is constant, and any multiple of its Jacobian passes under ones."""

    def softmax(x):
        e = np.exp(x)
        return e / np.sum(e)

    def seven_times(g, x):
        z = np.exp(x) / np.exp(x).sum()
        return 7 * z * (g - (g * z).sum())

    assert not compare_by_hand(softmax, seven_times, V[0]).agrees
    assert compare_by_hand(softmax, seven_times, V[0], cotangent=np.ones(4)).parts[0].difference < 1e-14


def test_calls_that_make_no_sense_say_why():
    with pytest.raises(ShapeError, match=r"returned 1 gradients for 2 inputs \(x, y\)"):
        compare_by_hand(lambda x, y: x * y, lambda g, x, y: g, Q, V)
    with pytest.raises(NotTrackedError, match=r"names 'dz', but forward knows x, y"):
        compare_by_hand(lambda x, y: x * y, lambda g, x, y: {"dz": g}, Q, V)
    with pytest.raises(NotTrackedError, match="write it with NumPy functions"):
        compare_by_hand(lambda x: x.numpy() * 2, lambda g, x: 2 * g, Q)


def test_the_table_for_notebooks_escapes_what_it_shows():
    page = compare_by_hand(attention, without_the_softmax_jacobian, Q, K, V)._repr_html_()
    assert page.count("<tr>") == 6 and "<b>differs</b>" in page
