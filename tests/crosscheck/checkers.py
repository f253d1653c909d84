"""The gradient checks that PyTorch, JAX and autograd ship, and ours: each asked, as shipped, about the same gradients.

Each library checks a function of its own, made of the same NumPy forward and backward pass. Ours is asked in two ways:
about an operation of its own, and about the other libraries' functions through their pullbacks. Tolerances and steps
are everyone's defaults. A library is imported when it is first asked.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad_edu import Tensor, primitive
from tinygrad_edu.testing import autograd_vjp, gradcheck, torch_vjp

ACCEPTS, REJECTS, CANNOT_TELL, RULED_OUT = "accepts", "rejects", "cannot tell", "ruled out"


class Checker(NamedTuple):
    """ask(case, x, seed) -> one of the words above, or whatever the check raised."""

    name: str
    package: str
    ask: Callable


# The case as a function of each library -----------------------------------------------------------


@functools.lru_cache
def in_torch(case):
    import torch

    def tensor(array):
        return torch.from_numpy(np.asarray(array))

    class Wrapped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return case.forward(x) if case.order == 2 else tensor(case.forward(x.numpy()))

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            if case.order == 2:
                return case.backward(g, x, torch.Tensor.detach)
            return tensor(case.backward(g.numpy(), x.numpy()))

    return (lambda x: Wrapped.apply(x).sum()) if case.summed else Wrapped.apply


@functools.lru_cache
def in_jax(case):
    import jax

    shape = np.shape(case.forward(case.draw(np.random.default_rng(0))))

    def in_numpy(f):
        """f on NumPy arrays, in the float that JAX works in; made once, since JAX compiles for each new function."""
        run = lambda x, *others: np.asarray(f(np.array(x), *map(np.array, others)), x.dtype)  # noqa: E731
        return lambda like, *xs: jax.pure_callback(run, jax.ShapeDtypeStruct(like, xs[0].dtype), *xs)

    value, slope = in_numpy(case.forward), in_numpy(lambda x, g: case.backward(g, x))

    def forward(x):
        return case.forward(x) if case.order == 2 else value(shape, x)

    def backward(x, g):
        return (case.backward(g, x, jax.lax.stop_gradient) if case.order == 2 else slope(x.shape, x, g),)

    wrapped = jax.custom_vjp(forward)
    wrapped.defvjp(lambda x: (forward(x), x), backward)
    return lambda x: wrapped(x).sum() if case.summed else wrapped(x)


@functools.lru_cache
def in_autograd(case):
    import autograd.extend
    from autograd import numpy as anp
    from autograd.tracer import getval

    wrapped = autograd.extend.primitive(lambda x: case.forward(x))
    if case.order == 2:
        autograd.extend.defvjp(wrapped, lambda z, x: lambda g: case.backward(g, x, getval))
    else:
        autograd.extend.defvjp(wrapped, lambda z, x: lambda g: case.backward(np.asarray(g), x))
    return lambda x: anp.sum(wrapped(x)) if case.summed else wrapped(x)


@functools.lru_cache
def in_ours(case):
    def held(x):
        return x.detach() if isinstance(x, Tensor) else x

    def rule(g, x):
        return case.backward(g, x, held) if case.order == 2 else case.backward(g, x)

    wrapped = primitive(rule)(lambda x: case.forward(x))
    return lambda x: np.sum(wrapped(x)) if case.summed else wrapped(x)


# Asking -------------------------------------------------------------------------------------------


def raised(ask):
    """accepts, or rejects: how the peers tell."""
    try:
        ask()
    except (AssertionError, RuntimeError) as error:
        # gradcheck raises a RuntimeError of its own; one of another kind means that the wrapping is broken.
        if not isinstance(error, AssertionError) and type(error).__name__ != "GradcheckError":
            raise
        return REJECTS
    return ACCEPTS


def torch_checker(fast):
    def ask(case, x, seed):
        import torch

        torch.manual_seed(seed)
        check = torch.autograd.gradcheck if case.order == 1 else torch.autograd.gradgradcheck
        leaf = torch.tensor(x, requires_grad=True)
        return raised(lambda: check(in_torch(case), (leaf,), fast_mode=fast))

    return ask


def jax_checker(x64):
    def ask(case, x, seed):
        from jax.test_util import check_grads

        if case.writes:
            return RULED_OUT
        with jax_floats(x64):
            return raised(lambda: check_grads(in_jax(case), (jax_array(x),), order=case.order, modes=["rev"]))

    return ask


@contextlib.contextmanager
def jax_floats(x64):
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


def jax_array(x):
    import jax.numpy

    return jax.numpy.array(x)


def ask_autograd(case, x, seed):
    from autograd.test_util import check_grads

    np.random.seed(seed)  # what its directions are drawn from
    return raised(lambda: check_grads(in_autograd(case), modes=["rev"], order=case.order)(x))


check = functools.partial(gradcheck, exhaustive=False)  # the verdict is asked for, not which rule is to blame


def told(report):
    return {"wrong": REJECTS, "unreliable": CANNOT_TELL}.get(report.verdict, ACCEPTS)


def ask_ours(case, x, seed):
    return told(check(in_ours(case), x, order=case.order, seed=seed))


def ours_on_torch(case, x, seed):
    f = in_torch(case) if case.order == 1 else torch_slope(in_torch(case))
    return told(check(f, x, vjp=torch_vjp, seed=seed))


def ours_on_jax(case, x, seed):
    import jax

    if case.writes:
        return RULED_OUT
    with jax_floats(True):
        f = in_jax(case) if case.order == 1 else lambda x: jax.grad(lambda x: in_jax(case)(x).sum())(x)
        return told(check(f, x, vjp=jax.vjp, seed=seed))


def ours_on_autograd(case, x, seed):
    from autograd import elementwise_grad

    f = in_autograd(case) if case.order == 1 else elementwise_grad(in_autograd(case))
    with warnings.catch_warnings():  # autograd mentions a gradient that is zero for want of a path
        warnings.filterwarnings("ignore", "Output seems independent of input")
        return told(check(f, x, vjp=autograd_vjp, seed=seed))


def torch_slope(f):
    """The gradient of the sum of f, as a function: of its own gradient ours is asked, where the order is 2."""
    import torch

    def slope(x):
        with torch.enable_grad():
            leaf = x if x.requires_grad else x.clone().requires_grad_()
            return torch.autograd.grad(f(leaf).sum(), leaf, create_graph=True)[0]

    return slope


PEERS = (
    Checker("PyTorch", "torch", torch_checker(fast=False)),
    Checker("PyTorch, fast mode", "torch", torch_checker(fast=True)),
    Checker("JAX, float32", "jax", jax_checker(x64=False)),
    Checker("JAX, x64", "jax", jax_checker(x64=True)),
    Checker("autograd", "autograd", ask_autograd),
)
OURS = (
    Checker("ours", "tinygrad_edu", ask_ours),
    Checker("ours, on PyTorch's", "torch", ours_on_torch),
    Checker("ours, on JAX's", "jax", ours_on_jax),
    Checker("ours, on autograd's", "autograd", ours_on_autograd),
)
