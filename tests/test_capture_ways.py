"""capture(): other arguments, other values, other switches: other programs, or other ways through one function."""

import numpy as np
import pytest
from test_architectures import small
from test_capture import bits, compared, step_of

from tinygrad_edu import Tensor, capture, compile_kernels, definitions, functional, nn, no_grad


def test_an_if_on_a_value_goes_the_way_that_the_value_says():
    @capture
    def f(x):
        return x * 2 if np.all(x > 0) else -x

    for sign in (1, 1, -1, -1, 1, -1, 1, 1):
        x = sign * np.arange(1.0, 4.0)
        assert bits(f(x)) == bits(Tensor(x * 2 if sign > 0 else -x))
    assert len(f.programs) == 2


def test_a_loop_over_a_count_that_was_computed_runs_as_often_as_it_says():
    @capture
    def f(x, n):
        for _ in range(n + 1):
            x = x * 2
        return x

    for n in (1, 1, 3, 3, 1, 3, 2):
        assert bits(f(np.ones(2), np.array(n))) == bits(np.full(2, 2.0 ** (n + 1)))


def test_as_many_rows_as_a_mask_lets_through_come_back():
    @capture
    def f(x):
        return x[x > 0] * 3

    for x in ([1.0, -1, 2], [1.0, -1, 2], [3.0, 5, -2], [1.0, 1, 1], [-1.0, 0, 0], [4.0, -1, -1]):
        x = np.array(x)
        assert bits(f(x)) == bits(x[x > 0] * 3)


def test_a_mean_over_as_many_rows_as_there_are_has_the_gradient_for_that_many():
    w, v = (Tensor(2.0, requires_grad=True) for _ in range(2))

    def mean_of(t):
        def f(x):
            loss = np.mean(x[x > 0] * t)
            loss.backward()
            return loss

        return f

    captured = capture(mean_of(v))
    for x in ([1.0, -1, 2], [1.0, -1, 2], [3.0, -5, -2], [1.0, 1, 1], [1.0, 1, 1], [4.0, -1, -1], [7.0, 1, -2]):
        compared(mean_of(w), captured, w, v, np.array(x))
    assert len(captured.programs) >= 2


def test_numbers_that_a_program_drew_before_it_turned_out_to_be_the_wrong_one_are_drawn_again():
    rngs = [np.random.default_rng(0) for _ in range(2)]

    def dropped(rng):
        def f(x):
            y = functional.dropout(x, 0.5, rng)
            return y * 2 if np.all(x > 0) else y

        return f

    plain, captured = dropped(rngs[0]), capture(dropped(rngs[1]))
    for sign in (1, 1, 1, -1, -1, -1, 1, -1):
        x = np.full((4, 4), float(sign))
        assert bits(plain(Tensor(x))) == bits(captured(x))
    assert rngs[0].bit_generator.state == rngs[1].bit_generator.state and len(captured.programs) == 2


def test_wrong_ids_and_targets_are_refused_in_a_replay_too():
    model = small(dtype="float32")
    step = capture(step_of(model))
    tokens = np.random.default_rng(0).integers(2, 12, (4, 5))
    for _ in range(3):
        step(tokens, tokens[:, 0])
    assert step.programs
    for wrong, targets in ((tokens + 9, tokens[:, 0]), (-tokens, tokens[:, 0]), (tokens, tokens[:, 0] + 30)):
        with pytest.raises(IndexError, match="is outside"):
            step(wrong, targets)


def test_other_shapes_dtypes_layouts_and_nests_are_other_programs():
    @capture
    def f(x, more=None, times=1.0):
        y = np.sum(x, axis=0) * times
        return y if more is None else [y, more["a"] + 1]

    x = np.random.default_rng(0).normal(size=(3, 4))
    calls = [
        (x, {}), (x.T, {}), (x.astype(np.float32), {}), (np.asfortranarray(x), {}), (x, {"times": 2.0}),
        (x, {"times": 2}), (x, {"times": -0.0}), (x, {"times": 0.0}), (x, {"more": {"a": x}}),
        (x, {"more": {"a": 1.0}}),
    ]  # fmt: skip
    for _ in range(3):
        for given_x, keywords in calls:
            found, expected = f(given_x, **keywords), f.function(Tensor(given_x), **keywords)
            pairs = [(found, expected)] if isinstance(found, Tensor) else zip(found, expected, strict=True)
            assert all(bits(one) == bits(other) for one, other in pairs)
    assert len(f.programs) == len(calls)


def test_no_more_programs_are_kept_than_are_of_use():
    f = capture(lambda x: x * 2)
    for size in [*range(40), 39, 39]:
        for _ in range(2):
            assert bits(f(np.ones(size))) == bits(np.full(size, 2.0))
    assert len(f.programs) == 16


def test_switches_of_the_engine_are_obeyed():
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    w, v = (Tensor(np.eye(8, dtype=np.float32), requires_grad=True) for _ in range(2))

    def of(t):
        def f(x):
            loss = np.sum(functional.gelu(functional.softmax(x @ t)))
            if loss.requires_grad:
                loss.backward()
            return loss

        return f

    captured = capture(of(v))
    for _ in range(2):
        for switch in (None, definitions, no_grad):
            for _ in range(3):
                if switch is None:
                    compared(of(w), captured, w, v, x)
                else:
                    with switch():
                        compared(of(w), captured, w, v, x)
    assert len(captured.programs) == 3


def test_compiled_kernels_are_programs_of_their_own():
    pytest.importorskip("numba")
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    f = capture(lambda x: functional.gelu(x))
    try:
        for on in (False, True, False):
            compile_kernels(on)
            for _ in range(3):
                assert bits(f(x)) == bits(functional.gelu(Tensor(x)))
    finally:
        compile_kernels(False)
    assert len(f.programs) == 2


def test_a_module_in_another_mode_is_another_function():
    layer = nn.Dropout(0.5, rng=np.random.default_rng(0))
    twin = nn.Dropout(0.5, rng=np.random.default_rng(0))
    f = capture(lambda x: layer(x))
    x = np.ones((4, 4))
    for mode in (True, True, True, False, False, True, True, True):
        layer.train(mode), twin.train(mode)
        assert bits(f(x)) == bits(twin(Tensor(x)))
    layer.p = twin.p = 0.25
    for _ in range(3):
        assert bits(f(x)) == bits(twin(Tensor(x)))


SCALE = 1.0


def test_a_name_that_means_something_else_is_read_anew(monkeypatch):
    offset = 0.0

    def inner(x):
        return x * SCALE

    f = capture(lambda x: inner(x) + offset)
    for scale, more in ((1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 0.0), (2.0, 1.0), (2.0, 1.0), (2.0, 1.0)):
        monkeypatch.setitem(globals(), "SCALE", scale)
        offset = more
        assert f(np.ones(2)).tolist() == [scale + more] * 2
