"""Each mistake raises its own documented exception: operation, shapes or values, the user's line, and the remedy.

None returns a number, and none lets a bare NumPy error through.
"""

import copy
import re

import numpy as np
import pytest
from bad_calls import BAD_CALLS, leaf, m, s, singular, square, x
from bad_passes import BAD_PASSES

from tinygrad_edu import Tensor, derivative, primitive
from tinygrad_edu import errors as E

BAD = BAD_CALLS | BAD_PASSES


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("what", BAD)
def test_bad_call_is_refused_by_its_own_exception(what):
    call, expected, words = BAD[what]
    before = [t.numpy() for t in (x, s, m, square)]
    for tensor in (x, s, m, square, singular):
        tensor.zero_grad()
    with pytest.raises(expected) as caught:
        call()
    assert re.search(words, str(caught.value), re.DOTALL), str(caught.value)
    for tensor, held in zip((x, s, m, square), before, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), held)


def test_there_are_at_least_200_bad_calls():
    assert len(BAD) >= 200


SAYS_WHERE = [
    name for name, (_, expected, _) in BAD.items()
    if isinstance(expected, type) and issubclass(expected, E.AutodiffError)
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("what", SAYS_WHERE)
def test_message_names_the_users_line(what):
    with pytest.raises(E.AutodiffError) as caught:
        BAD[what][0]()
    assert re.search(r"at bad_(calls|passes)\.py:\d+", str(caught.value)), str(caught.value)


def test_failed_backward_leaves_every_gradient_untouched():
    w, v = leaf(3), leaf(3)
    (w + v).sum().backward()
    loss = (w * 2.0).sum() + (v * v).sum()
    v.data[0] = 5.0
    with pytest.raises(E.MutationError):
        loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), np.ones(3))


def test_tree_in_the_docstring_is_the_tree_of_classes():
    drawn, path = {}, []
    for indent, name, other in re.findall(r"^    (.*?)(\w*Error)(?: +\((\w+)\) .+)?$", E.__doc__, re.M):
        path[len(indent) // 4 :] = [name]
        drawn[name] = {*path[-2:-1], *([other] if other else [])}
    found = {name: {base.__name__ for base in getattr(E, name).__bases__} for name in E.__all__}
    assert drawn == found | {"AutodiffError": set()}


def test_only_what_the_docstring_draws_is_defined():
    assert {name for name, kind in vars(E).items() if isinstance(kind, type)} == set(E.__all__)


def test_misspelt_name_in_a_rule_is_found_when_it_is_declared():
    with pytest.raises(E.UnsupportedError, match="'w', which is none of its arguments"):
        primitive(lambda g, w: g * w)(lambda x: x * 1.0)


def test_more_rules_than_arguments_are_found_when_they_are_declared():
    with pytest.raises(E.UnsupportedError, match="1 arguments .*2 rules"):
        primitive(lambda g: g, lambda g: g)(lambda x: x * 1.0)


def test_function_is_declared_once():
    with pytest.raises(ValueError, match="declared already"):
        derivative(np.exp, lambda g, z: g * z)


def test_what_a_copy_keeps_is_said_and_kept():
    w = Tensor([1.0, 2.0], requires_grad=True, name="w")
    twin = copy.deepcopy(w)
    assert (twin.requires_grad, twin.name, twin.grad) == (True, "w", None)
    twin.data[0] = 9.0
    assert w.numpy()[0] == 1.0
