"""Where an operation declares a kink, and nowhere else, its value or its gradient jumps.

gradcheck measures no difference across a kink, so one that is not declared is a false alarm, and one that is not
there a place where nobody looks.
"""

import numpy as np
import pytest
from calls import OPERATIONS, calls, checks
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tinygrad_edu.primitive import Primitive
from tinygrad_edu.testing.trace import run_traced

KINKED = [o for o in OPERATIONS if isinstance(o, Primitive) and o.kinks is not None]
DIVISOR_NEEDED = {"remainder", "fmod"}  # at 0 of the divisor they have no value, only kinks without number

JUMP = 1e-6
HALVED = 28  # times: then an interval is 1e-9 wide, in which no slope that is met here rises by a jump


def test_every_function_that_is_known_for_its_kinks_declares_them():
    known = {"maximum", "minimum", "fmax", "fmin", "absolute", "fabs", "remainder", "fmod", "copysign", "relu"}
    assert {"max", "min", "sort", *known} <= {o.name for o in KINKED}


@pytest.mark.parametrize("operation", KINKED, ids=lambda o: o.name)
def test_kinks_are_where_the_value_or_the_gradient_jumps(operation):
    @settings(max_examples=5)
    @given(call=calls(operation), seed=st.integers(0, 2**32 - 1))
    def check(call, seed):
        rng = np.random.default_rng(seed)
        start = [a + 0.1 * rng.standard_normal(a.shape) for a in call.arrays]
        end = [a + rng.normal(0.0, 2.0, a.shape) for a in start]
        if operation.name in DIVISOR_NEEDED:
            start[-1] = np.where(np.abs(start[-1]) < 0.2, 0.5, start[-1])
            end[-1] = 1.7 * start[-1]
        outputs = checks.plain_outputs(call, start)
        if not all(np.all(np.isfinite(y)) for y in outputs):
            reject()
        cotangents = [rng.standard_normal(y.shape) for y in outputs]

        def at(t):
            arrays = [(1 - t) * a + t * b for a, b in zip(start, end, strict=True)]
            values, piece = run_traced(call, arrays)
            facts = [*[y.numpy() for y in values], *checks.gradient_of(call, arrays, cotangents)]
            return t, np.concatenate([np.ravel(fact) for fact in facts]), piece

        def closer(low, high):
            """The half of the interval in which the piece changes, or else the gradient more."""
            middle = at(0.5 * (low[0] + high[0]))
            changes = low[2] != middle[2], middle[2] != high[2]
            if changes[0] == changes[1]:
                changes = apart(low, middle) >= apart(middle, high), False
            return (low, middle) if changes[0] else (middle, high)

        points = [at(t) for t in np.linspace(0.0, 1.0, 25)]
        for low, high in zip(points, points[1:], strict=False):
            for _ in range(HALVED):
                if apart(low, high) <= JUMP and low[2] == high[2]:
                    break
                low, high = closer(low, high)
            assert (apart(low, high) > JUMP) == (low[2] != high[2]), (low, high)

    check()


def apart(low, high):
    return float(np.max(np.abs(low[1] - high[1]), initial=0.0))
