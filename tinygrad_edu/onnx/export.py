"""`to_onnx`: run a function, watch what it does, write it down.

Every operation on Tensors is told of as it runs, a backward pass with create_graph too: its rules run on Tensors.
Shapes are those of the run, and a Python `if` goes the way it went. So the function runs twice, the second time with
other numbers of the same kind: what then differs in the graph has come from an input on a way that no operation shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.graph import STATE, location, user_origin
from tinygrad_edu.onnx.builder import Builder, Name, parts_of
from tinygrad_edu.onnx.table import emit
from tinygrad_edu.operation import Operation
from tinygrad_edu.state import placed
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.tree import flatten, paths_of

__all__ = ["OPSET", "to_onnx"]

OPSET, IR = 20, 10


def to_onnx(
    f: Callable[..., Any], *inputs: Any, path: str | os.PathLike[str] | None = None,
    names: Sequence[str] | None = None, outputs: Sequence[str] | None = None,
) -> Any:  # fmt: skip
    """f as an onnx.ModelProto, for inputs of these shapes and dtypes; written to `path`, if there is one.

    inputs: arrays or Tensors, also in nested dicts, lists and tuples; f gets Tensors in their places. A Tensor is
    passed on as it is, so a module's parameters can be inputs: to_onnx(f, dict(module.named_parameters()), x).
    names: of the inputs [input_0, ...]; what is in a dict goes by its key. outputs: likewise [output_0, ...].
    What f reads besides (a module's weights) becomes constants of the model. Kernels are written as their definitions.
    Raises UnsupportedError, naming the operation and its line, for what ONNX has no counterpart of, and where a number
    depends on an input in a way that is no operation (.numpy(), .item(), an `if`). Wants the package `onnx`.
    """
    import onnx

    leaves, rebuild = flatten(list(inputs))
    given = list(names) if names is not None else [f"input_{k}" for k in range(len(inputs))]
    if len(given) != len(inputs):
        raise ValueError(f"to_onnx: {len(given)} names for {len(inputs)} inputs")
    paths = [label for name, each in zip(given, inputs, strict=True) for label in labels(each, name)]
    tensors = [leaf if isinstance(leaf, Tensor) else tensor_of(leaf) for leaf in leaves]
    weights = dict(f.named_parameters()) if hasattr(f, "named_parameters") else {}

    def call() -> Any:
        return f(*rebuild(tensors))

    kept = [tensor._value for tensor in tensors]
    first = Traced(call, tensors, paths, weights, outputs)
    try:
        rng = np.random.default_rng(0)
        for tensor, value in zip(tensors, kept, strict=True):
            tensor._assign(other_numbers(value, rng))
        second = Traced(call, tensors, paths, weights, outputs)
    finally:
        for tensor, value in zip(tensors, kept, strict=True):
            tensor._assign(value)
    refuse_what_differs(first, second)
    model = first.model(onnx)
    onnx.checker.check_model(model, full_check=True)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    if path is not None:
        onnx.save(model, os.fspath(path))
    return model


def tensor_of(leaf: Any) -> Tensor:
    tensor = Tensor(leaf)
    if tensor.dtype.kind == "f":
        tensor.requires_grad = True
    return tensor


def labels(tree: Any, name: str) -> list[str]:
    """Of a dict the keys, which are names already; else the name, with the places inside."""
    if isinstance(tree, dict) and all(isinstance(key, str) for key in tree):
        return [label for key in sorted(tree) for label in labels(tree[key], key)]
    return list(paths_of(tree, name))


def other_numbers(value: Any, rng: np.random.Generator) -> Any:
    """Near by, if real; whole numbers and truth values change places, so that they stay in their range."""
    array = np.array(value)
    if array.dtype.kind == "f":
        size = np.max(np.abs(array), initial=0.0, where=np.isfinite(array)) or 1.0
        moved = array + 2.0**-10 * rng.standard_normal(array.shape) * np.where(array == 0, size, array)
        return moved.astype(array.dtype)[()]
    if array.ndim:
        array = np.roll(array, 1, axis=0)  # a row that is like no other certainly comes elsewhere
    return rng.permuted(array, axis=-1) if array.ndim > 1 else array[()]


class Traced:
    """One run, written down."""

    def __init__(
        self, call: Callable[[], Any], inputs: list[Tensor], paths: list[str], weights: Mapping[str, Tensor],
        outputs: Sequence[str] | None,
    ) -> None:  # fmt: skip
        self.builder = o = Builder()
        self.inputs = [(o.fresh(path), tensor.dtype, tensor.shape) for path, tensor in zip(paths, inputs, strict=True)]
        for (name, _, _), tensor in zip(self.inputs, inputs, strict=True):
            o.enter(tensor._value, name)
        for label, weight in weights.items():
            if id(weight._value) not in o.known:
                o.parameters[id(weight._value)] = o.fresh(label)
        token = STATE.set(STATE.get().but(recording=True, defined=True, watch=self.watch))
        try:
            with np.errstate(all="ignore"):
                found = call()
        finally:
            STATE.reset(token)
        leaves, _ = flatten(found)
        self.outputs = []
        o.label = o.about = ""
        keys = labels(found, "") if isinstance(found, dict) else [f"output_{k}" for k in range(len(leaves))]
        if outputs is not None and len(outputs) != len(leaves):
            raise ValueError(f"to_onnx: {len(outputs)} names for {len(leaves)} outputs")
        for label, leaf in zip(outputs or keys, leaves, strict=True):
            value = leaf._value if isinstance(leaf, Tensor) else np.asarray(leaf)
            o.label = label
            self.outputs.append((o("Identity", value), value.dtype, value.shape))
        self.nodes, self.constants = o.pruned(tuple(name for name, _, _ in self.outputs))

    def watch(self, operation: Operation, args: tuple[Any, ...], keywords: dict[str, Any], value: Any) -> None:
        o = self.builder
        if not o.comes_from_input(list(args)) and not o.comes_from_input(list(keywords.values())):
            return  # a constant: it is stored if anything needs it
        scope = STATE.get().scope
        o.label = f"{scope}/{operation.name}" if scope else operation.name
        o.about = f"{operation.name} {placed(location(user_origin(2)), scope)}"
        made = emit(o, operation, args, keywords, value)
        if made is None:  # it tells about shapes alone
            return
        for part, name in zip(parts_of(value), made, strict=True):
            if isinstance(part, np.bool_):
                o.lost = True
            elif id(part) not in o.known:
                o.enter(part, name)

    def model(self, onnx: Any) -> Any:
        helper, kinds = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype

        def attribute(value: Any) -> Any:
            return kinds(value) if isinstance(value, np.dtype) else value

        nodes = [
            helper.make_node(
                node.op, node.inputs, node.outputs, name=node.outputs[0],
                **{name: attribute(value) for name, value in node.attributes.items()},
            )
            for node in self.nodes
        ]  # fmt: skip
        graph = helper.make_graph(
            nodes,
            "tinygrad_edu",
            [helper.make_tensor_value_info(name, kinds(dtype), shape) for name, dtype, shape in self.inputs],
            [helper.make_tensor_value_info(name, kinds(dtype), shape) for name, dtype, shape in self.outputs],
            [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="tinygrad_edu"
        )


def refuse_what_differs(first: Traced, second: Traced) -> None:
    """UnsupportedError for the first node that is not the same for other numbers."""

    def told(about: str) -> UnsupportedError:
        return UnsupportedError(
            f"to_onnx: {about or 'the output'} is not the same for other inputs: a number depends on them in a way "
            "that is no operation, such as .numpy(), .item() or an `if`. Write it with np.where, or on Tensors"
        )

    for one, other in zip(first.nodes, second.nodes, strict=False):
        if one[:4] != other[:4] or any(differ(first, second, name) for name in one.inputs):
            raise told(one.about)
    if len(first.nodes) != len(second.nodes):
        raise told("")


def differ(first: Traced, second: Traced, name: Name) -> bool:
    one, other = first.constants.get(name), second.constants.get(name)
    return (one is None) != (other is None) or (
        one is not None and other is not None and (one.dtype != other.dtype or one.tobytes() != other.tobytes())
    )
