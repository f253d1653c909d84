"""Every axis there is: whatever in the registry takes an axis, over small squares and cubes, where a wrong one hides.

Nothing is listed by hand but what to pass besides the array. NumPy says which calls make sense and what their values
are; the judge says whether the gradient is right, along a drawn direction and for a drawn cotangent. Calls that give
the same numbers, as those of axis 0 and axis -2 do, are one function of x: the first is judged, and the others have
its gradient.
"""

import inspect
import itertools
import warnings

import numpy as np
import pytest
from calls import OPERATIONS, key_of

from tinygrad_edu import Tensor, gradients
from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.numerics import Line, judge

SHAPES = [(2, 2), (3, 3), (2, 2, 2), (1, 3), (0, 2)]
ARRAYS = ("a", "arr", "ary", "arrays", "f", "m", "p", "x", "x1", "y")  # what NumPy calls the array
AXES = ("axis", "axes", "axis1", "axis2", "source", "destination")


STRICTER = {  # ours refuses calls that NumPy answers
    "cross": "two components instead of three, which NumPy will give up",
    "cumulative_sum": "an axis in a tuple, which cumsum refuses too",
    "cumulative_prod": "likewise",
    "linalg.tensorsolve": "no equation in some unknowns, which NumPy takes for solved",
}


def signature_of(operation):
    try:
        return inspect.signature(key_of(operation)).parameters
    except ValueError:  # written in C
        return {}


def takes_an_axis(operation):
    """Of an array that is there before the call: not of a range (linspace), nor for a function of one's own."""
    names = set(signature_of(operation))
    plain = not isinstance(key_of(operation), np.ufunc) and not {"func", "func1d"} & names
    return plain and bool({*AXES, "keepdims"} & names) and bool(set(ARRAYS) & names)


TAKING_AN_AXIS = [operation for operation in OPERATIONS if takes_an_axis(operation)]
each_operation = pytest.mark.parametrize("operation", TAKING_AN_AXIS, ids=lambda operation: operation.name)


# What to pass -------------------------------------------------------------------------------------


def length(x, axis):
    return x.shape[axis] if isinstance(axis, int) and -x.ndim <= axis < x.ndim else x.size


FILLED = {  # required parameters by name, from the array and the axis
    "indices": lambda x, axis: np.array([0, -1, 0]),
    "condition": lambda x, axis: np.arange(length(x, axis)) % 2 == 0,
    "obj": lambda x, axis: 0,
    "kth": lambda x, axis: 0,
    "q": lambda x, axis: [0.3, 0.8],
    "shift": lambda x, axis: 1,
    "repeats": lambda x, axis: 2,
    "indices_or_sections": lambda x, axis: [1],
    "x2": lambda x, axis: x[::-1] + 0.125,
    "b": lambda x, axis: x[::-1] + 0.125,
    "values": lambda x, axis: x[::-1] + 0.125,
    "window_shape": lambda x, axis: (1,) * (x.ndim if axis is None else len(np.atleast_1d(axis))),
}


def filled(name, operation, x, axis):
    if operation.name == "take_along_axis" and name == "indices":
        return np.zeros_like(x, int) if axis is not None else np.zeros(x.size, int)
    assert name in FILLED, f"{operation.name} wants {name!r}: say in FILLED what to pass"
    return FILLED[name](x, axis)


def with_signs(places):
    """Counted from the front, from the back, and each in its own way."""
    n = len(places)
    return [(places, "front"), (places, "back")] if n < 2 else [(places, "front"), (places, "back"), (places, "mixed")]


def counted(places, ndim, how):
    back = {"front": itertools.repeat(False), "back": itertools.repeat(True), "mixed": itertools.cycle([True, False])}
    return tuple(k - ndim if minus else k for k, minus in zip(places, back[how], strict=False))


def several(ndim, least):
    """Every ordered choice of at least so many axes."""
    orders = [p for n in range(least, ndim + 1) for p in itertools.permutations(range(ndim), n)]
    return [counted(places, ndim, how) for order in orders for places, how in with_signs(order)]


def choices(names, ndim):
    """Keywords that name axes; some make no sense, and NumPy says which."""
    single = range(-ndim - 1, ndim + 1)
    if "axis" in names:
        values = [None, *single, (), *((k,) for k in single), *several(ndim, 2)]
        return [{}, *({"axis": value} for value in values)]
    if "axes" in names:
        pairs = [([i], [j]) for i in single for j in single]
        return [{}, *({"axes": value} for value in [None, 0, 1, *several(ndim, 2), *pairs])]
    both = next((pair for pair in (("axis1", "axis2"), ("source", "destination")) if pair[0] in names), None)
    if both is None:
        return [{}]
    values = [*single, *several(ndim, 2)] if both[0] == "source" else list(single)
    return [dict(zip(both, pair, strict=True)) for pair in itertools.product(values, values)]


def forms(operation, shape, rng):
    """(function of the array alone, the array, words) of every call."""
    parameters = signature_of(operation)
    array = next(name for name in parameters if name in ARRAYS)
    empty, kinds = inspect.Parameter.empty, (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [
        name for name, p in parameters.items()
        if p.default is empty and p.kind not in kinds and name != array and name not in AXES
    ]  # fmt: skip
    size = int(np.prod(shape))
    x = ((rng.permutation(size) + rng.uniform(0.2, 0.6, size)) * 0.25 * rng.choice([-1.0, 1.0], size)).reshape(shape)
    for keywords in choices(parameters, len(shape)):
        for keepdims in [{}, {"keepdims": True}] if "keepdims" in parameters else [{}]:
            others = {name: filled(name, operation, x, keywords.get("axis")) for name in required}
            rest = {**keywords, **keepdims}
            yield bound(key_of(operation), parameters, array, others, rest), x, f"{operation.name}, {shape}, {rest}"


def bound(function, parameters, array, others, keywords):
    """With positional parameters passed by place, as some of NumPy's must be."""

    def f(x):
        given = {**others, array: [x, x * 2.0] if array == "arrays" else x}
        return function(*[given[name] for name in parameters if name in given], **keywords)

    return f


# Holding it to it ---------------------------------------------------------------------------------


def outputs(y):
    return list(y) if isinstance(y, tuple | list) else [y]


def numpys(f, x):
    """NumPy's outputs; None where it refuses the call."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return [np.asarray(y) for y in outputs(f(x))]
        except (ValueError, TypeError, IndexError, ZeroDivisionError):
            return None


def complaint(f, x, expected, rng, judged):
    """What is wrong with one call, or nothing. `judged` holds by its numbers what was found right of this x."""
    leaf = Tensor(x, requires_grad=True)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = outputs(f(leaf))
        if [y.shape for y in found] != [y.shape for y in expected]:
            return f"shapes {[y.shape for y in found]}, NumPy's {[y.shape for y in expected]}"
        for y, plain in zip(found, expected, strict=True):
            if not np.allclose(y.numpy(), plain, rtol=1e-13, atol=1e-14, equal_nan=True):
                return f"{y.numpy()}, NumPy's {plain}"
        numbers = tuple(y.tobytes() for y in expected)
        drawn, known = judged.get(numbers) or ([rng.standard_normal(y.shape) for y in expected], None)
        weights = [w.reshape(y.shape) for w, y in zip(drawn, expected, strict=True)]
        if not found:
            return ""
        gradient = gradients(sum(np.sum(y * w) for y, w in zip(found, weights, strict=True)), leaf)
    if gradient.shape != x.shape:
        return f"gradient of shape {gradient.shape} for {x.shape}"
    if not x.size or not all(np.isfinite(y).all() for y in expected):
        return ""
    if not sum(y.size for y in expected):
        return "" if not gradient.numpy().any() else f"nothing comes out, but the gradient is {gradient.numpy()}"
    g = gradient.numpy()
    if known is not None:
        same = np.allclose(g, known, rtol=1e-13, atol=1e-14)
        return "" if same else f"gradient {g}, of another call with the same numbers {known}"
    v = rng.standard_normal(x.shape)
    line = Line(lambda moved: (numpys(f, moved), None), [x], [v], weights, [g], (expected, None))
    judgement = judge(line, float(np.sum(g * v)))
    if judgement.verdict != "ok":
        return str(judgement)
    judged[numbers] = drawn, g
    return ""


def refusal(f, x):
    """What is wrong where NumPy refuses a call: ours must not answer it."""
    try:
        found = f(Tensor(x, requires_grad=True))
    except (AutodiffError, ValueError, TypeError, IndexError, ZeroDivisionError):
        return ""
    if not sum(np.size(y) for y in outputs(found)):
        return ""  # an empty answer holds no wrong number
    return f"NumPy refuses it, ours answers {found!r}"


@each_operation
def test_every_axis_has_numpys_value_and_the_right_gradient(operation):
    rng = np.random.default_rng(0)
    complaints, count = [], 0
    for shape in SHAPES:
        judged = {}
        for f, x, words in forms(operation, shape, rng):
            expected = numpys(f, x)
            count += expected is not None
            try:
                problem = refusal(f, x) if expected is None else complaint(f, x, expected, rng, judged)
            except (AutodiffError, ValueError, TypeError, IndexError) as error:
                problem = "" if operation.name in STRICTER else f"NumPy answers, ours raises {error!r}"
            complaints += [f"{words}: {problem}"] if problem else []
    assert not complaints, "\n".join(complaints)
    assert count >= len(SHAPES) - 1, "hardly a call made sense: what is passed besides the array is wrong"


def test_what_takes_an_axis_is_found_by_its_signature():
    names = {operation.name for operation in TAKING_AN_AXIS}
    assert {"sum", "cumsum", "sort", "linalg.norm", "transpose", "moveaxis", "stack", "diagonal"} <= names
    assert len(names) >= 50


# Ties, again for each axis ------------------------------------------------------------------------


def shared(g, x, axes):
    """Everything is tied: each element gets an equal share."""
    return np.broadcast_to(g, x.shape) / np.prod([x.shape[k] for k in axes], dtype=int)


def nothing(g, x, axes):
    return np.zeros(x.shape)


CONVENTIONS = {  # name: the value of every element, and the gradient from g with the reduced axes in place
    **dict.fromkeys(["max", "min", "amax", "amin", "nanmax", "nanmin", "median"], (1.5, shared)),
    **dict.fromkeys(["ptp", "var", "std", "nanvar", "nanstd"], (1.5, nothing)),
    **dict.fromkeys(["linalg.norm", "linalg.vector_norm"], (0.0, nothing)),
    "quantile": (1.5, shared),
    "percentile": (1.5, shared),
    "sort": (1.5, lambda g, x, axes: np.broadcast_to(g.mean(axes, keepdims=True), x.shape)),
}


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (2, 2, 2), (1, 3)], ids=str)
def test_ties_share_and_flat_places_have_no_slope_along_every_axis(name, shape):
    (operation,) = [each for each in TAKING_AN_AXIS if each.name == name]
    value, slope = CONVENTIONS[name]
    rng, x, names = np.random.default_rng(1), np.full(shape, value), signature_of(operation)
    second = {"q": 0.25} if "q" in names else {}
    count = 0
    for keywords in choices(names, x.ndim):
        f = lambda x, keywords=keywords: key_of(operation)(x, **second, **keywords)  # noqa: E731
        expected = numpys(f, x)
        if expected is None or (name == "sort" and keywords.get("axis", -1) is None):
            continue
        g = rng.standard_normal(expected[0].shape)
        axis = keywords.get("axis", -1 if name == "sort" else None)
        axes = tuple(range(x.ndim)) if axis is None else tuple(k % x.ndim for k in np.atleast_1d(np.array(axis, int)))
        whole = g if g.ndim == x.ndim else np.expand_dims(g, axes)
        leaf = Tensor(x, requires_grad=True)
        found = gradients(f(leaf), leaf, Tensor(g)).numpy()
        np.testing.assert_allclose(found, slope(whole, x, axes), rtol=1e-13, atol=1e-15, err_msg=str(keywords))
        count += 1
    assert count >= 3
