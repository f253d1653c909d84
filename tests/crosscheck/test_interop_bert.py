"""BERT folders as `transformers` writes them: its vectors, its logits, its gradients, with padding and without."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hugging_face import run
from test_torch_model import off
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification, BertModel

from tinygrad_edu import functional
from transformer.interop import Filler, load_bert
from transformer.interop.bert import TABLES, WHERE, names_of

SMALL = {
    "vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
    "max_position_embeddings": 24,
}  # fmt: skip
CONFIGS = {
    "small": {},
    "one head, three layers": {"num_attention_heads": 1, "num_hidden_layers": 3, "intermediate_size": 12},
    "output of its own, tanh gelu": {"tie_word_embeddings": False, "hidden_act": "gelu_new"},
    "another eps, relu, five heads": {
        "layer_norm_eps": 1e-3, "hidden_act": "relu", "hidden_size": 20, "num_attention_heads": 5, "type_vocab_size": 3
    },
    "one layer, silu, another padding": {
        "num_hidden_layers": 1, "hidden_act": "silu", "hidden_size": 16, "num_attention_heads": 4, "pad_token_id": 7
    },
    "one kind of sentence": {"type_vocab_size": 1, "num_attention_heads": 6},
}
PRECISION = [("float32", 1e-4), ("float64", 1e-10)]


def written(folder, kind, seed, dtype="float32", **changes):
    """A model of theirs in a folder; nothing in it is 0 or 1, which would hide a factor."""
    torch.manual_seed(seed)
    model = kind(BertConfig(**SMALL | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model.to(getattr(torch, dtype))


def batch_for(config, rng, padded, batch=3, time=11):
    """Tokens, their kinds of sentence, and which of them are no padding; padding is at the end, or nowhere."""
    tokens = rng.choice([token for token in range(config.vocab_size) if token != config.pad_id], (batch, time))
    lengths = rng.integers(1, time, batch) if padded else np.full(batch, time)
    valid = np.arange(time) < lengths[:, None]
    return np.where(valid, tokens, config.pad_id), valid


def tensors(*arrays):
    return [torch.tensor(array) for array in arrays]


def compare_gradients(ours, theirs, near):
    """Of every parameter, as its own."""
    config, heads = ours.config, [head for head in WHERE if getattr(ours, head) is not None]
    labels = 0 if ours.classifier is None else ours.classifier.weight.shape[1]
    names = names_of(config, ours.types.weight.shape[0], heads, labels)
    gradients = {name.removeprefix("bert."): p.grad for name, p in theirs.named_parameters()}
    assert set(names) <= set(gradients)
    assert set(gradients) - set(names) <= {"cls.predictions.bias"}  # of a decoder with a bias of its own
    for own, parameter in ours.named_parameters():
        parts = [gradients[name].numpy() for name, (our, _) in names.items() if our == own]
        turned = own not in TABLES and parts[0].ndim == 2
        g = np.concatenate([part.T if turned else part for part in parts], axis=-1)
        assert off(parameter.grad.numpy(), g) < near, own


@pytest.mark.parametrize(("dtype", "near"), PRECISION)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", CONFIGS)
def test_masked_language_models_give_their_logits_and_gradients(name, padded, dtype, near, tmp_path, tally):
    theirs = written(tmp_path, BertForMaskedLM, 0, dtype, **CONFIGS[name])
    ours = load_bert(tmp_path, dtype)
    rng = np.random.default_rng(1)
    tokens, valid = batch_for(ours.config, rng, padded)
    types = rng.integers(0, ours.types.weight.shape[0], tokens.shape)
    targets = rng.integers(0, ours.config.vocab_size, tokens.shape)
    logits = ours.fill(ours(tokens, types))
    ids, kinds, mask, aims = tensors(tokens, types, valid.astype(np.int64), targets)
    expected = theirs(ids, attention_mask=mask, token_type_ids=kinds).logits
    assert logits.dtype == dtype
    assert off(logits.numpy()[valid], expected.numpy(force=True)[valid]) < near / 10
    functional.cross_entropy(logits[valid], targets[valid]).backward()
    F.cross_entropy(expected[mask.bool()], aims[mask.bool()]).backward()
    compare_gradients(ours, theirs, near)
    tally("gradients of BERT parameters", len(ours.parameters()))


@pytest.mark.parametrize(("dtype", "near"), PRECISION)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_state_and_the_pooled_vector_are_theirs_with_their_gradients(name, dtype, near, tmp_path, tally):
    """A drawn cotangent for each valid place of the last state, and one for the pooled vector."""
    theirs = written(tmp_path, BertModel, 2, dtype, **CONFIGS[name])
    ours = load_bert(tmp_path, dtype)
    rng = np.random.default_rng(3)
    tokens, valid = batch_for(ours.config, rng, padded=True)
    states, attention = ours.states(tokens)
    pooled = ours.pooler(states[-1])
    ids, mask = tensors(tokens, valid.astype(np.int64))
    found = theirs(ids, attention_mask=mask, output_hidden_states=True)
    assert len(states) == len(found.hidden_states) == len(attention) + 1
    for own, their in zip(states, found.hidden_states, strict=True):
        assert off(own.numpy()[valid], their.numpy(force=True)[valid]) < near / 10
    assert off(pooled.numpy(), found.pooler_output.numpy(force=True)) < near / 10
    g = rng.standard_normal(pooled.shape).astype(dtype)
    h = (rng.standard_normal(states[-1].shape) * valid[:, :, None]).astype(dtype)
    (np.sum(pooled * g) + np.sum(states[-1] * h)).backward()
    ((found.pooler_output * torch.tensor(g)).sum() + (found.last_hidden_state * torch.tensor(h)).sum()).backward()
    compare_gradients(ours, theirs, near)
    tally("states of BERT", len(states))


@pytest.mark.parametrize(("dtype", "near"), PRECISION)
def test_classifiers_and_the_heads_of_pretraining_give_their_scores_and_gradients(dtype, near, tmp_path):
    rng = np.random.default_rng(4)
    targets = rng.integers(0, 2, 3)
    theirs = written(tmp_path / "c", BertForSequenceClassification, 5, dtype, num_labels=5)
    ours = load_bert(tmp_path / "c", dtype)
    tokens, valid = batch_for(ours.config, rng, padded=True)
    ids, mask, aims = tensors(tokens, valid.astype(np.int64), targets)
    scores, expected = ours.classifier(ours.pooler(ours(tokens))), theirs(ids, attention_mask=mask).logits
    assert scores.shape == (3, 5) and off(scores.numpy(), expected.numpy(force=True)) < near / 10
    functional.cross_entropy(scores, targets).backward()
    F.cross_entropy(expected, aims).backward()
    compare_gradients(ours, theirs, near)

    theirs = written(tmp_path / "p", BertForPreTraining, 6, dtype)
    ours = load_bert(tmp_path / "p", dtype)
    hidden, found = ours(tokens), theirs(ids, attention_mask=mask)
    relation, words = ours.relation(ours.pooler(hidden)), ours.fill(hidden)
    assert off(relation.numpy(), found.seq_relationship_logits.numpy(force=True)) < near / 10
    assert off(words.numpy()[valid], found.prediction_logits.numpy(force=True)[valid]) < near / 10
    their_relation, their_words = found.seq_relationship_logits, found.prediction_logits
    (functional.cross_entropy(relation, targets) + functional.cross_entropy(words[:, 0], targets)).backward()
    (F.cross_entropy(their_relation, aims) + F.cross_entropy(their_words[:, 0], aims)).backward()
    compare_gradients(ours, theirs, near)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_halves_and_shards_are_read_as_theirs_are(kind, tmp_path):
    """What they write in half precision, whole or in several files, is the same model for both."""
    theirs = written(tmp_path / "f", BertForMaskedLM, 7).to(getattr(torch, kind))
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="2kB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    ours, again = load_bert(tmp_path / "whole"), load_bert(tmp_path / "parts")
    state, other = ours.state_dict(), again.state_dict()
    assert all(state[name].tobytes() == other[name].tobytes() for name in state)
    tokens, _ = batch_for(ours.config, np.random.default_rng(8), padded=False)
    with torch.no_grad():
        expected = theirs.float()(*tensors(tokens)).logits.numpy()
    assert off(ours.fill(ours(tokens)).numpy(), expected) < 1e-5


WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"the cat dog sat on mat and ##s ##ting a".split()]
TEXT = "the [MASK] sat on the [MASK]"


@pytest.fixture
def folder(tmp_path):
    """A model and its tokenizer of fifteen words."""
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(WORDS[:5])
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    written(tmp_path, BertForMaskedLM, 9, vocab_size=len(WORDS))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_masks_are_filled_with_their_likeliest_words(folder):
    filled = Filler.load(folder).fill(TEXT, best=3)
    ids = torch.tensor([[2, 5, 4, 8, 9, 5, 4, 3]])
    with torch.no_grad():
        likely = BertForMaskedLM.from_pretrained(folder).eval()(ids).logits.softmax(-1)[0, [2, 6]].topk(3)
    words = [[word for word, _ in choices] for choices in filled.choices]
    assert words == [[WORDS[i] for i in row] for row in likely.indices]
    np.testing.assert_allclose([[p for _, p in choices] for choices in filled.choices], likely.values, rtol=1e-4)
    code, out, err = run("generate", "--from", folder, TEXT)
    first, *masks = out.splitlines()
    assert (code, err, first) == (0, "", filled.text) and "[MASK]" not in first
    assert [line.split(":")[0].strip() for line in masks] == ["[MASK] 1", "[MASK] 2"]
    assert filled.choices[1][0][0] in masks[1]


@pytest.mark.parametrize(
    ("damage", "arguments", "words"),
    [
        (None, ["the cat sat"], "the text has no [MASK]; write [MASK] where a word is wanted"),
        (None, ["[MASK]" * 30], "the text has 32 tokens; this model reads 24 at most"),
        (None, [TEXT, "--temperature", 1], "a BERT draws nothing"),
        (None, [TEXT, "--beams", 2], "--from names the model"),
        (lambda f: written(f, BertModel, 1, vocab_size=15), [TEXT], "has no head for words, so it fills no [MASK]"),
        (lambda f: written(f, BertForMaskedLM, 1, vocab_size=9), [TEXT], "it has 15 tokens, and the model 9"),
        (lambda f: (f / "tokenizer.json").unlink(), [TEXT], "tokenizer.json: No such file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), [TEXT], "no checkpoint, or cut off"),
        (lambda f: (f / "config.json").unlink(), [TEXT], "config.json: No such file"),
        (lambda f: renamed(f), [TEXT], "it has no token [MASK]"),
    ],
)
def test_what_cannot_be_filled_is_refused_in_words(folder, damage, arguments, words):
    if damage is not None:
        damage(folder)
    code, out, err = run("generate", "--from", folder, *arguments)
    assert (code, out) == (2, "") and words in err, err


def renamed(folder):
    """A tokenizer that calls its mask by another name."""
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("[MASK]", "<mask>"))
