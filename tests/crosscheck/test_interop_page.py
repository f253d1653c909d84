"""What the page about other libraries shows is what happens, and arrays pass between them without a copy."""

import re

import jax
import numpy as np
import pytest
import test_pages_that_run
import torch

from tinygrad_edu import Tensor, errors


def test_page_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setitem(test_pages_that_run.PAGES, "interop.md", 9)
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


@pytest.mark.parametrize("size", [2, 5000])  # compared by their bytes, and by a checksum
@pytest.mark.parametrize("change", ["operand", "exported result", "exported leaf"])
def test_memory_that_another_library_changes_gives_no_gradient(size, change):
    w, data = Tensor(np.ones(size), requires_grad=True), torch.ones(size, dtype=torch.float64)
    if change == "operand":
        loss, shared = np.sum(w * data), data
    elif change == "exported result":
        y = np.exp(w)
        loss, shared = np.sum(y), torch.from_dlpack(y.detach())
    else:
        loss, shared = np.sum(w * w), torch.from_dlpack(w.detach())
    shared[size - 1] = 7.0
    with pytest.raises(errors.MutationError, match="as it was in the forward pass"):
        loss.backward()


def test_views_pass_as_they_lie_and_backwards_ones_as_copies():
    """PyTorch ends the process when it is given a negative stride."""
    x = Tensor(np.arange(12.0).reshape(3, 4))
    for view, shares in [(x.T, True), (x[:, ::2], True), (x[1:], True), (x[::-1], False), (np.flip(x), False)]:
        theirs = torch.from_dlpack(view)
        assert theirs.tolist() == view.numpy().tolist()
        assert (theirs.data_ptr() == view.data.__array_interface__["data"][0]) == shares
        assert np.shares_memory(np.from_dlpack(view), view.data) == shares
    for view in (x.T, x[::-1]):
        assert jax.numpy.from_dlpack(view).tolist() == view.numpy().tolist()
    assert torch.from_dlpack(x[:0, ::-1]).shape == (0, 4)
    with pytest.raises(BufferError, match="lies backwards in memory"):
        torch.from_dlpack(x[::-1], copy=False)
    copy = jax.numpy.from_dlpack(x, copy=True)
    x.data[0] = 99.0
    assert copy[0].tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", [torch.bfloat16, "bfloat16", "gradient"])
def test_what_numpy_cannot_read_is_refused_with_the_users_line(kind):
    if kind == "gradient":
        theirs, words = torch.ones(2, requires_grad=True), "Can't export tensors that require gradient"
    else:
        theirs = torch.ones(2, dtype=kind) if kind is torch.bfloat16 else jax.numpy.ones(2, kind)
        words = "Unsupported dtype"
    for call in (Tensor, Tensor([1.0, 2.0]).__mul__):
        with pytest.raises(errors.DtypeError, match=f"NumPy cannot read this .*{words}.* Called at "):
            call(theirs)


def test_operands_of_other_libraries_are_taken_and_gradients_stay_ours():
    x = Tensor([1.0, 2.0], requires_grad=True)
    np.sum(x * Tensor(torch.tensor([3.0, 4.0], dtype=torch.float64))).backward()
    assert x.grad.numpy().tolist() == [3.0, 4.0]
    for export in (torch.from_dlpack, jax.numpy.from_dlpack):
        with pytest.raises(errors.LostGradientError, match=re.escape("x.detach() shares the values")):
            export(x)
