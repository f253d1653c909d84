"""Schedules, stopping, averages and the range test: against their formulas, written out in plain Python."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, optim

LOSSES = st.lists(st.one_of(st.floats(0, 10), st.just(math.nan)), max_size=30)


def leaf(*values):
    return Tensor(list(values), requires_grad=True)


@given(steps=st.integers(0, 20), lr=st.floats(0, 10), every=st.integers(1, 5))
def test_warmup_climbs_in_equal_steps_to_the_first_rate_and_then_is_the_schedule(steps, lr, every):
    inner = optim.step_decay(lr, every, 0.5)
    rate = optim.warmup(inner, steps)
    climb = [0.0, *(rate(k) for k in range(steps)), lr] if steps else [0.0, lr]
    np.testing.assert_allclose(np.diff(climb[:-1]), lr / max(steps, 1), rtol=1e-9, atol=1e-12)
    assert [rate(steps + k) for k in range(12)] == [inner(k) for k in range(12)]


@given(losses=LOSSES, patience=st.integers(0, 4), threshold=st.sampled_from([0.0, 0.01, 0.5]))
def test_early_stopping_waits_for_patience_and_one_more(losses, patience, threshold):
    watch = optim.EarlyStopping(patience, threshold)
    best, since = math.inf, 0
    for loss in losses:
        better = best == math.inf and loss < math.inf or loss < best * (1 - threshold)
        best, since = (loss, 0) if better else (best, since + 1)
        assert watch.report(loss) == (since > patience)
        assert watch.best == best


@pytest.mark.parametrize("kind", [Tensor, np.array, np.float32])
def test_a_loss_may_be_a_tensor_or_an_array_of_one_number(kind):
    watch = optim.EarlyStopping(0)
    assert [watch.report(kind(loss)) for loss in (2.0, math.nan, 1.0)] == [False, True, False]
    assert type(watch.best) is float
    found = optim.rate_range(lambda lr: kind(1.0 / lr), 0.5, 2.0, steps=3)
    assert found.losses == [2.0, 1.0, 0.5] and all(type(loss) is float for loss in found.smoothed)


@given(losses=LOSSES, patience=st.integers(0, 3), split=st.integers(0, 30))
def test_plateau_lowers_the_rate_as_often_as_patience_ran_out_and_resumes_in_the_middle(losses, patience, split):
    whole, half, rest = (optim.Plateau(1.0, 0.5, patience, floor=0.2) for _ in range(3))
    rates = []
    for loss in losses:
        whole.report(loss)
        rates.append(whole(0))
    for loss in losses[:split]:
        half.report(loss)
    rest.load_state_dict(half.state_dict())
    resumed = []
    for loss in losses[split:]:
        rest.report(loss)
        resumed.append(rest(99))
    assert resumed == rates[split:]
    assert set(rates) <= {1.0, 0.5, 0.25, 0.2} and rates == sorted(rates, reverse=True)


def test_a_floor_above_the_rate_does_not_raise_it():
    schedule = optim.Plateau(0.1, patience=0, floor=0.5)
    for _ in range(3):
        schedule.report(1.0)
    assert schedule(0) == 0.1


@given(walk=st.lists(st.floats(-5, 5), min_size=1, max_size=12), decay=st.floats(0, 0.99))
def test_the_average_weighs_the_past_by_powers_of_decay(walk, decay):
    w = leaf(1.0)
    average = optim.MovingAverage([("w", w)], decay)
    for value in walk:
        w.data = np.array([value])
        average.update()
    weights = [decay ** len(walk)] + [(1 - decay) * decay ** (len(walk) - 1 - k) for k in range(len(walk))]
    expected = sum(weight * value for weight, value in zip(weights, [1.0, *walk], strict=True))
    with average.applied():
        assert w.numpy() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert w.item() == walk[-1]


def test_averaged_weights_leave_again_when_what_used_them_fails():
    w = leaf(1.0)
    average = optim.MovingAverage([("w", w)], 0.5)
    w.data = np.array([3.0])
    average.update()
    with pytest.raises(ZeroDivisionError), average.applied():
        assert w.item() == 2.0
        w.data = np.array([7.0])  # what happens inside stays inside
        raise ZeroDivisionError
    assert w.item() == 3.0 and average.state_dict() == {"w": [2.0]}


def test_a_state_of_other_weights_is_refused_as_a_whole():
    average = optim.MovingAverage([("w", leaf(1.0)), ("v", leaf(1.0))])
    for state in ({"w": [2.0]}, {"w": [2.0], "v": [1.0, 2.0]}, {"w": [2.0], "v": [1.0], "u": [1.0]}):
        with pytest.raises(ValueError, match=r"nothing was loaded: [uv]"):
            average.load_state_dict(state)
    assert average.state_dict()["w"] == [1.0]
    average.load_state_dict({"w": [2.0], "v": [4.0]})
    assert average.state_dict() == {"w": [2.0], "v": [4.0]}


@given(w=st.floats(-3, 3), gradients=st.lists(st.floats(-3, 3), min_size=1, max_size=6), decay=st.floats(0, 0.5))
@example(w=0.0, gradients=[1.0, -0.45], decay=0.0)  # between where c and m + (1 − β₁) g change sign
def test_lion_moves_by_the_sign_of_its_momentum(w, gradients, decay):
    parameter = leaf(w)
    optimizer = optim.Lion([parameter], 0.1, (0.8, 0.9), weight_decay=decay)
    m = 0.0
    for g in gradients:
        parameter.grad = [g]
        optimizer.step()
        c = 0.8 * m + (1 - 0.8) * g
        w = w * (1 - 0.1 * decay) - 0.1 * ((c > 0) - (c < 0))
        m = 0.9 * m + (1 - 0.9) * g
    assert parameter.item() == pytest.approx(w, rel=1e-9, abs=1e-9)


# The range test


def parabola(curvature):
    """Descent on curvature/2 · w²: it explodes beyond 2/curvature."""
    w = leaf(1.0)
    optimizer = optim.SGD([w], 0.0)

    def step(lr):
        optimizer.lr = lr
        loss = (w * w * (curvature / 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@pytest.mark.parametrize("curvature", [1.0, 100.0])
def test_the_range_test_finds_a_rate_that_falls_and_stops_before_the_explosion(curvature):
    found = optim.rate_range(parabola(curvature), 1e-6, 1e3, steps=200)
    assert 0.001 / curvature < found.steepest < 2 / curvature
    assert len(found.rates) < 200 and found.rates[-1] > 2 / curvature
    assert max(found.smoothed[:-1]) <= 4 * found.losses[0] and all(map(math.isfinite, found.losses))
    ratios = np.diff(np.log(found.rates))
    np.testing.assert_allclose(ratios, ratios[0])


def test_a_loss_that_is_not_finite_ends_the_range_test_and_one_that_never_falls_has_no_answer():
    losses = iter([3.0, 2.0, math.nan, 1.0])
    found = optim.rate_range(lambda lr: next(losses), 1e-3, 1.0, steps=4, smoothing=0.0)
    assert found.losses == found.smoothed == [3.0, 2.0] and found.steepest == 1e-3
    with pytest.raises(ValueError, match=r"never fell between the rates 0.001 and 1"):
        optim.rate_range(lambda lr: 1.0 + lr, 1e-3, 1.0, steps=5, smoothing=0.0).steepest  # noqa: B018


@settings(max_examples=25)
@given(first=st.floats(3.2, 3.5), luck=st.lists(st.floats(-0.05, 0.05), min_size=100, max_size=100))
def test_a_lucky_first_batch_does_not_pass_for_a_good_rate(first, luck):
    """The loss stands still at 3, falls over one power of ten of the rate and stands still again; the first is off."""
    seen = iter([first, *luck])

    def step(lr):
        noise = next(seen)
        return noise if lr == 1e-5 else 3.0 + noise - 2.0 * float(np.clip(np.log10(lr) + 2.5, 0.0, 1.0))

    found = optim.rate_range(step, 1e-5, 1.0)
    assert 10**-2.5 < found.steepest < 10**-1.2



@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.warmup(optim.constant(1.0), -1), "steps = -1"),
        (lambda: optim.EarlyStopping(-1), "patience = -1"),
        (lambda: optim.EarlyStopping(1, math.nan), "threshold = nan"),
        (lambda: optim.Plateau(0.1, factor=1.0), "factor = 1.0"),
        (lambda: optim.MovingAverage([], 1.0), "decay = 1.0"),
        (lambda: optim.rate_range(abs, 1.0, 0.1), "lowest = 1.0 < highest = 0.1"),
        (lambda: optim.rate_range(abs, steps=1), "steps = 1"),
        (lambda: optim.Lion([leaf(1.0)], betas=(0.9, 1.0)), r"betas\[1\]"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
