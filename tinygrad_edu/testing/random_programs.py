"""Random differentiable programs: reuse, diamonds, broadcasts, reductions, views, indices, products of matrices.

A rule that is right by itself may be wrong inside a graph: a cotangent that overwrites where it should add, a view that
is taken for a copy, a gradient of a broadcast value that keeps the wrong shape. Programs go where such bugs live, and
shrink to the few operations that show them.

Every step is a handful of bytes of its own. They choose among the values that are there, counted from the front, and
mean something whatever came before: so Hypothesis can delete any step, and what remains is a program still.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import event, reject
from hypothesis import strategies as st

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import REAL, Domain, Operation, Primitive, qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing.called import any_written, proposal_of
from tinygrad_edu.testing.decimals import WIDTH, from_bytes, interior
from tinygrad_edu.testing.drawing import DrawFn, codes, part_of, shape_from
from tinygrad_edu.testing.pool import Dice, Pool
from tinygrad_edu.testing.program import Program, Ref, Step, pruned
from tinygrad_edu.testing.proposals import Proposal, derived, of_one_shape
from tinygrad_edu.testing.structure import PROPOSALS
from tinygrad_edu.testing.written import WRITTEN

__all__ = ["Program", "Ref", "Step", "programs"]

COUNTS = st.sampled_from([1, 2, 2, 3, 3, *range(4, 10)])  # of inputs
LEAST = st.sampled_from([1, 1, 2, 4, 6])  # steps: lists are short if left alone
STEP = 12  # bytes: two choose the operation, the others are for its proposal
OTHERS = 8  # one in so many steps calls any of NumPy's other functions


def programs(
    operations: Sequence[Callable[..., Any]] | None = None,
    *,
    inputs: int = 3,
    steps: int = 10,
    shape: tuple[int, ...] | st.SearchStrategy[tuple[int, ...]] | None = None,
    dtype: Any = np.float64,
) -> st.SearchStrategy[Program]:
    """Differentiable programs that are smooth and well-conditioned at the inputs they come with.

    operations: what they are made of: functions with a rule (NumPy's or your own, see `primitive`), or any function of
    arrays that is differentiable everywhere and takes arrays of one shape. None: what the registry holds of NumPy. One
    that refuses the shapes it is offered (ValueError, IndexError) is left out of that program. inputs, steps: how many,
    at most; beside those inputs, one for each declared domain in which no small number lies. shape: of every input, or
    a strategy for it; if None, shapes that broadcast together, squares above all.

        @given(programs())
        def test_my_engine(program):
            assert_gradients(program, *program.inputs, vjp=my_vjp)

        @given(programs([my_operation, np.add, np.sum]))
        def test_my_operation_inside_programs(program):
            assert_gradients(program, *program.inputs)

    Raises UnsupportedError for operations of which it is not known how to call them.
    """
    functions = chosen(operations)
    table = [propose for f in functions for propose in proposals_of(f, operations is None)]
    if operations is None:
        table += [any_written] * (len(table) // OTHERS)
    domains = domains_of(functions)

    @st.composite
    def program(draw: DrawFn) -> Program:
        # Steps first: whatever becomes of the inputs while they shrink, the bytes of a step stay where they are.
        least = min(draw(LEAST), steps)
        raw = draw(st.lists(codes(STEP), min_size=least, max_size=2 * steps))
        pool = Pool(drawn_inputs(draw, domains, inputs, shape, np.dtype(dtype)), steps)
        with np.errstate(all="ignore"):
            for each in raw:
                propose = table[int.from_bytes(each[:2], "big") * len(table) >> 16]
                add(pool, propose, Dice(each[2:]), tolerant=operations is not None)
        if not pool.steps:
            reject()
        return ended(pool, draw(st.integers(0, 3)))

    return program()


def chosen(operations: Sequence[Callable[..., Any]] | None) -> list[Callable[..., Any]]:
    """The functions; of the registry, NumPy's elementwise ones and those whose proposals are written."""
    if operations is not None:
        if not operations:
            raise UnsupportedError("programs(operations=[]): an empty list makes no program; pass None for NumPy's")
        return list(operations)
    plain = [f for f, known in registry().items() if is_numpys(f) and f not in PROPOSALS and takes_any_numbers(known)]
    return [*plain, *PROPOSALS]


def takes_any_numbers(known: Operation) -> bool:
    """Every argument has a derivative: none is an exponent in whole numbers, as ldexp's."""
    return isinstance(known, Primitive) and None not in known.rules


def is_numpys(function: Callable[..., Any]) -> bool:
    """An elementwise function of NumPy's own; SciPy's ufuncs may have been declared, too."""
    return isinstance(function, np.ufunc) and getattr(np, function.__name__, None) is function


def proposals_of(function: Callable[..., Any], weighted: bool) -> list[Proposal]:
    """The proposals of one operation, each as often as it is to come."""
    known, name = registry().get(function), qualified_name(function)
    if function in PROPOSALS:
        return [propose for propose, weight in PROPOSALS[function] for _ in range(weight if weighted else 1)]
    if known is not None and known.kind in ("constant", "refused"):
        raise UnsupportedError(f"programs: {name} has no derivative: {getattr(known, 'reason', '')}")
    if function in WRITTEN:
        return [proposal_of(function)]
    foreign = not str(getattr(function, "__module__", "")).startswith("numpy")
    if isinstance(known, Primitive) and None not in known.rules and (known.elementwise or foreign):
        return [derived(function, known)]
    if foreign and not isinstance(function, np.ufunc) and not isinstance(known, Primitive):
        parameters = inspect.signature(function).parameters.values()
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        count = sum(p.default is p.empty for p in positional)
        if count and not any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
            return [of_one_shape(function, count)]
    raise UnsupportedError(
        f"programs: how to call {name} does not follow from what it declares; wrap it in a function of arrays of one "
        f"shape, and pass that"
    )


def domains_of(functions: Sequence[Callable[..., Any]]) -> tuple[list[Domain], list[Domain]]:
    """What inputs are drawn from, REAL first: else few operands would lie in an unusual domain. Near ones, and far."""
    known = [registry().get(f) for f in functions]
    asked = [domain for one in known if isinstance(one, Primitive) for domain in one.domain]
    every = list(dict.fromkeys([REAL, *asked]))
    return [d for d in every if is_near(d)], [d for d in every if not is_near(d)]


def add(pool: Pool, propose: Proposal, dice: Dice, tolerant: bool) -> None:
    """The step that is proposed, if one is, and its value is good to go on with."""
    steps = propose(pool, dice)
    if steps is None:
        return
    try:
        pool.take(steps)
    except (ValueError, IndexError) as error:
        if not tolerant:
            raise
        event(f"{qualified_name(steps[-1].function)} refused its operands: {type(error).__name__}")


def drawn_inputs(
    draw: DrawFn, domains: tuple[list[Domain], list[Domain]], most: int, shape: Any, dtype: np.dtype
) -> list[np.ndarray]:
    """Each from one of the near domains; from each far one, always one, lest steps pile up to get there.

    What no step uses is dropped in the end.
    """
    near, far = domains
    given = [near[code % len(near)] for code in draw(codes(min(most, draw(COUNTS))))] + far
    count = len(given)
    if shape is None:
        whole = shape_from(draw, None)
        wholes = [part_of(whole, code) for code in draw(codes(count))]
    else:
        wholes = [shape_from(draw, shape) for _ in range(count)]
    sizes = [math.prod(each) for each in wholes]
    raw = draw(codes(WIDTH * sum(sizes)))
    found, start = [], 0
    for each, size, domain in zip(wholes, sizes, given, strict=True):
        x = from_bytes(raw[start : start + WIDTH * size], domain).reshape(each)
        found.append(np.asarray(x, dtype))
        start += WIDTH * size
    return found


def is_near(domain: Domain) -> bool:
    """Does it share numbers with REAL's?"""
    (low, high), (least, most) = interior(domain), interior(REAL)
    return low < most and high > least


def ended(pool: Pool, code: int) -> Program:
    """All that no step used, or only the last value and what it is made of."""
    count = len(pool.values) - len(pool.steps)
    used = {number for step in pool.steps for number in step.refs}
    ends = [number for number in range(count, len(pool.values)) if number not in used]
    return Program(*pruned(pool.values[:count], pool.steps, ends if code else ends[-1:]))
