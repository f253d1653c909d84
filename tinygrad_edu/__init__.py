"""tinygrad_edu: write the forward pass in NumPy; the backward pass is derived.

    >>> import numpy as np
    >>> from tinygrad_edu import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> np.sum(np.tanh(x) ** 2).backward()
    >>> x.grad
    Tensor([0.63970001, 0.13622155])
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_edu import errors
from tinygrad_edu.anomalies import detect_anomaly
from tinygrad_edu.graph import definitions, is_recording, no_grad, scope
from tinygrad_edu.primitive import derivative, primitive
from tinygrad_edu.tensor import Tensor, stop_gradient

if TYPE_CHECKING:
    from tinygrad_edu import functional, nn, onnx, optim, render
    from tinygrad_edu.compiled import compile_kernels
    from tinygrad_edu.explaining import explain
    from tinygrad_edu.formulas import derive
    from tinygrad_edu.memory import memory_report
    from tinygrad_edu.profiler import profile
    from tinygrad_edu.recompute import checkpoint
    from tinygrad_edu.render import contributions, draw, draw_passes, expand, lifetimes, replay, trace_backward
    from tinygrad_edu.tape import CaptureWarning, capture
    from tinygrad_edu.transforms import grad, gradients, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "CaptureWarning",
    "Tensor",
    "capture",
    "checkpoint",
    "compile_kernels",
    "contributions",
    "definitions",
    "derivative",
    "derive",
    "detect_anomaly",
    "draw",
    "draw_passes",
    "errors",
    "expand",
    "explain",
    "functional",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "is_recording",
    "jacobian",
    "jvp",
    "lifetimes",
    "memory_report",
    "nn",
    "no_grad",
    "onnx",
    "optim",
    "primitive",
    "profile",
    "render",
    "replay",
    "scope",
    "stop_gradient",
    "trace_backward",
    "value_and_grad",
    "vjp",
]

# Imported when they are first used: that halves the time that the import takes over NumPy's own.
_LATER = {
    "CaptureWarning": "tape", "capture": "tape", "checkpoint": "recompute", "compile_kernels": "compiled",
    "contributions": "render", "derive": "formulas", "draw": "render", "draw_passes": "render", "expand": "render",
    "explain": "explaining", "functional": "functional", "grad": "transforms", "gradients": "transforms",
    "hessian": "transforms", "hvp": "transforms", "jacobian": "transforms", "jvp": "transforms",
    "lifetimes": "render", "memory_report": "memory", "nn": "nn", "onnx": "onnx", "optim": "optim",
    "profile": "profiler", "render": "render", "replay": "render", "trace_backward": "render",
    "value_and_grad": "transforms", "vjp": "transforms",
}  # fmt: skip


def _in_a_notebook(tensor: Tensor, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """Here, since the tensor stands below what draws it."""
    from tinygrad_edu.render.notebook import bundle

    return bundle(tensor)


Tensor._repr_mimebundle_ = _in_a_notebook  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_LATER[name]}")
    found = globals()[name] = module if _LATER[name] == name else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
