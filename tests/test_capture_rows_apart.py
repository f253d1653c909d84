"""capture(exact=False): what may look like rows that nobody reads, and is none."""

import numpy as np
import pytest
from test_capture_rows import no_refuge, same, shapes

from tinygrad_edu import Tensor, capture, functional, gradients, primitive
from tinygrad_edu.rules.fused_rows import layer_norm
from tinygrad_edu.tape.steps import Value


def agrees(f, *arrays):
    """Does f, captured, give what it gives, with gradients by all of the arrays?"""
    captured = capture(f, exact=False)
    with no_refuge():
        for k in range(4):
            mine, theirs = ([Tensor(x + 0.1 * k, requires_grad=True) for x in arrays] for _ in range(2))
            assert same(captured(*mine), f(*theirs))
            assert all(same(one.grad, other.grad) for one, other in zip(mine, theirs, strict=True))
    return captured


def summed(*outs):
    loss = sum(np.sum(np.sin(out)) for out in outs)
    loss.backward()
    return loss


A, B = np.random.default_rng(0).standard_normal((2, 5, 3, 3))


def test_a_weight_of_the_shape_that_rows_have_is_no_array_of_rows():
    agrees(lambda x, w: summed(np.tanh(x @ w)[0:1]), A[0], B[0])


def test_one_index_into_arrays_of_several_lengths():
    agrees(lambda x, y: summed(np.tanh(x)[:, 0], np.exp(y)[:, 0], np.tanh(x)[:, 0]), A, B[:2])
    agrees(lambda x, y: summed(np.tanh(x)[:, 0], y[:, 0], y[:, 0]), A, A[:, :2])
    agrees(lambda x: summed(np.tanh(x)[:, 1], np.tanh(x)[:, True]), A)  # 1 == True, and another index
    agrees(lambda x: summed(np.tanh(np.tanh(x)[:3, :, :])[:, 0]), A[:, :, :2])


def test_a_cotangent_that_comes_as_an_argument_is_read_where_it_lies():
    def f(x, g):
        out = np.exp(np.tanh(x))[:, 0]
        out.backward(g)
        return out

    captured = capture(f, exact=False)
    with no_refuge():
        for k in range(4):
            x, g = Tensor(A + k, requires_grad=True), B[:, 0] + k
            captured(x, g)
            expected = np.zeros_like(A)
            expected[:, 0] = g * (1 - np.tanh(A + k)[:, 0] ** 2) * np.exp(np.tanh(A + k)[:, 0])
            np.testing.assert_allclose(x.grad.numpy(), expected)
    assert shapes(captured.latest, "backward").count(A.shape) == 1  # its gradient


@primitive(lambda g, by: g * by, broadcasts=True)
def stretched(x, by=1.0):
    return x * by


@primitive(lambda g, y: g * y, lambda g, x: g * x, broadcasts=True)
def times(x, y):
    return x * y


@primitive(lambda g, x_shape: np.broadcast_to(g, x_shape) * 2.0, broadcasts=True)
def doubled(x):
    return x * 2.0


@primitive(lambda g, w: g @ w.T, lambda g, x: x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1]), rows={"w": 2})
def mapped(x, w):
    return x @ w


@primitive(lambda g, x_shape: np.broadcast_to(g[..., None], x_shape), rows={})
def total(x):
    return np.sum(x, axis=-1)


def test_operations_of_the_user_are_taken_at_their_word():
    agrees(lambda x, w: summed(times(np.tanh(x), w)[:, 0], w), A, B[0, 0])
    agrees(lambda x: summed(doubled(doubled(np.tanh(x)))[:, 0]), A)
    agrees(lambda x, w: summed(mapped(np.tanh(x), w)[:, 0]), A, B[0])
    agrees(lambda x: summed(total(np.tanh(x))[:2]), A)
    captured = agrees(lambda x: summed(times(np.tanh(x), 2.0)[:, 0]), A)
    assert shapes(captured.latest, "backward").count(A.shape) == 1


@pytest.mark.parametrize("exact", [True, False])
def test_a_program_knows_the_shape_and_dtype_of_each_of_its_arrays(exact):
    def f(x, w, v):
        y = np.tanh(x)
        return summed(times(y, w)[:, 0], mapped(y, v)[:, 0], (y.astype(np.float32) * w)[:, 0], y * w, (y @ w)[:2])

    captured = capture(f, exact=exact)
    arrays = [A, B[0, 0], B[0]]
    for _ in range(2):
        captured(*[Tensor(x, requires_grad=True) for x in arrays])
    held = dict(zip(captured.latest.arguments, arrays, strict=True))

    def found(tree):
        if isinstance(tree, Value):
            return held.get(tree, tree.held)
        return type(tree)(map(found, tree)) if isinstance(tree, list | tuple) else tree

    for step in (row.step for row in captured.latest.rows):
        made = step.run(*found(step.args), **step.keywords)
        assert (np.shape(made), made.dtype) == (step.made.shape, step.made.dtype), step.name
        held[step.made] = made


def test_what_is_picked_twice_is_picked_once():
    def f(x):
        y = np.tanh(np.exp(x))
        return summed(y[:, 0], y[:, 0] * 2)

    def g(x, seed):
        z = np.exp(np.tanh(x))[:, 0]
        z.backward(seed[:, 0].detach())
        return z

    captured = agrees(f, A)
    assert A.shape not in shapes(captured.latest, "forward")
    captured = capture(g, exact=False)
    with no_refuge():
        for k in range(4):
            mine, theirs = Tensor(A + k, requires_grad=True), Tensor(A + k, requires_grad=True)
            assert same(captured(mine, B * k), g(theirs, Tensor(B * k)))
            assert same(mine.grad, theirs.grad)


def test_a_cotangent_that_has_come_back_is_an_array_like_any_other():
    """Its zeros are read, too, also where they made no difference when the function was recorded."""

    def back(x):
        (g,) = gradients(np.sum(np.sin(np.tanh(x)[:, 0])), [x])
        return g

    uses = [
        lambda g, m: g + 0.9 * m, lambda g, m: np.maximum(g, m), lambda g, m: np.sum(g * g), lambda g, m: np.exp(g),
        lambda g, m: functional.layer_norm(g, np.ones(3), m[0, 0]), lambda g, m: g @ np.ones((3, 2)),
        lambda g, m: np.swapaxes(g, 0, 1), lambda g, m: np.max(np.abs(g)),
    ]  # fmt: skip
    for use in uses:
        captured = capture(lambda x, m, use=use: use(back(x), m), exact=False)
        with no_refuge():
            for m in (0.0 * A, 0.0 * A, A, B):
                x = Tensor(B, requires_grad=True)
                assert same(captured(x, m), use(back(x), Tensor(m)))


def test_a_product_with_a_vector_has_rows_of_its_own():
    def f(x, w):
        y = np.tanh(x)
        return summed((y @ w)[0:1], y * y)

    for w in (0.0 * A[0, 0], A[0, 0]):
        captured = capture(f, exact=False)
        for shift in (0.0, 0.0, 0.3, 0.7):
            mine, theirs = ([Tensor(x, requires_grad=True) for x in (B, w + shift)] for _ in range(2))
            assert same(captured(*mine), f(*theirs))
            assert all(same(one.grad, other.grad) for one, other in zip(mine, theirs, strict=True))
    agrees(lambda x, w: summed((np.tanh(x) @ w)[::3]), A, B[0, 0])


def test_noise_around_a_gradient_that_is_zero_is_no_difference():
    agrees(lambda x, b: summed(functional.log_softmax(np.tanh(x) + b)[:, 0]), A, np.array(0.5))


def test_a_norm_whose_weights_differ_by_row_mixes_nothing_up():
    def f(x, w):
        return summed(layer_norm(np.tanh(x), w)[:, 0])

    captured = capture(f, exact=False)
    for w in (np.ones((3, 3)), np.ones((3, 3)), B[0]):
        mine, theirs = Tensor(A[:3], requires_grad=True), Tensor(A[:3], requires_grad=True)
        assert same(captured(mine, w), f(theirs, Tensor(w)))
        assert same(mine.grad, theirs.grad)


def test_an_error_of_the_pass_itself_costs_the_gain_and_nothing_else(monkeypatch):
    def broken(*_):
        raise KeyError("a bug")

    monkeypatch.setattr("tinygrad_edu.tape.program.without_unread_rows", broken)
    captured = capture(lambda x: np.tanh(x)[0], exact=False)
    for _ in range(3):
        assert same(captured(A), Tensor(np.tanh(A)[0]))
    assert A.shape in shapes(captured.latest, "forward")


def test_arrays_among_the_keywords_keep_all_rows():
    agrees(lambda x, y: summed(stretched(np.tanh(x), by=np.ones(x.shape))[:, 0], y), A, B)


def test_decisions_by_rows_that_nobody_reads_are_asked_again():
    def f(x):
        y = np.tanh(x)
        return y[:, 0] if y[:, 1].sum() > 0 else -y[:, 0]

    captured = capture(f, exact=False)
    for sign in (1, 1, -1, -1, 1, -1):
        assert same(captured(sign * np.abs(A)), f(Tensor(sign * np.abs(A))))
    assert len(captured.programs) == 2


def test_random_numbers_are_drawn_for_rows_that_nobody_reads_too():
    mine, theirs = np.random.default_rng(3), np.random.default_rng(3)

    def f(x, rng):
        y = functional.dropout(np.tanh(x), 0.5, rng)
        functional.dropout(x, 0.5, rng)
        return np.exp(y)[:, 0]

    captured = capture(lambda x: f(x, mine), exact=False)
    for _ in range(5):
        assert same(captured(A), f(Tensor(A), theirs))
    assert captured.latest.generators == [mine]
