"""How ranks end: together with one exit code, or all because one did; and what a process alone is told."""

import sys
import threading

import pytest
from threads import Ended, on_ranks

import transformer.ranks
from transformer import TransformerConfig
from transformer.cli import main
from transformer.mpi import INTERVAL, SILENCE, Heartbeat
from transformer.ranks import on_all_ranks
from transformer.tasks import DigitTask
from transformer.train import TrainConfig, resume, train

MODEL = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=1, ffn_dim=8)
CONFIG = TrainConfig(MODEL, DigitTask(4, 2), epochs=2, examples=48, batch_size=16, warmup=2, deterministic=2)


def on_started_ranks(monkeypatch, size, command, prepare=lambda: None):
    """on_all_ranks, as if mpirun had started it."""
    own = threading.local()
    monkeypatch.setattr(transformer.ranks, "world", lambda: own.comm)

    def work(comm):
        own.comm = comm
        return on_all_ranks(command, prepare)

    return on_ranks(size, work)


def test_all_ranks_end_with_the_exit_code_of_the_first(monkeypatch):
    assert on_started_ranks(monkeypatch, 3, lambda comm: 130) == [130, 130, 130]


def test_what_ends_a_following_rank_ends_the_first(tmp_path, monkeypatch, capsys):
    def prepare():
        raise ValueError("the file is not here")

    found = on_started_ranks(monkeypatch, 2, lambda comm: train(CONFIG, tmp_path / "mine", comm=comm), prepare)
    assert all(isinstance(error, Ended) for error in found)
    assert "rank 1 of 2 ends, and with it all others: ValueError('the file is not here')" in capsys.readouterr().err


def test_what_ends_the_first_in_the_midst_of_a_training_ends_the_others(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    def command(comm):
        try:
            train(CONFIG, tmp_path, lambda epoch: full(), comm=comm)
        except OSError:
            return 2

    found = on_started_ranks(monkeypatch, 2, command)
    assert all(isinstance(error, Ended) for error in found) and "rank 0, code 2" in str(found[0])
    assert resume(tmp_path).test == train(CONFIG, tmp_path / "undisturbed").test


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD", "PMI"])
def test_mpirun_without_mpi4py_is_said_once_in_one_line(monkeypatch, capsys, variable):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    for size, rank, code in ((2, 0, 2), (2, 1, 0)):
        monkeypatch.setenv(f"{variable}_SIZE", str(size))
        monkeypatch.setenv(f"{variable}_RANK", str(rank))
        assert main(["compare", "no", "run"]) == code
    err = capsys.readouterr().err
    assert err.startswith("mpirun started 2 processes, which need mpi4py") and len(err.splitlines()) == 1
    assert "pip install 'tinygrad_edu[mpi]'" in err
    monkeypatch.setenv(f"{variable}_SIZE", "1")
    assert main(["compare", "no", "run"]) == 2 and "no trained model" in capsys.readouterr().err


def test_a_heart_that_stops_is_noticed_and_one_that_beats_is_not():
    now, alive, beats, silences = [0.0], [True], [], []

    def lost(silent):
        silences.append(silent)
        return silent >= SILENCE

    heart = Heartbeat(lambda: beats.append(now[0]), lambda: alive[0], lost, clock=lambda: now[0])
    for _ in range(100):
        now[0] += INTERVAL
        assert not heart.look()
    assert set(silences) == {0.0} and len(beats) == 100
    alive[0], stopped = False, now[0]
    while not heart.look():
        now[0] += INTERVAL
    assert now[0] - stopped == pytest.approx(SILENCE, abs=INTERVAL)


def test_the_thread_of_a_heart_ends_when_it_is_told_to_and_when_another_is_lost():
    looks = threading.Event()
    heart = Heartbeat(lambda: None, lambda: True, lambda silent: looks.set())
    heart.start()
    assert looks.wait(60)
    heart.stop()
    assert not heart.thread.is_alive()
    heart = Heartbeat(lambda: None, lambda: False, lambda silent: True)
    heart.start()
    heart.thread.join(60)
    assert not heart.thread.is_alive()
