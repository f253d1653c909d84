"""The layers every network has: forward code with the shapes at the margin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu import functional
from tinygrad_edu.arguments import array
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ShapeError
from tinygrad_edu.nn.module import Module, Parameter
from tinygrad_edu.settings import nonnegative, share
from tinygrad_edu.tensor import Tensor

__all__ = ["Dropout", "Embedding", "LayerNorm", "Linear", "RMSNorm"]


class Linear(Module):
    """x @ weight + bias. weight (in, out), uniform with variance 2 / (in + out) (Xavier); bias (out,), 0."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *,
        rng: np.random.Generator, dtype: Any = "float32",
    ) -> None:  # fmt: skip
        limit = math.sqrt(6 / max(in_features + out_features, 1))
        self.weight = Parameter(rng.uniform(-limit, limit, (in_features, out_features)), dtype)
        self.bias = Parameter(np.zeros(out_features), dtype) if bias else None

    def forward(self, x: Tensor) -> Tensor:                     # (..., in)
        x = array(x)
        if x.shape[-1:] != self.weight.shape[:1]:
            reject(ShapeError, f"Linear: the last axis of x {x.shape} must be {self.weight.shape[0]}")
        return functional.linear(x, self.weight, self.bias)     # (..., out)

    def extra_repr(self) -> str:
        return ", ".join([*map(str, self.weight.shape), *(["bias=False"] if self.bias is None else [])])


class Embedding(Module):
    """Row `id` of weight (count, dim), for each id; drawn from a normal distribution of deviation `std`."""

    def __init__(
        self, count: int, dim: int, *, rng: np.random.Generator, std: float = 1.0, dtype: Any = "float32"
    ) -> None:
        self.weight = Parameter(rng.normal(0.0, std, (count, dim)), dtype)

    def forward(self, ids: Any) -> Tensor:                      # (...) int
        return functional.embedding(self.weight, ids)           # (..., dim)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class LayerNorm(Module):
    """functional.layer_norm with a weight (dim,) of ones and a bias (dim,) of zeros."""

    def __init__(self, dim: int, eps: float = 1e-5, *, dtype: Any = "float32") -> None:
        self.eps = nonnegative("LayerNorm: eps", eps)
        self.weight = Parameter(np.ones(dim), dtype)
        self.bias = Parameter(np.zeros(dim), dtype)

    def forward(self, x: Tensor) -> Tensor:                     # (..., dim)
        return functional.layer_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"


class RMSNorm(Module):
    """functional.rms_norm with a weight (dim,) of ones."""

    def __init__(self, dim: int, eps: float = 1e-5, *, dtype: Any = "float32") -> None:
        self.eps = nonnegative("RMSNorm: eps", eps)
        self.weight = Parameter(np.ones(dim), dtype)

    def forward(self, x: Tensor) -> Tensor:                     # (..., dim)
        return functional.rms_norm(x, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"


class Dropout(Module):
    """functional.dropout while training, nothing in evaluation. `rng` is the caller's, and may be shared."""

    def __init__(self, p: float, *, rng: np.random.Generator) -> None:
        self.p = share("Dropout: p", p)
        self.rng = rng

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.p, self.rng, self.training)

    def extra_repr(self) -> str:
        return f"{self.p}"
