"""dtype follows NumPy's promotion through every operation; a gradient has its input's dtype and shape.

NumPy is the oracle: the same call on plain arrays says what the output's dtype is, or that there is none.
"""

import operator

import numpy as np
import pytest
from calls import OPERATIONS, checks, drawn, key_of, takes_squares

from tinygrad_edu import Tensor, functional, gradients, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from tinygrad_edu.errors import CotangentError, DtypeError

FLOATS = (np.float16, np.float32, np.float64, np.longdouble)
WHOLE = (np.bool_, np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64)
# np.interp refuses a long double; ours is forward code, and computes in what it is given.
WIDER = {"interp"}

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
BINARY = [o for o in OPERATIONS if takes_squares(o) and key_of(o).nin == 2]
each_binary = pytest.mark.parametrize("function", [key_of(o) for o in BINARY], ids=[o.name for o in BINARY])


@pytest.fixture(autouse=True)
def quiet():
    """A half overflows at 65504: its dtype is asked here, not its value."""
    with np.errstate(all="ignore"):
        yield


def leaf(values, dtype=None):
    return Tensor(values, requires_grad=True, dtype=dtype)


def facts(arrays):
    return [(a.dtype, a.shape) for a in arrays]


def weighed(ys):
    """The sum of what comes of tracked outputs, each weighed; None where nothing is tracked."""
    tracked = [y for y in ys if isinstance(y, Tensor) and y.requires_grad]
    sums = [np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype)) for y in tracked]
    return sum(sums[1:], start=sums[0]) if sums else None


def gradients_of(call, arrays):
    """The gradients of a weighed sum of the outputs by the float arrays; None where nothing depends on one."""
    xs = [leaf(a) if a.dtype.kind == "f" else a for a in arrays]
    total = weighed(call(*xs))
    wanted = [x for x in xs if isinstance(x, Tensor)]
    return [] if total is None else gradients(total, wanted, allow_unused=True)


@each_operation
def test_any_mixture_of_floats_promotes_as_numpys_and_gradients_come_back_in_their_own(operation):
    """Each array in each of the four kinds, and beside it others of the same or one, two or three kinds on."""

    for stride, call in enumerate(drawn(operation, 4)):
        for first in range(4 if call.arrays else 1):
            kinds = [FLOATS[(first + stride * place) % 4] for place in range(len(call.arrays))]
            assert_promotes(operation, call, [np.asarray(*pair) for pair in zip(call.arrays, kinds, strict=True)])


def assert_promotes(operation, call, arrays):
    try:
        expected = checks.plain_outputs(call, arrays)
    except TypeError:  # LAPACK knows neither halves nor long doubles
        if operation.name not in WIDER:
            with pytest.raises(DtypeError):
                call(*checks.tracked(arrays))
            return
        expected = [np.asarray(y, np.longdouble) for y in checks.plain_outputs(call, call.arrays)]
    xs = checks.tracked(arrays)
    found = call(*xs)
    assert facts(found) == facts(expected)
    for create_graph in (True, False):  # the first keeps the graph for the second
        assert facts(gradients(weighed(found), xs, create_graph=create_graph)) == facts(arrays)


# With other numbers the points of interp do not rise; NumPy's own differences of narrow whole numbers wrap around.
PARTICULAR = {"interp", "trapezoid"}


@each_operation
def test_whole_numbers_beside_a_tensor_count_at_their_value_and_promote_as_numpys(operation):
    """minimum(x, y) asked whether -x > -y: -1 is 255 in uint8, and the gradient went the wrong way."""
    for place, call in enumerate(drawn(operation, 4)):
        for kind in WHOLE if len(call.arrays) > 1 else ():
            assert_counts(operation, call, place % len(call.arrays), kind)


def assert_counts(operation, call, k, kind):
    """The k-th array in whole numbers."""
    arrays = call.arrays
    low, high = (0, 1) if kind is np.bool_ else (max(np.iinfo(kind).min, -5), 5)
    value = np.round(np.clip(arrays[k] * 2.0, low, high)).astype(kind)
    for dtype in (np.float32, np.float64):
        mixed = [value if k == place else a.astype(dtype) for place, a in enumerate(arrays)]
        try:
            expected = checks.plain_outputs(call, mixed)
        except (TypeError, ValueError, ArithmeticError, np.linalg.LinAlgError):
            return  # x ** -1 for an integer x, a boolean difference, a singular matrix
        assert facts(call(*[a if a is value else leaf(a) for a in mixed])) == facts(expected)
    if operation.name not in PARTICULAR:
        found, plain = gradients_of(call, mixed), gradients_of(call, [a.astype(float) for a in mixed])
        plain = plain[:k] + plain[k + 1 :]
        for g, same in zip(found, plain if found else [], strict=True):
            assert (g is None) == (same is None)
            if g is not None:
                np.testing.assert_allclose(g.numpy(), same.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("f", [np.minimum, np.maximum, np.fmin, np.fmax])
@pytest.mark.parametrize("kind", WHOLE)
def test_a_bound_in_whole_numbers_takes_its_share_by_value(f, kind):
    """Also the least of a signed kind, which has no negative of its own."""
    ends = [0, 1] if kind is np.bool_ else [np.iinfo(kind).min, 0, 1, 100]
    for end in ends:
        for distance, share in ((-0.5, f in (np.minimum, np.fmin)), (0.5, f in (np.maximum, np.fmax)), (0.0, 0.5)):
            x, bound = leaf([float(end) + distance]), np.array([end], kind)
            assert gradients(np.sum(f(x, bound)), x).item() == (0.5 if x.item() == float(end) else share)
            assert gradients(np.sum(f(bound, x)), x).item() == (0.5 if x.item() == float(end) else share)


# Scalars


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (2,), (0,), (2, 1)], ids=str)
@each_binary
def test_python_numbers_are_weak_on_either_side(function, shape, dtype):
    for scalar in (2, 0.5, True, 1e-30):
        x = leaf(np.full(shape, 0.75), dtype)
        for arguments in ((x, scalar), (scalar, x)):
            plain = function(*[x.numpy()[()] if each is x else each for each in arguments])
            y = function(*arguments)
            assert (y.dtype, y.shape) == (plain.dtype, plain.shape)
            assert y.dtype == dtype or function is np.float_power  # which computes in float64 at least
            (g,) = gradients(np.sum(y), [x])
            assert (g.dtype, g.shape) == (dtype, shape)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("scalar", [np.float64(0.5), np.float32(0.5), np.longdouble(0.5), np.int64(2), np.array(0.5)])
@each_binary
def test_numpys_own_scalars_promote_as_numpys(function, scalar, dtype):
    for shape in ((), (2,)):
        x = leaf(np.full(shape, 0.75), dtype)
        assert function(x, scalar).dtype == function(x.numpy()[()], scalar).dtype
        assert function(scalar, x).dtype == function(scalar, x.numpy()[()]).dtype
        assert gradients(np.sum(function(x, scalar)), x).dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_chains_of_python_numbers_stay_narrow(dtype):
    """One strong scalar anywhere would widen all that follows."""
    x = leaf([0.25, 0.5], dtype)
    y = 1 / (1 + np.exp(-(2 * x - 0.5) ** 2 / 3)) + 1e-3 % (x + 1) - True
    y = np.where(y > 0, y, 0.0).clip(-1, 1.5).sum() * np.pi
    assert y.dtype == dtype
    assert gradients(y, x).dtype == dtype
    assert gradients(np.sum(gradients(y, x, create_graph=True) ** 2), x).dtype == dtype


# Composites and transforms

COMPOSITES = {
    "relu": functional.relu, "gelu": functional.gelu, "sigmoid": functional.sigmoid, "silu": functional.silu,
    "softmax": functional.softmax, "log_softmax": functional.log_softmax, "logsumexp": functional.logsumexp,
    "rms_norm": lambda x: functional.rms_norm(x, np.ones(4, x.dtype)),
    "layer_norm": lambda x: functional.layer_norm(x, np.ones(4, x.dtype), np.zeros(4, x.dtype)),
    "dropout": lambda x: functional.dropout(x, 0.5, np.random.default_rng(0)),
    "embedding": lambda x: functional.embedding(x, np.array([0, 2, 0])),
    "cross_entropy": lambda x: functional.cross_entropy(x, np.array([0, 1, 3])),
    "mse": lambda x: functional.mse(x, np.ones((3, 4), x.dtype)),
    "attention": lambda x: functional.attention(x, x * 2, x + 1),
    "masked attention": lambda x: functional.attention(x, x, x, np.tri(3, dtype=bool)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_keep_the_dtype_both_ways_and_twice(name, dtype):
    x = leaf(np.random.default_rng(0).standard_normal((3, 4)), dtype)
    y = COMPOSITES[name](x)
    assert y.dtype == dtype
    g = gradients(np.sum(y * y), x, create_graph=True)
    assert (g.dtype, g.shape) == (dtype, x.shape)
    assert gradients(np.sum(g * g), x).dtype == dtype


@pytest.mark.parametrize("dtype", FLOATS)
def test_transforms_keep_the_dtype(dtype):
    x = np.array([0.25, 0.5], dtype)
    f = lambda x: np.sum(np.sin(x) * x)  # noqa: E731
    value, g = value_and_grad(f)(x)
    assert (value.dtype, g.dtype) == (dtype, dtype)
    assert vjp(np.sin, x)[1](np.ones(2, dtype))[0].dtype == dtype
    assert {part.dtype for part in jvp(np.sin, (x,), (np.ones(2),))} == {np.dtype(dtype)}
    assert jacobian(np.sin)(x).dtype == hessian(f)(x).dtype == hvp(f, (x,), (x,))[1][0].dtype == dtype


# What has no gradient


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_that_want_a_gradient_are_refused(dtype):
    x = np.ones(2, dtype)
    with pytest.raises(DtypeError, match=f"{np.dtype(dtype)} data cannot want a gradient.*Pass dtype=float"):
        Tensor(x, requires_grad=True)
    t = Tensor(x)
    with pytest.raises(DtypeError, match="cannot want a gradient"):
        t.requires_grad = True
    assert not t.requires_grad
    with pytest.raises(DtypeError, match=r"args\[0\].* has no derivative"):
        value_and_grad(np.sum)(x)
    assert Tensor(x, requires_grad=True, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("kind", ["c8", "c16", "O", "U3", "S3", "M8[s]", "m8[s]", [("a", "f4")]], ids=str)
def test_what_is_no_real_number_is_refused_as_data_and_as_operand(kind):
    x, strange = leaf([1.0, 2.0]), np.zeros(2, kind)
    for wants_gradient in (False, True):
        with pytest.raises(DtypeError, match="operands are real numbers"):
            Tensor(strange, requires_grad=wants_gradient)
    for f in (operator.add, operator.mul, np.maximum, np.dot):
        with pytest.raises(DtypeError):
            f(x, strange)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_a_cotangent_of_another_dtype_is_refused(dtype):
    y = leaf([1.0, 2.0], np.float32) * 2
    with pytest.raises(CotangentError, match=rf"the cotangent is {np.dtype(dtype)}\[2\].* float32\[2\]"):
        y.backward(np.ones(2, dtype))


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
def test_the_other_byte_order_has_the_same_numbers_and_gradients(dtype):
    stored, x = np.array([0.25, 0.5, 1.0], dtype), np.array([0.25, 0.5, 1.0], dtype[1:])
    f = lambda x: np.sum(np.exp(x[np.array([0, 0, 2])]) * x @ x)  # noqa: E731
    (value, g), (plain, expected) = value_and_grad(f)(stored), value_and_grad(f)(x)
    assert value == plain
    assert g.dtype == stored.dtype
    np.testing.assert_array_equal(g, expected)
