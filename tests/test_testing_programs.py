"""Random programs: one value on arrays and Tensors, right gradients, rich in structure, small when they fail."""

import functools
import operator
import pkgutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor, functional, primitive, testing, vjp
from tinygrad_edu.errors import ShapeError, UnsupportedError
from tinygrad_edu.numerics import directional_derivative
from tinygrad_edu.operation import REAL, Domain
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing import gradcheck
from tinygrad_edu.testing.random_programs import Program, Ref, Step, programs
from tinygrad_edu.testing.written import WRITTEN
from tinygrad_edu.tree import flatten

seeds = st.integers(0, 2**32 - 1)


def listed(output):
    return list(output) if isinstance(output, tuple) else [output]


def sample(strategy, count):
    found = []

    @settings(max_examples=count, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(program):
        found.append(program)

    collect()
    return found


def derivatives(program, seed):
    """⟨gradient, v⟩ for drawn v and cotangents; what differences measure; and how far the two may be apart."""
    rng = np.random.default_rng(seed)
    output, pullback = vjp(program, *program.inputs)
    outputs, rebuild = flatten(output)
    cotangents = [rng.standard_normal(np.shape(y)) for y in outputs]
    directions = [rng.standard_normal(x.shape) for x in program.inputs]
    found = pullback(rebuild(cotangents))
    for g, x in zip(found, program.inputs, strict=True):
        assert g.shape == x.shape
    derived = float(sum(np.sum(g * v) for g, v in zip(found, directions, strict=True)))
    estimate = directional_derivative(program, program.inputs, directions, rebuild(cotangents))
    slopes = sum(np.sum(np.abs(g * v)) for g, v in zip(found, directions, strict=True))
    terms = sum(np.sum(np.abs(c * y)) for c, y in zip(cotangents, outputs, strict=True))
    size = max(abs(derived), abs(estimate.value))
    return derived, estimate, 2 * estimate.error + 1e-8 * size + 2.0**-46 * (slopes + terms), slopes


@functools.cache
def several_hundred():
    return sample(programs(), 600)


# A program is a function


@settings(max_examples=300)
@given(program=programs())
def test_a_program_has_one_value_on_arrays_and_tensors(program):
    plain = listed(program(*program.inputs))
    tensors = listed(program(*[Tensor(x, requires_grad=True) for x in program.inputs]))
    assert len(plain) == len(tensors) == len(program.ends)
    for y, t in zip(plain, tensors, strict=True):
        assert isinstance(t, Tensor) and t.requires_grad
        assert t.dtype == np.float64 and np.isfinite(y).all()
        np.testing.assert_allclose(t.numpy(), y, rtol=1e-13, atol=1e-14)


@settings(max_examples=300)
@given(program=programs(), seed=seeds)
def test_gradients_of_programs_are_what_differences_measure(program, seed):
    derived, estimate, tolerance, slopes = derivatives(program, seed)
    assert abs(derived - estimate.value) <= tolerance
    assert estimate.error <= 1e-6 * slopes + 1e-12  # well-conditioned: nothing passes because nobody can tell


@settings(max_examples=100)
@given(function=st.sampled_from(list(WRITTEN)), data=st.data(), seed=seeds)
def test_any_operation_of_the_registry_comes_in_programs(function, data, seed):
    program = data.draw(programs([function, np.multiply], steps=4))
    derived, estimate, tolerance, _ = derivatives(program, seed)
    assert abs(derived - estimate.value) <= tolerance


@settings(max_examples=60)
@given(program=programs(dtype=np.float32))
def test_programs_in_float32_stay_in_float32(program):
    for leaf in [*program.inputs, *listed(program(*[Tensor(x) for x in program.inputs]))]:
        assert leaf.dtype == np.float32


@settings(max_examples=200)
@given(program=programs())
def test_a_program_prints_as_python_that_runs_and_its_repr_makes_it_again(program):
    namespace = {}
    exec(program.source(), namespace)
    known = {"np": np, "operator": operator, "Program": Program, "Step": Step, "Ref": Ref}
    functions = [part for step in program.steps for part in (step.function, *step.args) if callable(part)]
    again = eval(repr(program), known | {f.__name__: f for f in functions})
    assert repr(again) == repr(program) and len(again) == len(program)
    expected = listed(program(*program.inputs))
    for other in (namespace["program"](*namespace["inputs"]), again(*again.inputs)):
        for y, z in zip(expected, listed(other), strict=True):
            np.testing.assert_array_equal(y, z)


def test_source_and_repr_of_a_program():
    program = Program(
        [np.array([1.0, 2.5])], [Step(operator.getitem, Ref(0), [0, -1, 0]), Step(np.add, Ref(1), 2.0)]
    )
    assert repr(program) == (
        "Program(\n    [np.array([1.0, 2.5])],\n    [\n        Step(operator.getitem, Ref(0), [0, -1, 0]),\n"
        "        Step(np.add, Ref(1), 2.0),\n    ],\n)"
    )
    assert repr(Program([np.array(0.5)], [Step(np.sum, Ref(0), axis=None)])) == (
        "Program([np.array(0.5)], [Step(np.sum, Ref(0), axis=None)])"
    )
    assert program.source() == (
        "import numpy as np\n\n\ndef program(x0):\n    x1 = x0[[0, -1, 0]]\n    x2 = np.add(x1, 2.0)\n    return x2\n"
        "\n\ninputs = [np.array([1.0, 2.5])]"
    )
    with pytest.raises(ShapeError, match="takes 1 arrays, got 2"):
        program(1.0, 2.0)


@given(program=programs(inputs=2, steps=3, shape=(2, 3)))
def test_inputs_steps_and_shapes_are_bounded_as_asked(program):
    assert 1 <= len(program.inputs) <= 2 and 1 <= len(program) <= 3
    assert all(x.shape == (2, 3) for x in program.inputs)


@settings(max_examples=100)
@given(program=programs())
def test_every_input_and_step_counts(program):
    used = {number for step in program.steps for number in step.refs}
    assert used | set(program.ends) == set(range(len(program.inputs) + len(program)))
    assert not used & set(program.ends)


# What programs are made of

VIEWS = {
    np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.expand_dims, np.squeeze, np.flip, np.broadcast_to,
}  # fmt: skip
REDUCTIONS = {np.sum, np.mean, np.prod, np.max, np.min, np.var}


def is_basic(index):
    return not any(isinstance(part, list | np.ndarray) for part in (index if isinstance(index, tuple) else (index,)))


def features(program):
    """What can go wrong in a graph beyond its operations."""
    values = program.values(*program.inputs)
    ancestors = [{k} for k in range(len(program.inputs))]
    for step in program.steps:
        ancestors.append({len(ancestors)}.union(*[ancestors[k] for k in step.refs]))
        shapes = {values[k].shape for k in step.refs}
        if len(step.refs) > len(set(step.refs)):
            yield "the same operand twice"
        below = [ancestors[k] for k in dict.fromkeys(step.refs)]
        if any(a & b for k, a in enumerate(below) for b in below[:k]):
            yield "diamond"
        if len(shapes) > 1 and (isinstance(step.function, np.ufunc) and step.function is not np.matmul):
            yield "broadcast"
        if step.function in REDUCTIONS:
            yield "reduction"
        if "axis" in step.kwargs and step.function in REDUCTIONS:
            yield "reduction of some axes"
        if step.function is operator.getitem:
            yield "view" if is_basic(step.args[1]) else "places"
        if step.function in VIEWS:
            yield "view"
        if step.function is np.take or step.function is operator.getitem and isinstance(step.args[1], list):
            size = np.shape(values[step.refs[0]])[0]
            if len({k % size for k in step.args[1]}) < len(step.args[1]):
                yield "repeated places"
        if step.function in (np.concatenate, np.stack):
            yield "join"
        if step.function is np.where:
            yield "choice"
        if step.function in (np.matmul, np.dot):
            yield "matmul"
        if any(isinstance(arg, float) for arg in step.args) and isinstance(step.function, np.ufunc):
            yield "plain number"
    uses = Counter(k for step in program.steps for k in step.refs)
    if max(uses.values()) > 1:
        yield "reuse"
    if any(uses[k] > 1 for k in range(len(program.inputs), len(values))):
        yield "reuse of a made value"
    if len(program.ends) > 1:
        yield "several ends"
    if len(program) > 5:
        yield "long"
    if len(program.inputs) > 1:
        yield "several inputs"


def test_every_kind_of_structure_is_common():
    seen = Counter(feature for program in several_hundred() for feature in set(features(program)))
    wanted = {
        "reuse": 300, "reuse of a made value": 120, "diamond": 72, "the same operand twice": 144, "broadcast": 36,
        "reduction": 120, "reduction of some axes": 54, "view": 180, "places": 72, "repeated places": 60, "matmul": 72,
        "join": 120, "choice": 48, "plain number": 30, "several ends": 120, "several inputs": 120, "long": 120,
    }  # fmt: skip
    assert {name: seen[name] for name in wanted if seen[name] < wanted[name]} == {}


def test_nearly_every_operation_comes_among_a_few_hundred_programs():
    seen = {step.function for program in several_hundred() for step in program.steps}
    plain = {f for f, known in registry().items() if isinstance(f, np.ufunc) and getattr(known, "elementwise", False)}
    assert len(plain & seen) > 0.8 * len(plain)
    assert {operator.getitem, np.matmul, np.where, np.sum, np.stack, np.reshape} <= seen


# Operations of one's own


TEENS = Domain("10 < x < 20", 10.0, 20.0)


@primitive(lambda g, y: g * y, lambda g, x: g * x, broadcasts=True, domain=(REAL, TEENS))
def scaled(x, y):
    return x * y


@primitive(lambda g, a: np.outer(g, np.ones(3)), None, kinks=lambda a, k: np.sign(a))
def rows(a, k):
    return np.sum(a, axis=1)


def only_matrices(x):
    if x.ndim != 2:
        raise ValueError("a matrix, please")
    return np.tanh(x)


def spread(x, y, scale=0.5):
    return functional.softmax(x + y * scale)


@settings(max_examples=60)
@given(program=programs([scaled, spread, np.add, np.sum]), seed=seeds)
def test_programs_are_made_of_the_operations_that_are_named(program, seed):
    assert {step.function for step in program.steps} <= {scaled, spread, np.add, np.sum}
    values = program.values(*program.inputs)
    assert all(TEENS.contains(step.args[1] if isinstance(step.args[1], float) else values[step.args[1].number]).all()
               for step in program.steps if step.function is scaled)  # fmt: skip
    derived, estimate, tolerance, _ = derivatives(program, seed)
    assert abs(derived - estimate.value) <= tolerance


def test_all_operations_that_are_named_come():
    named = [scaled, spread, only_matrices, np.add, np.log, getitem_of_first]
    seen = Counter(step.function for program in sample(programs(named), 300) for step in program.steps)
    assert set(seen) == set(named) and min(seen.values()) > 20, seen


def getitem_of_first(x):
    return x[None][0]


def test_one_operation_alone_makes_programs():
    for function in (only_matrices, np.log, np.matmul, operator.getitem, scaled):
        found = sample(programs([function]), 40)
        assert len(found) >= 40
        helper = {np.transpose} if function is np.matmul else set()
        assert {step.function for program in found for step in program.steps} <= {function} | helper


@pytest.mark.parametrize(
    ("function", "message"),
    [(np.floor, "has no derivative"), (np.angle, "has no derivative"),
     (rows, "wrap it in a function"), (np.frompyfunc(abs, 1, 1), "wrap it in a function")],
)  # fmt: skip
def test_an_operation_that_cannot_be_called_is_refused(function, message):
    with pytest.raises(UnsupportedError, match=message):
        programs([np.add, function])
    with pytest.raises(UnsupportedError, match="empty list"):
        programs([])


def test_a_wrapped_operation_is_taken():
    (program,) = sample(programs([lambda x: np.linalg.svd(x + 4.0 * np.eye(2))[1]], shape=(2, 2)), 1)[:1]
    assert gradcheck(program, *program.inputs).ok


def test_no_module_of_the_kit_hides_what_the_kit_exports():
    """An imported submodule becomes an attribute of its package, and would stand where the function did."""
    modules = {module.name for module in pkgutil.iter_modules(testing.__path__)}
    assert {"random_programs", "strategies"} <= modules
    assert modules.isdisjoint(testing.__all__)
