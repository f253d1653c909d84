"""Every operation of the registry that PyTorch also has: value, first and second derivatives at 1e-9.

An operation without a counterpart stands in WITHOUT, with the reason; one that stands nowhere fails.
"""

import zlib

import elementwise
import fused
import indexing
import linalg
import parts
import pytest
import reductions
import shapes
import signals
from compare import assert_agree
from draw import Draw

import tinygrad_edu  # noqa: F401  (fills the registry)
from tinygrad_edu.primitive import registry

DRAWS = 20
TABLES = (elementwise, reductions, shapes, linalg, indexing, signals, fused, parts)
CASES = {function: case for table in TABLES for function, case in table.CASES.items()}
WITHOUT = {function: reason for table in TABLES for function, reason in table.WITHOUT.items()}
DIFFERENTIABLE = {function: one for function, one in registry().items() if one.kind in ("rule", "composite")}


def test_every_operation_has_a_counterpart_or_a_reason():
    names = [one.name for function, one in DIFFERENTIABLE.items() if function not in CASES and function not in WITHOUT]
    assert names == []


def test_nothing_is_listed_that_is_not_in_the_registry():
    assert [function for function in (*CASES, *WITHOUT) if function not in DIFFERENTIABLE] == []


@pytest.mark.parametrize("function", CASES, ids=lambda function: DIFFERENTIABLE[function].name)
def test_operation_agrees(function, tally):
    name = DIFFERENTIABLE[function].name
    for seed in range(DRAWS):
        ours, theirs, operands = CASES[function](Draw(seed, zlib.crc32(name.encode())))
        assert_agree(ours, theirs, operands, f"{name}, draw {seed}", seed)
        tally("cases of operations")
    tally("operations")
