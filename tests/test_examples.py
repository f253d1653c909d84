"""Every example runs as it stands, warns of nothing, and prints what its `# ->` comments promise."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@functools.cache
def run(example):
    """What it prints. In a process of its own: some declare operations, and those stay declared."""
    command = [sys.executable, "-W", "error", str(example)]
    if "--quick" in example.read_text(encoding="utf-8"):
        command.append("--quick")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_prints_what_it_promises(example):
    printed = run(example).splitlines()
    promised = re.findall(r"# -> (.*)", example.read_text(encoding="utf-8"))
    assert printed[: len(promised)] == promised and len(printed) >= max(1, len(promised))


def test_the_steps_are_numbered_without_a_gap():
    numbers = [int(example.name[:2]) for example in EXAMPLES]
    assert numbers == list(range(1, len(EXAMPLES) + 1))


def test_three_wrong_gradients_shows_each_mistake_where_it_is():
    out = run(next(example for example in EXAMPLES if "three_wrong" in example.name))
    wrong = {line.split()[0]: line for line in out.splitlines() if line.startswith(("blocks", "embedding", "output"))}
    assert len(wrong) == 23
    # The last block's own output projection lies after the attention that is wrong; its queries lie before.
    assert "right" in wrong["blocks.1.attention.output.weight"]
    assert "right" not in wrong["blocks.1.attention.qkv.weight"]
    assert "12 of 23" in out and "23 of 23" in out
    cosines = re.findall(r"(\d\.\d{4})\s+(-?\d\.\d{4})", "\n".join(wrong.values()))
    assert len(cosines) == 12 + 23 and all(float(error) > 0.1 and float(c) < 0.999 for error, c in cosines)
    assert float(re.search(r"Brier score: relative error (\S+)", out)[1]) < 1e-12
    after = re.findall(r"after epoch \d+\s+([\d.]+) %\s+([\d.]+) %\s+([\d.]+) %", out)
    assert len(after) == 2
    derived, equal, twice = map(float, after[-1])
    assert derived > equal and derived > twice
