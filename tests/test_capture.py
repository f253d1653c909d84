"""capture(): a replay gives the bits that f gives, or is not made."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from test_architectures import CHOICES, small

from tinygrad_edu import CaptureWarning, Tensor, capture, draw, errors, functional, optim
from tinygrad_edu.tape.program import Program
from tinygrad_edu.testing import programs


def bits(value):
    array = value._value if isinstance(value, Tensor) else value
    return None if array is None else (np.shape(array), np.asarray(array).dtype, np.asarray(array).tobytes())


def step_of(model, smoothing=0.0):
    def step(tokens, targets):
        logits = model(tokens)
        logits = logits if logits.ndim == 2 else logits[:, -1]
        loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        loss.backward()
        return loss

    return step


@given(program=programs())
def test_random_programs_give_the_same_bits_replayed_and_so_do_their_gradients(program):
    rng = np.random.default_rng(0)
    cotangents = {}

    def f(*xs):
        out = program(*xs)
        outs = [each for each in (out if isinstance(out, tuple) else (out,)) if isinstance(each, Tensor)]
        for k, each in enumerate(outs):
            if each.requires_grad:
                g = cotangents.setdefault(k, rng.standard_normal(each.shape).astype(each.dtype))
                each.backward(g if each.shape else float(g), retain_graph=True)
        return outs

    captured = capture(f)
    for near in (0.0, 0.01, -0.01, 0.02):
        moved = [np.asarray(x * (1 + near * rng.standard_normal(x.shape)), x.dtype) for x in program.inputs]
        mine, theirs = ([Tensor(x, requires_grad=True) for x in moved] for _ in range(2))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", CaptureWarning)  # a few operations look at values: np.interp does
            try:
                expected = f(*mine)
            except (errors.AutodiffError, np.linalg.LinAlgError):
                return
            found = captured(*theirs)
        assert list(map(bits, found)) == list(map(bits, expected)), program.source()
        assert [bits(x.grad) for x in theirs] == [bits(x.grad) for x in mine], program.source()


def test_nearly_all_random_programs_are_replayed():
    from test_testing_programs import sample

    replayed = []
    for program in sample(programs(), 60):
        captured = capture(lambda *xs, program=program: program(*xs))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", CaptureWarning)
            for _ in range(2):
                captured(*program.inputs)
        replayed.append(bool(captured.programs))
    assert np.mean(replayed) > 0.9


@pytest.mark.parametrize("choices", CHOICES, ids=lambda choices: ",".join(f"{k}={v}" for k, v in choices.items()))
def test_training_any_architecture_captured_is_training_it_bit_for_bit(choices):
    choices = dict(choices)
    smoothing = choices.pop("label_smoothing", 0.0)
    models = [small(dtype="float32", **choices) for _ in range(2)]
    plain, captured = step_of(models[0], smoothing), capture(step_of(models[1], smoothing))
    optimizers = [optim.Adam(model.named_parameters(), lr=1e-2) for model in models]
    rng = np.random.default_rng(0)
    for padded in (0, 0, 0, 2, 2, 2, 0, 2):
        tokens = rng.integers(2, 12, (4, 5))
        tokens[:padded, 3:] = 0
        losses = [step(tokens, tokens[:, 0]) for step in (plain, captured)]
        assert bits(losses[0]) == bits(losses[1])
        for (name, one), (_, other) in zip(*(model.named_parameters() for model in models), strict=True):
            assert bits(one.grad) == bits(other.grad), name
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert len(captured.programs) == 2  # with padding and without
    assert models[0].rng.bit_generator.state == models[1].rng.bit_generator.state


# What a replay must not miss


def scaled(w):
    def f(x):
        loss = np.sum(np.tanh(x * w))
        loss.backward()
        return loss

    return f


def compared(f, captured, w, v, x):
    """f reads w, captured v: both called, results and gradients compared."""
    expected, found = f(x), captured(x)
    assert bits(expected) == bits(found) and bits(w.grad) == bits(v.grad)
    w.zero_grad(), v.zero_grad()


def pair(shape=(3,)):
    start = np.random.default_rng(0).normal(size=shape)
    w, v = (Tensor(start, requires_grad=True) for _ in range(2))
    captured = capture(scaled(v))
    for _ in range(3):
        compared(scaled(w), captured, w, v, np.ones(shape))
    assert len(captured.programs) == 1
    return w, v, captured


def test_weights_are_read_anew_however_they_changed():
    w, v, captured = pair()
    for change in (
        lambda t: setattr(t, "data", t.numpy() * 2),
        lambda t: t.data.__imul__(3),
        lambda t: t._assign(np.arange(3.0)),
    ):
        change(w), change(v)
        compared(scaled(w), captured, w, v, np.array([0.1, 0.2, 0.3]))


def test_a_gradient_is_added_to_the_one_that_is_there():
    w, v, captured = pair()
    for _ in range(2):
        scaled(w)(np.ones(3)), captured(np.ones(3))
    assert bits(w.grad) == bits(v.grad)


def test_frozen_weights_get_no_gradient_and_thawed_ones_do():
    w, v, captured = pair()

    def frozen(t):
        def f(x):
            y = np.sum(x * x * t)
            y.backward()
            return y

        return f

    x, y = (Tensor(np.ones(3), requires_grad=True) for _ in range(2))
    again = capture(frozen(v))
    for wanted in (True, True, True, False, False, False, True, True):
        w.requires_grad = v.requires_grad = wanted
        assert bits(frozen(w)(x)) == bits(again(y))
        assert bits(x.grad) == bits(y.grad) and bits(w.grad) == bits(v.grad)


def test_results_and_gradients_stay_what_they_were_after_the_next_replay():
    _, v, captured = pair()
    kept = []
    for k in range(4):
        x = np.full(3, float(k))
        loss = captured(x)
        kept.append((loss, bits(loss), v.grad, bits(v.grad), x, bits(x)))
        v.zero_grad()
    for loss, was, grad, gradient, x, argument in kept:
        assert bits(loss) == was and bits(grad) == gradient and bits(x) == argument
    assert not any(np.shares_memory(a[2].data, b[2].data) for a in kept for b in kept if a is not b)


def test_a_sum_of_cotangents_is_not_written_into_one_that_is_a_view_of_another():
    """The cotangent of the reshaped x is a view of w's gradient; then x gets a second share."""

    def of(w, x):
        def f(c):
            q = x * x
            loss = np.sum((np.reshape(x, -1) + w) * c) + np.sum(q)
            loss.backward()
            return loss

        return f

    w, v = (Tensor(np.ones(6), requires_grad=True) for _ in range(2))
    x, y = (Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True) for _ in range(2))
    plain, captured = of(w, x), capture(of(v, y))
    for k in range(4):
        c = np.arange(6.0) + k
        assert bits(plain(c)) == bits(captured(c))
        assert bits(w.grad) == bits(v.grad) and bits(x.grad) == bits(y.grad)
    assert captured.programs


def test_what_is_handed_out_shares_no_memory_with_arguments_weights_or_constants():
    w, table = Tensor(np.ones((2, 3)), requires_grad=True), np.arange(6.0).reshape(2, 3)

    @capture
    def f(x):
        np.sum(w * table).backward()
        return [x, x.T, w, w[0], Tensor(table), np.reshape(x, -1)]

    x = np.ones((2, 3))
    for _ in range(4):
        w.zero_grad()
        for each in [*f(x), w.grad]:
            assert not np.shares_memory(each.data, x)
            assert not np.shares_memory(each.data, w._value) and not np.shares_memory(each.data, table)
    assert f.programs


def test_the_same_array_twice_is_not_taken_for_two():
    f = capture(lambda x, y: x - y)
    a, b = np.ones(3), np.arange(3.0)
    for x, y in ((a, a), (a, a), (a, b), (b, a), (b, b), (a, b)):
        assert bits(f(x, y)) == bits(Tensor(x) - Tensor(y))


def test_one_leaf_in_two_places_gets_both_shares():
    @capture
    def f(x, y):
        np.sum(x * y).backward()

    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 5.0], requires_grad=True)
    for one, other in ((x, x), (x, x), (x, y), (x, y), (x, x), (x, y)):
        x.zero_grad(), y.zero_grad()
        f(one, other)
        expected = 2 * x if one is other else y
        assert bits(x.grad) == bits(expected.detach())


def test_a_weight_that_is_passed_as_an_argument_too_is_not_taken_for_two():
    w, v = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 5.0], requires_grad=True)

    @capture
    def f(x):
        np.sum(x * w).backward()

    for x in (v, v, v):
        f(x)
    w.zero_grad()
    with pytest.warns(CaptureWarning, match="one tensor in two places"):
        f(w)
    assert bits(w.grad) == bits((2 * w).detach())


def test_what_is_written_into_an_array_from_outside_is_seen():
    small, large = np.arange(3.0), np.ones((2, 3000))

    @capture
    def f(x):
        return [x * np.exp(small).sum(), np.sum(x) * np.tanh(Tensor(large[:, ::2])), np.reshape(x, -1)[0] - large]

    x = np.full(3, 2.0)
    for k in range(12):
        small[1], large[1, 2] = k // 4, k // 6
        assert list(map(bits, f(x))) == list(map(bits, f.function(Tensor(x))))
    assert f.programs


def test_what_comes_of_constants_alone_is_worked_out_once():
    @capture
    def f(x):
        return x * np.sum(np.exp(Tensor(np.arange(4.0)) * 0.5))

    for _ in range(3):
        found = f(np.ones(2))
    np.testing.assert_allclose(found.data, np.exp(np.arange(4.0) * 0.5).sum())
    assert [row.step.name for row in f.latest.rows] == ["multiply"]


def test_a_program_is_drawn_with_the_buffers_it_writes_into():
    w = Tensor(np.ones((2, 3)), requires_grad=True, name="w")

    @capture
    def f(x):
        y = np.tanh(x @ w)
        loss = np.sum(y * y)
        loss.backward()
        return loss

    with pytest.raises(LookupError, match="call it twice"):
        draw(f, format="text")
    for _ in range(2):
        f(np.ones((4, 2)))
    text = draw(f, format="text")
    assert "w0 w" in text and "d tanh/d x" in text and "backward:" in text
    assert len({name for row in f.latest.rows for _, name in row.births}) < len(f.latest.rows)
    for row in f.latest.rows:
        assert row.step.name in text and all(f"in={name}" in text for _, name in row.births)
    assert json.loads(draw(f, format="json"))["nodes"]


@pytest.mark.parametrize("spoil", ["slot", "constant", "early", "share"])
def test_a_program_that_gives_other_bits_is_not_trusted(monkeypatch, spoil):
    """The same mistakes, planted into the source of a program: each is found before the program is used."""
    changes = {
        "slot": ("tanh(b0)", "tanh(x0)"), "constant": ("c0", "2 * c0"), "share": ("+= ", "= "),
        "early": ("multiply(b0, w0)", "multiply(b0, b0)"),
    }  # fmt: skip
    w = Tensor(np.linspace(0.1, 0.5, 3), requires_grad=True)

    @capture
    def f(x):
        y = np.tanh(x * w)
        loss = np.sum(y * w + y * y) * np.arange(1.0, 3.0)[1]
        loss.backward()
        return loss

    whole = Program.written

    def spoilt(self):
        lines = list(whole(self))
        old, new = changes[spoil]
        assert any(old in line for line in lines), "\n".join(lines)
        return iter([line.replace(old, new) for line in lines])

    x = np.linspace(-1.0, 1.0, 3)
    f(x)
    monkeypatch.setattr(Program, "written", spoilt)
    with pytest.warns(CaptureWarning, match="not on the tape"):
        f(x)
    assert not f.programs
