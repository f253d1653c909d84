"""A cache changes no number, sampling draws what it says it draws, beam search finds the likeliest answer."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transformer.beam
from tinygrad_edu import functional, no_grad
from tinygrad_edu.errors import ShapeError
from transformer import Transformer, TransformerConfig
from transformer.beam import beam_search, beam_searches
from transformer.generate import generate, scores, stream
from transformer.layers import Cache
from transformer.sampling import Sampling
from transformer.tokens import EOS, PAD

V = 11
CONFIG = TransformerConfig(V, 16, 2, 2, 16, 12, causal=True, pooling=None, dtype="float64")
# Every choice that touches attention; the bound on what a cache may change, relative to the largest logit.
CONFIGS = st.builds(
    dataclasses.replace, st.just(CONFIG), norm=st.sampled_from(["pre", "post"]),
    norm_kind=st.sampled_from(["layer", "rms"]),
    positions=st.sampled_from(["sinusoidal", "learned", "rotary", "alibi"]), gated=st.booleans(),
    num_heads=st.sampled_from([1, 2, 4, 8]), tie_embeddings=st.booleans(), attention_bias=st.booleans(),
    pad_id=st.sampled_from([0, None]), dtype=st.sampled_from(["float32", "float64"]),
)  # fmt: skip
NEAR = {"float32": 1e-5, "float64": 1e-13}


def lively(config, seed):
    """A model whose weights are all drawn, its biases and norms too."""
    model = Transformer(config, seed)
    draw = np.random.default_rng(seed)
    for parameter in model.parameters():
        parameter.data = (parameter.numpy() + 0.3 * draw.normal(size=parameter.shape)).astype(config.dtype)
    return model.eval()


# The cache


@settings(max_examples=40)
@given(config=CONFIGS, seed=st.integers(0, 999), batch=st.integers(1, 4), data=st.data())
def test_pieces_through_a_cache_give_the_logits_of_the_whole(config, seed, batch, data):
    """Cut anywhere, with padding anywhere: the attention of each piece is that of its rows in the whole, too."""
    model = lively(config, seed)
    T = data.draw(st.integers(2, 12), "T")
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, T - 1)), "cuts")), T]
    tokens = np.random.default_rng(seed).integers(0, V, (batch, T))
    cache, found = Cache(), []
    with no_grad():
        whole, attention = model(tokens, return_attention=True)
        for start, end in itertools.pairwise(cuts):
            logits, weights = model(tokens[:, start:end], cache=cache, return_attention=True)
            found.append(logits.numpy())
            for one, all_of_it in zip(weights, attention, strict=True):
                np.testing.assert_allclose(
                    one.numpy(), all_of_it.numpy()[:, :, start:end, :end], atol=NEAR[config.dtype]
                )
    assert cache.length == T
    bound = NEAR[config.dtype] * np.abs(whole.numpy()).max()
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole.numpy(), rtol=0, atol=bound)


@settings(max_examples=20)
@given(config=CONFIGS, seed=st.integers(0, 999), data=st.data())
def test_with_and_without_a_cache_alone_and_together_the_same_tokens_are_said(config, seed, data):
    model = lively(dataclasses.replace(config, dtype="float64"), seed)
    prompts = data.draw(st.lists(st.lists(st.integers(1, V - 1), min_size=1, max_size=12), min_size=1, max_size=4))
    how = data.draw(
        st.sampled_from([Sampling(), Sampling(1.0, seed=3), Sampling(0.7, top_k=3), Sampling(2.0, top_p=0.5)])
    )
    together = generate(model, prompts, 5, how)
    assert together == generate(model, prompts, 5, how, cached=False)
    steps = [{one.row: one.token for one in step} for step in stream(model, prompts, 5, how)]
    for k, (prompt, answer) in enumerate(zip(prompts, together, strict=True)):
        assert [step[k] for step in steps if k in step] == answer
        assert config.pad_id is None or PAD not in answer  # where nothing is padding, its number is a word like others
        assert EOS not in answer[:-1]
        assert len(answer) == min(5, 13 - len(prompt)) or answer[-1] == EOS
        if how.temperature == 0:
            assert generate(model, [prompt], 5) == [answer]


@pytest.mark.parametrize(("pad_id", "said"), [(None, [PAD] * 3), (PAD, [4] * 3)])
def test_padding_is_never_said_and_where_there_is_none_its_number_is(pad_id, said):
    model = lively(dataclasses.replace(CONFIG, pad_id=pad_id), 0)
    model.output.bias.data = np.where(np.arange(V) == PAD, 1000.0, np.where(np.arange(V) == 4, 500.0, 0.0))
    assert generate(model, [[5, 6]], 3) == [said]


def test_kept_rows_go_on_as_if_the_others_had_never_been():
    model, tokens = lively(CONFIG, 0), np.random.default_rng(0).integers(1, V, (4, 8))
    cache, rows = Cache(), [2, 0, 2]
    with no_grad():
        model(tokens[:, :5], cache=cache)
        cache.keep(rows)
        found = model(tokens[rows, 5:], cache=cache).numpy()
        np.testing.assert_allclose(found, model(tokens[rows]).numpy()[:, 5:], rtol=1e-12)


def test_a_call_that_fails_leaves_the_cache_as_it_was():
    model, tokens = lively(CONFIG, 0), np.random.default_rng(0).integers(1, V, (2, 8))
    cache = Cache()
    with no_grad():
        model(tokens[:, :5], cache=cache)
        for wrong, error in (([[1], [V]], IndexError), ([[1]], ValueError), (np.ones((2, 8), int), ShapeError)):
            with pytest.raises(error):
                model(wrong, cache=cache)
        assert cache.length == 5
        np.testing.assert_allclose(model(tokens[:, 5:], cache=cache).numpy(), model(tokens).numpy()[:, 5:], rtol=1e-12)


def test_a_cache_is_refused_where_it_would_give_wrong_numbers():
    tokens = [[1, 2]]
    with pytest.raises(ValueError, match="no gradient passes; call under no_grad"):
        lively(CONFIG, 0)(tokens, cache=Cache())
    for other in ({"causal": False}, {"pooling": "last"}):
        with pytest.raises(ValueError, match="causal = True and pooling = None"), no_grad():
            lively(dataclasses.replace(CONFIG, **other), 0)(tokens, cache=Cache())
    with pytest.raises(ShapeError, match="13 positions, but max_seq_len = 12"), no_grad():
        cache = Cache()
        lively(CONFIG, 0)([[1] * 12], cache=cache)
        lively(CONFIG, 0)([[1]], cache=cache)


def test_a_listener_to_the_stream_may_record_gradients():
    model = lively(CONFIG, 0).train()
    for _ in stream(model, [[1, 2]], 2, stop=None):
        assert model.training
        model([[1, 2]]).sum().backward()


# Sampling


LOGITS = st.lists(st.floats(-20, 20), min_size=2, max_size=12)


@given(LOGITS, st.floats(0.05, 5))
def test_temperature_divides_the_logits(logits, temperature):
    p = Sampling(temperature).probabilities([logits])[0]
    np.testing.assert_allclose(p, functional.softmax(np.array(logits) / temperature), rtol=1e-9, atol=1e-300)


@given(LOGITS, st.integers(1, 12), st.floats(0.01, 1.0))
def test_top_k_keeps_the_k_likeliest_and_top_p_the_fewest_that_have_p_of_what_is_left(logits, k, p):
    full = Sampling(1.0).probabilities([logits])[0]
    order = sorted(range(len(logits)), key=lambda token: (-full[token], token))[:k]
    cut = Sampling(1.0, top_k=k).probabilities([logits])[0]
    assert set(np.flatnonzero(cut)) <= set(order) and cut.sum() == pytest.approx(1)
    np.testing.assert_allclose(cut[order], full[order] / full[order].sum(), rtol=1e-9)
    both = Sampling(1.0, top_k=k, top_p=p).probabilities([logits])[0]
    kept = [token for token in order if both[token] > 0]
    assert kept == order[: len(kept)] and kept
    mass = [sum(cut[token] for token in order[:n]) for n in range(len(kept) + 1)]
    assert mass[-1] >= p * (1 - 1e-9) and mass[-2] < p * (1 + 1e-9)
    np.testing.assert_allclose(both[kept], cut[kept] / mass[-1], rtol=1e-9)


def test_tokens_are_drawn_as_often_as_their_probability_says():
    logits = np.array([[1.0, 2.0, -np.inf, 0.0, 2.5]])
    sampling = Sampling(1.3, top_k=3, seed=5)
    (generator,) = sampling.generators(1)
    drawn = sampling.choose(np.tile(logits, (4000, 1)), [generator] * 4000)
    p = sampling.probabilities(logits)[0]
    count = np.bincount(drawn, minlength=5)
    assert (count[p == 0] == 0).all()
    assert (np.abs(count - 4000 * p) <= 5 * np.sqrt(4000 * p)).all()


def test_a_draw_of_exactly_0_takes_no_token_that_never_comes():
    class Zero:
        def random(self):
            return 0.0

    logits = np.array([[-np.inf, 1.0, 0.0], [0.0, -np.inf, 1.0]])
    assert Sampling(1.0).choose(logits, [Zero(), Zero()]) == [1, 0]


@given(LOGITS, st.sampled_from([1e-300, 1e-9, 0.0]))
def test_the_coldest_sampling_is_greedy(logits, temperature):
    chosen = Sampling(temperature).probabilities([logits])[0]
    assert np.isfinite(chosen).all()
    assert max(logits) - logits[int(chosen.argmax())] <= temperature  # what differs by less is a tie


def test_the_seed_settles_what_is_said_and_another_says_something_else():
    model, prompts = lively(CONFIG, 0), [[1, 2], [3]]
    said = [generate(model, prompts, 8, Sampling(2.0, seed=seed)) for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]
    longer = generate(model, [[1, 2], [3, 4, 5, 6]], 8, Sampling(2.0))
    assert longer[0] == said[0][0]


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"temperature": -1.0}, "temperature = -1"), ({"temperature": np.nan}, "temperature = nan"),
        ({"temperature": 1.0, "top_k": 0}, "top_k = 0"), ({"temperature": 1.0, "top_p": 0.0}, "top_p = 0"),
        ({"temperature": 1.0, "top_p": 1.1}, "top_p = 1.1"), ({"seed": -1}, "seed = -1"),
        ({"top_k": 2}, "give a temperature"),
    ],
)  # fmt: skip
def test_sampling_that_draws_nothing_is_refused(choices, words):
    with pytest.raises(ValueError, match=words):
        Sampling(**choices)


# Beam search


def brute_force(model, prompt, limit):
    """Every answer there is, with its log-probability; a token after another, without a cache."""
    found, open_answers = [], [((), 0.0)]
    for _ in range(limit):
        logits = scores(model, np.array([[*prompt, *answer] for answer, _ in open_answers]))
        grown = [
            ((*answer, token), total + p[token])
            for (answer, total), p in zip(open_answers, functional.log_softmax(logits), strict=True)
            for token in range(1, logits.shape[1])
        ]
        found += [one for one in grown if one[0][-1] == EOS]
        open_answers = [one for one in grown if one[0][-1] != EOS]
    return sorted(found + open_answers, key=lambda one: -one[1])


@settings(max_examples=10)
@given(seed=st.integers(0, 999), positions=st.sampled_from(["sinusoidal", "rotary", "alibi"]))
def test_a_beam_as_wide_as_the_tree_finds_the_likeliest_answers_of_all(seed, positions):
    model = lively(dataclasses.replace(CONFIG, positions=positions, vocab_size=6), seed)
    expected = brute_force(model, [2, 3], 3)
    found = beam_search(model, [2, 3], width=6**3, limit=3)
    assert len(expected) == 1 + 4 + 4 * 4 * 5  # [EOS] ends an answer of one, two or three tokens
    assert [one.tokens for one in found] == [tokens for tokens, _ in expected]
    np.testing.assert_allclose([one.log_probability for one in found], [total for _, total in expected], rtol=1e-10)


@settings(max_examples=12)
@given(seed=st.integers(0, 999), width=st.integers(2, 6))
def test_a_beam_of_one_is_greedy_and_what_a_wider_one_says_has_the_probability_it_claims(seed, width):
    model = lively(CONFIG, seed)
    (greedy,) = beam_search(model, [3, 4], width=1, limit=6)
    assert [list(greedy.tokens)] == generate(model, [[3, 4]], 6)
    found = beam_search(model, [3, 4], width, limit=6)
    assert len(found) == width == len({one.tokens for one in found})
    totals = [one.log_probability for one in found]
    assert totals == sorted(totals, reverse=True)
    for one in found:
        with no_grad():
            logits = model([[3, 4, *one.tokens[:-1]]]).numpy()[0, 1:]
        logits[:, PAD] = -np.inf
        total = functional.log_softmax(logits)[np.arange(len(one.tokens)), one.tokens].sum()
        assert one.log_probability == pytest.approx(total, rel=1e-9)


@settings(max_examples=15)
@given(config=CONFIGS, seed=st.integers(0, 999), data=st.data())
def test_several_prompts_at_once_find_what_each_finds_alone(config, seed, data):
    """Prompts of any lengths, some of which leave no more than one free position."""
    model = lively(dataclasses.replace(config, dtype="float64"), seed)
    prompts = data.draw(st.lists(st.lists(st.integers(1, V - 1), min_size=1, max_size=12), min_size=1, max_size=5))
    how = {"width": data.draw(st.integers(1, 5)), "limit": data.draw(st.integers(1, 7))}
    how |= {"length_penalty": data.draw(st.sampled_from([0.0, 1.0])), "stop": data.draw(st.sampled_from([EOS, None]))}
    together = beam_searches(model, prompts, **how)
    for prompt, found in zip(prompts, together, strict=True):
        alone = beam_search(model, prompt, **how)
        assert [one.tokens for one in found] == [one.tokens for one in alone] and found
        np.testing.assert_allclose(
            [one.log_probability for one in found], [one.log_probability for one in alone], rtol=1e-10
        )


def test_beams_of_several_prompts_are_read_in_one_batch(monkeypatch):
    model, prompts, calls = lively(CONFIG, 0), [[3, 4], [5], [2, 3, 4]], []
    honest = transformer.beam.scores
    monkeypatch.setattr(transformer.beam, "scores", lambda *given: (calls.append(len(given[1])), honest(*given))[1])
    beam_searches(model, prompts, 3, 4, stop=None)
    assert len(calls) == 3 - 1 + 4 and max(calls) == 3 * 3
    assert beam_searches(model, []) == []


def test_a_length_penalty_ranks_by_the_mean_of_a_token():
    model = lively(CONFIG, 1)
    for penalty in (0.0, 0.5, 1.0):
        found = beam_search(model, [3], width=V**2, limit=2, length_penalty=penalty)
        ranks = [one.log_probability / len(one.tokens) ** penalty for one in found]
        assert ranks == sorted(ranks, reverse=True)
        assert ranks[0] == pytest.approx(max(t / len(a) ** penalty for a, t in brute_force(model, [3], 2)))


def test_a_beam_that_cannot_begin_is_refused():
    for wrong in ({"width": 0}, {"limit": 0}, {"prompt": [1] * 13}):
        with pytest.raises(ValueError, match="must be 1 or more"):
            beam_search(lively(CONFIG, 0), **{"prompt": [1], **wrong})
    with pytest.raises(ValueError, match="wants a decoder, with causal = True"):
        beam_search(Transformer(TransformerConfig(V)), [1])
