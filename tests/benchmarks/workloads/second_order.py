"""Second order: the Hessian of the lessons' encoder's loss, times a vector."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.sizes import W1
from benchmarks.transformers import EPS, loss_of
from benchmarks.workload import OURS, Run, Workload


def direction() -> dict[str, Any]:
    draw = np.random.default_rng(2)
    return {name: draw.standard_normal(array.shape).astype(np.float32) for name, array in W1.weights().items()}


def product(compute: Callable[[], Mapping[str, Any]]) -> Run:
    """compute(): H v by name. Compared by the norms of its largest parts: the others are lost in float32."""

    def check() -> list[float]:
        found = {name: np.asarray(part, np.float64) for name, part in compute().items()}
        return [float(np.linalg.norm(found[name])) for name in ("output.weight", "output.bias", "embedding.weight")]

    return Run({"product": lambda _: compute() and None}, check)


def ours(case: str) -> Run:
    from tinygrad_edu import functional, gradients
    from transformer import Transformer, TransformerConfig

    model = Transformer(TransformerConfig(W1.V, W1.D, W1.H, W1.layers, W1.F, pooling="first", norm_eps=EPS))
    model.load_state_dict(W1.weights())
    names, leaves = zip(*model.named_parameters(), strict=True)
    (tokens, targets, _), v = W1.data(), direction()

    def compute() -> dict[str, Any]:
        loss = functional.cross_entropy(model(tokens), targets)
        first = gradients(loss, leaves, create_graph=True)
        along = sum(np.sum(g * v[name]) for name, g in zip(names, first, strict=True))
        return {name: g.numpy() for name, g in zip(names, gradients(along, leaves), strict=True)}

    return product(compute)


def pytorch(case: str) -> Run:
    """Attention spelled out: the fused kernel has no second derivative."""
    import torch

    torch.set_num_threads(1)
    zero = torch.zeros(())
    F = SimpleNamespace(
        mean=torch.mean, sqrt=torch.sqrt, exp=torch.exp, log=torch.log, sum=torch.sum, matmul=torch.matmul,
        max=torch.amax, reshape=torch.reshape, transpose=torch.permute, maximum=lambda x, y: torch.maximum(x, zero),
    )  # fmt: skip
    w = {name: torch.tensor(array, requires_grad=True) for name, array in W1.weights().items()}
    v = {name: torch.tensor(array) for name, array in direction().items()}
    data, constant = W1.data(), torch.as_tensor

    def compute() -> dict[str, Any]:
        loss = loss_of(F, w, W1, data, constant)
        first = torch.autograd.grad(loss, list(w.values()), create_graph=True)
        along = sum((g * v[name]).sum() for name, g in zip(w, first, strict=True))
        return dict(zip(w, torch.autograd.grad(along, list(w.values())), strict=True))

    return product(compute)


def autograd(case: str) -> Run:
    import autograd.numpy as anp
    from autograd import grad

    w, v, data = W1.weights(), direction(), W1.data()
    first = grad(lambda w: loss_of(anp, w, W1, data))
    second = grad(lambda w: sum(anp.sum(g * v[name]) for name, g in first(w).items()))
    return product(lambda: second(w))


def jax_jit(case: str) -> Run:
    import jax
    import jax.numpy as jnp

    w, v = ({name: jnp.asarray(a) for name, a in arrays.items()} for arrays in (W1.weights(), direction()))
    data = W1.data()
    pushed = jax.jit(lambda w, v: jax.jvp(jax.grad(lambda w: loss_of(jnp, w, W1, data)), (w,), (v,))[1])
    return product(lambda: jax.block_until_ready(pushed(w, v)))


WORKLOAD = Workload(
    title="Second order",
    about="The Hessian of W1's loss times a drawn vector, by all weights. PyTorch and HIPS autograd differentiate the "
    "gradient's product with it, as we do; JAX pushes it forward, compiled. Norms of the results were compared.",
    cases=["W1"],
    peers={OURS: ours, "PyTorch": pytorch, "HIPS autograd": autograd, "JAX jit": jax_jit},
    unit="ms",
    agree=1e-4,
)
