"""Nested dicts, lists and tuples of arrays, taken apart into a flat list and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["flatten", "map_tree", "mismatch", "paths_of"]

Rebuild = Callable[[list[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The leaves, dicts in the order of their keys, and the function that puts new leaves in their places."""
    leaves: list[Any] = []
    shape = outline(tree, leaves)

    def rebuild(values: list[Any]) -> Any:
        return fill(shape, iter(values))

    return leaves, rebuild


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    leaves, rebuild = flatten(tree)
    return rebuild([function(leaf) for leaf in leaves])


def ordered(keys: Iterable[Any]) -> list[Any]:
    """One order for the same keys, however they were put in; keys of several types go by type first."""
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=lambda key: (type(key).__name__, repr(key)))


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


def mismatch(tree: Any, like: Any, name: str) -> str:
    """Where the structure of a nest differs from that of another, in words; "" where it does not.

    Lists and tuples stand for each other, since their parts go by place; the keys of dicts must be the same.
    """
    if isinstance(like, dict):
        if not isinstance(tree, dict):
            return f"{name} is {kind_of(tree)}, where a dict with the keys {ordered(like)} belongs"
        if set(tree) != set(like):
            return f"{name} has the keys {ordered(tree)}, where {ordered(like)} belong"
        parts = [(tree[key], like[key], f"{name}[{key!r}]") for key in ordered(like)]
    elif isinstance(like, list | tuple):
        if not isinstance(tree, list | tuple):
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
        return {key: outline(tree[key], leaves) for key in ordered(tree)}
    if isinstance(tree, list | tuple):
        parts = [outline(part, leaves) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    leaves.append(tree)
    return None


def fill(shape: Any, values: Any) -> Any:
    if isinstance(shape, dict):
        return {key: fill(part, values) for key, part in shape.items()}
    if isinstance(shape, list | tuple):
        parts = [fill(part, values) for part in shape]
        return type(shape)(*parts) if hasattr(shape, "_fields") else type(shape)(parts)
    return next(values)
