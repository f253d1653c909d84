"""What a graph keeps and when it goes; what is not recorded at all; what a copy takes along."""

import contextvars
import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

from tinygrad_edu import Tensor, checkpoint, explain, gradients, is_recording, no_grad, scope, stop_gradient
from tinygrad_edu.errors import FreedGraphError
from tinygrad_edu.state import SCOPES, STATE


def leaf(values, **keywords):
    return Tensor(values, requires_grad=True, **keywords)


def nodes_of(tensor):
    """Every node a tensor depends on."""
    found, stack = {}, [tensor._node]
    while stack:
        node = stack.pop()
        if node.number not in found:
            found[node.number] = node
            stack += [source for source in node.inputs if hasattr(source, "number")]
    return list(found.values())


# Letting go


def test_nothing_of_a_graph_is_left_after_its_loss_goes():
    x = leaf(np.ones((2, 3)))
    gc.collect()
    gc.disable()
    try:
        loss = np.sum(np.max(np.tanh(x @ np.ones((3, 4))) ** 2, axis=1) + np.stack([x[0, 0], x[1, 1]]))
        loss = loss + np.sum(np.linalg.svd(x, full_matrices=False)[1]) + np.einsum("ab,ab->", x, x)
        watched = [weakref.ref(node) for node in nodes_of(loss) if node.operation is not None]
        assert len(watched) > 10
        loss.backward(retain_graph=True)
        gradients(loss, x, create_graph=True)
        del loss
        assert [ref() for ref in watched if ref() is not None] == []
    finally:
        gc.enable()


def test_nothing_of_a_checkpoint_waits_for_the_garbage_collector():
    x, f = leaf(np.ones(3)), checkpoint(lambda t: np.tanh(t) * t)
    gc.collect()
    gc.disable()
    try:
        for walk in (False, True):
            loss = np.sum(f(x))
            node = weakref.ref(loss._node.sources[0].sources[0])
            assert node().label.startswith("checkpoint")
            if walk:
                loss.backward()
            del loss
            assert node() is None
    finally:
        gc.enable()


def test_an_error_in_a_backward_pass_leaves_no_cycle():
    x = leaf(2.0)
    gc.collect()
    gc.disable()
    try:
        y = np.exp(x)
        ref = weakref.ref(y._node)
        y.backward()
        try:
            y.backward()
        except FreedGraphError:
            pass
        del y
        assert ref() is None
    finally:
        gc.enable()


def test_a_node_keeps_only_what_its_rules_name():
    """A sum needs shapes, an exponential its output, a product with a constant that constant."""
    x, big = leaf(np.ones(4)), np.ones(4)
    assert not any(isinstance(kept, np.ndarray) for kept in np.sum(x)._node.saved)
    y = np.exp(x)
    assert [kept is y._value for kept in y._node.saved] == [True]
    assert [kept is big for kept in (x * big)._node.saved] == [True]
    assert (x + big)._node.saved == ()


def test_saved_arrays_go_with_the_backward_pass():
    x = leaf(np.ones(1000))
    y = np.exp(x)
    loss = np.sum(y)
    array = weakref.ref(y._value)
    del y
    assert array() is not None
    loss.backward()
    assert array() is None


# Not recording


def test_nothing_is_recorded_under_no_grad():
    x = leaf(1.0)
    with no_grad():
        y = x * 2.0
        assert not is_recording()
        assert not y.requires_grad
    assert is_recording()
    assert (x * 2.0).requires_grad


def test_no_grad_ends_with_an_error_and_decorates_functions():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), no_grad():
        1 / 0  # noqa: B018
    assert is_recording()

    @no_grad()
    def evaluate():
        return x * 2.0

    assert not evaluate().requires_grad
    assert not evaluate().requires_grad
    assert is_recording()


def test_no_grad_holds_for_its_own_thread_alone():
    x, seen = leaf(1.0), []
    inside, leave = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            leave.wait(10)
            seen.append((x * 2.0).requires_grad)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(10)
    assert (x * 2.0).requires_grad
    leave.set()
    thread.join()
    assert seen == [False]
    assert contextvars.copy_context().run(is_recording)


def test_threads_add_their_gradients_to_one_leaf_without_losing_any():
    x = leaf(np.ones(3))

    def work():
        for _ in range(50):
            np.sum(x * 2.0).backward()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert x.grad.tolist() == [400.0] * 3


def test_what_is_detached_passes_no_gradient():
    x = leaf(3.0)
    (x.detach() * x).backward()
    assert x.grad.item() == 3.0
    assert not x.detach().requires_grad
    x.zero_grad()
    (stop_gradient(x * x) * x).backward()
    assert x.grad.item() == 9.0


def test_scopes_nest_to_a_path():
    x = leaf(1.0)
    with scope("blocks.0"), scope("attention"):
        y = x * 2.0
    assert y._node.scope == "blocks.0.attention"
    assert (x * 2.0)._node.scope == ""


def test_scopes_of_ever_new_names_do_not_pile_up():
    outer = STATE.get()
    for k in range(3 * SCOPES):
        with scope(f"step {k}"), no_grad(), scope("inner"):
            assert (STATE.get().scope, is_recording()) == (f"step {k}.inner", False)
    assert STATE.get() is outer
    assert len(outer.inner) <= SCOPES


# Copies


def test_copies_and_pickles_keep_data_and_name_and_drop_the_graph():
    x = leaf([1.0, 2.0], name="w")
    for again in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert again.tolist() == [1.0, 2.0]
        assert (again.name, again.requires_grad, again.is_leaf) == ("w", True, True)
        assert not np.shares_memory(again.data, x.data)
        assert again.grad is None
    for drop in (copy.copy, copy.deepcopy, lambda t: pickle.loads(pickle.dumps(t))):
        assert "cut by copy or pickle" in explain(np.sum(drop(x * 2.0)))
    y = pickle.loads(pickle.dumps(x * 2.0))
    assert (y.tolist(), y.requires_grad) == ([2.0, 4.0], False)
