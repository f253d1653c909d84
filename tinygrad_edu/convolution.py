"""Convolution and pooling: forward code over slices, products and sums, and no derivative rule.

A tap is one place of the kernel; over the whole input it is a slice, and the way back from a slice costs one copy. So
the taps along the width are stacked to columns, and the taps along the height are added up, each as one product of
matrices. With a 3 by 3 kernel that takes a third of the memory of a stack of all taps; no index is ever gathered.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import functools
import math
import operator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_edu.tensor import Tensor

__all__ = ["avg_pool1d", "avg_pool2d", "conv1d", "conv2d", "max_pool1d", "max_pool2d"]

A = TypeVar("A", Tensor, NDArray[Any])
Sizes = int | tuple[int, ...]
Padding = str | Sizes
AXES = {1: "length", 2: "height, width"}


class Slide(NamedTuple):
    """How a window slides along one axis: `out` positions, `stride` apart, over the axis and what is padded to it."""

    window: int
    stride: int
    dilation: int
    before: int
    after: int
    out: int

    def tap(self, k: int) -> slice:
        """The elements that the window's element k meets, one for each position."""
        start = k * self.dilation
        return slice(start, start + self.stride * (self.out - 1) + 1, self.stride)


STILL = Slide(1, 1, 1, 0, 0, 1)  # along an axis of one element


def conv1d(
    x: A,
    weight: A,
    bias: A | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> A:
    """y[o, t] = Σ weight[o, c, k] x[c, stride·t + dilation·k] + bias[o]: as conv2d, with one axis."""
    return convolve("conv1d", x, weight, bias, 1, (stride, padding, dilation), groups)


def conv2d(
    x: A,
    weight: A,
    bias: A | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> A:
    """y[o, t, s] = Σ weight[o, c, k, l] x[c, stride·t + dilation·k, stride·s + dilation·l] + bias[o].

    x (..., C, H, W); weight (O, C/groups, h, w); bias (O,) or None; returns (..., O, H', W'). Group number n of the
    output channels sees group number n of the input channels. stride, padding, dilation: an integer, or one an axis.
    padding: so many zeros on either side; "valid": none; "same": so many that H' = ⌈H/stride⌉, an odd one at the end.
    Raises ShapeError when channels or sizes do not fit.
    """
    return convolve("conv2d", x, weight, bias, 2, (stride, padding, dilation), groups)


def max_pool1d(x: A, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0) -> A:
    """The largest element of each window over the last axis, as max_pool2d."""
    return max_pool("max_pool1d", x, 1, kernel_size, stride, padding)


def max_pool2d(x: A, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0) -> A:
    """The largest element of each window; ties share the gradient equally.

    x (..., H, W). stride: the window's own size if not given. padding, as in conv2d, adds −inf: it is never chosen.
    """
    return max_pool("max_pool2d", x, 2, kernel_size, stride, padding)


def avg_pool1d(
    x: A, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, count_include_pad: bool = True
) -> A:
    """The mean of each window over the last axis, as avg_pool2d."""
    return avg_pool("avg_pool1d", x, 1, kernel_size, stride, padding, count_include_pad)


def avg_pool2d(
    x: A, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, count_include_pad: bool = True
) -> A:
    """The mean of each window; padded zeros count as elements unless count_include_pad is False.

    x (..., H, W). stride: the window's own size if not given. padding as in conv2d.
    """
    return avg_pool("avg_pool2d", x, 2, kernel_size, stride, padding, count_include_pad)


def convolve(
    name: str, x: Any, weight: Any, bias: Any, axes: int, sliding: tuple[Sizes, Padding, Sizes], groups: int
) -> Any:
    check_channels(name, x, weight, bias, axes, groups)
    slides = slides_of(name, x.shape[-axes:], weight.shape[2:], *sliding)
    x = padded(x, slides)
    if axes == 1:
        x, weight = x[..., None, :], weight[:, :, None]
    down, across = slides if axes == 2 else (STILL, *slides)
    lead, (inputs, height, _), outputs = x.shape[:-3], x.shape[-3:], weight.shape[0]
    depth = inputs // groups * across.window                            # (channel, tap) pairs of one product
    columns = np.stack([x[..., across.tap(k)] for k in range(across.window)], axis=-3)  # (..., C, w, H, W')
    columns = columns.reshape(*lead, groups, depth, height, across.out)
    rows = [
        weight[:, :, k].reshape(groups, outputs // groups, depth)                       # (G, O/G, C/G·w)
        @ columns[..., down.tap(k), :].reshape(*lead, groups, depth, down.out * across.out)
        for k in range(down.window)
    ]                                                                                   # each (..., G, O/G, H'W')
    y = total(rows).reshape(*lead, outputs, *[slide.out for slide in slides])           # (..., O, H', W')
    return y if bias is None else y + bias.reshape(-1, *[1] * axes)


def max_pool(name: str, x: Any, axes: int, size: Sizes, stride: Sizes | None, padding: Padding) -> Any:
    slides = pool_slides(name, x, axes, size, stride, padding)
    if x.dtype.kind != "f" and any(slide.before or slide.after for slide in slides):
        reject(DtypeError, f"{name}: padding adds -inf, which {x.dtype} lacks; pass floats")
    x = padded(x, slides, -np.inf)
    for axis, slide in zip(range(-axes, 0), slides, strict=True):
        x = np.stack(taps(x, axis, slide))  # in front: the maximum then runs over whole arrays, tap against tap
    return np.max(x, axis=tuple(range(axes)))


def avg_pool(
    name: str, x: Any, axes: int, size: Sizes, stride: Sizes | None, padding: Padding, count_include_pad: bool
) -> Any:
    slides = pool_slides(name, x, axes, size, stride, padding)
    counts: Any = math.prod([slide.window for slide in slides])
    if not count_include_pad:
        counts = sums(padded(np.ones(x.shape[-axes:], x.dtype), slides), slides)
    return sums(padded(x, slides), slides) / counts


def sums(x: Any, slides: list[Slide]) -> Any:
    """The sum of each window, one axis after the other."""
    for axis, slide in zip(range(-len(slides), 0), slides, strict=True):
        x = total(taps(x, axis, slide))
    return x


def taps(x: Any, axis: int, slide: Slide) -> list[Any]:
    """For each element of the window, what it meets along `axis`, a negative one."""
    behind = (slice(None),) * (-axis - 1)
    return [x[(..., slide.tap(k), *behind)] for k in range(slide.window)]


def total(arrays: list[Any]) -> Any:
    return functools.reduce(operator.add, arrays)


def padded(x: Any, slides: list[Slide], value: float = 0.0) -> Any:
    widths = [(slide.before, slide.after) for slide in slides]
    if not any(map(any, widths)):
        return x
    return np.pad(x, [(0, 0)] * (x.ndim - len(widths)) + widths, constant_values=value)


# What fits


def slides_of(
    name: str, sizes: tuple[int, ...], windows: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
) -> list[Slide]:
    """One Slide for each of the axes, of these sizes."""
    axes = len(sizes)
    each = zip(
        sizes, per_axis(name, "window", windows, axes), per_axis(name, "stride", stride, axes),
        per_axis(name, "dilation", dilation, axes), strict=True,
    )  # fmt: skip
    if isinstance(padding, str) and padding not in ("same", "valid"):
        reject(ArgumentError, f"{name}: padding={padding!r}; choose 'same', 'valid', an integer, or one for each axis")
    pads = (0,) * axes if isinstance(padding, str) else per_axis(name, "padding", padding, axes, least=0)
    slides = []
    for axis, ((size, window, step, apart), pad) in enumerate(zip(each, pads, strict=True)):
        reach = (window - 1) * apart + 1
        before = after = pad
        if padding == "same":
            missing = max((-(-size // step) - 1) * step + reach - size, 0)
            before, after = missing // 2, missing - missing // 2
        room = size + before + after - reach
        if room < 0:
            more = -(-(reach - size) // 2)
            reject(
                ShapeError,
                f"{name}: a window that spans {reach} does not fit along axis {axis - axes}, which has "
                f"{size} + {before} + {after} of padding; padding='same' or padding={more} would fit",
            )
        slides.append(Slide(window, step, apart, before, after, room // step + 1))
    return slides


def pool_slides(
    name: str, x: Any, axes: int, size: Sizes, stride: Sizes | None, padding: Padding
) -> list[Slide]:
    if x.ndim < axes:
        reject(ShapeError, f"{name}: x has shape {x.shape}; it wants (..., {AXES[axes]})")
    slides = slides_of(name, x.shape[-axes:], size, size if stride is None else stride, padding, 1)
    for slide in slides:
        if max(slide.before, slide.after) >= slide.window:
            reject(
                ArgumentError,
                f"{name}: padding {slide.before} leaves windows of {slide.window} with nothing but padding; "
                f"it must be less than the window",
            )
    return slides


def per_axis(name: str, what: str, given: Sizes, axes: int, least: int = 1) -> tuple[int, ...]:
    """An integer for each axis, each at least `least`."""
    numbers = tuple(given) if isinstance(given, tuple | list) else (given,) * axes
    if len(numbers) != axes:
        reject(ArgumentError, f"{name}: {what}={given} has {len(numbers)} numbers for {axes} axes ({AXES[axes]})")
    for number in numbers:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            reject(DtypeError, f"{name}: {what}={given!r}; it must be an integer, or one for each axis")
        if number < least:
            reject(ArgumentError, f"{name}: {what}={given}; it must be at least {least}")
    return numbers


def check_channels(name: str, x: Any, weight: Any, bias: Any, axes: int, groups: int) -> None:
    per_axis(name, "groups", groups, 1)
    if x.ndim < axes + 1:
        reject(ShapeError, f"{name}: x has shape {x.shape}; it wants (..., channels, {AXES[axes]})")
    if weight.ndim != axes + 2:
        reject(ShapeError, f"{name}: weight has shape {weight.shape}; it wants (out, in/groups, {AXES[axes]})")
    channels, wanted = x.shape[-axes - 1], weight.shape[1] * groups
    if channels != wanted:
        last = x.ndim > axes + 1 or x.shape[-1] == wanted
        hint = f"; np.moveaxis(x, -1, {-axes - 1}) would fit" if last and x.shape[-1] == wanted else ""
        hint = f"; groups={channels // weight.shape[1]} would fit" if fits(channels, weight) else hint
        reject(
            ShapeError,
            f"{name}: x {x.shape} has {channels} channels on axis {-axes - 1}, weight {weight.shape} with "
            f"groups={groups} wants {wanted}{hint}",
        )
    if weight.shape[0] % groups:
        reject(ShapeError, f"{name}: {weight.shape[0]} output channels (weight {weight.shape}) in groups={groups}")
    if bias is not None and bias.shape != weight.shape[:1]:
        reject(ShapeError, f"{name}: bias has shape {bias.shape}, weight {weight.shape} wants {weight.shape[:1]}")


def fits(channels: int, weight: Any) -> bool:
    """Would some number of groups make these channels fit?"""
    each = weight.shape[1]
    return bool(each and channels % each == 0 and channels and weight.shape[0] % (channels // each) == 0)
