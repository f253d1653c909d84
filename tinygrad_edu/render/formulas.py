"""The formula of each rule, as derive reads it from the rule itself; operations that are alike are read once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.formulas import LocalRule, local_rule
from tinygrad_edu.graph import Node, Pick

__all__ = ["Formulas"]

LIMIT = 300  # unlike operations that are read, at about 10 ms each


class Formulas:
    """formulas(node, argument): its LocalRule; None where there is none, or too many were asked for."""

    def __init__(self) -> None:
        self.known: dict[Any, dict[int, LocalRule]] = {}

    def __call__(self, node: Node, argument: int) -> LocalRule | None:
        if isinstance(node.operation, Pick) or any(rule and rule.__closure__ for rule in node.operation.rules):
            return None  # a closure, as checkpoint's, works on what stands in no formula
        key = likeness(node)
        if key not in self.known:
            if len(self.known) >= LIMIT:
                return None
            self.known[key] = {rule.place: rule for rule in local_rule(node)}
        return self.known[key].get(argument)


def likeness(node: Node) -> Any:
    """What a formula depends on: the rules, the shapes, and the numbers that stand in it."""
    kept = tuple(plain(value) for value in node.saved or ())
    return node.plan, node.shape, tuple(source.shape for source in node.sources), kept


def plain(value: Any) -> Any:
    """Of arrays the shape alone: in a formula they have a letter. All else by its text."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.kind
    if isinstance(value, tuple | list):
        return tuple(plain(part) for part in value)
    return type(value), repr(value)
