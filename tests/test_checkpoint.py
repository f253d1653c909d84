"""What was saved comes back bit for bit; what was damaged is refused by name; a write is whole or did not happen."""

import dataclasses
import itertools
import json
import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from transformer import Transformer, TransformerConfig
from transformer.checkpoint import (
    CheckpointError,
    load_model,
    load_tensors,
    remove_stale,
    save_model,
    save_tensors,
    write_atomically,
)

CONFIG = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=6, max_seq_len=12)
TOKENS = np.array([[15, 17, 3, 19, 8, 19, 4, 18], [16, 17, 3, 19, 8, 18, 0, 0]])
DTYPES = st.sampled_from(["float64", "float32", "float16", "int64", "int8", "uint16", "bool"])
ARRAYS = DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda n: n != "__metadata__")
reuses_the_folder = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def header_of(data):
    """The header as JSON, and the bytes after it."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header, body, length=None):
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, Transformer(CONFIG, seed=1), epoch=3)
    return path


# Whole files


@given(tensors=st.dictionaries(NAMES, ARRAYS, max_size=4))
@reuses_the_folder
def test_arrays_come_back_bit_for_bit(tmp_path, tensors):
    path = tmp_path / "some.safetensors"
    save_tensors(path, tensors, {"note": "ünïcode", "list": [1, None]})
    loaded, about = load_tensors(path)
    assert about["note"] == "ünïcode" and about["list"] == [1, None]
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (loaded[name].dtype, loaded[name].shape) == (tensor.dtype, tensor.shape)
        assert loaded[name].tobytes() == tensor.tobytes()


def test_arrays_that_are_not_contiguous_come_back_the_same(tmp_path):
    array = np.arange(24.0).reshape(2, 3, 4)[:, ::2].T
    save_tensors(tmp_path / "a", {"a": array}, {})
    assert (load_tensors(tmp_path / "a")[0]["a"] == array).all()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"causal": True, "pooling": None, "norm": "pre", "positions": "learned"},
        {"tie_embeddings": True, "positions": "rotary", "attention_bias": True, "dtype": "float64"},
    ],
)
def test_a_model_loaded_elsewhere_gives_identical_logits(tmp_path, changes):
    model = Transformer(dataclasses.replace(CONFIG, **changes), seed=7)
    save_model(tmp_path / "model", model)
    logits = model(TOKENS).numpy()
    program = (
        "import sys, pathlib, numpy as np; from transformer.checkpoint import load_model\n"
        "model, about = load_model(pathlib.Path(sys.argv[1]))\n"
        f"sys.stdout.buffer.write(model(np.array({TOKENS.tolist()})).numpy().tobytes())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, tmp_path / "model"], capture_output=True, check=True
    )
    assert elsewhere.stdout == logits.tobytes()


def test_configuration_vocabulary_and_facts_are_inside(saved):
    model, about = load_model(saved)
    assert model.config == CONFIG
    assert about["vocabulary"][15] == "Max" and about["epoch"] == 3


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    save_model(tmp_path / "again", Transformer(CONFIG, seed=1), epoch=3)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_other_programs_read_the_tensors(saved):
    from safetensors.numpy import load_file

    assert load_file(saved)["blocks.1.attention.qkv.weight"].shape == (8, 24)


# Damage


def test_a_damaged_tensor_is_refused_by_its_name(saved):
    whole = saved.read_bytes()
    header, body = header_of(whole)
    for name, entry in header.items():
        if name != "__metadata__":
            damaged = bytearray(whole)
            damaged[len(whole) - len(body) + entry["data_offsets"][0]] ^= 1
            saved.write_bytes(damaged)
            with pytest.raises(CheckpointError, match=f"model.safetensors: tensor '{name}' is damaged"):
                load_model(saved)


def test_no_flipped_bit_loads_as_other_numbers(tmp_path):
    """Of each byte, header and numbers, two of the bits."""
    path = tmp_path / "one.safetensors"
    tensors = {"some.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}
    save_tensors(path, tensors, {"rate": 0.5})
    whole = path.read_bytes()
    for place, bit in itertools.product(range(len(whole)), (0, 4)):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << (place + bit) % 8
        path.write_bytes(spoilt)
        try:
            loaded, about = load_tensors(path)
        except CheckpointError:
            continue
        assert about["rate"] == 0.5 and all(loaded[n].tobytes() == tensors[n].tobytes() for n in tensors)


@given(cut=st.floats(0, 1, exclude_max=True))
@reuses_the_folder
def test_a_file_cut_off_anywhere_is_refused(tmp_path, cut):
    path = tmp_path / "cut.safetensors"
    save_tensors(path, {"a": np.ones(5)}, {})
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(CheckpointError):
        load_tensors(path)


NAME = "output.bias"
LIES = {
    "shape": lambda h: h[NAME].update(shape=[2**40, 2**40]),
    "negative shape": lambda h: h[NAME].update(shape=[-4, -5]),
    "shape of text": lambda h: h[NAME].update(shape="20"),
    "shape of floats": lambda h: h[NAME].update(shape=[20.0]),
    "dtype": lambda h: h[NAME].update(dtype="F64"),
    "unknown dtype": lambda h: h[NAME].update(dtype="Q1"),
    "offsets backwards": lambda h: h[NAME].update(data_offsets=h[NAME]["data_offsets"][::-1]),
    "offsets beyond the file": lambda h: h[NAME].update(data_offsets=[2**50, 2**50 + 80]),
    "no offsets": lambda h: h[NAME].pop("data_offsets"),
    "an entry more": lambda h: h[NAME].update(pickle="cos\nsystem"),
    "an entry that is a list": lambda h: h.update({NAME: [1]}),
    "missing": lambda h: h.pop(NAME),
    "renamed": lambda h: h.update({"output.bIas": h.pop(NAME)}),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_by_the_name_of_the_tensor(saved, lie):
    header, body = header_of(saved.read_bytes())
    LIES[lie](header)
    saved.write_bytes(with_header(header, body))
    with pytest.raises(CheckpointError, match=f"tensor '(?i:{NAME})'"):
        load_model(saved)


@pytest.mark.parametrize("lie", [{"shape": [6, 8]}, {"dtype": "I32"}])
def test_the_same_bytes_read_in_another_way_are_refused(saved, lie):
    header, body = header_of(saved.read_bytes())
    header["blocks.0.feed_forward.up.weight"].update(lie)
    saved.write_bytes(with_header(header, body))
    with pytest.raises(CheckpointError, match="tensor 'blocks.0.feed_forward.up.weight' is damaged"):
        load_model(saved)


def test_two_equal_tensors_in_one_place_are_refused(tmp_path):
    path = tmp_path / "a"
    save_tensors(path, {"a": np.ones(4), "b": np.ones(4)}, {})
    header, body = header_of(path.read_bytes())
    header["b"]["data_offsets"] = header["a"]["data_offsets"]
    path.write_bytes(with_header(header, body[:32]))
    with pytest.raises(CheckpointError, match="tensor 'b' begins at byte 0, where 32 was due"):
        load_tensors(path)


def test_two_tensors_in_each_others_place_are_refused(saved):
    header, body = header_of(saved.read_bytes())
    one, two = header["blocks.0.norm1.weight"], header["blocks.0.norm1.bias"]
    one["data_offsets"], two["data_offsets"] = two["data_offsets"], one["data_offsets"]
    saved.write_bytes(with_header(header, body))
    with pytest.raises(CheckpointError, match="tensor 'blocks.0.norm1"):
        load_model(saved)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        (2**40).to_bytes(8, "little") + b"{}",
        with_header({}, b""),
        with_header([], b""),
        with_header({"__metadata__": {}}, b""),
        with_header({"__metadata__": {"tinygrad_edu": "{}"}}, b""),
        with_header({"__metadata__": {"tinygrad_edu": 3}}, b""),
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
        b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system",
    ],
    ids=repr,
)
def test_what_is_no_checkpoint_is_refused(tmp_path, data):
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(CheckpointError, match="bad: "):
        load_tensors(tmp_path / "bad")


def forge(path, **changes):
    """A file with a right checksum and wrong content, as another program might write it."""
    tensors, about = load_tensors(path)
    save_tensors(path, changes.pop("tensors", tensors), {**about, **changes})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {**CONFIG.to_dict(), "embed_dim": 2**40, "num_heads": 1}}, "'embedding.weight' has shape"),
        ({"config": {**CONFIG.to_dict(), "num_layers": 2**40}}, "is missing"),
        ({"config": {**CONFIG.to_dict(), "ffn_dim": 2**40}}, "up.weight' has shape"),
        ({"config": {**CONFIG.to_dict(), "max_seq_len": 2**40}}, "max_seq_len"),
        ({"config": {**CONFIG.to_dict(), "dtype": "float64"}}, "is float32"),
        ({"config": {**CONFIG.to_dict(), "norm": "sideways"}}, "norm = 'sideways'"),
        ({"config": None}, "configuration cannot be read"),
        ({"vocabulary": ["a", "b"]}, "another vocabulary"),
        ({"version": 2}, "version 2"),
        ({"tensors": {}}, "is missing"),
    ],
)
def test_content_that_fits_no_model_is_refused_before_it_is_built(saved, change, words):
    forge(saved, **change)
    with pytest.raises(CheckpointError, match=words):
        load_model(saved)


# Writing


def test_a_failed_write_leaves_the_old_file_and_no_temporary(saved):
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as a full disk would
    try:
        with pytest.raises(OSError, match="model.safetensors"):
            save_model(saved, Transformer(CONFIG, seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_crash_before_the_rename_leaves_the_old_file_and_the_rest_is_removed(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *paths: os._exit(9))
    child = os.fork()
    if not child:
        write_atomically(saved, b"new")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert saved.read_bytes() == before
    assert len(os.listdir(saved.parent)) == 2
    remove_stale(saved.parent)
    assert os.listdir(saved.parent) == [saved.name]


def test_an_array_that_cannot_be_saved_is_refused_by_name(tmp_path):
    with pytest.raises(TypeError, match="tensor 'words'"):
        save_tensors(tmp_path / "a", {"words": np.array(["a"])}, {})
    assert not os.listdir(tmp_path)
