"""Folders of BERT written by hand: what is whole is read bit for bit, what is not is refused in one line, unbuilt."""

import json

import numpy as np
import pytest
from refused import assert_refused_before_a_model_is_built
from safetensors.numpy import save

from tinygrad_edu.errors import DtypeError, ShapeError
from transformer import TransformerConfig
from transformer.headers import CheckpointError
from transformer.interop import Bert, load_bert

SETTINGS = {
    "model_type": "bert", "architectures": ["BertForMaskedLM"], "vocab_size": 9, "hidden_size": 6,
    "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 10, "max_position_embeddings": 7,
}  # fmt: skip
V, D, F, T = 9, 6, 10, 7


def weights(layers=2):
    """BERT's names and shapes, as its class for masked words is saved."""
    shapes = {
        "bert.embeddings.word_embeddings.weight": (V, D), "bert.embeddings.position_embeddings.weight": (T, D),
        "bert.embeddings.token_type_embeddings.weight": (2, D), "cls.predictions.bias": (V,),
    }  # fmt: skip
    pairs = {
        "bert.embeddings.LayerNorm": (D,),
        "cls.predictions.transform.dense": (D, D),
        "cls.predictions.transform.LayerNorm": (D,),
    }
    for i in range(layers):
        for name, shape in {
            "attention.self.query": (D, D), "attention.self.key": (D, D), "attention.self.value": (D, D),
            "attention.output.dense": (D, D), "attention.output.LayerNorm": (D,), "intermediate.dense": (F, D),
            "output.dense": (D, F), "output.LayerNorm": (D,),
        }.items():  # fmt: skip
            pairs[f"bert.encoder.layer.{i}.{name}"] = shape
    for name, shape in pairs.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder, tensors=None, **changed):
    (folder / "config.json").write_text(json.dumps(SETTINGS | changed))
    (folder / "model.safetensors").write_bytes(save(weights() if tensors is None else tensors))
    return folder


def test_weights_are_read_bit_for_bit_and_linear_ones_turned(tmp_path):
    model, given = load_bert(write(tmp_path)), weights()
    state = model.state_dict()
    parts = [given[f"bert.encoder.layer.1.attention.self.{part}.weight"].T for part in ("query", "key", "value")]
    assert (state["blocks.1.attention.qkv.weight"] == np.concatenate(parts, axis=1)).all()
    assert (state["words.dense.weight"] == given["cls.predictions.transform.dense.weight"].T).all()
    assert (state["types.weight"] == given["bert.embeddings.token_type_embeddings.weight"]).all()
    assert sum(array.size for array in state.values()) == sum(array.size for array in given.values())
    assert not model.training and model.pooler is None and model.config.norm_eps == 1e-12


def test_older_names_and_tied_copies_are_read_the_same(tmp_path):
    """Norms were called gamma and beta once, and the whole model's part bears no name in a file of that alone."""
    plain, given = load_bert(write(tmp_path)), weights()
    older = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
             for name, array in given.items()}  # fmt: skip
    older["bert.embeddings.position_ids"] = np.arange(7)[None]
    older["cls.predictions.decoder.weight"] = given["bert.embeddings.word_embeddings.weight"]
    other = load_bert(write(tmp_path, older))
    bare = {name.removeprefix("bert."): array for name, array in given.items() if not name.startswith("cls.")}
    base = load_bert(write(tmp_path, bare, architectures=None))
    tokens = np.array([[1, 4, 8, 0]])
    assert (other.fill(other(tokens)).numpy() == plain.fill(plain(tokens)).numpy()).all()
    assert (base(tokens).numpy() == plain(tokens).numpy()).all() and base.words is None
    with pytest.raises(TypeError, match="no head for words"):
        base.fill(base(tokens))


def test_padding_changes_nothing_before_it_and_a_mask_of_ones_and_zeros_says_the_same(tmp_path):
    model = load_bert(write(tmp_path))
    alone = model(np.array([[3, 5, 8]])).numpy()
    padded = np.array([[3, 5, 8, 0, 0]])
    assert np.abs(model(padded).numpy()[:, :3] - alone).max() < 1e-5
    for valid in (padded != 0, (padded != 0).astype(int)):
        assert (model(padded, valid=valid).numpy() == model(padded).numpy()).all()
    assert np.abs(model(padded, valid=np.ones((1, 5), bool)).numpy()[:, :3] - alone).max() > 1e-3
    assert np.abs(model(padded, types=[[0, 1, 1, 0, 0]]).numpy()[:, :3] - alone).max() > 1e-3


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"types": [[0, 1]]}, ShapeError, r"types: \(1, 2\) given; as many as the tokens, \(1, 3\)"),
        ({"types": [[0, 1, 2]]}, IndexError, "2"),
        ({"valid": [[True, False]]}, ShapeError, r"valid: \(1, 2\) given"),
        ({"valid": [[1.0, 1.0, 0.0]]}, DtypeError, "valid: float64 given; it is boolean, or 0 and 1"),
        ({"valid": [[1, 2, 0]]}, DtypeError, "valid: int64"),
    ],
)
def test_masks_and_kinds_that_do_not_fit_the_tokens_are_refused(tmp_path, given, error, words):
    with pytest.raises(error, match=words):
        load_bert(write(tmp_path))([[3, 5, 8]], **given)


def test_a_configuration_of_another_kind_of_model_is_refused():
    config = TransformerConfig(9, embed_dim=6, num_heads=2, positions="learned", pooling=None)
    assert Bert(config)([[1, 2]]).shape == (1, 2, 6)
    with pytest.raises(ValueError, match="Bert: places = 'sinusoidal'; it has 'learned'"):
        Bert(TransformerConfig(9, embed_dim=6, num_heads=2, pooling=None))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model_type": "roberta"}, "model_type = 'roberta'; this package has only 'bert'"),
        ({"architectures": ["BertForQuestionAnswering"]}, "architectures = .*; this package has BertModel, "),
        ({"architectures": "BertModel"}, "architectures = BertModel"),
        ({"architectures": ["BertForSequenceClassification"]}, "'pooler.dense.weight' is missing"),
        ({"is_decoder": True}, "is_decoder = True; this package has only False"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key'"),
        ({"hidden_act": "mish"}, "hidden_act = 'mish'; this package has gelu_new, "),
        ({"num_attention_heads": 4}, "does not split into num_heads"),
        ({"num_hidden_layers": 10**15}, "too few for 1000000000000000 layers"),
        ({"num_hidden_layers": 3}, "'encoder.layer.2.attention.self.query.weight' is missing"),
        ({"num_hidden_layers": 1}, "'encoder.layer.1.attention.output.LayerNorm.bias' is none of BERT's"),
        ({"hidden_size": 8}, r"word_embeddings.weight' is float32 \(9, 6\); the configuration wants floats \(9, 8\)"),
        ({"intermediate_size": 6}, "intermediate.dense.weight"),
        ({"max_position_embeddings": 10**12}, "position_embeddings.weight"),
        ({"type_vocab_size": "2"}, "token_type_embeddings.weight"),
        ({"tie_word_embeddings": False}, "'cls.predictions.decoder.weight' is missing"),
        ({"pad_token_id": 9}, "pad_id = 9 is no token of a vocabulary of 9"),
    ],
)
def test_settings_that_contradict_the_weights_are_refused_before_a_model_is_built(tmp_path, changed, words):
    write(tmp_path, **changed)
    assert_refused_before_a_model_is_built(load_bert, tmp_path, words)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"classifier.weight": np.ones((4, D), np.float32)}, "'pooler.dense.weight' is missing"),
        ({"embeddings.LayerNorm.weight": np.ones(D, np.float32)}, "is there twice, with 'bert.' before it"),
        ({"bert.embeddings.LayerNorm.gamma": np.ones(D, np.float32)}, "is there twice, under its old name and its new"),
        ({"bert.encoder.layer.0.output.dense.weight": np.ones((F, D), np.float32)}, r"is float32 \(10, 6\)"),
        ({"cls.predictions.bias": np.ones(V, np.int32)}, r"'cls.predictions.bias' is int32 \(9,\)"),
        ({"qa_outputs.weight": np.ones((2, D), np.float32)}, "'qa_outputs.weight' is none of BERT's"),
    ],
)
def test_tensors_that_are_not_berts_are_refused(tmp_path, more, words):
    with pytest.raises(CheckpointError, match=words):
        load_bert(write(tmp_path, weights() | more))


def test_classes_that_the_settings_name_are_as_many_as_the_classifier_has(tmp_path):
    heads = {"bert.pooler.dense.weight": (D, D), "bert.pooler.dense.bias": (D,), "classifier.weight": (3, D)}
    tensors = weights() | {name: np.ones(shape, np.float32) for name, shape in heads.items()}
    tensors["classifier.bias"] = np.ones(3, np.float32)
    model = load_bert(write(tmp_path, tensors, id2label={"0": "a", "1": "b", "2": "c"}))
    assert model.classifier(model.pooler(model([[1, 2]]))).shape == (1, 3)
    with pytest.raises(CheckpointError, match="the classifier has 3 classes, and id2label names 2"):
        load_bert(write(tmp_path, tensors, id2label={"0": "a", "1": "b"}))


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_files_that_are_cut_off_or_missing_are_refused(tmp_path, cut):
    path = write(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match="cut off|damaged"):
        load_bert(tmp_path)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"there is no model.safetensors$"):
        load_bert(tmp_path)
