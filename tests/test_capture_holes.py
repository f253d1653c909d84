"""capture(): ways on which a number could come in, or an error stay out, without a step that shows it."""

import copy
import pickle
import random
import types
import warnings

import numpy as np
import pytest
from test_capture import bits

from tinygrad_edu import CaptureWarning, Tensor, capture


def inverse(x):
    try:
        return np.linalg.inv(x) * 3
    except np.linalg.LinAlgError:
        return x * 0 + 7


def strict(x):
    with np.errstate(all="raise"):
        try:
            return np.log(x)
        except FloatingPointError:
            return x * 0


def warned(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.log(x)
        except RuntimeWarning:
            return x * 0


@pytest.mark.parametrize(
    ("f", "first", "then"), [(inverse, np.zeros((2, 2)), np.eye(2)), (strict, np.ones(2), -np.ones(2)),
                             (warned, np.ones(2), -np.ones(2))], ids=lambda each: getattr(each, "__name__", "")
)  # fmt: skip
def test_errors_that_a_function_catches_are_caught_each_time(f, first, then):
    captured = capture(f)
    with pytest.warns(CaptureWarning, match="raised an error|errstate or"):
        for x in (first, first, first, then, then, first, then):
            assert bits(captured(x)) == bits(f(Tensor(x)))


GENERATORS = {
    "Generator": lambda rng: rng.random() < 0.5,
    "RandomState": lambda rng: rng.rand() < 0.5,
    "Random": lambda rng: rng.random() < 0.5,
}
SEEDED = {"Generator": np.random.default_rng, "RandomState": np.random.RandomState, "Random": random.Random}


@pytest.mark.parametrize("passed", [False, True])
@pytest.mark.parametrize("kind", GENERATORS)
def test_a_choice_by_a_random_number_that_python_draws_is_drawn_each_time(kind, passed):
    """Two recordings may agree by chance: that the generator has moved shows it."""
    draw = GENERATORS[kind]
    for seed in range(4):
        one, other = SEEDED[kind](seed), SEEDED[kind](seed)
        f = (lambda x, rng: x * 2 if draw(rng) else x) if passed else (lambda x, rng=one: x * 2 if draw(rng) else x)
        captured = capture(f)
        with pytest.warns(CaptureWarning, match="random numbers"):
            found = [captured(np.ones(2), *[one] * passed).tolist()[0] for _ in range(12)]
        assert found == [2.0 if draw(other) else 1.0 for _ in range(12)]


def test_what_changes_in_an_argument_that_is_no_array_is_seen():
    config, some, rate = types.SimpleNamespace(s=1.0), {1.0}, 1.0
    captured = capture(lambda x, config, some, act: act(x) * config.s * max(some))

    def act(x):
        return x * rate

    for k in range(12):
        if k == 3:
            config.s = 2.0
        if k == 6:
            some.add(3.0)
        if k == 9:
            rate = 5.0
        assert captured(np.ones(1), config, some, act).tolist() == [rate * config.s * max(some)]
    assert captured.programs


def test_keys_that_are_equal_but_not_the_same_are_other_programs():
    captured = capture(lambda table: sum(x * key for key, x in table.items()))
    for _ in range(3):
        for key in (1, True, 1.0, 0.0, -0.0):
            table = {key: np.ones(2, np.int8)}
            assert bits(captured(table)) == bits(captured.function({key: Tensor(table[key])}))


def test_a_weight_that_no_result_shows_gets_its_gradient_when_it_is_thawed():
    w = Tensor(np.ones(3))
    x = Tensor(np.ones(3), requires_grad=True)
    captured = capture(lambda x: np.sum(x + w).backward())
    for _ in range(3):
        captured(x)
    w.requires_grad = True
    for _ in range(4):
        w.zero_grad(), x.zero_grad()
        captured(x)
        assert w.grad.tolist() == x.grad.tolist() == [1.0, 1.0, 1.0]


def test_an_if_on_whether_a_weight_is_frozen_goes_the_way_that_it_is():
    w = Tensor(np.ones(3))
    captured = capture(lambda x: x * 2 if w.requires_grad else x)
    for k in range(8):
        w.requires_grad = k // 3 == 1
        assert captured(np.ones(1)).tolist() == [2.0 if w.requires_grad else 1.0]
    assert captured.programs


@pytest.mark.parametrize("order", [0, 1])
def test_two_tensors_that_shared_an_array_may_part(order):
    w = Tensor(np.ones(2), requires_grad=True)
    old = w.detach()

    @capture
    def f(x):
        loss = np.sum(x * w * 2) + np.sum(x * old) if order else np.sum(x * old) + np.sum(x * w * 2)
        loss.backward()
        return loss

    for k in range(7):
        if k == 3:
            w.data = np.full(2, 10.0)
        w.zero_grad()
        assert f(np.ones(2)).tolist() == (6.0 if k < 3 else 42.0)
        assert w.grad.tolist() == [2.0, 2.0]


def test_the_data_of_a_weight_that_came_in_bare_is_not_taken_for_the_weight():
    w = Tensor(np.ones(2), requires_grad=True)
    bare = w.data
    captured = capture(lambda x: np.sum(x * bare) + np.sum(x * w))
    with pytest.warns(CaptureWarning, match="array came in without it"):
        for k in range(6):
            if k == 3:
                w.data = np.full(2, 10.0)
            assert captured(np.ones(2)).tolist() == (4.0 if k < 3 else 22.0)


def test_a_function_that_writes_outside_is_not_replayed():
    seen = {}

    def f(x):
        seen["last"] = 2.0
        return x * 2

    captured = capture(f)
    with pytest.warns(CaptureWarning, match="what it changes outside itself"):
        for _ in range(5):
            seen.clear()
            captured(np.ones(2))
            assert seen == {"last": 2.0}


def test_copies_record_for_themselves():
    captured = capture(inverse)
    for _ in range(3):
        captured(np.eye(2))
    for other in (copy.copy(captured), copy.deepcopy(captured)):
        assert not other.programs and bits(other(np.eye(2))) == bits(3 * np.eye(2))
    assert pickle.loads(pickle.dumps(capture(np.sum)))(np.ones(3)).tolist() == 3.0


def test_a_name_that_a_function_asks_for_is_asked_each_time():
    w = Tensor(np.ones(1), name="w")
    captured = capture(lambda x: x * 2 if w.name == "v" else x)
    with pytest.warns(CaptureWarning, match=".name"):
        for k in range(6):
            w.name = "w" if k < 3 else "v"
            assert captured(np.ones(1)).tolist() == [1.0 if k < 3 else 2.0]
