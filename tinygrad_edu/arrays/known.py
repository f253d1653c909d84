"""The libraries that are known by name. None is imported: whoever brings an array has it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.arrays.foreign import Foreign
from tinygrad_edu.errors import UnsupportedError

if TYPE_CHECKING:
    from tinygrad_edu.arrays.library import Library

__all__ = ["adopted", "beside", "home", "library_for", "library_of", "moved", "refuse_mixed"]

KNOWN = ("cupy", "dask", "array_api_strict")


@functools.cache
def library_named(name: str) -> Library:
    """Most programs meet none of them, and so read none of what serves them."""
    module = sys.modules[name]
    if name == "cupy":
        from tinygrad_edu.arrays.gpu import Gpu

        return Gpu(module)
    if name == "dask":
        import dask.array

        from tinygrad_edu.arrays.lazy import Lazy

        return Lazy(dask.array, dask.array.Array)
    from tinygrad_edu.arrays.standard import Standard

    return Standard(module, type(module.asarray(0.0)), name)


def library_of(value: Any) -> Library | None:
    """The library of an array, None where it is none that is known: NumPy's own come by no adapter."""
    name = type(value).__module__.partition(".")[0]
    if name not in KNOWN or name not in sys.modules:
        return None
    library = library_named(name)
    return library if isinstance(value, library.kind) else None


def library_for(namespace: Any) -> Library | None:
    """The library that a namespace such as `cupy` or `dask.array` is of; None for NumPy."""
    if namespace is np:
        return None
    name = getattr(namespace, "__name__", "").partition(".")[0]
    if name not in KNOWN or name not in sys.modules:
        raise UnsupportedError(f"{namespace!r} is no namespace of arrays that is known: {', '.join(KNOWN)}, numpy")
    return library_named(name)


def adopted(value: Any) -> Foreign | None:
    """An array of another library behind NumPy's protocols; None for everything else."""
    if type(value) is Foreign:
        return value
    library = library_of(value)
    return None if library is None else Foreign(value, library)


def beside(array: Any, x: Any) -> Any:
    """An array of NumPy's where x is: unchanged, if x is NumPy's too."""
    if type(x) is not Foreign or type(array) is Foreign:
        return array
    return Foreign(x.library.carried(np.asarray(array)), x.library)


def refuse_mixed(values: Any) -> None:
    """MixedError if there are arrays of another library among the values, and real numbers of NumPy's."""
    found = list(arrays_in(values))
    library: Any = next((each.library for each in found if type(each) is Foreign), None)
    for each in found if library is not None else ():
        if type(each) is Foreign:
            library.ours(each)
        elif each.ndim and each.dtype.kind == "f":
            library.refuse(each)


def arrays_in(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from arrays_in(value)
        elif isinstance(value, Foreign | np.ndarray):
            yield value


def moved(value: Any, library: Library | None) -> Any:
    """The values in a library's own array, or None: in an ndarray. Whatever they are in, adapted or not."""
    foreign = adopted(value)
    values = np.array(value if foreign is None else home(foreign))
    return values if library is None else Foreign(library.carried(values), library)


def home(value: Any) -> Any:
    """The values of an adapter as an ndarray; everything else unchanged."""
    return value.library.home(value) if type(value) is Foreign else value
