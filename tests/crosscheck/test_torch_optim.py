"""Ten steps of each optimiser on the same drawn gradients end at PyTorch's weights."""

import warnings

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


SCHEDULES = {
    "cosine": (
        lambda: optim.warmup_cosine(0.3, 0, 20, floor=0.01),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.01),
    ),
    "step": (lambda: optim.step_decay(0.3, 4, 0.5), lambda o: torch.optim.lr_scheduler.StepLR(o, 4, 0.5)),
    "warm-up": (
        lambda: optim.warmup(optim.constant(0.3), 5),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 5, 1.0, 4),
    ),
    "warm-up, then step": (
        lambda: optim.warmup(optim.step_decay(0.3, 3, 0.5), 5),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [torch.optim.lr_scheduler.LinearLR(o, 1 / 5, 1.0, 4), torch.optim.lr_scheduler.StepLR(o, 3, 0.5)],
            [5],
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_gives_the_same_rates(name, tally):
    ours, theirs = SCHEDULES[name]
    schedule, optimizer = ours(), torch.optim.SGD([torch.zeros(1)], lr=0.3)
    other = theirs(optimizer)
    for step in range(20):
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        with warnings.catch_warnings():  # SequentialLR calls its parts as nobody else may
            warnings.simplefilter("ignore", UserWarning)
            other.step()
        tally("rates of schedules")


@pytest.mark.parametrize("threshold", [1e-4, 0.1])
def test_plateau_lowers_the_rate_where_pytorchs_does(threshold, tally):
    rng = np.random.default_rng(2)
    schedule = optim.Plateau(0.3, 0.5, 2, threshold, floor=0.01)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=2, threshold=threshold, min_lr=0.01
    )
    rates = set()
    for loss in np.exp(-0.03 * np.arange(60)) + 0.05 * rng.standard_normal(60):
        schedule.report(loss)
        other.step(loss)
        assert schedule(0) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        rates.add(schedule(0))
        tally("rates of schedules")
    assert len(rates) > 3


def test_the_moving_average_agrees():
    rng = np.random.default_rng(3)
    ours, theirs = [Tensor(np.ones((2, 3)), requires_grad=True)], torch.nn.Linear(3, 2, bias=False).double()
    with torch.no_grad():
        theirs.weight[:] = 1.0
    average = optim.MovingAverage([("w", ours[0])], 0.9)
    other = torch.optim.swa_utils.AveragedModel(theirs, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    other.update_parameters(theirs)  # the first takes the weights as they are, as ours does when it is made
    for _ in range(5):
        value = rng.standard_normal((2, 3))
        ours[0].data = value
        with torch.no_grad():
            theirs.weight[:] = torch.tensor(value)
        average.update()
        other.update_parameters(theirs)
    assert_near(average.state_dict()["w"], other.module.weight.detach().numpy(), 1e-12, "average")


def test_gradients_accumulated_over_parts_are_the_whole_batchs():
    rng = np.random.default_rng(4)
    x, start = rng.standard_normal((6, 3)), rng.standard_normal(3)
    w, t = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        (np.mean(np.tanh(x[rows] @ w) ** 2) * (len(x[rows]) / 6)).backward()
    (torch.tanh(torch.tensor(x) @ t) ** 2).mean().backward()
    assert_near(w.grad.numpy(), t.grad.numpy(), 1e-12, "accumulated gradient")
