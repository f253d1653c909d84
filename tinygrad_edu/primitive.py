"""An operation: a NumPy function, one derivative rule for each argument, and the facts about it.

A rule is a plain NumPy function that knows nothing of tensors, graphs or tapes. It names what it needs:

    g          the cotangent of the output                i          which element of a sequence argument
    z          the output                                 a          an argument, under the operation's own name
    a_shape    the shape of an argument, not its data     axis, ...  keywords; the rule's default stands in for
                                                                     one the caller did not pass

Those names are exactly what is kept for the backward pass. Nothing else is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from tinygrad_edu.errors import UnsupportedError

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
Rule = Callable[..., Any]


class Domain:
    """Where an argument may lie for the operation to be differentiable: an open interval, maybe without zero."""

    __slots__ = ("high", "low", "name", "without_zero")

    def __init__(self, name: str, low: float = -np.inf, high: float = np.inf, without_zero: bool = False) -> None:
        self.name, self.low, self.high, self.without_zero = name, low, high, without_zero

    def __repr__(self) -> str:
        return self.name

    def contains(self, x: Any) -> Any:
        """Elementwise: is x inside?"""
        x = np.asarray(x)
        return (x > self.low) & (x < self.high) & ~(self.without_zero & (x == 0))


REAL = Domain("x real")
NONZERO = Domain("x ≠ 0", without_zero=True)
POSITIVE = Domain("x > 0", low=0.0)
UNIT = Domain("-1 < x < 1", low=-1.0, high=1.0)
ABOVE_ONE = Domain("x > 1", low=1.0)


class Operation:
    """A function the engine knows. `kind` is "rule", "composite", "constant" or "refused"."""

    __slots__ = ("function", "name")
    kind = ""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.name = name or qualified_name(function)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}>"


class Constant(Operation):
    """A function whose result carries no derivative: a comparison, an index, a rounding, a shape."""

    __slots__ = ("reason",)
    kind = "constant"

    def __init__(self, function: Callable[..., Any], reason: str) -> None:
        super().__init__(function)
        self.reason = reason


class Refusal(Operation):
    """A function that is left out, with the reason and what to use instead."""

    __slots__ = ("reason",)
    kind = "refused"

    def __init__(self, function: Callable[..., Any], reason: str) -> None:
        super().__init__(function)
        self.reason = reason


class Composite(Operation):
    """A NumPy function re-written as forward code over differentiable ones: it needs no rule."""

    __slots__ = ("definition",)
    kind = "composite"

    def __init__(self, function: Callable[..., Any], definition: Callable[..., Any]) -> None:
        super().__init__(function)
        self.definition = definition


# What a plan keeps of x, y and z, without a loop: for elementwise operations, which scalar graphs consist of.
KEEP: dict[tuple[str, ...], Callable[[Any, Any, Any], tuple[Any, ...]]] = {
    (): lambda x, y, z: (),
    ("x",): lambda x, y, z: (x,),
    ("y",): lambda x, y, z: (y,),
    ("z",): lambda x, y, z: (z,),
    ("x", "y"): lambda x, y, z: (x, y),
    ("x", "z"): lambda x, y, z: (x, z),
    ("y", "z"): lambda x, y, z: (y, z),
    ("x", "y", "z"): lambda x, y, z: (x, y, z),
}


def keeper(names: tuple[str, ...], defaults: Mapping[str, Any]) -> Callable[[Any, Any, Any], tuple[Any, ...]]:
    """The function that picks `names` from x, y and z, their shapes, and the rules' defaults."""

    def keep(x: Any, y: Any, z: Any) -> tuple[Any, ...]:
        known = {**defaults, "x": x, "y": y, "z": z, "x_shape": np.shape(x), "y_shape": np.shape(y)}
        return tuple([known[name] for name in names])

    return KEEP.get(names, keep)


class Plan:
    """For one operation and one set of tracked arguments: which rules run, and what they need kept.

    `names` is what a node saves, in order; `keep` picks it from x, y, z; `pullbacks` holds (argument, rule, positions of the rule's needs in
    `names`), one for each tracked argument.
    """

    __slots__ = ("keep", "names", "pullbacks", "selects", "sources")

    def __init__(self, operation: Primitive, tracked: int) -> None:
        needed = {name for k, rule in enumerate(operation.rules) if rule and tracked >> k & 1 for name in needs_of(rule)}
        names = sorted(needed)
        self.pullbacks: list[tuple[int, Rule, tuple[int, ...]]] = []
        for argument, rule in enumerate(operation.rules):
            if rule is None or not tracked >> argument & 1:
                continue
            needs = needs_of(rule)
            self.pullbacks.append((argument, rule, tuple(names.index(name) for name in needs)))
        self.names = tuple(names)
        # Where a saved name comes from: an argument's position, or -1 for what is no argument (z, shapes, keywords).
        arguments = operation.parameters[: len(operation.rules)]
        self.selects = operation.selects
        self.keep = keeper(self.names, operation.defaults)
        self.sources = tuple(arguments.index(name) if name in arguments else -1 for name in names)


class Primitive(Operation):
    """An operation with derivative rules. Facts: `broadcasts`, `domain` (one each argument), `kinks` (a function of
    the arguments whose value tells the smooth pieces apart), `neutral` (keywords that change no derivative)."""

    __slots__ = (
        "broadcasts", "defaults", "domain", "elementwise", "fast", "kinks", "neutral", "parameters", "plans", "rules",
        "selects", "sequence", "understood",
    )  # fmt: skip
    kind = "rule"

    def __init__(
        self,
        function: Callable[..., Any],
        rules: tuple[Rule | None, ...],
        *,
        parameters: tuple[str, ...],
        broadcasts: bool = False,
        domain: tuple[Domain, ...] = (),
        kinks: Callable[..., Any] | None = None,
        neutral: tuple[str, ...] = (),
        sequence: str | None = None,
        fast: Callable[..., Any] | None = None,
        selects: bool = False,
        elementwise: bool | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(function, name)
        self.rules, self.parameters, self.broadcasts, self.kinks = rules, parameters, broadcasts, kinks
        self.domain = domain or (REAL,) * len(rules)
        self.neutral, self.sequence = frozenset(neutral), sequence
        # Python's own operator runs several times faster than the ufunc on scalars, and the same on arrays.
        self.fast = fast or function
        self.selects = selects
        self.elementwise = broadcasts if elementwise is None else elementwise
        self.defaults: dict[str, Any] = {}
        for rule in rules:
            if rule is not None:
                self.defaults.update(defaults_of(rule))
        self.plans = tuple(Plan(self, mask) for mask in range(1 << len(rules)))
        named = {name for rule in rules if rule is not None for name in needs_of(rule)}
        self.understood = self.neutral | named | frozenset(parameters[: len(rules)])


def needs_of(rule: Rule) -> tuple[str, ...]:
    """The names a rule asks for, after g."""
    code = rule.__code__
    return code.co_varnames[1 : code.co_argcount]


def defaults_of(rule: Rule) -> dict[str, Any]:
    names, values = needs_of(rule), rule.__defaults__ or ()
    return dict(zip(names[len(names) - len(values) :], values, strict=True))


def qualified_name(function: Callable[..., Any]) -> str:
    """sum, linalg.inv: the name a NumPy user knows it by."""
    module = getattr(function, "__module__", None) or "numpy"
    prefix = "linalg." if module == "numpy.linalg" else ""
    return prefix + str(getattr(function, "__name__", function))


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
) -> Primitive:
    """Declare the derivative rules of a NumPy function, one for each argument; None where there is none.

    broadcasts: the arguments broadcast, so the engine sums each cotangent back to its argument's shape.
    elementwise: each output element comes from one element of each argument; taken from `broadcasts` if not given.
    domain, kinks: where it is differentiable, for tests and documentation.
    neutral: keywords, separated by spaces, that change no derivative. Any keyword that is neither neutral nor named
    by a rule raises UnsupportedError when it is used: a rule that does not know it could only be wrong.
    sequence: the parameter that takes a sequence of arrays; its rule receives the element's number as `i`.
    selects: it leaves some of what it is given aside; an infinite slope there must not turn its zero into a NaN.

        derivative(np.exp, lambda g, z: g * z)
    """
    names = tuple(parameters.split()) if parameters else parameters_of(function)
    operation = Primitive(
        function, rules, parameters=names, broadcasts=broadcasts, domain=domain, kinks=kinks,
        neutral=tuple(neutral.split()), sequence=sequence, fast=fast, selects=selects,
        elementwise=elementwise,
    )  # fmt: skip
    check_rules(operation)
    enter(function, operation)
    return operation


def enter(function: Callable[..., Any], operation: Operation) -> None:
    """One function, one entry: NumPy's aliases (concat, permute_dims) are the same object, and need no second."""
    if function in _registry:
        raise ValueError(f"{operation.name} is declared already, as {_registry[function]!r}")
    _registry[function] = operation


def check_rules(operation: Primitive) -> None:
    """A misspelt name in a rule is found when the rule is declared, not when it first runs."""
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


def composite(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Declare that forward code stands for these NumPy functions: `@composite(np.var)`."""

    def declare(definition: F) -> F:
        for function in functions:
            enter(function, Composite(function, definition))
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


def overloads(values: tuple[Any, ...]) -> Iterator[Any]:
    """The arguments, also inside a list or tuple, that bring an __array_function__ of their own."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from overloads(tuple(value))
        elif type(value) is not np.ndarray and hasattr(type(value), "__array_function__"):
            yield value


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
            others = list(overloads((*args, *kwargs.values())))
            if not others:
                return function(*args, **kwargs)
            kinds = tuple({type(other): None for other in others})
            return others[0].__array_function__(dispatch, kinds, args, kwargs)

        facts.setdefault("parameters", " ".join(parameters_of(function)))
        operation = derivative(dispatch, *rules, **facts)
        operation.function = operation.fast = function
        return dispatch  # type: ignore[return-value]

    return declare
