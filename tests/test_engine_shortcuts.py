"""The short ways through the gate: they give what the long way gives, bit for bit, and keep and guard the same."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, gradients, no_grad
from tinygrad_edu.errors import MutationError
from tinygrad_edu.operation import Composite, Primitive
from tinygrad_edu.operators import GETITEM
from tinygrad_edu.primitive import registry
from tinygrad_edu.quiet import quiet
from tinygrad_edu.record import apply, unary
from tinygrad_edu.rules import fused_rows

SINGLE = {
    kernel.name: kernel
    for kernel in (each.kernel if isinstance(each, Composite) else each for each in registry().values())
    if isinstance(kernel, Primitive) and kernel.single
}
WITH_OPTIONS = {"astype", "reshape", "expand_dims", "broadcast_to"}  # not without an option


def argument(name):
    a = np.random.default_rng(0).uniform(0.2, 0.9, (3, 3))
    a = a @ a.T + 3 * np.eye(3) if name.startswith("linalg.") else a
    return a + 1.5 if name == "arccosh" else a


def both_ways(operation, data):
    for run in (unary, lambda kind, operation, x: apply(kind, operation, (x,), {})):
        x = Tensor(data, requires_grad=True)
        out = run(Tensor, operation, x)
        first = out[0] if isinstance(out, tuple) else out
        yield x, out, first


@pytest.mark.parametrize("name", sorted(SINGLE.keys() - WITH_OPTIONS))
def test_one_array_takes_the_short_way_to_the_same_value_gradient_and_record(name):
    results = []
    for x, out, first in both_ways(SINGLE[name], argument(name)):
        node = first._node.sources[0] if isinstance(out, tuple) else first._node
        seen = node.label, node.plan.names, node.shape, node.dtype, node.extras.owner is x._node, node.marks is None
        kept = [np.asarray(value).tobytes() for value in node.saved if isinstance(value, np.ndarray)]
        g = np.random.default_rng(1).standard_normal(first.shape)[()]
        first.backward(g)
        results.append((seen, kept, first.numpy().tobytes(), x.grad.numpy().tobytes()))
    assert results[0] == results[1]


INDICES = st.sampled_from([
    1, -1, slice(1, None), (0, 2), (slice(None), 1), None, Ellipsis, (None, 2), [0, 2], ([0, 0], [1, 1]), True,
    np.array([0, 2, 2]), (np.array([1, 1]), np.array([0, 2])), (np.array([0, 2]), slice(None, None, -1)),
    np.array([True, False, True]), (np.array([True, False, True]), 1), (Ellipsis, np.array([[0], [2]])),
])  # fmt: skip


@given(INDICES)
def test_an_index_takes_the_short_way_to_the_same_value_gradient_and_record(index):
    results = []
    for run in (lambda x: x[index], lambda x: apply(Tensor, GETITEM, (x, index), {})):
        x = Tensor(argument("a"), requires_grad=True)
        out = run(x)
        seen = out._node.plan.names, out._node.saved[0], out._node.shape, out._node.extras.owner is x._node
        marks = [mark[2] for mark in out._node.marks or ()]
        out.backward(np.random.default_rng(1).standard_normal(out.shape)[()])
        results.append((seen, marks, out.numpy().tobytes(), x.grad.numpy().tobytes()))
    assert results[0] == results[1]


def test_an_index_array_that_changes_before_the_backward_pass_is_noticed_on_the_short_way():
    x, rows, columns = Tensor(argument("a"), requires_grad=True), np.array([0, 2]), np.array([1, 1])
    out = x[rows, columns].sum()
    columns[0] = 0
    with pytest.raises(MutationError, match="getitem, recorded at test_engine_shortcuts.py"):
        out.backward()


# What a kernel finds on the way and its slope needs


@given(st.integers(1, 5), st.integers(2, 6), st.sampled_from([0.0, 0.1]), st.sampled_from([np.float32, np.float64]))
def test_the_shares_kept_from_the_forward_pass_give_the_gradient_that_the_scores_alone_give(N, V, smoothing, dtype):
    draw = np.random.default_rng(N * V)
    scores, targets = Tensor(draw.normal(0, 3, (N, V)).astype(dtype), requires_grad=True), draw.integers(0, V, N)
    loss = functional.cross_entropy(scores, targets, label_smoothing=smoothing)
    assert {"aside", "scores"} <= set(loss._node.plan.names)
    (kept,) = gradients(loss, [scores])
    again = fused_rows.cross_entropy_scores(dtype(1), scores.numpy(), targets, smoothing)
    assert kept.numpy().tobytes() == again.tobytes()


@given(st.sampled_from([(1, 1), (3, 7), (2, 5, 64), (70, 40, 64)]), st.booleans(), st.sampled_from(["f2", "f4", "f8"]))
def test_what_a_norm_keeps_of_its_rows_gives_the_gradients_that_the_input_alone_gives(shape, centre, dtype):
    draw = np.random.default_rng(len(shape))
    x, weight, g = (draw.normal(0, 3, size).astype(dtype) for size in (shape, shape[-1:], shape))
    leaves = [Tensor(each, requires_grad=True) for each in (x, weight)]
    y = (functional.layer_norm if centre else functional.rms_norm)(*leaves, eps=0.1)
    assert "aside" in y._node.plan.names
    found = gradients(y, leaves, g)
    again = fused_rows.norm_slope(g, x, weight, 0.1, centre), fused_rows.norm_weight(g, x, 0.1, centre)
    for kept, alone in zip(found, again, strict=True):
        assert kept.numpy().tobytes() == alone.tobytes()


def test_the_shares_outlast_a_second_backward_pass():
    scores = Tensor(argument("a"), requires_grad=True)
    loss = functional.cross_entropy(scores, [0, 1, 1])
    loss.backward(retain_graph=True)
    first = scores.grad.numpy().copy()
    loss.backward()
    assert np.array_equal(scores.grad.numpy(), 2 * first)


def test_large_scores_and_calls_without_a_record_keep_no_shares():
    scores = Tensor(np.random.default_rng(0).normal(size=(600, 64)), requires_grad=True)
    assert functional.cross_entropy(scores, np.zeros(600, int))._node.saved[0] is None  # "aside"
    with no_grad():
        assert functional.cross_entropy(scores, np.zeros(600, int))._node is None


# Silence


def test_quiet_says_nothing_of_floating_point_errors_within_and_everything_after():
    zero = np.zeros(1)
    with quiet():
        assert np.isnan(zero / zero)
    with pytest.raises(RuntimeWarning):
        zero / zero
    with np.errstate(all="raise"):
        with quiet():
            assert np.isinf(1 / zero)
        with pytest.raises(FloatingPointError):
            1 / zero


def test_quiet_ends_with_an_exception_and_holds_for_its_own_thread_alone():
    heard = []

    def divide():
        with np.errstate(all="raise"):
            try:
                np.ones(1) / np.zeros(1)
            except FloatingPointError as error:
                heard.append(error)

    with pytest.raises(KeyError), quiet():
        thread = threading.Thread(target=divide)
        thread.start()
        thread.join()
        raise KeyError
    assert heard
    with pytest.raises(RuntimeWarning):
        np.ones(1) / np.zeros(1)
