"""Every operation of the registry, forward and backward, written as ONNX and run by onnxruntime.

Calls are drawn as the tests of the rules draw them. onnxruntime has float32 kernels for all of ONNX, and float64 ones
for most of it: where it has, the numbers are compared to nearly the last digit.
"""

import numpy as np
import onnxruntime
import pytest
from calls import OPERATIONS, calls
from calls.checks import inner, normal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, grad, gradients
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.onnx import counterparts, to_onnx

NEAR = {np.dtype("float32"): 2e-5, np.dtype("float64"): 1e-12}
LINEAR_ALGEBRA = "of linear algebra it has products and Det"
ORDER = "how it orders what is on one side of the pivot"
few = settings(
    max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
onnxruntime.set_default_logger_severity(4)


def session_of(model):
    """None where onnxruntime has no kernel for these dtypes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None


def compared(f, inputs):
    """Is f's ONNX model run, with the numbers that f gives?"""
    model = to_onnx(f, *inputs)
    session = session_of(model)
    if session is None:
        return False
    names = [each.name for each in session.get_inputs()]
    found = session.run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))
    for y, theirs in zip(f(*[Tensor(array, requires_grad=True) for array in inputs]), found, strict=True):
        ours = np.asarray(y.numpy() if isinstance(y, Tensor) else y)
        assert (theirs.dtype, theirs.shape) == (ours.dtype, ours.shape)
        near = NEAR.get(ours.dtype, 0.0)
        largest = np.max(np.abs(ours), initial=0.0, where=np.isfinite(ours)) if near else 0.0
        np.testing.assert_allclose(theirs, ours, rtol=near, atol=near * max(1.0, largest))
    return True


def gradient_of(call, count):
    """The arguments and the cotangents ↦ the gradients: a backward graph."""

    def backward(*given):
        xs, cotangents = list(given[:count]), given[count:]
        return gradients(inner(call(*xs), cotangents), xs, create_graph=True)

    return backward


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_onnxruntime_gives_the_numbers_of_every_operation_and_of_its_gradient(operation, tally):
    ran = {"forward": 0, "backward": 0, "refused": 0}

    @few
    @given(call=calls(operation), seed=st.integers(0, 99))
    def holds(call, seed):
        rng = np.random.default_rng(seed)
        for dtype in ("float32", "float64"):
            arrays = [array.astype(dtype) for array in call.arrays]
            try:
                ran["forward"] += compared(lambda *xs: call(*xs), arrays)
                outputs = [np.asarray(y) for y in call(*arrays)]
                if all(y.dtype.kind == "f" for y in outputs):
                    ran["backward"] += compared(gradient_of(call, len(arrays)), arrays + normal(rng, outputs))
            except UnsupportedError as error:
                assert LINEAR_ALGEBRA in str(error) or ORDER in str(error), error
                ran["refused"] += 1

    holds()
    assert (ran["forward"] > 2 and ran["backward"] > 0) or ran["refused"], ran
    for what, number in ran.items():
        tally(f"{what} calls as ONNX", number)


SMALL, LARGE = [1e-12, -3e-7, 1e-3, 0.0, -0.7, 5.0], [3e30, -4e30, 0.0, 2e-30, 1.0, -2.0]


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (np.expm1, (SMALL,)),
        (np.log1p, (SMALL,)),
        (np.logaddexp, ([-60.0, 700.0, 0.0], [0.0, 700.0, -1e-9])),
        (np.hypot, (LARGE, LARGE[::-1])),
        (np.arctan2, ([1.0, -1.0, 1.0, -1.0, 0.0, 2.0, -2.0, 0.0], [1.0, 1.0, -1.0, -1.0, -1.0, 0.0, 0.0, 3.0])),
        (np.copysign, ([1.0, -2.0, 3.0, 4.0], [-0.0, 0.0, -np.inf, np.inf])),
        (np.remainder, ([7.0, -7.0, 7.0, -7.0, 6.0, -6.0], [3.0, 3.0, -3.0, -3.0, -3.0, 3.0])),
        (np.sinc, (SMALL,)),
        (np.fmax, ([1.0, np.nan, 2.0], [np.nan, 4.0, 3.0])),
        (np.trunc, ([-1.7, 1.7, -0.2],)),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_formulas_keep_their_digits_and_signs_where_the_plain_ones_lose_them(f, inputs, dtype):
    arrays = [np.array(each, dtype) for each in inputs]
    session = session_of(to_onnx(f, *arrays))
    if session is None:
        pytest.skip(f"onnxruntime has no {dtype} kernel")
    (found,) = session.run(None, {f"input_{k}": array for k, array in enumerate(arrays)})
    np.testing.assert_allclose(found, f(*arrays), rtol=1e-6 if dtype == "float32" else 4e-15)


def test_the_table_says_of_every_operation_what_onnx_has_for_it_or_why_nothing():
    found = dict(counterparts())
    assert not [name for name, reason in found.items() if reason.endswith("in the table")]
    assert sum(not reason for reason in found.values()) > 150


x = np.array([0.5, -1.0, 2.0], np.float32)


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: x * float(np.max(x.numpy())), "multiply at .* is not the same for other inputs"),
        (lambda x: x * 2 if x[0].item() > 0.5 else -x, "is not the same for other inputs"),
        (lambda x: np.sum(x) + np.sum(x.numpy()), "add at .* is not the same"),
        (lambda x: np.linalg.inv(x[:, None] * x + np.eye(3, dtype="f")), "linalg.inv at .*ONNX has no counterpart"),
        (lambda x: x[x > 0], "getitem at .* picks a number of elements that no shape can name"),
        (lambda x: np.nonzero(x)[0] * 1.0, "nonzero at .* depends on the data"),
    ],
)
def test_what_a_trace_cannot_show_is_refused_with_the_line(f, words):
    with pytest.raises(UnsupportedError, match=words):
        to_onnx(f, x)


def test_constants_are_stored_once_and_dead_nodes_not_at_all():
    weight = np.arange(3, dtype=np.float32)

    def f(x):
        np.exp(x * 3.0)
        return x * weight + np.tanh(x + weight)

    model = to_onnx(f, x, names=["x"])
    assert [node.op_type for node in model.graph.node] == ["Mul", "Add", "Tanh", "Add", "Identity"]
    assert len(model.graph.initializer) == 1 and [each.name for each in model.graph.input] == ["x"]


def test_a_gradient_of_a_gradient_takes_its_inputs_as_they_are():
    """Each time that a function is differentiated it gets its inputs anew: no product with 1, and no node at all."""
    inner = grad(lambda x: np.sum(np.tanh(x) * x))
    model = to_onnx(grad(lambda x: np.sum(inner(x) ** 2)), x, names=["x"])
    first = model.graph.node[0]
    assert (first.op_type, list(first.input)) == ("Tanh", ["x"])
    assert [node.op_type for node in model.graph.node].count("Identity") == 1  # which names the output


def test_inputs_are_given_back_unchanged_and_names_must_fit():
    tensor = Tensor(x, requires_grad=True)
    before = tensor.data
    to_onnx(lambda x: x * x, tensor)
    assert tensor.data is before and (tensor.numpy() == x).all()
    with pytest.raises(ValueError, match="2 names for 1 inputs"):
        to_onnx(lambda x: x, x, names=["a", "b"])
