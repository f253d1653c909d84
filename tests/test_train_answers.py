"""A generated answer is what the model says token by token, and counts only as a whole."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import functional, no_grad
from transformer import Transformer, TransformerConfig
from transformer.evaluate import evaluate
from transformer.examining import mean_loss
from transformer.generate import answers, ask, generate
from transformer.gradients import all_right
from transformer.tasks import DigitTask, Example, make_splits
from transformer.tokens import EOS, PAD, InputError, decode, encode

ENCODER = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, max_seq_len=16)
DECODER = dataclasses.replace(ENCODER, causal=True, pooling=None)
QUESTIONS = ["Max(1,6,2)", "Min(10,9)", "Last(3,4,12)", "First(7,8)"]
EXAMPLES = make_splits(DigitTask(11, 2), seed=0, decoder=True)["test"]


def eager(config, seed):
    """A model with weights so large that its answers vary."""
    model = Transformer(config, seed)
    for name, parameter in model.named_parameters():
        if name.startswith("output"):
            parameter.data = parameter.numpy() * 5 + np.random.default_rng(seed).normal(size=parameter.shape)
    return model


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_answers_do_not_depend_on_what_else_is_in_the_batch(seed):
    model = eager(DECODER, seed)
    alone = [answers(model, [question])[0] for question in QUESTIONS]
    assert answers(model, QUESTIONS) == alone == answers(model, QUESTIONS, batch_size=3)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_each_generated_token_is_the_most_likely_one_after_those_before(seed):
    model = eager(DECODER, seed)
    prompts = [encode(question) for question in QUESTIONS]
    for prompt, answer in zip(prompts, generate(model, prompts, limit=4), strict=True):
        for k, token in enumerate(answer):
            with no_grad():
                scores = model([prompt + answer[:k]]).numpy()[0, -1]
            assert token == np.argmax(scores[1:]) + 1  # never [PAD]
        assert EOS not in answer[:-1] and (len(answer) == 4 or answer[-1] == EOS)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_a_whole_answer_is_right_exactly_when_every_token_of_it_is(seed):
    """Greedy generation walks along the right answer as long as each next token is right."""
    model = eager(DECODER, seed)
    right = [example.answer == answer for example, answer in zip(
        EXAMPLES.examples, answers(model, [example.question for example in EXAMPLES.examples]), strict=True
    )]  # fmt: skip
    with no_grad():
        logits = model(EXAMPLES.tokens).numpy()
    logits[..., PAD] = -np.inf
    assert all_right(logits, EXAMPLES.targets).tolist() == right


def test_generation_ends_where_the_model_has_no_more_positions():
    model = Transformer(dataclasses.replace(DECODER, max_seq_len=9))
    for name, parameter in model.named_parameters():
        if name == "output.bias":
            parameter.data = np.where(np.arange(20) == 5, 1e3, 0.0)  # "3" for ever
    prompts = [encode("Max(1,6,2)"), encode("Max(1,6)")]
    assert [decode(answer) for answer in generate(model, prompts)] == ["33", "3333"]


@pytest.mark.parametrize("config", [ENCODER, DECODER], ids=["encoder", "decoder"])
def test_a_reply_shows_the_probabilities_and_the_attention_behind_the_answer(config):
    model = eager(config, seed=3)
    for question in QUESTIONS:
        reply = ask(model, question)
        assert reply.text == answers(model, [question])[0]
        assert reply.tokens[: len(encode(question))] == encode(question)
        T = len(reply.tokens)
        assert [weights.shape for weights in reply.attention] == [(2, T, T)]
        for distribution in [*reply.probabilities, *reply.attention]:
            np.testing.assert_allclose(distribution.sum(-1), 1, rtol=1e-5)
        spelt = decode([1 + int(np.argmax(chances[1:])) for chances in reply.probabilities])
        assert spelt == reply.text


@pytest.mark.parametrize("config", [ENCODER, DECODER], ids=["encoder", "decoder"])
def test_questions_that_are_too_long_for_the_model_are_refused(config):
    with pytest.raises(InputError, match="at most 16"):
        answers(Transformer(config), ["Max(1,2)", f"Max({','.join('1' * 9)})"])


def test_answering_leaves_the_model_in_its_mode_and_draws_no_dropout():
    model = Transformer(dataclasses.replace(DECODER, dropout=0.5))
    state = model.rng.bit_generator.state
    assert answers(model, QUESTIONS) == answers(model.eval(), QUESTIONS)
    assert model.rng.bit_generator.state == state and not model.training
    answers(model.train(), QUESTIONS)
    assert model.training and all(module.training for module in model.modules())


@pytest.mark.parametrize("config", [ENCODER, DECODER], ids=["encoder", "decoder"])
def test_the_mean_loss_of_a_split_does_not_depend_on_its_batches(config):
    decoder = config is DECODER
    split = make_splits(DigitTask(9 + 2 * decoder, 2), seed=0, decoder=decoder)["test"]
    model = Transformer(dataclasses.replace(config, dtype="float64"))
    whole = functional.cross_entropy(model(split.tokens), split.targets, ignore=PAD).item()
    for size in (1, 7, 500):
        assert mean_loss(model, split, size) == pytest.approx(whole, rel=1e-12)


# Counting


def test_only_a_whole_answer_counts():
    examples = [
        Example("Max(10,6)", "10", "Max"), Example("Max(1,2)", "2", "Max"), Example("Min(1,2)", "1", "Min"),
    ]  # fmt: skip
    found = evaluate(examples, ["1", "2", "1"])
    assert found.accuracy == 2 / 3 and found.operations == {"Max": 0.5, "Min": 1.0}
    assert found.confusion == {("10", "1"): 1, ("2", "2"): 1, ("1", "1"): 1}
    assert found.mistakes == [("Max(10,6)", "10", "1")]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123"), st.sampled_from("123")), min_size=1))
def test_counts_add_up(rows):
    found = evaluate([Example("?", answer, name) for name, answer, _ in rows], [given for _, _, given in rows])
    assert sum(found.confusion.values()) == found.count == len(rows)
    right = sum(count for (answer, given), count in found.confusion.items() if answer == given)
    assert found.accuracy == right / len(rows) and len(found.mistakes) == len(rows) - right


def test_nothing_to_compare_is_refused():
    for examples, given_ in (([], []), ([Example("?", "1", "Max")], [])):
        with pytest.raises(ValueError, match="answers for"):
            evaluate(examples, given_)
