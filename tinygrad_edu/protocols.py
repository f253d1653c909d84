"""NumPy's protocols, answered from the registry: which operation is meant by np.f(tensor)."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.complaints import complain, refuse_keyword
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.graph import Cut, user_location, user_origin
from tinygrad_edu.operation import Composite, Constant, Primitive, Refusal, qualified_name
from tinygrad_edu.primitive import registry
from tinygrad_edu.record import Variable, apply, binary, holds_gradient, make, strip, unary
from tinygrad_edu.rules import lookup

__all__ = ["call", "call_ufunc"]


def call(kind: type[Variable], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run a registered function on tensors.

    Raises UnsupportedError for a function that has no rule, or that is left out on purpose, with the reason.
    """
    operation = lookup(function)
    if isinstance(operation, Primitive):
        return apply(kind, operation, args, kwargs)
    if isinstance(operation, Composite):
        args, kwargs = as_defined(operation, args, kwargs)
        try:
            return operation.definition(*args, **kwargs)
        except Exception as error:
            complain(operation, strip(args), error)
    if isinstance(operation, Constant):
        plain = strip(args), {name: strip(value) for name, value in kwargs.items()}
        try:
            value = function(*plain[0], **plain[1])
        except Exception as error:
            complain(operation, plain[0], error)
        out = untracked(kind, value)
        if isinstance(out, Variable) and holds_gradient(args):
            out._cut = Cut(f"{operation.name} ({operation.reason})", user_origin())
        return out
    if isinstance(operation, Refusal):
        raise UnsupportedError(f"{operation.name} has no derivative here: {operation.reason}. Called {user_location()}")
    raise UnsupportedError(unknown(function))


VARARGS = 0x04  # the flag of a function that takes *args


def as_defined(operation: Composite, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The call as the definition takes it: what stands at a place of NumPy's goes by NumPy's name."""
    code = operation.definition.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    numpys = getattr(getattr(operation.function, "_implementation", None), "__code__", None)
    kept = len(args)
    if numpys is not None and not (code.co_flags | numpys.co_flags) & VARARGS:
        names = numpys.co_varnames[: numpys.co_argcount]
        pairs = enumerate(zip(known, names, strict=False))
        moved = (k for k, (ours, theirs) in pairs if ours != theirs and (ours in names or theirs in known))
        kept = next(moved, len(known))
        kwargs = {**dict(zip(names[kept:], args[kept:], strict=False)), **kwargs}
    for name, value in kwargs.items():
        refuse_keyword(operation, name, value, known)
    return args[:kept], {k: v for k, v in kwargs.items() if k in known and v is not np._NoValue}


def untracked(kind: type[Variable], value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return make(kind, value, None)
    return tuple(untracked(kind, part) for part in value) if type(value) is tuple and holds_arrays(value) else value


def holds_arrays(values: tuple[Any, ...]) -> bool:
    return any(isinstance(value, np.ndarray) for value in values)


def unknown(function: Callable[..., Any]) -> str:
    name = qualified_name(function)
    near = difflib.get_close_matches(name, [operation.name for operation in registry().values()], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return (
        f"np.{name} has no derivative rule here{hint} Compose it from functions that have one, or declare a rule with "
        f"derivative(...). On plain values: np.{name}(x.detach().numpy()). Called {user_location()}"
    )


REDUCTIONS = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
ACCUMULATIONS = {np.add: np.cumsum, np.multiply: np.cumprod}


def call_ufunc(
    kind: type[Variable], ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """ufunc(*inputs), or one of its methods: reduce, accumulate, outer."""
    if "out" in kwargs:
        raise UnsupportedError(
            f"{ufunc.__name__} cannot write a Tensor's result into an array (out=, or array += tensor): the gradient "
            f"would be lost. Write array = array + tensor. Called {user_location()}"
        )
    if method == "__call__":
        operation = lookup(ufunc)
        if not kwargs and isinstance(operation, Primitive):
            if len(inputs) == 2:
                return binary(kind, operation, *inputs)
            return unary(kind, operation, inputs[0])
        return call(kind, ufunc, inputs, kwargs)
    if method == "outer":
        x, y = inputs
        return ufunc(np.reshape(x, np.shape(x) + (1,) * np.ndim(y)), y, **kwargs)
    stand_ins: dict[str, dict[Any, Any]] = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}
    stand_in = stand_ins.get(method, {}).get(ufunc)
    if stand_in is None:
        raise UnsupportedError(f"np.{ufunc.__name__}.{method} has no derivative rule. Called {user_location()}")
    return stand_in(*inputs, **{"axis": 0, **kwargs} if len(inputs) == 1 else kwargs)
