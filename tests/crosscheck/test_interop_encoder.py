"""PyTorch's own encoder and its layers, by their names: equal vectors and gradients here, equal bits back there."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_torch_model import off
from torch import nn

from tinygrad_edu import Tensor
from transformer import TransformerConfig
from transformer.interop import Encoder, encoder_layout, from_encoder_layout, from_torch, to_torch
from transformer.interop.encoder import names_of

SIZES = {"vocab_size": 1, "embed_dim": 12, "num_heads": 3, "num_layers": 2, "ffn_dim": 20, "attention_bias": True}


def theirs(seed=0, layers=2, heads=3, final=False, dtype=torch.float64, **choices):
    """An encoder of theirs, in which nothing is 0 or 1, which would hide a factor."""
    torch.manual_seed(seed)
    layer = nn.TransformerEncoderLayer(12, heads, 20, batch_first=True, **{"dropout": 0.0, **choices})
    norm = nn.LayerNorm(12, layer.norm1.eps) if final else None
    encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False).to(dtype)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return encoder


def compare(ours, module, near, mask=None):
    """The vectors, and the gradients of the input and of every weight, under a drawn cotangent."""
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal((2, 3, 7, 12)).astype(ours.config.dtype)
    own, their = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = ours(own, mask), module(their, mask=None if mask is None else torch.tensor(~mask))
    assert off(y.numpy(), expected.numpy(force=True)) < near
    y.backward(g)
    expected.backward(torch.tensor(g))
    assert off(own.grad.numpy(), their.grad.numpy()) < near
    gradients = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    names = names_of(ours.config, ours.norm is not None)
    assert set(names) == set(gradients)
    parameters = dict(ours.named_parameters())
    for theirs, name in names.items():
        assert off(parameters[name].grad.numpy(), gradients[theirs].T) < near, name


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("final", [False, True])
def test_an_encoder_of_pytorchs_gives_its_vectors_and_gradients_here(norm_first, activation, final, tally):
    module = theirs(0, final=final, norm_first=norm_first, activation=activation, layer_norm_eps=1e-4)
    compare(from_torch(module), module, 1e-10)
    module = theirs(1, final=final, norm_first=norm_first, activation=activation, dtype=torch.float32)
    compare(from_torch(module), module, 1e-5)
    tally("encoders of PyTorch's read", 2)


@pytest.mark.parametrize("function", [F.silu, nn.GELU(approximate="tanh"), nn.GELU(), nn.ReLU(), nn.SiLU()])
@pytest.mark.parametrize("heads", [1, 4])
def test_other_activations_and_heads_are_known(function, heads):
    module = theirs(2, layers=1, heads=heads, activation=function)
    compare(from_torch(module), module, 1e-10)


def test_a_mask_means_the_opposite_there():
    mask = np.random.default_rng(3).random((7, 7)) < 0.5
    mask |= np.eye(7, dtype=bool)
    module = theirs(3)
    compare(from_torch(module), module, 1e-10, mask)


def test_one_layer_alone_is_an_encoder_of_one():
    module = theirs(4, layers=1, norm_first=True)
    ours = from_torch(module.layers[0])
    compare(ours, module, 1e-10)
    state = {name: tensor.numpy() for name, tensor in module.layers[0].state_dict().items()}
    again = from_encoder_layout(ours.config, state)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(
        again.state_dict().values(), ours.state_dict().values(), strict=True
    ))  # fmt: skip


@pytest.mark.parametrize(
    "choices", [{}, {"norm": "pre", "activation": "gelu_tanh"}, {"dtype": "float64", "dropout": 0.3}]
)
def test_an_encoder_goes_there_and_comes_back_bit_for_bit(choices):
    ours = Encoder(TransformerConfig(**SIZES, **choices), final_norm=bool(choices), seed=5).eval()
    module = to_torch(ours)
    assert type(module) is nn.TransformerEncoder and not module.training
    layout = encoder_layout(ours)
    assert list(layout) == list(names_of(ours.config, bool(choices))) and set(layout) == set(module.state_dict())
    for back in (from_torch(module), from_encoder_layout(ours.config, layout)):
        assert back.config.activation == ours.config.activation and back.config.dropout == ours.config.dropout
        state, expected = back.state_dict(), ours.state_dict()
        assert list(state) == list(expected)
        assert all(state[name].tobytes() == expected[name].tobytes() for name in expected)
    compare(ours, module.train(False), 1e-10 if ours.config.dtype == "float64" else 1e-5)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: theirs(bias=False), "bias=False has no counterpart"),
        (lambda: theirs(activation=torch.tanh), "activation .*tanh.* is none of relu, gelu, silu, gelu_tanh"),
        (lambda: changed(theirs(), "layers.1.activation", F.gelu), "layers of this encoder differ"),
        (lambda: changed(theirs(), "layers.1.norm2.eps", 1e-3), "the norms of a layer have eps 1e-05 and 0.001"),
        (lambda: changed(theirs(), "norm", nn.RMSNorm(12).double()), "the encoder ends with RMSNorm"),
        (lambda: changed(theirs(), "layers.0.linear1", nn.Linear(12, 24).double()), "layers of this encoder differ"),
        (lambda: theirs(dtype=torch.float16), "float16"),
    ],
)
def test_encoders_without_a_counterpart_here_are_refused(module, words):
    with pytest.raises(ValueError, match=words):
        from_torch(module())


def changed(module, path, value):
    *way, name = path.split(".")
    setattr(module.get_submodule(".".join(way)), name, value)
    return module


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"attention_bias": False}, "attention_bias = False has no counterpart"),
        ({"positions": "rotary"}, "positions = 'rotary' has no counterpart"),
        ({"norm_kind": "rms"}, "norm_kind = 'rms'"),
        ({"gated": True}, "gated = True"),
        ({"without": ("residual", "positions")}, r"without = \('residual',\)"),
    ],
)
def test_configurations_without_a_counterpart_there_are_refused(choices, words):
    config = TransformerConfig(**SIZES | choices)
    with pytest.raises(ValueError, match=words):
        to_torch(Encoder(config))
    with pytest.raises(ValueError, match=words):
        from_encoder_layout(config, {})


def test_names_that_do_not_fit_are_listed():
    layout = encoder_layout(Encoder(TransformerConfig(**SIZES)))
    layout["layers.0.surplus"] = layout.pop("layers.1.norm2.bias")
    with pytest.raises(ValueError, match="(?s)missing: blocks.1.norm2.bias.*unexpected: layers.0.surplus"):
        from_encoder_layout(TransformerConfig(**SIZES), layout)
