"""Run an operation on tensors, and record it when a gradient may be asked.

`apply` is the one gate: every operator, method and NumPy function on a tensor comes through here. `unary` and `binary`
are its short-cuts for one array, and for two elementwise, without keywords, which is what scalar graphs consist of.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tinygrad_edu.complaints import complain, describe, refuse_keyword
from tinygrad_edu.errors import DtypeError, RuleError, ShapeError, UnsupportedError
from tinygrad_edu.forms import elements, form_of
from tinygrad_edu.graph import STATE, Cut, Fixed, Node, hear, picked, record, user_location, user_origin
from tinygrad_edu.limits import refuse_growth, refuse_if_too_large, refuse_large_pair
from tinygrad_edu.operation import Primitive, sequence_plan
from tinygrad_edu.seals import guard, root_of

__all__ = ["Variable", "apply", "binary", "recognisable", "strip", "unary"]

# What the slots of a fresh tensor need: a value (ndarray, or NumPy scalar when 0-d) and a node (None: untracked).
new = object.__new__


class Variable:
    """The bare tensor: a value and the node that made it. `Tensor` gives it its manners."""

    __slots__ = ("__weakref__", "_cut", "_name", "_node", "_owner", "_value")
    _kind: ClassVar[Any]
    _cut: Cut  # why it is untracked although it came from something tracked
    _value: Any
    _node: Node | None
    _owner: Node | None  # set when untracked yet a view of a tracked tensor's memory
    _name: str | None


def make(kind: type[Variable], value: Any, node: Node | None) -> Any:
    out = new(kind)
    out._value = value
    out._node = node
    return out


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
    for operand in operands:
        if isinstance(operand, Variable):
            if operand._node is not None:
                what = f"a result of dtype {out._value.dtype}" if STATE.get().recording else "no_grad()"
                out._cut = Cut(what, user_origin())
            elif (cut := getattr(operand, "_cut", None)) is not None:
                out._cut = cut


FLOAT = np.dtype(np.float64)
float64, ndarray = np.float64, np.ndarray
MANY = 1 << 24  # pairs of elements; fewer cannot make a result that is too large
SCALARS = frozenset((int, float, bool, np.float64, np.float32))
PLAIN = SCALARS | {ndarray, str, slice, type(None)}  # arguments in which no tensor can hide


def operand(value: Any) -> Any:
    """An operand that is neither a tensor nor a plain scalar, as a real ndarray or NumPy scalar."""
    if isinstance(value, np.ma.MaskedArray):
        raise DtypeError(f"a masked array would lose its mask; fill it first (a.filled(0.0)). Called {user_location()}")
    if isinstance(value, np.matrix):
        raise DtypeError(
            f"np.matrix multiplies by other rules (its * is @); pass np.asarray(m), and write @ for the product. "
            f"Called {user_location()}"
        )
    if type(value) is ndarray or isinstance(value, np.generic):
        array = value
    elif isinstance(value, ndarray):
        array = value.view(ndarray)  # a subclass may multiply by other rules, and seals.py looks at plain arrays
    else:
        try:
            array = np.from_dlpack(value) if hasattr(value, "__dlpack__") else np.asarray(value)
        except ValueError as error:
            where = f"Called {user_location()}"
            raise ShapeError(f"no array can be made of this {type(value).__name__}: {error} {where}") from None
        except (BufferError, RuntimeError) as error:  # bfloat16, another device, a gradient that would be lost
            kind = f"{type(value).__module__}.{type(value).__name__}"
            why = str(error).rstrip(".")
            raise DtypeError(f"NumPy cannot read this {kind}: {why}. Called {user_location()}") from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(
            f"{describe(array)} has no gradient here: operands are real numbers (float, integer, boolean)"
            f"{'; split it into .real and .imag' if array.dtype.kind == 'c' else ''}. Called {user_location()}"
        )
    return array


def fixed(value: Any, source: Any) -> Any:
    """What a node remembers of an input without gradient: a scalar itself; of an array its shape, name, and why."""
    if type(value) is not ndarray and isinstance(value, (list, tuple)):  # noqa: UP038
        value = np.asarray(value)
    if isinstance(value, ndarray) or isinstance(source, Variable):
        return Fixed(value.shape, value.dtype, getattr(source, "_name", None), getattr(source, "_cut", None))
    return value


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
        if operation.beside is None or state.heard or not (tracked and state.recording):
            value = operation.run(*raw, **raw_kwargs)
        else:
            value, aside = operation.beside(*raw, **raw_kwargs)
    except Exception as error:
        complain(operation, raw, error)
    if type(value) is ndarray:
        if not value.ndim:
            value = value[()]  # before anyone looks: what is watched, saved and returned is one object
    elif not isinstance(value, np.ndarray | np.generic | tuple):
        value = number_from(operation, value)
    if state.heard:
        value = recognisable(value)
        hear(operation, operation.run, raw, raw_kwargs, value, (*args, *kwargs.values()))
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


def recognisable(value: Any) -> Any:
    """A truth value as an array: there are but two objects of its type, which nobody could tell apart."""
    return np.array(value) if type(value) is np.bool else value


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


def holds_gradient(argument: Any) -> bool:
    if isinstance(argument, Variable):
        return argument._node is not None and STATE.get().recording
    if isinstance(argument, (list, tuple)):  # noqa: UP038, half the time of list | tuple
        for element in argument:
            if type(element) not in PLAIN and holds_gradient(element):
                return True
    return False


def strip(argument: Any) -> Any:
    """Plain arrays in place of tensors, also inside lists, tuples (index expressions) and slices."""
    if isinstance(argument, Variable):
        return argument._value
    if isinstance(argument, (list, tuple)):  # noqa: UP038
        stripped = [each if type(each) in PLAIN else strip(each) for each in argument]
        return stripped if isinstance(argument, list) else tuple(stripped)
    return operand(argument) if isinstance(argument, ndarray) and type(argument) is not ndarray else argument


def outputs(kind: type[Variable], value: Any, node: Node | None, operands: Any) -> Any:
    """Wrap what an operation returned: one array, or a tuple of them (each then picks its share of the node)."""
    if isinstance(value, tuple):
        parts = []
        for index, part in enumerate(value):
            made = None
            if node is not None:
                made = picked(node, index, part)
            parts.append(make(kind, part, made))
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
    for operand in operands:
        if isinstance(operand, Variable) and (
            operand._value is root or (root is not value and root_of(operand._value) is root)
        ):
            source = operand._node
            owner = getattr(operand, "_owner", None) if source is None else source.extras.owner or source
            if out._node is not None:
                out._node.owner = owner
            elif owner is not None:
                out._owner = owner
