"""The optimisers against their formulas by hand: the same weights after each of several drawn steps."""

import numpy as np
import pytest
from by_hand import optimisers, regularization
from by_hand.judge import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, optim

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3)
ADAM = {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6}


def sgd(w, g, t, state):
    return optimisers.sgd(w, g, 0.1), state


def momentum(w, g, t, state):
    w, v = optimisers.momentum(w, *(state or (0.0,)), g, 0.1, 0.7)
    return w, (v,)


def adam(w, g, t, state):
    w, *state = optimisers.adam(w, *(state or (0.0, 0.0)), g, t, 0.02, 0.8, 0.95, 1e-6)
    return w, state


def adamw(w, g, t, state):
    w, *state = optimisers.adamw(w, *(state or (0.0, 0.0)), g, t, 0.02, 0.8, 0.95, 1e-6, 0.3)
    return w, state


PAIRS = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), sgd),
    "momentum": (lambda p: optim.SGD(p, lr=0.1, momentum=0.7), momentum),
    "adam": (lambda p: optim.Adam(p, **ADAM), adam),
    "adamw": (lambda p: optim.AdamW(p, **ADAM, weight_decay=0.3), adamw),
}


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=25)
@given(seed=SEEDS, shapes=SHAPES, steps=st.integers(1, 6), skip=st.booleans())
def test_every_step_of_an_optimiser_is_the_one_by_hand(name, seed, shapes, steps, skip):
    """A parameter without a gradient rests: neither its weights nor its own count of steps move."""
    build, by_hand = PAIRS[name]
    rng = np.random.default_rng(seed)
    parameters = [Tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    weights = [parameter.numpy() for parameter in parameters]
    states = [None] * len(shapes)
    counts = [0] * len(shapes)
    optimiser = build(parameters)
    for step in range(steps):
        for k, parameter in enumerate(parameters):
            rests = skip and k > 0 and (step + k) % 2
            g = None if rests else rng.normal(size=parameter.shape)
            parameter.grad = None if rests else Tensor(g)
            if not rests:
                counts[k] += 1
                weights[k], states[k] = by_hand(weights[k], g, counts[k], states[k])
        optimiser.step()
        for parameter, expected in zip(parameters, weights, strict=True):
            assert_close(parameter.numpy(), expected, name=name)


@settings(max_examples=50)
@given(seed=SEEDS, shapes=SHAPES, c=st.floats(0.01, 20))
def test_clipping_is_the_one_by_hand(seed, shapes, c):
    rng = np.random.default_rng(seed)
    parameters = [Tensor(np.zeros(shape), requires_grad=True) for shape in shapes]
    gradients = {str(k): rng.normal(size=shape) for k, shape in enumerate(shapes)}
    for parameter, g in zip(parameters, gradients.values(), strict=True):
        parameter.grad = Tensor(g)
    assert optim.clip_grad_norm(parameters, c) == pytest.approx(regularization.global_norm(gradients), rel=1e-12)
    for parameter, expected in zip(parameters, regularization.clip(gradients, c).values(), strict=True):
        assert_close(parameter.grad.numpy(), expected)
