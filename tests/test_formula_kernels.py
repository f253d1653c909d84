"""One kernel from one formula: what a library of arrays is given to compile works out what the formula says."""

import numpy as np
import one_thread
import pytest

from tinygrad_edu.arrays import Foreign
from tinygrad_edu.rules import fused, fused_rows

D = 7
FORMULAS = [
    (fused_rows.softmax_value, ["x", None]), (fused_rows.softmax_value, ["x", "mask"]),
    (fused_rows.softmax_slope, ["x", "x"]), (fused_rows.log_softmax_value, ["x"]),
    (fused_rows.log_softmax_slope, ["x", "x"]), (fused_rows.logsumexp_value, ["x"]),
    (fused_rows.norm_value, ["x", "table", "table", 1e-5, True]),
    (fused_rows.norm_value, ["x", None, None, 0.1, False]),
    (fused_rows.norm_slope, ["x", "x", "table", 1e-5, True]), (fused_rows.norm_slope, ["x", "x", None, 0.1, False]),
    (fused_rows.weighed, ["x", "x", 1e-5, True]), (fused.sigmoid_value, ["x"]),
    (fused.sigmoid_slope, ["x", fused.sigmoid_value, "x"]), (fused.silu_value, ["x"]),
    (fused.silu_slope, ["x", fused.silu_value, "x"]), (fused.gelu_value, ["x"]),
    (fused.gelu_slope, ["x", fused.gelu_value, "x"]), (fused.gelu_tanh_value, ["x"]),
    (fused.gelu_tanh_slope, ["x", "x"]),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FORMULAS)), ids=lambda k: FORMULAS[k][0].__name__)
def test_a_kernel_written_from_a_formula_works_out_the_formula(number, tmp_path, monkeypatch):
    """Every third is compiled and run; that each can be written is seen without."""
    formula, kinds = FORMULAS[number]
    compiled = one_thread.COMPILER is not None and number % 3 == 1
    if not compiled:
        monkeypatch.setattr(one_thread, "RawKernel", lambda source, name, folder: lambda *_: None)
    gpu, draw = one_thread.library(tmp_path), np.random.default_rng(number)
    make = {
        "x": lambda: draw.standard_normal((2, 3, 5, D)) * 3, "table": lambda: draw.standard_normal(D),
        "mask": lambda: draw.random((2, 1, 5, D)) < 0.7,
    }  # fmt: skip
    operands = [make[kind]() if isinstance(kind, str) else kind for kind in kinds]
    operands = [each(operands[-1]) if callable(each) else each for each in operands]
    foreign = [Foreign(each, gpu) if isinstance(each, np.ndarray) else each for each in operands]
    found, plain = formula(*foreign), getattr(formula, "__wrapped__", formula)
    (kernel,) = gpu.kernels.values()
    assert kernel is not None
    if compiled:
        np.testing.assert_allclose(found.array, plain(*operands), rtol=1e-12, atol=1e-13)
