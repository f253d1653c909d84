"""Models that go to PyTorch and come back: equal logits and gradients there, equal bits here."""

import copy
import dataclasses

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from test_torch_model import DECODER, SMALL, VARIANTS, batch_for, off

from tinygrad_edu import functional
from transformer import Transformer, TransformerConfig
from transformer.config import CHOICES, PARTS
from transformer.headers import CheckpointError
from transformer.interop import (
    from_torch,
    from_torch_layout,
    load_torch_layout,
    save_torch_layout,
    to_torch,
    torch_layout,
)

ALONE = [("without",), *[("without", part) for part in PARTS]]


def drawn(rng):
    """A configuration with every switch drawn; a decoder has no first position to pool."""
    choices = {name: values[rng.integers(len(values))] for name, values in CHOICES.items() if name != "dtype"}
    switches = ("causal", "attention_bias", "tie_embeddings", "gated", "output_bias")
    choices |= {name: bool(rng.integers(2)) for name in switches}
    if choices["causal"] and choices["pooling"] == "first":
        choices["pooling"] = "last"
    choices["without"] = ALONE[rng.integers(len(ALONE))][1:]
    choices["pad_id"] = (0, None)[rng.integers(2)]
    return dataclasses.replace(SMALL, **choices)


def moved(config, seed=0):
    """A model whose norms and biases are no ones and zeros either, which would hide a factor."""
    model, rng = Transformer(config, seed=seed), np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data = (parameter.numpy() + 0.2 * rng.standard_normal(parameter.shape)).astype(config.dtype)
    return model


def differences(config, seed, mask=None):
    """How far the logits, the gradient as one vector, and each parameter's are from PyTorch's, relatively."""
    model, rng = moved(config, seed), np.random.default_rng(seed)
    module = to_torch(model)
    tokens, targets = batch_for(config, rng)
    ours = model(tokens, mask)
    theirs = module(torch.tensor(tokens), None if mask is None else torch.tensor(mask))
    assert theirs.dtype == getattr(torch, config.dtype) and tuple(theirs.shape) == ours.shape
    found = {"logits": off(ours.numpy(), theirs.numpy(force=True))}
    functional.cross_entropy(ours, targets, ignore=0).backward()
    F.cross_entropy(theirs.reshape(-1, config.vocab_size), torch.tensor(targets).reshape(-1), ignore_index=0).backward()
    grads = {name: parameter.grad for name, parameter in module.named_parameters()}
    assert set(grads) == set(torch_layout(model))
    whole = []
    for name, parameter in model.named_parameters():
        g = grads[name].numpy()
        if parameter.grad is None or not parameter.grad.numpy().any():
            assert not g.any()
            continue
        pair = parameter.grad.numpy(), g.T if turned(name, g) else g
        found[name] = off(*pair)
        whole.append([each.ravel() for each in pair])
    found["gradient"] = off(*map(np.concatenate, zip(*whole, strict=True)))
    return found


def pytorchs_rounding(config, seed):
    """How far its gradient in float32 is from the one in float64, of the same weights."""
    module = to_torch(moved(config, seed))
    tokens, targets = map(torch.tensor, batch_for(config, np.random.default_rng(seed)))
    gradients = []
    for one in (module, copy.deepcopy(module).double()):
        F.cross_entropy(one(tokens).reshape(-1, config.vocab_size), targets.reshape(-1), ignore_index=0).backward()
        gradients.append(np.concatenate([p.grad.numpy().ravel() for p in one.parameters() if p.grad is not None]))
    return off(*gradients)


def turned(name, g):
    return g.ndim == 2 and name not in ("embedding.weight", "positions.weight")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_named_architecture_gives_pytorchs_logits_and_gradients(variant, tally):
    """In float64 each parameter's gradient by itself; in float32, where one sum of many rounds more, all together.

    How far float32 is from float64 there is not ours to say: we may be three times as far as PyTorch, and so four times
    that from PyTorch.
    """
    found = differences(dataclasses.replace(VARIANTS[variant], dtype="float64"), seed=3)
    assert {name: value for name, value in found.items() if not value <= 1e-10} == {}
    single = dataclasses.replace(VARIANTS[variant], dtype="float32")
    found = differences(single, seed=3)
    assert found["logits"] <= 1e-6 and found["gradient"] <= 4 * pytorchs_rounding(single, seed=3) < 1e-5
    assert max(found.values()) < 1e-5
    tally("architectures handed over as modules", 2)


@pytest.mark.parametrize("seed", range(60))
def test_any_switches_together_give_pytorchs_logits_and_gradients(seed, tally):
    config = drawn(np.random.default_rng(seed))
    found = differences(dataclasses.replace(config, dtype="float64"), seed)
    assert {name: value for name, value in found.items() if not value <= 1e-10} == {}, config
    tally("architectures handed over as modules")


def test_a_mask_of_the_user_means_the_same_there():
    mask = np.random.default_rng(2).random((4, 3, 8, 8)) < 0.5  # some rows allow nothing
    found = differences(dataclasses.replace(SMALL, dtype="float64"), 1, mask)
    assert max(found.values()) < 1e-10


@pytest.mark.parametrize("seed", range(12))
def test_weights_come_back_bit_for_bit(seed, tmp_path):
    model = moved(dataclasses.replace(drawn(np.random.default_rng(seed)), dtype=("float32", "float64")[seed % 2]), seed)
    module = to_torch(model)
    path = tmp_path / "model.safetensors"
    save_torch_layout(path, model)
    for back in (from_torch(module), from_torch_layout(model.config, torch_layout(model)), load_torch_layout(path)):
        assert back.config == model.config
        state, expected = back.state_dict(), model.state_dict()
        assert list(state) == list(expected)
        assert all(state[name].tobytes() == expected[name].tobytes() for name in expected)


def test_pytorch_reads_the_file_that_is_written(tmp_path):
    model = moved(DECODER)
    save_torch_layout(tmp_path / "model.safetensors", model)
    module = to_torch(Transformer(DECODER, seed=99))
    module.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    tokens = np.array([[3, 4, 5]])
    assert off(model(tokens).numpy(), module(torch.tensor(tokens)).numpy(force=True)) < 1e-6


def test_what_pytorch_trained_goes_on_here():
    module = to_torch(moved(dataclasses.replace(DECODER, positions="learned")))
    tokens = torch.tensor([[1, 2, 3, 4]])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    before = module(tokens).detach().numpy()
    for _ in range(3):
        optimizer.zero_grad()
        module(tokens).square().mean().backward()
        optimizer.step()
    after = module.double()(tokens).detach().numpy()
    model = from_torch(module)
    assert model.config.dtype == "float64" and off(after, before) > 1e-3
    assert off(model(tokens.numpy()).numpy(), after) < 1e-12


def test_training_and_evaluation_go_along():
    model = Transformer(dataclasses.replace(SMALL, dropout=0.5)).eval()
    assert not to_torch(model).training and not from_torch(to_torch(model)).training
    module = to_torch(model.train())
    tokens = torch.ones(2, 5, dtype=torch.int64)
    assert module.training and not torch.equal(module(tokens), module(tokens))


def test_what_cannot_come_back_is_refused_with_a_reason(tmp_path):
    with pytest.raises(TypeError, match="Linear has no TransformerConfig"):
        from_torch(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="missing: embedding.weight"):
        from_torch(torch.nn.Linear(2, 2), SMALL)
    with pytest.raises(ValueError, match="float16.*choose 'float32' or 'float64'"):
        from_torch(to_torch(Transformer(SMALL)).half())
    with pytest.raises(ValueError, match="shape: blocks.0.attention.qkv.weight is"):
        from_torch(to_torch(Transformer(SMALL)), TransformerConfig(13, embed_dim=24, num_heads=3))
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(to_torch(Transformer(SMALL)).state_dict(), path)
    with pytest.raises(CheckpointError, match="holds no configuration"):
        load_torch_layout(path)
    with pytest.raises(CheckpointError, match="'embedding.weight' has shape"):
        load_torch_layout(path, dataclasses.replace(SMALL, vocab_size=14))
    assert load_torch_layout(path, SMALL).config == SMALL
