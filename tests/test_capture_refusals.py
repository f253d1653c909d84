"""capture(): what cannot be replayed runs as it is, and says why; errors are the function's own."""

import warnings

import numpy as np
import pytest
from test_capture import bits

from tinygrad_edu import CaptureWarning, Tensor, capture, detect_anomaly, errors, optim


class Counter:
    count = 0.0


def item(x):
    return x * x.sum().item()


def array(x):
    return x * np.asarray(x).sum()


def copy(x):
    return x * x.numpy()


def text(x):
    return x * float(f"{x.sum():.1f}")


def counts(x):
    Counter.count += 1
    return x * Counter.count


def sometimes(x):
    Counter.count += 1
    return x * 2 if Counter.count % 3 else x


def random_numbers(x):
    Counter.count += 1
    return x * Tensor(np.random.default_rng(int(Counter.count)).random(3))


def second_order(x):
    x.requires_grad = True
    np.sum(x * x * x).backward(create_graph=True)
    return x


def reads_grad(x):
    w = Tensor(np.ones(3), requires_grad=True)
    np.sum(w * x).backward()
    return w.grad


def new_weights(x):
    Tensor(np.ones(3)).data = np.zeros(3)
    return x


REFUSED = {
    item: r"item\(\)", array: r"np.asarray\(\)", copy: r"numpy\(\)", text: "text", counts: "another each time",
    sometimes: "another each time", random_numbers: "another each time", second_order: "create_graph",
    reads_grad: r"\.grad", new_weights: "new data",
}  # fmt: skip


@pytest.mark.parametrize("f", REFUSED, ids=lambda f: f.__name__)
def test_what_no_tape_can_hold_runs_as_it_is_and_says_why_once(f):
    captured = capture(f)
    inputs = [np.arange(3.0) + k for k in range(8)]
    Counter.count = 0.0
    expected = [bits(f(Tensor(x)).detach()) for x in inputs]
    Counter.count = 0.0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [bits(captured(x)) for x in inputs]
    assert found == expected
    (warning,) = caught
    assert warning.category is CaptureWarning and warning.filename == __file__
    assert pytest.raises(Warning, warnings.warn, warning.message).match(REFUSED[f])
    with pytest.raises(LookupError, match="cannot be replayed"):
        captured.program()


def test_an_optimiser_inside_is_run_each_time():
    w = Tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    @capture
    def step(x):
        np.sum(w * x).backward()
        optimizer.step()
        optimizer.zero_grad()

    with pytest.warns(CaptureWarning, match="optimizer.step|\\.grad"):
        for _ in range(5):
            step(np.ones(3))
    np.testing.assert_allclose(w.data, 0.5)


def test_errors_of_the_function_are_its_own():
    @capture
    def f(x):
        if np.any(x < 0):
            raise KeyError("negative")
        return np.log(x)

    for _ in range(3):
        f(np.ones(2))
    for _ in range(3):
        with pytest.raises(KeyError, match="negative"):
            f(-np.ones(2))
    assert bits(f(np.ones(2))) == bits(np.zeros(2))


def test_inside_a_graph_or_under_observation_it_is_the_function_itself():
    f = capture(lambda x: np.sum(np.sin(x)))
    x = Tensor(np.arange(3.0), requires_grad=True)
    for _ in range(3):
        f(np.arange(3.0))
    f(x * 1.0).backward()
    np.testing.assert_array_equal(x.grad.data, np.cos(np.arange(3.0)))
    with pytest.raises(errors.NonFiniteError), np.errstate(all="ignore"):
        with detect_anomaly():
            capture(lambda x: np.log(x))(np.zeros(2))


def test_backward_on_what_came_back_says_that_it_belongs_inside():
    w = Tensor(np.ones(2), requires_grad=True)
    f = capture(lambda x: np.sum(x * w))
    for _ in range(3):
        with pytest.raises(errors.NotTrackedError):
            f(np.ones(2)).backward()


def test_arguments_that_never_come_twice_are_not_recorded_for_ever():
    f = capture(lambda x, rate: x * rate)
    with pytest.warns(CaptureWarning, match="never called twice"):
        for k in range(80):
            assert f(np.ones(2), float(k)).tolist() == [k, k]
    assert not f.programs


def test_what_is_watched_inside_is_watched_each_time():
    @capture
    def f(x):
        with detect_anomaly():
            return np.log(x)

    with pytest.warns(CaptureWarning, match="somebody watches"):
        for _ in range(3):
            f(np.ones(2))
    with pytest.raises(errors.NonFiniteError), np.errstate(all="ignore"):
        f(np.zeros(2))


def test_arrays_of_another_library_run_as_they_are():
    strict = pytest.importorskip("array_api_strict")
    f = capture(lambda x: np.sum(np.tanh(x) * 2.0))
    x = np.arange(3.0)
    with pytest.warns(CaptureWarning, match="another library"):
        for k in range(3):
            found = f(Tensor(strict.asarray(x + k)))
            assert float(found.item()) == pytest.approx(np.sum(np.tanh(x + k) * 2.0))
    assert not f.programs
