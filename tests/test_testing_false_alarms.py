"""Right gradients that other checkers call wrong: none is called wrong here, and hardly any is left undecided."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))
import regimes  # noqa: E402


def test_there_are_many_regimes():
    assert len({regime.name for regime in regimes.REGIMES}) == len(regimes.REGIMES) >= 40


@pytest.mark.parametrize("quarter", range(4))
def test_no_right_gradient_is_called_wrong(quarter):
    """A tenth of what `python tests/meta/regimes.py 100000` counts, which takes some minutes."""
    found, alarms = regimes.count(2500, first_seed=1000 * quarter, regimes=regimes.REGIMES)
    assert not alarms, "\n".join(f"{name}, {how}, seed {seed}: {report}" for name, how, seed, report in alarms)
    total = sum((tally for tally in found.values()), start=regimes.Counter())
    assert total["unreliable"] <= 0.01 * sum(total.values()), found
