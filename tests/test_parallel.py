"""Ranks that train together make the training that one would have made: bit for bit in the deterministic mode."""

import dataclasses
import itertools
import json
import os
import signal
import threading

import numpy as np
import pytest
from threads import on_ranks

import transformer.examining
import transformer.gradients
import transformer.loop
import transformer.train
from tinygrad_edu import functional, gradients, optim
from transformer import Transformer, TransformerConfig
from transformer.checkpoint import load_tensors
from transformer.communicator import LOCAL
from transformer.gradients import BatchGradient
from transformer.loop import Loop
from transformer.ranks import follow
from transformer.runs import states
from transformer.tasks import DigitTask, make_splits
from transformer.tokens import PAD
from transformer.train import TrainConfig, TrainingError, resume, train

MODEL = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8, dropout=0.2)
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=2, examples=40, batch_size=16, warmup=2, deterministic=4)
DECODER = dataclasses.replace(MODEL, causal=True, pooling=None)
OPTIONS = {
    "as it is": {},
    "decoder": {"model": DECODER, "task": DigitTask(11, 2), "epochs": 1},
    "adamw, averaged, in parts": {"optimizer": "adamw", "weight_decay": 0.1, "average": 0.9, "accumulate": 2},
    "lion, smoothed": {"optimizer": "lion", "lr": 1e-3, "label_smoothing": 0.1, "deterministic": 3},
    "nesterov, plateau, clipped": {"optimizer": "nesterov", "schedule": "plateau", "clip": 0.01, "curriculum": 0.5},
    "sgd, more pieces than rows": {"optimizer": "sgd", "deterministic": 64, "examples": 33},
}


@pytest.fixture(autouse=True, scope="module")
def several_blocks():
    """So few examples are held out that one block would hold them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer.examining, "BLOCK", 5)
        yield


def splits_of(config):
    return make_splits(config.task, config.seed, config.decoder, config.counted)


def bits(tensors):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in tensors.items()}


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(each) for key, each in value.items() if key != "seconds"}
    return [without_seconds(each) for each in value] if isinstance(value, list | tuple) else value


def everything(loop):
    tensors, about = loop.state()
    return bits(tensors), without_seconds(json.loads(json.dumps(about)))


def trained(config, size):
    """All that the next step would depend on, and all that was measured, on each of `size` ranks."""

    def work(comm):
        loop = Loop(Transformer(config.model, config.seed), splits_of(config), config, comm)
        for _ in loop.run():
            pass
        return everything(loop)

    return on_ranks(size, work)


@pytest.mark.parametrize("changes", OPTIONS.values(), ids=OPTIONS)
def test_any_number_of_ranks_ends_with_the_same_bits(changes):
    config = dataclasses.replace(CONFIG, **changes)
    (alone,) = trained(config, 1)
    for size in (2, 3):
        assert trained(config, size) == [alone] * size


def first_gradients(config, size):
    """Of the first batch: the loss and the gradient of each rank."""
    splits = splits_of(config)
    (batch,) = splits["train"].batches(config.batch_size, np.arange(config.batch_size))

    def work(comm):
        loop = Loop(Transformer(config.model, config.seed), splits, config, comm)
        loop.model.train()
        loop.gradient.read(batch, 0)
        return optim.flat_gradient(loop.parameters)

    return batch, on_ranks(size, work)


def drawn_by(config, comm, rows, count, step, number):
    """What dropout draws for these rows."""
    model = Transformer(config.model)
    gradient = BatchGradient(model, model.named_parameters(), config, comm)
    with gradient.drawing(step, number, rows, count):
        return model.dropout.rng.random((len(rows), 3), np.float32)


def test_every_step_and_part_has_its_own_random_stream_and_every_row_its_place_in_it():
    alone = {key: drawn_by(CONFIG, LOCAL, range(6), 6, *key) for key in itertools.product(range(3), range(3))}
    assert len({array.tobytes() for array in alone.values()}) == 9
    other = dataclasses.replace(CONFIG, seed=1)
    assert not np.array_equal(drawn_by(other, LOCAL, range(6), 6, 0, 0), alone[0, 0])
    shared = on_ranks(3, lambda comm: drawn_by(CONFIG, comm, comm.share(6), 6, 2, 1))
    assert np.array_equal(np.concatenate(shared), alone[2, 1])


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("deterministic", [0, 4])
def test_no_two_parts_of_a_batch_have_the_same_number_or_row(accumulate, deterministic):
    config = dataclasses.replace(CONFIG, accumulate=accumulate, deterministic=deterministic)
    (batch,) = splits_of(config)["train"].batches(13, np.arange(13))
    model = Transformer(config.model)

    def portions(comm):
        return list(BatchGradient(model, model.named_parameters(), config, comm).portions(batch))

    for size in (1, 3):
        found = [portion for each in on_ranks(size, portions) for portion in each]
        if deterministic:
            assert [portion.number for portion in found] == list(range(len(found)))
        rows = [portion.part.tokens[portion.rows.start : portion.rows.stop] for portion in found]
        assert sorted(map(bytes, np.concatenate(rows))) == sorted(map(bytes, batch.tokens))


def test_ranks_share_the_work_out(monkeypatch):
    """No rank computes what another one does: together they see as many rows as one rank alone, and about as many each.
    """

    def rows_seen(size):
        seen = {}

        def counted(model, tokens, **options):
            kind = threading.current_thread().name, model.training
            seen[kind] = seen.get(kind, 0) + len(tokens)
            return honest(model, tokens, **options)

        with monkeypatch.context() as patch:
            patch.setattr(Transformer, "forward", counted)
            patch.setattr(transformer.loop.moments, "attention_entropy", lambda model, split: np.zeros((1, 1)))
            trained(dataclasses.replace(CONFIG, examples=64), size)
        return [[count for (_, training), count in seen.items() if training == mode] for mode in (True, False)]

    honest = Transformer.forward
    ((learnt,), (held,)) = rows_seen(1)
    together, measured = rows_seen(2)
    assert together == [learnt / 2] * 2 and sum(measured) == held and max(measured) < 0.7 * held


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_left_to_themselves_ranks_differ_from_one_by_rounding_alone(dtype, accumulate):
    """‖Δ‖ ≤ 2 γₙ Σ‖s‖, as derived in docs/parallel.md; s is what a row adds to the gradient, with its own dropout."""
    model = dataclasses.replace(DECODER, dtype=dtype)
    config = dataclasses.replace(CONFIG, model=model, task=DigitTask(11, 2), deterministic=0, accumulate=accumulate)
    batch, (alone,) = first_gradients(config, 1)
    B, T = batch.tokens.shape
    n = B * T + 2 * (model.num_layers * (4 * model.embed_dim + model.ffn_dim + 2 * T) + model.vocab_size)
    unit = np.finfo(dtype).eps / 2
    rows = rows_alone(config, batch)
    np.testing.assert_allclose(np.sum(rows, axis=0), alone, rtol=0, atol=n * unit * np.abs(rows).sum())
    bound = 2 * n * unit / (1 - n * unit) * sum(np.linalg.norm(row) for row in rows)
    for size in (2, 3):
        _, found = first_gradients(config, size)
        for flat in found:
            assert np.array_equal(flat, found[0])
            assert np.linalg.norm(flat - alone) <= bound


def rows_alone(config, batch):
    """What each row adds to the gradient, (B, n), in float64."""
    model = Transformer(dataclasses.replace(config.model, dtype="float64"), config.seed)
    model.load_state_dict(Transformer(config.model, config.seed).state_dict())
    model.train()
    asked = np.count_nonzero(batch.targets)
    gradient = BatchGradient(model, model.named_parameters(), config, LOCAL)
    found = []
    for portion in gradient.portions(batch):
        for k in range(len(portion.part.tokens)):
            tokens, targets = (array[k : k + 1] for array in portion.part)
            with gradient.drawing(0, portion.number, range(k, k + 1), len(portion.part.tokens)):
                loss = functional.cross_entropy(model(tokens), targets, PAD)
            share = np.count_nonzero(targets) / asked
            found.append(np.concatenate([np.ravel(g.numpy()) for g in gradients(loss * share, model.parameters())]))
    return np.array(found)


def test_left_to_themselves_ranks_make_the_same_training_up_to_rounding():
    """In float64, where 10 steps do not let rounding grow; parts of the last batch have fewer rows than ranks."""
    model = dataclasses.replace(MODEL, dtype="float64")
    changes = {"deterministic": 0, "accumulate": 2, "examples": 4 * 16 + 5, "optimizer": "sgd"}
    config = dataclasses.replace(CONFIG, model=model, **changes)
    splits = splits_of(config)

    def work(comm):
        loop = Loop(Transformer(config.model, config.seed), splits, config, comm)
        return list(loop.run()), loop.model.state_dict()

    ((epochs, weights),) = on_ranks(1, work)
    found = on_ranks(3, work)
    for other, values in found:
        for name, value in weights.items():
            np.testing.assert_allclose(values[name], value, rtol=1e-9, atol=1e-12)
            assert np.array_equal(values[name], found[0][1][name])
        for one, two in zip(epochs, other, strict=True):
            assert one.train_accuracy == two.train_accuracy and one.operations == two.operations
            assert one.train_loss == pytest.approx(two.train_loss, rel=1e-12)


# Runs in a folder


def lead_and_follow(size, lead):
    """lead(comm) on rank 0, while the others follow until it is over; what each gives or raises."""

    def work(comm):
        if comm.rank:
            return follow(comm)
        try:
            return lead(comm)
        finally:
            comm.close(0)

    return on_ranks(size, work)


def all_of(folder):
    tensors, about = load_tensors(states(folder)[-1])
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    files = [(folder / f"{name}.safetensors").read_bytes() for name in ("best", "last", "history")]
    return bits(tensors), without_seconds(about["epochs"]), without_seconds(lines), files, len(states(folder))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    return train(CONFIG, folder).test, all_of(folder)


@pytest.mark.parametrize("step", [3, 5])
def test_a_run_goes_on_with_another_number_of_ranks_as_if_it_never_had_been_stopped(
    tmp_path, monkeypatch, undisturbed, step
):
    calls = []

    def act(*args):
        if threading.current_thread() is threading.main_thread():
            calls.append(1)
            if len(calls) == 2 * step:  # pieces of rank 0
                os.kill(os.getpid(), signal.SIGTERM)
        return honest(*args)

    honest = transformer.gradients.all_right
    monkeypatch.setattr(transformer.gradients, "all_right", act)
    outcome, code = lead_and_follow(2, lambda comm: train(CONFIG, tmp_path, comm=comm))
    assert outcome.signal == signal.SIGTERM and outcome.test is None and code == 0
    assert load_tensors(states(tmp_path)[-1])[0]["optimizer.steps"] == step
    monkeypatch.undo()
    again, *codes = lead_and_follow(3, lambda comm: resume(tmp_path, comm=comm))
    test, kept = undisturbed
    assert again.test == test and codes == [0, 0]
    assert all_of(tmp_path)[:4] == kept[:4]


def test_a_loss_that_is_not_finite_on_one_rank_ends_all_and_is_explained_once(tmp_path, monkeypatch, undisturbed):
    def poisoned(model, tokens, **options):
        logits = honest(model, tokens, **options)
        bad = model.training and threading.current_thread() is not threading.main_thread()
        return np.exp(logits * 0.0 + 1e3) if bad else logits

    honest = Transformer.forward
    spoil = lambda epoch: monkeypatch.setattr(Transformer, "forward", poisoned)  # noqa: E731
    error, code = lead_and_follow(2, lambda comm: train(CONFIG, tmp_path, spoil, comm=comm))
    assert isinstance(error, TrainingError) and code == 0
    assert str(error).startswith("epoch 2, step 1: the loss is nan; try a smaller lr")
    assert "It began with exp" in str(error)
    monkeypatch.undo()
    assert resume(tmp_path).test == undisturbed[0] and all_of(tmp_path) == undisturbed[1]


@pytest.mark.parametrize("name", ["embedding.weight", "output.bias"])
def test_one_bit_of_one_weight_that_differs_on_one_rank_ends_all(tmp_path, monkeypatch, undisturbed, name):
    def flip(loop):
        if loop.comm.rank == 1 and len(loop.epochs) == 1 and len(loop.losses) == 2:
            weight = dict(loop.parameters)[name]
            array = weight.numpy()
            array.view(np.uint32).flat[-1] ^= 1
            weight.data = array
        honest(loop)

    honest = Loop.refuse_if_apart
    monkeypatch.setattr(Loop, "refuse_if_apart", flip)
    error, *codes = lead_and_follow(3, lambda comm: train(CONFIG, tmp_path, comm=comm))
    assert isinstance(error, TrainingError) and codes == [0, 0]
    assert "epoch 2, step 3: the weights of rank 1 are no longer those of the other ranks" in str(error)
    monkeypatch.undo()
    assert resume(tmp_path).test == undisturbed[0] and all_of(tmp_path) == undisturbed[1]


def test_other_examples_on_one_rank_end_all_before_the_first_step(tmp_path, monkeypatch):
    def dealt(task, seed, *others):
        return honest(task, seed + (threading.current_thread() is not threading.main_thread()), *others)

    honest = transformer.train.make_splits
    monkeypatch.setattr(transformer.train, "make_splits", dealt)
    error, code = lead_and_follow(2, lambda comm: train(CONFIG, tmp_path / "mine", comm=comm))
    assert isinstance(error, TrainingError) and "rank 1 has other examples" in str(error) and code == 0
    assert not (tmp_path / "mine").exists()
