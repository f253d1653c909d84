"""Nested dicts, lists and tuples of arrays, taken apart into a flat list and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["flatten", "map_tree"]

Rebuild = Callable[[list[Any]], Any]


def flatten(tree: Any) -> tuple[list[Any], Rebuild]:
    """The leaves, dicts in sorted order of their keys, and the function that puts new leaves in their places."""
    leaves: list[Any] = []
    shape = outline(tree, leaves)

    def rebuild(values: list[Any]) -> Any:
        return fill(shape, iter(values))

    return leaves, rebuild


def map_tree(function: Callable[[Any], Any], tree: Any) -> Any:
    leaves, rebuild = flatten(tree)
    return rebuild([function(leaf) for leaf in leaves])


def outline(tree: Any, leaves: list[Any]) -> Any:
    if isinstance(tree, dict):
        return {key: outline(tree[key], leaves) for key in sorted(tree)}
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
