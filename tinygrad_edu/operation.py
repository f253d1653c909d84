"""What an operation is: its function, its rules, the facts about it, and the plan of what its rules keep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

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
    "Plan",
    "Primitive",
    "Refusal",
    "Rule",
    "SequencePlan",
    "needs_of",
    "qualified_name",
    "sequence_plan",
]

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
    """A NumPy function re-written as forward code over differentiable ones: it needs no rule.

    kernel: where speed asked for rules all the same, the function with these; what they know of a call they run.
    """

    __slots__ = ("definition", "kernel")
    kind = "composite"

    def __init__(
        self, function: Callable[..., Any], definition: Callable[..., Any], kernel: Primitive | None = None
    ) -> None:
        super().__init__(function)
        self.definition, self.kernel = definition, kernel


# What a plan keeps of x, y and z, without a loop: for elementwise operations, which scalar graphs consist of.
KEEP: dict[tuple[str, ...], Callable[[Any, Any, Any], Any]] = {
    ("x",): lambda x, y, z: x,
    ("y",): lambda x, y, z: y,
    ("z",): lambda x, y, z: z,
    ("x", "y"): lambda x, y, z: (x, y),
    ("x", "z"): lambda x, y, z: (x, z),
    ("y", "z"): lambda x, y, z: (y, z),
    ("x", "y", "z"): lambda x, y, z: (x, y, z),
}


def keeper(names: tuple[str, ...], operation: Primitive) -> Callable[[Any, Any, Any], Any] | None:
    """The function that picks `names` from x, y and z, their shapes, and the rules' defaults; one alone comes bare.

    y is the second argument of a ufunc; whatever else has one, and is called with x alone, means a default.
    """
    x, y = (*operation.parameters, "", "")[:2]
    y = y if isinstance(operation.function, np.ufunc) else ""
    letters = tuple(["x" if name == x else "y" if name == y else name for name in names])
    if letters in KEEP or not names:
        return KEEP.get(letters)
    known = [x, y, "z", f"{x}_shape", f"{y}_shape", *operation.defaults]
    if not known_all(names, known):
        return None  # it is never called with x and y alone
    pick, otherwise = itemgetter(*map(known.index, names)), tuple(operation.defaults.values())
    return lambda x, y, z: pick((x, y, z, getattr(x, "shape", ()), getattr(y, "shape", ()), *otherwise))


def known_all(names: Iterable[str], known: Iterable[str]) -> bool:
    return set(names) <= set(known)


# Whose a saved array is, if no source's: made by the operation, or a list, one of each source.
OUTPUT, ELEMENTS = -1, -2


def sorted_by_owner(names: tuple[str, ...], whose: Mapping[Any, int]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Of the names that may mean an array: (position, whose) of those that have an owner; positions of the others."""
    arrays = [(k, name) for k, name in enumerate(names) if not name.endswith("_shape")]
    owned = tuple((k, whose[name]) for k, name in arrays if name in whose)
    return owned, tuple(k for k, name in arrays if name not in whose)


class Plan:
    """For one operation and one set of tracked arguments: which rules run, and what they need kept.

    names       what a node saves, in order; `alone` if it is one thing, which a node keeps bare
    keep        picks that from x, y and z; None where nothing is kept
    pullbacks   (argument, rule, positions of the rule's needs in `names`), one for each tracked argument
    tracked     the places of the tracked arguments
    sources     where a saved name comes from: an argument's place, or -1 for what is none (z, shapes, keywords)
    owned       (position in `names`, whose) of what may be an array of the engine's: one source's, OUTPUT or ELEMENTS
    given       positions of what may be an array of the caller's
    unusual     the backward pass has to look twice: `selects`, `foreign`, or one of several outputs
    """

    __slots__ = (
        "alone", "foreign", "given", "keep", "names", "operation", "owned", "pullbacks", "selects", "sources",
        "tracked", "unusual",
    )  # fmt: skip

    def __init__(self, operation: Primitive, tracked: int) -> None:
        ruled = [(k, rule) for k, rule in enumerate(operation.rules) if rule is not None and tracked >> k & 1]
        names = sorted({name for _, rule in ruled for name in needs_of(rule)})
        self.operation = operation
        self.pullbacks: list[tuple[int, Rule, tuple[int, ...]]] = [
            (k, rule, tuple([names.index(name) for name in needs_of(rule)])) for k, rule in ruled
        ]
        self.tracked = tuple(k for k, _ in ruled)
        self.names = tuple(names)
        self.alone = len(names) == 1
        arguments = operation.parameters[: len(operation.rules)]
        self.selects, self.foreign = operation.selects, operation.foreign
        self.unusual = self.selects or self.foreign
        self.keep = keeper(self.names, operation)
        self.sources = tuple(arguments.index(name) if name in arguments else -1 for name in names)
        whose = {arguments[k]: place for place, k in enumerate(self.tracked) if k < len(arguments)}
        whose |= {"z": OUTPUT, "aside": OUTPUT}
        self.owned, self.given = sorted_by_owner(self.names, whose)


class SequencePlan:
    """The plan of an operation on a sequence of arrays: the same rule for each tracked element, told which one."""

    __slots__ = (
        "alone", "foreign", "given", "names", "operation", "owned", "pullbacks", "selects", "sources", "tracked",
        "unusual",
    )  # fmt: skip

    def __init__(self, operation: Primitive, tracked: int, count: int) -> None:
        rule = next(rule for rule in operation.rules if rule is not None)
        needs = needs_of(rule)
        self.operation = operation
        self.names = tuple(name for name in needs if name != "i")
        self.alone = len(self.names) == 1
        everything = tuple(range(len(self.names)))
        place = needs.index("i") if "i" in needs else None
        self.tracked = tuple(k for k in range(count) if tracked >> k & 1)
        self.pullbacks = [
            (element, rule if place is None else told(rule, place, element), everything) for element in self.tracked
        ]
        self.selects, self.foreign = operation.selects, operation.foreign
        self.unusual = self.selects or self.foreign
        self.sources = tuple(-2 if name == operation.sequence else -1 for name in self.names)
        self.owned, self.given = sorted_by_owner(self.names, {operation.sequence: ELEMENTS, "z": OUTPUT})


@functools.lru_cache(maxsize=1024)
def sequence_plan(operation: Primitive, tracked: int, count: int) -> SequencePlan:
    """The plan for so many elements, made once."""
    return SequencePlan(operation, tracked, count)


def told(rule: Rule, place: int, element: int) -> Rule:
    """The rule, with its parameter `i` filled in."""

    def rule_for_one(g: Any, *needs: Any) -> Any:
        return rule(g, *needs[:place], element, *needs[place:])

    return rule_for_one


class Primitive(Operation):
    """An operation with derivative rules. Facts: `broadcasts`, `domain` (one each argument), `kinks` (a function of
    the arguments whose value tells the smooth pieces apart), `neutral` (keywords that change no derivative).

    rows: it works along the last axis of its first argument, each row for itself. These arguments, if they have so many
    axes, are the same for all rows; a call with arrays in others mixes them.

    beside: the function again, for a call that is recorded: it returns its output and what it found on the way. A rule
    that names `aside` is given that, or None where it runs on tensors or knows the output alone.
    """

    __slots__ = (
        "beside", "broadcasts", "defaults", "domain", "elementwise", "fast", "foreign", "forms", "grows", "kinks",
        "neutral", "parameters", "plans", "rows", "rules", "run", "selects", "sequence", "single", "understood",
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
        beside: Callable[..., Any] | None = None,
        rows: Mapping[str, int] | None = None,
        lazy: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(function, name)
        self.rules, self.parameters, self.broadcasts, self.kinks = rules, parameters, broadcasts, kinks
        self.domain = domain or (REAL,) * len(rules)
        self.neutral, self.sequence = frozenset(neutral), sequence
        # The same on plain arrays, in less time: Python's own operator on scalars, a fold without np.sum's questions.
        self.fast = fast or function
        self.run = function if isinstance(function, np.ufunc) else self.fast  # an operator takes no keywords
        self.selects, self.beside, self.rows = selects, beside, rows
        self.foreign = any(rule is not None and rule.__module__.partition(".")[0] != __package__ for rule in rules)
        self.elementwise = broadcasts if elementwise is None else elementwise
        self.grows = self.elementwise and len(parameters) > 1  # may a result be larger than all it is made of?
        self.defaults: dict[str, Any] = {}
        for rule in rules:
            if rule is not None and rule.__defaults__:
                self.defaults.update(defaults_of(rule))
        # May it be called with one array and nothing else? Then all that its rule needs is there.
        self.single = not (sequence or beside or self.foreign or getattr(function, "nin", 1) > 1)
        if self.single:
            known = {parameters[0], f"{parameters[0]}_shape", "z", *self.defaults}
            self.single = bool(rules and rules[0]) and known_all(needs_of(rules[0]), known)  # type: ignore[arg-type]
        self.forms: dict[tuple[Any, ...], Any] = {}  # how it was called so far, see forms.py
        self.plans: list[Plan | None] = [] if lazy else [None] * (1 << len(rules))  # by set of tracked arguments
        named = {name for rule in rules if rule is not None for name in needs_of(rule)}
        self.understood = self.neutral | named | frozenset(parameters[: len(rules)])

    def plan(self, tracked: int) -> Plan:
        """The plan for a set of tracked arguments, made when first asked for: 2 ms less of an import."""
        made = self.plans[tracked] = self.plans[tracked] or Plan(self, tracked)
        return made


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
    prefix = module.removeprefix("numpy.") + "." if module in ("numpy.linalg", "numpy.fft") else ""
    return prefix + str(getattr(function, "__name__", function))
