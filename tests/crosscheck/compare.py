"""One question to both sides: value, first derivatives, second derivatives, under drawn cotangents.

A cotangent of ones is blind to every rule whose outputs sum to a constant. The second derivatives are those of the
first ones' product with drawn vectors, taken in the arguments and in the cotangent: each rule runs on Tensors then.
"""

import numpy as np
import torch

from tinygrad_edu import Tensor, gradients

NEAR = 1e-9


def assert_near(ours, theirs, tolerance, what):
    """The largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, PyTorch {theirs.shape}"
    if ours.size == 0:
        return
    error, size = np.max(np.abs(ours - theirs)), np.max(np.abs(theirs))
    assert error <= tolerance * max(size, 1e-3), (
        f"{what}: off by {error:.3e} where PyTorch's largest value is {size:.3e}\nours\n{ours}\nPyTorch\n{theirs}"
    )


def derivatives_of(f, operands, weights, leaf, total, gradients):
    """[outputs, first derivatives, second derivatives] of one side; `weights` draws cotangents by shape."""
    xs = [leaf(operand) for operand in operands]
    ys = f(*xs)
    ys = list(ys) if isinstance(ys, tuple | list) else [ys]
    cotangents = [leaf(weights(tuple(y.shape))) for y in ys]
    first = gradients(sum(total(y * c) for y, c in zip(ys, cotangents, strict=True)), xs, True)
    second = gradients(
        sum(total(one * leaf(weights(tuple(one.shape)))) for one in first if one is not None), [*xs, *cotangents], False
    )
    return ys, first, second


def ours_and_theirs(ours, theirs, operands, seed):
    """The two sides' answers as arrays, in pairs with a name; zeros where a side says that nothing depends."""

    def weights():
        rng = np.random.default_rng(seed)
        return lambda shape: rng.standard_normal(shape)

    mine = derivatives_of(
        ours, operands, weights(), lambda a: Tensor(a, requires_grad=True), np.sum,
        lambda y, xs, create: gradients(y, xs, create_graph=create, allow_unused=True),
    )  # fmt: skip
    other = derivatives_of(
        theirs, operands, weights(), lambda a: torch.tensor(a, requires_grad=True), torch.sum,
        lambda y, xs, create: torch.autograd.grad(y, xs, create_graph=create, allow_unused=True),
    )  # fmt: skip
    for order, here, there in zip(("value", "first derivative", "second derivative"), mine, other, strict=True):
        assert len(here) == len(there)
        for index, (a, b) in enumerate(zip(here, there, strict=True)):
            if a is None and b is None:
                continue
            b_array = b.detach().numpy(force=True) if b is not None else np.zeros(a.shape)
            a_array = a.numpy() if a is not None else np.zeros(b_array.shape)
            yield f"{order} {index}", a_array, b_array


def assert_agree(ours, theirs, operands, what, seed=0, tolerance=NEAR):
    for name, a, b in ours_and_theirs(ours, theirs, operands, seed):
        assert_near(a, b, tolerance, f"{what}, {name}, operands {[operand.shape for operand in operands]}")
