"""What the playground answers: a change does what it says, to a copy, and the answer is the model's own."""

import functools
import re

import numpy as np
import pytest
from playing import QUESTION, session_of

import transformer.play.session
from tinygrad_edu import draw
from tinygrad_edu.functional import softmax
from transformer import Transformer, TransformerConfig
from transformer.generate import answers, ask
from transformer.play import Impossible, Malformed, Session, Wish, wish_of
from transformer.play.wishes import Scale, Swap, Weight, parsed
from transformer.tasks import DigitTask
from transformer.tokens import InputError
from transformer.train import TrainConfig


def asked(session, **wish):
    return session.answer(wish_of({"question": QUESTION, **wish}))


def chances(found):
    return np.array([[row["chance"] for row in step] for step in found["steps"]])


def test_without_a_change_the_answer_is_the_models_own():
    session = session_of()
    found, reply = asked(session), ask(session.model, QUESTION, session.task)
    assert (found["answer"], found["right"], found["plain"]["answer"]) == (reply.text, "6", reply.text)
    assert found["tokens"] == ["Max", "(", "1", ",", "6", ",", "2", ")"] and found["asked"] == 8
    assert [row["token"] for row in found["steps"][0]] == session.about()["tokens"]
    assert np.allclose(chances(found), reply.probabilities, atol=6e-6)
    assert np.allclose([[row["logit"] for row in found["steps"][0]]], reply.logits, atol=6e-6)
    assert np.allclose(found["attention"], np.array(reply.attention), atol=6e-6)
    assert all(row["before"] == row["chance"] for row in found["steps"][0])


def test_a_decoder_answers_token_by_token_and_is_compared_at_the_same_places():
    session = session_of(DigitTask(99, 2), causal=True, pooling=None)
    wish = Wish("Max(5,12)", edits=(Scale(7, 3.0), Swap((3, 12))))
    found, model = session.answer(wish), session.changed(wish)
    assert found["answer"] == answers(model, ["Max(5,12)"], session.task)[0]
    reply = ask(model, "Max(5,12)", session.task)
    assert len(found["steps"]) == len(reply.probabilities) and found["asked"] == 7
    assert len(found["tokens"]) == 7 + len(reply.probabilities) - 1
    plain = softmax(session.model([reply.tokens]).numpy()[0])[6:]
    assert np.allclose([[row["before"] for row in step] for step in found["steps"]], plain, atol=6e-6)
    assert not np.allclose(plain, chances(found), atol=1e-3)


@pytest.mark.parametrize(("block", "head"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_head_that_is_off_adds_nothing_to_its_block(block, head):
    """The block's attention is then the sum of the other heads, each as it was."""
    session = session_of()
    model = session.changed(Wish(QUESTION, off=((block, head),)))
    x = np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32)
    before, after = (each.blocks[block].attention for each in (session.model, model))
    qkv, H = x @ before.qkv.weight.numpy(), 2
    q, k, v = (part.reshape(1, 5, H, 4).swapaxes(1, 2) for part in np.split(qkv, 3, axis=-1))
    others = [h for h in range(H) if h != head]
    heads = softmax(q @ k.swapaxes(-1, -2) / 2)[:, others] @ v[:, others]
    rows = before.output.weight.numpy().reshape(H, 4, 8)[others]
    assert np.allclose(after(x, None)[0].numpy(), (heads @ rows).sum(axis=1), atol=1e-5)
    state, changed = session.model.state_dict(), model.state_dict()
    assert [name for name in state if not np.array_equal(state[name], changed[name])] == [
        f"blocks.{block}.attention.output.weight"
    ]


def test_edits_do_what_they_say_in_their_order():
    session = session_of()
    edits = (Weight("embedding.weight", (3, 2), 5.0), Scale(3, -2.0), Swap((3, 4)), Weight("output.bias", (0,), 1.5))
    old, new = session.model.state_dict(), session.changed(Wish(QUESTION, edits=edits)).state_dict()
    table = old["embedding.weight"]
    table[3, 2] = 5.0
    table[[3, 4]] = table[4], -2 * table[3]
    old["output.bias"][0] = 1.5
    assert all(np.array_equal(old[name], new[name]) for name in old)


def test_a_head_stays_off_whatever_is_edited_in_it():
    session = session_of()
    name = "blocks.0.attention.output.weight"
    model = session.changed(Wish(QUESTION, off=((0, 1),), edits=(Weight(name, (5, 0), 9.0),)))
    assert not model.state_dict()[name][4:].any()


def test_two_tokens_that_are_swapped_are_read_as_each_other():
    session = session_of()
    swapped = asked(session, edits=[{"kind": "swap", "tokens": [3, 8]}])
    assert np.array_equal(chances(swapped), chances(session.answer(Wish("Max(6,1,2)"))))
    assert not np.allclose(chances(swapped), chances(asked(session)), atol=1e-3)


def test_the_loaded_model_stays_as_it_was_bit_for_bit():
    config = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, dropout=0.5)
    model = Transformer(config)
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    session = Session(model, TrainConfig(config), "mine")
    wish = Wish(QUESTION, off=((0, 0),), edits=(Scale(3, 0.0), Weight("output.bias", (2,), 9.0)))
    assert session.answer(wish) == session.answer(wish)  # nothing is dropped
    session.replay(wish), session.weights(wish, "output.bias")
    for held in (model, session.model):
        assert {name: value.tobytes() for name, value in held.state_dict().items()} == before
        assert all(parameter.grad is None for parameter in held.parameters())
    assert model.training


def test_the_numbers_of_a_parameter_are_those_after_the_changes():
    session = session_of()
    rows = session.weights(Wish("", edits=(Weight("output.weight", (7, 19), 0.125),)), "output.weight")["rows"]
    expected = session.model.output.weight.numpy().copy()
    expected[7, 19] = 0.125
    assert np.allclose(rows, expected, rtol=1e-5) and rows[7][19] == 0.125
    assert np.shape(session.weights(Wish(""), "output.bias")["rows"]) == (1, 20)


def test_graph_and_replay_are_of_the_changed_model(monkeypatch):
    monkeypatch.setattr(transformer.play.session, "draw", functools.partial(draw, zoom=False))  # a quarter of the time
    session = session_of(num_layers=1)
    plain, wish = Wish(QUESTION), Wish(QUESTION, edits=(Scale(15, 0.0),))
    for page in (session.graph, session.replay):
        one, again, other = (re.sub('"seconds":[^,}]*', "", page(each)) for each in (plain, plain, wish))
        assert one.startswith("<!DOCTYPE html>") and "cross_entropy" in one
        assert one == again != other


IMPOSSIBLE = {
    "no such parameter": ({"kind": "weight", "name": "x.weight", "index": [0], "value": 1}, "no parameter 'x.weight'"),
    "too few indices": ({"kind": "weight", "name": "output.weight", "index": [0], "value": 1}, "(8, 20)"),
    "index too large": ({"kind": "weight", "name": "output.bias", "index": [20], "value": 1}, "from 0 to 19"),
    "index below 0": ({"kind": "weight", "name": "output.bias", "index": [-1], "value": 1}, "from 0 to 19"),
    "infinite": ({"kind": "weight", "name": "output.bias", "index": [0], "value": 1e999}, "too large for float32"),
    "beyond float32": ({"kind": "weight", "name": "output.bias", "index": [0], "value": 1e39}, "too large for float32"),
    "factor": ({"kind": "scale", "token": 3, "factor": -1e300}, "too large for float32"),
    "token": ({"kind": "swap", "tokens": [3, 20]}, "token = 20: it must be from 0 to 19"),
    "overflow": ({"kind": "weight", "name": "output.weight", "index": [0, 0], "value": 3e38}, "overflow"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_edit_gets_a_reason(case):
    edit, words = IMPOSSIBLE[case]
    edits = [{"kind": "weight", "name": "output.weight", "index": [k, 0], "value": 3e38} for k in range(8)]
    with pytest.raises(Impossible) as caught:
        asked(session_of(), edits=edits + [{"kind": "scale", "token": 15, "factor": 1e6}, edit])
    assert words in str(caught.value)


def test_a_head_that_is_not_there_gets_a_reason():
    with pytest.raises(Impossible, match="head = 2: it must be from 0 to 1"):
        asked(session_of(), off=[[0, 2]])
    with pytest.raises(Impossible, match="without attention"):
        asked(session_of(without=("attention",)), off=[[0, 0]])
    assert np.shape(asked(session_of(without=("attention",)))["attention"]) == (2, 2, 8, 8)


def test_a_question_that_cannot_be_read_points_at_the_character():
    with pytest.raises(InputError, match="13 is too large") as caught:
        asked(session_of(), question="Max(1,13,2)")
    assert caught.value.position == 6


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a": NaN}', "9" * 5000, b"\xed\xa0\x80"])
def test_what_is_no_json_is_malformed(text):
    with pytest.raises(Malformed):
        parsed(text)
