"""Calls of every operation on arrays of other libraries: NumPy's numbers, of every order, or an error that says why."""

import functools

import numpy as np
from calls import Call, checks

from tinygrad_edu import Tensor, gradients
from tinygrad_edu.arrays import Foreign
from tinygrad_edu.arrays.numpys import numpys
from tinygrad_edu.state import carrying


def makers():
    """Name → a function from an ndarray to an array of that library, for those that are installed."""
    found = {"numpy": lambda array: Foreign(np.array(array), numpys())}
    try:
        import array_api_strict

        found["array_api_strict"] = array_api_strict.asarray
    except ImportError:
        pass
    try:
        import dask.array

        found["dask"] = lambda array: dask.array.from_array(np.array(array), chunks=-1)
    except ImportError:
        pass
    try:
        import cupy

        found["cupy"] = cupy.asarray
    except ImportError:
        pass
    return found


def read(named):
    """Name → list of ndarrays, of tensors over any library: Dask's are worked out all at once, not one by one."""
    raw = {name: [x.data for x in xs] for name, xs in named.items()}
    if any(hasattr(x, "compute") for xs in raw.values() for x in xs):
        import dask

        (raw,) = dask.compute(raw, scheduler="synchronous", optimize_graph=False)
        return {name: [np.asarray(x) for x in xs] for name, xs in raw.items()}
    return {name: [x.numpy() for x in xs] for name, xs in named.items()}


def numbers(call, make, cotangents, weights, twice=True):
    """Values, derivatives without and, `twice`, with a graph, and of ⟨those, weights⟩ by arguments and cotangents."""
    if isinstance(call.function, np.ufunc):  # whole numbers are operands there
        whole = [each.dtype.kind in "iu" if isinstance(each, np.ndarray) else False for each in call.args]
        args = [Tensor(make(each)) if is_whole else each for each, is_whole in zip(call.args, whole, strict=True)]
        call = Call(call.function, args, call.kwargs)
    xs = [Tensor(make(a), requires_grad=True) for a in call.arrays]
    cs = [Tensor(make(c), requires_grad=True) for c in cotangents]
    # A function of the tests may have constants of its own; NumPy's and ours have none.
    with carrying(not isinstance(call.function, np.ufunc | type(np.sum))):
        values = call(*xs)
    plain = gradients(checks.inner(values, [c.detach() for c in cs]), xs)
    if not twice:
        return read({"value": values, "gradient without a graph": plain})
    first = gradients(checks.inner(values, cs), xs, create_graph=True)
    once = checks.inner(first, [Tensor(make(w)) for w in weights])
    second = gradients(once, xs + cs, allow_unused=True) if once.requires_grad else []
    second = [np.zeros_like(x) if g is None else g for g, x in zip(second, xs + cs, strict=False)]
    return read({"value": values, "gradient": first, "gradient without a graph": plain, "second derivative": second})


@functools.cache
def expected(call):
    """Drawn cotangents and weights, and NumPy's numbers."""
    rng = np.random.default_rng(0)
    cotangents = checks.normal(rng, checks.plain_outputs(call, call.arrays))
    weights = checks.normal(rng, call.arrays)
    return cotangents, weights, numbers(call, np.array, cotangents, weights)


def compare(call, make, twice=True):
    """AssertionError unless the other library's numbers are NumPy's; an error of its own passes through."""
    cotangents, weights, ours = expected(call)
    for what, there in numbers(call, make, cotangents, weights, twice).items():
        size = checks.largest(ours[what]) if ours[what] else 0.0
        for mine, other in zip(ours[what], there, strict=True):
            assert (other.shape, other.dtype) == (mine.shape, mine.dtype), what
            np.testing.assert_allclose(other, mine, rtol=1e-12, atol=1e-12 * size, err_msg=what)
