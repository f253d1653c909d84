"""Composites have no rule; what the engine derives from their forward code is what PyTorch's own kernels say."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from compare import assert_agree

from tinygrad_edu import functional

SHAPES = [(5,), (1,), (3, 3), (2, 1, 4), (2, 3, 3)]
ELEMENTWISE = {
    "relu": (functional.relu, F.relu),
    "sigmoid": (functional.sigmoid, torch.sigmoid),
    "silu": (functional.silu, F.silu),
    "gelu": (functional.gelu, F.gelu),
    "gelu_tanh": (lambda x: functional.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh")),
}
ALONG_AN_AXIS = {
    "softmax": (functional.softmax, F.softmax),
    "log_softmax": (functional.log_softmax, F.log_softmax),
    "logsumexp": (functional.logsumexp, torch.logsumexp),
}


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape) * 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_activation_agrees(name, shape, tally):
    assert_agree(*ELEMENTWISE[name], [draw(*shape)], name)
    tally("cases of functional")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALONG_AN_AXIS)
def test_normalisation_along_any_axis_agrees(name, shape, tally):
    ours, theirs = ALONG_AN_AXIS[name]
    for axis in range(-len(shape), len(shape)):
        assert_agree(lambda x, d=axis: ours(x, d), lambda x, d=axis: theirs(x, d), [draw(*shape)], f"{name} {axis}")
        tally("cases of functional")


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4), (4, 4)])
def test_norms_agree(shape, tally):
    wide = shape[-1:]
    x, weight, bias = draw(*shape), draw(*wide, seed=1), draw(*wide, seed=2)
    assert_agree(
        lambda x, w, b: functional.layer_norm(x, w, b, 1e-5),
        lambda x, w, b: F.layer_norm(x, wide, w, b, 1e-5),
        [x, weight, bias], "layer_norm",
    )  # fmt: skip
    assert_agree(
        lambda x, w: functional.rms_norm(x, w, 1e-5), lambda x, w: F.rms_norm(x, wide, w, 1e-5), [x, weight], "rms_norm"
    )
    tally("cases of functional", 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore", [None, 0])
@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 6), (5, 5)])
def test_cross_entropy_agrees(shape, ignore, smoothing, tally):
    targets = np.random.default_rng(3).integers(0, shape[-1], shape[:-1])
    targets.flat[:2] = 0, 1
    assert_agree(
        lambda z: functional.cross_entropy(z, targets, ignore=ignore, label_smoothing=smoothing),
        lambda z: F.cross_entropy(
            z.reshape(-1, shape[-1]), torch.tensor(targets).reshape(-1),
            ignore_index=-100 if ignore is None else ignore, label_smoothing=smoothing,
        ),
        [draw(*shape)], "cross_entropy",
    )  # fmt: skip
    tally("cases of functional")


@pytest.mark.parametrize("shape", SHAPES)
def test_mse_agrees(shape, tally):
    assert_agree(functional.mse, F.mse_loss, [draw(*shape), draw(*shape, seed=1)], "mse")
    tally("cases of functional")


def test_embedding_agrees_for_repeated_ids(tally):
    ids = np.array([[1, 3, 3], [0, 1, 3]])
    theirs = torch.tensor(ids)
    assert_agree(lambda w: functional.embedding(w, ids), lambda w: F.embedding(theirs, w), [draw(5, 4)], "embedding")
    tally("cases of functional")


def torch_attention(q, k, v, mask, bias=0.0):
    """Spelled out: PyTorch's fused kernel has no second derivative."""
    scores = q @ k.mT / q.shape[-1] ** 0.5 + bias
    return F.softmax(scores if mask is None else scores.masked_fill(~torch.tensor(mask), -torch.inf), dim=-1) @ v


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 2, 3, 3), (1, 4, 4, 2)])
def test_attention_agrees(shape, masked, tally):
    length = shape[-2]
    mask = np.tril(np.ones((length, length), bool)) if masked else None
    assert_agree(
        lambda q, k, v: functional.attention(q, k, v, mask),
        lambda q, k, v: torch_attention(q, k, v, mask),
        [draw(*shape, seed=seed) for seed in range(3)], "attention",
    )  # fmt: skip
    assert_agree(
        lambda q, k, v, bias: functional.attention(q, k, v, mask, bias=bias),
        lambda q, k, v, bias: torch_attention(q, k, v, mask, bias),
        [*(draw(*shape, seed=seed) for seed in range(3)), draw(length, length)], "attention with a bias",
    )  # fmt: skip
    tally("cases of functional", 2)
