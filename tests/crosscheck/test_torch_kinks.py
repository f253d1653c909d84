"""Where a derivative does not exist, the two make the same choice in these places (clip and sort choose otherwise)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_near

from tinygrad_edu import Tensor, functional, gradients

TIES = np.array([[2.0, 2.0, 1.0], [3.0, 3.0, 3.0]])
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 5.0, 0.0]])
CASES = {
    "absolute": (np.abs, torch.abs, ZEROS),
    "relu": (functional.relu, F.relu, ZEROS),
    "silu": (functional.silu, F.silu, ZEROS),
    "max": (lambda x: np.max(x, axis=1), lambda t: t.amax(1), TIES),
    "min": (lambda x: np.min(x, axis=1), lambda t: t.amin(1), TIES),
    "max of all": (np.max, torch.amax, TIES),
    "maximum": (lambda x: np.maximum(x, x[::-1]), lambda t: torch.maximum(t, t.flip(0)), TIES),
    "maximum of itself": (lambda x: np.maximum(x, x), lambda t: torch.maximum(t, t), TIES),
    "norm": (np.linalg.norm, torch.linalg.norm, np.zeros(3)),
    "prod": (lambda x: np.prod(x, axis=1), lambda t: t.prod(1), ZEROS),
    "cumprod": (lambda x: np.cumprod(x, axis=1), lambda t: t.cumprod(1), ZEROS),
    "power zero": (lambda x: x**0, lambda t: t**0, ZEROS),
    "power two": (lambda x: x**2, lambda t: t**2, ZEROS),
    "sinc": (np.sinc, torch.sinc, ZEROS),
    "logaddexp": (lambda x: np.logaddexp(x, x), lambda t: torch.logaddexp(t, t), ZEROS),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_subgradient_is_chosen(name, tally):
    ours, theirs, value = CASES[name]
    x, t = Tensor(value, requires_grad=True), torch.tensor(value, requires_grad=True)
    y, u = ours(x), theirs(t)
    cotangent = np.random.default_rng(0).standard_normal(y.shape)
    (mine,) = gradients(np.sum(y * cotangent), [x])
    (other,) = torch.autograd.grad((u * torch.tensor(cotangent)).sum(), [t])
    assert_near(mine.numpy(), other.numpy(force=True), 1e-12, name)
    tally("kinks")
