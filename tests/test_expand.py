"""One operation as its scalars: the same numbers, the same gradients, and never more of them than was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, draw, expand, gradients
from tinygrad_edu import functional as F
from tinygrad_edu.backward import reachable
from tinygrad_edu.errors import ShapeError, UnsupportedError
from tinygrad_edu.render import expansion_view, scalars

MASK = np.array([[True, True, False, True], [False, True, True, True]])
OPERATIONS = {
    "matmul": (np.matmul, [(2, 3), (3, 2)], {}),
    "a vector times a matrix": (np.matmul, [(3,), (3, 2)], {}),
    "tanh": (np.tanh, [(3,)], {}),
    "a broadcast product": (np.multiply, [(2, 3), (3,)], {}),
    "a variance": (np.var, [(4,)], {}),
    "softmax": (F.softmax, [(2, 3)], {}),
    "log-softmax": (F.log_softmax, [(2, 3)], {}),
    "layer norm": (F.layer_norm, [(2, 3), (3,), (3,)], {}),
    "rms norm": (F.rms_norm, [(2, 3)], {}),
    "gelu": (F.gelu, [(3,)], {}),
    "silu": (F.silu, [(3,)], {}),
    "relu": (F.relu, [(3,)], {}),
    "attention": (F.attention, [(2, 3), (4, 3), (4, 2)], {}),
    "masked attention": (F.attention, [(2, 3), (4, 3), (4, 2)], {"mask": MASK}),
    "cross-entropy": (F.cross_entropy, [(2, 3)], {"targets": np.array([2, 0])}),
    "embedding": (F.embedding, [(4, 2)], {"ids": np.array([[1, 3], [1, 0]])}),
    "convolution": (F.conv2d, [(2, 4, 4), (1, 2, 2, 2), (1,)], {}),
    "max pooling": (F.max_pool1d, [(6,)], {"kernel_size": 2}),
}


def both(name, seed):
    """The operation on tensors and on scalars, and what it was given."""
    f, shapes, keywords = OPERATIONS[name]
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape) for shape in shapes]
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    cells = [scalars(array, f"x{k}") for k, array in enumerate(arrays)]
    return f(*tensors, **keywords), tensors, expand(f, *cells, **keywords), cells, rng


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_scalars_have_the_numbers_and_gradients_of_their_operation(name, seed):
    whole, tensors, zoomed, cells, rng = both(name, seed)
    np.testing.assert_allclose(zoomed.numpy(), whole.numpy(), rtol=1e-12, atol=1e-13)
    g = Tensor(rng.normal(size=whole.shape))
    wanted = np.concatenate([found.numpy().ravel() for found in gradients(whole, tensors, g)])
    leaves = [cell for each in cells for cell in each.ravel()]
    found = gradients(zoomed, leaves, g, allow_unused=True)
    values = [0.0 if one is None else one.item() for one in found]
    np.testing.assert_allclose(values, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_element_is_that_element_of_the_whole(name):
    whole, _, _, cells, _ = both(name, 0)
    f, _, keywords = OPERATIONS[name]
    place = tuple(n - 1 for n in whole.shape)
    one = expand(f, *cells, element=place, **keywords)
    assert one.shape == () and one.item() == pytest.approx(whole.numpy()[place], rel=1e-12)
    assert all(node.shape == () for node in reachable([one._node]))


def test_leaves_are_named_after_the_arguments_and_their_places():
    x, y = np.ones((2, 2)), np.ones((2, 2))
    one = expand(np.matmul, x, y, element=(0, 1))
    names = {node.name for node in reachable([one._node]) if node.operation is None}
    assert names == {"x[0, 0]", "x[0, 1]", "y[0, 1]", "y[1, 1]"}
    view = expansion_view(np.matmul, x, y, element=(0, 1))
    assert [node.label for node in view.nodes if node.kind == "operation"] == ["multiply", "multiply", "add"]
    assert "multiply" in str(draw(one, "dot"))


def test_the_number_of_scalars_is_told_before_one_is_made():
    with pytest.raises(ShapeError, match=r"matmul on \(30, 30\) and \(30, 30\) is 54900 scalars, more than 2000"):
        expand(np.matmul, np.ones((30, 30)), np.ones((30, 30)))
    with pytest.raises(ShapeError, match="more than 10"):
        expand(np.matmul, np.ones((30, 30)), np.ones((30, 30)), element=(0, 0), budget=10)
    small = np.ones((2, 3)), np.ones((3, 2))
    with pytest.raises(ShapeError, match="is 32 scalars"):
        expand(np.matmul, *small, budget=31)
    assert len(reachable([expand(np.matmul, *small)._node])) == 32 + 2  # and what stacks them


def test_what_is_not_made_of_scalars_is_refused_by_name():
    for f, name in ((np.sort, "sort"), (np.linalg.inv, "linalg.inv"), (np.cumsum, "cumsum")):
        with pytest.raises(UnsupportedError, match=f"expand: {name} is an operation that is not made of scalars"):
            expand(f, np.ones((2, 2)))
    with pytest.raises(UnsupportedError, match="returned tuple"):
        expand(lambda x: (x, x), np.ones(2))
