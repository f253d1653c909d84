"""0-d tensors are a scalar engine: what is written for one runs, operator by operator and line by line."""

import math
import random

import numpy as np
import pytest

from tinygrad_edu import Tensor


def value(number):
    return Tensor(float(number), requires_grad=True)


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda v: 3 + v, 1), (lambda v: v + 3, 1), (lambda v: 3 - v, -1), (lambda v: v - 3, 1), (lambda v: 3 * v, 3),
        (lambda v: v * 3, 3), (lambda v: 3 / v, -0.75), (lambda v: v / 4, 0.25), (lambda v: v**3, 12),
        (lambda v: v**-1, -0.25), (lambda v: v**0, 0), (lambda v: -v, -1), (lambda v: 2**v, 4 * math.log(2)),
        (lambda v: v.relu(), 1), (lambda v: (-v).relu(), 0), (lambda v: v.exp(), math.exp(2)),
        (lambda v: v.tanh(), 1 - math.tanh(2) ** 2), (lambda v: sum([v, v * v]), 5), (lambda v: True * v, 1),
        (lambda v: np.int64(3) * v, 3), (lambda v: v * np.float32(0.5), 0.5), (lambda v: abs(-v), 1),
    ],
)  # fmt: skip
def test_operator_on_either_side_of_a_plain_number(f, slope):
    v = value(2)
    out = f(v)
    assert (out.shape, out.dtype) == ((), np.float64)
    out.backward()
    assert v.grad.item() == pytest.approx(slope, rel=1e-14)


class Neuron:
    """As it is written for a scalar engine: no array anywhere."""

    def __init__(self, draw, inputs, bends):
        self.w, self.b, self.bends = [value(draw()) for _ in range(inputs)], value(0), bends

    def __call__(self, x):
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.relu() if self.bends else act


def test_a_training_loop_written_for_a_scalar_engine_runs_as_it_stands():
    rng = random.Random(3)
    layers = [
        [Neuron(lambda: rng.uniform(-1, 1), inputs, inputs == 2) for _ in range(outputs)]
        for inputs, outputs in ((2, 6), (6, 1))
    ]
    parameters = [p for layer in layers for neuron in layer for p in (*neuron.w, neuron.b)]
    points = [(rng.uniform(-1, 1), rng.uniform(-1, 1)) for _ in range(12)]
    labels = [1 if x * y > 0 else -1 for x, y in points]
    history = []
    for _ in range(12):
        scores = []
        for point in points:
            signal = list(map(value, point))
            for layer in layers:
                signal = [neuron(signal) for neuron in layer]
            scores.append(signal[0])
        losses = [(1 + -label * score).relu() for label, score in zip(labels, scores, strict=True)]
        total = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in parameters)
        accuracy = sum((label > 0) == (score.data > 0) for label, score in zip(labels, scores, strict=True))
        for p in parameters:
            p.grad = 0
        total.backward()
        for p in parameters:
            p.data += -0.3 * p.grad
        history.append(total.data)
        assert f"{total.data:.4f}" == f"{total:.4f}" == f"{total.item():.4f}"
        assert 0 <= accuracy <= len(points)
    assert history == sorted(history, reverse=True) and history[-1] < 0.8 * history[0]
    assert all(p.grad == p.grad.item() for p in parameters)
