"""A saved array that changes between forward and backward raises: no gradient is computed from it, none is touched."""

import numpy as np
import pytest

from tinygrad_edu import Tensor, optim
from tinygrad_edu.errors import MutationError


def leaf(values):
    return Tensor(values, requires_grad=True)


def refuses_after(change, x, loss):
    """backward() raises MutationError after the change, says where it was recorded, and touches no gradient."""
    x.grad = np.full(x.shape, 7.0)
    change()
    message = r"recorded at test_engine_mutation\.py:\d+, needs '\w+' .*was changed since"
    with pytest.raises(MutationError, match=message):
        loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 7.0)


def test_a_leaf_changed_through_data_is_refused():
    x = leaf([1.0, 2.0])
    array = x.data
    loss = np.sum(x * x)
    refuses_after(lambda: array.__setitem__(0, 5.0), x, loss)


def test_a_leaf_whose_data_is_fetched_after_recording_is_refused_when_changed():
    x = leaf([1.0, 2.0])
    loss = np.sum(x * x)
    refuses_after(lambda: x.data.__setitem__(0, 5.0), x, loss)


def test_a_leaf_changed_through_a_numpy_view_is_refused():
    x = leaf(np.ones((2, 3)))
    loss = np.sum(x * x)
    refuses_after(lambda: x.data[1].T[::2].fill(3.0), x, loss)


def test_a_leaf_written_to_by_out_is_refused():
    x = leaf([1.0, 2.0])
    loss = np.sum(np.sin(x))
    refuses_after(lambda: np.add(x.data, 1.0, out=x.data), x, loss)


def test_new_data_for_a_leaf_is_refused_by_graphs_from_before():
    x = leaf([1.0, 2.0])
    loss = np.sum(x * x)
    refuses_after(lambda: setattr(x, "data", np.array([3.0, 4.0])), x, loss)


def test_an_optimiser_step_is_refused_by_graphs_from_before():
    x = leaf([1.0, 2.0])
    loss = np.sum(x * x)
    step = optim.SGD([x], lr=0.1)
    refuses_after(step.step, x, loss)


def test_a_result_changed_after_it_was_saved_is_refused():
    x = leaf([1.0, 2.0])
    y = np.exp(x)
    loss = np.sum(y)
    refuses_after(lambda: y.data.__setitem__(0, 5.0), x, loss)


def test_the_callers_own_array_changed_after_it_was_an_operand_is_refused():
    x, mine = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    loss = np.sum(x * mine)
    refuses_after(lambda: mine.__setitem__(1, 0.0), x, loss)


def test_a_large_array_with_two_elements_swapped_is_refused():
    x, mine = leaf(np.ones((300, 300))), np.arange(90000.0).reshape(300, 300)
    loss = np.sum(x * mine)
    refuses_after(lambda: mine.__setitem__([0, 299], mine[[299, 0]]), x, loss)


def test_an_index_changed_after_it_was_used_is_refused():
    x, ids = leaf([1.0, 2.0, 3.0]), np.array([0, 2])
    loss = np.sum(x[ids] * 2.0)
    refuses_after(lambda: ids.__setitem__(0, 1), x, loss)


def test_a_mask_changed_after_it_was_used_is_refused():
    x, mask = leaf([1.0, 2.0, 3.0]), np.array([True, False, True])
    loss = np.sum(np.where(mask, x, 0.0))
    refuses_after(lambda: mask.__setitem__(0, False), x, loss)


def test_a_leaf_changed_behind_a_view_of_it_is_refused():
    x = leaf(np.ones((2, 3)))
    view = x[0].reshape(3, 1)
    loss = np.sum(view * view)
    refuses_after(lambda: x.data.__setitem__((0, 1), 5.0), x, loss)


def test_a_leaf_changed_behind_its_detached_view_is_refused():
    x, w = leaf(np.ones(3)), leaf(np.ones(3))
    loss = np.sum(w * x.detach()[:])
    w.grad = np.full(3, 7.0)
    x.data[0] = 5.0
    with pytest.raises(MutationError):
        loss.backward()
    assert w.grad.tolist() == [7.0] * 3


def test_an_operand_that_shares_memory_with_what_changed_is_refused():
    base = np.ones(6)
    x = leaf(np.ones(3))
    loss = np.sum(x * base[::2])
    refuses_after(lambda: base.__setitem__(2, 9.0), x, loss)


def test_a_sequence_operand_that_changed_is_refused():
    x, other = leaf(np.ones((2, 2))), np.ones((2, 2))
    loss = np.sum(np.einsum("ab,bc->ac", x, other))
    refuses_after(lambda: other.fill(2.0), x, loss)


def test_changes_that_no_rule_needs_are_harmless():
    x, mine = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    loss = np.sum(x + mine) + np.sum(x - x)
    mine[:] = 0.0
    x.data[:] = 5.0
    loss.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_change_that_was_undone_is_none():
    x = leaf([1.0, 2.0])
    loss = np.sum(x * x)
    x.data[0] = 5.0
    x.data[0] = 1.0
    loss.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_reading_data_changes_nothing():
    x = leaf([1.0, 2.0])
    loss = np.sum(np.exp(x) * x)
    assert x.data.sum() == 3.0
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_a_new_forward_pass_after_a_change_is_welcome():
    x = leaf([1.0, 2.0])
    np.sum(x * x).backward()
    x.zero_grad()
    x.data[0] = 5.0
    np.sum(x * x).backward()
    assert x.grad.tolist() == [10.0, 4.0]


def test_a_constant_tensor_changed_after_it_was_an_operand_is_refused():
    x, c = leaf([1.0, 2.0]), Tensor([3.0, 4.0])
    loss = np.sum(x * c)
    refuses_after(lambda: c.data.__setitem__(0, 9.0), x, loss)


def test_data_given_to_a_tensor_is_copied():
    mine = np.array([1.0, 2.0])
    x = leaf(mine)
    mine[0] = 9.0
    assert x.tolist() == [1.0, 2.0]
    x.data = mine
    mine[1] = 9.0
    assert x.tolist() == [9.0, 2.0]
    x.numpy()[0] = 0.0
    assert x.tolist() == [9.0, 2.0]


class Subclass(np.ndarray):
    """An ndarray of somebody's own."""


def test_a_changed_operand_of_an_ndarray_subclass_is_refused():
    x, mine = leaf([1.0, 2.0]), np.array([3.0, 4.0]).view(Subclass)
    for loss in (np.sum(x * mine), np.sum(mine * x), np.einsum("i,i->", x, mine), np.sum(x / mine)):
        mine[1] -= 1.0
        with pytest.raises(MutationError):
            loss.backward()
    assert x.grad is None


def test_a_leaf_that_stops_wanting_a_gradient_is_still_watched():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    loss = np.sum(x * w)
    x.requires_grad = False
    refuses_after(lambda: x.data.__setitem__(0, 9.0), w, loss)


def test_new_data_for_a_detached_tensor_is_its_own():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    twin = x.detach()
    loss, again = np.sum(x * w), np.sum(x * w)
    twin.data = np.zeros(2)
    twin.data[0] = 5.0
    loss.backward()
    assert w.grad.tolist() == [1.0, 2.0]
    refuses_after(lambda: x.data.__setitem__(0, 9.0), w, again)


def test_a_leaf_changed_behind_one_of_several_views_of_it_is_refused():
    x = leaf(np.ones((3, 2)))
    first, _, last = np.unstack(x)
    loss = np.sum(first * last)
    refuses_after(lambda: x.data.__setitem__((2, 1), 5.0), x, loss)
