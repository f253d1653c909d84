"""A report says of a model what can be checked on it, and its page holds everything and asks for nothing."""

import base64
import csv
import json
import re
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from benchmarks import transformers
from benchmarks.sizes import W1
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional
from transformer import Transformer, TransformerConfig, moments
from transformer.cli import main
from transformer.generate import inference
from transformer.metrics import read_metrics
from transformer.report import measures
from transformer.report.tensorboard import write_events
from transformer.tasks import Batch, DigitTask, Example, make_splits
from transformer.tokens import PAD, encode, spell
from transformer.train import TrainConfig, train
from transformer.troubles import reason

ENCODER = TransformerConfig(20, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=8, dtype="float64")
DECODER = TransformerConfig(
    20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, causal=True, pooling=None, dtype="float64"
)
KINDS = pytest.mark.parametrize("config", [ENCODER, DECODER], ids=["encoder", "decoder"])
QUESTION = Example("Max(1,6,2)", "6", "Max")
TASK = DigitTask(4, 2)


def chance(model, tokens, wanted, mask=None):
    """log p(wanted) as the answer's first token."""
    with inference(model):
        logits = functional.log_softmax(model([tokens], mask=mask)).numpy()[0]
    return (logits if logits.ndim == 1 else logits[-1])[wanted]


# Measures


@KINDS
def test_a_token_is_occluded_by_hiding_it_from_everybody(config):
    model = Transformer(config, seed=3)
    reading = measures.read(model, QUESTION)
    tokens, wanted = encode(QUESTION.question), spell(QUESTION.answer)[0]
    whole = chance(model, tokens, wanted)
    assert reading.probability == pytest.approx(np.exp(whole), rel=1e-12)
    for place in range(len(tokens)):
        hidden = np.arange(len(tokens)) != place
        assert reading.occlusion[place] == pytest.approx(whole - chance(model, tokens, wanted, hidden), abs=1e-12)


@KINDS
def test_gradient_times_input_is_the_slope_along_the_embedded_tokens(config):
    """d/dε log p with the token at one place (1+ε) times as long, by central differences."""
    model = Transformer(config, seed=3)
    reading = measures.read(model, QUESTION)
    tokens, wanted, step = encode(QUESTION.question), spell(QUESTION.answer)[0], 1e-5
    rows = model.embedding.weight.numpy()[tokens]

    def stretched(place, factor):
        x = rows.copy()
        x[place] *= factor
        with inference(model):
            logits, _ = model.from_embeddings(x[None], np.array([tokens]) != PAD)
            found = functional.log_softmax(logits).numpy()[0]
        return (found if found.ndim == 1 else found[-1])[wanted]

    for place in range(len(tokens)):
        slope = (stretched(place, 1 + step) - stretched(place, 1 - step)) / (2 * step)
        assert reading.gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert all(parameter.grad is None for parameter in model.parameters())


@KINDS
def test_rolled_out_attention_is_a_share_of_each_token(config):
    reading = measures.read(Transformer(config, seed=3), QUESTION)
    assert reading.rollout.min() >= 0 and reading.rollout.sum() == pytest.approx(1)
    for weights in reading.attention:
        np.testing.assert_allclose(weights.sum(axis=-1), 1)


def test_one_block_is_rolled_out_to_half_of_itself_and_half_of_its_attention():
    reading = measures.read(Transformer(DECODER, seed=3), QUESTION)
    (weights,) = reading.attention
    last = np.eye(len(reading.tokens))[-1]
    np.testing.assert_allclose(reading.rollout, (last + weights.mean(axis=0)[-1]) / 2)


def test_attention_that_looks_everywhere_has_the_entropy_of_a_uniform_choice():
    model = Transformer(ENCODER, seed=3)
    for block in model.blocks:
        block.attention.qkv.weight.data = np.zeros(block.attention.qkv.weight.shape)
    split = make_splits(TASK, 0)["test"]
    lengths = [len(encode(example.question)) for example in split.examples]
    assert len(set(lengths)) == 1
    np.testing.assert_allclose(moments.attention_entropy(model, split), np.log(lengths[0]))


class Fixed(Transformer):
    """A model that gives each question the same logits."""

    def forward(self, tokens, mask=None, return_attention=False, cache=None):
        return Tensor(np.tile(self.logits, (len(tokens), 1)))


def fixed(chances):
    model = Fixed(ENCODER)
    object.__setattr__(model, "logits", np.log(np.array(chances)))
    return model


def always(token, sure):
    return fixed([sure if k == token else (1 - sure) / 19 for k in range(20)])


def test_calibration_compares_how_sure_a_model_is_with_how_often_it_is_right():
    split = make_splits(TASK, 0)["test"]
    token = spell("3")[0]
    found = measures.calibration(always(token, 0.83), split)
    share = np.mean([example.answer == "3" for example in split.examples])
    assert 0 < share < 0.83
    np.testing.assert_allclose([found.confidence, found.accuracy, found.counts], [[0.83], [share], [len(split)]])
    assert found.error == pytest.approx(0.83 - share)


def test_the_hardest_examples_are_those_with_the_largest_loss():
    split = make_splits(TASK, 0)["test"]
    for loss, example in measures.hardest(always(spell("3")[0], 0.83), split, 6):
        assert example.answer != "3" and loss == pytest.approx(-np.log(0.17 / 19))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), shape=st.tuples(st.integers(4, 9), st.integers(2, 9)))
def test_two_main_axes_are_orthonormal_and_show_the_most_variance(seed, shape):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=shape)
    mean, axes, shares = measures.principal_axes(vectors)
    np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-9)
    around = vectors - mean
    np.testing.assert_allclose(((around @ axes.T) ** 2).sum(axis=0) / (around**2).sum(), shares, atol=1e-9)
    other, _ = np.linalg.qr(rng.normal(size=(shape[1], 2)))
    assert ((around @ other) ** 2).sum() <= shares.sum() * (around**2).sum() * (1 + 1e-9)
    again = measures.principal_axes(vectors[::-1])[1]
    np.testing.assert_allclose(again, axes, atol=1e-6)  # the sign is settled


def test_cosines_are_of_the_angle_alone():
    vectors = np.array([[1.0, 0], [5, 0], [0, 2], [-3, 0], [0, 0]])
    expected = [[1, 1, 0, -1, 0], [1, 1, 0, -1, 0], [0, 0, 1, 0, 0], [-1, -1, 0, 1, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_allclose(measures.cosines(vectors), expected, atol=1e-15)


@KINDS
def test_what_costs_are_measured_leaves_the_model_as_it_was(config):
    model = Transformer(config, seed=3)
    before = model.state_dict()
    split = make_splits(TASK, 0, config.pooling is None)["train"]
    parts, step = measures.costs(model, split, 8, repeats=1)
    assert [part.part for part in parts] == ["embedding", "attention", "feed-forward", "norm", "output"]
    assert all(part.forward > 0 and part.backward > 0 for part in (*parts, step))
    assert step.parameters == model.num_parameters()
    assert step.peak > max(part.peak for part in parts) > 0
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_steps_peak_is_that_of_the_benchmarks_step():
    """The same model, batch and optimiser, in the report's measure of a step and in the benchmark's own."""
    run = transformers.ours(W1)
    tokens, targets, _ = W1.data()

    def step():
        state = None
        for phase in run.phases.values():
            state = phase(state)

    for _ in range(2):
        step()
    benchmark = measures.held(step, lambda nothing: None)
    model = Transformer(TransformerConfig(W1.V, W1.D, W1.H, W1.layers, W1.F), seed=0)
    _, whole = measures.costs(model, SimpleNamespace(batches=lambda size: iter([Batch(tokens, targets)])), 32, 1)
    assert benchmark > 10**6 and whole.peak == pytest.approx(benchmark, rel=0.02)


# The page


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small = TransformerConfig(20, embed_dim=16, num_heads=2, num_layers=1, ffn_dim=16)
    train(TrainConfig(small, TASK, epochs=2, examples=200), folder / "one")
    decoder = TransformerConfig(20, embed_dim=16, num_heads=2, num_layers=1, ffn_dim=16, causal=True, pooling=None)
    train(TrainConfig(decoder, DigitTask(11, 2), epochs=1, examples=100), folder / "two")
    return folder


QUESTIONS = {"one": ["Min(4,3)"], "two": []}  # none: the report asks its own


@pytest.fixture(scope="module", params=QUESTIONS)
def written(runs, request):
    before = set((runs / request.param).iterdir())
    assert main(["report", "--runs", str(runs), "--run", request.param, *QUESTIONS[request.param]]) == 0
    added = {path.name for path in set((runs / request.param).iterdir()) - before}
    assert added == {"report.html", "report.json", "metrics.csv"}
    return runs / request.param


def test_the_page_shows_what_the_numbers_beside_it_say(written):
    text = (written / "report.html").read_text()
    numbers = json.loads((written / "report.json").read_text())
    lines = list(csv.DictReader((written / "metrics.csv").read_text().splitlines()))
    assert len(lines) == len(numbers["metrics"])
    assert float(lines[-1]["operations.Max"]) == numbers["metrics"][-1]["operations"]["Max"]
    assert f">{numbers['parameters']:,}<" in text
    assert f">{numbers['test']['count']:,}<" in text
    for each in numbers["hardest"]:
        assert each["question"] in text and f"{each['loss']:.4f}" in text
    for reading in numbers["readings"]:
        assert f"{reading['question']} = {reading['answer']}" in text


def test_every_figure_is_a_picture_inside_the_page_with_words_for_those_who_cannot_see_it(written):
    text = (written / "report.html").read_text()
    images = re.findall(r'<img alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)">', text)
    assert len(images) == text.count("<img") >= 10
    for label, data in images:
        assert len(label) > 10
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")


def test_the_page_asks_for_nothing_and_has_nothing_to_complain_of(browser, written):
    with browser.open(written / "report.html") as tab:
        assert tab.count("section") == 9
        loaded = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        assert tab.evaluate(f"new Promise(done => setTimeout(() => done({loaded}), 300))")
        assert tab.troubles == []
        assert [url for url in tab.requests if not url.startswith("data:")] == []


def test_the_questions_that_are_given_are_looked_at(written):
    readings = json.loads((written / "report.json").read_text())["readings"]
    asked = [reading["question"] for reading in readings]
    assert asked == QUESTIONS[written.name] if QUESTIONS[written.name] else len(set(asked)) > 1
    config = TrainConfig.from_dict(json.loads((written / "config.json").read_text()))
    for reading in readings:
        assert reading["answer"] == config.task.answer(reading["question"])


def test_a_question_that_is_none_of_the_task_is_refused(runs, capsys):
    assert main(["report", "--runs", str(runs), "--run", "one", "Max(1,<b>)"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Max(1,<b>)" in err


def records(path):
    """The payloads of an event file: length (8 bytes), its checksum (4), payload, its checksum (4)."""
    data, place = path.read_bytes(), 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 8], "little")
        yield data[place + 12 : place + 12 + length]
        place += 16 + length


def test_events_hold_every_number_of_every_epoch(runs, tmp_path, monkeypatch):
    if "torch" not in sys.modules:  # it is looked for, and takes longer to import than all else here
        monkeypatch.setitem(sys.modules, "torch", None)
    from tensorboardX.proto.event_pb2 import Event

    metrics = read_metrics(runs / "one/metrics.jsonl")
    count = write_events(metrics, tmp_path)
    (path,) = tmp_path.glob("events.*")
    found = {}
    for record in records(path):
        event = Event.FromString(record)
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    assert len(found) == count >= 20 * len(metrics)
    for line in metrics:
        assert found["train_loss", line["epoch"]] == pytest.approx(line["train_loss"], rel=1e-6)
        assert found["operations/Max", line["epoch"]] == pytest.approx(line["operations"]["Max"], rel=1e-6)
        expected = line["attention_entropy"]["block 0, head 1"]
        assert found["attention_entropy/block_0/head_1", line["epoch"]] == pytest.approx(expected, rel=1e-6)


def test_without_the_package_the_command_says_how_to_get_it(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        write_events([], tmp_path)
    assert "pip install 'tinygrad_edu[tensorboard]'" in reason(caught.value)


@pytest.mark.parametrize("size", [10**5, 10**6])
def test_the_peak_is_what_is_held_at_one_time(size):
    one = measures.held(lambda: np.ones(size), lambda ones: None)
    two = measures.held(lambda: np.ones(size), lambda ones: np.add(ones, 1.0))
    assert 8 * size <= one < 8 * size + 10**5 and 16 * size <= two < 16 * size + 10**5
