"""Every member of an ndarray is a member of a Tensor with the same values and dtype, or says why it is not."""

import copy
import operator

import numpy as np
import pytest

from tinygrad_edu import Tensor, explain
from tinygrad_edu.errors import AbsentError, DtypeError, ItemAssignmentError, UnsupportedError

# Python finds no special method here and does what a value wants: x += y rebinds, copies go through __reduce__.
LEFT_TO_PYTHON = {
    *(f"__i{name}__" for name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()),
    "__copy__", "__deepcopy__", "__setstate__", "__complex__", "__class_getitem__",
}  # fmt: skip
# With one of these NumPy would take a Tensor for its bare array, and lose the gradient without a word.
WOULD_LOSE_THE_GRADIENT = {
    "__array_interface__", "__array_struct__", "__array_finalize__", "__array_wrap__", "__array_namespace__"
}  # fmt: skip
ABSENT = [
    "base", "byteswap", "ctypes", "dump", "dumps", "fill", "flags", "getfield", "put", "resize", "setfield",
    "setflags", "strides", "tofile", "view",
]  # fmt: skip

START = np.array([[3, -1, 2], [0, 5, -4]])
ODD = np.array([True, False, True])


def differs(found, expected):
    """What is not the same: kind, dtype, shape or value; empty if nothing is."""
    if isinstance(expected, tuple):
        return "".join(differs(a, b) for a, b in zip(found, expected, strict=True))
    if isinstance(expected, np.ndarray | np.generic) and isinstance(found, Tensor):
        if (found.dtype, found.shape) != (expected.dtype, expected.shape):
            return f"{found.dtype}{found.shape} for {expected.dtype}{expected.shape}"
        same = np.array_equal(found.numpy(), expected) or np.allclose(found.numpy(), expected, rtol=1e-6, atol=0)
        return "" if same else f"{found.numpy()} for {expected}"
    return "" if type(found) is type(expected) and found == expected else f"{found!r} for {expected!r}"


def test_every_member_of_an_ndarray_is_there_or_says_why_not():
    missing = set(dir(np.ndarray)) - set(dir(Tensor))
    assert missing - WOULD_LOSE_THE_GRADIENT <= LEFT_TO_PYTHON
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    for name in set(dir(np.ndarray)) & set(dir(Tensor)) - {"__array__", "__dlpack__", "grad"}:
        if name not in ABSENT:
            getattr(x, name)


@pytest.mark.parametrize("name", ABSENT)
def test_what_a_tensor_leaves_out_says_why_and_what_to_use(name):
    x = Tensor([1.0, 2.0])
    assert not hasattr(x, name)
    with pytest.raises(AbsentError, match=rf"a Tensor has no {name}: .*\. Called .*test_tensor_methods\.py"):
        getattr(x, name)


def test_a_tensor_is_copied_although_it_leaves_copying_to_python():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for twin in (copy.copy(x), copy.deepcopy(x)):
        assert twin.tolist() == [1.0, 2.0] and twin.requires_grad
        twin.data[0] = 7.0
    assert x.tolist() == [1.0, 2.0]


def test_a_tensor_made_of_a_tracked_one_knows_who_cut_it_off():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert "Tensor(...)" in explain(Tensor(x * 2)) and "test_tensor_methods.py" in explain(Tensor(x * 2) + 1)
    assert Tensor(x, requires_grad=True).is_leaf


METHODS = {
    "sum by place": lambda x: x.sum(0, np.float32, None, True),
    "sum of chosen ones": lambda x: x.sum(1, where=ODD),
    "sum from a start": lambda x: x.sum(0, None, None, False, 5),
    "prod by place": lambda x: x.prod(0, None, None, True),
    "mean by place": lambda x: x.mean(0, np.float32, None, True),
    "mean of chosen ones": lambda x: x.mean(1, where=ODD),
    "max by place": lambda x: x.max(0, None, True, 3),
    "min of chosen ones": lambda x: x.min(1, None, False, 9, ODD),
    "var by place": lambda x: x.var(0, None, None, 1, True),
    "std by place": lambda x: x.std(0, None, None, 1),
    "cumsum by place": lambda x: x.cumsum(1, np.float32),
    "cumprod": lambda x: x.cumprod(1),
    "argmax": lambda x: x.argmax(1, keepdims=True),
    "argmin": lambda x: x.argmin(0),
    "all": lambda x: x.all(axis=0, keepdims=True),
    "any of chosen ones": lambda x: x.any(1, where=ODD),
    "argsort, stable": lambda x: x.argsort(0, "stable"),
    "argsort of all": lambda x: x.argsort(None),
    "argpartition": lambda x: x.argpartition([0, 2], None),
    "searchsorted": lambda x: x[0].searchsorted([0, 9], "right", np.argsort(x[0])),
    "nonzero": lambda x: x.nonzero(),
    "what is nonzero": lambda x: x[x.nonzero()],
    "reshape in columns": lambda x: x.reshape(3, 2, order="F"),
    "reshape to a list": lambda x: x.reshape([3, -1]),
    "reshape by NumPy's integers": lambda x: x.reshape(np.int64(3), np.int64(2)),
    "reshape to a copy": lambda x: x.reshape((3, 2), copy=True),
    "reshape to no axis": lambda x: x[:1, :1].reshape(()),
    "transpose": lambda x: x.transpose(),
    "transpose of None": lambda x: x.transpose(None),
    "transpose by arguments": lambda x: x.transpose(-1, -2),
    "transpose by a list": lambda x: x.transpose([1, 0]),
    "transpose by NumPy's integer": lambda x: x[0].transpose(np.int64(0)),
    "ravel in columns": lambda x: x.ravel("F"),
    "flatten in columns": lambda x: x.flatten("F"),
    "squeeze": lambda x: x[:1].squeeze((0,)),
    "trace": lambda x: x.trace(1, 0, 1),
    "diagonal": lambda x: x.diagonal(-1, 1, 0),
    "take": lambda x: x.take([[0, 1], [2, -1]]),
    "repeat": lambda x: x.repeat([1, 2, 3], 1),
    "compress": lambda x: x.compress([True, False], 0),
    "compress of all": lambda x: x.compress([0, 1, 1]),
    "choose": lambda x: (x > 0).astype(int).choose([x, x * 2]),
    "astype, refused unless safe": lambda x: x.astype("f8", "K", "safe"),
    "astype without a copy": lambda x: x.astype(x.dtype, copy=False),
    "copy": lambda x: x.copy("F"),
    "clip": lambda x: x.clip(min=-1),
    "round": lambda x: x.round(-1),
    "dot": lambda x: x.dot(x.T),
    "real": lambda x: x.real,
    "imag": lambda x: x.imag,
    "conj": lambda x: x.conj(),
    "conjugate": lambda x: x.conjugate(),
    "flat": lambda x: x.flat[4],
    "itemsize": lambda x: x.itemsize,
    "device": lambda x: x.device,
    "tobytes": lambda x: x.tobytes("F"),
    "item at a place": lambda x: x.item(1, 2),
    "item at a number": lambda x: x.item(4),
    "item at a tuple": lambda x: x.item((0, 1)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize("what", METHODS)
def test_methods_give_an_arrays_values_and_dtype(what, dtype):
    call, x = METHODS[what], START.astype(dtype)
    assert differs(call(Tensor(x)), call(x)) == ""
    if dtype != "int64":
        assert differs(call(Tensor(x, requires_grad=True)), call(x)) == ""


def test_truth_values_are_real_too():
    x = Tensor([True, False])
    for found in (x.real, x.conj(), x.conjugate()):
        assert found.dtype == bool and found.tolist() == [True, False]
    assert x.imag.tolist() == [False, False]


def test_a_method_that_sorts_in_place_returns_a_copy():
    x = Tensor([3.0, 1.0, 2.0])
    assert x.sort().tolist() == [1.0, 2.0, 3.0] and x.partition(0)[0].item() == 1.0
    assert x.tolist() == [3.0, 1.0, 2.0]


def test_new_methods_pass_gradients_on():
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x.compress([1, 0, 1]).sum() + x.real.sum() * 10 + x.partition(0)[0] * 100
    (y + Tensor([0, 1]).choose([x[:2], x[1:]]).sum() * 1000).backward()
    assert x.grad.tolist() == [1111.0, 10.0, 1011.0]


@pytest.mark.parametrize("call", [
    lambda x: x.sum(0, None, np.zeros(2)), lambda x: x.max(0, np.zeros(2)), lambda x: x.cumsum(0, None, np.zeros(4)),
    lambda x: x.dot(x, np.zeros(())), lambda x: x.take([0], None, np.zeros(1)),
    lambda x: x.trace(0, 0, 1, None, np.zeros(())), lambda x: x.clip(0, 1, np.zeros((2, 2))),
    lambda x: x.compress([1], 0, np.zeros((1, 2))),
])  # fmt: skip
def test_a_buffer_to_write_into_is_refused_wherever_it_stands(call):
    with pytest.raises(UnsupportedError, match="out="):
        call(Tensor(np.ones((2, 2)), requires_grad=True))


def test_what_cannot_be_cast_or_moved_or_deleted_is_refused():
    x = Tensor([1.5, 2.5])
    with pytest.raises(DtypeError, match="float64 to int64 is not 'safe'"):
        x.astype(int, casting="safe")
    with pytest.raises(ValueError, match="'cpu' alone"):
        x.to_device("cuda")
    with pytest.raises(ItemAssignmentError, match=r"np\.delete"):
        del x[0]


# Operators of integers and truth values

BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]
LEFT, RIGHT = np.array([6, 3, -5]), np.array([1, 2, 3])


@pytest.mark.parametrize("f", [*BITWISE, divmod], ids=lambda f: f.__name__)
def test_operators_on_integers_are_numpys_on_either_side(f):
    expected = f(LEFT, RIGHT)
    for x, y in ((Tensor(LEFT), Tensor(RIGHT)), (Tensor(LEFT), RIGHT), (Tensor(LEFT), [1, 2, 3])):
        assert differs(f(x, y), expected) == ""
    assert differs(f([6, 3, -5], Tensor(RIGHT)), expected) == ""
    assert differs(f(13, Tensor(RIGHT)), f(13, RIGHT)) == ""
    assert differs(f(Tensor(LEFT), 3), f(LEFT, 3)) == ""
    if f is not divmod:
        assert differs(f(LEFT, Tensor(RIGHT)), expected) == ""


def test_bits_of_integers_are_flipped_and_truth_values_negated():
    assert differs(~Tensor(LEFT), ~LEFT) == "" and differs(~Tensor(LEFT > 0), ~(LEFT > 0)) == ""
    for f in BITWISE[:3]:
        p, q = np.array([True, True, False, False]), np.array([True, False, True, False])
        assert differs(f(Tensor(p), Tensor(q)), f(p, q)) == ""


@pytest.mark.parametrize("f", BITWISE, ids=lambda f: f.__name__)
def test_floats_have_no_bits(f):
    x = Tensor([1.0, 2.0], requires_grad=True)
    for call in (lambda: f(x, x), lambda: f(x > 1, x), lambda: f(2.5, Tensor([1])), lambda: ~x):
        with pytest.raises(DtypeError, match=r"compare floats first, as in \(x > 0\) & \(x < 1\)"):
            call()


def test_an_augmented_assignment_rebinds_and_leaves_the_old_tensor_alone():
    for f in (operator.iand, operator.ilshift, operator.iadd, operator.ifloordiv):
        x = old = Tensor([6, 3])
        x = f(x, 2)
        assert x is not old and old.tolist() == [6, 3] and x.tolist() == f(np.array([6, 3]), 2).tolist()


def test_divmod_is_a_step_and_a_slope():
    """7.5 = 3 · 2 + 1.5: the quotient carries no gradient, the remainder has slope 1 in x and −3 in y."""
    x, y = Tensor(7.5, requires_grad=True), Tensor(2.0, requires_grad=True)
    quotient, remainder = divmod(x, y)
    assert (quotient.item(), remainder.item()) == (3.0, 1.5)
    assert not quotient.requires_grad
    remainder.backward()
    assert (x.grad.item(), y.grad.item()) == (1.0, -3.0)


def test_round_is_numpys_and_carries_no_gradient():
    x = Tensor([1.256, 2.5], requires_grad=True)
    assert round(x).tolist() == [1.0, 2.0] and round(x, 2).tolist() == [1.26, 2.5]
    assert not round(x).requires_grad
    assert round(Tensor([15, 25]), -1).tolist() == [20, 20]
