"""Convolution and pooling against loops that follow the formula, and their derivatives against finite differences."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from calls import Call, Draw, checks
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, gradients
from tinygrad_edu.errors import DtypeError, ShapeError

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d}
MAXIMA = {1: functional.max_pool1d, 2: functional.max_pool2d}
MEANS = {1: functional.avg_pool1d, 2: functional.avg_pool2d}

# The definitions, as loops ------------------------------------------------------------------------


def padding_of(padding, size, window, stride, dilation, axis):
    """(before, after) along one axis."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        out = -(-size // stride)
        missing = max(0, (out - 1) * stride + (window - 1) * dilation + 1 - size)
        return missing // 2, missing - missing // 2
    return (padding[axis],) * 2 if isinstance(padding, tuple) else (padding,) * 2


def windows_of(x, window, stride, padding, dilation):
    """((position, elements of the window), ...) over the last axes; NaN stands for what is padded."""
    axes = len(window)
    each = zip(x.shape[-axes:], window, stride, dilation, range(axes), strict=True)
    pads = [padding_of(padding, *one) for one in each]
    x = np.pad(x, [(0, 0)] * (x.ndim - axes) + pads, constant_values=np.nan)
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    out = [(n - r) // s + 1 for n, r, s in zip(x.shape[-axes:], reach, stride, strict=True)]
    for place in itertools.product(*map(range, out)):
        starts = [p * s for p, s in zip(place, stride, strict=True)]
        yield place, x[(..., *[slice(a, a + r, d) for a, r, d in zip(starts, reach, dilation, strict=True)])]


def convolved(x, weight, bias, stride, padding, dilation, groups):
    inputs, outputs = weight.shape[1], weight.shape[0] // groups
    y = {}
    for place, seen in windows_of(x, weight.shape[2:], stride, padding, dilation):
        seen = np.nan_to_num(seen)
        for o in range(weight.shape[0]):
            first = o // outputs * inputs
            inside = (slice(first, first + inputs), *[slice(None)] * len(stride))
            y[o, *place] = np.sum(seen[(..., *inside)] * weight[o], axis=tuple(range(-len(stride) - 1, 0))) + bias[o]
    return gathered(y)


def gathered(y):
    """A dictionary place → array, as one array with the places' axes last."""
    size = [n + 1 for n in max(y)]
    out = np.stack([y[place] for place in itertools.product(*map(range, size))], axis=-1)
    return out.reshape(*out.shape[:-1], *size)


# What is drawn ------------------------------------------------------------------------------------


@dataclass
class Drawn:
    axes: int
    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple
    padding: object
    dilation: tuple
    groups: int

    @property
    def keywords(self):
        keys = ("stride", "padding", "dilation", "groups")
        return {key: getattr(self, key) for key in keys}

    @property
    def call(self):
        return Call(CONVOLUTIONS[self.axes], (self.x, self.weight, self.bias), self.keywords)


def drawn(d, axes, pooled=False):
    """Any convolution that fits; small, with sizes that leave elements over at the end as often as not."""
    window = tuple(d.pick(1, 2, 3) for _ in range(axes))
    stride = tuple(d.pick(1, 2, 3) for _ in range(axes))
    dilation = (1,) * axes if pooled else tuple(d.pick(1, 1, 2) for _ in range(axes))
    most = min(window) - 1 if pooled else 2
    padding = d.pick("same", "valid", min(1, most), tuple(min(k, most) for k in (1, 0)[:axes]))
    sizes = tuple((w - 1) * a + d.pick(1, 2, 4) for w, a in zip(window, dilation, strict=True))
    groups, inputs, outputs = d.pick(1, 1, 2, 3), d.pick(1, 2), d.pick(1, 2)
    lead = d.pick((), (2,), (2, 1))
    x = d.array((*lead, groups * inputs, *sizes))
    if pooled:
        x = d.apart(x.shape)
    return Drawn(
        axes, x, d.array((groups * outputs, inputs, *window)), d.array((groups * outputs,)), stride, padding,
        dilation, groups,
    )  # fmt: skip


def each_axes(test):
    return pytest.mark.parametrize("axes", [1, 2])(settings(max_examples=40)(given(data=st.data())(test)))


# Values -------------------------------------------------------------------------------------------


@each_axes
def test_convolution_is_the_sum_over_channels_and_kernel_places(axes, data):
    c = drawn(Draw(data.draw), axes)
    expected = convolved(c.x, c.weight, c.bias, c.stride, c.padding, c.dilation, c.groups)
    (plain,), (traced,) = checks.plain_outputs(c.call, c.call.arrays), c.call(*checks.tracked(c.call.arrays))
    assert plain.shape == expected.shape
    np.testing.assert_allclose(plain, expected, rtol=1e-12, atol=1e-12)
    # Traced, its einsum is a product of matrices, which adds up in another order.
    np.testing.assert_allclose(traced.numpy(), plain, rtol=1e-13, atol=1e-13)


@each_axes
def test_pools_are_the_maximum_and_the_mean_of_each_window(axes, data):
    c = drawn(Draw(data.draw), axes, pooled=True)
    window = c.weight.shape[2:]
    options = {"stride": c.stride, "padding": c.padding}
    seen = dict(windows_of(c.x, window, c.stride, c.padding, c.dilation))
    over = tuple(range(-axes, 0))
    for function, keywords, reduced in [
        (MAXIMA[axes], {}, np.nanmax),
        (MEANS[axes], {"count_include_pad": False}, np.nanmean),
        (MEANS[axes], {}, lambda w, axis: np.mean(np.nan_to_num(w), axis=axis)),
    ]:
        expected = gathered({place: reduced(w, axis=over) for place, w in seen.items()})
        plain = function(np.array(c.x), window, **options, **keywords)
        np.testing.assert_allclose(plain, expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_array_equal(function(Tensor(c.x), window, **options, **keywords).numpy(), plain)


def test_worked_example_of_a_convolution():
    x, weight = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[[1.0, 0.0, -1.0]]])
    assert functional.conv1d(x, weight).tolist() == [[-2.0, -2.0]]
    assert functional.conv1d(x, weight, padding="same").tolist() == [[-2.0, -2.0, -2.0, 3.0]]
    assert functional.conv1d(x, weight, padding=1, stride=2).tolist() == [[-2.0, -2.0]]
    assert functional.conv1d(x, weight, np.array([10.0])).tolist() == [[8.0, 8.0]]


def test_a_window_slides_by_its_own_size_unless_told_otherwise():
    x = np.arange(16.0).reshape(4, 4)
    assert functional.max_pool2d(x, 2).tolist() == [[5.0, 7.0], [13.0, 15.0]]
    assert functional.avg_pool2d(x, (1, 2)).tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5], [12.5, 14.5]]


def test_same_padding_keeps_the_size_and_puts_an_odd_zero_at_the_end():
    x, weight = np.ones((1, 5)), np.ones((1, 1, 4))
    assert functional.conv1d(x, weight, padding="same").tolist() == [[3.0, 4.0, 4.0, 3.0, 2.0]]
    for size, stride in itertools.product(range(1, 8), range(1, 5)):
        y = functional.conv1d(np.ones((1, size)), weight, padding="same", stride=stride)
        assert y.shape == (1, -(-size // stride))


def test_a_nan_reaches_only_the_windows_that_see_it():
    x = np.zeros((1, 6, 6))
    x[0, 0, 0] = np.nan
    for y in (functional.conv2d(x, np.ones((1, 1, 3, 3)))[0], functional.avg_pool2d(x, 3, 1)[0]):
        assert np.isnan(y[0, 0])
        assert np.isfinite(y.ravel()[1:]).all()


# Derivatives --------------------------------------------------------------------------------------


@each_axes
def test_convolution_has_the_derivatives_that_differences_find(axes, data):
    d = Draw(data.draw)
    call = drawn(d, axes).call
    assert checks.first_derivative_is_judged(call, d.rng)
    assert checks.second_derivative_is_judged(call, d.rng)
    checks.assert_pushforward_is_the_adjoint(call, d.rng)
    checks.assert_nothing_is_mutated_or_shared(call, d.rng)
    checks.assert_dtype_is_kept(call, d.rng)


@each_axes
def test_pools_have_the_derivatives_that_differences_find(axes, data):
    d = Draw(data.draw)
    c = drawn(d, axes, pooled=True)
    options = {"stride": d.pick(None, c.stride), "padding": c.padding}
    for function, more in [(MAXIMA[axes], {}), (MEANS[axes], d.options(count_include_pad=(True, False)))]:
        call = Call(function, (c.x, c.weight.shape[2:]), options | more)
        assert checks.first_derivative_is_judged(call, d.rng)
        checks.assert_linear_in_the_cotangent(call, d.rng)
        checks.assert_nothing_is_mutated_or_shared(call, d.rng)
        checks.assert_dtype_is_kept(call, d.rng)
        squared = Call(lambda x, call=call: call(x)[0] ** 2, (c.x,))
        assert checks.second_derivative_is_judged(squared, d.rng)


def test_ties_in_a_window_share_equally_also_where_windows_overlap():
    x = Tensor(np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), requires_grad=True)
    (g,) = gradients(functional.max_pool2d(x, 2, stride=1), [x], np.array([[3.0, 5.0], [7.0, 8.0]]))
    expected = [[1.0, 1.0 + 5.0, 0.0], [1.0 + 7.0, 2.0, 2.0], [0.0, 2.0, 2.0]]
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-15)


def test_padding_of_a_maximum_is_never_chosen():
    x = Tensor(np.full((3, 3), -1e300), requires_grad=True)
    y = functional.max_pool2d(x, 2, padding=1)
    assert np.array_equal(y.numpy(), np.full((2, 2), -1e300))
    (g,) = gradients(y, [x], np.ones((2, 2)))
    assert np.sum(g.numpy()) == 4.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_every_float_dtype_is_kept(dtype):
    x = Tensor(np.arange(8.0).reshape(2, 4), requires_grad=True, dtype=dtype)
    weight = Tensor(np.ones((3, 2, 2)), requires_grad=True, dtype=dtype)
    for y in (
        functional.conv1d(x, weight, padding="same"), functional.max_pool1d(x, 2, padding=1),
        functional.avg_pool1d(x, 3, 1, 1, count_include_pad=False),
    ):  # fmt: skip
        assert y.dtype == dtype
        (g,) = gradients(np.sum(y), [x])
        assert g.dtype == dtype


def test_an_empty_batch_gives_an_empty_batch():
    x, weight = Tensor(np.zeros((0, 2, 5, 5)), requires_grad=True), Tensor(np.ones((4, 2, 3, 3)), requires_grad=True)
    y = functional.max_pool2d(functional.conv2d(x, weight), 2)
    assert y.shape == (0, 4, 1, 1)
    gx, gw = gradients(np.sum(y), [x, weight])
    assert gx.shape == x.shape
    assert not gw.numpy().any()


# What does not fit --------------------------------------------------------------------------------


def zeros(*shape):
    return np.zeros(shape)


X, W = zeros(2, 3, 8, 8), zeros(4, 3, 3, 3)
REFUSED = [
    (ShapeError, "x has shape (); it wants (..., length)", lambda: functional.max_pool1d(zeros(), 2)),
    (ShapeError, "x has shape (8, 8); it wants (..., channels, height, width)",
     lambda: functional.conv2d(zeros(8, 8), W)),
    (ShapeError, "weight has shape (4, 3, 3); it wants (out, in/groups, height, width)",
     lambda: functional.conv2d(X, zeros(4, 3, 3))),
    (ShapeError, "x (2, 3, 8, 8) has 3 channels on axis -3, weight (4, 2, 3, 3) with groups=1 wants 2",
     lambda: functional.conv2d(X, zeros(4, 2, 3, 3))),
    (ShapeError, "np.moveaxis(x, -1, -3) would fit", lambda: functional.conv2d(zeros(2, 8, 8, 3), W)),
    (ShapeError, "groups=3 would fit", lambda: functional.conv2d(X, zeros(6, 1, 3, 3))),
    (ShapeError, "4 output channels (weight (4, 1, 3, 3)) in groups=3",
     lambda: functional.conv2d(X, zeros(4, 1, 3, 3), groups=3)),
    (ShapeError, "bias has shape (3,), weight (4, 3, 3, 3) wants (4,)", lambda: functional.conv2d(X, W, zeros(3))),
    (ShapeError, "a window that spans 9 does not fit along axis -1, which has 8 + 0 + 0 of padding; "
     "padding='same' or padding=1 would fit", lambda: functional.conv2d(X, zeros(4, 3, 1, 5), dilation=2)),
    (ShapeError, "a window that spans 9 does not fit along axis -2", lambda: functional.max_pool2d(X, 9)),
    (ValueError, "padding='full'; choose 'same', 'valid'", lambda: functional.conv2d(X, W, padding="full")),
    (ValueError, "padding=-1; it must be at least 0", lambda: functional.conv2d(X, W, padding=-1)),
    (ValueError, "stride=(1, 2, 3) has 3 numbers for 2 axes", lambda: functional.conv2d(X, W, stride=(1, 2, 3))),
    (ValueError, "stride=0; it must be at least 1", lambda: functional.avg_pool2d(X, 2, stride=0)),
    (ValueError, "groups=0; it must be at least 1", lambda: functional.conv2d(X, W, groups=0)),
    (TypeError, "dilation=1.5; it must be an integer", lambda: functional.conv2d(X, W, dilation=1.5)),
    (ValueError, "padding 2 leaves windows of 2 with nothing but padding",
     lambda: functional.max_pool2d(X, 2, padding=2)),
    (DtypeError, "padding adds -inf, which int64 lacks", lambda: functional.max_pool2d(X.astype(int), 2, padding=1)),
]  # fmt: skip


@pytest.mark.parametrize(("error", "words", "call"), REFUSED, ids=[words[:40] for _, words, _ in REFUSED])
def test_what_does_not_fit_is_refused_with_shapes_and_advice(error, words, call):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_the_advice_given_fits():
    assert functional.conv2d(np.moveaxis(zeros(2, 8, 8, 3), -1, -3), W).shape == (2, 4, 6, 6)
    assert functional.conv2d(X, zeros(6, 1, 3, 3), groups=3).shape == (2, 6, 6, 6)
    assert functional.conv2d(X, zeros(4, 3, 1, 5), dilation=2, padding=1).shape == (2, 4, 10, 2)
