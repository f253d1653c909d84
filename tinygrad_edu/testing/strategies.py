"""Hypothesis strategies for functions that are to be differentiated: shapes, values, axes, indices, cotangents, calls.

Wrong gradients hide in special places: a forgotten transpose in every shape but the square ones, a broadcast in sizes
above 1, a repeated index in permutations, a missing softmax path under a cotangent of ones. These strategies go where
such bugs show. All of them shrink to few and simple numbers, and print what reproduces a failure to the last bit.
(Only the memory layout of an array is not printed: `arrays(..., layouts=False)` leaves it out.)

    @given(x=arrays(shapes(least=1)), data=st.data())
    def test_gradient_of_softmax(x, data):
        c = data.draw(cotangents(x))
        assert_gradients(functional.softmax, x, cotangent=c)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import REAL, Domain, Operation, Primitive, qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.decimals import from_seed
from tinygrad_edu.testing.drawing import (
    DrawFn,
    Shape,
    codes,
    laid_out,
    ordered_shapes,
    part_of,
    shape_from,
    spaced,
    values,
)
from tinygrad_edu.testing.written import WRITTEN, Draw
from tinygrad_edu.tree import map_tree

__all__ = [
    "arrays",
    "axes",
    "broadcastable",
    "calls",
    "cotangents",
    "distinct",
    "indices",
    "permutations",
    "shapes",
    "tied",
]

LAYOUTS = st.sampled_from(["C", "F", "strided", "reversed"])


# Shapes


def shapes(least: int = 0, most: int = 3, *, smallest: int = 1, empty: bool = False) -> st.SearchStrategy[Shape]:
    """Shapes of `least` to `most` axes, sizes from `smallest` up to 4.

    Half of them are squares and cubes, where a wrong transpose or axis does not show by a shape error; size 1, where
    broadcasting hides, comes often; 0-d where `least` allows. empty: now and then a size of 0. Shrinks to few elements,
    then few axes.

        shapes(2, 2)      # (1, 1), (2, 2), (3, 3), (1, 2), (4, 3), ...
    """
    found = st.sampled_from(ordered_shapes(least, most, smallest))
    return st.one_of(found, found, found, hollow(found)) if empty and most else found


def hollow(found: st.SearchStrategy[Shape]) -> st.SearchStrategy[Shape]:
    """One axis, any, made empty."""
    return st.tuples(found.filter(len), st.integers(0, 63)).map(
        lambda both: tuple(0 if k == both[1] % len(both[0]) else n for k, n in enumerate(both[0]))
    )


@st.composite
def broadcastable(draw: DrawFn, count: int, least: int = 0, most: int = 3) -> tuple[Shape, ...]:
    """`count` shapes that broadcast together: of one shape, axes left off in front and others shrunk to 1.

    Half of the shapes are whole. At least one has all axes of the result or size 1 in its place.

        broadcastable(2)      # ((3, 3), (3, 1)), ((2,), ()), ((1, 4), (2, 4)), ...
    """
    whole = draw(shapes(least, most))
    return tuple(part_of(whole, code, least) for code in draw(codes(count)))


# Values


def arrays(
    shape: Shape | int | st.SearchStrategy[Shape] | None = None,
    domain: Domain = REAL,
    dtype: Any = np.float64,
    *,
    layouts: bool = True,
) -> st.SearchStrategy[np.ndarray]:
    """Float arrays with values inside a domain, away from its ends: of moderate size, and never exactly 0.

    shape: one shape, a strategy of shapes, or None for `shapes()`. domain: what an operation declares of an argument
    (REAL, POSITIVE, NONZERO, UNIT, ABOVE_ONE, or a Domain of your own). layouts: in memory the array may be in Fortran
    order, reversed, or every second element of something bigger.

    Values are decimals of at most three digits after the point; they shrink to 1, 2, 0.5, ... Up to 64 elements are
    drawn and shrink one by one; larger arrays come from one seed.

        arrays((3, 3))                        # any values
        arrays(shapes(1), POSITIVE)           # for np.log
    """
    return _arrays(shape, domain, np.dtype(dtype), layouts)


@st.composite
def _arrays(draw: DrawFn, shape: Any, domain: Domain, dtype: np.dtype, layouts: bool) -> np.ndarray:
    whole = shape_from(draw, shape)
    x = np.asarray(values(draw, whole, domain), dtype)
    return laid_out(x, draw(LAYOUTS)) if layouts and x.ndim else x


@st.composite
def tied(draw: DrawFn, shape: Any = None, domain: Domain = REAL, dtype: Any = np.float64) -> np.ndarray:
    """Values with ties, where max, sort and abs have their kinks: 0, 1, -1 and 2, if the domain has them.

    Of two or more elements at least two are equal.
    """
    whole = shape_from(draw, shape)
    simple = np.array([0.0, 1.0, -1.0, 2.0])
    palette = simple[domain.contains(simple)]
    if palette.size < 2:
        palette = np.append(palette, from_seed(0, (2,), domain))
    picked = np.frombuffer(draw(codes(math.prod(whole))), np.uint8) % palette.size
    x = palette[picked]
    if 1 < x.size == np.unique(x).size:
        x[-1] = x[0]
    return np.asarray(x.reshape(whole), dtype)


@st.composite
def distinct(draw: DrawFn, shape: Any = None, domain: Domain = REAL, dtype: Any = np.float64) -> np.ndarray:
    """Values without ties, and none near: for max, sort and median away from their kinks.

    No two values are nearer than an eighth, nor are two absolute values (so that abs(x) has no ties either). Inside a
    bounded domain: than a third of its width over the number of elements and one.
    """
    return np.asarray(spaced(draw, shape_from(draw, shape), domain), dtype)


def cotangents(like: Any) -> st.SearchStrategy[Any]:
    """Weights for an output: for each array of a nest (shapes are read from arrays, Tensors and floats), its own.

    Never all ones, nor any other constant: under such a cotangent every rule passes whose outputs sum to a constant,
    softmax and layer norm among them. Shrinks to 2, -2, 3, -3, ...

        cotangents(np.zeros(3))      # [2.0, -2.0, 3.0], [0.731, -1.2, 2.05], ...
    """
    return st.composite(lambda draw: map_tree(lambda leaf: cotangent(draw, leaf), like))()


def cotangent(draw: DrawFn, like: Any) -> np.ndarray:
    shape = tuple(like.shape) if hasattr(like, "shape") else np.shape(like)
    dtype = getattr(like, "dtype", np.dtype(np.float64))
    plain = from_seed(0, (2 + math.prod(shape),), REAL)[2:].reshape(shape)
    x = values(draw, shape)
    constant = x.size > 0 and bool(np.all(x == (x.flat[0] if x.size > 1 else 1.0)))
    return np.asarray(plain if constant else x, dtype if np.dtype(dtype).kind == "f" else np.float64)


# Axes and indices


def axes(ndim: int) -> st.SearchStrategy[int | tuple[int, ...] | None]:
    """What `axis=` takes: None, one axis, or several in any order, counted from either end. Shrinks to None, then 0."""
    if not ndim:
        return st.sampled_from([None, ()])
    several = st.tuples(permutations(ndim), st.integers(1, ndim)).map(lambda both: both[0][: both[1]])
    return st.one_of(st.none(), axis(ndim), several)


def axis(ndim: int) -> st.SearchStrategy[int]:
    return st.sampled_from([*range(ndim), *range(-1, -ndim - 1, -1)])


@st.composite
def permutations(draw: DrawFn, ndim: int) -> tuple[int, ...]:
    """All axes in some order, each counted from the front or from the back. Shrinks to 0, 1, 2, ..."""
    order = draw(st.permutations(range(ndim)))
    return tuple(k - ndim if code & 1 else k for k, code in zip(order, draw(codes(ndim)), strict=True))


@st.composite
def indices(draw: DrawFn, size: int, shape: Any = None, *, empty: bool = False) -> np.ndarray:
    """Places along an axis of `size`, from either end; most have a place named twice, the bug-finding kind.

    A scatter that overwrites where it must add passes without repeats. shape: of the indices; one to six if None.
    Shrinks to [0]; with a shape, to zeros.

        indices(3)      # [0, 0], [-1, 2, 1, -1], [1], ...
    """
    if size < 1:
        raise UnsupportedError(f"indices({size}): an axis of {size} elements has no places; draw a size of 1 or more")
    if shape is None:
        raw = draw(st.binary(min_size=0 if empty else 1, max_size=6))
        whole: Shape = (len(raw),)
    else:
        whole = shape_from(draw, shape)
        raw = draw(codes(math.prod(whole)))
    places = np.frombuffer(raw, np.uint8).astype(np.intp)
    k = places // 2 % size
    found = np.where(places & 1, k - size, k)
    if found.size > 1 and len(set(k.tolist())) == found.size and raw[0] & 6:
        found[-1] = found[0] - size if found[0] >= 0 else found[0] + size  # one place by both of its names
    return np.asarray(found.reshape(whole))


# Calls


def calls(
    operation: Operation | Callable[..., Any], *, shape: Any = None, **given: st.SearchStrategy[Any]
) -> st.SearchStrategy[Call]:
    """Calls of one operation: for what NumPy calls it with, or derived from what it declares.

    operation: a function with a rule, NumPy's or your own, or its entry in `registry()`. Arguments broadcast if the
    operation says that it broadcasts, else they have one shape. shape: that shape, or a strategy of it (of each
    argument alike). given: strategies for arguments that are no arrays, for keywords, or instead of what is derived.

        calls(np.arctan2)
        calls(my_convolution, kernel=arrays((3,)), stride=st.integers(1, 2))

    Raises UnsupportedError where a call can neither be derived nor is written in `WRITTEN`.
    """
    function, known = function_and_entry(operation)
    if function in WRITTEN and not given:
        write = WRITTEN[function]
        return st.composite(lambda draw: write(Draw(draw)))()
    names, domains = derivable(function, known, given)
    broadcasts = isinstance(known, Primitive) and known.broadcasts
    sequence = known.sequence if isinstance(known, Primitive) else None
    return derived_calls(function, names, domains, shape, broadcasts, sequence, given)


def function_and_entry(operation: Any) -> tuple[Callable[..., Any], Operation | None]:
    """The function a user calls, and what the registry knows of it."""
    if isinstance(operation, Operation):
        return next((f for f, known in registry().items() if known is operation), operation.function), operation
    return operation, registry().get(operation)


def derivable(
    function: Callable[..., Any], known: Operation | None, given: Mapping[str, Any]
) -> tuple[list[str], list[Domain]]:
    """The arguments that are drawn, by position, with their domains."""
    name = qualified_name(function)
    if known is not None and known.kind in ("constant", "refused"):
        raise UnsupportedError(f"calls({name}): it has no derivative: {getattr(known, 'reason', '')}")
    foreign = not str(getattr(function, "__module__", "")).startswith(("numpy", "tinygrad_edu"))
    if known is None and isinstance(function, np.ufunc):
        raise UnsupportedError(f"calls({name}): a ufunc without a rule; declare one with tinygrad_edu.derivative")
    if isinstance(known, Primitive):
        names = list(known.parameters[: len(known.rules)])
        lacking = [n for n, rule in zip(names, known.rules, strict=True) if rule is None and n not in given]
        if (known.elementwise or foreign or set(names) <= set(given)) and not lacking:
            return names, list(known.domain)
        missing = lacking or [n for n in names if n not in given]
    else:
        asked = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        names = [p.name for p in asked if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if foreign or set(names) <= set(given):
            return names, [REAL] * len(names)
        missing = [n for n in names if n not in given]
    raise UnsupportedError(
        f"calls({name}): what it declares does not say what {', '.join(missing)} may be; pass a strategy by name: "
        f"calls({name}, {missing[0]}=...)"
    )


@st.composite
def derived_calls(
    draw: DrawFn,
    function: Callable[..., Any],
    names: list[str],
    domains: list[Domain],
    shape: Any,
    broadcasts: bool,
    sequence: str | None,
    given: Mapping[str, st.SearchStrategy[Any]],
) -> Call:
    drawn = [k for k, name in enumerate(names) if name not in given]
    if broadcasts and shape is None:
        sizes = draw(broadcastable(len(drawn)))
    else:
        sizes = (shape_from(draw, shape),) * len(drawn)
    args: dict[str, Any] = {name: draw(strategy) for name, strategy in given.items()}
    for k, whole in zip(drawn, sizes, strict=True):
        several = draw(st.integers(1, 3)) if names[k] == sequence else 0
        parts = [draw(arrays(whole, domains[k])) for _ in range(several or 1)]
        args[names[k]] = parts if several else parts[0]
    return Call(function, tuple(args.pop(name) for name in names), args)
