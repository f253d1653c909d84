"""Encoder and decoder, whole: with the same weights, every parameter's gradient is PyTorch's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch_model
from compare import assert_near

from tinygrad_edu import functional
from transformer import Transformer, TransformerConfig

LESSONS = TransformerConfig(vocab_size=20)
SMALL = TransformerConfig(vocab_size=13, embed_dim=12, num_heads=3, num_layers=2, ffn_dim=20, max_seq_len=9)
DECODER = replace(SMALL, causal=True, pooling=None)
VARIANTS = {
    "lessons' encoder": LESSONS,
    "lessons' decoder": replace(LESSONS, causal=True, pooling=None, num_layers=2),
    "encoder, mean": replace(SMALL, pooling="mean", attention_bias=True),
    "encoder, max, gelu": replace(SMALL, pooling="max", activation="gelu", norm="pre"),
    "encoder, last, silu, learned": replace(SMALL, pooling="last", activation="silu", positions="learned"),
    "encoder, rotary": replace(SMALL, positions="rotary", norm_eps=1e-3),
    "encoder, nothing is padding": replace(SMALL, pad_id=None, pooling="mean"),
    "decoder, pre-norm, tied": replace(DECODER, norm="pre", tie_embeddings=True, activation="gelu"),
    "decoder, rotary, biases": replace(DECODER, positions="rotary", attention_bias=True, activation="silu"),
    "decoder, learned, one layer": replace(DECODER, positions="learned", num_layers=1, num_heads=1),
    "encoder, ALiBi, GEGLU": replace(SMALL, positions="alibi", activation="gelu", gated=True, pooling="mean"),
    "encoder, RMS norm": replace(SMALL, norm_kind="rms", pooling="max"),
    "decoder, ALiBi, RMS norm, SwiGLU": replace(
        DECODER, positions="alibi", norm="pre", norm_kind="rms", activation="silu", gated=True
    ),
    "decoder, last": replace(DECODER, pooling="last", norm="pre", positions="learned"),
}


def batch_for(config, rng, batch=4, time=8):
    """Tokens with padding at the end of some rows, and a target for each logit."""
    tokens = rng.integers(1, config.vocab_size, (batch, time))
    for row, length in enumerate(rng.integers(2, time + 1, batch - 1)):
        tokens[row, length:] = 0
    targets = rng.integers(1, config.vocab_size, batch) if config.pooling else np.roll(tokens, -1, axis=1)
    return tokens, targets


def gradients_of_both(config, dtype, rng, mask=None):
    """Every parameter's name, our gradient and PyTorch's; the latter in float64 always, from the same weights."""
    model = Transformer(replace(config, dtype=dtype), seed=int(rng.integers(1000)))
    for parameter in model.parameters():  # norms' ones and biases' zeros would hide a factor
        parameter.data = (parameter.numpy() + 0.2 * rng.standard_normal(parameter.shape)).astype(dtype)
    tokens, targets = batch_for(config, rng)
    weights = {
        name: torch.tensor(value.astype(np.float64), requires_grad=True) for name, value in model.state_dict().items()
    }
    logits = model(tokens, mask)
    theirs = torch_model.forward(config, weights, torch.tensor(tokens), None if mask is None else torch.tensor(mask))
    assert_near(logits.numpy(), theirs.detach().numpy(), 1e-12 if dtype == "float64" else 1e-5, "logits")
    functional.cross_entropy(logits, targets, ignore=0).backward()
    F.cross_entropy(theirs.reshape(-1, config.vocab_size), torch.tensor(targets).reshape(-1), ignore_index=0).backward()
    assert set(weights) == {name for name, _ in model.named_parameters()}
    return [(name, p.grad.numpy(), weights[name].grad.numpy()) for name, p in model.named_parameters()]


def off(ours, theirs):
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


@pytest.mark.parametrize(("dtype", "near"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_gradient_agrees(variant, dtype, near, tally):
    wrong = {}
    for seed in range(3):
        for name, ours, theirs in gradients_of_both(VARIANTS[variant], dtype, np.random.default_rng(seed)):
            assert ours.dtype == dtype and ours.shape == theirs.shape
            if not off(ours, theirs) <= near:  # a NaN is no agreement
                wrong[name, seed] = off(ours, theirs)
            tally(f"gradients of whole models in {dtype}")
    assert wrong == {}


@pytest.mark.parametrize("shape", [(8, 8), (4, 1, 1, 8), (4, 3, 8, 8)])
def test_gradients_agree_under_a_mask_of_the_user(shape):
    """Rows of it may allow nothing at all: those queries get zeros."""
    rng = np.random.default_rng(5)
    mask = rng.random(shape) < 0.6
    mask[..., 0] |= len(shape) == 2
    for name, ours, theirs in gradients_of_both(SMALL, "float64", rng, mask):
        assert off(ours, theirs) < 1e-10, name


def test_lessons_model_has_102036_parameters():
    assert Transformer(LESSONS).num_parameters() == 102_036
