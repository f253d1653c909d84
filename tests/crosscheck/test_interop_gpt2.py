"""GPT-2 folders as `transformers` writes them: its logits, its gradients, its tokens, one by one."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hugging_face import run
from test_torch_model import off
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel

from tinygrad_edu import functional
from transformer.generate import generate
from transformer.headers import CheckpointError
from transformer.interop import Pretrained, load_gpt2
from transformer.interop.gpt2 import names_of

SMALL = {
    "n_positions": 24, "n_embd": 12, "n_layer": 2, "n_head": 3, "vocab_size": 40, "bos_token_id": 0, "eos_token_id": 1,
    "pad_token_id": 1,
}  # fmt: skip
CONFIGS = {
    "small": {},
    "as wide within as without": {"n_inner": 12, "n_head": 1, "n_layer": 3},
    "exact gelu, output of its own": {"activation_function": "gelu", "tie_word_embeddings": False},
    "another eps, relu": {"activation_function": "relu", "layer_norm_epsilon": 1e-3, "n_embd": 20, "n_head": 5},
    "one layer, silu": {"activation_function": "silu", "n_layer": 1, "n_embd": 16, "n_head": 4, "vocab_size": 300},
}
TEXT = "the cat sat on the mat, and the dog sat on the cat; naïve ☃ snow\n"


def written(folder, seed, **changes):
    """A model of theirs in a folder; nothing in it is 0 or 1, which would hide a factor."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**SMALL | changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_every_gradient_are_theirs(name, tmp_path, tally):
    theirs = written(tmp_path, 0, **CONFIGS[name])
    ours = load_gpt2(tmp_path)
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, ours.config.vocab_size, (3, 17))
    targets = rng.integers(0, ours.config.vocab_size, tokens.shape)
    logits, expected = ours(tokens), theirs(torch.tensor(tokens)).logits
    assert off(logits.numpy(), expected.numpy(force=True)) < 1e-5
    functional.cross_entropy(logits, targets).backward()
    F.cross_entropy(expected.flatten(0, 1), torch.tensor(targets).flatten()).backward()
    gradients = {n.removeprefix("transformer."): p.grad.numpy() for n, p in theirs.named_parameters()}
    names = {own: name for name, (own, _) in names_of(ours.config).items()}
    assert set(gradients) == set(names.values())
    for own, parameter in ours.named_parameters():
        g = gradients[names[own]]
        assert off(parameter.grad.numpy(), g.T if own == "output.weight" else g) < 1e-4, own
        tally("gradients of GPT-2 parameters")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_and_several_files_are_read_as_theirs_are(kind, tmp_path):
    theirs = written(tmp_path / "f", 4).to(getattr(torch, kind))
    theirs.save_pretrained(tmp_path / "whole")
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="2kB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    tokens = np.random.default_rng(5).integers(0, 40, (3, 17))
    with torch.no_grad():
        expected = theirs.double()(torch.tensor(tokens)).logits.numpy()
    for folder in (tmp_path / "whole", tmp_path / "parts"):
        assert off(load_gpt2(folder, "float64")(tokens).numpy(), expected) < 1e-12
        assert off(load_gpt2(folder)(tokens).numpy(), expected) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_generated_tokens_are_theirs(name, tmp_path, tally):
    theirs = written(tmp_path, 2, **CONFIGS[name])
    ours = load_gpt2(tmp_path)
    for seed in range(4):
        prompt = np.random.default_rng(seed).integers(2, ours.config.vocab_size, 3 + seed).tolist()
        with torch.no_grad():
            found = theirs.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=12, do_sample=False
            )[0, len(prompt) :].tolist()
        assert generate(ours, [prompt], 12, stop=1)[0] == found
        tally("texts generated token by token", 1)


@pytest.fixture
def folder(tmp_path):
    """A model and a tokenizer of bytes, trained on one line."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=280, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    written(tmp_path, 3, vocab_size=tokenizer.get_vocab_size(), eos_token_id=0, n_positions=64)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_text_goes_in_and_comes_out(folder):
    found = Pretrained.load(folder)
    assert found.tokenizer.decode(found.encode(TEXT)) == TEXT and found.stop == 0
    ids = generate(found.model, [found.encode("the cat")], 10, stop=0)[0]
    said = "".join(found.text_after("the cat", 10))
    assert said == found.tokenizer.decode(ids)
    code, out, err = run("generate", "--from", folder, "--limit", 10, "the cat")
    assert (code, err) == (0, "") and out == f"the cat{said}\n"


def test_letters_of_several_bytes_are_never_told_in_halves(folder):
    found = Pretrained.load(folder)
    ids = found.encode("☃ï")
    assert len(ids) > 2
    found.model = None
    steps = iter([[type("Said", (), {"token": token})] for token in ids])
    pieces = list(pieces_of(found, steps))
    assert "".join(pieces) == "☃ï" and all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces)


def pieces_of(found, steps):
    from transformer.interop import pretrained

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrained, "stream", lambda *_: steps)
        patch.setattr(found, "encode", lambda _: [2], raising=False)
        yield from found.text_after("x")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "tokenizer.json").write_text("{"), "no tokenizer"),
        (lambda f: (f / "tokenizer.json").write_bytes(b"\xff"), "no tokenizer"),
        (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: No such file"),
        (lambda f: change(f, vocab_size=279), "wte.weight"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "no checkpoint, or cut off"),
        (lambda f: (f / "config.json").unlink(), "config.json: No such file"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(folder, damage, words):
    damage(folder)
    code, out, err = run("generate", "--from", folder, "the cat")
    assert (code, out, err.count("\n")) == (2, "", 1) and words in err, err


def change(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(folder):
    written(folder, 1, vocab_size=50)
    with pytest.raises(CheckpointError, match="it has 280 tokens, and the model 50"):
        Pretrained.load(folder)


def test_prompts_that_cannot_be_read_say_why(folder):
    assert "the text is empty" in run("generate", "--from", folder, "")[2]
    assert "tokens; this model reads 64 at most" in run("generate", "--from", folder, "x" * 300)[2]
    assert "--from names the model" in run("generate", "--from", folder, "--beams", 2, "x")[2]
