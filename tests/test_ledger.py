"""The ledger of a backward pass: what it lists is what the engine did, to the last bit."""

import numpy as np
from hypothesis import given

from tinygrad_edu import Tensor
from tinygrad_edu.backward import reverse
from tinygrad_edu.testing import programs


def run(program):
    """The program's leaves, the first of its outputs, and a cotangent for it."""
    leaves = [Tensor(x, requires_grad=True) for x in program.inputs]
    outputs = program(*leaves)
    output = outputs[0] if isinstance(outputs, tuple) else outputs
    return leaves, output, np.cos(np.arange(output.size, dtype=output.dtype)).reshape(output.shape)[()]


@given(programs())
def test_whoever_listens_to_a_pass_changes_no_bit_of_it(program):
    """He may keep every array that he is told of: none of them is written into afterwards."""
    _, output, seed = run(program)
    told = []
    heard = reverse({output._node: seed}, tell=lambda *what: told.append((what, [np.copy(x) for x in what[2:4]])))
    alone = reverse({output._node: seed})
    assert heard.keys() == alone.keys()
    assert all(np.array_equal(heard[node], alone[node], equal_nan=True) for node in alone)
    assert told
    for (_, _, g, made, *_), (g_then, made_then) in told:
        assert type(g) is tuple or np.array_equal(g, g_then, equal_nan=True)
        assert np.array_equal(made, made_then, equal_nan=True)
