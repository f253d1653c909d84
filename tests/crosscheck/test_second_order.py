"""Second derivatives of other libraries: their pullbacks are differentiated by themselves, and judged."""

import autograd
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tinygrad_edu.testing import autograd_vjp, gradcheck, torch_vjp

X, W = (np.random.default_rng(0).standard_normal((3, 3)) for _ in range(2))


@pytest.fixture(autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    ("name", "f", "vjp"),
    [
        ("torch", lambda x, w: torch.tanh(x @ w) * x, torch_vjp),
        ("jax", lambda x, w: jnp.tanh(x @ w) * x, jax.vjp),
        ("autograd", lambda x, w: autograd.numpy.tanh(x @ w) * x, autograd_vjp),
    ],
)
def test_second_derivatives_of_another_library_are_judged(name, f, vjp):
    report = gradcheck(f, X, W, order=2, vjp=vjp)
    assert report.verdict == "ok", str(report)
    assert {check.path for check in report.checks if check.order == 2} == {"inputs[0]", "inputs[1]", "cotangent[0]"}
    assert "the second derivative is symmetric" in {finding.property for finding in report.findings}


class Cube(torch.autograd.Function):
    """x³, whose gradient is right and comes off the graph."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (3 * x.detach() ** 2)


def test_a_second_derivative_that_is_missing_is_found():
    report = gradcheck(lambda x: Cube.apply(x), X, order=2, vjp=torch_vjp)
    assert {(check.order, check.path) for check in report.checks if check.verdict == "wrong"} == {(2, "inputs[0]")}
