"""Declare an operation: a NumPy function, one derivative rule for each argument, and the facts about it.

A rule is a plain NumPy function that knows nothing of tensors, graphs or tapes. It names what it needs:

    g          the cotangent of the output                i          which element of a sequence argument
    z          the output                                 a          an argument, under the operation's own name
    a_shape    the shape of an argument, not its data     axis, ...  keywords; the rule's default stands in for
    aside      what `beside` found besides the output                one the caller did not pass

Those names are exactly what is kept for the backward pass. Nothing else is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import (
    ABOVE_ONE,
    NONZERO,
    POSITIVE,
    REAL,
    UNIT,
    Composite,
    Constant,
    Domain,
    Operation,
    Primitive,
    Refusal,
    Rule,
    needs_of,
    qualified_name,
)

__all__ = [
    "ABOVE_ONE",
    "NONZERO",
    "POSITIVE",
    "REAL",
    "UNIT",
    "Composite",
    "Constant",
    "Domain",
    "Operation",
    "Primitive",
    "Refusal",
    "composite",
    "constant",
    "derivative",
    "primitive",
    "refuse",
    "registry",
]

F = TypeVar("F", bound=Callable[..., Any])

_registry: dict[Any, Operation] = {}
_registry_view = MappingProxyType(_registry)


def registry() -> Mapping[Any, Operation]:
    """Every function the engine knows, read-only: NumPy function → Operation."""
    return _registry_view


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The positional names of a function: x, y for ufuncs, else as its signature spells them."""
    if isinstance(function, np.ufunc):
        return ("x", "y")[: function.nin]
    code = getattr(getattr(function, "_implementation", function), "__code__", None)
    if code is None:
        raise TypeError(f"{qualified_name(function)} is written in C and hides its signature: pass parameters='a b'")
    return tuple(code.co_varnames[: code.co_argcount])


def derivative(
    function: Callable[..., Any],
    *rules: Rule | None,
    parameters: str | None = None,
    broadcasts: bool = False,
    domain: tuple[Domain, ...] = (),
    kinks: Callable[..., Any] | None = None,
    neutral: str = "",
    sequence: str | None = None,
    fast: Callable[..., Any] | None = None,
    selects: bool = False,
    elementwise: bool | None = None,
    beside: Callable[..., Any] | None = None,
    rows: Mapping[str, int] | None = None,
) -> Primitive:
    """Declare the derivative rules of a NumPy function, one for each argument; None where there is none.

    broadcasts: the arguments broadcast, so the engine sums each cotangent back to its argument's shape.
    elementwise: each output element comes from one element of each argument; taken from `broadcasts` if not given.
    domain, kinks: where it is differentiable, for tests and documentation.
    neutral: keywords, separated by spaces, that change no derivative. Any keyword that is neither neutral nor named
    by a rule raises UnsupportedError when it is used: a rule that does not know it could only be wrong.
    sequence: the parameter that takes a sequence of arrays; its rule receives the element's number as `i`.
    beside, rows: see Primitive.
    selects: it leaves some of what it is given aside; an infinite slope there must not turn its zero into a NaN.

        derivative(np.exp, lambda g, z: g * z)
    """
    names = tuple(parameters.split()) if parameters else parameters_of(function)
    refuse_what_is_no_rule(qualified_name(function), rules)
    operation = Primitive(
        function, rules, parameters=names, broadcasts=broadcasts, domain=domain, kinks=kinks,
        neutral=tuple(neutral.split()), sequence=sequence, fast=fast, selects=selects,
        elementwise=elementwise, beside=beside, rows=rows,
    )  # fmt: skip
    check_rules(operation)
    enter(function, operation)
    return operation


def enter(function: Callable[..., Any], operation: Operation) -> None:
    """One function, one entry: NumPy's aliases (concat, permute_dims) are the same object, and need no second.

    What was left out may be given a rule.
    """
    if function in _registry and not isinstance(_registry[function], Refusal):
        raise ValueError(f"{operation.name} is declared already, as {_registry[function]!r}")
    _registry[function] = operation


def refuse_what_is_no_rule(name: str, rules: tuple[Any, ...]) -> None:
    """UnsupportedError for a rule whose needs cannot be read off its arguments."""
    for rule in rules:
        code = getattr(rule, "__code__", None)
        if rule is None or (code and code.co_argcount and not code.co_kwonlyargcount and not code.co_flags & VARIADIC):
            continue
        raise UnsupportedError(
            f"{name}: {getattr(rule, '__name__', repr(rule))} is no rule: write a function of g, the cotangent of the "
            "output, and of what it needs, by name and each at a place, such as lambda g, x: g * 2 * x"
        )


VARIADIC = 0x0C  # the flags of a function that takes *args or **keywords


def check_rules(operation: Primitive) -> None:
    """A misspelt name in a rule is found when the rule is declared, not when it first runs."""
    if len(operation.rules) > len(operation.parameters):
        raise UnsupportedError(
            f"{operation.name} has {len(operation.parameters)} arguments ({', '.join(operation.parameters)}), but "
            f"{len(operation.rules)} rules were given: one for each argument, None where there is none"
        )
    known = {"z", "i"} | {name + suffix for name in operation.parameters for suffix in ("", "_shape")}
    for rule in operation.rules:
        if rule is None:
            continue
        unknown = [n for n in needs_of(rule) if n not in known and n not in operation.defaults]
        if unknown:
            raise UnsupportedError(
                f"{operation.name}: a rule asks for {unknown[0]!r}, which is none of its arguments "
                f"({', '.join(operation.parameters)}), nor z, nor an argument's _shape, and has no default"
            )


def composite(*functions: Callable[..., Any], rules: tuple[Rule | None, ...] = (), **facts: Any) -> Callable[[F], F]:
    """Declare that forward code stands for these NumPy functions: `@composite(np.ptp)`.

    rules: a kernel, for speed: NumPy's own function runs, with a rule for each argument and the facts of `derivative`.
    The forward code is then its definition, and runs wherever a call has options that no rule names.
    """

    def declare(definition: F) -> F:
        for function in functions:
            kernel = None
            if rules:
                kernel = Primitive(function, rules, parameters=parameters_of(function), **facts)
                check_rules(kernel)
            enter(function, Composite(function, definition, kernel))
        return definition

    return declare


def constant(*functions: Callable[..., Any], reason: str) -> None:
    """Declare functions whose results carry no derivative, and why."""
    for function in functions:
        enter(function, Constant(function, reason))


def refuse(*functions: Callable[..., Any], reason: str) -> None:
    """Declare functions that are left out, and why: using one raises UnsupportedError with the reason."""
    for function in functions:
        enter(function, Refusal(function, reason))


ndarray = np.ndarray
PLAIN = frozenset((ndarray, np.float64, float, int, bool, str, slice, type(None)))


def overloads(values: Any) -> list[Any]:
    """The arguments, also inside a list or tuple, that bring an __array_function__ of their own."""
    found = []
    for value in values:
        kind = type(value)
        if kind in PLAIN:
            continue
        if isinstance(value, (list, tuple)):  # noqa: UP038, half the time of list | tuple
            found += overloads(value)
        elif hasattr(kind, "__array_function__"):
            found.append(value)
    return found


def primitive(*rules: Rule | None, **facts: Any) -> Callable[[F], F]:
    """Make a NumPy function of your own differentiable, one rule for each argument; facts as in `derivative`.

        @primitive(lambda g, x: g * 2 * x)
        def square(x):
            return x * x

    The result takes arrays (and returns arrays) or anything that speaks __array_function__, such as a Tensor.
    """

    def declare(function: F) -> F:
        @functools.wraps(function)
        def dispatch(*args: Any, **kwargs: Any) -> Any:
            kind = type(args[0]) if len(args) == 1 and not kwargs else ndarray
            if kind not in PLAIN and hasattr(kind, "__array_function__"):  # nearly always: f(x)
                return args[0].__array_function__(dispatch, (kind,), args, kwargs)
            others = overloads((*args, *kwargs.values()))
            if not others:
                return function(*args, **kwargs)
            kinds = tuple({type(other): None for other in others})
            return others[0].__array_function__(dispatch, kinds, args, kwargs)

        facts.setdefault("parameters", " ".join(parameters_of(function)))
        operation = derivative(dispatch, *rules, **facts)
        operation.function = operation.fast = operation.run = function
        return dispatch  # type: ignore[return-value]

    return declare
