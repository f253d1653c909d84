"""What must hold of any call: each function asserts one property, or returns whether a judge could judge.

Cotangents and directions are drawn. A cotangent of ones is blind to every rule whose outputs sum to a constant.
"""

import numpy as np

from tinygrad_edu import Tensor, gradients, jvp
from tinygrad_edu.numerics import Line, judge

SHARP = 1e-6  # of what a derivative's terms add up to: a tolerance above it says too little


def tracked(arrays):
    return [Tensor(array, requires_grad=True) for array in arrays]


def normal(rng, likes):
    """Drawn weights, one array for each of `likes`, in its dtype."""
    return [np.asarray(rng.standard_normal(like.shape), like.dtype) for like in likes]


def inner(left, right):
    return sum((np.sum(a * b) for a, b in zip(left, right, strict=True)), start=0.0)


def absolute_inner(left, right):
    """How big ⟨left, right⟩ could be: what its rounding is measured by."""
    return sum(float(np.sum(np.abs(a * b))) for a, b in zip(left, right, strict=True))


def largest(arrays):
    return max(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)) for a in arrays)


def gradient_of(call, arrays, cotangents):
    """The gradients of ⟨cotangents, call(arrays)⟩, as arrays."""
    xs = tracked(arrays)
    return [g.numpy() for g in gradients(inner(call(*xs), cotangents), xs)]


def plain_outputs(call, arrays):
    """The outputs on plain arrays, laid out in memory as a Tensor lays its copy out."""
    return [np.asarray(y) for y in call(*[np.array(a) for a in arrays])]


# Values


def assert_value_is_numpys(call, exact):
    expected = plain_outputs(call, call.arrays)
    outputs = call(*tracked(call.arrays))
    assert len(outputs) == len(expected)
    for y, plain in zip(outputs, expected, strict=True):
        assert isinstance(y, Tensor), f"{type(y).__name__} is no Tensor"
        kind, expected_kind = (y.dtype, y.shape), (plain.dtype, plain.shape)
        assert kind == expected_kind, f"{kind}; NumPy gives {expected_kind}"
        if exact:
            np.testing.assert_array_equal(y.numpy(), plain)
        else:
            size = largest([plain, *call.arrays])  # differences of equal arguments are 0 but for their last digits
            np.testing.assert_allclose(y.numpy(), plain, rtol=1e-12, atol=1e-13 * size)


# Derivatives


def judged(f, arrays, directions, cotangents, found):
    """Assert that `found` are the derivatives of ⟨cotangents, f⟩; False where differences are too vague to say so."""
    moved = [np.asarray(a, np.float64) for a in arrays]
    line = Line(lambda *xs: (list(f(*xs)), None), moved, directions, cotangents, found)
    said = judge(line, float(inner(found, directions)))
    assert said.verdict in ("ok", "unreliable"), (
        f"{said.verdict}: derived {said.claimed!r}, estimated {said.numeric!r} ± {said.error:.1e}, "
        f"tolerance {said.tolerance:.1e} {said.note}"
    )
    scale = absolute_inner(found, directions)
    return said.verdict == "ok" and (scale == 0 or said.tolerance <= SHARP * scale)


def first_derivative_is_judged(call, rng):
    arrays = call.arrays
    cotangents = normal(rng, plain_outputs(call, arrays))
    directions = normal(rng, arrays)
    return judged(call, arrays, directions, cotangents, gradient_of(call, arrays, cotangents))


def second_derivative_is_judged(call, rng):
    """Of ⟨gradient, drawn directions⟩, by the arguments and by the cotangent: the rules run on Tensors."""
    arrays = call.arrays
    cotangents = normal(rng, plain_outputs(call, arrays))
    count = len(arrays)
    weights = normal(rng, arrays)

    def first(*values):
        return gradient_of(call, values[:count], values[count:])

    xs = tracked(arrays + cotangents)
    total = inner(call(*xs[:count]), xs[count:])
    once = inner(gradients(total, xs[:count], create_graph=True), weights)
    found = gradients(once, xs, allow_unused=True)
    found = [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, xs, strict=True)]
    directions = normal(rng, arrays + cotangents)
    return judged(first, arrays + cotangents, directions, weights, found)


def assert_pushforward_is_the_adjoint(call, rng):
    """⟨c, J v⟩ = ⟨Jᵀ c, v⟩."""
    arrays = call.arrays
    cotangents = normal(rng, plain_outputs(call, arrays))
    directions = normal(rng, arrays)
    _, pushed = jvp(lambda *xs: tuple(call(*xs)), arrays, directions)
    pulled = gradient_of(call, arrays, cotangents)
    scale = absolute_inner(pulled, directions) + absolute_inner(pushed, cotangents)
    np.testing.assert_allclose(inner(pushed, cotangents), inner(pulled, directions), rtol=1e-10, atol=1e-12 * scale)


# Manners


def assert_dtype_is_kept(call, rng, dtype=np.float32):
    """A float32 argument has a float32 gradient, and the output the dtype that NumPy gives it."""
    arrays = [np.asarray(a, dtype) for a in call.arrays]
    expected = plain_outputs(call, arrays)
    xs = tracked(arrays)
    ys = call(*xs)
    assert [y.dtype for y in ys] == [plain.dtype for plain in expected]
    cotangents = normal(rng, expected)
    for create_graph in (False, True):
        found = gradients(inner(ys, cotangents), xs, create_graph=create_graph)
        assert [(g.shape, g.dtype) for g in found] == [(a.shape, a.dtype) for a in arrays]


def assert_nothing_is_mutated_or_shared(call, rng):
    """The arguments and cotangents keep their bits; each gradient has memory of its own."""
    arrays = [np.array(a) for a in call.arrays]
    xs = tracked(arrays)
    ys = call(*xs)
    cotangents = normal(rng, ys)
    kept = [np.array(a) for a in arrays + cotangents + [y.numpy() for y in ys]]
    for y, c in zip(ys, cotangents, strict=True):
        y.backward(c, retain_graph=True)
    for array, before in zip(arrays + cotangents + [y.numpy() for y in ys], kept, strict=True):
        np.testing.assert_array_equal(array, before)
    for x, before in zip(xs, arrays, strict=True):
        np.testing.assert_array_equal(x.numpy(), before)
    memory = [x.grad.data for x in xs] + cotangents + [x.data for x in xs] + [y.data for y in ys if y.is_leaf]
    for k in range(len(xs)):
        for other in range(len(memory)):
            assert k == other or not np.shares_memory(memory[k], memory[other]), f"gradient {k} shares memory"


def assert_alone_as_together(call, rng):
    """An argument that alone wants a gradient gets the same as among others: what it needs is saved for it too."""
    arrays = call.arrays
    cotangents = normal(rng, plain_outputs(call, arrays))
    together = gradient_of(call, arrays, cotangents)
    for k, expected in enumerate(together):
        x = Tensor(arrays[k], requires_grad=True)
        mixed = [x if k == other else np.array(a) for other, a in enumerate(arrays)]
        np.testing.assert_array_equal(gradients(inner(call(*mixed), cotangents), x).numpy(), expected)


def assert_linear_in_the_cotangent(call, rng):
    """Also: the same twice over, bit for bit, and zero for zero."""
    arrays = call.arrays
    outputs = plain_outputs(call, arrays)
    c, e = normal(rng, outputs), normal(rng, outputs)
    for_c, again, for_e = (gradient_of(call, arrays, w) for w in (c, c, e))
    for_both = gradient_of(call, arrays, [2.0 * a - 3.0 * b for a, b in zip(c, e, strict=True)])
    for_none = gradient_of(call, arrays, [np.zeros_like(a) for a in c])
    size = largest(arrays + for_c + for_e)
    for g, same, other, both, none in zip(for_c, again, for_e, for_both, for_none, strict=True):
        np.testing.assert_array_equal(g, same)
        np.testing.assert_array_equal(none, 0.0)
        np.testing.assert_allclose(both, 2.0 * g - 3.0 * other, rtol=1e-9, atol=1e-12 * size)
