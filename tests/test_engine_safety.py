"""Bad input never returns a wrong number: it raises, says what and where, and leaves every gradient as it was."""

import re
import sys

import numpy as np
import pytest

from tinygrad_edu import Tensor, errors, gradients, no_grad, primitive, scope
from tinygrad_edu.errors import (
    DtypeError,
    FreedGraphError,
    ItemAssignmentError,
    LostGradientError,
    NotTrackedError,
    RuleError,
    ShapeError,
    UnsupportedError,
)


def leaf(values, **keywords):
    return Tensor(values, requires_grad=True, **keywords)


def here(pattern):
    """A message that names a line of this file."""
    return re.compile(pattern + r".*at test_engine_safety\.py:\d+", re.S)


# What has no gradient


@pytest.mark.parametrize("data", [1, [1, 2], [True], np.ones(2, np.int32)])
def test_integers_cannot_want_gradients(data):
    with pytest.raises(DtypeError, match=here(r"cannot want a gradient.*write 2\.0 instead of 2")):
        Tensor(data, requires_grad=True)


@pytest.mark.parametrize("data", [1j, "text", [object()], None, np.array(["a"])])
def test_what_is_no_real_number_is_refused(data):
    with pytest.raises(DtypeError):
        Tensor(data)
    with pytest.raises((DtypeError, TypeError)):
        leaf([1.0, 2.0]) * data


def test_a_masked_array_would_lose_its_mask():
    with pytest.raises(DtypeError, match="mask"):
        leaf([1.0, 2.0]) * np.ma.masked_array([1.0, 2.0], [True, False])


def test_a_loss_that_depends_on_nothing_is_refused():
    x = leaf([1.0, 2.0])
    with pytest.raises(NotTrackedError, match=here(r"backward\(\) on a tensor that depends on nothing")):
        Tensor(1.0).backward()
    with no_grad():
        y = np.sum(x)
    with pytest.raises(NotTrackedError):
        y.backward()
    with pytest.raises(NotTrackedError, match=here("input 0 requires no gradient")):
        gradients(np.sum(x), Tensor(1.0))
    with pytest.raises(NotTrackedError, match=here(r"does not depend on input 1 \(shape \(1,\)\); pass allow_unused")):
        gradients(np.sum(x), [x, leaf([1.0])])
    assert gradients(np.sum(x), [x, leaf([1.0])], allow_unused=True)[1] is None


def test_only_a_leaf_can_be_set_or_stop_wanting_a_gradient():
    y = leaf([1.0]) * 2.0
    with pytest.raises(NotTrackedError):
        y.data = np.ones(1)
    with pytest.raises(NotTrackedError):
        y.requires_grad = False
    x = leaf([1.0])
    x.requires_grad = False
    assert not (x * 2.0).requires_grad


def test_comparisons_and_indices_carry_no_gradient():
    x = leaf([1.0, 3.0])
    assert (x > 2.0).tolist() == [False, True]
    assert not (x > 2.0).requires_grad
    assert int(np.argmax(x)) == 1
    assert (x == Tensor([1.0, 1.0])).tolist() == [True, False]
    assert 3.0 in x


# Ways off the graph


LEAVE = [float, int, bool, np.asarray, np.array, lambda x: np.array([x, x]), lambda x: [0, 1][x]]


@pytest.mark.parametrize("leave", LEAVE)
def test_what_would_cut_a_tracked_tensor_off_raises(leave):
    x = leaf(1.0)
    with pytest.raises((LostGradientError, DtypeError)):
        leave(x * 1.0)
    with no_grad():
        assert float(x) == 1.0
        assert np.asarray(x) == 1.0
        assert bool(x)
    assert float(x.detach()) == x.item() == 1.0


def test_the_message_says_how_to_stay_on_the_graph():
    with pytest.raises(LostGradientError, match=here(r"float\(\) on a tensor .*x\.item\(\) gives the number")):
        float(leaf(1.0))
    with pytest.raises(LostGradientError, match=here(r"item\(\) wants one element, this tensor has shape \(2,\)")):
        leaf([1.0, 2.0]).item()


def test_tensors_have_no_item_assignment():
    x = leaf([1.0, 2.0])
    with pytest.raises(ItemAssignmentError, match=here(r"a Tensor is a value.*np\.where\(mask, new, x\)")):
        x[0] = 3.0
    with pytest.raises(UnsupportedError, match=here("out=")):
        np.exp(x, out=np.empty(2))
    array = np.ones(2)
    with pytest.raises(UnsupportedError, match=here(r"Write array = array \+ tensor")):
        array += x
    assert array.tolist() == [1.0, 1.0]


def test_an_array_takes_what_wants_no_gradient():
    """w.data -= lr * w.grad: the array stays the array, and graphs from before refuse to use it."""
    w = leaf([1.0, 2.0])
    array, loss = w.data, np.sum(w * w)
    np.sum(w * w).backward()
    w.data -= 0.1 * w.grad
    assert w.data is array
    assert array.tolist() == [0.8, 1.6]
    with pytest.raises(errors.MutationError):
        loss.backward()
    with no_grad():
        np.add(array, w, out=array)
    assert w.tolist() == [1.6, 3.2]
    with pytest.raises(UnsupportedError, match=here("out= is a Tensor")):
        np.add(array, array, out=w)
    with pytest.raises(ShapeError, match=here(r"add\(float64\[2\], float64\[3\]\)")):
        array += Tensor(np.ones(3))


def test_augmented_assignment_makes_a_new_tensor():
    x = leaf([1.0, 2.0])
    y = x
    y += 1.0
    y *= x
    np.sum(y).backward()
    assert x.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [3.0, 5.0]


# Functions


def test_an_unknown_function_names_its_neighbours():
    def cumsums(x):
        raise NotImplementedError

    x = leaf([1.0, 2.0])
    with pytest.raises(UnsupportedError, match=here(r"np\.cumsums has no derivative rule here; did you mean cumsum")):
        x.__array_function__(cumsums, (Tensor,), (x,), {})


def test_a_refused_function_gives_its_reason():
    with pytest.raises(UnsupportedError, match=here("histogram has no derivative here: counts jump")):
        np.histogram(leaf([1.0, 2.0]))
    with pytest.raises(UnsupportedError, match="eigh"):
        np.linalg.eig(leaf(np.eye(2)))


@pytest.mark.parametrize(
    ("call", "keyword"),
    [
        (lambda x: np.exp(x, where=np.array([True, False])), "where"),
        (lambda x: np.interp(x, [0.0, 1.0], [2.0, 3.0], period=2.0), "period"),
        (lambda x: np.quantile(x, 0.5, weights=np.ones(2)), "weights"),
        (lambda x: np.mean(x, out=np.empty(())), "out"),
        (lambda x: np.add(x, 1.0, dtype=np.float32), "dtype"), (lambda x: np.add(x, 1.0, casting="no"), "casting"),
        (lambda x: np.add(x, 1.0, where=np.array([True, False])), "where"),
    ],
)  # fmt: skip
def test_a_keyword_whose_derivative_nobody_wrote_is_refused(call, keyword):
    with pytest.raises(UnsupportedError, match=here(f"{keyword}=")):
        call(leaf([1.0, 2.0]))


def test_a_tensor_where_no_rule_is_raises():
    mask = leaf([1.0, 0.0])
    with pytest.raises(UnsupportedError, match=here(r"where: argument 'condition' has no derivative rule")):
        np.where(mask, 1.0, 2.0)
    assert np.where(mask.detach(), 1.0, 2.0).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("index", [3, (0, 0), -4, np.array([0, 3])])
def test_an_index_out_of_range_stays_an_index_error(index):
    with pytest.raises(IndexError, match=here("")):
        leaf([1.0, 2.0, 3.0])[index]


# The line


def test_messages_name_the_very_line():
    x = leaf([1.0, 2.0])
    line = sys._getframe().f_lineno + 1
    y = (
        np.exp(x)
    )  # fmt: skip
    np.sum(y).backward()
    with pytest.raises(FreedGraphError, match=rf"^exp, recorded at test_engine_safety\.py:{line + 1}: "):
        np.sum(y).backward()
    with pytest.raises(ShapeError) as caught:
        line = sys._getframe().f_lineno; x @ np.ones(3)  # noqa: B018, E702
    assert str(caught.value).endswith(f"Called at test_engine_safety.py:{line}")


def test_messages_name_the_scope():
    with pytest.raises(ShapeError, match=r"at test_engine_safety\.py:\d+, in blocks\.0\.attention$"):
        with scope("blocks.0"), scope("attention"):
            leaf([1.0, 2.0]) @ np.ones(3)


# Shapes


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((2, 3), (4, 3), r"matmul: (2, 3) @ (4, 3): inner sizes 3 and 4 differ; y.mT would fit."),
        ((3, 2), (3, 4), r"matmul: (3, 2) @ (3, 4): inner sizes 2 and 3 differ; x.mT would fit."),
        ((2, 3), (4, 5), r"matmul: (2, 3) @ (4, 5): inner sizes 3 and 4 differ."),
        ((3,), (4,), r"matmul: (3,) @ (4,): inner sizes 3 and 4 differ."),
        ((2, 1, 3), (3, 3, 1), r"matmul: (2, 1, 3) @ (3, 3, 1): the leading axes do not broadcast"),
    ],
)
def test_a_product_that_does_not_fit_says_what_would(left, right, message):
    with pytest.raises(ShapeError, match=here(re.escape(message))):
        leaf(np.ones(left)) @ np.ones(right)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x + np.ones(3), "add(float64[2], float64[3]): "),
        (lambda x: np.sum(x, axis=1), "sum(float64[2]): axis 1"),
        (lambda x: x.reshape(3), "reshape(float64[2], 3): "),
        (lambda x: np.concatenate([x, np.ones((1, 1))]), "concatenate("),
        (lambda x: np.linalg.inv(np.broadcast_to(x, (1, 2))), "linalg.inv("),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named_with_the_line(call, message):
    with pytest.raises((ShapeError, np.linalg.LinAlgError), match=here(re.escape(message))):
        call(leaf([1.0, 2.0]))


def test_a_singular_matrix_stays_numpys_error():
    with pytest.raises(np.linalg.LinAlgError, match=here("Singular matrix")):
        np.linalg.inv(leaf(np.zeros((2, 2))))


# Rules that break their promise


def test_a_rule_of_the_wrong_shape_is_found_out():
    @primitive(lambda g: g)
    def total(x):
        return np.asarray(np.sum(x))[()]

    x = leaf([1.0, 2.0])
    with pytest.raises(RuleError, match=here(r"total: the rule for 'x' returned shape \(\), its argument has \(2,\)")):
        total(x).backward()
    assert x.grad is None


def test_a_rule_of_the_wrong_kind_is_found_out():
    @primitive(lambda g, x: np.ones(x.shape, int))
    def wrong(x):
        return x * 2.0

    @primitive(lambda g: None)
    def nothing(x):
        return x * 2.0

    for f in (wrong, nothing):
        with pytest.raises(RuleError):
            np.sum(f(leaf([1.0, 2.0]))).backward()


def test_a_rule_that_asks_for_what_is_not_there_is_found_when_declared():
    with pytest.raises(UnsupportedError, match="a rule asks for 'q'"):

        @primitive(lambda g, q: g * q)
        def f(x):
            return x


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: np.sum(x, 0, None, np.zeros(3)), "out="), (lambda x: np.interp(x, x, x, None, None, 1.0), "period="),
        (lambda x: np.ediff1d(x, 1.0), "to_end="),
        (lambda x: np.linalg.svd(x, False, False), "compute_uv="),
        (lambda x: np.reshape(x.T, (2, 6), order="A").sum().backward(), "order='A'"),
    ],
)  # fmt: skip
def test_an_option_given_by_its_place_is_refused_as_by_its_name(call, word):
    with pytest.raises(UnsupportedError, match=word):
        call(leaf(np.arange(12.0).reshape(4, 3)))


def test_options_by_place_mean_what_they_mean_to_numpy():
    data = np.arange(12.0).reshape(4, 3) ** 2
    x = leaf(data)
    np.testing.assert_allclose(np.var(x, 0, None, None, 1).numpy(), np.var(data, 0, None, None, 1))
    assert np.prod(x, 0, None, None, True).shape == (1, 3)
    assert np.median(x, 0, None, None, True).shape == (1, 3)
    assert np.std(x, 0, None, None).shape == (3,)
