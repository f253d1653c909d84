"""What a run will want of the memory is estimated low, and too much is refused by the option that is to blame."""

import dataclasses

import pytest

from tinygrad_edu.errors import TooLargeError
from transformer import TransformerConfig, plan
from transformer.plan import TrainConfig, memory, refuse_if_too_large
from transformer.tasks import DigitTask

MODEL = TransformerConfig(vocab_size=20)
HUGE = 10**400  # more than any float holds
OPTIONS = {
    "examples": lambda n: TrainConfig(examples=n),
    "embed_dim": lambda n: TrainConfig(dataclasses.replace(MODEL, embed_dim=4 * n)),
    "ffn_dim": lambda n: TrainConfig(dataclasses.replace(MODEL, ffn_dim=n)),
    "num_layers": lambda n: TrainConfig(dataclasses.replace(MODEL, num_layers=n)),
    "arguments": lambda n: TrainConfig(dataclasses.replace(MODEL, max_seq_len=4 * n), DigitTask(arguments=n)),
    "batch_size": lambda n: TrainConfig(batch_size=n, examples=n),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("size", [10**12, HUGE])
def test_what_no_machine_can_hold_is_refused_by_the_name_of_the_option(option, size):
    if size == HUGE and option in ("examples", "batch_size"):
        size = 10**18  # more is refused by the configuration
    with pytest.raises(TooLargeError, match=rf"^[^:]*\b{option} = .*too large, training wants \S+ GiB"):
        refuse_if_too_large(OPTIONS[option](size))


def test_the_run_of_the_lessons_fits_into_a_small_machine(monkeypatch):
    monkeypatch.setattr(plan, "free_bytes", lambda: 50 << 20)
    refuse_if_too_large(TrainConfig())


@pytest.mark.parametrize("option", OPTIONS)
def test_more_of_an_option_never_wants_less(option):
    wanted = [sum(memory(OPTIONS[option](n)).values()) for n in (8, 64, 512, 4096)]
    assert wanted == sorted(wanted) and wanted[0] < wanted[-1]


def test_what_is_free_is_asked_of_the_system(monkeypatch):
    assert 1 << 20 < plan.free_bytes() < 1 << 50
    monkeypatch.setattr("builtins.open", lambda *_: (_ for _ in ()).throw(FileNotFoundError))
    assert 1 << 20 < plan.free_bytes() < 1 << 50
    monkeypatch.setattr(plan.os, "sysconf", lambda _: (_ for _ in ()).throw(ValueError))
    assert plan.free_bytes() == 1 << 50
