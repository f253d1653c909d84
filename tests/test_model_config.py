"""TransformerConfig: what it keeps, and what it refuses with a word on what to change."""

import json

import numpy as np
import pytest

from transformer import Transformer, TransformerConfig


def test_configuration_survives_json_and_is_frozen():
    config = TransformerConfig(np.int64(20), dropout=np.float32(0.5), pooling=None, pad_id=None)
    assert TransformerConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert TransformerConfig.from_dict({"vocab_size": 20}) == TransformerConfig(20)
    with pytest.raises(AttributeError):
        config.vocab_size = 3


@pytest.mark.parametrize(
    ("choices", "error", "words"),
    [
        ({"embed_dim": 10, "num_heads": 4}, ValueError, r"choose num_heads from \[1, 2, 5, 10\]"),
        ({"positions": "rotary", "embed_dim": 6, "num_heads": 2}, ValueError, "= 3 is odd"),
        ({"causal": True, "pooling": "first"}, ValueError, "sees only itself.*'last'"),
        ({"vocab_size": 0}, ValueError, "vocab_size = 0"),
        ({"num_layers": -1}, ValueError, "num_layers = -1"),
        ({"max_seq_len": 2.5}, TypeError, "max_seq_len = 2.5: it must be a whole number"),
        ({"ffn_dim": True}, TypeError, "ffn_dim = True"),
        ({"causal": 1}, TypeError, "causal = 1: it is True or False"),
        ({"norm": "layer"}, ValueError, "norm = 'layer': choose 'post' or 'pre'"),
        ({"activation": "tanh"}, ValueError, "'relu', 'gelu', 'silu' or 'gelu_tanh'"),
        ({"positions": None}, ValueError, "'sinusoidal', 'learned', 'rotary' or 'alibi'"),
        ({"pooling": "cls"}, ValueError, "'first', 'last', 'mean', 'max' or None"),
        ({"dtype": "float16"}, ValueError, "'float32' or 'float64'"),
        ({"dropout": 1.0}, ValueError, r"\[0, 1\)"),
        ({"dropout": "0.1"}, TypeError, "it must be a number"),
        ({"norm_eps": 0.0}, ValueError, "norm_eps = 0.0"),
        ({"pad_id": 20}, ValueError, r"\[0, 20\), or None"),
        ({"pad_id": -1}, ValueError, "pad_id = -1"),
    ],
)
def test_configurations_that_cannot_be_built_say_what_to_change(choices, error, words):
    with pytest.raises(error, match=words):
        TransformerConfig(**{"vocab_size": 20, **choices})


def test_unknown_and_missing_fields_are_named():
    with pytest.raises(ValueError, match="no 'num_head'; did you mean 'num_heads'"):
        TransformerConfig.from_dict({"vocab_size": 20, "num_head": 4})
    with pytest.raises(ValueError, match="vocab_size is missing"):
        TransformerConfig.from_dict({})
    with pytest.raises(TypeError, match="wants a TransformerConfig, not a dict"):
        Transformer({"vocab_size": 20})
