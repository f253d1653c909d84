"""What the Transformer leaves unchanged, its gradients must know: relations between two runs of the whole model.

Every kind of model is drawn: pre- and post-norm, three kinds of positions, every pooling, causal or not.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, gradients
from transformer import Transformer, TransformerConfig
from transformer.layers import Rotary

SMALL = {"vocab_size": 14, "embed_dim": 8, "num_heads": 2, "num_layers": 2, "ffn_dim": 12, "max_seq_len": 8}
T = 6
SEEDS = st.integers(0, 2**32 - 1)
KINDS = [
    dict(zip(("norm", "positions", "pooling", "causal"), kind, strict=True))
    for kind in itertools.product(
        ("post", "pre"), ("sinusoidal", "learned", "rotary"), ("first", "last", "mean", "max", None), (False, True)
    )
    if not (kind[2] == "first" and kind[3])
]
kinds = st.sampled_from(KINDS)
some = settings(max_examples=16)


def model_of(kind, seed, **choices):
    """With weights far from their start, biases too, so that nothing is 0 or 1 by chance."""
    config = TransformerConfig(**{**SMALL, "dtype": "float64", "attention_bias": True, **kind, **choices})
    model, rng = Transformer(config), np.random.default_rng(seed)
    for name, parameter in model.named_parameters():
        start = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = start + 0.5 * rng.standard_normal(parameter.shape)
    return model, rng


def distinct(rng, batch=1):
    """Tokens, none of which occurs twice, and none of which is padding."""
    return (1 + rng.permutation(SMALL["vocab_size"] - 1))[: batch * T].reshape(batch, T)


def run(model, tokens, g=None, rng=None, at=...):
    """Logits (those `at`), the gradients by name, and the cotangent, which is drawn unless given."""
    logits = model(tokens)[at]
    g = rng.standard_normal(logits.shape) if g is None else g
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = gradients(logits, list(parameters), Tensor(g), allow_unused=True)
    zeros = (np.zeros(p.shape) for p in parameters)
    return logits.numpy(), {n: z if d is None else d.numpy() for n, d, z in zip(names, found, zeros, strict=True)}, g


def near(a, b, of=1.0):
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10 * max(1.0, float(np.max(np.abs(of), initial=0.0))))


def near_all(found, expected):
    assert set(found) == set(expected)
    for name in found:
        near(found[name], expected[name], expected[name])


# Who may see whom


@some
@given(kind=kinds, seed=SEEDS)
def test_an_example_does_not_depend_on_the_others_in_its_batch(kind, seed):
    """Its logits are those it has alone; the batch's gradient is the sum of theirs; strangers' tokens get exactly 0."""
    model, rng = model_of(kind, seed)
    tokens = distinct(rng, batch=2)
    logits, found, g = run(model, tokens, rng=rng)
    alone = [run(model, tokens[k : k + 1], g[k : k + 1]) for k in range(2)]
    near(logits, np.concatenate([each[0] for each in alone]), logits)
    near_all(found, {name: alone[0][1][name] + alone[1][1][name] for name in found})
    _, of_first, _ = run(model, tokens, g[:1], at=slice(0, 1))
    assert not of_first["embedding.weight"][tokens[1]].any()


@some
@given(kind=st.sampled_from([kind for kind in KINDS if kind["causal"] and kind["pooling"] is None]), seed=SEEDS,
       t=st.integers(0, T - 2))  # fmt: skip
def test_no_gradient_comes_from_later_tokens_when_causal(kind, seed, t):
    model, rng = model_of(kind, seed)
    tokens = distinct(rng)
    early = (slice(None), slice(0, t + 1))
    logits, found, g = run(model, tokens, rng=rng, at=early)
    assert not found["embedding.weight"][tokens[0, t + 1 :]].any()
    assert found["embedding.weight"][tokens[0, : t + 1]].any()
    changed = np.concatenate([tokens[:, : t + 1], rng.integers(1, 14, (1, T - t - 1))], axis=1)
    again, repeated, _ = run(model, changed, g, at=early)
    np.testing.assert_array_equal(again, logits)
    near_all(repeated, found)


@some
@given(kind=kinds, seed=SEEDS, padded=st.integers(1, T - 1))
def test_padding_never_leaks(kind, seed, padded):
    """Its embedding gets exactly 0, another embedding in its place changes no bit, and nor does more of it."""
    model, rng = model_of(kind, seed)
    tokens = distinct(rng)
    tokens[:, T - padded :] = 0
    valid = (slice(None), slice(0, T - padded)) if kind["pooling"] is None else ...
    logits, found, g = run(model, tokens, rng=rng, at=valid)
    assert not found["embedding.weight"][0].any()
    weight = model.embedding.weight
    weight.data = np.concatenate([100 * rng.standard_normal((1, 8)), weight.numpy()[1:]])
    again, repeated, _ = run(model, tokens, g, at=valid)
    np.testing.assert_array_equal(again, logits)
    for name in found:
        np.testing.assert_array_equal(repeated[name], found[name])
    shorter, trimmed, _ = run(model, tokens[:, : T - padded], g, at=valid)
    near(shorter, logits, logits)
    near_all(trimmed, found)


# Symmetries of the weights


def slices(order, width):
    """The columns of heads (or units), in another order."""
    return (np.asarray(order)[:, None] * width + np.arange(width)).ravel()


def rearranged(model, moves):
    """The gradients, or parameters, with some columns or rows in another order: {ending of a name: (axis, places)}."""
    def move(name, value):
        for ending, (axis, places) in moves.items():
            if name.endswith(ending):
                return np.take(value, places, axis)
        return value

    return lambda named: {name: move(name, value) for name, value in named.items()}


def agree_when(model, rng, tokens, change):
    """Logits stay when the parameters are changed so, and the gradients are changed likewise."""
    logits, found, g = run(model, tokens, rng=rng)
    changed = change({name: p.numpy() for name, p in model.named_parameters()})
    for name, parameter in model.named_parameters():
        parameter.data = np.array(changed[name])
    again, repeated, _ = run(model, tokens, g)
    near(again, logits, logits)
    near_all(repeated, change(found))


@some
@given(kind=kinds, seed=SEEDS, heads=st.sampled_from([2, 4]))
def test_heads_have_no_order(kind, seed, heads):
    """With rotary positions too: every head is turned by the same angles."""
    model, rng = model_of(kind, seed, num_heads=heads)
    own = slices(rng.permutation(heads), 8 // heads)
    columns = np.concatenate([own, 8 + own, 16 + own])
    moves = {"qkv.weight": (1, columns), "qkv.bias": (0, columns), "attention.output.weight": (0, own)}
    agree_when(model, rng, distinct(rng), rearranged(model, moves))


@some
@given(kind=kinds, seed=SEEDS)
def test_hidden_units_have_no_order(kind, seed):
    model, rng = model_of(kind, seed)
    p = rng.permutation(12)
    moves = {"up.weight": (1, p), "up.bias": (0, p), "down.weight": (0, p)}
    agree_when(model, rng, distinct(rng), rearranged(model, moves))


@some
@given(kind=kinds, seed=SEEDS)
def test_tokens_have_no_names(kind, seed):
    """Another numbering of the vocabulary, with the embedding's rows and the output's columns in the same order."""
    model, rng = model_of(kind, seed, pad_id=None)
    p, tokens = rng.permutation(14), distinct(rng)
    logits, found, g = run(model, tokens, rng=rng)

    def change(named):
        axes = {"embedding.weight": 0, "output.weight": 1, "output.bias": 0}
        return {name: np.take(x, p, axes[name]) if name in axes else x for name, x in named.items()}

    for name, x in change({name: q.numpy() for name, q in model.named_parameters()}).items():
        dict(model.named_parameters())[name].data = np.array(x)
    again, repeated, _ = run(model, np.argsort(p)[tokens], g[..., p])
    near(again, logits[..., p], logits)
    near_all(repeated, change(found))


@some
@given(seed=SEEDS, norm=st.sampled_from(["pre", "post"]), pooling=st.sampled_from(["mean", "max"]))
def test_without_positions_tokens_have_no_places(seed, norm, pooling):
    model, rng = model_of({"norm": norm, "pooling": pooling, "positions": "learned"}, seed)
    model.positions.weight.data = np.zeros((8, 8))
    tokens = distinct(rng)
    logits, found, g = run(model, tokens, rng=rng)
    again, repeated, _ = run(model, tokens[:, rng.permutation(T)], g)
    near(again, logits, logits)
    near(repeated["embedding.weight"], found["embedding.weight"], found["embedding.weight"])


@some
@given(kind=kinds, seed=SEEDS)
def test_tied_embeddings_get_the_sum_of_both_gradients(kind, seed):
    tied, rng = model_of(kind, seed, tie_embeddings=True)
    apart, _ = model_of(kind, seed)
    named = dict(tied.named_parameters())
    for name, parameter in apart.named_parameters():
        source = named.get(name)
        parameter.data = named["embedding.weight"].numpy().T.copy() if source is None else source.numpy().copy()
    tokens = distinct(rng)
    logits, found, g = run(tied, tokens, rng=rng)
    again, split, _ = run(apart, tokens, g)
    near(again, logits, logits)
    split["embedding.weight"] = split["embedding.weight"] + split.pop("output.weight").T
    near_all(found, split)


# The residual stream


@some
@given(kind=kinds, seed=SEEDS)
def test_norms_forget_a_shift_so_what_is_added_to_the_stream_has_gradients_that_sum_to_zero(kind, seed):
    """Post-norm: what each sublayer adds. Pre-norm: the embeddings too, for nothing but norms ever reads the stream."""
    model, rng = model_of(kind, seed)
    tokens = distinct(rng)
    logits, found, g = run(model, tokens, rng=rng)
    endings = ("attention.output.weight", "attention.output.bias", "down.weight", "down.bias")
    first = ("embedding.weight", "positions.weight") if kind["norm"] == "pre" else ()
    added = [name for name in found if name.endswith(endings) or name in first]
    assert len(added) >= 8
    for name in added:
        near(found[name].sum(-1), 0.0, found[name])
    for name, parameter in model.named_parameters():
        if name in added:
            parameter.data = parameter.numpy() + rng.standard_normal((*parameter.shape[:-1], 1))
    near(run(model, tokens, g)[0], logits, logits)


@some
@given(kind=st.sampled_from([kind for kind in KINDS if kind["norm"] == "pre"]), seed=SEEDS)
def test_blocks_that_write_nothing_are_not_there(kind, seed):
    """Pre-norm, with zeros in what writes to the stream: the gradient passes by, and what reads gets exactly none."""
    model, rng = model_of(kind, seed)
    writers = ("attention.output.weight", "attention.output.bias", "down.weight", "down.bias")
    for name, parameter in model.named_parameters():
        if name.endswith(writers):
            parameter.data = np.zeros(parameter.shape)
    tokens = distinct(rng)
    _, found, g = run(model, tokens, rng=rng)
    lone, _ = model_of(kind, seed, num_layers=1)
    named = dict(model.named_parameters())
    for name, parameter in lone.named_parameters():
        parameter.data = named[name].numpy().copy()
    _, of_one, _ = run(lone, tokens, g)
    near(of_one["embedding.weight"], found["embedding.weight"], found["embedding.weight"])
    for name, each in found.items():
        if name.startswith("blocks") and not name.endswith(writers):
            assert not each.any(), name


@some
@given(kind=kinds, seed=SEEDS)
def test_loss_of_no_weight_on_a_token_leaves_no_trace(kind, seed):
    """The loss over a batch in which one example is ignored has the gradients of the loss over the others."""
    model, rng = model_of(kind, seed)
    tokens = distinct(rng, batch=2)
    shape = (2, T) if kind["pooling"] is None else (2,)
    targets = rng.integers(1, 14, shape)
    targets[1] = -1
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = gradients(functional.cross_entropy(model(tokens), targets, ignore=-1), list(parameters))
    alone = gradients(functional.cross_entropy(model(tokens[:1]), targets[:1]), list(parameters))
    near_all(*[dict(zip(names, [d.numpy() for d in each], strict=True)) for each in (found, alone)])


# Rotary positions


def turned(seed, count):
    config = TransformerConfig(**SMALL, positions="rotary", dtype="float64")
    rng = np.random.default_rng(seed)
    return Rotary(config), rng, [rng.standard_normal((1, 1, T, 4)) for _ in range(count)]


@some
@given(seed=SEEDS)
def test_rotary_keeps_lengths_both_ways(seed):
    rotary, _, (x, g) = turned(seed, 2)
    leaf = Tensor(x, requires_grad=True)
    y = rotary(leaf)
    near(np.linalg.norm(y.numpy(), axis=-1), np.linalg.norm(x, axis=-1))
    d = gradients(y, leaf, Tensor(g)).numpy()
    near(np.linalg.norm(d, axis=-1), np.linalg.norm(g, axis=-1))


@some
@given(seed=SEEDS, shift=st.integers(1, 2), t=st.integers(0, 3), s=st.integers(0, 3))
def test_rotary_scores_and_their_gradients_know_the_distance_alone(seed, shift, t, s):
    rotary, rng, _ = turned(seed, 0)
    q, k = rng.standard_normal((2, 4))

    def score(t, s):
        leaves = [Tensor(each, requires_grad=True) for each in (q, k)]
        whole = [rotary(np.broadcast_to(leaf, (1, 1, T, 4))) for leaf in leaves]
        value = np.sum(whole[0][0, 0, t] * whole[1][0, 0, s])
        return value.item(), [d.numpy() for d in gradients(value, leaves)]

    here, there = score(t, s), score(t + shift, s + shift)
    near(here[0], there[0])
    for a, b in zip(here[1], there[1], strict=True):
        near(a, b)


def test_every_kind_of_model_can_be_drawn():
    assert {kind["positions"] for kind in KINDS} == {"sinusoidal", "learned", "rotary"} and len(KINDS) == 54


@pytest.mark.parametrize("kind", KINDS[::7], ids=lambda kind: "-".join(map(str, kind.values())))
def test_same_tokens_twice_in_a_batch_double_each_gradient(kind):
    model, rng = model_of(kind, 0)
    tokens = distinct(rng)
    _, found, g = run(model, tokens, rng=rng)
    _, twice, _ = run(model, np.tile(tokens, (2, 1)), np.concatenate([g, g]))
    near_all(twice, {name: 2 * each for name, each in found.items()})
