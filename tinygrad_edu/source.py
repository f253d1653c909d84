"""The text of a function as it stands in its file: a rule is shown to whoever asks what was done to his gradient."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import re
import textwrap
from collections.abc import Callable
from types import CodeType
from typing import Any

__all__ = ["definition", "remark", "source_line", "source_text"]

Function = ast.FunctionDef | ast.Lambda


def source_text(function: Callable[..., Any]) -> str | None:
    """`lambda g, x: g * x`, or a whole `def`; None where its file is not there to be read."""
    return text_of(function.__code__)


def source_line(function: Callable[..., Any]) -> str:
    """`rules.py:41`."""
    code = function.__code__
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"


def remark(function: Callable[..., Any]) -> str | None:
    """The comment behind a lambda that ends its line, or a def's first line of words: in the table of rules, mostly
    its formula. None where nothing is said."""
    found = definition(function.__code__)
    if not isinstance(found, ast.Lambda):
        return (function.__doc__ or "").partition("\n")[0].strip() or None
    rest = lines_of(function.__code__)[(found.end_lineno or 0) - 1].encode()[found.end_col_offset :].decode()
    said = re.fullmatch(r"[\s,)]*#\s*(.*?)\s*", rest)
    return said[1] if said else None


def definition(code: CodeType) -> Function | None:
    """Where it is written. Among lambdas that begin on one line, the one whose body holds the code's instructions."""
    try:
        tree = parsed("".join(lines_of(code)))
    except SyntaxError:
        return None
    if code.co_name != "<lambda>":
        return next((n for n in tree if isinstance(n, ast.FunctionDef) and n.name == code.co_name
                     and first_line(n) == code.co_firstlineno), None)  # fmt: skip
    found = [n for n in tree if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno]
    places = [(line, column) for line, _, column, _ in code.co_positions() if line and column]
    for each in found:
        end = (each.body.end_lineno or 0, each.body.end_col_offset or 0)
        # The instruction that starts a function stands on its first line, at no column of the body.
        if any((each.body.lineno, each.body.col_offset) <= place <= end for place in places):
            if code.co_varnames[: code.co_argcount] == tuple(a.arg for a in each.args.args):
                return each
    return found[0] if len(found) == 1 else None


def first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *[decorator.lineno for decorator in node.decorator_list]])


def lines_of(code: CodeType) -> list[str]:
    return linecache.getlines(code.co_filename)


@functools.lru_cache(maxsize=64)
def parsed(source: str) -> tuple[Function, ...]:
    """Every function in a file."""
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))


@functools.lru_cache(maxsize=1024)
def text_of(code: CodeType) -> str | None:
    """As it is written, from the left margin."""
    node, lines = definition(code), lines_of(code)
    if node is None:
        return None
    if isinstance(node, ast.FunctionDef):
        return textwrap.dedent("".join(lines[first_line(node) - 1 : node.end_lineno])).rstrip()
    return str(ast.get_source_segment("".join(lines), node))
