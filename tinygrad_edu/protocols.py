"""NumPy's protocols, answered from the registry: which operation is meant by np.f(tensor)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign, beside, refuse_mixed
from tinygrad_edu.complaints import complain, refuse_keyword, signature_of
from tinygrad_edu.errors import LostGradientError, UnsupportedError
from tinygrad_edu.extents import EXTENTS
from tinygrad_edu.forms import form_of
from tinygrad_edu.graph import STATE, Cut, carrying, hear, not_on_tape, user_location, user_origin
from tinygrad_edu.limits import refuse_growth
from tinygrad_edu.operation import Composite, Constant, Operation, Primitive, Refusal, qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.record import apply, binary, unary
from tinygrad_edu.rules import lookup
from tinygrad_edu.rules.folds import METHODS
from tinygrad_edu.rules.products import with_subscripts
from tinygrad_edu.variable import Variable, holds_gradient, make, operand, recognisable, strip

__all__ = ["CREATORS", "call", "call_ufunc", "create"]


def call(kind: type[Variable], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a registered function on tensors.

    Raises UnsupportedError for a function that has no rule, or that is left out on purpose, with the reason.
    """
    operation = lookup(function)
    if isinstance(operation, Primitive):
        if operation.single and len(args) == 1 and not (kwargs or operation.grows) and isinstance(args[0], Variable):
            return unary(kind, operation, args[0])
        if operation.sequence is not None:
            if len(args) > 2 or (args and type(args[0]) is not list):  # else the usual way to write it
                args = spelled_out(operation, args)
        elif len(args) > len(operation.parameters):
            refuse_surplus(operation, args)
        return apply(kind, operation, args, kwargs)
    if isinstance(operation, Composite):
        return compose(kind, operation, args, kwargs)
    if isinstance(operation, Constant):
        plain = strip(args), {name: strip(value) for name, value in kwargs.items()}
        if function in EXTENTS or (len(args) > 1 and type(plain[0][0]) is type(plain[0][1]) is np.ndarray):
            refuse_growth(operation, *plain)
        try:
            value = function(*plain[0], **plain[1])
        except Exception as error:
            complain(operation, plain[0], error)
        if STATE.get().heard:
            value = recognisable(value if np.ndim(value) or type(value) is not np.ndarray else value[()])
            hear(operation, function, *plain, value, (*args, *kwargs.values()))
        out = make(kind, value, None) if type(value) is np.ndarray and value.dtype == bool else untracked(kind, value)
        if isinstance(out, Variable) and holds_gradient(args):
            out._cut = Cut(f"{operation.name} ({operation.reason})", user_origin())
        return out
    if isinstance(operation, Refusal):
        if whole_numbers(args, kwargs) and "writes into" not in operation.reason:
            return numpys_own(kind, operation, args, kwargs)
        raise UnsupportedError(f"{operation.name} has no derivative here: {operation.reason}. Called {user_location()}")
    raise UnsupportedError(unknown(function))


def spelled_out(operation: Primitive, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The other ways to write a call on many arrays: rows of one to join, axes of einsum by number."""
    if operation.function is np.einsum:
        try:
            return with_subscripts(args)
        except (TypeError, ValueError) as error:
            complain(operation, strip(args), error)
    if operation.function in (np.concatenate, np.stack):
        if len(args) > 2:
            refuse_out(operation, args, {})
        if args and isinstance(args[0], Variable):
            return (list(args[0]), *args[1:])  # type: ignore[call-overload]
    return args


def refuse_surplus(operation: Primitive, args: tuple[Any, ...]) -> None:
    """TypeError for more arguments than the function takes, before each of them is looked at."""
    signature = signature_of(operation.function)
    try:
        if signature is not None:
            signature.bind(*args)
    except TypeError as error:
        complain(operation, strip(args), error)


def compose(kind: type[Variable], operation: Composite, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run the definition of a composite, or its kernel, if that knows the call; on whole numbers NumPy's own."""
    real = args and isinstance(args[0], Variable) and args[0]._value.dtype.kind == "f"  # nearly always
    if not real and whole_numbers(args, kwargs):
        return numpys_own(kind, operation, args, kwargs)
    kernel, foreign = operation.kernel, lies_elsewhere(args)
    if kernel is not None and not foreign and len(args) <= len(kernel.parameters) and not STATE.get().defined:
        if len(args) == 1 and not kwargs and kernel.single and real:
            return unary(kind, kernel, args[0])
        form = kernel.forms.get((len(args), *kwargs)) or form_of(kernel, len(args), tuple(kwargs))
        if not form.doubtful:
            return apply(kind, kernel, args, kwargs)
    args, kwargs = as_defined(operation, args, kwargs)
    if operation.function in EXTENTS:
        refuse_growth(operation, strip(args), kwargs)
    try:
        if not foreign:
            value = operation.definition(*args, **kwargs)
        else:
            if not STATE.get().carries:
                refuse_mixed(strip(args))
            with carrying():
                value = operation.definition(*args, **kwargs)
    except Exception as error:
        complain(operation, strip(args), error)
    return value if isinstance(value, Variable) else untracked(kind, value)


def lies_elsewhere(args: Any) -> bool:
    """Does one of these hold an array of another library?"""
    for each in args:
        if isinstance(each, Variable):
            if type(each._value) is Foreign:
                return True
        elif type(each) is list and lies_elsewhere(each):
            return True
    return False


CREATORS: frozenset[Any] = frozenset((
    np.asarray, np.array, np.zeros, np.ones, np.full, np.empty, np.eye, np.identity, np.arange, np.tri,
))  # fmt: skip


def create(kind: type[Variable], like: Variable, creator: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """np.zeros(shape, like=x) and its kind: a tensor without a gradient, where x is."""
    if holds_gradient(args):
        raise LostGradientError(
            f"np.{creator.__name__} of a tensor that requires a gradient would cut it off the graph; x.detach() shares "
            f"the values. Called {user_location()}"
        )
    plain = strip(args)
    value = plain[0] if plain and type(plain[0]) is Foreign else creator(*plain, **kwargs)
    return untracked(kind, beside(value, like._value))


def numpys_own(kind: type[Variable], operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """NumPy's own function: on whole numbers, which nothing differentiates, its result is the one to give."""
    refuse_out(operation, args, kwargs)
    plain, keywords = strip(args), {name: strip(value) for name, value in kwargs.items()}
    refuse_growth(operation, plain, keywords)
    try:
        value = operation.function(*plain, **keywords)
    except Exception as error:
        complain(operation, plain, error)
    tape = STATE.get().tape
    if tape is not None:
        tape.ran(operation.function, plain, keywords, value, (*args, *kwargs.values()), operation)
    return untracked(kind, value)


def whole_numbers(args: tuple[Any, ...] | list[Any], kwargs: dict[str, Any]) -> bool:
    """Does every array among these hold integers or truth values?"""
    for value in (*args, *kwargs.values()) if kwargs else args:
        if isinstance(value, list | tuple):
            if not whole_numbers(value, {}):
                return False
        elif isinstance(value, Variable | np.ndarray | np.generic | Foreign):
            array = value._value if isinstance(value, Variable) else value
            if array.dtype.kind not in "biu":
                return False
    return True


def refuse_out(operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A Tensor is a value: also where none of them wants a gradient, no result is written into one."""
    given = {**dict(zip(positions_of(operation.function), args, strict=False)), **kwargs}
    refuse_keyword(operation, "out", given.get("out"), ())


@functools.cache
def positions_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of what a function takes by position; none if it takes any number, or does not say."""
    signature = signature_of(function)
    parameters = list(signature.parameters.values()) if signature else []
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return ()
    placed = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return tuple(parameter.name for parameter in parameters if parameter.kind in placed)


VARARGS = 0x04  # the flag of a function that takes *args


@functools.cache
def layout(operation: Composite) -> tuple[tuple[str, ...], tuple[str, ...], int | None]:
    """The names that a definition knows, NumPy's by place, and how many come first in both; None: all there are."""
    code = operation.definition.__code__
    known, names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], positions_of(operation.function)
    if code.co_flags & VARARGS or not names:
        return known, (), None
    pairs = enumerate(zip(known[: code.co_argcount], names, strict=False))
    moved = (k for k, (ours, theirs) in pairs if ours != theirs and (ours in names or theirs in known))
    return known, names, next(moved, code.co_argcount)


def as_defined(operation: Composite, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The call as the definition takes it: what stands at a place of NumPy's goes by NumPy's name."""
    known, names, kept = layout(operation)
    if kept is not None and len(args) > kept:
        kwargs = {**dict(zip(names[kept:], args[kept:], strict=False)), **kwargs}
    if not kwargs:
        return args[:kept], kwargs
    for name, value in kwargs.items():
        if name not in known and not is_default(operation.function, name, value):
            refuse_keyword(operation, name, value, known)
    return args[:kept], {k: v for k, v in kwargs.items() if k in known and v is not np._NoValue}


def is_default(function: Callable[..., Any], name: str, value: Any) -> bool:
    """Is this what NumPy takes if the option is not given?"""
    signature = signature_of(function)
    default = signature.parameters[name].default if signature and name in signature.parameters else None
    return type(value) is type(default) and bool(value == default)


def untracked(kind: type[Variable], value: Any) -> Any:
    """NumPy's result as a tensor; also inside a list or a tuple, if that holds arrays."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fiub":
            operand(value)  # raises
        return make(kind, value[()] if isinstance(value, np.ndarray) and not value.ndim else value, None)
    if type(value) is Foreign:
        return make(kind, value, None)
    if isinstance(value, list | tuple) and any(isinstance(part, np.ndarray | Foreign) for part in value):
        parts: list[Any] = [part if isinstance(part, Variable) else untracked(kind, part) for part in value]
        if isinstance(value, list):
            return parts
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def unknown(function: Callable[..., Any]) -> str:
    import difflib  # for this message alone

    name = qualified_name(function)
    near = difflib.get_close_matches(name, [operation.name for operation in registry().values()], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return (
        f"np.{name} has no derivative rule here{hint} Compose it from functions that have one, or declare a rule with "
        f"derivative(...). On plain values: np.{name}(x.detach().numpy()). Called {user_location()}"
    )


def written(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A result written into an ndarray, as in w.data -= lr * w.grad: nothing is lost if no operand wants a gradient."""
    if any(isinstance(each, Variable) for each in kwargs["out"]):
        raise UnsupportedError(
            f"{ufunc.__name__}: out= is a Tensor, and a Tensor is a value; use the returned one. "
            f"Called {user_location()}"
        )
    if holds_gradient((*inputs, *kwargs.values())):
        raise UnsupportedError(
            f"{ufunc.__name__} cannot write a Tensor's result into an array (out=, or array += tensor): the gradient "
            f"would be lost. Write array = array + tensor. Called {user_location()}"
        )
    not_on_tape(f"{ufunc.__name__}(out=...), which writes into an array,")
    plain = strip(inputs)
    try:
        return getattr(ufunc, method)(*plain, **{name: strip(value) for name, value in kwargs.items()})
    except Exception as error:
        complain(lookup(ufunc) or Operation(ufunc), plain, error)


def call_ufunc(
    kind: type[Variable], ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """ufunc(*inputs), or one of its methods: reduce, accumulate, reduceat, outer."""
    if "out" in kwargs:
        return written(ufunc, method, inputs, kwargs)
    if method == "__call__":
        operation = lookup(ufunc)
        if not kwargs and isinstance(operation, Primitive):
            if len(inputs) == 2:
                return binary(kind, operation, *inputs)
            return unary(kind, operation, inputs[0])
        return call(kind, ufunc, inputs, kwargs)
    fold, operation = METHODS.get(method), lookup(ufunc)
    if operation is None:
        raise UnsupportedError(unknown(ufunc))
    if fold is None:
        raise UnsupportedError(
            f"np.{ufunc.__name__}.{method} writes into an array; a Tensor is a value: add what np.bincount(places, x) "
            f"or np.where makes. Called {user_location()}"
        )
    try:
        value = fold(ufunc, *inputs, **kwargs)
    except Exception as error:
        complain(operation, strip(inputs), error)
    return value if isinstance(value, Variable) else untracked(kind, value)
