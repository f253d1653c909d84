"""Tensor: an array that remembers how it was made, and speaks NumPy's protocols.

Every operator, method and `np.` function is one line to the registry: `np.tanh(x @ W + b).sum()` records as it runs.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock  # what threading calls Lock, without importing the rest of it
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.arrays import Foreign, refuse_mixed
from tinygrad_edu.backward import reverse
from tinygrad_edu.cotangents import cotangent_of
from tinygrad_edu.errors import CotangentError, DtypeError, NotTrackedError, ShapeError
from tinygrad_edu.exits import Exits
from tinygrad_edu.graph import (
    STATE,
    Cut,
    Node,
    leaf,
    next_number,
    node_location,
    not_on_tape,
    user_location,
    user_origin,
)
from tinygrad_edu.heap import keep_freed_memory
from tinygrad_edu.protocols import CREATORS, call, call_ufunc, create
from tinygrad_edu.seals import Escape, fingerprint, root_of
from tinygrad_edu.variable import Variable, copied, make

__all__ = ["Tensor", "stop_gradient"]

keep_freed_memory()

DEPOSIT = allocate_lock()  # two threads may add to one leaf's gradient; neither share may get lost


class Tensor(Exits):
    """An n-dimensional array of real numbers that can be differentiated.

    data: anything `np.array` takes, or an array of CuPy, Dask or the array API standard, which stays what it is; it is
    copied. requires_grad: make it a leaf whose `.grad` a backward pass fills;
    float dtypes only. name: shown in pictures and messages.
    Raises DtypeError for complex, object or text data, and for an integer that wants a gradient.
    """

    __slots__ = ()
    __array_priority__ = 100.0

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, name: str | None = None
    ) -> None:
        given = data
        if isinstance(data, Variable):
            if data._node is not None and not requires_grad:
                self._cut = Cut("Tensor(...), which copies values alone", user_origin(2))
            data = data._value
        self._value = copied(data, dtype)
        tape = STATE.get().tape
        if tape is not None:
            tape.ran(copied, (data, dtype), {}, self._value, given)
        self._node = None
        self._name = name
        if requires_grad:
            self.requires_grad = True

    # What it holds

    @property
    def data(self) -> Any:
        """The array itself, not a copy. Changing it after an operation saved it makes that backward() raise.

        An array of another library comes as it is there; nobody sees whether it is changed.
        """
        not_on_tape(".data")
        if type(self._value) is Foreign:
            return self._value.array
        if type(self._value) is not np.ndarray:
            self._value = np.array(self._value)
        owner = self._owning_node()
        if owner is not None and owner.escape is None:
            root = root_of(self._value)
            owner.escape = Escape(root, fingerprint(root))
        return self._value

    @data.setter
    def data(self, value: Any) -> None:
        value = value._value if isinstance(value, Variable) else value
        if value is not self._value:
            value = copied(value, self.dtype)
        if type(value) is Foreign or type(self._value) is Foreign:
            refuse_mixed([value, self._value])
        if value.shape != self.shape:
            raise ShapeError(
                f"data of shape {value.shape} for a tensor of shape {self.shape}. "
                f"Called {user_location()}"
            )
        self._assign(value)

    def _assign(self, array: Any) -> None:
        """Take `array` as the data, without a copy; graphs recorded before refuse to use the old one."""
        not_on_tape("new data for a tensor (by .data =, an optimiser, load_state_dict)")
        node = self._node
        if node is not None:
            if node.operation is not None:
                raise NotTrackedError(
                    f"this tensor was computed by {node.label} {node_location(node)}; only a leaf's data can be set. "
                    f"Use x = x.detach() first. Called {user_location()}"
                )
            node.changed = next_number()
            if node.escape is not None:
                root = root_of(array)
                same = type(array) is np.ndarray and np.may_share_memory(root, node.escape.array)
                node.escape = Escape(root, fingerprint(root)) if same else None
        elif array is not self._value:
            self._owner = None  # no view of a tracked tensor's memory any more
        self._value = array if array.ndim or array is self._value else array[()]

    def _owning_node(self) -> Node | None:
        if self._node is not None:
            return self._node.owner or self._node
        return getattr(self, "_owner", None)

    @property
    def name(self) -> str | None:
        not_on_tape(".name")
        return getattr(self if self._node is None else self._node, "_name" if self._node is None else "name", None)

    @name.setter
    def name(self, name: str | None) -> None:
        self._name = name
        if self._node is not None:
            self._node.name = name

    def detach(self) -> Tensor:
        """The same values, off the graph."""
        out: Tensor = make(Tensor, self._value, None)
        tape = STATE.get().tape
        if tape is not None:
            tape.meet(self)
        owner = self._owning_node()
        if owner is not None:
            out._owner = owner
            out._cut = Cut("detach()", user_origin(2))
        return out

    # Gradients

    @property
    def requires_grad(self) -> bool:
        tape = STATE.get().tape
        if tape is not None:
            tape.meet(self)
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and self._node is None:
            if self.dtype.kind != "f":
                raise DtypeError(
                    f"{self.dtype} data cannot want a gradient: derivatives need real numbers. "
                    f"Pass dtype=float, or write 2.0 instead of 2. Called {user_location()}"
                )
            self._node = leaf(self._value, getattr(self, "_name", None))
        elif not wanted and self._node is not None:
            if not self.is_leaf:
                raise NotTrackedError(
                    f"only a leaf can stop requiring a gradient; use detach(). "
                    f"Called {user_location()}"
                )
            self._owner, self._node = self._node, None  # graphs recorded before still read this memory
            self._cut = Cut("requires_grad = False", user_origin(2))

    @property
    def is_leaf(self) -> bool:
        return self._node is None or self._node.operation is None

    @property
    def grad(self) -> Tensor | None:
        not_on_tape(".grad")
        return None if self._node is None else getattr(self._node, "grad", None)

    @grad.setter
    def grad(self, value: Any) -> None:
        not_on_tape(".grad = (or zero_grad())")
        if value is not None:
            value = value if isinstance(value, Tensor) else Tensor(value, dtype=self.dtype)
            if type(value._value) is Foreign or type(self._value) is Foreign:
                refuse_mixed([value._value, self._value])
            if value.shape != self.shape or value.dtype != self.dtype:
                what = "dtypes" if value.shape == self.shape else "shapes"
                raise CotangentError(
                    f"grad {value.dtype}{list(value.shape)} for a tensor {self.dtype}{list(self.shape)}: "
                    f"{what} differ. Called {user_location()}"
                )
        if self._node is None:
            if value is not None:
                raise NotTrackedError(f"this tensor does not require a gradient. Called {user_location()}")
            return
        self._node.grad = value

    def zero_grad(self) -> None:
        """Forget the gradient: `.grad` is None again."""
        self.grad = None

    def retain_grad(self) -> Tensor:
        """Keep this tensor's gradient in `.grad` too, though it is not a leaf. Returns the tensor."""
        if self._node is None:
            raise NotTrackedError(
                f"retain_grad() on a tensor that does not require a gradient. "
                f"Called {user_location()}"
            )
        self._node.retains_grad = True
        return self

    def backward(self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to the `.grad` of every leaf this tensor depends on.

        gradient: the cotangent, of this tensor's shape; may be left out for one element (then 1).
        retain_graph: keep what the rules saved, for another backward. create_graph: record the pass itself, so that
        its result can be differentiated again.
        Raises NotTrackedError, CotangentError, FreedGraphError, MutationError, RuleError; `.grad` is then untouched.
        """
        if self._node is None:
            raise NotTrackedError(
                "backward() on a tensor that depends on nothing with requires_grad=True (or was made under no_grad, "
                f"or detached). Called {user_location()}"
            )
        found = reverse(
            {self._node: cotangent_of(self, gradient, create_graph)},
            lift=lift if create_graph else None,
            free=not (retain_graph or create_graph),
        )
        tape = STATE.get().tape
        if tape is not None:
            tape.deposits(found)
        with DEPOSIT:
            for node in found:
                extras = node.extras  # its own: what is found retains its gradient
                held = extras.grad
                if held is None:
                    extras.grad = as_gradient(found, node)
                else:
                    g = found[node]
                    extras.grad = held + g if create_graph else make(Tensor, held._value + g, None)

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return call_ufunc(Tensor, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function in CREATORS:
            return create(Tensor, self, function, args, kwargs)
        return call(Tensor, function, args, kwargs)

    def __dlpack__(self, **keywords: Any) -> Any:
        """The array itself, not a copy, as `data` is; a copy only of one that lies backwards, as in x[::-1]."""
        self._refuse_if_tracked("DLPack export", "x.detach() shares the values")
        array = self.data
        if any(stride < 0 for stride in array.strides):  # PyTorch's reader ends the whole process on one
            if keywords.get("copy") is False:
                raise BufferError("a tensor that lies backwards in memory cannot be exported without a copy")
            array = array.copy()
        return array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def __repr__(self) -> str:
        if type(self._value) is Foreign:
            body = repr(self._value)
        else:
            body = np.array2string(np.asarray(self._value), separator=", ", prefix="Tensor(")
        notes = [f"name={self.name!r}"] if self.name else []
        if self._node is not None:
            notes.append("requires_grad=True" if self.is_leaf else f"from={self._node.label}")
        if self.dtype not in (np.float64, np.int64, np.bool_):
            notes.append(f"dtype={self.dtype}")
        return f"Tensor({', '.join([body, *notes])})"

    def __reduce__(self) -> Any:
        data = self._value.array if type(self._value) is Foreign else self.numpy()
        kept = data, self.requires_grad and self.is_leaf, self.name
        return type(self)._rebuild, kept, None if self.is_leaf else (None, {"_cut": COPIED})

    @classmethod
    def _rebuild(cls, data: np.ndarray, requires_grad: bool, name: str | None) -> Tensor:
        """What pickle and copy keep: data, name, that a leaf wants a gradient. `.grad` and the graph are dropped."""
        return Tensor(data, requires_grad=requires_grad, name=name)


COPIED = Cut("copy or pickle, which keep the values and drop the graph", None)
Tensor._kind = Tensor


def lift(value: Any, node: Node | None) -> Tensor:
    """A value and the node that made it, as a tensor again."""
    return make(Tensor, value, node)  # type: ignore[no-any-return]


def stop_gradient(x: Any) -> Any:
    """The same values as a constant: no gradient flows through. Arrays pass unchanged."""
    return x.detach() if isinstance(x, Tensor) else x


def as_gradient(found: dict[Node, Any], node: Node) -> Tensor:
    """A cotangent as a `.grad`: its own memory, shared with no other gradient and with nothing of the caller's."""
    g = found[node]
    if isinstance(g, Tensor):
        return g
    # Held by the dictionary, by g, and by the call that counts; counted as found[node], because Python 3.14 lends a
    # local to a call without counting it.
    if type(g) is Foreign:
        alone = sys.getrefcount(found[node]) == 3 and g.is_alone()
    else:
        alone = type(g) is not np.ndarray or (g.base is None and sys.getrefcount(found[node]) == 3)
    if alone:
        return lift(g, None)
    own, tape = g.copy(), STATE.get().tape
    if tape is not None:
        tape.ran(np.copy, (g,), {}, own)
    return lift(own, None)
