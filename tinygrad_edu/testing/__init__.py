"""Is this gradient right? A kit for your own code, and the proof of ours.

    gradcheck(f, *inputs)         a report: values, error bars, verdicts
    assert_gradients(f, *inputs)  the same, raising where something is wrong

f may be written for this engine, or be anything with a pullback: a backward pass by hand, PyTorch, JAX, autograd.
"""

from tinygrad_edu.testing.check import assert_gradients, gradcheck
from tinygrad_edu.testing.compare import Comparison, Part, compare_by_hand
from tinygrad_edu.testing.pullbacks import autograd_vjp, by_hand, torch_vjp
from tinygrad_edu.testing.report import Check, Finding, GradientError, GradReport

__all__ = [
    "Check",
    "Comparison",
    "Finding",
    "GradReport",
    "GradientError",
    "Part",
    "assert_gradients",
    "autograd_vjp",
    "by_hand",
    "compare_by_hand",
    "gradcheck",
    "torch_vjp",
]
