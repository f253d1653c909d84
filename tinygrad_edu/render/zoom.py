"""Zoom: one operation on arrays as the graph of its scalars, with the same numbers.

The function runs on arrays whose elements are 0-d tensors. Its forward code asks for few things: functions of single
elements, which are taken element by element; sums and products of matrices, which are additions and multiplications;
and moves, which NumPy makes of any elements. So nothing about the operation is said a second time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.backward import reachable
from tinygrad_edu.errors import ShapeError, UnsupportedError
from tinygrad_edu.graph import definitions
from tinygrad_edu.operation import Constant, Primitive, qualified_name
from tinygrad_edu.primitive import parameters_of, registry
from tinygrad_edu.render.view import View, view_of
from tinygrad_edu.rules.elementwise import erf, root_of_squares
from tinygrad_edu.rules.fused import relu
from tinygrad_edu.rules.indexing import getitem, scatter
from tinygrad_edu.rules.reductions import axes_of
from tinygrad_edu.rules.shapes import astype
from tinygrad_edu.tensor import Tensor

__all__ = ["expand", "expansion_view", "scalars"]

BUILT = 200_000  # scalars that are made at all, for one element's sake
POINTWISE = frozenset({erf, relu, root_of_squares})
MOVES = frozenset({
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.matrix_transpose, np.expand_dims, np.squeeze,
    np.concatenate, np.stack, np.broadcast_to, np.flip, np.roll, np.repeat, np.tile, np.copy, np.take, np.diagonal,
    np.take_along_axis, np.split, np.array_split, np.vstack, np.hstack,
})  # fmt: skip


def expand(
    f: Callable[..., Any], *arrays: Any, element: int | tuple[int, ...] | None = None, budget: int = 2000,
    **keywords: Any,
) -> Tensor:  # fmt: skip
    """f(*arrays, **keywords) as a graph of scalars; `draw` shows it, `backward` runs through it.

        draw(expand(np.matmul, X, W, element=(0, 1)))

    arrays: the float arrays become 0-d leaves, named x[0, 1] after f's arguments; integers and truth values stay.
    element: one place of the output, of which a 0-d Tensor is returned; else the whole output, its scalars stacked.
    budget: so many operations and leaves at most. Raises ShapeError with their number if there are more, before
    anything is made; UnsupportedError for an operation that is not made of scalars (a sort, an inverse).
    """
    tally = Tally()
    with definitions():
        f(*[Cells(numbers(array), tally) if is_float(array) else array for array in arrays], **keywords)
        leaves = sum(np.size(plain(array)) for array in arrays if is_float(array))
        count, limit = tally.count + leaves, budget if element is None else BUILT
        if count > limit:
            raise ShapeError(
                f"expand: {name_of(f)} on {shapes(arrays)} is {count} scalars, more than {limit}; "
                "take smaller arrays, one element=, or a larger budget="
            )
        named = zip(names_of(f, len(arrays)), arrays, strict=True)
        cells = [scalars(array, name) if is_float(array) else array for name, array in named]
        made = f(*[Cells(array, tally) if is_float(array) else array for array in cells], **keywords)
    if not isinstance(made, Cells):
        raise UnsupportedError(f"expand: {name_of(f)} returned {type(made).__name__}, and no array of scalars")
    if element is None:
        whole = np.stack([as_tensor(cell) for cell in made.cells.ravel()])
        return whole.reshape(made.shape)  # type: ignore[return-value]
    found = as_tensor(made.cells[element])
    size = len(reachable([found._node])) if found._node is not None else 1
    if size > budget:
        raise ShapeError(f"expand: element {element} of {name_of(f)} is {size} scalars, more than {budget}; budget=")
    return found


def expansion_view(f: Callable[..., Any], *arrays: Any, **options: Any) -> View:
    """What `expand` makes, as the plain data that pictures are made from."""
    return view_of(expand(f, *arrays, **options))


def scalars(array: Any, name: str = "x") -> np.ndarray:
    """The elements as 0-d leaves with names, x[0, 1], in an object array; one that is there already stays."""
    array = plain(array)
    cells: np.ndarray = array
    if array.dtype == object:
        return cells
    cells = np.empty(array.shape, object)
    for place in np.ndindex(array.shape):
        label = f"{name}[{', '.join(map(str, place))}]" if place else name
        cells[place] = Tensor(float(array[place]), requires_grad=True, name=label)
    return cells


class Tally:
    """How many operations on single elements were asked for."""

    def __init__(self) -> None:
        self.count = 0


class Cells(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of scalars: of 0-d tensors, or of plain numbers when they are only counted."""

    __array_priority__ = 1000.0

    def __init__(self, cells: np.ndarray, tally: Tally) -> None:
        self.cells, self.tally = cells, tally

    shape = property(lambda self: self.cells.shape)
    ndim = property(lambda self: self.cells.ndim)
    size = property(lambda self: self.cells.size)
    dtype = property(lambda self: np.dtype(np.float64))
    T = property(lambda self: Cells(self.cells.T, self.tally))
    mT = property(lambda self: Cells(self.cells.mT, self.tally))

    def reshape(self, *shape: Any) -> Any:
        return Cells(self.cells.reshape(*shape), self.tally)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return Cells(self.cells.swapaxes(axis1, axis2), self.tally)

    def astype(self, dtype: Any) -> Any:
        return self

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        return np.sum(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        return np.mean(self, axis=axis, keepdims=keepdims)  # type: ignore[call-overload]

    def __getitem__(self, index: Any) -> Any:
        return Cells(np.asarray(self.cells[index], self.cells.dtype), self.tally)

    def __len__(self) -> int:
        return len(self.cells)

    def __hash__(self) -> int:
        return id(self)

    def values(self) -> np.ndarray:
        """The numbers alone."""
        return numbers(self.cells)

    # Element by element

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if ufunc is np.matmul and method == "__call__":
            return self.matmul(*inputs)
        if method != "__call__" or keywords.get("out") is not None:
            raise UnsupportedError(f"expand: np.{ufunc.__name__}.{method} is not made of scalars")
        return self.pointwise(ufunc, inputs)

    def pointwise(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        arrays = [each.cells if isinstance(each, Cells) else np.asarray(each) for each in inputs]
        if isinstance(registry().get(function), Constant):  # a comparison: a truth value, and no scalar of the graph
            return function(*[each.values() if isinstance(each, Cells) else each for each in inputs])
        if function is np.where:
            return Cells(np.where(*arrays), self.tally)
        shape = np.broadcast_shapes(*[array.shape for array in arrays])
        skipped = [array for array in arrays if array.dtype == bool and function is np.add]
        self.tally.count += int(np.prod(shape)) if not skipped else int(np.broadcast_to(skipped[0], shape).sum())
        if all(array.dtype != object for array in arrays):
            return Cells(np.asarray(function(*arrays)), self.tally)
        out = np.empty(shape, object)
        spread = [np.broadcast_to(array, shape) for array in arrays]
        for place in np.ndindex(shape):
            given: list[Any] = [array[place] for array in spread]
            if skipped:  # s + [s = 0], a guard: nothing is added but where it holds
                given = [cell for cell in given if not isinstance(cell, np.bool_) or cell]
            out[place] = function(*given) if len(given) == len(arrays) else given[0]
        return Cells(out, self.tally)

    def matmul(self, x: Any, y: Any) -> Any:
        x, y = (each.cells if isinstance(each, Cells) else np.asarray(each) for each in (x, y))
        made: Any = np.matmul(x, y)
        self.tally.count += int(np.size(made)) * max(2 * x.shape[-1] - 1, 0)
        return Cells(np.asarray(made, object if isinstance(made, Tensor) else None), self.tally)

    def folded(self, function: Callable[..., Any], x: Cells, axis: Any, keepdims: bool) -> Any:
        """One after the other along the axes: x + y + z."""
        axes = axes_of(axis, x.ndim)
        kept = [k for k in range(x.ndim) if k not in axes]
        last = np.transpose(x.cells, (*kept, *axes)).reshape(*[x.shape[k] for k in kept], -1)
        parts = [Cells(last[..., k], self.tally) for k in range(last.shape[-1])]
        made = functools.reduce(lambda a, b: self.pointwise(function, (a, b)), parts)
        return Cells(np.expand_dims(made.cells, axes), self.tally) if keepdims else made

    # What NumPy's functions ask for

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, keywords: Any) -> Any:
        folds = {np.sum: np.add, np.max: np.maximum, np.min: np.minimum, np.mean: np.add}
        if function in folds:
            bound = dict(zip(("a", "axis"), args, strict=False)) | keywords
            x, axis, keepdims = bound["a"], bound.get("axis"), bound.get("keepdims", False)
            made = self.folded(folds[function], x, axis, keepdims is True)
            if function is not np.mean:
                return made
            return made / int(np.prod([x.shape[k] for k in axes_of(axis, x.ndim)]))
        if function is np.where or function in POINTWISE:
            return self.pointwise(function, args)
        if function is getitem:
            return args[0][args[1]]
        if function is scatter:
            raise UnsupportedError("expand: padding with zeros is not made of scalars; pass an array that is padded")
        if function is astype or function is np.astype:
            return args[0]
        if function in MOVES:
            made = function(*opened(args), **keywords)
            return [Cells(part, self.tally) for part in made] if isinstance(made, list) else Cells(made, self.tally)
        operation = registry().get(function)
        if operation is not None and operation.kind == "composite":
            return operation.definition(*args, **keywords)  # type: ignore[attr-defined]
        if isinstance(operation, Constant):
            return function(*[each.values() if isinstance(each, Cells) else each for each in args], **keywords)
        kind = "an operation" if isinstance(operation, Primitive) else "a function"
        raise UnsupportedError(f"expand: {qualified_name(function)} is {kind} that is not made of scalars here")


def opened(value: Any) -> Any:
    if isinstance(value, Cells):
        return value.cells
    return type(value)(opened(each) for each in value) if isinstance(value, list | tuple) else value


def numbers(array: Any) -> np.ndarray:
    """The plain numbers of an array, also of one that holds tensors."""
    array = plain(array)
    flat = [cell.item() if isinstance(cell, Tensor) else float(cell) for cell in array.ravel()]
    return np.array(flat, float).reshape(array.shape)


def as_tensor(cell: Any) -> Tensor:
    return cell if isinstance(cell, Tensor) else Tensor(float(cell))


def plain(array: Any) -> np.ndarray:
    made: np.ndarray = array.numpy() if isinstance(array, Tensor) else np.asarray(array)
    return made


def is_float(array: Any) -> bool:
    return isinstance(array, Tensor | np.ndarray | list) and plain(array).dtype.kind in "fO"


def name_of(f: Callable[..., Any]) -> str:
    return str(getattr(f, "__name__", "the function"))


def shapes(arrays: tuple[Any, ...]) -> str:
    return " and ".join(str(plain(array).shape) for array in arrays if is_float(array))


def names_of(f: Callable[..., Any], count: int) -> list[str]:
    try:
        names = list(parameters_of(f) if isinstance(f, np.ufunc) else inspect.signature(f).parameters)[:count]
    except (TypeError, ValueError):
        names = []
    return names if len(names) == count else [f"x{k}" for k in range(count)]
