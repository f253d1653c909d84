"""How a function is differentiated: one shape for every library, and for a backward pass written by hand.

    vjp(f, *inputs) -> (value, pullback);    pullback(cotangent) -> one gradient for each input

That is the signature of `tinygrad_edu.vjp` and of `jax.vjp`, which can be passed as they are. `forward(f, *inputs)`,
where a pullback has it, runs f on plain arrays for the differences; and `gradient(f, inputs, cotangents)` gives the
gradients in the library's own arrays, to be differentiated again, where nesting the vjp does not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.tree import flatten, map_tree

__all__ = ["Vjp", "autograd_vjp", "by_hand", "torch_vjp"]

Vjp = Callable[..., tuple[Any, Callable[[Any], Any]]]


def by_hand(backward: Callable[..., Any], needs_output: bool = False) -> Vjp:
    """A vjp from a backward pass written by hand: backward(cotangent, *inputs) gives one gradient for each input.

    needs_output: backward(cotangent, output, *inputs). A single input may get its gradient bare, not in a tuple.
    """

    def vjp(f: Callable[..., Any], *inputs: Any) -> tuple[Any, Callable[[Any], Any]]:
        value = f(*inputs)
        known = (value, *inputs) if needs_output else inputs

        def pullback(cotangent: Any) -> Any:
            found = backward(cotangent, *known)
            return found if isinstance(found, tuple) else (found,)

        return value, pullback

    vjp.is_by_hand = True  # type: ignore[attr-defined]
    return vjp


class TorchVjp:
    """PyTorch's reverse mode, for functions of torch tensors; arrays in, arrays out."""

    def __call__(self, f: Callable[..., Any], *inputs: Any) -> tuple[Any, Callable[[Any], Any]]:
        torch = importlib.import_module("torch")
        tensors = map_tree(lambda a: to_torch(torch, a, wants_gradient=True), list(inputs))
        outputs, rebuild = flatten(f(*tensors))
        leaves, rebuild_inputs = flatten(tensors)
        wanted = [leaf for leaf in leaves if getattr(leaf, "requires_grad", False)]

        def pullback(cotangent: Any) -> Any:
            pairs = [
                (y, torch.as_tensor(np.array(g), dtype=y.dtype), g)
                for y, g in zip(outputs, flatten(cotangent)[0], strict=True)
                if getattr(y, "requires_grad", False)
            ]
            found = torch.autograd.grad(
                [y for y, _, _ in pairs], wanted, [c for _, c, _ in pairs], allow_unused=True, retain_graph=True
            ) if pairs else [None] * len(wanted)  # fmt: skip
            for _, copy, g in pairs:  # a copy, since PyTorch may hand out its cotangent; but what was written shows
                if isinstance(g, np.ndarray) and not np.array_equal(copy.numpy(), g, equal_nan=True):
                    g[...] = copy.numpy()
            given = iter([None if g is None else g.numpy(force=True) for g in found])
            return tuple(
                rebuild_inputs([next(given) if getattr(x, "requires_grad", False) else None for x in leaves])
            )

        return rebuild([from_torch(y) for y in outputs]), pullback

    def gradient(self, f: Callable[..., Any], inputs: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        """The gradients on torch tensors, themselves with a graph; zeros where nothing depends."""
        torch = importlib.import_module("torch")
        with torch.enable_grad():
            xs = [x if x.requires_grad else x.detach().requires_grad_() for x in inputs]
            pairs = [(y, g.to(y.dtype)) for y, g in zip(flatten(f(*xs))[0], cotangents, strict=True) if y.requires_grad]
            ys, gs = zip(*pairs, strict=True)
            return tuple(torch.autograd.grad(ys, xs, gs, create_graph=True, materialize_grads=True))

    def forward(self, f: Callable[..., Any], *inputs: Any) -> Any:
        torch = importlib.import_module("torch")
        with torch.no_grad():
            return map_tree(from_torch, f(*map_tree(lambda a: to_torch(torch, a), list(inputs))))


def to_torch(torch: Any, leaf: Any, wants_gradient: bool = False) -> Any:
    if not isinstance(leaf, np.ndarray | np.generic):
        return leaf
    tensor = torch.as_tensor(np.array(leaf))
    return tensor.requires_grad_(wants_gradient and leaf.dtype.kind == "f")


def from_torch(leaf: Any) -> Any:
    return leaf.numpy(force=True) if hasattr(leaf, "numpy") else leaf


torch_vjp = TorchVjp()


def autograd_vjp(f: Callable[..., Any], *inputs: Any) -> tuple[Any, Callable[[Any], Any]]:
    """HIPS autograd's reverse mode, for functions written with `autograd.numpy`."""
    make_vjp = importlib.import_module("autograd").make_vjp
    pack = importlib.import_module("autograd.builtins").tuple  # which autograd sees through

    def packed(values: Any) -> Any:
        y = f(*values)
        return pack(y) if isinstance(y, tuple | list) else y

    pull, value = make_vjp(packed)(pack(inputs))
    return value, pull
