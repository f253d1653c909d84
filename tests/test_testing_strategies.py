"""The strategies: what is drawn lies where it says, goes where bugs hide, and shrinks to what one can read."""

import math
import operator
from collections import Counter
from decimal import Decimal

import hypothesis
import numpy as np
import pytest
from calls import OPERATIONS, takes_squares
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, primitive
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import ABOVE_ONE, NONZERO, POSITIVE, REAL, UNIT, Domain
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing import strategies as drawn
from tinygrad_edu.testing.decimals import interior, numbers
from tinygrad_edu.testing.written import WRITTEN

DOMAINS = [
    REAL, NONZERO, POSITIVE, UNIT, ABOVE_ONE, Domain("10 < x < 20", 10.0, 20.0), Domain("x < -1", high=-1.0),
    Domain("0 < x < 0.001", 0.0, 1e-3), Domain("-1e6 < x < 1e6", -1e6, 1e6, without_zero=True),
]  # fmt: skip
domains = st.sampled_from(DOMAINS)


def simplest(strategy, condition=lambda x: True):
    return hypothesis.find(strategy, condition, settings=settings(database=None, max_examples=2000, derandomize=True))


def sample(strategy, count=300):
    found = []

    @settings(max_examples=count, database=None)
    @given(strategy)
    def collect(x):
        found.append(x)

    collect()
    return found


# Shapes


@given(data=st.data(), least=st.integers(0, 2), more=st.integers(0, 2), smallest=st.integers(1, 6))
def test_shapes_have_as_many_axes_and_sizes_as_asked(data, least, more, smallest):
    shape = data.draw(drawn.shapes(least, least + more, smallest=smallest))
    assert least <= len(shape) <= least + more
    assert all(size >= smallest for size in shape)


def test_shapes_lean_to_squares_and_cubes_and_have_size_one_and_none():
    found = [shape for shape, _ in sample(st.tuples(drawn.shapes(), st.integers()), 500)]
    deep = [shape for shape in found if len(shape) > 1]
    assert sum(len(set(shape)) == 1 for shape in deep) > len(deep) / 4  # half are expected
    assert sum(1 in shape for shape in found) > 100
    assert () in found and not any(0 in shape for shape in found)
    assert sum(0 in shape for shape in sample(drawn.shapes(empty=True), 200)) > 20


def test_shapes_shrink_to_few_elements():
    assert simplest(drawn.shapes()) == ()
    assert simplest(drawn.shapes(), lambda shape: len(set(shape)) > 1) == (1, 2)


@given(data=st.data(), count=st.integers(1, 4), least=st.integers(0, 2))
def test_broadcastable_shapes_broadcast(data, count, least):
    found = data.draw(drawn.broadcastable(count, least))
    assert len(found) == count
    assert all(len(shape) >= least for shape in found)
    np.broadcast_shapes(*found)


def test_broadcastable_shapes_are_equal_and_stretched_and_shorter():
    found = sample(drawn.broadcastable(2))
    assert sum(a == b for a, b in found) > 60
    assert sum(len(a) != len(b) for a, b in found) > 60
    assert sum(len(a) == len(b) and a != b for a, b in found) > 10  # 33 are expected: chance alone must not fail a test
    assert simplest(drawn.broadcastable(2), lambda both: both[0] != both[1]) in {((1,), ()), ((), (1,))}


# Values


@given(data=st.data(), domain=domains, shape=drawn.shapes() | st.just((9, 9)))
def test_values_lie_inside_their_domain_and_away_from_its_ends(data, domain, shape):
    for x in (data.draw(drawn.arrays(shape, domain)), data.draw(drawn.distinct(shape, domain))):
        assert x.shape == shape and x.dtype == np.float64
        assert domain.contains(x).all() and np.all(x != 0)
        low, high = interior(domain)
        width = min(high - low, 4.0)
        assert all(domain.contains(x + nudge * width).all() for nudge in (-0.01, 0.01))


@given(data=st.data(), dtype=st.sampled_from([np.float16, np.float32, np.longdouble]))
def test_values_have_the_dtype_asked_for_and_stay_inside(data, dtype):
    for strategy in (drawn.arrays, drawn.tied, drawn.distinct):
        x = data.draw(strategy((3, 2), UNIT, dtype))
        assert x.dtype == dtype and UNIT.contains(x).all()


@given(x=drawn.arrays())
def test_values_print_as_what_they_are(x):
    again = np.array(eval(repr(x.tolist())))
    assert again.tobytes() == np.ascontiguousarray(x).tobytes()
    assert all(len(repr(v)) <= 6 for v in x.ravel().tolist())


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_numbers_are_many_and_the_simplest_come_first(domain):
    table = numbers(domain)
    assert 10 <= len(set(table)) == len(table) <= 100
    digits = [len(Decimal(repr(v)).normalize().as_tuple().digits) for v in table]
    assert max(digits[:2]) <= min(digits[-2:])
    assert len({v for x in sample(drawn.arrays((20,), domain), 50) for v in x.tolist()}) > 400


def test_every_memory_layout_is_drawn():
    seen = Counter()
    for x in sample(drawn.arrays((3, 3))):
        dense = "C" if x.flags.c_contiguous else "F" if x.flags.f_contiguous else "strided"
        seen["reversed" if x.strides[0] < 0 else dense] += 1
    assert min(seen.values()) > 30 and len(seen) == 4
    assert all(x.flags.c_contiguous for x in sample(drawn.arrays((3, 3), layouts=False), 50))


def test_arrays_shrink_to_ones_and_change_only_what_must_change():
    x = simplest(drawn.arrays(drawn.shapes(1)), lambda x: bool(np.any(x > 1.3)))
    assert x.tolist() == [2.0] and x.flags.c_contiguous
    x = simplest(drawn.arrays((3, 3)), lambda x: x[1, 2] < 0)
    assert x.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, -1.0], [1.0, 1.0, 1.0]]
    assert simplest(drawn.arrays(2, POSITIVE), lambda x: bool(x[0] < 1)).tolist() == [0.5, 1.0]


def test_large_arrays_shrink_to_few_different_numbers():
    x = simplest(drawn.arrays((100,)))
    assert len(np.unique(x)) <= 8 and np.all(np.abs(x * 2) == np.rint(np.abs(x * 2)))


@given(data=st.data(), domain=domains, shape=drawn.shapes(1, smallest=2))
def test_tied_values_tie(data, domain, shape):
    x = data.draw(drawn.tied(shape, domain))
    assert len(np.unique(x)) < x.size and domain.contains(x).all()


@given(data=st.data(), shape=drawn.shapes() | st.just((10, 10)))
def test_distinct_values_are_far_apart_and_so_are_their_absolute_values(data, shape):
    x = data.draw(drawn.distinct(shape))
    assert np.min(np.diff(np.sort(np.abs(x), axis=None)), initial=1.0) > 0.124
    y = data.draw(drawn.distinct(shape, UNIT))
    assert np.min(np.diff(np.sort(y, axis=None)), initial=1.0) > 0.6 / (y.size + 1)


def test_distinct_values_come_in_every_order_and_shrink_to_a_rising_one():
    assert len({tuple(np.argsort(x)) for x in sample(drawn.distinct((3,)))}) == 6
    assert simplest(drawn.distinct((3,))).tolist() == [0.25, 0.5, 0.75]


@given(data=st.data(), shape=drawn.shapes() | st.just((70,)), dtype=st.sampled_from([np.float32, np.float64]))
def test_cotangents_fit_what_they_weigh_and_are_never_constant(data, shape, dtype):
    like = {"y": np.zeros(shape, dtype), "z": [Tensor(np.zeros(shape, dtype)), 1.0]}
    found = data.draw(drawn.cotangents(like))
    for c in (found["y"], found["z"][0]):
        assert c.shape == shape and c.dtype == dtype
        assert not np.all(c == 1.0) and (c.size == 1 or np.ptp(c) > 0)
    assert found["z"][1].shape == ()


# Axes and indices


@given(data=st.data(), ndim=st.integers(0, 4))
def test_axes_and_permutations_are_numpys(data, ndim):
    x = np.zeros((2,) * ndim)
    np.sum(x, axis=data.draw(drawn.axes(ndim)))
    assert np.transpose(x, data.draw(drawn.permutations(ndim))).shape == x.shape


def test_axes_come_alone_and_together_from_both_ends():
    found = sample(drawn.axes(3))
    assert None in found and {-3, -2, -1, 0, 1, 2} <= set(found)
    several = [axes for axes in found if isinstance(axes, tuple)]
    assert {len(axes) for axes in several} == {1, 2, 3}
    assert any(min(axes) < 0 <= max(axes) for axes in several)
    assert simplest(drawn.axes(3)) is None and simplest(drawn.permutations(3)) == (0, 1, 2)


@given(data=st.data(), size=st.integers(1, 5), shape=st.none() | drawn.shapes(0, 2))
def test_indices_fit_their_axis(data, size, shape):
    found = data.draw(drawn.indices(size, shape))
    assert found.shape == shape or shape is None and found.ndim == 1
    np.arange(size)[found]


def test_most_indices_name_a_place_twice_also_by_its_other_name():
    found = [np.asarray(k) for k in sample(drawn.indices(5)) if len(k) > 1]
    assert sum(len(np.unique(k % 5)) < len(k) for k in found) > 0.7 * len(found)
    assert sum(bool(k.min() < 0 <= k.max()) for k in found) > 0.4 * len(found)
    assert simplest(drawn.indices(5)).tolist() == [0]
    assert any(k.size == 0 for k in sample(drawn.indices(5, empty=True)))
    with pytest.raises(UnsupportedError, match="axis of 0 elements"):
        sample(drawn.indices(0), 1)


# Calls


@pytest.mark.parametrize(
    "function", [f for f in registry() if takes_squares(registry()[f]) and f not in WRITTEN], ids=lambda f: f.__name__
)  # fmt: skip
@settings(max_examples=10)
@given(data=st.data())
def test_a_call_of_what_broadcasts_is_derived_from_its_domains(function, data):
    call = data.draw(drawn.calls(function))
    operation = registry()[function]
    assert call.function is function and len(call.arrays) == len(operation.domain)
    assert all(d.contains(x).all() for x, d in zip(call.arrays, operation.domain, strict=True))
    (y,) = call(*call.arrays)
    assert np.isfinite(y).all() and y.shape == np.broadcast_shapes(*[x.shape for x in call.arrays])
    np.testing.assert_allclose(eval(repr(call), {"np": np}), y, rtol=1e-15)  # in another memory order


@primitive(lambda g, x, y: g * y, lambda g, x, y: g * x, domain=(REAL, POSITIVE))
def paired(x, y):
    assert x.shape == y.shape
    return x * y


@primitive(lambda g, x: g, None)
def shifted(x, by, scale=1.0):
    return x + by


@given(call=drawn.calls(registry()[paired]), shifted_call=drawn.calls(shifted, by=st.integers(1, 3)), plain=st.data())
def test_what_does_not_broadcast_gets_one_shape_and_strategies_stand_in_by_name(call, shifted_call, plain):
    call(*call.arrays)
    assert call.function is paired and (call.arrays[1] > 0).all()
    assert shifted_call.args[1] in (1, 2, 3) and len(shifted_call.arrays) == 1
    softmax = plain.draw(drawn.calls(functional.softmax, x=drawn.arrays(drawn.shapes(1)), axis=st.just(0)))
    assert softmax.kwargs == {"axis": 0}
    assert softmax(*softmax.arrays)[0].shape == softmax.arrays[0].shape


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@settings(max_examples=2)
@given(data=st.data())
def test_calls_of_every_operation_are_drawn_and_print_as_what_they_are(operation, data):
    call = data.draw(drawn.calls(operation))
    ys = call(*call.arrays)
    assert call.arrays and all(np.isfinite(x).all() or operation.name.startswith("nan") for x in call.arrays)
    functions = [part for part in (call.function, *call.args) if callable(part)]
    again = eval(repr(call), {"np": np, "operator": operator} | {f.__name__: f for f in functions})
    for y, other in zip(ys, again if isinstance(again, tuple | list) else [again], strict=True):
        np.testing.assert_allclose(other, y, rtol=1e-12, atol=1e-12)  # in another memory order


def test_a_written_call_shrinks_to_the_simplest():
    assert repr(simplest(drawn.calls(np.sum))) == "np.sum(np.array(1.0))"
    found = simplest(drawn.calls(np.max), lambda call: call.kwargs.get("keepdims", False) and call.args[0].ndim == 2)
    assert repr(found) == "np.max(np.array([[0.25]]), keepdims=True)"


@pytest.mark.parametrize(
    ("function", "message"),
    [(np.floor, "has no derivative"), (np.angle, "has no derivative"), (shifted, "by=..."),
     (functional.softmax, "x=..."), (np.frompyfunc(math.sin, 1, 1), "without a rule")],
)  # fmt: skip
def test_what_no_call_follows_from_is_refused_with_a_way_out(function, message):
    with pytest.raises(UnsupportedError) as caught:
        drawn.calls(function)
    assert message in str(caught.value)
