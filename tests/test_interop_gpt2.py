"""Folders of GPT-2 written by hand: what is whole is read bit for bit, what is not is refused in one line, unbuilt."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refused import assert_refused_before_a_model_is_built
from safetensors.numpy import save

from transformer import Transformer, TransformerConfig
from transformer.headers import CheckpointError, read_plain
from transformer.interop import load_gpt2, load_torch_layout, save_torch_layout

SETTINGS = {"model_type": "gpt2", "vocab_size": 9, "n_embd": 6, "n_head": 2, "n_layer": 2, "n_positions": 7}
reuses_the_folder = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def weights(D=6, F=24, V=9, T=7, layers=2):
    """GPT-2's names and shapes, as its paper's code has them."""
    rng = np.random.default_rng(0)
    shapes = {"wte.weight": (V, D), "wpe.weight": (T, D), "ln_f.weight": (D,), "ln_f.bias": (D,)}
    for i in range(layers):
        for name, shape in {
            "ln_1": (D,), "attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D), "ln_2": (D,), "mlp.c_fc": (D, F),
            "mlp.c_proj": (F, D),
        }.items():  # fmt: skip
            shapes |= {f"h.{i}.{name}.weight": shape, f"h.{i}.{name}.bias": shape[-1:]}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder, tensors=None, **changed):
    (folder / "config.json").write_text(json.dumps(SETTINGS | changed))
    (folder / "model.safetensors").write_bytes(save(weights() if tensors is None else tensors))
    return folder


def test_weights_are_read_bit_for_bit_under_our_names(tmp_path):
    model = load_gpt2(write(tmp_path))
    state, given = model.state_dict(), weights()
    assert state["blocks.1.attention.qkv.weight"].tobytes() == given["h.1.attn.c_attn.weight"].tobytes()
    assert state["blocks.0.feed_forward.down.bias"].tobytes() == given["h.0.mlp.c_proj.bias"].tobytes()
    assert sum(array.size for array in state.values()) == sum(array.size for array in given.values())
    assert not model.training and model.config.pad_id is None and model.config.activation == "gelu_tanh"


def test_older_and_longer_names_are_read_the_same(tmp_path):
    """Some files name the whole model's part, and hold the causal mask and the embedding once more."""
    plain = load_gpt2(write(tmp_path))
    renamed = {f"transformer.{name}": array for name, array in weights().items()}
    renamed |= {"transformer.h.0.attn.bias": np.ones((1, 1, 7, 7), np.float32), "lm_head.weight": np.ones((9, 6))}
    other = load_gpt2(write(tmp_path, renamed))
    tokens = np.array([[1, 0, 8]])
    assert (other(tokens).numpy() == plain(tokens).numpy()).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_type": "bert"}, "model_type = 'bert'; this package has only 'gpt2'"),
        ({"model_type": None}, "model_type = None"),
        ({"scale_attn_weights": False}, "scale_attn_weights = False"),
        ({"add_cross_attention": True}, "add_cross_attention = True"),
        ({"activation_function": "tanh"}, "activation_function = 'tanh'"),
        ({"activation_function": ["relu"]}, "activation_function"),
        ({"n_head": 4}, "does not split into num_heads"),
        ({"n_layer": 10**15}, "too few for 1000000000000000 layers"),
        ({"n_layer": 3}, "'h.2.ln_1.weight' is missing"),
        ({"n_layer": 1}, "'h.1.attn.c_attn.bias' is none of GPT-2's"),
        ({"n_layer": True}, "num_layers = True"),
        ({"n_positions": 10**12}, r"'wpe.weight' is float32 \(7, 6\)"),
        ({"vocab_size": 10**12}, "wte.weight"),
        ({"vocab_size": "9"}, "must be a whole number"),
        ({"n_inner": 10**12}, "c_fc.weight"),
        ({"n_embd": "6" * 10**5}, "embed_dim|must be"),
        ({"tie_word_embeddings": False}, "'lm_head.weight' is missing"),
        ({"tie_word_embeddings": "no"}, "it is True or False"),
        ({"layer_norm_epsilon": -1}, "norm_eps = -1"),
    ],
)
def test_settings_that_contradict_the_weights_are_refused_before_a_model_is_built(tmp_path, changed, words):
    write(tmp_path, **changed)
    assert_refused_before_a_model_is_built(load_gpt2, tmp_path, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON"),
        (b"[]", "a list, where settings"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"n_embd": 6, "n_embd": 8}', "a name is there twice"),
        (b" " * (1 << 21), "too many for settings"),
    ],
)
def test_settings_that_are_none_are_refused(tmp_path, text, words):
    write(tmp_path)
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_gpt2(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("wte.weight", np.ones((9, 6), np.int32), r"'wte.weight' is int32 \(9, 6\)"),
        ("h.0.attn.c_attn.weight", np.ones((18, 6), np.float32), r"is float32 \(18, 6\); .* wants floats \(6, 18\)"),
        ("surplus", np.ones(2, np.float32), "'surplus' is none of GPT-2's"),
    ],
)
def test_tensors_that_are_not_gpt2s_are_refused(tmp_path, name, array, words):
    with pytest.raises(CheckpointError, match=words):
        load_gpt2(write(tmp_path, weights() | {name: array}))


def test_pickled_weights_are_never_read(tmp_path):
    write(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(CheckpointError, match="there is pytorch_model.bin: save the model again, as safetens"):
        load_gpt2(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_gpt2(tmp_path / "nowhere")


ENTRY = '{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}'


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (f'{{"a": {ENTRY}, "a": {ENTRY}}}', "its header is no JSON object, or is damaged"),
        (f'{{"a": {ENTRY}, "b": {ENTRY}}}', "tensor 'b' begins at byte 0, where 4 was due"),
        ("{}", "cut off or too long: 4 bytes of tensors, 0 were due"),
        (f"[{ENTRY}]", "its header is no JSON object, or is damaged"),
    ],
)
def test_bytes_that_belong_to_two_tensors_or_to_none_are_refused(tmp_path, header, words):
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"abcd")
    with pytest.raises(CheckpointError, match=words):
        read_plain(tmp_path / "x")


@given(data=st.data())
@reuses_the_folder
def test_a_damaged_header_gives_the_same_tensors_or_a_reason(tmp_path, data):
    """Any byte of it replaced: never another exception, never more memory than the file has."""
    whole = bytearray(write(tmp_path).joinpath("model.safetensors").read_bytes())
    end = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, end - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), end, end - 3, len(whole) - 1]))])
    try:
        tensors, _ = read_plain(path)
    except CheckpointError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        assert sum(tensor.nbytes for tensor in tensors.values()) <= len(whole)


@pytest.mark.parametrize("choices", [{}, {"tie_embeddings": True, "output_bias": False, "positions": "learned"}])
def test_pytorchs_layout_turns_linear_weights_alone_and_comes_back(tmp_path, choices):
    config = TransformerConfig(vocab_size=9, embed_dim=4, num_heads=2, num_layers=1, ffn_dim=6, **choices)
    model = Transformer(config, seed=1)
    save_torch_layout(tmp_path / "m", model)
    tensors, _ = read_plain(tmp_path / "m")
    assert tensors["blocks.0.feed_forward.up.weight"].shape == (6, 4) and tensors["embedding.weight"].shape == (9, 4)
    assert (tensors["blocks.0.attention.qkv.weight"] == model.blocks[0].attention.qkv.weight.numpy().T).all()
    back = load_torch_layout(tmp_path / "m")
    assert back.config == config
    assert all(a.tobytes() == b.tobytes() for a, b in zip(
        back.state_dict().values(), model.state_dict().values(), strict=True
    ))  # fmt: skip
