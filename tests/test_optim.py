"""Optimisers against their formulas written out in plain Python, and against the course's worked numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, nn, optim
from tinygrad_edu.errors import DtypeError, NotTrackedError
from tinygrad_edu.optimizer import PIECE


def run(optimizer_of, start, gradients):
    """The weights after a step for each list of gradients; None leaves a gradient out."""
    parameters = [Tensor(w, requires_grad=True, dtype=float) for w in start]
    optimizer = optimizer_of(parameters)
    for step in gradients:
        for parameter, g in zip(parameters, step, strict=True):
            parameter.grad = None if g is None else np.full(parameter.shape, g)
        optimizer.step()
    return [parameter.numpy() for parameter in parameters]


FIVE = [[-0.1], [-0.08], [-0.12], [-0.09], [-0.11]]


@pytest.mark.parametrize(
    ("optimizer", "expected"),
    [
        (lambda p: optim.SGD(p, 0.01), 0.5050),
        (lambda p: optim.SGD(p, 0.01, momentum=0.9), 0.51291),
        (lambda p: optim.Adam(p, 0.01), 0.54969),
    ],
    ids=["sgd", "momentum", "adam"],
)
def test_worked_numbers_of_the_course(optimizer, expected):
    assert run(optimizer, [0.5], FIVE)[0] == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(("lr", "end"), [(0.1, 1.954), (0.5, 2.997), (1.0, 3.0), (2.1, -4.78)])
def test_ten_steps_on_the_quadratic(lr, end):
    w = Tensor(0.0, requires_grad=True)
    optimizer = optim.SGD([w], lr)
    for _ in range(10):
        optimizer.zero_grad()
        (0.5 * (w - 3) ** 2).backward()
        optimizer.step()
    assert w.item() == pytest.approx(end, abs=5e-3)


def sgd_by_hand(w, gradients, lr, mu, nesterov, decay):
    v = 0.0
    for g in gradients:
        g = g + decay * w
        v = mu * v - lr * g
        w = w + (mu * v - lr * g if nesterov else v)
    return w


def adam_by_hand(w, gradients, lr, beta1, beta2, eps, decay, decoupled):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        w = w - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return w


NUMBERS = st.lists(st.floats(-3, 3), min_size=1, max_size=6)


@given(w=st.floats(-2, 2), gradients=NUMBERS, mu=st.sampled_from([0.0, 0.5, 0.9]), nesterov=st.booleans(),
       decay=st.sampled_from([0.0, 0.1]))  # fmt: skip
def test_sgd_follows_its_formula(w, gradients, mu, nesterov, decay):
    nesterov = nesterov and mu > 0
    (found,) = run(lambda p: optim.SGD(p, 0.1, mu, nesterov, decay), [w], [[g] for g in gradients])
    assert found == pytest.approx(sgd_by_hand(w, gradients, 0.1, mu, nesterov, decay), rel=1e-12, abs=1e-13)


@given(w=st.floats(-2, 2), gradients=NUMBERS, decay=st.sampled_from([0.0, 0.1]), decoupled=st.booleans(),
       betas=st.sampled_from([(0.9, 0.999), (0.0, 0.5), (0.8, 0.0)]), eps=st.sampled_from([1e-8, 1e-2]))  # fmt: skip
def test_adam_and_adamw_follow_their_formulas(w, gradients, decay, decoupled, betas, eps):
    kind = optim.AdamW if decoupled else optim.Adam
    (found,) = run(lambda p: kind(p, 0.1, betas, eps, decay), [w], [[g] for g in gradients])
    expected = adam_by_hand(w, gradients, 0.1, *betas, eps, decay, decoupled)
    assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW])
def test_parameter_without_gradient_stays_and_counts_its_own_updates(kind):
    alone = run(lambda p: kind(p, 0.1), [1.0], [[0.5], [-0.2]])[0]
    first, second = run(lambda p: kind(p, 0.1), [1.0, 1.0], [[0.5, None], [-0.2, None]])
    assert first == alone and second == 1.0
    late = run(lambda p: kind(p, 0.1), [1.0, 1.0], [[0.5, None], [-0.2, 0.5], [None, -0.2]])
    assert late[0] == late[1] == alone


def test_step_reports_the_parameters_without_gradient_and_refuses_when_all_are():
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    optimizer = optim.Adam([("a", a), ("b", b)])
    with pytest.raises(NotTrackedError, match="none of the 2 parameters has a gradient, from 'a' on"):
        optimizer.step()
    a.grad = [1.0]
    assert optimizer.step() == ["b"] and optimizer.steps == 1


def test_many_pieces_give_what_one_gives():
    """The flat buffer is cut into pieces; sizes around the cut must not matter."""
    sizes = [PIECE - 1, 2, 0, PIECE + 1]
    drawn = np.random.default_rng(0)
    starts, gradients = ([drawn.normal(size=n) for n in sizes] for _ in range(2))
    parameters = [Tensor(w, requires_grad=True) for w in starts]
    optimizer = optim.Adam(parameters, 0.1)
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = g
    optimizer.step()
    for parameter, w, g in zip(parameters, starts, gradients, strict=True):
        np.testing.assert_allclose(parameter.numpy(), w - 0.1 * g / (np.abs(g) + 1e-8), rtol=1e-9)


@pytest.mark.parametrize("kind", [lambda p: optim.SGD(p, 0.1, 0.9), optim.Adam, optim.AdamW])
def test_dtype_shape_and_memory_stay_each_parameters_own(kind):
    parameters = [Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in ((), (2, 3), (0,), (1, 1))]
    for parameter in parameters:
        parameter.grad = np.ones(parameter.shape, np.float32)
    kind(parameters).step()
    assert [p.shape for p in parameters] == [(), (2, 3), (0,), (1, 1)]
    assert all(p.dtype == np.float32 for p in parameters)
    assert all((p.numpy() != 1).all() and (p.grad.numpy() == 1).all() for p in parameters)
    assert parameters[1].data.base is None, "a view would keep every parameter's memory alive"


@pytest.mark.parametrize("kind", [lambda p: optim.SGD(p, 0.1, 0.9), optim.Adam, optim.AdamW])
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(kind):
    def fresh():
        model = nn.Linear(3, 2, rng=np.random.default_rng(0))
        return model, kind(model.named_parameters())

    def train(model, optimizer, steps):
        for step in steps:
            x = np.random.default_rng(step).normal(size=(4, 3)).astype(np.float32)
            model.zero_grad()
            (model(Tensor(x)) ** 2).sum().backward()
            optimizer.step()

    whole, half, rest = fresh(), fresh(), fresh()
    train(*whole, range(6))
    train(*half, range(3))
    rest[0].load_state_dict(half[0].state_dict())
    rest[1].load_state_dict(half[1].state_dict())
    train(*rest, range(3, 6))
    for name, array in whole[0].state_dict().items():
        np.testing.assert_array_equal(rest[0].state_dict()[name], array)
    assert rest[1].steps == 6 and {"steps", "updates"} < set(rest[1].state_dict())


def test_state_that_does_not_fit_is_refused_as_a_whole():
    optimizer = optim.Adam([("w", Tensor([1.0, 2.0], requires_grad=True))])
    state = optimizer.state_dict()
    assert list(state) == ["steps", "updates", "m.w", "v.w"]
    state["m.w"] = np.ones(3)
    state["extra"] = state.pop("v.w")
    with pytest.raises(ValueError, match=r"(?s)nothing was loaded.*missing: v.w.*unexpected: extra.*m.w is \(2,\)"):
        optimizer.load_state_dict(state)


def test_parameters_that_cannot_be_trained_are_refused():
    w = Tensor([1.0], requires_grad=True)
    for parameters, error, words in (
        ([], ValueError, "empty"),
        ([w, w], ValueError, "twice"),
        ([Tensor([1.0])], NotTrackedError, "no leaf"),
        ([w * 2], NotTrackedError, "no leaf"),
        ([np.ones(2)], TypeError, "ndarray"),
        (w, TypeError, "put it into a list"),
        ([w, Tensor([1.0], requires_grad=True, dtype="float32")], DtypeError, "several dtypes"),
    ):
        with pytest.raises(error, match=words):
            optim.SGD(parameters, 0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: optim.SGD(p, -0.1), "lr = -0.1"),
        (lambda p: optim.SGD(p, math.nan), "lr = nan"),
        (lambda p: optim.SGD(p, 0.1, momentum=1.0), "momentum"),
        (lambda p: optim.SGD(p, 0.1, nesterov=True), "momentum > 0"),
        (lambda p: optim.Adam(p, betas=(0.9, 1.0)), r"betas\[1\]"),
        (lambda p: optim.AdamW(p, weight_decay=-1), "weight_decay"),
        (lambda p: optim.clip_grad_norm(p, -1.0), "max_norm"),
        (lambda p: optim.warmup_cosine(0.1, 10, 5), "warmup = 10"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make([Tensor([1.0], requires_grad=True)])


# Clipping


def test_clipping_scales_all_gradients_by_one_factor_and_returns_the_norm():
    a, b = Tensor([0.0], requires_grad=True), Tensor([[0.0]], requires_grad=True)
    c = Tensor([0.0], requires_grad=True)  # without a gradient: nothing to clip
    a.grad, b.grad = [1.5], [[2.0]]
    assert optim.clip_grad_norm([a, b, c], 1.0) == 2.5
    np.testing.assert_allclose([a.grad.item(), b.grad.item()], [0.6, 0.8], rtol=1e-6)
    assert optim.clip_grad_norm([a, b], 5.0) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose([a.grad.item(), b.grad.item()], [0.6, 0.8], rtol=1e-6)


def test_clipping_survives_float32_overflow_and_names_what_is_not_finite():
    a = Tensor(np.zeros(2, np.float32), requires_grad=True)
    a.grad = np.full(2, 3e30, np.float32)
    assert optim.clip_grad_norm([a], 1.0) == pytest.approx(3e30 * math.sqrt(2))
    assert a.grad.dtype == np.float32
    np.testing.assert_allclose(a.grad.numpy(), math.sqrt(0.5), rtol=1e-6)
    a.grad = np.array([1.0, np.nan], np.float32)
    with pytest.raises(FloatingPointError, match="'a' is not finite"):
        optim.clip_grad_norm([("a", a)], 1.0)


# Schedules


def test_schedules_pass_through_their_landmarks():
    rate = optim.warmup_cosine(1.0, warmup=4, total=12, floor=0.1)
    np.testing.assert_allclose([rate(t) for t in (0, 1, 3, 4, 8, 12, 99)], [0.25, 0.5, 1, 1, 0.55, 0.1, 0.1])
    assert optim.warmup_cosine(1.0, 0, 0)(0) == 0.0
    decay = optim.step_decay(1.0, every=3, factor=0.5)
    assert [decay(t) for t in (0, 2, 3, 5, 6)] == [1, 1, 0.5, 0.5, 0.25]
    assert optim.constant(0.3)(7) == 0.3


def test_optimizer_asks_its_schedule_before_each_step_and_resumes_it():
    w = Tensor([0.0], requires_grad=True)
    optimizer = optim.SGD([w], optim.step_decay(1.0, every=2, factor=0.5))
    seen = []
    for _ in range(4):
        w.grad = [1.0]
        seen.append(optimizer.lr)
        optimizer.step()
    assert seen == [1, 1, 0.5, 0.5] and w.item() == -3
    other = optim.SGD([w], optim.step_decay(1.0, every=2, factor=0.5))
    other.load_state_dict(optimizer.state_dict())
    assert other.lr == 0.25
    other.lr = 0.7
    assert other.lr == 0.7
