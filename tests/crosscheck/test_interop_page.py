"""What the page about other libraries shows is what happens, and arrays pass between them without a copy."""

import re

import jax
import numpy as np
import pytest
import test_pages_that_run
import torch

from tinygrad_edu import Tensor, errors


def test_page_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setitem(test_pages_that_run.PAGES, "interop.md", 7)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    test_pages_that_run.test_page_runs_and_prints_what_it_says("interop.md", tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_arrays_pass_by_dlpack_with_shape_dtype_and_memory(shape, dtype):
    array = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    ours = Tensor(array)
    theirs = torch.from_dlpack(ours)
    assert str(theirs.dtype) == f"torch.{dtype}" and tuple(theirs.shape) == shape
    assert theirs.numpy().tobytes() == array.tobytes()
    assert not array.size or theirs.data_ptr() == ours.data.__array_interface__["data"][0]
    back = Tensor(theirs)
    assert (back.dtype, back.shape) == (dtype, shape) and back.numpy().tobytes() == array.tobytes()
    with jax.enable_x64(True):
        there = jax.numpy.from_dlpack(ours)
        assert (there.dtype, there.shape) == (dtype, shape) and np.asarray(there).tobytes() == array.tobytes()
        assert Tensor(there).numpy().tobytes() == array.tobytes()


def test_operands_of_other_libraries_are_taken_and_gradients_stay_ours():
    x = Tensor([1.0, 2.0], requires_grad=True)
    np.sum(x * Tensor(torch.tensor([3.0, 4.0], dtype=torch.float64))).backward()
    assert x.grad.numpy().tolist() == [3.0, 4.0]
    for export in (torch.from_dlpack, jax.numpy.from_dlpack):
        with pytest.raises(errors.LostGradientError, match=re.escape("x.detach() shares the values")):
            export(x)
