"""A backward pass starts from a cotangent of its output's shape and dtype, and from nothing else."""

import re

import numpy as np
import pytest

from tinygrad_edu import Tensor
from tinygrad_edu.errors import CotangentError, ShapeError


def leaf(values, **keywords):
    return Tensor(values, requires_grad=True, **keywords)


def here(pattern):
    """A message that names a line of this file."""
    return re.compile(pattern + r".*at test_cotangents\.py:\d+", re.S)


@pytest.mark.parametrize("cotangent", [np.ones(3), np.ones((2, 1)), 1.0, np.ones(2, np.float32), np.ones(2, int)])
def test_a_cotangent_of_another_shape_or_dtype_is_refused(cotangent):
    x = leaf([1.0, 2.0])
    with pytest.raises(CotangentError, match=here(r"the cotangent is .*, the output it belongs to is float64\[2\]")):
        (x * x).backward(cotangent)
    assert x.grad is None


@pytest.mark.parametrize(
    "cotangent",
    ["a", [None, None], [[1.0], [1.0, 2.0]], [1j, 1.0], {}, 10**400, np.ma.masked_array([1.0, 2.0], [True, False]),
     np.array([1.0, None]), np.ones((1, 2)).view(np.matrix)],
    ids=str,
)  # fmt: skip
def test_a_cotangent_that_is_no_array_of_real_numbers_is_refused(cotangent):
    x = leaf([1.0, 2.0])
    with pytest.raises(CotangentError, match=here("the cotangent: ")):
        (x * x).backward(cotangent)
    assert x.grad is None


def test_several_outputs_need_a_cotangent():
    x = leaf([1.0, 2.0])
    with pytest.raises(CotangentError, match=here(r"backward\(\) from shape \(2,\) needs a cotangent of that shape")):
        (x * x).backward()
    (x[:1] * 3.0).backward()
    assert x.grad.tolist() == [3.0, 0.0]


def test_a_gradient_of_another_shape_is_refused():
    x = leaf([1.0, 2.0])
    with pytest.raises(CotangentError):
        x.grad = np.ones(3)
    with pytest.raises(ShapeError):
        x.data = np.ones(3)
