"""Run an operation on tensors, and record it when a gradient may be asked.

`apply` is the one gate: every operator, method and NumPy function on a tensor comes through here. `unary` and `binary`
are its short-cuts for one array, and for two elementwise, without keywords, which is what scalar graphs consist of.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign
from tinygrad_edu.complaints import complain, refuse_keyword
from tinygrad_edu.errors import RuleError, UnsupportedError
from tinygrad_edu.forms import elements, form_of
from tinygrad_edu.graph import STATE, Cut, Node, hear, picked, record, user_location, user_origin
from tinygrad_edu.limits import refuse_growth, refuse_if_too_large, refuse_large_pair
from tinygrad_edu.operation import Primitive, sequence_plan
from tinygrad_edu.seals import guard, root_of
from tinygrad_edu.variable import (
    PLAIN,
    SCALARS,
    Variable,
    fixed,
    holds_gradient,
    make,
    operand,
    recognisable,
    strip,
)

__all__ = ["MANY", "apply", "binary", "own_as_view", "unary"]

FLOAT = np.dtype(np.float64)
float64, ndarray, new = np.float64, np.ndarray, object.__new__
MANY = 1 << 24  # pairs of elements; fewer cannot make a result that is too large


def unary(kind: type[Variable], operation: Primitive, x: Variable) -> Any:
    """operation(x), for one argument and no keywords, if the operation is `single`."""
    value = x._value
    try:
        z = operation.fast(value)
    except Exception as error:
        complain(operation, (value,), error)
    if type(z) is ndarray:
        z = z if z.ndim else z[()]
    elif isinstance(z, tuple):
        operation.single = False  # found out once: several outputs take the long way
        return apply(kind, operation, (x,), {})
    state = STATE.get()
    if state.heard:
        hear(operation, operation.fast, (value,), {}, z, (x,))
    out = new(kind)
    out._value = z
    source = x._node
    if source is None or not state.recording:
        out._node = None
        note_cut(out, x)
        if type(z) is ndarray and (z.base is not None or z is value):
            own_as_view(out, z, (x,))
        return out
    plan = operation.plans[1] or operation.plan(1)
    kept = () if plan.keep is None else plan.keep(value, None, z)
    shape, dtype = ((), FLOAT) if type(z) is float64 else (z.shape, z.dtype)  # 0.04 µs less, where there are many
    out._node = node = record(plan, source, (), kept, shape, dtype, state.scope)
    if type(value) is ndarray:
        guard(node)
        if type(z) is ndarray and (z.base is not None or z is value):
            own_as_view(out, z, (x,))
    return out


def binary(kind: type[Variable], operation: Primitive, x: Any, y: Any) -> Any:
    """operation(x, y), for two elementwise arguments and no keywords; at least one is a Variable."""
    left, right = x, y
    nx = ny = None
    if isinstance(x, Variable):
        nx = x._node
        x = x._value
    elif type(x) not in SCALARS:
        x = operand(x)
    if isinstance(y, Variable):
        ny = y._node
        y = y._value
    elif type(y) not in SCALARS:
        y = operand(y)
    arrays = type(x) is ndarray or type(y) is ndarray
    if arrays and type(x) is type(y) and x.shape != y.shape and x.size * y.size > MANY:
        refuse_large_pair(operation, x, y)
    try:
        z = operation.fast(x, y)
    except Exception as error:
        complain(operation, (x, y), error)
    state = STATE.get()
    if state.heard:
        hear(operation, operation.fast, (x, y), {}, z, (left, right))
    out = new(kind)
    out._value = z
    feeds: Any
    rest: Any = ()
    if not state.recording:
        out._node = None
        note_cut(out, left, right)
        return out
    if ny is None:
        if nx is None:
            out._node = None
            note_cut(out, left, right)
            return out
        plan, feeds = operation.plans[1] or operation.plan(1), nx
        rest = right if type(right) in SCALARS else fixed(y, right)
    elif nx is None:
        plan, feeds = operation.plans[2] or operation.plan(2), ny
        rest = left if type(left) in SCALARS else fixed(x, left)
    else:
        plan, feeds = operation.plans[3] or operation.plan(3), (nx, ny)
    kept = () if plan.keep is None else plan.keep(x, y, z)
    shape, dtype = ((), FLOAT) if type(z) is float64 else (z.shape, z.dtype)
    out._node = node = record(plan, feeds, rest, kept, shape, dtype, state.scope)
    if arrays:
        guard(node)
    return out


def note_cut(out: Variable, *operands: Any) -> None:
    """For explain(): an untracked result of something tracked, or of something already cut off, says so."""
    for each in reversed(operands):
        if isinstance(each, Variable):
            if each._node is not None:
                what = f"a result of dtype {out._value.dtype}" if STATE.get().recording else "no_grad()"
                out._cut = Cut(what, user_origin())
                return
            if (cut := getattr(each, "_cut", None)) is not None:
                out._cut = cut
                return


def apply(kind: type[Variable], operation: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run `operation` on any mix of tensors, arrays and scalars; record it if one of them is tracked.

    Raises ShapeError or DtypeError for operands that do not fit, UnsupportedError for a tracked tensor in a place
    without a rule and for a keyword whose derivative nobody wrote.
    """
    form = operation.forms.get((len(args), *kwargs)) or form_of(operation, len(args), tuple(kwargs))
    if form.moved:
        args = (*args, *[kwargs[name] for name in form.moved])
        kwargs = {name: kwargs[name] for name in form.words}
    others = []
    for name, place in form.closed:
        each = args[place]
        if not (type(each) in PLAIN or (type(each) is tuple and PLAIN.issuperset(map(type, each)))):
            if holds_gradient(each):
                raise no_rule_for(operation, f"argument {name!r}", name)
            each = strip(each)
        others.append(each)
    for name, place in form.doubtful:
        refuse_keyword(operation, name, args[place] if place >= 0 else kwargs[name], operation.understood)
    raw_kwargs = kwargs
    for name, value in kwargs.items():
        if type(value) not in PLAIN:
            if holds_gradient(value):
                raise no_rule_for(operation, f"{name}=", f"{name}={name}")
            raw_kwargs = {**raw_kwargs, name: strip(value)}
    operands = args[: form.operands] if operation.sequence is None else elements(args, form.place)
    arrays, feeds, tracked = [], [], 0
    for position, each in enumerate(operands):
        if isinstance(each, Variable):
            arrays.append(each._value)
            if each._node is not None:
                feeds.append(each._node)
                tracked |= 1 << position
        elif type(each) in PLAIN:
            arrays.append(each)
        else:  # a list in an operand's place is an array; of Tensors, it would lose their gradients: operand() says so
            ruled = operation.sequence is not None or operation.rules[position] is not None
            arrays.append(operand(each) if ruled and isinstance(each, list | tuple) else strip(each))
    if operation.sequence is not None:
        total = sum([each.size if type(each) is ndarray else np.size(each) for each in arrays])
        refuse_if_too_large(operation, (total,), 8, f"{len(arrays)} arrays")
        raw = form.with_elements(args, arrays)
    else:
        raw = (*arrays, *others[form.inner :])
    if operation.grows:
        refuse_growth(operation, raw, raw_kwargs)
    state, aside = STATE.get(), None
    try:
        if operation.beside is None or state.watch is not None or not (tracked and state.recording):
            value = operation.run(*raw, **raw_kwargs)
        else:
            value, aside = operation.beside(*raw, **raw_kwargs)
    except Exception as error:
        complain(operation, raw, error)
    if type(value) is ndarray:
        if not value.ndim:
            value = value[()]  # before anyone looks: what is watched, saved and returned is one object
    elif not isinstance(value, np.ndarray | np.generic | Foreign | tuple):
        value = number_from(operation, value)
    if state.heard:
        value = recognisable(value)
        run, made = operation.run, value
        if operation.beside is not None and aside is not None:
            run, made = operation.beside, (value, aside)
        hear(operation, run, raw, raw_kwargs, made, (*args, *kwargs.values()))
    shape: Any
    dtype: Any
    if isinstance(value, tuple):
        if not all(hasattr(part, "shape") for part in value):
            value = tuple([part if hasattr(part, "shape") else number_from(operation, part) for part in value])
        shape, dtype = tuple([part.shape for part in value]), tuple([part.dtype for part in value])
    else:
        shape, dtype = value.shape, value.dtype
        if dtype.kind != "f":
            if dtype.kind in "cO":
                operand(value)  # raises: neither complex numbers nor objects have a gradient here
            tracked = 0  # integers move in jumps
    if not tracked or not state.recording:
        return outputs(kind, value, None, operands)
    plan = operation.plan(tracked) if operation.sequence is None else sequence_plan(operation, tracked, len(operands))
    if aside is not None:
        raw_kwargs = {**raw_kwargs, "aside": aside}
    kept: Any = [pick(raw, raw_kwargs, value) for pick in form.picks.get(plan.names) or form.picks_for(plan)]
    rest = [] if len(feeds) == len(arrays) else [
        fixed(array, operands[k]) for k, array in enumerate(arrays) if not tracked >> k & 1
    ]  # fmt: skip
    node = record(plan, bare(feeds), bare(rest), bare(kept), shape, dtype, state.scope)
    guard(node)
    return outputs(kind, value, node, operands)


def number_from(operation: Primitive, value: Any) -> Any:
    """What a function of the user's returned that is no array: a plain number is one."""
    if type(value) in SCALARS:
        return np.asarray(value)[()]
    raise RuleError(
        f"{operation.name} returned {type(value).__name__}, not an array: return np.asarray(...), or a tuple of them. "
        f"Called {user_location()}"
    )


def bare(values: list[Any]) -> Any:
    """How a node refers to its sources, its fixed inputs, what it kept: to one alone without a tuple."""
    return values[0] if len(values) == 1 else tuple(values)


def no_rule_for(operation: Primitive, what: str, written: str) -> UnsupportedError:
    return UnsupportedError(
        f"{operation.name}: {what} has no derivative rule, but the Tensor passed there wants a gradient; "
        f"pass {written}.detach() if none should flow. Called {user_location()}"
    )


def outputs(kind: type[Variable], value: Any, node: Node | None, operands: Any) -> Any:
    """Wrap what an operation returned: one array, or a tuple of them (each then picks its share of the node)."""
    if isinstance(value, tuple):
        parts = []
        for index, part in enumerate(value):
            made = None
            if node is not None:
                made = picked(node, index, part)
            parts.append(make(kind, part, made))
            if type(part) is not Foreign:
                own_as_view(parts[-1], part, operands)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    out = make(kind, value, node)
    if node is None:
        note_cut(out, *operands)
    if type(value) is ndarray:
        own_as_view(out, value, operands)
    return out


def own_as_view(out: Any, value: np.ndarray, operands: Any) -> None:
    """Remember whose memory a view looks into: when that changes, so does the view."""
    root = value if value.base is None else root_of(value)
    for each in operands:
        if isinstance(each, Variable) and (
            each._value is root or (root is not value and root_of(each._value) is root)
        ):
            source = each._node
            owner = getattr(each, "_owner", None) if source is None else source.extras.owner or source
            if out._node is not None:
                out._node.owner = owner
            elif owner is not None:
                out._owner = owner
