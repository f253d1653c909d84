"""The scalars behind the operations that a run heard: which of them a page can open, and what it says of them.

A closeup is `expand` of one operation on the arrays that it ran on. Of a small operation all scalars are shown; of a
larger one the first element, (0, ..., 0), for which the first row and column of its arrays are enough.
"""

from __future__ import annotations

import bisect
import operator
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import functional
from tinygrad_edu.backward import reachable
from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.graph import STATE, next_number
from tinygrad_edu.operation import Primitive
from tinygrad_edu.primitive import registry
from tinygrad_edu.render.labels import printable
from tinygrad_edu.render.plain import View
from tinygrad_edu.render.run import Call, Facts, fact_of
from tinygrad_edu.render.view import numbered
from tinygrad_edu.render.zoom import expand, scalars
from tinygrad_edu.rules import fused, fused_rows

__all__ = ["DRAWN", "Closeup", "closeup", "closeups"]

DRAWN = 48  # scalars of one drawing; up to so many, all elements are shown, and not the first alone
EACH = 600  # scalars of one element; beyond DRAWN, those in the middle are folded
BUILT = 4_096  # numbers in the arrays of one operation, of which an element is made

# A kernel's definition. It stands under the kernel's name, but for how it is called.
DEFINITIONS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    fused.sigmoid: functional.sigmoid,
    fused.silu: functional.silu,
    fused.gelu: functional.gelu,
    fused.gelu_tanh: lambda x: functional.gelu(x, approximate="tanh"),
    fused.linear: functional.linear,
    fused_rows.softmax: lambda x, mask=None: functional.softmax(
        x if mask is None else np.where(mask, x, -np.inf)
    ),
    fused_rows.log_softmax: functional.log_softmax,
    fused_rows.logsumexp: functional.logsumexp,
    fused_rows.layer_norm: functional.layer_norm,
    fused_rows.rms_norm: functional.rms_norm,
    fused_rows.cross_entropy: lambda scores, targets, smoothing=0.0: functional.cross_entropy(
        scores, targets, label_smoothing=smoothing
    ),
}
ROWS = frozenset({
    fused_rows.softmax, fused_rows.log_softmax, fused_rows.logsumexp, fused_rows.layer_norm, fused_rows.rms_norm,
})  # fmt: skip
STACKED = ("stack", "reshape")  # what puts the scalars of a whole output together
WORDS = {"multiply": "product", "add": "sum", "subtract": "difference", "divide": "quotient", "negative": "sign",
         "exp": "exponential", "log": "logarithm", "power": "power", "maximum": "maximum",
         "square": "square", "sqrt": "root"}  # fmt: skip


class Closeup(NamedTuple):
    """view: the scalars. element: which one of the output is shown; None if all are. dtype: the operation's own."""

    view: View
    element: tuple[int, ...] | None
    title: str
    dtype: str

    def words(self) -> str:
        """matmul, element (0, 0): 3 products, 2 sums"""
        made = Counter(node.label for node in self.view.nodes if node.kind == "operation" and node.label not in STACKED)
        which = "" if self.element is None else f", element {self.element}"
        return f"{self.title}{which}: {', '.join(counted(label, n) for label, n in made.items())}"


def counted(label: str, count: int) -> str:
    """3 products, 1 sum, 2 tanh"""
    word = WORDS.get(label)
    if word is None or count == 1:
        return f"{count} {word or label}"
    return f"{count} {'maxima' if word == 'maximum' else f'{word}s'}"


def closeups(
    view: View, calls: Mapping[int, Call], drawn: Iterable[int], most: int
) -> tuple[dict[int, Closeup], bool]:
    """By number, of the drawn operations the ones that open, and whether more could: `most`, each kind of operation
    once before any twice, the smallest first."""
    waiting: dict[str, deque[int]] = {}
    for number in drawn:
        if number in calls:
            waiting.setdefault(view.nodes[number].label, deque()).append(number)
    refused: set[Any] = set()
    found: list[tuple[int, Closeup]] = []
    while any(waiting.values()) and len(found) < most:
        once: list[tuple[int, Closeup]] = []
        for label, numbers in waiting.items():
            made = None
            while numbers and made is None:
                call = calls[number := numbers.popleft()]
                if (alike := signature(call)) not in refused:
                    made = closeup(call, names_of(view, number, call), printable(label))
                    if made is None:
                        refused.add(alike)
            if made is not None:
                once.append((number, made))
        found += sorted(once, key=lambda each: (len(each[1].view.nodes), each[0]))
    return dict(found[:most]), len(found) > most or any(waiting.values())


def closeup(call: Call, names: list[str], label: str) -> Closeup | None:
    """One operation as its scalars; None if `expand` refuses it, if they are more than EACH, or if it only moves them.

    names: of the arguments, for those that have one of their own.
    """
    value, operation = call.value, call.operation
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind != "f" or not value.size:
        return None
    if not isinstance(operation, Primitive) or operation.sequence is not None:
        return None
    function = next((f for f, known in registry().items() if known is operation), operation.function)
    first = (0,) * value.ndim
    for element in (None, first) if value.ndim else (None,):
        given = list(call.args) if element is None else needed(function, call)
        budget = DRAWN if element is None and first else EACH
        if sum(np.size(each) for each in given if is_float(each)) > (BUILT if element else budget):
            continue
        made = expanded(DEFINITIONS.get(function, function), given, names, call.keywords, element, budget)
        if made is None:
            continue
        view, numbers = made
        if not agree(numbers, value if element is None else np.asarray(value)[first]):
            return None  # its arrays were written to since, or it took no notice of a keyword
        if any(node.kind == "operation" and node.label not in STACKED for node in view.nodes):
            return Closeup(view, element, label, str(value.dtype))
    return None


def expanded(
    f: Callable[..., Any],
    given: list[Any],
    names: list[str],
    keywords: dict[str, Any],
    element: tuple[int, ...] | None,
    budget: int,
) -> tuple[View, np.ndarray] | None:
    """The graph with the value of every scalar, and the numbers that come out."""
    cells = [scalars(each, name) if is_float(each) else each for each, name in zip(given, names, strict=True)]
    heard: list[tuple[int, Any, Any]] = []  # a number below that of the node that will be recorded, operation, value

    def watch(operation: Any, args: Any, keywords: Any, value: Any) -> None:
        heard.append((next_number(), operation, value))

    token = STATE.set(STATE.get().but(watch=watch))
    try:
        with np.errstate(all="ignore"):  # what is to be said of these numbers was said when the function ran
            made = expand(f, *cells, element=element, budget=budget, **keywords)
    except AutodiffError:
        return None
    finally:
        STATE.reset(token)
    if made._node is None:
        return None
    leaves = {cell._node: cell for each in cells if is_float(each) for cell in each.ravel()}
    facts: Facts = {}
    for node in reachable([made._node]):
        known: Any = leaves.get(node)
        if node.plan is not None:  # the last that was heard before it: other threads may have taken numbers between
            _, operation, value = heard[bisect.bisect(heard, node.number, key=operator.itemgetter(0)) - 1]
            known = value if operation is node.operation else None
        if (fact := fact_of(known)) is not None:
            facts[node] = fact
    view = numbered(made, facts)[0]
    nodes = tuple(node._replace(where=None, scope="", saved_bytes=None) for node in view.nodes)
    return view._replace(nodes=nodes, notes=()), made.numpy()


def needed(f: Callable[..., Any], call: Call) -> list[Any]:
    """The parts of the arrays that the first element of the output is made of, by what is known of the operation."""
    args = call.args
    if f is np.matmul:
        x, y = args
        return [start(x, x.ndim - 1), start(y.mT, y.ndim - 1).mT if y.ndim > 1 else y]
    if f is fused.linear:
        x, weight, *bias = args
        return [start(x, x.ndim - 1), weight[:, :1], *[each if each is None else each[:1] for each in bias]]
    if f in ROWS:
        return [start(each, each.ndim - 1) if isinstance(each, np.ndarray) else each for each in args]
    if getattr(call.operation, "elementwise", False) and not call.keywords:
        return [start(each, each.ndim) if isinstance(each, np.ndarray) else each for each in args]
    return list(args)


def start(array: np.ndarray, axes: int) -> np.ndarray:
    """The first place along so many axes, each of which stays."""
    return array[(slice(1),) * axes]


def agree(numbers: np.ndarray, wanted: Any) -> bool:
    """Within half the digits of the operation's dtype: the scalars are float64, whatever it ran in."""
    about = np.finfo(wanted.dtype)
    finite = np.abs(wanted[np.isfinite(wanted)])
    close = float(np.sqrt(about.eps)) * float(finite.max(initial=about.tiny))
    return bool(np.allclose(numbers, wanted, rtol=0, atol=close, equal_nan=True))


def is_float(given: Any) -> bool:
    return isinstance(given, np.ndarray | np.generic) and given.dtype.kind in "fO"


def names_of(view: View, number: int, call: Call) -> list[str]:
    """Of the arguments: a leaf's own, else the parameter's; all by their parameters if two would be called the same."""
    parameters = getattr(call.operation, "parameters", ())
    places = [str(parameters[k]) if k < len(parameters) else f"x{k}" for k in range(len(call.args))]
    names = list(places)
    for edge in view.edges:
        if edge.target == number and edge.argument < len(names):
            node = view.nodes[edge.source]
            own = node.label if node.kind == "leaf" else node.name
            names[edge.argument] = own or names[edge.argument]
    return names if len(set(names)) == len(names) else places


def signature(call: Call) -> Any:
    return call.operation, tuple(np.shape(each) if is_float(each) else type(each) for each in call.args)
