"""Whole transformers as ONNX: onnxruntime gives their logits, their loss and the gradient of every weight."""

import dataclasses

import numpy as np
import onnx
import pytest
from test_interop_torch import moved
from test_onnx_operations import session_of
from test_torch_model import DECODER, VARIANTS, off

from tinygrad_edu import functional
from transformer import Transformer
from transformer.interop import export_onnx


def tokens_of(config, rng, shape):
    """Other numbers than the ones that the model was written down with: padding elsewhere, or none."""
    tokens = rng.integers(1, config.vocab_size, shape)
    for row, length in enumerate(rng.integers(2, shape[1] + 1, shape[0])):
        tokens[row, length:] = 0
    return tokens


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_and_gradients_of_a_whole_model_are_onnxruntimes(variant, tally):
    config = VARIANTS[variant]
    model, rng = moved(config, 4), np.random.default_rng(4)
    batch, time = 2, 7
    forward = session_of(export_onnx(model, batch=batch, time=time))
    backward = session_of(export_onnx(model, batch=batch, time=time, gradient=True))
    outputs = [each.name for each in backward.get_outputs()]
    for _ in range(3):
        tokens = tokens_of(config, rng, (batch, time))
        logits = model(tokens)
        (found,) = forward.run(["logits"], {"tokens": tokens})
        assert off(found, logits.numpy()) < 1e-5
        targets = rng.integers(1, config.vocab_size, batch) if config.pooling else np.roll(tokens, -1, axis=1)
        model.zero_grad()
        loss = functional.cross_entropy(logits, targets, ignore=config.pad_id)
        loss.backward()
        given = {"tokens": tokens, "targets": targets, **model.state_dict()}
        theirs = dict(zip(outputs, backward.run(outputs, given), strict=True))
        assert abs(theirs.pop("loss") - loss.item()) < 1e-5
        for name, parameter in model.named_parameters():
            g = theirs.pop(f"gradient of {name}")
            ours = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
            scale = max(np.linalg.norm(ours), 1e-3)
            assert np.linalg.norm(g - ours) <= 3e-5 * scale, name
            tally("gradients of whole models by onnxruntime")
        assert not theirs


def test_one_step_of_descent_by_onnxruntime_is_the_engines():
    """Weights are inputs of a backward graph: whoever runs it can train with it."""
    model = moved(DECODER, 1)
    session = session_of(export_onnx(model, batch=2, time=6, gradient=True))
    names = [each.name for each in session.get_outputs()]
    tokens = tokens_of(DECODER, np.random.default_rng(0), (2, 6))
    targets, weights, losses = np.roll(tokens, -1, axis=1), model.state_dict(), []
    for _ in range(5):
        found = dict(zip(names, session.run(names, {"tokens": tokens, "targets": targets, **weights}), strict=True))
        losses.append(float(found["loss"]))
        weights = {name: w - np.float32(0.3) * found[f"gradient of {name}"] for name, w in weights.items()}
    ours = []
    for _ in range(5):
        model.zero_grad()
        loss = functional.cross_entropy(model(tokens), targets, ignore=0)
        loss.backward()
        ours.append(loss.item())
        for parameter in model.parameters():
            parameter.data = parameter.numpy() - np.float32(0.3) * parameter.grad.numpy()
    np.testing.assert_allclose(losses, ours, rtol=1e-4)
    assert losses[-1] < losses[0] - 0.1


def test_the_file_is_one_that_viewers_open(tmp_path):
    """Checked, every value with its shape, weights under their names, nodes under the names of their layers."""
    model = Transformer(dataclasses.replace(DECODER, dropout=0.3)).train()
    path = tmp_path / "model.onnx"
    export_onnx(model, path, batch=2, time=6)
    read = onnx.load(path)
    onnx.checker.check_model(read, full_check=True)
    assert model.training
    shapes = {each.name: each for each in [*read.graph.value_info, *read.graph.output]}
    for node in read.graph.node:
        for name in node.output:
            assert all(d.HasField("dim_value") for d in shapes[name].type.tensor_type.shape.dim), name
    assert {each.name for each in read.graph.initializer} >= set(model.state_dict())
    assert any(node.name.startswith("blocks.1.attention/matmul") for node in read.graph.node)
    assert [each.name for each in read.graph.input] == ["tokens"]
    assert read.opset_import[0].version == 20 and export_onnx(model, batch=2, time=6) == read
