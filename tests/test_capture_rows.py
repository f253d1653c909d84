"""capture(exact=False): rows that nobody reads are left out, and nothing else is another than before."""

import contextlib
import copy
import math
import pickle
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, capture, definitions, functional, primitive
from tinygrad_edu.rules.fused_rows import softmax
from tinygrad_edu.tape import trust
from tinygrad_edu.tape.program import Program
from tinygrad_edu.tape.steps import values_in
from transformer import Transformer, TransformerConfig

T, D = 4, 3
INDICES = [np.s_[:, 0], np.s_[:, -1], np.s_[:, 1:3], np.s_[0], np.s_[:, ::2], np.s_[0, 1:2], np.s_[1:2], np.s_[2, :, :]]
WEIGHTS = {
    "square": (D, D),
    "row": (D,),
    "grid": (T, D),
    "number": (),
    "wide": (D, 3 * D),
    "column": (T, 1),
    "stack": (3, D, D),
}

# What a layer does to x (B, T, D), with weights w and what there was before.
LAYERS = {
    "linear": lambda x, w, old: functional.linear(x, w["square"], w["row"]),
    "matmul": lambda x, w, old: x @ w["square"],
    "batched": lambda x, w, old: x @ w["stack"],
    "narrow": lambda x, w, old: (x @ w["row"])[..., None] + x,
    "layer norm": lambda x, w, old: functional.layer_norm(x, w["row"], w["row"]),
    "rms norm": lambda x, w, old: functional.rms_norm(x, w["row"]),
    "softmax": lambda x, w, old: functional.softmax(x),
    "masked": lambda x, w, old: softmax(x, np.arange(T)[:, None] != np.arange(D)),
    "log softmax": lambda x, w, old: functional.log_softmax(x),
    "logsumexp": lambda x, w, old: x - functional.logsumexp(x, axis=-1, keepdims=True),
    "gelu": lambda x, w, old: functional.gelu(x),
    "relu": lambda x, w, old: functional.relu(x),
    "tanh": lambda x, w, old: np.tanh(x),
    "scaled": lambda x, w, old: w["row"] * x + w["number"],
    "residual": lambda x, w, old: x + old,
    "gate": lambda x, w, old: x * functional.sigmoid(old),
    "positions": lambda x, w, old: x + w["grid"],
    "by position": lambda x, w, old: x * w["column"],
    "where": lambda x, w, old: np.where(old > 0, x, 0.5 * x),
    "larger": lambda x, w, old: np.maximum(x, old),
    "mean over positions": lambda x, w, old: x + x.mean(axis=1, keepdims=True),
    "mean of a row": lambda x, w, old: x - x.mean(axis=-1, keepdims=True),
    "attention": lambda x, w, old: functional.self_attention(x @ w["wide"], 1)[0],
    "other way round": lambda x, w, old: np.swapaxes(np.swapaxes(x, 1, 2), 1, 2),
    "second read": lambda x, w, old: x + 0.1 * old[:, :1],
}


def made(names, index, seed, head):
    """A function of x and its weights: layers, an index, a head; and drawn arrays for it."""
    rng = np.random.default_rng(seed)
    arrays = {name: rng.standard_normal(shape) for name, shape in WEIGHTS.items()}
    x = rng.standard_normal((3, T, D))
    drawn = rng.standard_normal(np.empty((3, T, D))[index].shape)

    def f(x, w):
        old = x * 1.5
        for name in names:
            x, old = LAYERS[name](x, w, old), x
        out = x[index]
        if head == "both ends":
            out = out + 0.3 * old[index]
        if head == "all of it":
            return out, x
        loss = np.sum((np.tanh(out @ w["square"]) if head == "more" else out * w["number"]) * drawn)
        loss.backward()
        return loss, out

    return f, x, arrays


def run(f, x, arrays, tracked):
    x = Tensor(x, requires_grad=tracked)
    weights = {name: Tensor(array, requires_grad=True) for name, array in arrays.items()}
    return f(x, weights), [each.grad for each in (x, *weights.values())]


def same(one, other):
    one, other = (None if each is None else each.numpy() for each in (one, other))
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and np.allclose(
        one, other, rtol=1e-11, atol=1e-11 * np.max(np.abs(one), initial=1e-3)
    )


@contextlib.contextmanager
def no_refuge():
    """A program without the rows, if it were wrong, would be hidden: the one with all rows would run in its place."""

    def surely(program, tape, tensors, found):
        trusted = trust.sparing(program, tape, tensors, found)
        assert trusted.source == Program(tape, every_row=False).source
        return trusted

    with mock.patch("tinygrad_edu.tape.captured.sparing", surely):
        yield


@given(
    names=st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=7), index=st.sampled_from(INDICES),
    seed=st.integers(0, 999), head=st.sampled_from(["none", "more", "both ends", "all of it"]), tracked=st.booleans(),
)  # fmt: skip
def test_results_and_gradients_are_those_of_the_function(names, index, seed, head, tracked):
    f, x, arrays = made(names, index, seed, head)
    captured = capture(f, exact=False)
    with no_refuge():
        for shift in (0.0, 0.1, 0.2, 0.3):
            expected, theirs = run(f, x + shift, arrays, tracked)
            found, mine = run(captured, x + shift, arrays, tracked)
            assert all(map(same, expected, found))
            assert all(map(same, theirs, mine))
    assert len(captured.programs) == 1


@pytest.mark.parametrize("name", LAYERS)
def test_each_layer_twice_before_each_index(name):
    for index in INDICES:
        f, x, arrays = made([name, name], index, 0, "none")
        captured = capture(f, exact=False)
        with no_refuge():
            for _ in range(3):
                found, mine = run(captured, x, arrays, True)
        expected, theirs = run(f, x, arrays, True)
        assert all(map(same, [*expected, *theirs], [*found, *mine]))


def shapes(program, phase):
    return [value.shape for row in program.rows if row.step.phase == phase for value in values_in(row.step.made)]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize(
    "name",
    [
        "linear",
        "matmul",
        "layer norm",
        "rms norm",
        "softmax",
        "log softmax",
        "gelu",
        "scaled",
        "residual",
        "where",
        "larger",
    ],
)
def test_no_step_makes_a_row_that_is_not_read(name, index):
    f, x, arrays = made([name, name], index, 0, "none")
    captured, exact = capture(f, exact=False), capture(f)
    for each in (captured, exact):
        for _ in range(2):
            run(each, x, arrays, True)
    full, half = (sum(map(math.prod, shapes(each.latest, "forward"))) for each in (exact, captured))
    assert x.shape in shapes(exact.latest, "forward")
    assert x.shape in shapes(exact.latest, "backward")
    assert x.shape not in shapes(captured.latest, "forward")
    assert shapes(captured.latest, "backward").count(x.shape) == 1  # its gradient
    assert half < full


@pytest.mark.parametrize("defined", [False, True])
def test_an_encoder_works_out_one_position_behind_its_last_attention(defined):
    config = TransformerConfig(vocab_size=9, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=16, max_seq_len=6)
    model = Transformer(config)
    rng = np.random.default_rng(0)
    tokens, targets = rng.integers(0, 9, (3, 6)), rng.integers(0, 9, 3)

    def step(tokens, targets):
        loss = functional.cross_entropy(model(tokens), targets)
        loss.backward()
        return loss

    captured = capture(step, exact=False)
    for _ in range(4):
        model.zero_grad()
        if defined:
            with definitions():
                loss = captured(tokens, targets)
        else:
            loss = captured(tokens, targets)
    found = [parameter.grad.numpy() for parameter in model.parameters()]
    model.zero_grad()
    expected = step(tokens, targets)
    assert np.isclose(loss.item(), expected.item(), rtol=1e-5)
    for g, parameter in zip(found, model.parameters(), strict=True):
        np.testing.assert_allclose(g, parameter.grad.numpy(), rtol=1e-4, atol=1e-6)
    made = [value.shape for row in captured.latest.rows for value in values_in(row.step.made)]
    if not defined:  # the feed-forward layer of the block before the last, and of the last
        assert made.count((3, 6, 16)) == made.count((3, 16)) == 4


def test_bits_are_kept_unless_one_asks():
    f, x, arrays = made(["linear", "gelu", "linear", "layer norm"], np.s_[:, 0], 0, "more")
    captured = capture(f)
    for _ in range(3):
        expected, theirs = run(f, x, arrays, True)
        found, mine = run(captured, x, arrays, True)
    assert [each.numpy().tobytes() for each in (*found, *mine[:2])] == [
        each.numpy().tobytes() for each in (*expected, *theirs[:2])
    ]
    assert captured.exact
    assert x.shape in shapes(captured.latest, "forward")


def test_the_decorator_takes_the_switch_and_copies_keep_it():
    @capture(exact=False)
    def f(x):
        return np.tanh(x)[0]

    for _ in range(3):
        np.testing.assert_array_equal(f(np.ones((4, 3))).numpy(), np.tanh(np.ones(3)))
    assert not f.exact
    assert not copy.copy(f).exact
    assert not pickle.loads(pickle.dumps(capture(np.tanh, exact=False))).exact


@primitive(lambda g: g - g.mean(axis=0), rows={})  # it does mix rows
def liar(x):
    return x - x.mean(axis=0)


def test_a_fact_that_is_wrong_costs_the_gain_and_no_digit():
    captured = capture(lambda x: liar(x)[:1], exact=False)
    for k in range(4):
        x = np.arange(12.0).reshape(4, 3) ** 2 + k
        np.testing.assert_allclose(captured(x).numpy(), (x - x.mean(axis=0))[:1])


def test_a_nan_in_a_row_that_nobody_reads_is_kept_out_of_gradients_or_nothing_is_left_out():
    w = Tensor(np.ones((3, 3)), requires_grad=True)

    def f(x):
        loss = np.sum(np.tanh(x @ w)[0:1])
        loss.backward()
        return loss

    x = np.ones((4, 3))
    x[2] = np.nan
    for first in (x, np.ones((4, 3))):
        captured = capture(f, exact=False)
        for _ in range(2):
            captured(first)
        w.zero_grad()
        captured(x)
        assert np.isnan(w.grad.numpy()).all() == np.isnan(first).any()
