"""Is this gradient right? A kit for your own code, and the proof of ours.

    gradcheck(f, *inputs)         a report: values, error bars, verdicts
    assert_gradients(f, *inputs)  the same, raising where something is wrong
    gradient_test(*strategies)    a decorator: a whole battery of drawn calls, as a test
    compare_by_hand(f, backward)  a backward pass written by hand beside the derived one
    arrays, shapes, axes, ...     what Hypothesis draws for them
    programs(operations)          random differentiable programs, which shrink to the few operations that fail

f may be written for this engine, or be anything with a pullback: a backward pass by hand, PyTorch, JAX, autograd.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.check import assert_gradients, gradcheck
from tinygrad_edu.testing.compare import Comparison, Part, compare_by_hand
from tinygrad_edu.testing.pullbacks import autograd_vjp, by_hand, torch_vjp
from tinygrad_edu.testing.report import Check, Finding, GradientError, GradReport

if TYPE_CHECKING:
    from tinygrad_edu.testing.battery import gradient_test
    from tinygrad_edu.testing.random_programs import Program, programs
    from tinygrad_edu.testing.strategies import (
        arrays,
        axes,
        broadcastable,
        calls,
        cotangents,
        distinct,
        indices,
        permutations,
        shapes,
        tied,
    )

__all__ = [
    "Call",
    "Check",
    "Comparison",
    "Finding",
    "GradReport",
    "GradientError",
    "Part",
    "Program",
    "arrays",
    "assert_gradients",
    "autograd_vjp",
    "axes",
    "broadcastable",
    "by_hand",
    "calls",
    "compare_by_hand",
    "cotangents",
    "distinct",
    "gradcheck",
    "gradient_test",
    "indices",
    "permutations",
    "programs",
    "shapes",
    "tied",
    "torch_vjp",
]

# What needs Hypothesis, imported when it is first used: a report needs NumPy alone, and so does the pytest plugin.
_DRAWN = "arrays axes broadcastable calls cotangents distinct indices permutations shapes tied".split()
_LATER = {"gradient_test": "battery", "Program": "random_programs", "programs": "random_programs"}
_LATER |= dict.fromkeys(_DRAWN, "strategies")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
