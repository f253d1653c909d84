"""Our own suite, tested: bugs are planted into the engine, and the suite's checks have to fail.

Rules: 200 of the two thousand wrong ones that can be made of the right ones, judged by the checks of
tests/test_rules.py; all of them, under ten seeds each, with HYPOTHESIS_PROFILE=thorough. Lines of the engine, the
composites, the optimisers and the transformer: each by the test that is named beside it, in a fork of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from line_plants import PLANTS, differs
from rule_plants import every_plant, has_witness, is_killed

HERE = Path(__file__).parent
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
RULES = every_plant()
SHARES = 4


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("part", range(SHARES))
def test_wrong_rules_are_found(part):
    chosen = RULES[part :: SHARES] if THOROUGH else RULES[part : 50 * SHARES : SHARES]
    seeds = range(10) if THOROUGH else (part,)
    witnessed = [plant for plant in chosen if has_witness(plant)]
    alive = [(plant.name, seed) for plant in witnessed for seed in seeds if not is_killed(plant, seed)]
    assert not alive
    assert len(witnessed) >= 40


@pytest.fixture(scope="module")
def planter():
    """A pytest that has collected all those tests, and forks for each plant that it is told."""
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "planted", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, str(HERE / "run_planted.py")]
    talk = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=HERE.parents[1], **talk) as process:
        yield process
        process.stdin.close()


def asked(planter, name):
    print(name, file=planter.stdin, flush=True)
    return json.loads(planter.stdout.readline())


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_wrong_line_is_found(plant, planter):
    assert differs(plant), "the plant changes nothing that its witness computes"
    status, said = asked(planter, plant.name)
    assert status == pytest.ExitCode.TESTS_FAILED, f"the tests do not notice:\n{said}"


def test_what_notices_a_wrong_line_passes_without_it(planter):
    for plant in PLANTS[::16]:
        status, said = asked(planter, f"without {plant.name}")
        assert status == pytest.ExitCode.OK, said


def test_the_engine_is_whole_again_after_every_plant():
    healthy = next(plant for plant in RULES if has_witness(plant))
    before = healthy.operation.rules, healthy.operation.plans
    with healthy.planted():
        assert healthy.operation.rules != before[0]
    assert (healthy.operation.rules, healthy.operation.plans) == before
    line = PLANTS[0]
    code = line.function.__code__
    with line.planted():
        assert line.function.__code__ is not code
    assert line.function.__code__ is code


def test_an_engine_without_plants_passes_the_same_checks():
    """No false alarm: what kills the plants leaves the right rules alone."""

    class Nothing:
        def __init__(self, plant):
            self.operation = plant.operation

        def planted(self):
            return open(os.devnull)

    assert not [plant.name for plant in RULES[:10] if is_killed(Nothing(plant), examples=8)]
