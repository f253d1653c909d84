"""What a graph costs in memory: who asked for what is kept, how high the peak is, and that nothing piles up."""

import gc
import resource
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import Tensor, checkpoint, functional, memory_report, no_grad, optim, scope
from tinygrad_edu.errors import RuleError

KIB = 1 << 10
STATM = Path("/proc/self/statm")


def leaf(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


@pytest.fixture
def without_collector():
    """Only reference counting frees anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def peak_of(work):
    """Bytes that NumPy and Python held at most while `work` ran, above what they held before."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# Who asked


def entries(output):
    return {(kept.operation, kept.name): kept for kept in memory_report(output).kept}


def test_report_names_the_arguments_whose_rules_asked():
    """A product keeps each factor for the other one's gradient; a tanh its output for its own."""
    a, b = leaf(4, 3), leaf(4, 3)
    found = entries(np.tanh(a * b))
    assert found["multiply", "y"].asked_by == ("x",)
    assert found["multiply", "x"].asked_by == ("y",)
    assert found["tanh", "z"].asked_by == ("x",)


def test_a_report_of_what_is_no_tensor_says_what_to_pass():
    with pytest.raises(TypeError, match="a ndarray has no graph; pass the loss"):
        memory_report(np.ones(3))


def test_report_leaves_out_what_only_an_unwanted_gradient_would_need():
    """x is kept for y's gradient; a constant y wants none."""
    found = entries(leaf(5) * np.ones(5))
    assert [(kept.name, kept.asked_by) for kept in found.values()] == [("y", ("x",))]


def test_one_entry_answers_to_every_rule_that_named_it():
    """z = x / y: both gradients need y, one needs z as well."""
    found = entries(leaf(5) / (leaf(5) * leaf(5)))
    assert found["divide", "y"].asked_by == ("x", "y")
    assert found["divide", "z"].asked_by == ("y",)


def test_report_counts_bytes_by_operation_and_scope_and_shared_memory_once():
    x = leaf(100)
    with scope("square"):
        y = x * x
    with scope("exponential"):
        loss = np.sum(np.exp(y))
    report = memory_report(loss)
    assert report.by_operation() == {"multiply": 800, "exp": 800}
    assert report.by_scope() == {"square": 800, "exponential": 800}
    assert report.total == 1600
    assert sorted(kept.bytes for kept in report.kept) == [0, 800, 800]  # x as the left factor and as the right


def test_report_says_in_words_who_asked_and_on_which_line():
    text = str(memory_report(np.sum(np.tanh(leaf(8)))))
    assert "tanh: z [8], asked by the rule for x, at test_memory.py:" in text
    assert "64 bytes kept for backward" in text


def test_sums_and_additions_keep_no_array():
    x = leaf(50)
    assert memory_report(np.sum(x + x)).total == 0


# The peak


def test_reported_peak_covers_what_is_kept():
    report = memory_report(np.sum(np.exp(np.tanh(leaf(1000)))))
    assert report.peak >= report.total == 16000


def test_checkpoint_lowers_the_traced_peak():
    """Eight blocks keep ten arrays each: with checkpoints, one block's worth and what enters each block."""
    x = leaf(64 * KIB // 8)  # one array is 64 KiB

    def block(y):
        for _ in range(10):
            y = np.tanh(y)
        return y

    def run(wrap):
        y = x
        for _ in range(8):
            y = wrap(block)(y)
        np.sum(y).backward()
        x.zero_grad()

    run(checkpoint)
    stored, recomputed = peak_of(lambda: run(lambda f: f)), peak_of(lambda: run(checkpoint))
    assert stored > 80 * 64 * KIB
    assert recomputed < (8 + 10 + 8) * 64 * KIB


def test_checkpoint_keeps_the_gradient():
    x = leaf(40)
    np.sum(np.tanh(np.exp(x))).backward()
    plain = x.grad.numpy()
    x.zero_grad()
    np.sum(checkpoint(lambda y: np.tanh(np.exp(y)))(x)).backward()
    assert np.array_equal(x.grad.numpy(), plain)


def test_backward_lets_saved_arrays_go_although_the_output_lives():
    """A chain of n tanh keeps n arrays; after the pass its output and the leaf's gradient are left."""
    x, n, size = leaf(64 * KIB // 8), 20, 64 * KIB
    held = []

    def run():
        y = x
        for _ in range(n):
            y = np.tanh(y)
        y.backward(np.ones(y.shape))
        held.append(tracemalloc.get_traced_memory()[0])

    assert n * size < peak_of(run) < (n + 8) * size
    assert held[0] < 3 * size


def test_nothing_is_kept_without_a_gradient():
    x = leaf(64 * KIB // 8)

    def run():
        with no_grad():
            y = x
            for _ in range(20):
                y = np.tanh(y)

    run()
    assert peak_of(run) < 4 * 64 * KIB


# Letting go


def test_a_graph_goes_by_reference_counting(without_collector):
    x, w = leaf(32, 3), leaf(3, 4)
    hidden = functional.layer_norm(np.tanh(x @ w))
    loss = functional.cross_entropy(hidden, np.zeros(32, int))
    graph, value = weakref.ref(hidden._node), weakref.ref(hidden._value)
    loss.backward()
    del hidden, loss
    assert graph() is None
    assert value() is None
    assert gc.collect() == 0


def test_a_graph_that_was_never_walked_goes_too(without_collector):
    x = leaf(64)
    loss = np.sum(checkpoint(np.tanh)(np.concatenate([x[:32], x[::2]])) ** 2)
    graph = weakref.ref(loss._node)
    del loss
    assert graph() is None


def test_a_deep_graph_goes_without_recursion(without_collector):
    y = x = leaf()
    for _ in range(50_000):
        y = y * 0.999
    graph = weakref.ref(y._node)
    y.backward()
    del y
    assert graph() is None
    assert x.grad.item() > 0


def resident():
    """Bytes of this process that lie in memory now."""
    if not STATM.exists():
        pytest.skip("this system does not say how much memory a process holds")
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


def test_ten_thousand_training_steps_stay_flat(without_collector):
    """To 2 MB, which is 200 bytes a step: less than one node that stayed behind."""
    draw = np.random.default_rng(0)
    x, y = draw.standard_normal((8, 2)), draw.standard_normal((8, 1))
    first, second = leaf(2, 4), leaf(4, 1)
    optimizer = optim.Adam([first, second], lr=0.001)

    def steps(count):
        for _ in range(count):
            error = np.tanh(x @ first) @ second - y
            loss = np.mean(error * error)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    start = steps(500)
    before = resident()
    end = steps(9_500)
    assert resident() - before < 2_000_000
    assert end < start


def test_a_checkpoint_that_gives_another_result_the_second_time_is_an_error():
    """Dropout drawn inside would give the gradient of another function."""
    rng = np.random.default_rng(0)
    x = Tensor(np.ones(8), requires_grad=True)
    loss = np.sum(checkpoint(lambda y: functional.dropout(y, 0.5, rng))(x))
    with pytest.raises(RuleError, match="gave another result when it was run again"):
        loss.backward()
    assert x.grad is None
