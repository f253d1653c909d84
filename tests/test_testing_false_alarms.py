"""Right gradients that other checkers call wrong: none is called wrong here, and hardly any is left undecided.

And the other way round: of gradients that are off by one part in a hundred million, hardly any passes.
"""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import vjp
from tinygrad_edu.testing import by_hand, gradcheck
from tinygrad_edu.testing.manners import properties
from tinygrad_edu.testing.subject import Subject

sys.path.insert(0, str(Path(__file__).parent / "meta"))
import regimes  # noqa: E402

# .ci/run asks for `ci`, beside the whole suite.
PROFILES = {"ci": (4, 10_000), "thorough": (40, 100_000)}
PARTS, CHECKS = PROFILES.get(os.environ.get("HYPOTHESIS_PROFILE", ""), (2, 2_500))


def test_there_are_many_regimes():
    assert len({regime.name for regime in regimes.REGIMES}) == len(regimes.REGIMES) >= 40


@pytest.mark.parametrize("part", range(PARTS))
def test_no_right_gradient_is_called_wrong(part):
    """`python tests/meta/regimes.py 100000` counts the same, and says of which functions."""
    found, alarms = regimes.count(CHECKS // PARTS, first_seed=1000 * part, regimes=regimes.REGIMES)
    assert not alarms, "\n".join(f"{name}, {how}, seed {seed}: {report}" for name, how, seed, report in alarms)
    total = sum((tally for tally in found.values()), start=regimes.Counter())
    assert len(found) == len(regimes.REGIMES) * len(regimes.HOW)
    # One in a hundred of all parts together; a part by itself leaves room for chance.
    assert total["unreliable"] <= 0.015 * sum(total.values()), found


NEAR_A_POLE = {
    condition: regimes.Regime(f"condition {condition:g}", np.linalg.inv, regimes.near_singular(3, condition))
    for condition in (1e10, 1e12)
}
SOLVE = next(regime for regime in regimes.REGIMES if regime.name == "solve, ill-conditioned")


@pytest.mark.parametrize(
    ("regime", "seed"), [(SOLVE, 5088), (NEAR_A_POLE[1e10], 100), (NEAR_A_POLE[1e12], 1), (NEAR_A_POLE[1e12], 113)]
)
def test_what_an_elimination_rounds_is_not_taken_for_a_slope(regime, seed):
    """Few steps agreed on what was rounded alone, and values beyond a pole looked like noise."""
    assert regimes.verdicts(regime, seed, "black box").verdict != "wrong"


def test_no_property_around_a_right_gradient_is_called_broken():
    """Also where it is 0 but for rounding (a sum of softmax), and where both modes round much (solve)."""
    for seed in range(4):
        for regime in regimes.REGIMES:
            inputs = regime.draw(np.random.default_rng(seed))
            for base in regimes.HOW.values() if regime.backward is None else [by_hand(regime.backward)]:
                subject = Subject(regime.function, inputs, vjp=base)
                rng = np.random.default_rng(seed)
                broken = [each for each in properties(subject, subject.cotangents(None, rng), rng) if not each.ok]
                assert not broken, (regime.name, seed, broken)


# Their gradient is 0, or so small beside what f rounds that float64 cannot show one part in a million of it.
TOO_FAINT = {
    "sum of a softmax", "rounding, by hand", "float32 inside", "offset of 1e8", "softmax of far apart", "saturated",
    "sigmoid tails",
}  # fmt: skip
ILL_CONDITIONED = {"offset of 1e5", "solve, ill-conditioned", "very fast oscillation", "inverse, ill-conditioned"}


def stretched(base, relative):
    """A vjp whose gradients are too long by a relative error."""

    def wrong(f, *inputs):
        value, pullback = base(f, *inputs)
        return value, lambda g: tuple((1 + relative) * np.asarray(share) for share in pullback(g))

    return wrong


def is_caught(regime, relative, seed):
    inputs = regime.draw(np.random.default_rng(seed))
    base = vjp if regime.backward is None else by_hand(regime.backward)
    wrong = stretched(base, relative)
    report = gradcheck(regime.function, *inputs, vjp=wrong, seed=seed, manners=False, exhaustive=False)
    return report.verdict == "wrong"


@pytest.mark.parametrize(("relative", "names"), [(1e-8, "ordinary"), (1e-6, "ill-conditioned")])
def test_a_gradient_that_is_off_by_little_is_caught(relative, names):
    known = [regime for regime in regimes.REGIMES if regime.name not in TOO_FAINT]
    chosen = [regime for regime in known if (regime.name in ILL_CONDITIONED) == (names == "ill-conditioned")]
    caught = {(regime.name, seed): is_caught(regime, relative, seed) for regime in chosen for seed in range(3)}
    missed = [case for case, found in caught.items() if not found]
    assert len(missed) <= 0.02 * len(caught), missed
