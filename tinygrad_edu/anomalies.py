"""The first NaN or inf, caught where it is made: in forward order, and on the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_edu.arrays import home
from tinygrad_edu.errors import NonFiniteError
from tinygrad_edu.graph import STATE, Node, node_location, user_location

__all__ = ["check_backward", "check_forward", "check_sum", "detect_anomaly"]

REMEDIES = {
    "log": "log of something that reached 0: keep it above with log(x + eps), or use log_softmax or logsumexp, which "
    "never form the small number",
    "divide": "a denominator reached 0: add eps to it, or choose a safe one first, x / where(y == 0, 1, y), and select "
    "the result with a second where",
    "sqrt": "the root of 0 has an infinite slope, of a negative number none: add eps inside, sqrt(x + eps)",
    "exp": "exp of a large number: subtract the maximum first, as softmax and logsumexp do",
    "power": "a power of 0 or of a negative number: keep the base positive, or write x * x",
    "multiply": "an overflow, or 0 · inf: scale the factors down",
    "matmul": "an overflow: look at the size of both factors, and at the learning rate",
}
REMEDIES.update(log10=REMEDIES["log"], square=REMEDIES["multiply"], sum=REMEDIES["matmul"], einsum=REMEDIES["matmul"])
REMEDIES.update(log1p=REMEDIES["log"], log2=REMEDIES["log"], reciprocal=REMEDIES["divide"], expm1=REMEDIES["exp"])


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within it, the first operation that makes a NaN or inf from finite inputs raises NonFiniteError.

    Forward operations raise when they run, backward rules when backward() runs them; each names the operation, the
    element, the range of every input, the line that recorded it, and the usual remedy. Costs a pass over each result.
    """
    token = STATE.set(STATE.get().but(anomaly=True, watch=check_forward))
    try:
        yield
    finally:
        STATE.reset(token)


def is_finite(value: Any) -> bool:
    """Numbers throughout? What is no float array (an index, a keyword, None) is."""
    if isinstance(value, list | tuple):
        return all(is_finite(part) for part in value)
    value = strip(value)
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return getattr(value, "dtype", None) is None or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def check_forward(operation: Any, inputs: tuple[Any, ...], keywords: Any, output: Any) -> None:
    """Raise if a NaN or inf came out of finite inputs."""
    if operation.kind == "constant":
        return
    if is_finite(output) or not is_finite(inputs):
        return
    raise NonFiniteError(
        f"{operation.name} made {first_bad(output)} from finite inputs ({ranges(operation.parameters, inputs)}). "
        f"{remedy(operation.name)}Recorded {user_location()}"
    )


def check_backward(node: Node, argument: int, g: Any, share: Any, slope_may_be_infinite: bool = False) -> None:
    """Raise if a rule made a NaN, or an inf unless that is allowed, from finite numbers."""
    if is_finite(share) or not is_finite(g):
        return
    if slope_may_be_infinite and not (np.isnan(np.asarray(home(strip(share)))).any() and is_finite(node.saved)):
        return
    names = node.plan.names if node.plan is not None else ()
    parameters = node.operation.parameters
    raise NonFiniteError(
        f"backward of {node.label}: the rule for {parameters[min(argument, len(parameters) - 1)]!r} made "
        f"{first_bad(share)} from a finite cotangent ({ranges(('g', *names), (g, *(node.saved or ())))}). "
        f"{remedy(node.label)}Recorded {node_location(node)}"
    )


def check_sum(node: Node, held: Any, share: Any) -> None:
    """Raise if a finite share, added to the finite ones of other consumers, gives a NaN or inf."""
    total = strip(held) + strip(share)
    if is_finite(held) and is_finite(share) and not is_finite(total):
        raise NonFiniteError(
            f"backward of {node.label}: added to the shares of other consumers, "
            f"{ranges(('its share',), (share,))} makes "
            f"{first_bad(total)}: an overflow of {total.dtype}. Scale the loss down. Recorded "
            f"{node_location(node)}"
        )


def strip(value: Any) -> Any:
    return getattr(value, "_value", value)


def first_bad(value: Any) -> str:
    """`inf at [2, 0]`: the first element that is no number."""
    if isinstance(value, list | tuple):
        value = next(part for part in value if not is_finite(part))
    array = np.asarray(home(strip(value)))
    place = np.argwhere(~np.isfinite(array))[0].tolist()
    return f"{array[tuple(place)]} at {place}" if place else str(array[()])


def ranges(names: tuple[str, ...], values: tuple[Any, ...]) -> str:
    described = []
    for name, value in zip(names, values, strict=False):
        array = np.asarray(home(strip(value))) if not isinstance(value, list | tuple | str) else None
        if array is not None and array.dtype.kind == "f" and array.size:
            low, high = np.min(array), np.max(array)
            described.append(f"{name} = {low:.6g}" if low == high else f"{name} in [{low:.6g}, {high:.6g}]")
    return ", ".join(described)


def remedy(name: str) -> str:
    return f"Usual cause: {REMEDIES[name]}. " if name in REMEDIES else ""
