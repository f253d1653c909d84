"""Ten steps of each optimiser on the same drawn gradients end at PyTorch's weights."""

import numpy as np
import pytest
import torch
from compare import assert_near

from tinygrad_edu import Tensor, optim

SHAPES = [(3, 4), (4,), (1,), (2, 2, 2)]
CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_all": ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "adamw_all": ("AdamW", {"lr": 0.02, "betas": (0.7, 0.9), "eps": 1e-6, "weight_decay": 0.2}),
}


@pytest.mark.parametrize("name", CASES)
def test_optimiser_walks_the_same_path(name, tally):
    kind, settings = CASES[name]
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    ours = [Tensor(value, requires_grad=True) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    mine, other = getattr(optim, kind)(ours, **settings), getattr(torch.optim, kind)(theirs, **settings)
    for step in range(10):
        mine.zero_grad()
        other.zero_grad()
        curvature = [rng.standard_normal(shape) for shape in SHAPES]
        for w, t, c in zip(ours, theirs, curvature, strict=True):
            np.sum(w * w * c + w).backward()
            (t * t * torch.tensor(c) + t).sum().backward()
        mine.step()
        other.step()
        for w, t in zip(ours, theirs, strict=True):
            assert_near(w.numpy(), t.detach().numpy(), 1e-12, f"{name}, step {step + 1}")
        tally("optimiser steps")


@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_gradient_clipping_agrees(max_norm):
    rng = np.random.default_rng(1)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    ours = [Tensor(value, requires_grad=True) for value in start]
    theirs = [torch.tensor(value, requires_grad=True) for value in start]
    for w, t in zip(ours, theirs, strict=True):
        np.sum(w * w).backward()
        (t * t).sum().backward()
    norm = optim.clip_grad_norm(ours, max_norm)
    assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, max_norm)), rel=1e-12)
    for w, t in zip(ours, theirs, strict=True):
        assert_near(w.grad.numpy(), t.grad.numpy(), 1e-12, "clipped gradient")
