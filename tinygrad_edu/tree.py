"""Nested dicts, lists and tuples of arrays, taken apart into a flat list and put together again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["flatten", "leaves_like", "map_tree", "mismatch", "paths_of"]

Rebuild = Callable[[list[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The leaves, and the function that puts new leaves in their places.

    The leaves of a dict come in the order of `ordered`; the dict that is put together again has its keys in the order
    in which they were put in, and its type, since a function may walk through its values.
    """
    leaves: list[Any] = []
    shape = outline(tree, leaves)

    def rebuild(values: list[Any]) -> Any:
        return fill(shape, iter(values))

    return leaves, rebuild


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    leaves, rebuild = flatten(tree)
    return rebuild([function(leaf) for leaf in leaves])


def ordered(keys: Iterable[Any]) -> list[Any]:
    """One order for the same keys, however they were put in; keys that are not all strings, or all ints, go by type.

    Sets compare without an order, and NaN with nothing: `sorted` would leave those as they came.
    """
    keys = list(keys)
    alike = {type(key) for key in keys}
    return sorted(keys) if alike in ({str}, {int}) else sorted(keys, key=lambda key: (type(key).__name__, repr(key)))


def paths_of(tree: Any, name: str) -> Iterator[str]:
    """The names of the leaves, in the order of `flatten`: inputs[0]['w']."""
    if isinstance(tree, dict):
        for key in ordered(tree):
            yield from paths_of(tree[key], f"{name}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for k, part in enumerate(tree):
            yield from paths_of(part, f"{name}[{k}]")
    else:
        yield name


def leaves_like(tree: Any, like: Any) -> list[Any]:
    """The leaves of a nest in the places and in the order of another's, of which it is no `mismatch`."""
    if isinstance(like, dict):
        return [leaf for key in ordered(like) for leaf in leaves_like(tree[key], like[key])]
    if isinstance(like, list | tuple):
        return [leaf for part, other in zip(tree, like, strict=True) for leaf in leaves_like(part, other)]
    return [tree]


def mismatch(tree: Any, like: Any, name: str) -> str:
    """Where the structure of a nest differs from that of another, in words; "" where it does not.

    Dicts of any kind stand for each other, whatever the order of their keys; lists, tuples and named tuples do not.
    """
    if isinstance(like, dict):
        if not isinstance(tree, dict):
            return f"{name} is {kind_of(tree)}, where a dict with the keys {ordered(like)} belongs"
        if set(tree) != set(like):
            return f"{name} has the keys {ordered(tree)}, where {ordered(like)} belong"
        parts = [(tree[key], like[key], f"{name}[{key!r}]") for key in ordered(like)]
    elif isinstance(like, list | tuple):
        if type(tree) is not type(like):
            return f"{name} is {kind_of(tree)}, where a {type(like).__name__} of {len(like)} belongs"
        if len(tree) != len(like):
            return f"{name} has {len(tree)} parts, where {len(like)} belong"
        parts = [(part, other, f"{name}[{k}]") for k, (part, other) in enumerate(zip(tree, like, strict=True))]
    else:
        return f"{name} is {kind_of(tree)}, where one array belongs" if isinstance(tree, dict | list | tuple) else ""
    return next(filter(None, (mismatch(*part) for part in parts)), "")


def kind_of(tree: Any) -> str:
    return f"a {type(tree).__name__} of {len(tree)}" if isinstance(tree, dict | list | tuple) else "a single leaf"


def outline(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        shape = copy.copy(tree)
        for key in ordered(tree):
            shape[key] = outline(tree[key], leaves)
        return shape
    if isinstance(tree, list | tuple):
        parts = [outline(part, leaves) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    leaves.append(tree)
    return None


def fill(shape: Any, values: Any) -> Any:
    if isinstance(shape, dict):
        filled = copy.copy(shape)
        for key in ordered(shape):
            filled[key] = fill(shape[key], values)
        return filled
    if isinstance(shape, list | tuple):
        parts = [next(values) if part is None else fill(part, values) for part in shape]
        return type(shape)(*parts) if hasattr(shape, "_fields") else type(shape)(parts)
    return next(values)
