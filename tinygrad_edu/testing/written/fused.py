"""Kernels: along the last axis, with masks, with and without weights, over targets."""

from tinygrad_edu.rules.fused import linear
from tinygrad_edu.rules.fused_attention import self_attention
from tinygrad_edu.rules.fused_rows import cross_entropy, layer_norm, log_softmax, logsumexp, rms_norm, softmax
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.written.draw import Draw, Function, Write


def rows(function: Function) -> Write:
    return lambda d: Call(function, (d.array(d.shape(1)),))


def masked_softmax(d: Draw) -> Call:
    shape = d.shape(1)
    if d.flag():
        return Call(softmax, (d.array(shape),))
    kept = shape[d.pick(*range(len(shape))) :]
    mask = d.mask(tuple(1 if d.pick(False, False, True) else size for size in kept), 0.7)
    return Call(softmax, (d.array(shape), mask))


def norm(function: Function, tables: int) -> Write:
    """With all of its tables, or only the first of them; eps large enough for rows of one element."""

    def write(d: Draw) -> Call:
        shape = d.shape(1, smallest=2)
        given = [d.array(shape[-1:]) for _ in range(d.pick(*range(tables + 1)))]
        return Call(function, (d.array(shape), *given), {"eps": 0.1})

    return write


def linear_of(d: Draw) -> Call:
    shape = d.shape(1)
    width = d.pick(shape[-1], 1, 2, 3)
    bias = [d.array((width,))] if d.flag() else []
    return Call(linear, (d.array(shape), d.array((shape[-1], width)), *bias))


def losses(d: Draw) -> Call:
    count, classes = d.pick(1, 2, 4), d.pick(1, 2, 3)
    targets = d.rng.integers(0, classes, count)
    return Call(cross_entropy, (d.array((count, classes)), targets, *((d.pick(0.1, 1.0),) if d.flag() else ())))


def attention_of(d: Draw) -> Call:
    batch, time, heads, width = d.pick(1, 2), d.pick(1, 2, 3), d.pick(1, 2), d.pick(1, 2)
    if d.pick(False, False, True):
        time, heads, width = 3, 1, 1  # a square, where a transposed share has the right shape
    qkv = d.array((batch, time, 3 * heads * width))
    if d.flag():
        return Call(self_attention, (qkv, heads))
    shape = tuple(d.pick(1, size) for size in (batch, heads, time, time))
    return Call(self_attention, (qkv, heads, d.mask(shape, 0.7)))


CALLS: dict[Function, Write] = {
    softmax: masked_softmax,
    log_softmax: rows(log_softmax),
    logsumexp: rows(logsumexp),
    layer_norm: norm(layer_norm, 2),
    rms_norm: norm(rms_norm, 1),
    linear: linear_of,
    cross_entropy: losses,
    self_attention: attention_of,
}
