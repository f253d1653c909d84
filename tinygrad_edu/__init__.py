"""tinygrad_edu: write the forward pass in NumPy; the backward pass is derived.

    >>> import numpy as np
    >>> from tinygrad_edu import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> np.sum(np.tanh(x) ** 2).backward()
    >>> x.grad
    Tensor([0.63970001, 0.13622155])
"""

from tinygrad_edu import errors, functional, nn, optim
from tinygrad_edu.anomalies import detect_anomaly
from tinygrad_edu.explain import explain
from tinygrad_edu.graph import is_recording, no_grad, scope
from tinygrad_edu.memory import memory_report
from tinygrad_edu.primitive import derivative, primitive
from tinygrad_edu.recompute import checkpoint
from tinygrad_edu.render import draw
from tinygrad_edu.tensor import Tensor, stop_gradient
from tinygrad_edu.transforms import grad, gradients, hessian, hvp, jacobian, jvp, value_and_grad, vjp

__all__ = [
    "Tensor",
    "checkpoint",
    "derivative",
    "detect_anomaly",
    "draw",
    "errors",
    "explain",
    "functional",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "is_recording",
    "jacobian",
    "jvp",
    "memory_report",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "scope",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
