"""Which intermediate results get a name, and which: short formulas need names that a reader expects.

First, what the author called it: `Z = Q @ K.mT` names Z. Else a few results are named by what they are: a softmax P (A
if it weighs something), the scores before it Z, a linear map before an activation H, what comes out of that A, a root
that divides s, a normalised row x_hat.
"""

from __future__ import annotations

import ast
import functools
import linecache
import re
import sys
from collections.abc import Iterable, Mapping
from types import CodeType
from typing import Any

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.expressions import Expr, walk
from tinygrad_edu.graph import Fixed, Node

__all__ = ["Kinds", "given_names", "unused"]

# What a linear map passes through unchanged in kind: the name goes to the end of such a chain.
LINEAR = frozenset(
    """
    add subtract negative positive reshape where expand_dims squeeze moveaxis transpose broadcast_to copy astype
    """.split()
)
EXPONENTIALS = frozenset({"exp", "softmax"})


# What the author called it


@functools.lru_cache(maxsize=256)
def assigned(code: CodeType) -> dict[int, tuple[str, int]]:
    """Line → (name, first line) of the assignments to one name in a function's source; {} where there is no source."""
    found: dict[int, tuple[str, int]] = {}
    if code.co_name == "<lambda>":
        return found
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign) or isinstance(node.value, ast.List | ast.Tuple | ast.Dict | ast.ListComp):
            continue
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                found[line] = node.targets[0].id, node.lineno
    return found


def line_of(node: Node) -> int | None:
    if node.origin is None:
        return None
    code, instruction = node.origin
    positions = list(code.co_positions())
    place = instruction // 2
    return positions[place][0] if place < len(positions) else None


def given_names(nodes: Iterable[Node]) -> dict[Node, str]:
    """Node → the name its result was assigned to: the last operation of the statement made what was named.

    A statement that ran several times names each of its results, with a number. What is assigned in a function that
    waits for this one is a name of the caller's, and of no result.
    """
    frame: Any = sys._getframe()
    waiting = set()
    while frame is not None:
        waiting.add(frame.f_code)
        frame = frame.f_back
    last: dict[tuple[CodeType, int], list[list[Node]]] = {}
    before: tuple[CodeType, int] | None = None
    names: dict[tuple[CodeType, int], str] = {}
    for node in nodes:
        if node.plan is None:
            continue
        line = line_of(node)
        known = line is not None and node.origin is not None and node.origin[0] not in waiting
        found = assigned(node.origin[0]).get(line) if known else None  # type: ignore[index,arg-type]
        if found is None or node.origin is None:
            before = None
            continue
        name, first = found
        key = node.origin[0], first
        names[key] = name
        runs = last.setdefault(key, [])
        if key == before:
            runs[-1].append(node)
        else:
            runs.append([node])
        before = key
    by_name: dict[str, list[Node]] = {}
    for key, runs in last.items():
        by_name.setdefault(names[key], []).extend(run[-1] for run in runs if is_one_result(run))
    return {
        node: name if len(ends) == 1 else f"{name}{k + 1}"
        for name, ends in by_name.items()
        for k, node in enumerate(sorted(ends, key=lambda one: one.number))
    }


def is_one_result(run: list[Node]) -> bool:
    """Did all that a statement computed go into the last of it? A list of results has no name for each."""
    used = {source for node in run for source in node.sources}
    return all(node in used for node in run[:-1])


# What it is


class Kinds:
    """Tells the kind of a result from its definition and from who uses it. roles: those of an attention, Q K V."""

    def __init__(self, nodes: list[Node]) -> None:
        self.users: dict[Node, list[Node]] = {}
        self.roles: dict[Node, str] = {}
        for node in nodes:
            for source in node.sources:
                self.users.setdefault(source, []).append(node)
        for node in nodes:
            if node.label == "matmul" and len(node.sources) == 2:
                left, right = node.sources
                if unturned(right) is not right and self.reaches(node) & {*EXPONENTIALS, "subtract"}:
                    self.roles[unscaled(left)], self.roles[unturned(right)] = "Q", "K"
                elif left.label == "softmax" or (left.label == "divide" and left.sources[0].label == "exp"):
                    self.roles[right] = "V"

    def reaches(self, node: Node) -> set[str]:
        """The operations that use a result, linear ones looked through."""
        found: set[str] = set()
        todo, seen = [node], {node}
        while todo:
            for user in self.users.get(todo.pop(), ()):
                if is_linear(user):
                    if user not in seen:
                        seen.add(user)
                        todo.append(user)
                else:
                    found.add(user.label)
        return found

    def name(self, node: Node, definition: Expr) -> str | None:
        """A name for a result; None where it needs none."""
        value, found = al.factors(definition)
        if node in self.roles:
            return self.roles[node]
        if definition.op == "softmax":
            return "A" if "matmul" in self.reaches(node) else "P"
        if definition.op == "call" and definition.data.name == "tanh" and not is_affine(definition.args[0]):
            return "t"
        if definition.op == "call" and definition.data.name == "σ":
            return "S"
        if definition.op == "power" and definition.data == 0.5 and definition.shape[-1:] == (1,):
            return "s"
        if value == 1.0 and len(found) == 2 and any(p == -1.0 and is_scale(base) for base, p in found):
            return "x_hat"
        if not self.users.get(node) or all(map(is_linear, self.users[node])):
            return None
        if is_affine(definition):
            return "Z" if self.reaches(node) & {*EXPONENTIALS, "subtract"} else "H"
        if is_normalised(definition):
            return "H"
        nonlinear = any(part.op in ("compare", "softmax") or is_function(part) for part in walk(definition))
        multiplied = "matmul" in {user.label for user in self.users[node]}
        return "A" if nonlinear and multiplied else None


def unscaled(node: Node) -> Node:
    """The tensor itself, where a number was multiplied to it."""
    return node.sources[0] if node.label in ("multiply", "divide") and len(node.sources) == 1 else node


def unturned(node: Node) -> Node:
    return node.sources[0] if node.label in ("swapaxes", "transpose", "matrix_transpose") else node


def is_scale(x: Expr) -> bool:
    """A root that was named: what a norm divides by."""
    return x.op == "symbol" and re.fullmatch(r"s\d*", x.data) is not None


def is_normalised(x: Expr) -> bool:
    """A normalised row, scaled and shifted."""
    terms = x.args if x.op == "add" else (x,)
    return any(base.op == "symbol" and base.data.endswith("_hat") for term in terms for base, _ in al.factors(term)[1])


def is_function(x: Expr) -> bool:
    return x.op == "call" and x.data.key == x.data.name


def is_linear(node: Node) -> bool:
    scaled = node.label in ("multiply", "divide") and any(isinstance(given, int | float) for given in node.inputs)
    turned = node.label == "swapaxes" and -1 not in given_axes(node)
    shifted = node.label == "subtract" and any(isinstance(given, Fixed) for given in node.inputs)  # as a softmax does
    return (node.label in LINEAR and not shifted) or scaled or turned


def given_axes(node: Node) -> tuple[Any, ...]:
    return tuple(node.saved or ())


def is_affine(x: Expr) -> bool:
    """A product of matrices, maybe scaled, shifted, masked or folded."""
    while x.op in ("reshape", "transpose", "where") or (x.op == "mul" and len(x.args) == 2):
        if x.op == "mul" and x.args[0].op != "number":
            return False
        x = x.args[0] if x.op in ("reshape", "transpose") else x.args[1]
    if x.op == "add":
        return any(al.coefficient(term)[1].op == "matmul" for term in x.args)
    return x.op == "matmul"


def unused(name: str, taken: Mapping[str, Any] | set[str]) -> str:
    """The name, or with the first number that makes it new."""
    stem, hat = (name.removesuffix("_hat"), "_hat") if name.endswith("_hat") else (name, "")
    numbered = (f"{stem}{k}{hat}" for k in range(2, 10_000))
    return name if name not in taken else next(one for one in numbered if one not in taken)
