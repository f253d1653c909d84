"""Each formula by hand against differences of its own forward pass: the judge is judged first, without the engine.

Cotangents are drawn: with one of ones a softmax rule seven times too big would pass.
"""

import numpy as np
import pytest
from by_hand.cases import CASES
from by_hand.judge import assert_close, differences
from by_hand.loss import max_shift_backward, softmax_backward, softmax_forward, softmax_jacobian
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 3)


def directions(rng, x):
    """Three sums of all elements, with drawn signs: they move with each that is wrong."""
    return rng.choice([-1.0, 1.0], size=(3, *x.shape))


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8)
@given(seed=SEEDS, B=SIZES, T=SIZES, D=SIZES)
def test_pullback_by_hand_agrees_with_differences(name, seed, B, T, D):
    draw, run = CASES[name]
    rng = np.random.default_rng(seed)
    inputs, constants = draw(rng, B, T, D)
    value, pullback = run(*inputs, **constants)
    g = rng.normal(size=np.shape(value))
    found = pullback(g)
    assert len(found) == len(inputs)
    for k, (x, ours) in enumerate(zip(inputs, found, strict=True)):
        assert np.shape(ours) == x.shape
        ways = directions(rng, x)

        def along(moves, k=k, x=x, ways=ways):
            moved = x + np.tensordot(moves, ways, 1)
            return float(np.sum(g * run(*inputs[:k], moved, *inputs[k + 1 :], **constants)[0]))

        (slopes,) = differences(along, [np.zeros(len(ways))])
        assert_close(np.tensordot(ways, ours, x.ndim), slopes, rtol=1e-6, name=f"{name}, argument {k}")


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8)
@given(seed=SEEDS, B=SIZES, T=SIZES, D=SIZES)
def test_pullback_by_hand_is_linear_and_changes_no_array(name, seed, B, T, D):
    draw, run = CASES[name]
    rng = np.random.default_rng(seed)
    inputs, constants = draw(rng, B, T, D)
    before = [x.copy() for x in inputs]
    value, pullback = run(*inputs, **constants)
    g, h = rng.normal(size=(2, *np.shape(value)))
    kept = g.copy()
    for once, other, both in zip(pullback(g), pullback(h), pullback(2 * g - h), strict=True):
        assert_close(both, 2 * once - other, name=name)
    assert np.array_equal(g, kept)
    assert all(np.array_equal(x, b) for x, b in zip(inputs, before, strict=True))


@settings(max_examples=30)
@given(seed=SEEDS, V=st.integers(1, 6))
def test_pullback_of_softmax_is_its_jacobian_transposed(seed, V):
    rng = np.random.default_rng(seed)
    p, g = softmax_forward(rng.normal(size=V)), rng.normal(size=V)
    assert_close(softmax_backward(g, p), softmax_jacobian(p).T @ g)


@settings(max_examples=30)
@given(seed=SEEDS, V=st.integers(1, 6), size=st.sampled_from([1.0, 100.0]))
def test_max_shift_changes_no_gradient_of_softmax(seed, V, size):
    rng = np.random.default_rng(seed)
    z, g = size * rng.normal(size=(3, V)), rng.normal(size=(3, V))
    direct = softmax_backward(g, softmax_forward(z))
    assert_close(max_shift_backward(direct, z), direct)
