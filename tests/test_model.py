"""The Transformer's contract: names, shapes, masks, and what it refuses."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import functional, no_grad
from transformer import Transformer, TransformerConfig

LESSON = [[15, 17, 3, 19, 8, 19, 4, 18]]  # Max(1,6,2)
SMALL = {"vocab_size": 12, "embed_dim": 8, "num_heads": 2, "num_layers": 2, "ffn_dim": 16, "max_seq_len": 10}


def small(seed=0, **choices):
    return Transformer(TransformerConfig(**{**SMALL, "dtype": "float64", **choices}), seed)


def tokens_of(seed, batch=3, time=6):
    return np.random.default_rng(seed).integers(1, 12, (batch, time))


# Every choice once with every other would be thousands of models; these are those that interact.
POSITIONS = ("sinusoidal", "learned", "rotary", "alibi")
KINDS = [
    dict(zip(("norm", "positions", "pooling", "causal"), kind, strict=True))
    for kind in itertools.product(
        ("post", "pre"), POSITIONS, ("first", "last", "mean", "max", None), (False, True)
    )
    if not (kind[2] == "first" and kind[3])
]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))


# Names and shapes


def test_the_lessons_model_has_102036_parameters_under_the_agreed_names():
    model = Transformer(TransformerConfig(vocab_size=20))
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    assert model.num_parameters() == 102_036
    block = {
        "attention.qkv.weight": (64, 192), "attention.output.weight": (64, 64),
        "norm1.weight": (64,), "norm1.bias": (64,), "norm2.weight": (64,), "norm2.bias": (64,),
        "feed_forward.up.weight": (64, 256), "feed_forward.up.bias": (256,),
        "feed_forward.down.weight": (256, 64), "feed_forward.down.bias": (64,),
    }  # fmt: skip
    expected = {f"blocks.{i}.{name}": shape for i in range(2) for name, shape in block.items()}
    assert shapes == {"embedding.weight": (20, 64), **expected, "output.weight": (64, 20), "output.bias": (20,)}
    assert all(parameter.dtype == np.float32 for parameter in model.parameters())


def test_choices_add_and_remove_the_weights_they_stand_for():
    names = set(small().state_dict())
    assert set(small(positions="learned").state_dict()) - names == {"positions.weight"}
    assert small(positions="learned").positions.weight.shape == (10, 8)
    assert set(small(positions="rotary").state_dict()) == names
    assert set(small(norm="pre").state_dict()) - names == {"norm.weight", "norm.bias"}
    assert names - set(small(tie_embeddings=True).state_dict()) == {"output.weight"}
    assert set(small(attention_bias=True).state_dict()) - names == {
        f"blocks.{i}.attention.{part}.bias" for i in range(2) for part in ("qkv", "output")
    }


@kinds
def test_logits_have_the_agreed_shape_and_every_parameter_gets_a_finite_gradient(kind):
    model = small(**kind)
    tokens = tokens_of(0)
    tokens[0, 4:] = 0
    logits, attention = model(tokens, return_attention=True)
    assert logits.shape == ((3, 12) if kind["pooling"] else (3, 6, 12)) and logits.dtype == np.float64
    assert [weights.shape for weights in attention] == [(3, 2, 6, 6)] * 2
    (logits**2).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and np.isfinite(parameter.grad.numpy()).all(), name


def test_same_seed_same_model_another_seed_another():
    same, again, other = (small(seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(np.array_equal(same[name], again[name]) for name in same)
    assert not np.array_equal(same["embedding.weight"], other["embedding.weight"])
    single, double = Transformer(TransformerConfig(20), 3), Transformer(TransformerConfig(20, dtype="float64"), 3)
    np.testing.assert_allclose(single(LESSON).numpy(), double(LESSON).numpy(), atol=1e-5)
    assert single(LESSON).dtype == np.float32


# Values, against the same model written out position by position


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def norm(x, weight, bias):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weight + bias


def encoder_written_out(w, tokens, heads=2, layers=2):
    """Post-norm, ReLU, sinusoidal, first-token pooling, for one sequence without padding."""
    T, D = len(tokens), w["embedding.weight"].shape[1]
    d = D // heads
    x = [w["embedding.weight"][token].copy() for token in tokens]
    for pos, i in itertools.product(range(T), range(0, D, 2)):
        x[pos][i] += math.sin(pos / 10000 ** (i / D))
        x[pos][i + 1] += math.cos(pos / 10000 ** (i / D))
    for layer in range(layers):
        p = {name.removeprefix(f"blocks.{layer}."): a for name, a in w.items() if name.startswith(f"blocks.{layer}.")}
        joined = [np.zeros(D) for _ in range(T)]
        for h in range(heads):
            at = slice(h * d, (h + 1) * d)
            q, k, v = ([row @ p["attention.qkv.weight"][:, n * D :][:, at] for row in x] for n in range(3))
            for t in range(T):
                a = softmax(np.array([q[t] @ k[s] / math.sqrt(d) for s in range(T)]))
                joined[t][at] = sum(a[s] * v[s] for s in range(T))
        for t in range(T):
            y = norm(x[t] + joined[t] @ p["attention.output.weight"], p["norm1.weight"], p["norm1.bias"])
            hidden = np.maximum(y @ p["feed_forward.up.weight"] + p["feed_forward.up.bias"], 0)
            down = hidden @ p["feed_forward.down.weight"] + p["feed_forward.down.bias"]
            x[t] = norm(y + down, p["norm2.weight"], p["norm2.bias"])
    return x[0] @ w["output.weight"] + w["output.bias"]


@settings(max_examples=10)
@given(seed=st.integers(0, 1000))
def test_encoder_equals_the_same_model_written_out_position_by_position(seed):
    model, tokens = small(seed), tokens_of(seed, 1, 5)
    drawn = np.random.default_rng(seed)
    model.load_state_dict({name: drawn.normal(size=a.shape) for name, a in model.state_dict().items()})
    expected = encoder_written_out(model.state_dict(), tokens[0])
    np.testing.assert_allclose(model(tokens).numpy()[0], expected, rtol=1e-9, atol=1e-9)


def test_tied_output_is_the_embeddings_transpose_plus_a_bias():
    model = small(tie_embeddings=True, pooling=None)
    model.output.bias.data = np.arange(12.0)
    x = model.blocks[1].norm2.bias
    for parameter in (model.blocks[1].norm2.weight,):
        parameter.data = np.zeros(8)
    x.data = np.arange(8.0)
    logits = model(tokens_of(0)).numpy()
    expected = model.embedding.weight.numpy() @ np.arange(8.0) + np.arange(12.0)
    np.testing.assert_allclose(logits, np.broadcast_to(expected, logits.shape), rtol=1e-12)


def test_sinusoidal_positions_have_the_worked_numbers():
    table = Transformer(TransformerConfig(20, dtype="float64")).positions.table
    np.testing.assert_array_equal(table[0], [0, 1] * 32)
    np.testing.assert_allclose(table[[1, 4], 2:4], [[0.682, 0.732], [0.142, -0.990]], atol=5e-4)


def test_rotary_scores_depend_on_distance_alone():
    rotary = small(positions="rotary").blocks[0].attention.rotary
    q, k = np.random.default_rng(0).normal(size=(2, 4))
    turned_q, turned_k = (rotary(np.tile(x, (1, 1, 10, 1)))[0, 0] for x in (q, k))
    scores = turned_q @ turned_k.T
    for offset in range(-9, 10):
        diagonal = np.diagonal(scores, offset)
        np.testing.assert_allclose(diagonal, diagonal[0], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(turned_q, axis=1), np.linalg.norm(q))
    np.testing.assert_allclose(turned_q[1, :2], [[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]] @ q[:2])


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_model_of_distances_knows_no_places(positions):
    """A first token that nobody may see moves all others by one, and changes nothing for them."""
    model, tokens = small(positions=positions, pooling=None), tokens_of(9)
    moved = np.concatenate([np.ones((3, 1), int), tokens], axis=1)
    mask = np.arange(7) > 0
    np.testing.assert_allclose(model(moved, mask=mask).numpy()[:, 1:], model(tokens).numpy(), rtol=1e-10)


# Masks


@kinds
def test_padded_tail_changes_no_logits(kind):
    model, tokens = small(**kind), tokens_of(1)
    padded = np.concatenate([tokens, np.zeros((3, 4), int)], axis=1)
    with no_grad():
        plain, tailed = model(tokens).numpy(), model(padded).numpy()
    np.testing.assert_allclose(tailed if kind["pooling"] else tailed[:, :6], plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("positions", POSITIONS)
def test_later_token_changes_no_earlier_logits_when_causal(positions):
    tokens = tokens_of(2)
    changed = tokens.copy()
    changed[:, 4:] = changed[:, 4:] % 11 + 1
    for causal in (True, False):
        model = small(causal=causal, pooling=None, positions=positions)
        before, after = model(tokens).numpy(), model(changed).numpy()
        assert not np.allclose(before[:, 4:], after[:, 4:])
        assert np.allclose(before[:, :4], after[:, :4], rtol=1e-12, atol=1e-12) == causal


def test_attention_weights_are_the_real_ones():
    model, tokens = small(causal=True, pooling="last"), tokens_of(3)
    tokens[1, 4:] = 0
    _, attention = model(tokens, return_attention=True)
    for weights in (layer.numpy() for layer in attention):
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
        assert (weights[:, :, ~np.tri(6, dtype=bool)] == 0).all()
        assert (weights[1, :, :, 4:] == 0).all()
        assert (weights[0, :, 5] > 0).all()


def test_fully_padded_sequence_attends_to_nothing_and_has_finite_gradients():
    for pooling in ("first", "last", "mean", "max", None):
        model, tokens = small(pooling=pooling), tokens_of(4)
        tokens[1] = 0
        logits, attention = model(tokens, return_attention=True)
        assert all((weights.numpy()[1] == 0).all() for weights in attention)
        if pooling in ("last", "mean", "max"):
            np.testing.assert_array_equal(logits.numpy()[1], model.output.bias.numpy())
        (logits**2).sum().backward()
        assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters())


def test_own_mask_is_joined_with_padding_and_the_future():
    model, tokens = small(causal=True, pooling=None), tokens_of(5)
    tokens[:, 5] = 0
    mask = np.random.default_rng(0).random((3, 2, 6, 6)) < 0.6
    _, attention = model(tokens, mask=mask, return_attention=True)
    allowed = mask & np.tri(6, dtype=bool) & (tokens != 0)[:, None, None, :]
    for weights in attention:
        np.testing.assert_array_equal(weights.numpy() > 0, allowed)
    np.testing.assert_array_equal(model(tokens, mask=np.ones((1, 1), bool)).numpy(), model(tokens).numpy())
    with pytest.raises(TypeError, match="boolean"):
        model(tokens, mask=np.zeros((6, 6)))
    with pytest.raises(ValueError, match=r"\(4, 6, 6\) does not broadcast to .* = \(3, 2, 6, 6\)"):
        model(tokens, mask=np.ones((4, 6, 6), bool))


def test_without_pad_id_every_token_counts():
    tokens = tokens_of(6)
    tokens[:, 3:] = 0
    counted = small(pad_id=None)
    _, attention = counted(tokens, return_attention=True)
    assert (attention[0].numpy() > 0).all()
    assert not np.allclose(counted(tokens).numpy(), small()(tokens).numpy())


@pytest.mark.parametrize("pooling", ["first", "last", "mean", "max"])
def test_pooling_is_over_the_valid_positions(pooling):
    tokens = tokens_of(7)
    tokens[0, 2:], tokens[1, 3] = 0, 0
    every, pooled = small(pooling=None), small(pooling=pooling)
    for model in (every, pooled):  # V = D and an identity: the logits are the pooled vectors
        model.output.weight.data = np.eye(8, 12)
    x, found = every(tokens).numpy(), pooled(tokens).numpy()
    for b in range(3):
        valid = x[b][tokens[b] != 0]
        expected = {"first": x[b, 0], "last": valid[-1], "mean": valid.mean(0), "max": valid.max(0)}[pooling]
        np.testing.assert_allclose(found[b], expected, rtol=1e-12, atol=1e-12)


# Tokens


@pytest.mark.parametrize(
    ("tokens", "error", "words"),
    [
        ([1, 2], ValueError, r"\(2,\) given; it must be \(batch, time\); one sequence is tokens\[None\]"),
        ([[[1]]], ValueError, "batch, time"),
        ([[1.0, 2.0]], TypeError, "integer"),
        ([[True]], TypeError, "integer"),
        ([[]], ValueError, "empty"),
        (np.zeros((0, 3), int), ValueError, "empty"),
        ([[1, 2], [3]], ValueError, "differ in length"),
        ([[1] * 11], ValueError, "11 positions, but max_seq_len = 10"),
        ([[1, 12]], IndexError, r"id 12 at position \(0, 1\) is outside \[0, 12\)"),
        ([[1, 2], [-1, 2]], IndexError, r"id -1 at position \(1, 0\)"),
    ],
)
def test_tokens_that_cannot_be_read_are_refused(tokens, error, words):
    with pytest.raises(error, match=words):
        small()(tokens)


# Dropout


def test_dropout_acts_in_training_only_and_repeats_from_the_seed():
    one, again = small(dropout=0.5), small(dropout=0.5)
    tokens = tokens_of(8)
    first = one(tokens).numpy()
    np.testing.assert_array_equal(first, again(tokens).numpy())
    assert not np.array_equal(first, one(tokens).numpy())
    one.eval()
    np.testing.assert_array_equal(one(tokens).numpy(), small().eval()(tokens).numpy())


def test_dropout_acts_on_the_sum_of_embedding_and_positions_too():
    model = small(dropout=0.5, norm="pre")
    for block in model.blocks:  # silent sublayers: the embedding alone is left
        block.attention.output.weight.data = np.zeros((8, 8))
        block.feed_forward.down.weight.data = np.zeros((16, 8))
    assert not np.array_equal(model(tokens_of(8)).numpy(), model(tokens_of(8)).numpy())


# Before training


def test_logits_are_no_surer_than_chance_before_training():
    for tie in (False, True):
        model = Transformer(TransformerConfig(20, tie_embeddings=tie))
        loss = functional.cross_entropy(model(np.tile(LESSON, (20, 1))), np.arange(20))
        assert abs(loss.item() - math.log(20)) < 1.5
