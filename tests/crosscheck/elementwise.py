"""Elementwise operations: what PyTorch calls them. Shapes broadcast, values lie in the declared domain."""

import numpy as np
import torch

from tinygrad_edu.primitive import registry
from tinygrad_edu.rules.elementwise import erf, root_of_squares
from tinygrad_edu.rules.fused import relu

UNARY = {
    np.negative: torch.neg, np.positive: torch.clone, np.reciprocal: torch.reciprocal, np.square: torch.square,
    np.sqrt: torch.sqrt, np.cbrt: lambda t: torch.sign(t) * torch.abs(t) ** (1 / 3), root_of_squares: torch.sqrt,
    np.exp: torch.exp, np.exp2: torch.exp2, np.expm1: torch.expm1, np.log: torch.log, np.log2: torch.log2,
    np.log10: torch.log10, np.log1p: torch.log1p, np.sin: torch.sin, np.cos: torch.cos, np.tan: torch.tan,
    np.arcsin: torch.asin, np.arccos: torch.acos, np.arctan: torch.atan, np.sinh: torch.sinh, np.cosh: torch.cosh,
    np.tanh: torch.tanh, np.arcsinh: torch.asinh, np.arccosh: torch.acosh, np.arctanh: torch.atanh,
    np.degrees: torch.rad2deg, np.rad2deg: torch.rad2deg, np.radians: torch.deg2rad, np.deg2rad: torch.deg2rad,
    np.sinc: torch.sinc, erf: torch.erf, relu: torch.relu, np.absolute: torch.abs, np.fabs: torch.abs,
    np.nan_to_num: torch.nan_to_num, np.conjugate: torch.clone, np.real: torch.clone, np.real_if_close: torch.clone,
}  # fmt: skip
BINARY = {
    np.add: torch.add, np.subtract: torch.sub, np.multiply: torch.mul, np.divide: torch.div, np.power: torch.pow,
    np.float_power: torch.float_power, np.remainder: torch.remainder, np.fmod: torch.fmod,
    np.logaddexp: torch.logaddexp, np.logaddexp2: torch.logaddexp2, np.arctan2: torch.atan2, np.hypot: torch.hypot,
    np.maximum: torch.maximum, np.minimum: torch.minimum, np.fmax: torch.fmax, np.fmin: torch.fmin,
    np.copysign: torch.copysign,
}  # fmt: skip


def elementwise(function, theirs, count):
    domains = getattr(registry()[function], "domain", (None,) * count)

    def case(d):
        shapes = [d.shape()] if count == 1 else d.broadcasting(count)
        return function, theirs, [d.array(shape, domain) for shape, domain in zip(shapes, domains, strict=True)]

    return case


def where(d):
    mask, x, y = d.broadcasting(3)
    chosen = d.rng.random(mask) < 0.5
    return (
        lambda x, y: np.where(chosen, x, y),
        lambda x, y: torch.where(torch.tensor(chosen), x, y),
        [d.array(x), d.array(y)],
    )


def clip(d):
    x, low, high = (d.array(shape) for shape in d.broadcasting(3))
    if d.pick(True, False):
        return lambda x: np.clip(x, -0.5, 0.7), lambda t: torch.clamp(t, -0.5, 0.7), [x]
    # In two steps: torch.clamp does not broadcast a small operand to large bounds.
    return np.clip, lambda t, a, b: torch.minimum(torch.maximum(t, a), b), [x, low - 1.5, high + 1.5]


CASES = {
    **{function: elementwise(function, theirs, 1) for function, theirs in UNARY.items()},
    **{function: elementwise(function, theirs, 2) for function, theirs in BINARY.items()},
    np.where: where,
    np.clip: clip,
}
WITHOUT = {}
