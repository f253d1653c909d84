"""Modules: named parameters and a forward pass. No module has a backward one.

A module's parameters and children are simply its attributes, in the order in which `__init__` made them.
Dotted paths name the weights (`blocks.0.attention.qkv.weight`) and what is recorded inside
(`blocks.0.attention`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu.arrays import beside, library_for, moved
from tinygrad_edu.complaints import reject
from tinygrad_edu.errors import ArgumentError, DtypeError
from tinygrad_edu.state import STATE, Revision, entered
from tinygrad_edu.tensor import Tensor

__all__ = ["Module", "ModuleList", "Parameter"]

M = TypeVar("M", bound="Module")


class Parameter(Tensor):
    """A tensor that a module owns and an optimiser trains: a leaf that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, name: str | None = None) -> None:
        super().__init__(data, requires_grad=True, dtype=dtype, name=name)

    @classmethod
    def _rebuild(cls, data: NDArray[Any], requires_grad: bool, name: str | None) -> Tensor:
        parameter = cls(data, name=name)
        parameter.requires_grad = requires_grad
        return parameter


class Sealing(type):
    """After `__init__` parameters learn their paths, and assigning to a misspelt attribute raises."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module = super().__call__(*args, **kwargs)
        vars(module)["_sealed"] = True
        for path, parameter in module.named_parameters():
            parameter.name = path
        return module


class Module(metaclass=Sealing):
    """Make parameters and children in `__init__`, write `forward`, call the module.

        class Affine(Module):
            def __init__(self, rng):
                self.weight = Parameter(rng.normal(size=(3, 2)))

            def forward(self, x):                 # (B, 3)
                return x @ self.weight            # (B, 2)
    """

    training: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Module:
        module = super().__new__(cls)
        vars(module).update(training=True, _scope="", _sealed=False)
        return module

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """forward(...), recorded under this module's name."""
        if not self._scope:
            return self.forward(*args, **kwargs)
        token = entered(self._scope)
        try:
            return self.forward(*args, **kwargs)
        finally:
            STATE.reset(token)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    # Attributes

    _scope: str
    _sealed: bool

    if not TYPE_CHECKING:  # a type checker finds misspelt attributes by itself, if it does not see these

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(self._unknown(name))

        def __setattr__(self, name: str, value: Any) -> None:
            held = vars(self).get(name)
            if self._sealed and name not in vars(self):
                raise AttributeError(f"{self._unknown(name)}. Attributes are made in __init__")
            for kind, remedy in ((Parameter, f"assign {name}.data = array"), (Module, "put a module there")):
                if isinstance(held, kind) and value is not None and not isinstance(value, kind):
                    reject(
                        DtypeError,
                        f"{type(self).__name__}.{name} is a {kind.__name__}, a {type(value).__name__} would "
                        f"replace it: {remedy}",
                    )
            inside = value.values() if isinstance(value, dict) else value
            several = isinstance(value, list | tuple | dict)
            if several and any(isinstance(each, Module | Parameter) for each in inside):
                reject(
                    DtypeError,
                    f"{type(self).__name__}.{name}: parameters inside a {type(value).__name__} would not be "
                    "found; use ModuleList, or one attribute for each",
                )
            if isinstance(value, Module):
                self._refuse_to_hold(value, name)
                value._enter(name)
            if self._sealed and held is not value:
                Revision.number += 1
            object.__setattr__(self, name, value)

    def _unknown(self, name: str) -> str:
        close = difflib.get_close_matches(name, [n for n in dir(self) if not n.startswith("_")], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{type(self).__name__} has no attribute {name!r}{hint}"

    def _refuse_to_hold(self, module: Module, name: str) -> None:
        """Modules form a tree, perhaps with shared branches: in a circle, no walk over parameters would end."""
        if any(each is self for each in module.modules()):
            reject(
                ArgumentError,
                f"{type(self).__name__}.{name}: this {type(module).__name__} holds the module itself; "
                "pass what it needs to forward() instead",
            )

    def _enter(self, name: str) -> None:
        """Take the scope under which a parent knows this module."""
        self._scope = name

    # Parameters

    def _members(self) -> Iterator[tuple[str, Module | Parameter]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module | Parameter))

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """(path, parameter) in the order of definition; a shared parameter once, under its first path."""
        found: dict[int, tuple[str, Parameter]] = {}
        stack: list[tuple[str, Module | Parameter]] = [("", self)]
        while stack:
            path, member = stack.pop()
            if isinstance(member, Parameter):
                found.setdefault(id(member), (path, member))
            else:
                below = [(f"{path}.{name}" if path else name, value) for name, value in member._members()]
                stack += reversed(below)
        return list(found.values())

    def parameters(self) -> list[Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def num_parameters(self) -> int:
        """How many numbers the parameters hold."""
        return sum(parameter.size for parameter in self.parameters())

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.zero_grad()

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        waiting: list[Module] = [self]
        while waiting:
            module = waiting.pop()
            yield module
            waiting += reversed([member for member in vars(module).values() if isinstance(member, Module)])

    def train(self: M, mode: bool = True) -> M:
        """Training mode, in which dropout drops; returns the module."""
        for module in self.modules():
            if module.training is not mode:
                module.training = mode
        return self

    def eval(self: M) -> M:
        """Evaluation mode; returns the module."""
        return self.train(False)

    def to(self: M, namespace: Any) -> M:
        """Bring it to another library of arrays: `model.to(cupy)`, or home, `model.to(numpy)`; returns the module.

        Parameters move, and so do the arrays that modules keep beside them; gradients are dropped. Optimisers remember
        where the parameters were: make them afterwards. Raises UnsupportedError for a library that is not known.
        """
        library = library_for(namespace)
        for module in self.modules():
            for name, held in vars(module).items():
                if isinstance(held, Parameter):
                    held.zero_grad()
                    held._assign(moved(held._value, library))
                elif isinstance(held, np.ndarray | Tensor):
                    values = moved(held._value if isinstance(held, Tensor) else held, library)
                    vars(module)[name] = values if library is None else Tensor(values)
        return self

    # State

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Path → a copy of the parameter's array."""
        return {path: parameter.numpy() for path, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy arrays into the parameters, converted to their dtype; all of them, or none.

        Raises one ValueError that lists all that is wrong: missing and unexpected names (if strict), shapes.
        """
        parameters = dict(self.named_parameters())
        wrong = []
        if strict:
            wrong += [f"missing: {path}" for path in parameters if path not in state]
            wrong += [f"unexpected: {path}" for path in state if path not in parameters]
        arrays = {}
        for path, parameter in parameters.items():
            if path in state:
                array = np.array(state[path].numpy() if isinstance(state[path], Tensor) else state[path])
                if array.shape != parameter.shape:
                    wrong.append(f"shape: {path} is {parameter.shape} here, {array.shape} in the state")
                elif array.dtype.kind not in "fiu":
                    wrong.append(f"dtype: {path} is {parameter.dtype} here, {array.dtype} in the state")
                else:
                    arrays[path] = array.astype(parameter.dtype, copy=False)
        if wrong:
            reject(
                ArgumentError,
                f"{type(self).__name__}: the state does not fit, nothing was loaded:\n  " + "\n  ".join(wrong),
            )
        for path, array in arrays.items():
            parameters[path]._assign(beside(array, parameters[path]._value))

    # Pictures

    def extra_repr(self) -> str:
        """What stands in the brackets after the class name."""
        return ""

    def __repr__(self) -> str:
        return "\n".join(self._lines(""))

    def _lines(self, label: str) -> Iterator[str]:
        facts = f"({self.extra_repr()})" if self.extra_repr() else ""
        yield f"{label}{type(self).__name__}{facts}  {self.num_parameters():,} parameters"
        for name, member in self._members():
            if isinstance(member, Module):
                yield from (f"  {line}" for line in member._lines(f"{name}: "))


class ModuleList(Module):
    """Modules in a row, named 0, 1, 2, …"""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        for module in modules:
            self.append(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)  # the scopes of what is inside begin with the list's: layers.0

    def append(self, module: Module) -> None:
        if not isinstance(module, Module):
            reject(DtypeError, f"ModuleList holds modules, not a {type(module).__name__}")
        self._refuse_to_hold(module, str(len(self)))
        vars(self)[str(len(self))] = module
        self._enter(self._scope)

    def _enter(self, name: str) -> None:
        self._scope = name
        for index, module in enumerate(self):
            module._enter(f"{name}.{index}" if name else str(index))

    def __len__(self) -> int:
        return sum(1 for _ in self._members())

    def __iter__(self) -> Iterator[Any]:
        return (member for _, member in self._members())

    def __getitem__(self, index: int) -> Any:
        return list(self)[index]

    def forward(self, x: Any) -> Any:
        """Each after the other."""
        for module in self:
            x = module(x)
        return x
