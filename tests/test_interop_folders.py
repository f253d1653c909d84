"""Weights in half precision and in several files: read exactly, and every lie of an index refused in one line."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from transformer.headers import CheckpointError, read_plain
from transformer.interop.folders import read_shards, read_weights

A, B = "model-1.safetensors", "model-2.safetensors"
TENSORS = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32([1, 2]), "c": np.zeros((0, 3), np.float32)}
PLACES = {"a": A, "b": B, "c": B}


def plain(path, code, shape, data):
    """A file of one tensor, written by the format's description."""
    header = json.dumps({"x": {"dtype": code, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def sharded(folder, places=PLACES, files=None, **metadata):
    for file, names in (files or {A: "a", B: "bc"}).items():
        (folder / file).write_bytes(save({name: TENSORS[name] for name in names}))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": metadata, "weight_map": places}))
    return index


def test_every_number_of_half_precision_is_read_exactly(tmp_path):
    """All 65,536 of either format. float16 as NumPy reads it; bfloat16: sign, 8 bits of exponent, 7 of fraction."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    halves = read_plain(plain(tmp_path / "h", "F16", [256, 256], bits.tobytes()))[0]["x"]
    assert halves.dtype == "float32" and halves.shape == (256, 256)
    np.testing.assert_array_equal(halves.ravel(), bits.view(np.float16).astype(np.float64))
    brains = read_plain(plain(tmp_path / "b", "BF16", [1 << 16], bits.tobytes()))[0]["x"]
    sign, exponent, fraction = np.where(bits >> 15, -1.0, 1.0), (bits >> 7 & 255).astype(int), bits & 127
    with np.errstate(over="ignore"):
        normal = sign * np.ldexp(1 + fraction / 128, exponent - 127)
    small = sign * np.ldexp(fraction / 128.0, -126)
    finite = exponent < 255
    assert brains.dtype == "float32"
    assert (brains == np.where(exponent == 0, small, normal))[finite].all()
    assert np.signbit(brains[1 << 15]) and (np.isinf(brains) == (~finite & (fraction == 0))).all()
    assert (np.isnan(brains) == (~finite & (fraction != 0))).all()


def test_a_dtype_without_a_counterpart_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="tensor 'x' is F8_E4M3, which NumPy lacks; save it as F32"):
        read_plain(plain(tmp_path / "x", "F8_E4M3", [2], b"ab"))
    with pytest.raises(CheckpointError, match="its dtype, shape and offsets do not agree"):
        read_plain(plain(tmp_path / "x", "BF16", [2], b"ab"))


def test_several_files_are_read_as_one_and_one_file_comes_first(tmp_path):
    index = sharded(tmp_path, total_size=56)
    path, tensors = read_weights(tmp_path)
    assert path == index and set(tensors) == set(TENSORS)
    assert all(tensors[name].tobytes() == TENSORS[name].tobytes() for name in TENSORS)
    (tmp_path / "model.safetensors").write_bytes(save({"z": TENSORS["a"]}))
    path, tensors = read_weights(tmp_path)
    assert path.name == "model.safetensors" and set(tensors) == {"z"}


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"places": PLACES | {"d": "model-3.safetensors"}}, "the file 'model-3.safetensors' is missing"),
        ({"places": PLACES | {"d": A}}, f"index.json: tensor 'd' is not in '{A}'"),
        ({"places": {"a": A, "b": B}}, f"{B}: tensor 'c' is here, and by the index nowhere"),
        ({"places": PLACES | {"b": A}}, f"{B}: tensor 'b' is here, and by the index in '{A}'"),
        ({"files": {A: "ab", B: "bc"}}, f"{A}: tensor 'b' is here, and by the index in '{B}'"),
        ({"total_size": 57}, "total_size = 57, and the tensors have 56 bytes together"),
        ({"total_size": "56"}, "total_size = '56'"),
        ({"places": {}}, "its weight_map must name a file for each tensor"),
        ({"places": [A]}, "its weight_map must name a file for each tensor"),
        ({"places": {"a": 1}}, "its weight_map must name a file for each tensor"),
        *[
            ({"places": PLACES | {"a": name}}, "is no name of a safetensors file in the folder")
            for name in (
                f"../{A}", f"./{A}", f"/etc/{A}", f"x/{A}", f"..\\{A}", "..", "", ".", "a.bin", f"{A}\0", f"\0{A}"
            )
        ],
    ],
)  # fmt: skip
def test_an_index_that_lies_is_refused_in_one_line(tmp_path, lie, words):
    outside = tmp_path / "in"
    outside.mkdir()
    (tmp_path / A).write_bytes(save({"a": TENSORS["a"]}))  # what a path that leads out of the folder would find
    sharded(outside, **lie)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_weights(outside)
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"weight_map": 1}', '{"weight_map": {"a": "b", "a": "c"}}', "[" * 9999])
def test_an_index_that_is_none_is_refused(tmp_path, text):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(CheckpointError, match="index.json: (no JSON|a list, where|its weight_map)"):
        read_shards(index)
    with pytest.raises(CheckpointError, match="index.json"):
        read_weights(tmp_path)


def test_a_shard_that_is_cut_off_is_named(tmp_path):
    sharded(tmp_path)
    path = tmp_path / B
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"{B}: "):
        read_weights(tmp_path)
