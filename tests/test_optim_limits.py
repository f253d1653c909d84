"""Optimisers at their limits: settings that would give NaN, gradients of 1e±200, what is frozen, shared or missing."""

import math

import numpy as np
import pytest

from tinygrad_edu import Tensor, nn, optim
from tinygrad_edu.errors import CotangentError, NotTrackedError


def parameter(values, gradient=None, dtype=float):
    w = Tensor(values, requires_grad=True, dtype=dtype)
    w.grad = None if gradient is None else np.full(w.shape, gradient, dtype)
    return w


# Settings

KINDS = [optim.Adam, optim.AdamW]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eps", [0, 0.0, -1e-8, math.nan, math.inf])
def test_adam_wants_a_positive_finite_eps(kind, eps):
    """With eps = 0 a weight whose gradient is 0 became NaN: 0/0."""
    with pytest.raises(ValueError, match="eps = .* finite number above 0"):
        kind([parameter([1.0])], eps=eps)


def test_eps_must_not_vanish_in_the_dtype_of_the_parameters():
    with pytest.raises(ValueError, match=r"eps = 1e-08 is 0 in float16.* 6\.0e-08 or more"):
        optim.Adam([parameter([1.0], dtype=np.float16)])
    w = parameter([1.0, 1.0], 0.0, np.float16)
    optim.Adam([w], eps=1e-4).step()
    assert w.tolist() == [1.0, 1.0] and w.dtype == np.float16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, math.nan), (0.9, 1.5)])
def test_betas_lie_from_0_to_below_1(kind, betas):
    with pytest.raises(ValueError, match=r"betas\[[01]\] = .* \[0, 1\)"):
        kind([parameter([1.0])], betas=betas)


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999)])
def test_betas_are_two(betas):
    with pytest.raises(TypeError, match="give two numbers"):
        optim.Adam([parameter([1.0])], betas=betas)


@pytest.mark.parametrize("kind", [optim.SGD, *KINDS])
@pytest.mark.parametrize("setting", ["lr", "weight_decay"])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf, -math.inf])
def test_rates_and_decays_are_finite_and_not_negative(kind, setting, value):
    with pytest.raises(ValueError, match=f"{setting} = .* 0 or more"):
        kind([parameter([1.0])], **{"lr": 0.1, setting: value})


@pytest.mark.parametrize("value", ["0.1", None, [0.1], 1j])
def test_a_rate_that_is_no_number_is_named(value):
    with pytest.raises(TypeError, match="lr = .* not a number"):
        optim.SGD([parameter([1.0])], value)


@pytest.mark.parametrize("make", [
    lambda: optim.constant(-0.1), lambda: optim.step_decay(math.nan, 1), lambda: optim.step_decay(0.1, 0),
    lambda: optim.step_decay(0.1, 1, -0.5), lambda: optim.warmup_cosine(-0.1, 0, 1),
    lambda: optim.warmup_cosine(0.1, 0, 1, floor=math.inf), lambda: optim.warmup_cosine(0.1, -1, 1),
])  # fmt: skip
def test_schedules_are_checked_where_they_are_made(make):
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize(("rate", "expected"), [
    (optim.warmup_cosine(1.0, 0, 10), {0: 1.0, 5: 0.5, 9: (1 + math.cos(0.9 * math.pi)) / 2, 10: 0.0, 99: 0.0}),
    (optim.warmup_cosine(1.0, 10, 10, 0.2), {0: 0.1, 8: 0.9, 9: 1.0, 10: 0.2}),
    (optim.warmup_cosine(1.0, 1, 1, 0.2), {0: 1.0, 1: 0.2}),
    (optim.step_decay(1.0, 1, 0.5), {0: 1.0, 1: 0.5, 3: 0.125}),
    (optim.step_decay(1.0, 2, 0.0), {0: 1.0, 1: 1.0, 2: 0.0}),
    (lambda step: np.float32(0.5), {0: 0.5}),
])  # fmt: skip
def test_schedules_at_their_boundaries(rate, expected):
    optimizer = optim.SGD([parameter([1.0])], rate)
    for steps, lr in expected.items():
        optimizer.steps = steps
        assert optimizer.lr == pytest.approx(lr, rel=1e-12, abs=1e-15) and type(optimizer.lr) is float


def test_a_schedule_that_gives_no_rate_is_named_before_anything_changes():
    w = parameter([1.0], 1.0)
    optimizer = optim.Adam([w], lambda step: math.nan)
    with pytest.raises(ValueError, match="lr of step 0 = nan"):
        optimizer.step()
    assert w.item() == 1.0 and optimizer.steps == 0 and optimizer.state_dict()["updates"].tolist() == [0]


def test_a_rate_of_numpys_float64_leaves_float32_arithmetic_alone():
    found = []
    for lr in (0.1, np.float64(0.1)):
        w = parameter(np.cos(np.arange(1000)) / 7, dtype=np.float32)
        w.grad = np.sin(np.arange(1000)).astype(np.float32)
        optim.SGD([w], lr).step()
        found.append(w.numpy())
    np.testing.assert_array_equal(*found)


def test_adamw_tells_its_weight_decay_by_the_name_it_was_given():
    assert optim.AdamW([parameter([1.0])], weight_decay=0.25).weight_decay == 0.25
    w = parameter([2.0], 0.0)
    optim.AdamW([w], lr=0.1, weight_decay=0.5).step()
    assert w.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5), rel=1e-15)


# Parameters


def test_a_model_is_no_list_of_parameters():
    with pytest.raises(TypeError, match=r"a LayerNorm was given; pass its \.named_parameters\(\)"):
        optim.SGD(nn.LayerNorm(3), 0.1)


def test_a_frozen_parameter_is_refused_at_first_and_skipped_when_frozen_later():
    a, b = parameter([1.0]), parameter([1.0])
    b.requires_grad = False
    with pytest.raises(NotTrackedError, match=r"'1' is no leaf .* leave out what is frozen: \[p for p"):
        optim.SGD([a, b], 0.1)
    b.requires_grad = True
    optimizer = optim.Adam([a, b], 0.1)
    a.grad, b.grad = [1.0], [1.0]
    b.requires_grad = False
    assert optimizer.step() == ["1"]
    assert b.item() == 1.0 and a.item() == pytest.approx(0.9)
    optimizer.zero_grad()
    assert a.grad is None and b.grad is None


def test_a_tied_parameter_is_updated_once():
    class Tied(nn.Module):
        def __init__(self):
            self.up = nn.Embedding(3, 2, rng=np.random.default_rng(0), dtype="float64")
            self.down = nn.Embedding(3, 2, rng=np.random.default_rng(1), dtype="float64")
            self.down.weight = self.up.weight

    model = Tied()
    before = model.up.weight.numpy()
    (model.up.weight.sum() + model.down.weight.sum()).backward()
    optim.SGD(model.parameters(), 0.1).step()
    np.testing.assert_allclose(model.down.weight.numpy(), before - 0.2)


def test_a_gradient_of_another_dtype_is_refused_where_it_is_set():
    w = parameter([1.0, 2.0], dtype=np.float32)
    for wrong in (Tensor([1.0, 2.0]), Tensor([1, 2])):
        with pytest.raises(CotangentError, match=r"\[2\] for a tensor float32\[2\]: dtypes differ"):
            w.grad = wrong
    w.grad = [1.0, 2.0]
    assert w.grad.dtype == np.float32


@pytest.mark.parametrize(("change", "words"), [
    ({"steps": np.array(-1)}, "count: steps"), ({"steps": np.array(1.5)}, "count: steps"),
    ({"updates": np.array([-1])}, "count: updates"), ({"m.w": np.array([1j])}, "dtype: m.w is complex128"),
    ({"v.w": np.array(["a"])}, "dtype: v.w"),
])  # fmt: skip
def test_a_state_that_no_run_can_have_is_refused(change, words):
    optimizer = optim.Adam([("w", parameter([1.0], 1.0))])
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict({**before, **change})
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_zero_rates_change_nothing_and_count():
    for kind in (optim.SGD, *KINDS):
        w = parameter([1.0, -2.0], 3.0)
        optimizer = kind([w], 0.0)
        optimizer.step()
        assert w.tolist() == [1.0, -2.0] and optimizer.steps == 1


# Clipping


@pytest.mark.parametrize(("size", "dtype"), [
    (1e200, np.float64), (1e-200, np.float64), (1.7e308, np.float64), (5e-324, np.float64), (1e30, np.float32),
    (3e38, np.float32), (1e-45, np.float32), (1e-30, np.float32), (60000.0, np.float16), (6e-8, np.float16),
])  # fmt: skip
def test_clipping_neither_overflows_nor_vanishes(size, dtype):
    """The norm of (3, 4)/4 · size is 5/4 · size, and a norm above 1 becomes 1."""
    a, b = parameter([0.0], dtype=dtype), parameter([[0.0]], dtype=dtype)
    a.grad, b.grad = [0.75 * size], [[1.0 * size]]
    held = [float(a.grad.item()), float(b.grad.item())]
    norm = optim.clip_grad_norm([a, b], 1.0)
    if math.hypot(*held) < np.finfo(float).max:
        assert norm == pytest.approx(math.hypot(*held), rel=1e-14)
    else:
        assert norm == math.inf
    got = np.array([a.grad.item(), b.grad.item()])
    expected = [0.6, 0.8] if size > 1 else held
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps)
    assert a.grad.dtype == b.grad.dtype == dtype


def test_gradients_of_unlike_sizes_are_clipped_together():
    a, b = parameter([0.0], 1e200), parameter([0.0], 1.0)
    assert optim.clip_grad_norm([a, b], 2.0) == 1e200
    assert a.grad.item() == pytest.approx(2.0) and b.grad.item() == pytest.approx(2e-200)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_raises_or_is_reported_and_none_is_scaled(bad):
    a, b = parameter([0.0], 5.0), parameter([0.0, 0.0])
    b.grad = [1.0, bad]
    with pytest.raises(FloatingPointError, match="the gradient of 'b' is not finite; none scaled"):
        optim.clip_grad_norm([("a", a), ("b", b)], 1.0)
    norm = optim.clip_grad_norm([a, b], 1.0, error_if_nonfinite=False)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
    assert a.grad.item() == 5.0 and b.grad.numpy()[0] == 1.0


def test_nothing_to_clip_has_norm_zero():
    assert optim.clip_grad_norm([parameter([1.0])], 1.0) == 0.0
    assert optim.clip_grad_norm([parameter(np.zeros((0, 3)), 1.0), parameter([1.0], 0.0)], 1.0) == 0.0
    w = parameter([3.0, 4.0], 1.0)
    optim.clip_grad_norm([w], 0.0)
    assert w.grad.tolist() == [0.0, 0.0]
