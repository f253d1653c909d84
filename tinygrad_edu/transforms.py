"""Functions of functions: from f to its gradient, pullback, pushforward, Jacobian.

Arrays in, arrays out; Tensors in, Tensors out, and then what comes out can be differentiated again. Arguments may be
nested dicts, lists and tuples. Forward mode needs no rule: u ↦ uᵀJ is linear in u, and its pullback is v ↦ Jv.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.arrays import adopted, beside
from tinygrad_edu.backward import reachable, reverse
from tinygrad_edu.cotangents import cotangent_of
from tinygrad_edu.errors import AutodiffError, CotangentError, DtypeError, NotTrackedError, UnsupportedError
from tinygrad_edu.graph import STATE, is_recording, user_location
from tinygrad_edu.limits import refuse_large_jacobian
from tinygrad_edu.tensor import Tensor, as_gradient, lift
from tinygrad_edu.tree import flatten, leaves_like, map_tree, mismatch, paths_of
from tinygrad_edu.variable import operand

__all__ = ["grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]


def gradients(
    output: Tensor, inputs: Any, cotangent: Any = None, create_graph: bool = False, allow_unused: bool = False
) -> Any:
    """d(output)/d(input) for a Tensor or a nest of Tensors, leaves or not; `.grad` is not touched.

    cotangent: of output's shape, may be left out for one element. create_graph: the results can be differentiated.
    allow_unused: None for an input that output does not depend on, instead of NotTrackedError.
    The graph stays as it is and may be walked again. Returns Tensors in the structure of `inputs`.
    """
    wanted, rebuild = flatten(inputs)
    for number, tensor in enumerate(wanted):
        if not isinstance(tensor, Tensor) or tensor._node is None:
            raise NotTrackedError(
                f"input {number} requires no gradient; set requires_grad=True. "
                f"Called {user_location()}"
            )
    if output._node is None:
        if allow_unused:
            return rebuild([None] * len(wanted))
        raise NotTrackedError(f"the output depends on nothing that requires a gradient. Called {user_location()}")
    seed = cotangent_of(output, cotangent, create_graph)
    found = reverse({output._node: seed}, {tensor._node for tensor in wanted}, lift if create_graph else None)
    results: list[Tensor | None] = []
    for number, tensor in enumerate(wanted):
        known = tensor._node in found
        if not known and not allow_unused:
            raise NotTrackedError(
                f"the output does not depend on input {number} (shape {tensor.shape}); "
                f"pass allow_unused=True to get None for it. Called {user_location()}"
            )
        results.append(as_gradient(found, tensor._node) if known else None)
    return rebuild(results)


class Traced:
    """One call of f, recorded: its arguments as fresh inputs, its output, and how to give results back."""

    def __init__(self, f: Function, args: Sequence[Any], argnums: Sequence[int], keywords: dict[str, Any]) -> None:
        given = [leaf for leaf in flatten(list(args))[0] if isinstance(leaf, Tensor)]
        self.tensors_in = any(leaf.requires_grad or STATE.get().tape is None for leaf in given)
        args = list(args)
        leaves, self.rebuild = flatten([args[k] for k in argnums])
        names = (name for k in argnums for name in paths_of(args[k], f"args[{k}]"))
        self.inputs = [fresh(leaf, name) for leaf, name in zip(leaves, names, strict=True)]
        for k, replaced in zip(argnums, self.rebuild(self.inputs), strict=True):
            args[k] = replaced
        outer = STATE.get().variables
        variables = outer.union(x._node for x in self.inputs if x._node is not None)
        token = STATE.set(STATE.get().but(recording=True, variables=variables))  # also inside no_grad: it was asked for
        try:
            self.output = f(*args, **keywords)
        finally:
            STATE.reset(token)
        if outer and not self.tensors_in:
            # d/dx (x · d/dy (x y)): the inner derivative is asked at a number, and yet depends on the outer x.
            made = [leaf._node for leaf in flatten(self.output)[0] if isinstance(leaf, Tensor)]
            self.tensors_in = not outer.isdisjoint(reachable([node for node in made if node is not None]))

    def pull(self, output: Any, cotangent: Any = None) -> list[Any]:
        """The cotangents of the inputs, zeros where the output does not depend on one."""
        keep = self.tensors_in or isinstance(cotangent, Tensor)
        found = (
            gradients(output, self.inputs, cotangent, keep and is_recording(), allow_unused=True)
            if isinstance(output, Tensor) and output.requires_grad
            else [None] * len(self.inputs)
        )
        pairs = zip(found, self.inputs, strict=True)
        filled = [np.zeros_like(x) if g is None else g for g, x in pairs]
        return filled if keep else [self.give(g) for g in filled]

    def give(self, value: Any) -> Any:
        """Tensors to who brought Tensors, arrays to who brought arrays; under no_grad() nothing of the graph."""
        if not isinstance(value, Tensor):
            return value
        if not self.tensors_in:
            return getattr(value._value, "array", value._value) if STATE.get().tape is None else value.detach()
        return value if is_recording() or not value.requires_grad else value.detach()


def fresh(x: Any, name: str) -> Tensor:
    """A new input with x's values: still connected to x if x is tracked, so that derivatives nest."""
    if isinstance(x, Tensor) and x.requires_grad and is_recording():
        copied: Tensor = +x
        return copied
    try:
        out = Tensor(x.detach() if isinstance(x, Tensor) else x)
    except AutodiffError as error:
        raise type(error)(f"{name}: {error}") from None
    if out.dtype.kind != "f":
        raise DtypeError(
            f"{name}: an argument of dtype {out.dtype} has no derivative; pass floats. Called {user_location()}"
        )
    out.requires_grad = True
    return out


def split(output: Any) -> tuple[Any, Any]:
    """(value, extra), as a function returns it with has_aux."""
    if not (isinstance(output, tuple) and len(output) == 2):
        raise NotTrackedError(
            f"with has_aux=True the function returns a pair, (value, extra); this one returned "
            f"{type(output).__name__}. Called {user_location()}"
        )
    return output


def numbers_in(output: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """What a function returned, taken apart: Tensors, and constants that are numbers; their derivative is 0."""
    outputs, rebuild = flatten(output)
    for each in outputs:
        if not isinstance(each, Tensor):
            try:
                operand(each)
            except AutodiffError:
                raise NotTrackedError(
                    f"the function returned {type(each).__name__}, which is no number; grad, value_and_grad and vjp "
                    f"let (value, extra) pass with has_aux=True. Called {user_location()}"
                ) from None
    return outputs, rebuild


def scalar(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise NotTrackedError(f"the function returned {type(output).__name__}, not a Tensor. Called {user_location()}")
    if output.size != 1:
        raise CotangentError(
            f"grad wants a scalar function; this one returned shape {output.shape}: sum() it, or use vjp or jacobian. "
            f"Called {user_location()}"
        )
    return output


def numbers_of(argnums: int | Sequence[int], count: int) -> list[int]:
    """The arguments that argnums names, each once and counted from the front."""
    asked = argnums if isinstance(argnums, list | tuple) else (argnums,)
    try:
        numbers = [] if any(isinstance(k, bool) for k in asked) else [operator.index(k) for k in asked]
    except TypeError:
        numbers = []
    if not numbers or any(not -count <= k < count for k in numbers):
        given = f"{count}, numbered 0 to {count - 1}" if count else "none by position; keywords are not differentiated"
        raise UnsupportedError(
            f"argnums={argnums!r}: name arguments by number, one or a tuple of several; the function was called with "
            f"{given}. Called {user_location()}"
        )
    return list(dict.fromkeys(k % count for k in numbers))


def chosen(argnums: int | Sequence[int], count: int, found: Sequence[Any]) -> Any:
    """What was found for each of numbers_of, as argnums asked for it: bare for one number, a tuple for several."""
    by_number = dict(zip(numbers_of(argnums, count), found, strict=True))
    if isinstance(argnums, list | tuple):
        return tuple(by_number[operator.index(k) % count] for k in argnums)
    return by_number[operator.index(argnums) % count]  # type: ignore[arg-type]


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """x ↦ (f(x), ∇f(x)) for a scalar f; with has_aux, f returns (value, extra) and so does the first part."""

    @functools.wraps(f)
    def evaluate(*args: Any, **keywords: Any) -> Any:
        traced = Traced(f, args, numbers_of(argnums, len(args)), keywords)
        output, extra = split(traced.output) if has_aux else (traced.output, None)
        found = traced.rebuild(traced.pull(scalar(output)))
        value, result = traced.give(output), chosen(argnums, len(args), found)
        return ((value, map_tree(traced.give, extra)) if has_aux else value), result

    return evaluate


def grad(f: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Function:
    """x ↦ ∇f(x) for a scalar f, of the argument's structure; a tuple of them for several argnums."""

    @functools.wraps(f)
    def gradient(*args: Any, **keywords: Any) -> Any:
        value, found = value_and_grad(f, argnums, has_aux)(*args, **keywords)
        return (found, value[1]) if has_aux else found

    return gradient


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(f(*x), pullback): the pullback takes a cotangent in the structure of the output, as often as wanted.

    It returns a tuple with one entry for each argument, in that argument's structure. With has_aux, f returns
    (value, extra), and the result is (value, pullback, extra).
    """
    traced = Traced(f, primals, range(len(primals)), {})
    output, extra = split(traced.output) if has_aux else (traced.output, None)
    outputs, rebuild_output = numbers_in(output)
    nest = output

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        total: list[Any] | None = None
        for output, g in zip(outputs, matched(cotangent, nest, "cotangent", "output"), strict=True):
            shares = traced.pull(output, g)
            total = shares if total is None else [a + b for a, b in zip(total, shares, strict=True)]
        return tuple(traced.rebuild(traced.pull(None) if total is None else total))

    value = rebuild_output([traced.give(output) for output in outputs])
    return (value, pullback, map_tree(traced.give, extra)) if has_aux else (value, pullback)


def matched(tree: Any, like: Any, name: str, what: str) -> list[Any]:
    """The leaves of a nest in the order of another's, by key and place; CotangentError unless built like the other."""
    difference = mismatch(tree, like, name)
    leaves = [] if difference else leaves_like(tree, like)
    for path, leaf, other in zip(paths_of(like, name), leaves, flatten(like)[0], strict=False):
        if np.shape(leaf) != np.shape(other):
            difference = f"{path} has the shape {np.shape(leaf)}, where {np.shape(other)} belongs"
            break
    if difference:
        raise CotangentError(f"{difference}: it must be built like the {what}. Called {user_location()}")
    return leaves


def refuse_no_tuple(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple):
        raise CotangentError(
            f"{name} is {type(value).__name__}, where a tuple belongs, with one entry for each argument of the "
            f"function: ({name[:-1]},) for one. Called {user_location()}"
        )


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(f(*x), J v): the derivative in the direction v, by differentiating the pullback by its cotangent.

    primals, tangents: tuples with one entry for each argument, alike in structure and shapes, else CotangentError.
    """
    refuse_no_tuple("primals", primals)
    refuse_no_tuple("tangents", tangents)
    primals = tuple(primals)
    directions = matched(tuple(tangents), primals, "tangents", "primals")
    traced = Traced(f, primals, range(len(primals)), {})
    outputs, rebuild = numbers_in(traced.output)
    traced.tensors_in |= any(isinstance(v, Tensor) for v in directions)
    token = STATE.set(STATE.get().but(recording=True))  # also inside no_grad: the pullback is differentiated here
    try:
        names = paths_of(primals, "tangents")
        directions = [direction(*each) for each in zip(directions, traced.inputs, names, strict=True)]
        pushed = [pushed_forward(traced, output, directions) for output in outputs]
    finally:
        STATE.reset(token)
    return rebuild([traced.give(output) for output in outputs]), rebuild([traced.give(each) for each in pushed])


def direction(v: Any, x: Tensor, name: str) -> Any:
    """A tangent in its primal's dtype."""
    v = v if isinstance(v, Tensor) else operand(v) if adopted(v) is not None else np.asarray(v)[()]
    if v.dtype.kind not in "fiub":
        raise CotangentError(f"{name} is {v.dtype}, where real numbers belong. Called {user_location()}")
    return v if v.dtype == x.dtype else v.astype(x.dtype)


def pushed_forward(traced: Traced, output: Any, directions: Sequence[Any]) -> Any:
    """J v for one output; zeros where it depends on no input."""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return np.zeros_like(output)
    total: Any = None
    dummy = Tensor(np.zeros_like(output), requires_grad=True)
    pulled = gradients(output, traced.inputs, dummy, create_graph=True, allow_unused=True)
    for g, v in zip(pulled, directions, strict=True):
        if g is not None and g.requires_grad:
            share = gradients(g, dummy, v, create_graph=traced.tensors_in, allow_unused=True)
            if share is not None:  # None: this argument's cotangent does not depend on the output's
                total = share if total is None else total + share
    return np.zeros_like(output) if total is None else total


def jacobian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """x ↦ J of shape output.shape + x.shape, one reverse pass for each output element.

    For nests, a nest in the structure of the output, and in each place one in the structure of the argument; for
    several argnums a tuple of them.
    """

    @functools.wraps(f)
    def full(*args: Any, **keywords: Any) -> Any:
        traced = Traced(f, args, numbers_of(argnums, len(args)), keywords)
        outputs, rebuild_output = numbers_in(traced.output)
        if not any(isinstance(output, Tensor) for output in outputs):
            kinds = ", ".join(type(output).__name__ for output in outputs) or "nothing"
            raise NotTrackedError(f"the function returned {kinds}, not a Tensor. Called {user_location()}")
        blocks = [traced.rebuild(block(traced, output)) for output in outputs]
        return rebuild_output([chosen(argnums, len(args), each) for each in blocks])

    return full


def block(traced: Traced, output: Any) -> list[Any]:
    """The derivatives of one output by every input; zeros for a constant."""
    if not isinstance(output, Tensor):
        return [np.zeros(np.shape(output) + x.shape, x.dtype) for x in traced.inputs]
    refuse_large_jacobian(output, traced.inputs)
    rows = []
    for place in np.ndindex(output.shape):
        unit = np.zeros(output.shape, output.dtype)
        unit[place] = 1.0
        rows.append(traced.pull(output, beside(unit[()], output._value)))
    return [
        np.reshape(np.stack([row[k] for row in rows]), output.shape + x.shape)
        if rows else np.zeros(output.shape + x.shape, x.dtype)
        for k, x in enumerate(traced.inputs)
    ]  # fmt: skip


def hessian(f: Function, argnums: int | Sequence[int] = 0) -> Function:
    """x ↦ the matrix of second derivatives of a scalar f, of shape x.shape + x.shape; nests as jacobian has them."""

    def gradient_of_tensors(*args: Any, **keywords: Any) -> Any:
        return grad(f, argnums)(*args, **keywords)

    return functools.wraps(f)(jacobian(gradient_of_tensors, argnums))


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """(f(*x), H v) for a scalar f: forward over reverse, without ever forming H. Both in the arguments' structure."""
    _, pushed = jvp(lambda *x: grad(f, tuple(range(len(primals))))(*x), primals, tangents)
    return f(*primals), pushed

